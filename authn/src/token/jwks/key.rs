//! Public keys that verify tokens.
//!
//! Owns what a key may be: P-256, Ed25519, or RSA of 2048 to 4096 bits, each pinned to one
//! algorithm when it is made, so that a token cannot choose. A key is laid out once, in the form in
//! which ring takes it, and checked as far as ring allows before it is first used.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::agreement::{self, EphemeralPrivateKey};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

use crate::error::{Error, TokenError};
use crate::token::algorithm::Algorithm;

/// Sizes of RSA keys (RFC 7518 section 3.3 demands the least). Above 4096 bits a signature costs a
/// service more than it protects, and ring makes none.
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;

/// The most characters of a name that a message shows.
const SHOWN_CHARS_MAX: usize = 64;

/// A public key that verifies tokens of one algorithm, under one `kid`.
#[derive(Clone)]
pub struct PublicKey {
    key_id: Arc<str>,
    /// The only name of the algorithm that a token may use, where the key names one.
    alg: Option<&'static str>,
    pub(super) key: KeyMaterial,
}

/// The key in the form in which ring takes it, laid out once.
#[derive(Clone)]
pub(super) enum KeyMaterial {
    /// An uncompressed point, `04 || x || y`.
    P256(UnparsedPublicKey<[u8; 65]>),
    Ed25519(UnparsedPublicKey<[u8; 32]>),
    Rsa(RsaPublicKeyComponents<Box<[u8]>>),
}

impl PublicKey {
    /// A P-256 key from its uncompressed point. Without `key_id` the thumbprint is its `kid`.
    ///
    /// # Errors
    /// [`Error::KeySetKey`] when the point is not on the curve.
    pub fn from_p256(key_id: Option<&str>, point: &[u8]) -> Result<PublicKey, Error> {
        let wrong = "its point is not on P-256";
        let point: [u8; 65] = point.try_into().map_err(|_| unusable(key_id, wrong))?;
        // ring looks at a point only when it is used: agreeing on a secret with it is its check.
        let ours = EphemeralPrivateKey::generate(&agreement::ECDH_P256, &SystemRandom::new())
            .map_err(|_| Error::Random)?;
        let theirs = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
        agreement::agree_ephemeral(ours, &theirs, |_| ()).map_err(|_| unusable(key_id, wrong))?;
        let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
        Ok(PublicKey::named(key_id, KeyMaterial::P256(key)))
    }

    /// An Ed25519 key. Without `key_id` the thumbprint is its `kid`.
    ///
    /// # Errors
    /// [`Error::KeySetKey`] when it is not 32 bytes.
    pub fn from_ed25519(key_id: Option<&str>, bytes: &[u8]) -> Result<PublicKey, Error> {
        let bytes = bytes.try_into().map_err(|_| unusable(key_id, "it is not 32 bytes"))?;
        let key = UnparsedPublicKey::new(&signature::ED25519, bytes);
        Ok(PublicKey::named(key_id, KeyMaterial::Ed25519(key)))
    }

    /// An RSA key from modulus and exponent, big-endian without leading zeros. Without `key_id`
    /// the thumbprint is its `kid`.
    ///
    /// # Errors
    /// [`Error::KeySetKey`] when the modulus is not of 2048 to 4096 bits or the exponent is not
    /// one that ring takes (odd, 3 to 2^33 - 1).
    pub fn from_rsa(key_id: Option<&str>, n: &[u8], e: &[u8]) -> Result<PublicKey, Error> {
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if n.first() == Some(&0) || e.first() == Some(&0) {
            return Err(unusable(key_id, "its numbers begin with zero bytes"));
        }
        if !RSA_BITS.contains(&bits) {
            return Err(unusable(
                key_id,
                format!("its RSA modulus has {bits} bits, not 2048 to 4096"),
            ));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        let exponent = e.iter().take(5).fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        if !odd(n) || !odd(e) || e.len() > 5 || !(3..1 << 33).contains(&exponent) {
            return Err(unusable(key_id, "its modulus or exponent is not an RSA key's"));
        }
        Ok(PublicKey::named(
            key_id,
            KeyMaterial::Rsa(RsaPublicKeyComponents { n: n.into(), e: e.into() }),
        ))
    }

    /// The one algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self.key {
            KeyMaterial::P256(_) => Algorithm::Es256,
            KeyMaterial::Ed25519(_) => Algorithm::EdDsa,
            KeyMaterial::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// The only name of its algorithm that the key takes, of those of [`Algorithm::names`]; `None`
    /// when it takes each.
    pub fn alg(&self) -> Option<&'static str> {
        self.alg
    }

    /// The same key, for tokens that call its algorithm by this name only, which must be one of
    /// its names.
    pub(crate) fn with_alg(self, alg: Option<&'static str>) -> PublicKey {
        PublicKey { alg, ..self }
    }

    /// Whether a token of this `alg` can be verified with the key.
    pub fn takes(&self, alg: &str) -> bool {
        self.alg.map_or_else(|| self.algorithm().names().contains(&alg), |only| only == alg)
    }

    /// The `kid`.
    pub fn key_id(&self) -> &Arc<str> {
        &self.key_id
    }

    /// Verifies a signature in the form of RFC 7518: for ES256 the fixed-width `r || s`.
    ///
    /// # Errors
    /// [`TokenError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        match &self.key {
            KeyMaterial::P256(key) => key.verify(message, signature),
            KeyMaterial::Ed25519(key) => key.verify(message, signature),
            KeyMaterial::Rsa(key) => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        }
        .map_err(|_| TokenError::Signature)
    }

    /// The thumbprint of the key (RFC 7638), with SHA-256, in base64url.
    pub fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    fn named(key_id: Option<&str>, key: KeyMaterial) -> PublicKey {
        let key_id = key_id.map_or_else(|| Arc::from(key.thumbprint()), Arc::from);
        PublicKey { key_id, alg: None, key }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {:?})", self.algorithm(), self.key_id)
    }
}

impl KeyMaterial {
    /// RFC 7638 section 3: the required members in lexicographic order, without white space.
    fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match self {
            KeyMaterial::P256(key) => {
                let (x, y) = key.as_ref()[1..].split_at(32);
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            KeyMaterial::Ed25519(key) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(key.as_ref()))
            }
            KeyMaterial::Rsa(key) => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(&key.e), text(&key.n))
            }
        };
        text(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

pub(super) fn unusable(key_id: Option<&str>, why: impl Into<String>) -> Error {
    Error::KeySetKey(key_id.map_or_else(|| "without kid".into(), short), why.into())
}

/// A text of the document for a message: quoted, printable, and not longer than anybody reads.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}..", &text[..end]),
        None => format!("{text:?}"),
    }
}
