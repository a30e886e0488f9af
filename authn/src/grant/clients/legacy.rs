//! The registry as older versions kept it: JSON with ids, scopes and salted SHA-256 hashes.
//!
//! Owns the reading of it, for a state directory that is converted. Refuses what those versions
//! refused, and to take over `token_ttl_s`: it stood in the file and never had an effect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{AuthMethod, ClientRegistry, RegisteredClient, shop_certificates};
use crate::error::Error;
use crate::grant::secret::{ClientSecret, SecretHash};
use crate::json::{Object, object};
use crate::scope::ScopeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LegacyRegistry {
    #[serde(rename = "token_ttl_s")]
    _token_ttl_s: IgnoredAny,
    clients: Vec<Object<LegacyClient>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LegacyClient {
    id: Box<str>,
    scope: String,
    secret: Option<Object<LegacySecret>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LegacySecret {
    salt: String,
    sha256: String,
}

impl ClientRegistry {
    /// Reads the JSON form of older versions.
    ///
    /// # Errors
    /// As [`ClientRegistry::new`], and [`Error::Clients`] with the place of a mistake.
    pub fn parse_legacy(json: &[u8]) -> Result<ClientRegistry, Error> {
        let file: LegacyRegistry = object(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::Clients(format!("a member at line {line}, column {column} is wrong"))
        })?;
        let clients = file.clients.into_iter().map(|Object(client)| client.into_client());
        ClientRegistry::new(clients.collect::<Result<_, Error>>()?, None)
    }
}

impl LegacyClient {
    fn into_client(self) -> Result<RegisteredClient, Error> {
        let scopes = ScopeSet::parse(&self.scope)
            .map_err(|use_these| Error::Clients(format!("scope of {:?}: {use_these}", self.id)))?;
        let hash = |Object(secret): Object<LegacySecret>| {
            let (salt, digest) = (bytes(&secret.salt)?, bytes(&secret.sha256)?);
            Some(ClientSecret::Random(SecretHash::new(salt, digest)))
        };
        let wrong = || Error::Clients(format!("secret of {:?} is wrong", self.id));
        let secret = self.secret.map(|secret| hash(secret).ok_or_else(wrong)).transpose()?;
        Ok(RegisteredClient {
            certificates: shop_certificates(&self.id),
            methods: secret.iter().map(|_| AuthMethod::SecretBasic).collect(),
            id: self.id,
            secret,
            scopes,
            ..RegisteredClient::default()
        })
    }
}

/// Base64url of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
