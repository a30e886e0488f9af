//! Making tokens (signatures first; bodies follow in the next commit).

use zeroize::Zeroizing;

use super::Algorithm;
use crate::error::Error;
use crate::jwks::PublicKey;
use crate::scope::ScopeSet;

/// What a new token is to say.
#[derive(Clone, Copy, Debug)]
pub struct NewClaims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `scope`.
    pub scopes: ScopeSet,
    /// `iat` and `nbf`, in unix seconds.
    pub issued_at: u64,
    /// `exp`, in unix seconds.
    pub expires_at: u64,
    /// `jti`: unique for each token; see [`new_token_id`].
    pub token_id: &'a str,
}

/// A key that signs tokens.
pub struct Signer(());

impl Signer {
    /// Makes a key: its PKCS#8 form, to be kept secret, and the signer; `kid` is the thumbprint.
    pub fn generate(_algorithm: Algorithm) -> Result<(Zeroizing<Vec<u8>>, Signer), Error> {
        unimplemented!()
    }

    /// Loads a PKCS#8 key; without `key_id` the thumbprint (RFC 7638) is its `kid`.
    pub fn from_pkcs8(
        _algorithm: Algorithm,
        _der: &[u8],
        _key_id: Option<&str>,
    ) -> Result<Signer, Error> {
        unimplemented!()
    }

    /// Loads a PEM key as `from_pkcs8` does.
    pub fn from_pem(
        _algorithm: Algorithm,
        _pem: &[u8],
        _key_id: Option<&str>,
    ) -> Result<Signer, Error> {
        unimplemented!()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        unimplemented!()
    }

    /// The `kid`.
    pub fn key_id(&self) -> &str {
        unimplemented!()
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        unimplemented!()
    }

    /// Signs a token.
    pub fn sign(&self, _claims: &NewClaims<'_>) -> Result<String, Error> {
        unimplemented!()
    }
}

/// A fresh random token identifier: 128 bits in base64url.
pub fn new_token_id() -> Result<String, Error> {
    unimplemented!()
}

/// PKCS#8 DER as PEM text.
pub fn pkcs8_to_pem(_der: &[u8]) -> Zeroizing<String> {
    unimplemented!()
}
