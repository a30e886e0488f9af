//! Key sets (signatures first; bodies follow in the next commit).

use crate::error::Error;
use crate::jwt::{Algorithm, Signer};

/// A public key that verifies tokens, pinned to one algorithm.
#[derive(Clone, Debug)]
pub struct PublicKey(());

impl PublicKey {
    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        unimplemented!()
    }
}

/// The public keys of an issuer, found by `kid`.
#[derive(Clone, Debug)]
pub struct KeySet(());

impl KeySet {
    /// Reads a JWKS document (RFC 7517).
    pub fn parse(_json: &[u8]) -> Result<KeySet, Error> {
        unimplemented!()
    }

    /// The public halves of these signers.
    pub fn of<'a>(_signers: impl IntoIterator<Item = &'a Signer>) -> Result<KeySet, Error> {
        unimplemented!()
    }

    /// The JWKS document.
    pub fn to_json(&self) -> String {
        unimplemented!()
    }

    /// The key of this `kid`.
    pub fn find(&self, _key_id: &str) -> Option<&PublicKey> {
        unimplemented!()
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
}
