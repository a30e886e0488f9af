//! Judging tokens (signatures first; bodies follow in the next commit).

use super::Access;
use crate::error::TokenError;
use crate::jwks::KeySet;

/// Verifies tokens of one issuer for one audience.
#[derive(Clone, Debug)]
pub struct Verifier(());

impl Verifier {
    /// A verifier; `leeway_s` is the clock skew in seconds that is forgiven.
    pub fn new(_keys: KeySet, _issuer: &str, _audience: &str, _leeway_s: u64) -> Verifier {
        unimplemented!()
    }

    /// Judges a token at `now_s` (unix seconds).
    pub fn verify(&self, _token: &[u8], _now_s: u64) -> Result<Access, TokenError> {
        unimplemented!()
    }

    /// Takes another key set, after a rotation. Caches of verified tokens must be cleared.
    pub fn set_keys(&mut self, _keys: KeySet) {
        unimplemented!()
    }
}
