//! One key of a JWKS document (JWK, RFC 7517 section 4).
//!
//! Owns the members that are read and written, and the choice of the keys that are for us. Refuses
//! every other one with its reason: of another kind or use, malformed, weak, or private.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::{KeyMaterial, PublicKey, short, unusable};
use crate::error::Error;
use crate::json::Object;
use crate::token::algorithm::Algorithm;

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

impl Jwk {
    /// The one algorithm that the key is for, with the only name that it takes if it has one; or
    /// why it is for none of ours. Kind and curve alone decide (RFC 8725 section 3.1); `alg`, `use`
    /// and `key_ops` can only rule the key out.
    fn algorithm(&self) -> Result<(Algorithm, Option<&'static str>), String> {
        if self.kty != "oct" && self.d.is_some() {
            return Err("it is private; its issuer must replace it and publish public keys".into());
        }
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("RSA", _) => Algorithm::Rs256,
            ("oct", _) => return Err("it is symmetric: whoever verifies with it can sign".into()),
            ("EC" | "OKP", Some(crv)) => {
                return Err(format!("its curve {} is not used", short(crv)));
            }
            ("EC" | "OKP", None) => return Err("its member crv is missing".into()),
            (kty, _) => return Err(format!("its kty {} is not used", short(kty))),
        };
        let named = self.alg.as_deref();
        let alg = named.and_then(|named| algorithm.names().iter().copied().find(|n| *n == named));
        match (named, self.usage.as_deref(), &self.key_ops) {
            (Some(named), _, _) if alg.is_none() => {
                let known = Algorithm::ALL.map(|known| known.names().join(", ")).join(", ");
                Err(format!("it is for {}; used are {known}", short(named)))
            }
            (_, Some(usage), _) if usage != "sig" => {
                Err(format!("its use is {} and not \"sig\"", short(usage)))
            }
            (_, _, Some(ops)) if !ops.iter().any(|op| op == "verify") => {
                Err("its key_ops do not allow to verify".into())
            }
            _ => Ok((algorithm, alg)),
        }
    }
}

impl PublicKey {
    /// Reads one key of a set.
    ///
    /// # Errors
    /// [`Error::KeySetKey`] with the reason why no token can be verified with it here.
    pub(super) fn from_json(json: Value) -> Result<PublicKey, Error> {
        let named = json.get("kid").and_then(Value::as_str).map(str::to_owned);
        let jwk: Object<Jwk> = serde_json::from_value(json)
            .map_err(|error| unusable(named.as_deref(), error.to_string()))?;
        PublicKey::from_jwk(&jwk.0)
    }

    fn from_jwk(jwk: &Jwk) -> Result<PublicKey, Error> {
        let kid = jwk.kid.as_deref();
        let (algorithm, alg) = jwk.algorithm().map_err(|why| unusable(kid, why))?;
        // A token must name its key, so a key without a name is never found.
        let Some(kid) = kid else {
            return Err(unusable(None, "it has no kid, so that no token can name it"));
        };
        if kid.is_empty() || kid.len() > KEY_ID_BYTES_MAX {
            return Err(unusable(Some(kid), "its kid is empty or longer than 256 bytes"));
        }
        let member = |name: &str, value: &Option<String>| {
            let text = value
                .as_deref()
                .ok_or_else(|| unusable(Some(kid), format!("its member {name} is missing")))?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| {
                unusable(Some(kid), format!("its member {name} is not unpadded base64url"))
            })
        };
        let key = match algorithm {
            Algorithm::Es256 => {
                let (x, y) = (member("x", &jwk.x)?, member("y", &jwk.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(unusable(Some(kid), "its x or y is not 32 bytes"));
                }
                PublicKey::from_p256(Some(kid), &[&[4], &x[..], &y[..]].concat())
            }
            Algorithm::EdDsa => PublicKey::from_ed25519(Some(kid), &member("x", &jwk.x)?),
            Algorithm::Rs256 => {
                PublicKey::from_rsa(Some(kid), &member("n", &jwk.n)?, &member("e", &jwk.e)?)
            }
        }?;
        Ok(key.with_alg(alg))
    }

    pub(super) fn to_jwk(&self) -> Jwk {
        let base = Jwk {
            alg: self.alg().map(Into::into),
            usage: Some("sig".into()),
            kid: Some(self.key_id().to_string()),
            ..Jwk::default()
        };
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        match &self.key {
            KeyMaterial::P256(key) => {
                let (x, y) = key.as_ref()[1..].split_at(32);
                Jwk { kty: "EC".into(), crv: Some("P-256".into()), x: text(x), y: text(y), ..base }
            }
            KeyMaterial::Ed25519(key) => {
                let x = text(key.as_ref());
                Jwk { kty: "OKP".into(), crv: Some("Ed25519".into()), x, ..base }
            }
            KeyMaterial::Rsa(key) => {
                Jwk { kty: "RSA".into(), n: text(&key.n), e: text(&key.e), ..base }
            }
        }
    }
}
