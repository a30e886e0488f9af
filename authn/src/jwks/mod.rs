//! Key sets (JWKS, RFC 7517): the public keys of an issuer, found by `kid`.
//!
//! Owns the document and its bounds. Keys of other kinds in a set are skipped, as RFC 7517 section
//! 5 wants it; a key of a known kind that is malformed, a repeated `kid`, or a private key in a
//! public set is an error, because somebody has to know.

mod jwk;
mod key;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::jwt::Signer;
use crate::jwt::claims::{Object, object};

use jwk::Jwk;
use key::unusable;

pub use jwk::KEY_ID_BYTES_MAX;
pub use key::PublicKey;

/// Largest key set that is read, in bytes: 32 RSA keys with certificate chains fit.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;

/// Most keys in a set: each is looked at when a token is verified.
pub const KEYS_MAX: usize = 32;

/// The public keys of an issuer, found by `kid`. Cloning shares them.
#[derive(Clone, Debug)]
pub struct KeySet(Arc<[PublicKey]>);

impl KeySet {
    /// Reads a JWKS document (RFC 7517 section 5) of at most [`KEY_SET_BYTES_MAX`] bytes and
    /// [`KEYS_MAX`] keys.
    ///
    /// # Errors
    /// [`Error::KeySetTooLarge`], [`Error::KeySetSyntax`], [`Error::KeySetKey`] for the first key
    /// that is wrong, [`Error::KeySetEmpty`] when none is left that can verify tokens.
    pub fn parse(json: &[u8]) -> Result<KeySet, Error> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(Error::KeySetTooLarge);
        }
        let set: JwkSet = object(json).map_err(|error| Error::KeySetSyntax(error.to_string()))?;
        if set.keys.len() > KEYS_MAX {
            return Err(Error::KeySetTooLarge);
        }
        let keys: Vec<PublicKey> = set
            .keys
            .iter()
            .filter_map(|Object(jwk)| PublicKey::from_jwk(jwk).transpose())
            .collect::<Result<_, Error>>()?;
        KeySet::from_keys(keys)
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// [`Error::KeySetEmpty`], [`Error::KeySetTooLarge`], or [`Error::KeySetKey`] when two keys
    /// have one `kid`.
    pub fn from_keys(keys: Vec<PublicKey>) -> Result<KeySet, Error> {
        if keys.is_empty() {
            return Err(Error::KeySetEmpty);
        }
        if keys.len() > KEYS_MAX {
            return Err(Error::KeySetTooLarge);
        }
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other.key_id() == key.key_id()) {
                return Err(unusable(Some(key.key_id()), "another key has the same kid"));
            }
        }
        Ok(KeySet(keys.into()))
    }

    /// The public halves of these signers.
    ///
    /// # Errors
    /// As [`KeySet::from_keys`].
    pub fn of<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> Result<KeySet, Error> {
        KeySet::from_keys(signers.into_iter().map(|signer| signer.public_key().clone()).collect())
    }

    /// The JWKS document of the set.
    pub fn to_json(&self) -> String {
        let set = JwkSet { keys: self.0.iter().map(|key| Object(key.to_jwk())).collect() };
        serde_json::to_string(&set).expect("a key set is plain strings")
    }

    /// The key of this `kid`.
    pub fn find(&self, key_id: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| &**key.key_id() == key_id)
    }

    /// The keys, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key; never so, since no constructor makes an empty set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The document.
#[derive(Serialize, Deserialize)]
struct JwkSet {
    keys: Vec<Object<Jwk>>,
}
