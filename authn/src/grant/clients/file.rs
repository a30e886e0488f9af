//! The registry as a file: TOML, one `[[clients]]` table for each client.
//!
//! Owns the members and their spelling; `docs/cli.md` explains them. Refuses members it does not
//! know, and to quote the file in an error: where a hash belongs somebody may have put a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AuthMethod, ClientRegistry, RegisteredClient, Resource};
use crate::error::Error;
use crate::scope::{Scope, ScopeSet};
use crate::token::jwks::KeySet;

/// Largest list of clients, in bytes.
const CLIENTS_BYTES_MAX: usize = 1024 * 1024;

/// What stands at the top of a file that is written here.
const HEADER: &str = "\
# The clients of this authorization server. It reads the file again when it changes.\n\
# docs/cli.md, \"Clients\", explains the members. It holds hashes, never a secret.\n\n";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryToml {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ttl_s: Option<u64>,
    #[serde(default)]
    clients: Vec<ClientToml>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientToml {
    id: Box<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    auth_methods: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<Box<str>>,
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ttl_s: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bind: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    resources: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl ClientRegistry {
    /// Reads the TOML form that [`ClientRegistry::to_toml`] writes.
    ///
    /// # Errors
    /// As [`ClientRegistry::new`], and [`Error::Clients`] with the place of a mistake.
    pub fn parse(text: &[u8]) -> Result<ClientRegistry, Error> {
        if text.len() > CLIENTS_BYTES_MAX {
            return Err(Error::Clients("it is longer than 1 MiB".into()));
        }
        let wrong = |why: &str| Error::Clients(why.into());
        let text = str::from_utf8(text).map_err(|_| wrong("it is not UTF-8"))?;
        let file: RegistryToml = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::Clients(format!(
                "line {line}: a member is wrong, unknown or missing, or this is not TOML"
            ))
        })?;
        let clients = file.clients.into_iter().map(|client| {
            let id = client.id.clone();
            let read = client.into_client();
            read.map_err(|why| Error::Clients(format!("client {id:?}: {why}")))
        });
        let token_ttl = file.token_ttl_s.map(Duration::from_secs);
        ClientRegistry::new(clients.collect::<Result<_, Error>>()?, token_ttl)
    }

    /// The TOML form; it holds hashes, never secrets.
    pub fn to_toml(&self) -> String {
        let clients = self.clients.iter().map(ClientToml::of).collect();
        let token_ttl_s = self.token_ttl.map(|ttl| ttl.as_secs());
        let file = RegistryToml { token_ttl_s, clients };
        let text = toml::to_string(&file).expect("a registry is text, numbers and tables");
        format!("{HEADER}{text}")
    }
}

impl ClientToml {
    fn of(client: &RegisteredClient) -> ClientToml {
        let resources = client.resources.iter();
        ClientToml {
            id: client.id.clone(),
            auth_methods: client.methods.iter().map(|method| method.as_str().into()).collect(),
            secret: client.secret.as_ref().map(ToString::to_string),
            jwks: client.keys.as_ref().map(KeySet::to_json),
            certificates: client.certificates.clone(),
            scopes: client.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            audiences: client.audiences.clone(),
            token_ttl_s: client.token_ttl.map(|ttl| ttl.as_secs()),
            bind: false,
            resources: resources.map(|r| (r.uri.clone(), r.audiences.clone())).collect(),
        }
    }

    /// The client; the error ends the sentence "client ID: ...".
    fn into_client(self) -> Result<RegisteredClient, String> {
        if self.bind {
            return Err("bind = true asks for certificate-bound tokens, which this version does \
                        not issue; leave it out"
                .into());
        }
        let method = |name: &String| AuthMethod::parse(name);
        let methods: Option<Vec<AuthMethod>> = self.auth_methods.iter().map(method).collect();
        let methods = methods.ok_or_else(|| {
            let known = AuthMethod::ALL.map(AuthMethod::as_str).join(", ");
            format!("auth_methods has an unknown one; known are {known}")
        })?;
        let scope = |name: &String| Scope::parse(name);
        let scopes: Option<ScopeSet> = self.scopes.iter().map(scope).collect();
        let scopes = scopes.ok_or_else(|| {
            let known = Scope::ALL.map(Scope::as_str).join(", ");
            format!("scopes has an unknown one; known are {known}")
        })?;
        let secret = self.secret.map(|text| text.parse().map_err(|why| format!("secret: {why}")));
        let keys = self.jwks.map(|json| {
            let keys = KeySet::parse(json.as_bytes()).map_err(|error| format!("jwks: {error}"))?;
            // Its owner would find out by refused assertions only.
            keys.ignored().map_or(Ok(()), |why| Err(format!("jwks: {why}")))?;
            Ok::<_, String>(keys)
        });
        let resources = self.resources.into_iter();
        Ok(RegisteredClient {
            id: self.id,
            methods,
            secret: secret.transpose()?,
            keys: keys.transpose()?,
            certificates: self.certificates,
            scopes,
            audiences: self.audiences,
            resources: resources.map(|(uri, audiences)| Resource { uri, audiences }).collect(),
            token_ttl: self.token_ttl_s.map(Duration::from_secs),
        })
    }
}
