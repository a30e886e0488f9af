//! Judging tokens.
//!
//! Owns the order in which a token is taken apart: split, header, key, signature, and only then the
//! claims, so that nothing a stranger wrote is acted on before it is proved. The key decides the
//! algorithm; the token's `alg` is only compared with it. One pass of base64 for each segment, into
//! a buffer on the stack; nothing is allocated for a refused token but what JSON escapes force.
//!
//! ```text
//!   token -- split --> header --> key by kid, alg equal --> signature --> claims --> Access
//!              |          |               |                     |            |
//!          Malformed  Header Type     UnknownKey            Signature    Issuer Audience
//!          TooLong    Critical ..     Algorithm                          Lifetime ..
//! ```

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr;
use rustls::pki_types::UnixTime;

use super::claims::{Claims, Header, NumericDate};
use super::{Access, Expected, TOKEN_BYTES_MAX};
use crate::error::TokenError;
use crate::json::object;
use crate::scope::ScopeSet;
use crate::token::jwks::{KeySet, PublicKey};

/// Longest header, in bytes of base64url: alg, typ and a long kid.
const HEADER_TEXT_BYTES_MAX: usize = 1024;

/// Longest signature, in bytes of base64url: that of an RSA key of 4096 bits.
const SIGNATURE_TEXT_BYTES_MAX: usize = 683;

/// Payloads up to this many bytes of base64url are decoded on the stack; ours have some 300.
const PAYLOAD_TEXT_BYTES_INLINE: usize = 1024;

/// Longest `sub`, `client_id` and `jti`, in bytes: they become labels and keys elsewhere.
const NAME_BYTES_MAX: usize = 256;

/// Verifies the access tokens of one issuer. Cloning shares the keys and what is expected.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: KeySet,
    expected: Arc<Expected>,
}

impl Verifier {
    /// A verifier of tokens that these keys signed and that say what is expected.
    pub fn new(keys: KeySet, expected: Expected) -> Verifier {
        Verifier { keys, expected: Arc::new(expected) }
    }

    /// Takes another key set, after a rotation. Caches of verified tokens must be cleared then.
    pub fn set_keys(&mut self, keys: KeySet) {
        self.keys = keys;
    }

    /// The keys in use.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Judges a token at `now`.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::UnknownKey`] may mean that the issuer has a new key.
    pub fn verify(&self, token: &[u8], now: UnixTime) -> Result<Access, TokenError> {
        let now_s = now.as_secs();
        let (segments, key) = signed(token, &self.keys)?;

        if segments.payload.len() <= PAYLOAD_TEXT_BYTES_INLINE {
            let mut buffer = [0; decoded_max(PAYLOAD_TEXT_BYTES_INLINE)];
            self.access(decode(segments.payload, &mut buffer)?, key, now_s)
        } else {
            let mut buffer = vec![0; decoded_max(segments.payload.len())];
            self.access(decode(segments.payload, &mut buffer)?, key, now_s)
        }
    }

    /// Reads and judges the claims of a token whose signature was verified. Without one of those
    /// that RFC 9068 section 2.2 requires it is refused; none stands in for another.
    fn access(&self, payload: &[u8], key: &PublicKey, now_s: u64) -> Result<Access, TokenError> {
        let claims: Claims<'_> = object(payload).map_err(|_| TokenError::Claims)?;
        let Claims { iss: Some(iss), aud: Some(aud), sub: Some(sub), .. } = &claims else {
            return Err(TokenError::ClaimMissing);
        };
        let Claims { client_id: Some(client_id), jti: Some(jti), .. } = &claims else {
            return Err(TokenError::ClaimMissing);
        };
        let (Some(NumericDate(exp)), Some(NumericDate(iat))) = (claims.exp, claims.iat) else {
            return Err(TokenError::ClaimMissing);
        };
        let Expected { issuer, audiences, leeway, ttl_max } = &*self.expected;
        if **iss != **issuer {
            return Err(TokenError::Issuer);
        }
        if !audiences.iter().any(|audience| aud.names(audience)) {
            return Err(TokenError::Audience);
        }
        // RFC 7519 section 4.1.4: the token is refused on or after the second in `exp`.
        if now_s >= exp.saturating_add(leeway.as_secs()) {
            return Err(TokenError::Expired);
        }
        let begins_at = claims.nbf.map_or(iat, |NumericDate(nbf)| nbf.max(iat));
        if begins_at > now_s.saturating_add(leeway.as_secs()) {
            return Err(TokenError::NotYetValid);
        }
        // A life that ends before it begins is none.
        if exp < iat || exp - iat > ttl_max.as_secs() {
            return Err(TokenError::Lifetime);
        }
        Ok(Access {
            client_id: name(client_id)?,
            subject: name(sub)?,
            token_id: name(jti)?,
            scopes: claims.scope.as_deref().map_or(ScopeSet::EMPTY, ScopeSet::known_in),
            begins_at,
            expires_at: exp,
            algorithm: key.algorithm(),
            key_id: Arc::clone(key.key_id()),
        })
    }
}

/// The payload of an access token that one of these keys signed; nothing in it was judged.
///
/// # Errors
/// [`TokenError`].
pub(crate) fn signed_payload(token: &[u8], keys: &KeySet) -> Result<Vec<u8>, TokenError> {
    let (segments, _) = signed(token, keys)?;
    let mut buffer = vec![0; decoded_max(segments.payload.len())];
    let length = decode(segments.payload, &mut buffer)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// The segments of an access token whose signature was verified, and the key.
fn signed<'a, 'k>(
    token: &'a [u8],
    keys: &'k KeySet,
) -> Result<(Segments<'a>, &'k PublicKey), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let segments = Segments::split(token)?;
    let key = key_of(segments.header, keys)?;
    check_signature(key, &segments)?;
    Ok((segments, key))
}

/// Finds the key that the header names, and holds the header against it.
fn key_of<'k>(header: &[u8], keys: &'k KeySet) -> Result<&'k PublicKey, TokenError> {
    if header.len() > HEADER_TEXT_BYTES_MAX {
        return Err(TokenError::Header);
    }
    let mut buffer = [0; decoded_max(HEADER_TEXT_BYTES_MAX)];
    let header: Header<'_> =
        object(decode(header, &mut buffer)?).map_err(|_| TokenError::Header)?;
    // RFC 7515 section 4.1.11: extensions that are not understood make the token invalid, and none
    // is understood here.
    if header.crit || header.b64 {
        return Err(TokenError::Critical);
    }
    // RFC 9068 section 4: anything that is not an access token is refused by its type.
    if !header.typ.as_deref().is_some_and(is_access_token_type) {
        return Err(TokenError::Type);
    }
    let key_id = header.kid.as_deref().ok_or(TokenError::KeyIdMissing)?;
    keys.find(key_id, &header.alg)
}

/// The three segments of the compact form (RFC 7515 section 7.1), and what the signature covers.
struct Segments<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    signed: &'a [u8],
}

impl<'a> Segments<'a> {
    /// Splits at exactly two dots. A third is refused with the signature's base64url, and an empty
    /// signature here, before anything asks which algorithm it is of.
    fn split(token: &'a [u8]) -> Result<Segments<'a>, TokenError> {
        let dot = |bytes: &[u8]| memchr(b'.', bytes).ok_or(TokenError::Malformed);
        let first = dot(token)?;
        let second = first + 1 + dot(&token[first + 1..])?;
        let (header, payload) = (&token[..first], &token[first + 1..second]);
        let signature = &token[second + 1..];
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(TokenError::Malformed);
        }
        Ok(Segments { header, payload, signature, signed: &token[..second] })
    }
}

fn check_signature(key: &PublicKey, segments: &Segments<'_>) -> Result<(), TokenError> {
    if segments.signature.len() > SIGNATURE_TEXT_BYTES_MAX {
        return Err(TokenError::Signature);
    }
    let mut buffer = [0; decoded_max(SIGNATURE_TEXT_BYTES_MAX)];
    key.verify(segments.signed, decode(segments.signature, &mut buffer)?)
}

/// Decodes base64url without padding; trailing bits must be zero (the engine's default), so that a
/// segment has one spelling.
fn decode<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], TokenError> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).map_err(|_| TokenError::Malformed)?;
    Ok(&buffer[..length])
}

/// Room for the bytes of so much base64url; the decoder wants whole groups.
const fn decoded_max(text_bytes: usize) -> usize {
    text_bytes.div_ceil(4) * 3
}

/// `at+jwt` or `application/at+jwt`, in any case (RFC 9068 section 2.1, RFC 7515 section 4.1.9).
fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// A name that can stand in a log line: not empty, bounded, without control characters.
fn name(text: &str) -> Result<Box<str>, TokenError> {
    let fit = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    if fit { Ok(text.into()) } else { Err(TokenError::Claims) }
}
