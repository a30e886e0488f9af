//! Making tokens.
//!
//! Owns signing keys: made here (ES256, EdDSA) or imported (those and RS256), never shown. The
//! header is encoded once per key. Refuses to make RSA keys, which ring cannot, and to load a key
//! that does not fit its algorithm.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use super::claims::{NewHeader, NewPayload};
use crate::certificate::material;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::token::algorithm::Algorithm;
use crate::token::jwks::{KEY_ID_BYTES_MAX, PublicKey};

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
    /// `iat`, in unix seconds.
    pub issued_at: u64,
    /// `exp`, in unix seconds.
    pub expires_at: u64,
    /// `jti`: unique for each token; see [`super::new_token_id`].
    pub token_id: &'a str,
}

/// A key that signs tokens. It can be shared between threads.
pub struct Signer {
    key: SigningKeyPair,
    public: PublicKey,
    /// The encoded header and the dot behind it.
    prefix: Box<str>,
    random: SystemRandom,
}

enum SigningKeyPair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

impl Signer {
    /// Makes a key. Gives its PKCS#8 form, to be kept secret (see
    /// [`material::pkcs8_to_pem`]), and the
    /// signer, whose `kid` is the thumbprint of the key.
    ///
    /// # Errors
    /// [`Error::RsaNotMade`] for RS256, [`Error::Random`] when there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<(Zeroizing<Vec<u8>>, Signer), Error> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
            Algorithm::Rs256 => return Err(Error::RsaNotMade),
        };
        let pkcs8 = Zeroizing::new(document.map_err(|_| Error::Random)?.as_ref().to_vec());
        let signer = Signer::from_pkcs8(algorithm, &pkcs8, None)?;
        Ok((pkcs8, signer))
    }

    /// Loads a PKCS#8 key. Without `key_id` the thumbprint of the key (RFC 7638) is its `kid`.
    ///
    /// # Errors
    /// [`Error::SigningKey`] when the key is not one of the algorithm, or the `kid` is empty or
    /// longer than [`KEY_ID_BYTES_MAX`].
    pub fn from_pkcs8(
        algorithm: Algorithm,
        der: &[u8],
        key_id: Option<&str>,
    ) -> Result<Signer, Error> {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::Es256 => {
                let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                let key = EcdsaKeyPair::from_pkcs8(curve, der, &random);
                SigningKeyPair::Es256(
                    key.map_err(|_| Error::SigningKey("ES256 needs an ECDSA P-256 key in PKCS#8"))?,
                )
            }
            Algorithm::EdDsa => {
                // openssl writes Ed25519 keys without their public half, which this form allows.
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                SigningKeyPair::EdDsa(
                    key.map_err(|_| Error::SigningKey("EdDSA needs an Ed25519 key in PKCS#8"))?,
                )
            }
            Algorithm::Rs256 => SigningKeyPair::Rs256(Box::new(
                RsaKeyPair::from_pkcs8(der).map_err(|_| RSA_NEEDED)?,
            )),
        };
        Signer::from_key(key, key_id)
    }

    /// Loads the one private key of a PEM text, as [`Signer::from_pkcs8`] does; an RSA key may be
    /// in PKCS#1 too.
    ///
    /// # Errors
    /// As [`Signer::from_pkcs8`], and [`Error::NoKey`], [`Error::ManyKeys`],
    /// [`Error::EncryptedKey`], [`Error::Pem`].
    pub fn from_pem(
        algorithm: Algorithm,
        pem: &[u8],
        key_id: Option<&str>,
    ) -> Result<Signer, Error> {
        let key = material::private_key(pem)?;
        match (key.der(), algorithm) {
            (PrivateKeyDer::Pkcs8(der), _) => {
                Signer::from_pkcs8(algorithm, der.secret_pkcs8_der(), key_id)
            }
            (PrivateKeyDer::Pkcs1(der), Algorithm::Rs256) => {
                let key = RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| RSA_NEEDED)?;
                Signer::from_key(SigningKeyPair::Rs256(Box::new(key)), key_id)
            }
            _ => Err(Error::SigningKey(
                "it is not in PKCS#8; convert it with openssl pkcs8 -topk8 -nocrypt",
            )),
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The `kid`.
    pub fn key_id(&self) -> &str {
        self.public.key_id()
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a token in the compact form (RFC 7515 section 7.1).
    ///
    /// # Errors
    /// [`Error::Random`] when there is no randomness for the signature.
    pub fn sign(&self, claims: &NewClaims<'_>) -> Result<String, Error> {
        let payload = serde_json::to_vec(&NewPayload {
            iss: claims.issuer,
            aud: claims.audience,
            sub: claims.subject,
            client_id: claims.client_id,
            jti: claims.token_id,
            scope: claims.scopes,
            iat: claims.issued_at,
            exp: claims.expires_at,
        })
        .expect("claims are strings and numbers");
        self.sign_payload(&payload)
    }

    /// Signs any payload under this key's header. Tests make deviant tokens with it.
    pub(crate) fn sign_payload(&self, payload: &[u8]) -> Result<String, Error> {
        let mut token = String::with_capacity(self.prefix.len() + payload.len() * 4 / 3 + 352);
        token.push_str(&self.prefix);
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The signature in the form of RFC 7518.
    pub(crate) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.key {
            SigningKeyPair::Es256(key) => {
                let signature = key.sign(&self.random, message).map_err(|_| Error::Random)?;
                Ok(signature.as_ref().to_vec())
            }
            SigningKeyPair::EdDsa(key) => Ok(key.sign(message).as_ref().to_vec()),
            SigningKeyPair::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &self.random, message, &mut signature)
                    .map_err(|_| Error::Random)?;
                Ok(signature)
            }
        }
    }

    fn from_key(key: SigningKeyPair, key_id: Option<&str>) -> Result<Signer, Error> {
        if key_id.is_some_and(|kid| kid.is_empty() || kid.len() > KEY_ID_BYTES_MAX) {
            return Err(Error::SigningKey("its kid must have 1 to 256 bytes"));
        }
        let public = match &key {
            SigningKeyPair::Es256(key) => PublicKey::from_p256(key_id, key.public_key().as_ref()),
            SigningKeyPair::EdDsa(key) => {
                PublicKey::from_ed25519(key_id, key.public_key().as_ref())
            }
            SigningKeyPair::Rs256(key) => {
                let parts: signature::RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                PublicKey::from_rsa(key_id, &parts.n, &parts.e)
            }
        }?;
        let header =
            NewHeader { alg: public.algorithm().as_str(), typ: "at+jwt", kid: public.key_id() };
        let header = serde_json::to_vec(&header).expect("a header is strings");
        let prefix = URL_SAFE_NO_PAD.encode(header) + ".";
        Ok(Signer { key, public, prefix: prefix.into(), random: SystemRandom::new() })
    }
}

impl AsRef<PublicKey> for Signer {
    fn as_ref(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {:?})", self.algorithm(), self.key_id())
    }
}

const RSA_NEEDED: Error = Error::SigningKey("RS256 needs an RSA key of 2048 bits or more");
