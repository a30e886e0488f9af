//! Access tokens: JSON Web Tokens (RFC 7519) of the profile RFC 9068, signed (RFC 7515).
//!
//! Owns what a verified token says. `sign` makes tokens, `verify` judges them, `claims` is their
//! JSON, `id` their identifier. Refuses everything outside the profile: encryption, unsigned
//! tokens, symmetric keys, keys or algorithms chosen by the token.

pub(crate) mod claims;
mod id;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::scope::ScopeSet;
use crate::token::algorithm::Algorithm;
use crate::token::jwks::KeySet;

pub use id::{claimed_jti_hash, jti_hash, new_token_id};
pub use sign::{NewClaims, Signer};
pub use verify::Verifier;
pub(crate) use verify::signed_payload;

/// Longest token that is looked at, in bytes. Ours are 390 to 650 bytes; other issuers put 1 to 4
/// KiB in; a request head has room for little more than this.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Leeway that covers the skew of well-kept clocks, for [`Expected::leeway`].
pub const LEEWAY_DEFAULT: Duration = Duration::from_secs(5);

/// Longest life of a token by default, for [`Expected::ttl_max`].
pub const TTL_MAX_DEFAULT: Duration = Duration::from_secs(86_400);

/// What a token must say besides being signed.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its `iss`.
    pub issuer: String,
    /// Its `aud`, or one of them, is one of these.
    pub audiences: Vec<String>,
    /// The skew of clocks that is forgiven at both ends of the validity; whole seconds count.
    pub leeway: Duration,
    /// The longest time from `iat` to `exp`; whole seconds count.
    pub ttl_max: Duration,
}

impl Expected {
    /// Tokens of this issuer for this audience, with the defaults for times.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Expected {
        let audiences = vec![audience.into()];
        let issuer = issuer.into();
        Expected { issuer, audiences, leeway: LEEWAY_DEFAULT, ttl_max: TTL_MAX_DEFAULT }
    }

    /// The audience of tokens that are made here: the first one.
    pub fn audience(&self) -> &str {
        self.audiences.first().map_or("", String::as_str)
    }

    /// A verifier with these keys.
    #[must_use]
    pub fn verifier(&self, keys: KeySet) -> Verifier {
        Verifier::new(keys, self.clone())
    }
}

/// What a verified token says, and how it was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The client that asked for the token: `client_id`.
    pub client_id: Box<str>,
    /// Who the token speaks for: `sub`.
    pub subject: Box<str>,
    /// The identifier of the token: `jti`.
    pub token_id: Box<str>,
    /// The scopes that are known here.
    pub scopes: ScopeSet,
    /// Begin of validity, the later one of `iat` and `nbf`, in unix seconds, leeway not included.
    pub begins_at: u64,
    /// End of validity, in unix seconds, leeway not included.
    pub expires_at: u64,
    /// The algorithm of the key that proved it.
    pub algorithm: Algorithm,
    /// The `kid` of that key.
    pub key_id: Arc<str>,
}
