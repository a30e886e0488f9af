//! One key of a JWKS document (JWK, RFC 7517 section 4).
//!
//! Owns the members that are read and written, and the choice of the keys that are for us. Skips
//! those that are not; refuses one of a known kind that is malformed, and every private key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::key::{Key, PublicKey, unusable};
use crate::error::Error;
use crate::jwt::Algorithm;

/// Longest `kid`, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 256;

/// One key as it stands in the document, with the members that are read or written here.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Jwk {
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

impl PublicKey {
    /// Reads one key of a set; `None` when it is not for us.
    pub(super) fn from_jwk(jwk: &Jwk) -> Result<Option<PublicKey>, Error> {
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
        let for_tokens = jwk.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str())
            && jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        // A token must name its key, so a key without a name is never found.
        let Some(kid) = kid.filter(|_| for_tokens) else {
            return Ok(None);
        };
        if kid.is_empty() || kid.len() > KEY_ID_BYTES_MAX {
            return Err(unusable(Some(kid), "its kid is empty or longer than 256 bytes"));
        }
        let member = |value: &Option<String>| {
            let text =
                value.as_deref().ok_or_else(|| unusable(Some(kid), "a member is missing"))?;
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

    pub(super) fn to_jwk(&self) -> Jwk {
        let base = Jwk {
            alg: Some(self.algorithm().as_str().into()),
            usage: Some("sig".into()),
            kid: Some(self.key_id().to_string()),
            ..Jwk::default()
        };
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        match &self.key {
            Key::P256(key) => {
                let (x, y) = key.as_ref()[1..].split_at(32);
                Jwk { kty: "EC".into(), crv: Some("P-256".into()), x: text(x), y: text(y), ..base }
            }
            Key::Ed25519(key) => {
                let x = text(key.as_ref());
                Jwk { kty: "OKP".into(), crv: Some("Ed25519".into()), x, ..base }
            }
            Key::Rsa(key) => Jwk { kty: "RSA".into(), n: text(&key.n), e: text(&key.e), ..base },
        }
    }
}
