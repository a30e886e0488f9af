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

pub use id::{claimed_jti_hash, jti_hash, new_token_id};
pub use sign::{NewClaims, Signer};
pub use verify::Verifier;

/// Longest token that is looked at, in bytes. Ours are 390 to 650 bytes; other issuers put 1 to 4
/// KiB in; a request head has room for little more than this.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Leeway that covers the skew of well-kept clocks, for [`Verifier::new`].
pub const LEEWAY_DEFAULT: Duration = Duration::from_secs(5);

/// What a verified token says, and how it was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The client that asked for the token: `client_id`, else `azp`, else `sub`.
    pub client_id: Box<str>,
    /// Who the token speaks for: `sub`.
    pub subject: Box<str>,
    /// The scopes that are known here.
    pub scopes: ScopeSet,
    /// End of validity, in unix seconds, leeway not included.
    pub expires_at: u64,
    /// The algorithm of the key that proved it.
    pub algorithm: Algorithm,
    /// The `kid` of that key.
    pub key_id: Arc<str>,
}
