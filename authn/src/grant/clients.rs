//! Who may ask for tokens: the registered clients.
//!
//! Owns their list, its JSON form, and their secrets, of which it keeps salted hashes only. One
//! round of SHA-256 is enough, because secrets are 256 random bits made here: there is nothing to
//! guess that stretching would slow down. Refuses unknown members, repeated ids and names that
//! could not stand in a certificate.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::certificate::identity::is_name;
use crate::error::Error;
use crate::json::{Object, object};
use crate::scope::ScopeSet;

/// Lifetime of a token in seconds, unless chosen otherwise: short, because a stolen token works
/// until it ends.
pub const TOKEN_TTL_DEFAULT: Duration = Duration::from_secs(600);

/// Longest lifetime of a token, in seconds: a day.
const TOKEN_TTL_S_MAX: u64 = 86_400;

/// Largest list of clients, in bytes.
const CLIENTS_BYTES_MAX: usize = 1024 * 1024;

/// The clients of the shop: id, scopes, and whether it is public, that is, cannot keep a secret and
/// so cannot use this grant.
pub const SHOP_CLIENTS: [(&str, &str, bool); 3] = [
    (
        "bench-runner",
        "orders.read orders.write inventory.read inventory.write benchmarks.execute \
         orders.read.all",
        false,
    ),
    ("service-order", "inventory.write", false),
    ("bench-ui", "orders.read orders.write inventory.read", true),
];

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClient {
    /// `client_id`: a name by [`crate::certificate::identity::is_name`].
    pub id: Box<str>,
    /// The hash of its secret; a public client has none.
    pub secret: Option<SecretHash>,
    /// What it may ask for.
    pub scopes: ScopeSet,
}

/// A new secret, and the form in which the registry keeps it.
pub struct NewSecret {
    /// The text for the client: 43 characters that mean the same form-encoded or not.
    pub secret: Zeroizing<String>,
    /// Its hash.
    pub hash: SecretHash,
}

/// New secrets by client id.
pub type NewSecrets = Vec<(&'static str, Zeroizing<String>)>;

/// Makes a secret of 256 random bits.
///
/// # Errors
/// [`Error::Random`].
pub fn generate_secret() -> Result<NewSecret, Error> {
    let random = SystemRandom::new();
    let mut bits = Zeroizing::new([0; 32]);
    let mut salt = [0; 16];
    random.fill(&mut *bits).and_then(|()| random.fill(&mut salt)).map_err(|_| Error::Random)?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bits));
    let hash = SecretHash { salt, digest: SecretHash::digest(&salt, secret.as_bytes()) };
    Ok(NewSecret { secret, hash })
}

/// A salted SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash {
    salt: [u8; 16],
    digest: [u8; 32],
}

impl SecretHash {
    /// Whether this is the secret, in time that does not depend on how much of it is right.
    pub fn matches(&self, secret: &[u8]) -> bool {
        SecretHash::digest(&self.salt, secret).ct_eq(&self.digest).into()
    }

    fn digest(salt: &[u8; 16], secret: &[u8]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(salt);
        context.update(secret);
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// The registered clients, and how long their tokens live.
#[derive(Clone, Debug)]
pub struct ClientRegistry {
    clients: Vec<RegisteredClient>,
    token_ttl_s: u64,
    /// Compared with when there is nothing to compare with, so that it takes the same time.
    decoy: SecretHash,
}

impl ClientRegistry {
    /// A registry of these clients, whose tokens live so long, in whole seconds: 1 to a day.
    ///
    /// # Errors
    /// [`Error::Clients`] for a repeated id or a lifetime out of range, [`Error::Name`] for an id
    /// that is no name, [`Error::Random`].
    pub fn new(
        clients: Vec<RegisteredClient>,
        token_ttl: Duration,
    ) -> Result<ClientRegistry, Error> {
        let token_ttl_s = token_ttl.as_secs();
        if !(1..=TOKEN_TTL_S_MAX).contains(&token_ttl_s) {
            return Err(Error::Clients("token_ttl_s must be from 1 to 86400".into()));
        }
        for (at, client) in clients.iter().enumerate() {
            if !is_name(&client.id) {
                return Err(Error::Name(client.id.to_string()));
            }
            if clients[..at].iter().any(|other| other.id == client.id) {
                return Err(Error::Clients(format!("{:?} stands in it twice", client.id)));
            }
        }
        Ok(ClientRegistry { clients, token_ttl_s, decoy: generate_secret()?.hash })
    }

    /// A registry of [`SHOP_CLIENTS`] with new secrets, which are given along by client id.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn of_the_shop() -> Result<(ClientRegistry, NewSecrets), Error> {
        let (mut clients, mut secrets) = (Vec::new(), Vec::new());
        for (id, scopes, public) in SHOP_CLIENTS {
            let mut client = RegisteredClient {
                id: id.into(),
                secret: None,
                scopes: ScopeSet::parse(scopes).expect("the table names scopes that exist"),
            };
            if !public {
                let new = generate_secret()?;
                client.secret = Some(new.hash);
                secrets.push((id, new.secret));
            }
            clients.push(client);
        }
        Ok((ClientRegistry::new(clients, TOKEN_TTL_DEFAULT)?, secrets))
    }

    /// Reads the JSON form that [`ClientRegistry::to_json`] writes.
    ///
    /// # Errors
    /// As [`ClientRegistry::new`], and [`Error::Clients`] with the place of a mistake.
    pub fn parse(json: &[u8]) -> Result<ClientRegistry, Error> {
        if json.len() > CLIENTS_BYTES_MAX {
            return Err(Error::Clients("it is longer than 1 MiB".into()));
        }
        // The parser's own words may quote what somebody wrote where a hash belongs.
        let file: File = object(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::Clients(format!("a member at line {line}, column {column} is wrong"))
        })?;
        let clients = file.clients.into_iter().map(|Object(client)| client.into_client());
        ClientRegistry::new(
            clients.collect::<Result<_, Error>>()?,
            Duration::from_secs(file.token_ttl_s),
        )
    }

    /// The JSON form; it holds hashes, never secrets.
    pub fn to_json(&self) -> String {
        let clients = self.clients.iter().map(|client| Object(FileClient::of(client))).collect();
        let file = File { token_ttl_s: self.token_ttl_s, clients };
        serde_json::to_string_pretty(&file).expect("a registry is strings and a number")
    }

    /// The clients.
    pub fn clients(&self) -> &[RegisteredClient] {
        &self.clients
    }

    /// Lifetime of tokens.
    pub fn token_ttl(&self) -> Duration {
        Duration::from_secs(self.token_ttl_s)
    }

    /// The client of this id, if there is one, and whether the secret is its own. The comparison is
    /// made in any case.
    pub(super) fn check(&self, id: &str, secret: &[u8]) -> (Option<&RegisteredClient>, bool) {
        let client = self.clients.iter().find(|client| *client.id == *id);
        let hash = client.and_then(|client| client.secret.as_ref());
        let matches = hash.unwrap_or(&self.decoy).matches(secret);
        (client, matches && hash.is_some())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    token_ttl_s: u64,
    clients: Vec<Object<FileClient>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileClient {
    id: Box<str>,
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Object<FileSecret>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSecret {
    salt: String,
    sha256: String,
}

impl FileClient {
    fn of(client: &RegisteredClient) -> FileClient {
        let secret = client.secret.map(|hash| {
            Object(FileSecret {
                salt: URL_SAFE_NO_PAD.encode(hash.salt),
                sha256: URL_SAFE_NO_PAD.encode(hash.digest),
            })
        });
        FileClient { id: client.id.clone(), scope: client.scopes.to_string(), secret }
    }

    fn into_client(self) -> Result<RegisteredClient, Error> {
        let wrong = |what: &str| Error::Clients(format!("{what} of {:?} is wrong", self.id));
        let scopes = ScopeSet::parse(&self.scope)
            .map_err(|use_these| Error::Clients(format!("scope of {:?}: {use_these}", self.id)))?;
        let secret = match &self.secret {
            Some(Object(secret)) => Some(SecretHash {
                salt: bytes(&secret.salt).ok_or_else(|| wrong("salt"))?,
                digest: bytes(&secret.sha256).ok_or_else(|| wrong("sha256"))?,
            }),
            None => None,
        };
        Ok(RegisteredClient { id: self.id, secret, scopes })
    }
}

/// Base64url of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
