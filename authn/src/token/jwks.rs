//! Key sets (JWKS, RFC 7517): the public keys of an issuer, found by `kid`.
//!
//! Owns the document and its bounds. A key that cannot verify tokens here is ignored, whatever is
//! wrong with it, as RFC 7517 section 5 wants it; its reason is kept, because somebody has to know.
//! A `kid` may stand for keys of several algorithms (section 4.5): a token finds its own by both.
//! Refuses a set in which no key can be used.

mod jwk;
mod key;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Reason, TokenError};
use crate::json::object;
use crate::token::algorithm::Algorithm;

use jwk::Jwk;
use key::unusable;

pub use jwk::KEY_ID_BYTES_MAX;
pub use key::PublicKey;

/// Largest key set that is read, in bytes: 32 RSA keys with certificate chains fit.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;

/// Most usable keys in a set: each is looked at when a token is verified.
pub const KEYS_MAX: usize = 32;

/// The most ignored keys that are named one by one.
const IGNORED_NAMED_MAX: usize = 8;

/// The public keys of an issuer, found by `kid` and algorithm. Cloning shares them.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Arc<[PublicKey]>,
    ignored: Option<Arc<str>>,
}

impl KeySet {
    /// Reads a JWKS document (RFC 7517 section 5) of at most [`KEY_SET_BYTES_MAX`] bytes and
    /// [`KEYS_MAX`] usable keys. [`KeySet::ignored`] reports what is wrong with the others.
    ///
    /// # Errors
    /// [`Error::KeySetTooLarge`], [`Error::KeySetSyntax`], [`Error::KeySetEmpty`] without any key,
    /// [`Error::KeySetUnusable`] when none can verify tokens here.
    pub fn parse(json: &[u8]) -> Result<KeySet, Error> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(Error::KeySetTooLarge);
        }
        let set: JwkSet<Value> =
            object(json).map_err(|error| Error::KeySetSyntax(Reason::of(error)))?;
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for key in set.keys {
            match PublicKey::from_json(key).and_then(|key| distinct(&keys, key)) {
                Ok(key) => keys.push(key),
                Err(error) => ignored.push(error),
            }
        }
        if keys.is_empty() && !ignored.is_empty() {
            return Err(Error::KeySetUnusable(listed(&ignored)));
        }
        let ignored = (!ignored.is_empty()).then(|| listed(&ignored).into());
        Ok(KeySet { ignored, ..KeySet::from_keys(keys)? })
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// [`Error::KeySetEmpty`], [`Error::KeySetTooLarge`], or [`Error::KeySetKey`] when two keys
    /// of one `kid` take the same `alg`.
    pub fn from_keys(keys: Vec<PublicKey>) -> Result<KeySet, Error> {
        if keys.is_empty() {
            return Err(Error::KeySetEmpty);
        }
        if keys.len() > KEYS_MAX {
            return Err(Error::KeySetTooLarge);
        }
        for (at, key) in keys.iter().enumerate() {
            distinct(&keys[..at], key.clone())?;
        }
        Ok(KeySet { keys: keys.into(), ignored: None })
    }

    /// The public halves of these signers.
    ///
    /// # Errors
    /// As [`KeySet::from_keys`].
    pub fn of<K: AsRef<PublicKey>>(signers: impl IntoIterator<Item = K>) -> Result<KeySet, Error> {
        KeySet::from_keys(signers.into_iter().map(|signer| signer.as_ref().clone()).collect())
    }

    /// The JWKS document of the set.
    pub fn to_json(&self) -> String {
        let set = JwkSet { keys: self.iter().map(PublicKey::to_jwk).collect::<Vec<Jwk>>() };
        serde_json::to_string(&set).expect("a key set is plain strings")
    }

    /// The key of this `kid` that verifies tokens of this `alg`.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`] when no algorithm has this name or no key of this `kid` takes it,
    /// [`TokenError::UnknownKey`] when no key has this `kid`.
    pub fn find(&self, key_id: &str, alg: &str) -> Result<&PublicKey, TokenError> {
        // RFC 8725 section 3.1: the key pins its algorithm. `none` and the symmetric algorithms
        // are no key's, so they end here whatever the key. Said before the key is searched, lest
        // somebody fetch a new key set for them.
        Algorithm::parse(alg).ok_or(TokenError::Algorithm)?;
        let mut error = TokenError::UnknownKey;
        for key in self.iter().filter(|key| &**key.key_id() == key_id) {
            if key.takes(alg) {
                return Ok(key);
            }
            error = TokenError::Algorithm;
        }
        Err(error)
    }

    /// Which keys of the document are ignored, and why; `None` when all are used.
    pub fn ignored(&self) -> Option<&str> {
        self.ignored.as_deref()
    }

    /// The keys, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key; never so, since no constructor makes an empty set.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The document.
#[derive(Serialize, Deserialize)]
struct JwkSet<T> {
    keys: Vec<T>,
}

/// The key, unless a token that names it would find one of these.
fn distinct(keys: &[PublicKey], key: PublicKey) -> Result<PublicKey, Error> {
    let takes_one_of = |other: &PublicKey| match key.alg() {
        Some(alg) => other.takes(alg),
        None => other.algorithm() == key.algorithm(),
    };
    let same = |other: &&PublicKey| other.key_id() == key.key_id() && takes_one_of(other);
    match keys.iter().find(same) {
        None => Ok(key),
        Some(other) if other.thumbprint() == key.thumbprint() => {
            Err(unusable(Some(key.key_id()), "it stands in the set twice"))
        }
        Some(_) => Err(unusable(
            Some(key.key_id()),
            "an earlier key has the same kid and algorithm; each key needs a kid of its own",
        )),
    }
}

/// The sentences of ignored keys in one, as many as anybody reads.
fn listed(ignored: &[Error]) -> String {
    let named: Vec<String> = ignored.iter().take(IGNORED_NAMED_MAX).map(Error::to_string).collect();
    let named = named.join("; ");
    match ignored.len().saturating_sub(IGNORED_NAMED_MAX) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}
