//! Clients that prove who they are by an assertion that they signed: `private_key_jwt` (RFC 7523
//! sections 2.2 and 3).
//!
//! Owns the judgement of the assertion. The registered key decides the algorithm. Refuses an access
//! token in the place of an assertion, one for several audiences, one that lives longer than five
//! minutes, and one that may have been used before this process could remember it.
//!
//! ```text
//!   assertion -- header --> client by sub --> its key --> signature --> claims --> id not used yet
//! ```

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use rustls_pki_types::UnixTime;
use serde::Deserialize;

use super::clients::{AuthMethod, ClientRegistry};
use super::error::OAuthError;
use super::request::Authenticated;
use crate::json::object;
use crate::token::jwks::{KeySet, PublicKey};
use crate::token::jwt::claims::{Audience, Header, NumericDate, Text, given};

/// Longest assertion, in bytes: one that an RSA key of 8192 bits signed fits.
pub const ASSERTION_BYTES_MAX: usize = 4096;

/// How far ahead an assertion may end, in seconds. Its id is remembered for that long.
const LIFE_S_MAX: u64 = 300;

/// Longest `jti`, in bytes.
const ID_BYTES_MAX: usize = 256;

/// What an assertion must say beside its client.
#[derive(Clone, Debug)]
pub struct AssertionRules {
    audiences: [Box<str>; 2],
    begin_s: u64,
    leeway_s: u64,
}

/// A verified assertion, to be used up by [`super::SeenAssertions::accept`].
#[derive(Debug)]
pub struct Assertion<'r> {
    pub(super) client: Authenticated<'r>,
    pub(super) id: [u8; 32],
    /// From this unix second on nobody accepts it.
    pub(super) until_s: u64,
}

/// Why an assertion proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionError {
    /// It is not a signed JWT of a client that is registered for this, or the signature is wrong.
    Unverified,
    /// `client_id` of the request names another client.
    OtherClient,
    /// `aud` is not the issuer or the token endpoint alone.
    Audience,
    /// It has ended.
    Expired,
    /// `exp` is more than five minutes ahead.
    LivesTooLong,
    /// `iat` or `nbf` is ahead.
    NotYetValid,
    /// It may have been used before this process began.
    BeforeStart,
    /// `jti` is empty or too long.
    Id,
    /// It has been used.
    Used,
    /// The client has used as many as are remembered; the first of them ends so much later.
    Full(Duration),
}

impl AssertionRules {
    /// Rules for assertions to the authorization server of this issuer, which began at `start`.
    /// `leeway` is how far clocks may differ.
    #[must_use]
    pub fn new(
        issuer: &str,
        token_endpoint: &str,
        start: UnixTime,
        leeway: Duration,
    ) -> AssertionRules {
        let leeway_s = leeway.as_secs();
        AssertionRules {
            audiences: [issuer.into(), token_endpoint.into()],
            // Before this second an assertion could have been accepted by an earlier process:
            // `start` is rounded down, and clients' clocks may be ahead by the leeway.
            begin_s: start.as_secs() + 1 + leeway_s,
            leeway_s,
        }
    }
}

/// The claims of an assertion (RFC 7523 section 3), as far as they are read.
#[derive(Deserialize)]
struct AssertionClaims<'a> {
    #[serde(borrow)]
    iss: Text<'a>,
    #[serde(borrow)]
    sub: Text<'a>,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: NumericDate,
    #[serde(borrow)]
    jti: Text<'a>,
    #[serde(default, deserialize_with = "given")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<NumericDate>,
}

impl ClientRegistry {
    /// Judges an assertion at `now`; `client_id` is what the request says beside it.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub fn check_assertion(
        &self,
        jwt: &str,
        client_id: Option<&str>,
        rules: &AssertionRules,
        now: UnixTime,
    ) -> Result<Assertion<'_>, AssertionError> {
        let [header, payload, signature] =
            segments(jwt, ASSERTION_BYTES_MAX).ok_or(AssertionError::Unverified)?;
        let header: Header<'_> = object(&header).map_err(|_| AssertionError::Unverified)?;
        let claims: AssertionClaims<'_> =
            object(&payload).map_err(|_| AssertionError::Unverified)?;
        // Who signed is not known before the key is, and the key not before the client: until the
        // signature was verified, the claims choose a key of this registry and nothing else.
        let client = self.client(&claims.sub).filter(|_| *claims.iss == *claims.sub);
        let client = client.filter(|client| client.allows(AuthMethod::PrivateKeyJwt));
        let client = client.ok_or(AssertionError::Unverified)?;
        let keys = client.keys.as_ref().ok_or(AssertionError::Unverified)?;
        let key = key_of(&header, keys).ok_or(AssertionError::Unverified)?;
        key.verify(signed_part(jwt), &signature).map_err(|_| AssertionError::Unverified)?;
        if client_id.is_some_and(|id| *id != *client.id) {
            return Err(AssertionError::OtherClient);
        }
        let (id, until_s) = rules.judge(&claims, now.as_secs())?;
        Ok(Assertion { client: Authenticated::new(client), id, until_s })
    }
}

impl AssertionRules {
    /// Judges the claims; returns the hash of the id, and until when it must be remembered.
    fn judge(
        &self,
        claims: &AssertionClaims<'_>,
        now_s: u64,
    ) -> Result<([u8; 32], u64), AssertionError> {
        let audience = claims.aud.only();
        if !self.audiences.iter().any(|own| Some(&**own) == audience) {
            return Err(AssertionError::Audience);
        }
        let exp_s = claims.exp.0;
        let until_s = exp_s.saturating_add(self.leeway_s);
        if now_s >= until_s {
            return Err(AssertionError::Expired);
        }
        if exp_s > now_s + LIFE_S_MAX + self.leeway_s {
            return Err(AssertionError::LivesTooLong);
        }
        let (iat, nbf) = (claims.iat.map(|iat| iat.0), claims.nbf.map(|nbf| nbf.0));
        if iat.max(nbf).unwrap_or_default() > now_s + self.leeway_s {
            return Err(AssertionError::NotYetValid);
        }
        // It is from after the start if it says so, or if it ends later than any from before can.
        let is_new = iat.is_some_and(|iat| iat >= self.begin_s);
        if !is_new && exp_s < self.begin_s + LIFE_S_MAX {
            return Err(AssertionError::BeforeStart);
        }
        if !(1..=ID_BYTES_MAX).contains(&claims.jti.len()) {
            return Err(AssertionError::Id);
        }
        let id = digest::digest(&digest::SHA256, claims.jti.as_bytes());
        Ok((id.as_ref().try_into().expect("SHA-256 has 32 bytes"), until_s))
    }
}

/// The decoded segments of the compact form (RFC 7515 section 7.1), of at most so many bytes.
pub(super) fn segments(jwt: &str, bytes_max: usize) -> Option<[Vec<u8>; 3]> {
    if jwt.len() > bytes_max {
        return None;
    }
    let mut segments = jwt.split('.').map(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let all = [segments.next()??, segments.next()??, segments.next()??];
    segments.next().is_none().then_some(all)
}

/// What the signature of a compact form covers.
pub(super) fn signed_part(jwt: &str) -> &[u8] {
    &jwt.as_bytes()[..jwt.rfind('.').unwrap_or_default()]
}

/// The client's key that the header names. The key pins the algorithm (RFC 8725 section 3.1).
fn key_of<'k>(header: &Header<'_>, keys: &'k KeySet) -> Option<&'k PublicKey> {
    // RFC 7515 section 4.1.11: no extension is understood here, nor another reading of the
    // payload (RFC 7797). RFC 8725 section 3.11: a JWT of
    // another type, such as an access token, is refused by its type.
    if header.crit || header.b64 || !header.typ.as_deref().is_none_or(is_assertion_type) {
        return None;
    }
    match header.kid.as_deref() {
        Some(key_id) => keys.find(key_id, &header.alg).ok(),
        None => {
            let mut fitting = keys.iter().filter(|key| key.takes(&header.alg));
            let key = fitting.next()?;
            fitting.next().is_none().then_some(key)
        }
    }
}

/// `JWT`, or the registered type of client assertions, in any case (RFC 7519 section 5.1).
fn is_assertion_type(typ: &str) -> bool {
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    ["jwt", "client-authentication+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
}

impl AssertionError {
    /// A sentence for the client. Only who holds a registered key learns more than one.
    fn description(self) -> &'static str {
        match self {
            AssertionError::Unverified => OAuthError::INVALID_CLIENT.description,
            AssertionError::OtherClient => "client_id names another client",
            AssertionError::Audience => {
                "aud of the assertion must be the issuer or the token endpoint, and no other"
            }
            AssertionError::Expired => "the assertion has ended; make a new one",
            AssertionError::LivesTooLong => {
                "exp of the assertion must be at most 5 minutes ahead; compare the clocks"
            }
            AssertionError::NotYetValid => "iat or nbf of the assertion is ahead; compare clocks",
            AssertionError::BeforeStart => {
                "the assertion may be from before the server's start; make a new one with iat"
            }
            AssertionError::Id => "jti of the assertion must have 1 to 256 bytes",
            AssertionError::Used => "the assertion has been used; make a new one for each request",
            AssertionError::Full(_) => {
                "as many assertions of the client are in use as are remembered; ask less often"
            }
        }
    }
}

impl fmt::Display for AssertionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for AssertionError {}

impl From<AssertionError> for OAuthError {
    fn from(error: AssertionError) -> OAuthError {
        let description = error.description();
        match error {
            AssertionError::OtherClient => OAuthError::invalid_request(description),
            AssertionError::Full(wait) => OAuthError {
                retry_after: Some(wait),
                ..OAuthError::new(429, "temporarily_unavailable", description)
            },
            _ => OAuthError { description, ..OAuthError::INVALID_CLIENT },
        }
    }
}

#[cfg(test)]
mod tests;
