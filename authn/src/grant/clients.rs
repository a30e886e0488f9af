//! Who may ask for tokens: the registered clients.
//!
//! Owns their list and what each entry may be. `file` is its TOML form, `legacy` the JSON form of
//! older versions. Refuses repeated ids, names that could not stand in a certificate, and a way to
//! authenticate whose credential is missing.

mod file;
mod legacy;

use std::time::Duration;

use zeroize::Zeroizing;

use super::secret::{ClientSecret, SecretHash, generate_secret};
use crate::certificate::identity::is_name;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::token::jwks::KeySet;

/// Longest lifetime of a token, in seconds: a day.
const TOKEN_TTL_S_MAX: u64 = 86_400;

/// Most clients of a registry: each is compared with the others when it is read.
const CLIENTS_MAX: usize = 1024;

/// Longest audience or resource, in bytes.
const AUDIENCE_BYTES_MAX: usize = 256;

/// Most audiences of a client or a resource: each stands in the token.
const AUDIENCES_MAX: usize = 8;

/// Most resources, and most certificates, of a client.
const RESOURCES_MAX: usize = 64;

/// A client of the shop.
struct ShopClient {
    id: &'static str,
    scopes: &'static str,
    /// The certificates that it shows; the first is its own.
    certificates: &'static [&'static str],
    /// It cannot keep a secret, and so cannot use this grant.
    public: bool,
}

const SHOP_CLIENTS: [ShopClient; 3] = [
    ShopClient {
        id: "bench-runner",
        scopes: "orders.read orders.write inventory.read inventory.write benchmarks.execute \
                 orders.read.all",
        certificates: &["bench-runner"],
        public: false,
    },
    ShopClient {
        id: "service-order",
        scopes: "inventory.write",
        certificates: &["service-order", "orders"],
        public: false,
    },
    ShopClient {
        id: "bench-ui",
        scopes: "orders.read orders.write inventory.read",
        certificates: &["bench-ui"],
        public: true,
    },
];

/// How a client proves who it is, by the names of RFC 8414 section 2 and RFC 8705 section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: a secret (RFC 6749 section 2.3.1).
    SecretBasic,
    /// `private_key_jwt`: an assertion that it signed (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// `tls_client_auth`: its certificate, under mutual TLS (RFC 8705 section 2.1).
    TlsClientAuth,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [AuthMethod; 3] =
        [AuthMethod::SecretBasic, AuthMethod::PrivateKeyJwt, AuthMethod::TlsClientAuth];

    /// The name in the client's entry and in the metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            AuthMethod::SecretBasic => "client_secret_basic",
            AuthMethod::PrivateKeyJwt => "private_key_jwt",
            AuthMethod::TlsClientAuth => "tls_client_auth",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<AuthMethod> {
        AuthMethod::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// One client.
#[derive(Clone, Debug, Default)]
pub struct RegisteredClient {
    /// `client_id`: a name by [`crate::certificate::identity::is_name`].
    pub id: Box<str>,
    /// How it may prove who it is; a public client cannot.
    pub methods: Vec<AuthMethod>,
    /// The hash of its secret.
    pub secret: Option<ClientSecret>,
    /// The keys that its assertions are signed with.
    pub keys: Option<KeySet>,
    /// The names in the certificates that are its own.
    pub certificates: Vec<Box<str>>,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// The audiences of its tokens; empty for those of [`GrantDefaults`].
    pub audiences: Vec<Box<str>>,
    /// What it may name as `resource` (RFC 8707), each with the audiences of the token.
    pub resources: Vec<Resource>,
    /// Lifetime of its tokens, where it has one of its own.
    pub token_ttl: Option<Duration>,
}

impl RegisteredClient {
    /// Whether it may prove who it is in this way.
    pub fn allows(&self, method: AuthMethod) -> bool {
        self.methods.contains(&method)
    }

    /// Checks the rules of one entry; the error ends the sentence "client ID: ...".
    fn check(&self) -> Result<(), String> {
        let needed = [
            (AuthMethod::SecretBasic, self.secret.is_some(), "secret"),
            (AuthMethod::PrivateKeyJwt, self.keys.is_some(), "jwks"),
            (AuthMethod::TlsClientAuth, !self.certificates.is_empty(), "certificates"),
        ];
        for (method, given, member) in needed {
            let name = method.as_str();
            if self.allows(method) && !given {
                return Err(format!("auth_methods has {name}, which needs the member {member}"));
            }
            // Certificates also say whose tokens may come with them.
            if given && !self.allows(method) && method != AuthMethod::TlsClientAuth {
                return Err(format!("{member} is of no use unless auth_methods has {name}"));
            }
        }
        check_audiences(&self.audiences)?;
        for Resource { uri, audiences } in &self.resources {
            if !is_resource(uri) {
                return Err(format!("resource {uri:?} is not an absolute URI without fragment"));
            }
            if audiences.is_empty() {
                return Err(format!("resource {uri:?} has no audience"));
            }
            check_audiences(audiences)?;
        }
        if let Some(name) = self.certificates.iter().find(|name| !is_name(name)) {
            return Err(format!("{name:?} in certificates cannot be a certificate's name"));
        }
        if self.resources.len().max(self.certificates.len()) > RESOURCES_MAX {
            return Err(format!("it has more than {RESOURCES_MAX} resources or certificates"));
        }
        self.token_ttl.map_or(Ok(()), check_ttl)
    }
}

/// A `resource` that a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The absolute URI, compared as it stands.
    pub uri: Box<str>,
    /// The audiences that every server on the way to it accepts.
    pub audiences: Vec<Box<str>>,
}

/// What holds for clients that say nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDefaults {
    /// Lifetime of tokens, in whole seconds.
    pub token_ttl: Duration,
    /// The audience of tokens.
    pub audience: Box<str>,
}

/// New secrets by client id.
pub type NewSecrets = Vec<(&'static str, Zeroizing<String>)>;

/// The registered clients, and how long their tokens live.
#[derive(Clone, Debug)]
pub struct ClientRegistry {
    clients: Vec<RegisteredClient>,
    token_ttl: Option<Duration>,
    /// Compared with when there is nothing to compare with, so that it takes the same time.
    decoy: SecretHash,
}

impl ClientRegistry {
    /// A registry of these clients. `token_ttl` is the lifetime of their tokens where an entry has
    /// none of its own, from a second to a day.
    ///
    /// # Errors
    /// [`Error::Clients`] for a repeated id, a lifetime out of range or an entry that breaks a
    /// rule, [`Error::Name`] for an id that is no name, [`Error::Random`].
    pub fn new(
        clients: Vec<RegisteredClient>,
        token_ttl: Option<Duration>,
    ) -> Result<ClientRegistry, Error> {
        token_ttl.map_or(Ok(()), check_ttl).map_err(Error::Clients)?;
        if clients.len() > CLIENTS_MAX {
            return Err(Error::Clients(format!("there are more than {CLIENTS_MAX} clients")));
        }
        for (at, client) in clients.iter().enumerate() {
            if !is_name(&client.id) {
                return Err(Error::Name(client.id.to_string()));
            }
            if clients[..at].iter().any(|other| other.id == client.id) {
                return Err(Error::Clients(format!("{:?} stands in it twice", client.id)));
            }
            let checked = client.check();
            checked.map_err(|why| Error::Clients(format!("client {:?}: {why}", client.id)))?;
        }
        Ok(ClientRegistry { clients, token_ttl, decoy: generate_secret()?.hash })
    }

    /// A registry of the shop's clients with new secrets, which are given along by client id.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn of_the_shop() -> Result<(ClientRegistry, NewSecrets), Error> {
        let (mut clients, mut secrets) = (Vec::new(), Vec::new());
        for known in SHOP_CLIENTS {
            let mut client = RegisteredClient {
                id: known.id.into(),
                scopes: ScopeSet::parse(known.scopes).expect("the table names scopes that exist"),
                certificates: shop_certificates(known.id),
                ..RegisteredClient::default()
            };
            if !known.public {
                let new = generate_secret()?;
                client.methods = vec![AuthMethod::SecretBasic];
                client.secret = Some(ClientSecret::Random(new.hash));
                secrets.push((known.id, new.secret));
            }
            clients.push(client);
        }
        Ok((ClientRegistry::new(clients, None)?, secrets))
    }

    /// The clients.
    pub fn clients(&self) -> &[RegisteredClient] {
        &self.clients
    }

    /// The client of this id.
    pub fn client(&self, id: &str) -> Option<&RegisteredClient> {
        self.clients.iter().find(|client| *client.id == *id)
    }

    /// Lifetime of this client's tokens: its own, else the registry's, else the default.
    pub fn token_ttl(&self, client: &RegisteredClient, defaults: &GrantDefaults) -> Duration {
        client.token_ttl.or(self.token_ttl).unwrap_or(defaults.token_ttl)
    }

    pub(super) fn decoy(&self) -> &SecretHash {
        &self.decoy
    }
}

/// The certificates of a client of the shop; any other has one of its own name.
fn shop_certificates(id: &str) -> Vec<Box<str>> {
    let known = SHOP_CLIENTS.iter().find(|known| known.id == id);
    known.map_or(vec![id.into()], |known| {
        known.certificates.iter().map(|&name| name.into()).collect()
    })
}

fn check_ttl(ttl: Duration) -> Result<(), String> {
    let fits = (1..=TOKEN_TTL_S_MAX).contains(&ttl.as_secs());
    if fits { Ok(()) } else { Err("token_ttl_s must be from 1 to 86400".into()) }
}

fn check_audiences(audiences: &[Box<str>]) -> Result<(), String> {
    if audiences.len() > AUDIENCES_MAX {
        return Err(format!("there are more than {AUDIENCES_MAX} audiences"));
    }
    let fits = |text: &str| {
        (1..=AUDIENCE_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
    };
    match audiences.iter().find(|audience| !fits(audience)) {
        None => Ok(()),
        Some(_) => Err("an audience is not 1 to 256 bytes without control characters".into()),
    }
}

/// Whether this is an absolute URI without a fragment (RFC 8707 section 2, RFC 3986 section 4.3),
/// as far as its first part tells.
fn is_resource(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let is_rest = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    is_scheme && is_rest && uri.len() <= AUDIENCE_BYTES_MAX
}
