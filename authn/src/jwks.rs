//! Public keys that verify tokens, and key sets (JWK and JWKS, RFC 7517).
//!
//! Owns what a key may be: P-256, Ed25519, or RSA of 2048 to 8192 bits, each pinned to one
//! algorithm when it is read, so that a token cannot choose. Keys of other kinds in a set are
//! skipped, as RFC 7517 section 5 wants it; a key of a known kind that is malformed, a repeated
//! `kid`, or a private key in a public set is an error, because somebody has to know.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::agreement::{self, EphemeralPrivateKey};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::error::{Error, TokenError};
use crate::jwt::claims::{Object, object};
use crate::jwt::{Algorithm, Signer};

/// Largest key set that is read, in bytes: 32 RSA keys with certificate chains fit.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;

/// Most keys in a set: each is looked at when a token is verified.
pub const KEYS_MAX: usize = 32;

/// Longest `kid`, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 256;

/// A public key that verifies tokens of one algorithm, under one `kid`.
#[derive(Clone)]
pub struct PublicKey {
    key_id: Arc<str>,
    key: Key,
}

/// The key in the form in which ring takes it, laid out once.
#[derive(Clone)]
enum Key {
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
        Ok(PublicKey::named(key_id, Key::P256(key)))
    }

    /// An Ed25519 key. Without `key_id` the thumbprint is its `kid`.
    ///
    /// # Errors
    /// [`Error::KeySetKey`] when it is not 32 bytes.
    pub fn from_ed25519(key_id: Option<&str>, bytes: &[u8]) -> Result<PublicKey, Error> {
        let bytes = bytes
            .try_into()
            .map_err(|_| unusable(key_id, "it is not 32 bytes"))?;
        let key = UnparsedPublicKey::new(&signature::ED25519, bytes);
        Ok(PublicKey::named(key_id, Key::Ed25519(key)))
    }

    /// An RSA key from modulus and exponent, big-endian without leading zeros. Without `key_id`
    /// the thumbprint is its `kid`.
    ///
    /// # Errors
    /// [`Error::KeySetKey`] when the modulus is not of 2048 to 8192 bits or the exponent is not
    /// one that ring takes (odd, 3 to 2^33 - 1).
    pub fn from_rsa(key_id: Option<&str>, n: &[u8], e: &[u8]) -> Result<PublicKey, Error> {
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if n.first() == Some(&0) || e.first() == Some(&0) {
            return Err(unusable(key_id, "its numbers begin with zero bytes"));
        }
        if !(2048..=8192).contains(&bits) {
            return Err(unusable(key_id, "its modulus is not of 2048 to 8192 bits"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        let exponent = e
            .iter()
            .take(5)
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        if !odd(n) || !odd(e) || e.len() > 5 || !(3..1 << 33).contains(&exponent) {
            return Err(unusable(
                key_id,
                "its modulus or exponent is not an RSA key's",
            ));
        }
        Ok(PublicKey::named(
            key_id,
            Key::Rsa(RsaPublicKeyComponents {
                n: n.into(),
                e: e.into(),
            }),
        ))
    }

    /// The one algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self.key {
            Key::P256(_) => Algorithm::Es256,
            Key::Ed25519(_) => Algorithm::EdDsa,
            Key::Rsa(_) => Algorithm::Rs256,
        }
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
            Key::P256(key) => key.verify(message, signature),
            Key::Ed25519(key) => key.verify(message, signature),
            Key::Rsa(key) => key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
        }
        .map_err(|_| TokenError::Signature)
    }

    /// The thumbprint of the key (RFC 7638), with SHA-256, in base64url.
    pub fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    fn named(key_id: Option<&str>, key: Key) -> PublicKey {
        let key_id = key_id.map_or_else(|| Arc::from(key.thumbprint()), Arc::from);
        PublicKey { key_id, key }
    }

    /// Reads one key of a set; `None` when it is not for us.
    fn from_jwk(jwk: &Jwk) -> Result<Option<PublicKey>, Error> {
        let kid = jwk.kid.as_deref();
        if jwk.kty != "oct" && jwk.d.is_some() {
            return Err(unusable(kid, "it is private; publish public keys only"));
        }
        let algorithm = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("RSA", _) => Algorithm::Rs256,
            _ => return Ok(None),
        };
        let for_tokens = jwk
            .alg
            .as_deref()
            .is_none_or(|alg| alg == algorithm.as_str())
            && jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        // A token must name its key, so a key without a name is never found.
        let Some(kid) = kid.filter(|_| for_tokens) else {
            return Ok(None);
        };
        if kid.is_empty() || kid.len() > KEY_ID_BYTES_MAX {
            return Err(unusable(
                Some(kid),
                "its kid is empty or longer than 256 bytes",
            ));
        }
        let member = |value: &Option<String>| {
            let text = value
                .as_deref()
                .ok_or_else(|| unusable(Some(kid), "a member is missing"))?;
            URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| unusable(Some(kid), "a member is not unpadded base64url"))
        };
        match algorithm {
            Algorithm::Es256 => {
                let (x, y) = (member(&jwk.x)?, member(&jwk.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(unusable(Some(kid), "its x or y is not 32 bytes"));
                }
                PublicKey::from_p256(Some(kid), &[&[4], &x[..], &y[..]].concat())
            }
            Algorithm::EdDsa => PublicKey::from_ed25519(Some(kid), &member(&jwk.x)?),
            Algorithm::Rs256 => PublicKey::from_rsa(Some(kid), &member(&jwk.n)?, &member(&jwk.e)?),
        }
        .map(Some)
    }

    fn to_jwk(&self) -> Jwk {
        let base = Jwk {
            alg: Some(self.algorithm().as_str().into()),
            usage: Some("sig".into()),
            kid: Some(self.key_id.to_string()),
            ..Jwk::default()
        };
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        match &self.key {
            Key::P256(key) => {
                let (x, y) = key.as_ref()[1..].split_at(32);
                Jwk {
                    kty: "EC".into(),
                    crv: Some("P-256".into()),
                    x: text(x),
                    y: text(y),
                    ..base
                }
            }
            Key::Ed25519(key) => {
                let x = text(key.as_ref());
                Jwk {
                    kty: "OKP".into(),
                    crv: Some("Ed25519".into()),
                    x,
                    ..base
                }
            }
            Key::Rsa(key) => Jwk {
                kty: "RSA".into(),
                n: text(&key.n),
                e: text(&key.e),
                ..base
            },
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {:?})", self.algorithm(), self.key_id)
    }
}

impl Key {
    /// RFC 7638 section 3: the required members in lexicographic order, without white space.
    fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match self {
            Key::P256(key) => {
                let (x, y) = key.as_ref()[1..].split_at(32);
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    text(x),
                    text(y)
                )
            }
            Key::Ed25519(key) => {
                format!(
                    r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
                    text(key.as_ref())
                )
            }
            Key::Rsa(key) => {
                format!(
                    r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                    text(&key.e),
                    text(&key.n)
                )
            }
        };
        text(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

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
            if keys[..at].iter().any(|other| other.key_id == key.key_id) {
                return Err(unusable(Some(&key.key_id), "another key has the same kid"));
            }
        }
        Ok(KeySet(keys.into()))
    }

    /// The public halves of these signers.
    ///
    /// # Errors
    /// As [`KeySet::from_keys`].
    pub fn of<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> Result<KeySet, Error> {
        KeySet::from_keys(
            signers
                .into_iter()
                .map(|signer| signer.public_key().clone())
                .collect(),
        )
    }

    /// The JWKS document of the set.
    pub fn to_json(&self) -> String {
        let set = JwkSet {
            keys: self.0.iter().map(|key| Object(key.to_jwk())).collect(),
        };
        serde_json::to_string(&set).expect("a key set is plain strings")
    }

    /// The key of this `kid`.
    pub fn find(&self, key_id: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| &*key.key_id == key_id)
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

/// One key as it stands in the document, with the members that are read or written here.
#[derive(Default, Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(skip_serializing)]
    key_ops: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    /// The private part of EC, OKP and RSA keys; read only to be refused, never kept.
    #[serde(skip_serializing)]
    d: Option<serde::de::IgnoredAny>,
}

fn unusable(key_id: Option<&str>, why: &'static str) -> Error {
    Error::KeySetKey(key_id.unwrap_or("without kid").into(), why)
}
