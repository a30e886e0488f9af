//! The client credentials grant (signatures first; bodies follow in the next commit).

use zeroize::Zeroizing;

use crate::error::Error;
use crate::scope::ScopeSet;

/// The registered clients.
#[derive(Clone, Debug)]
pub struct ClientRegistry(());

/// A new secret and the form in which the registry keeps it.
pub struct NewSecret {
    /// The text for the client's file.
    pub secret: Zeroizing<String>,
    /// The hash for the registry.
    pub hash: SecretHash,
}

/// A salted hash of a secret.
#[derive(Clone, Debug)]
pub struct SecretHash(());

/// Makes a secret of 256 random bits.
pub fn generate_secret() -> Result<NewSecret, Error> {
    unimplemented!()
}

/// One client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: Box<str>,
    /// The hash of its secret; a public client has none and cannot use this grant.
    pub secret: Option<SecretHash>,
    /// What it may ask for.
    pub scopes: ScopeSet,
}

/// The clients of the shop with their scopes; `None` of a secret means public.
pub const SHOP_CLIENTS: [(&str, &str, bool); 3] = [
    (
        "bench-runner",
        "orders.read orders.write inventory.read inventory.write benchmarks.execute",
        false,
    ),
    ("service-order", "inventory.write", false),
    ("bench-ui", "orders.read orders.write inventory.read", true),
];

/// A token may be issued for this client with these scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The authenticated client.
    pub client_id: Box<str>,
    /// The scopes of the token.
    pub scopes: ScopeSet,
    /// Lifetime of the token in seconds.
    pub ttl_s: u64,
}

/// An error of RFC 6749 section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// HTTP status.
    pub status: u16,
    /// The `error` code.
    pub code: &'static str,
    /// The `error_description`.
    pub description: &'static str,
}

impl OAuthError {
    /// The JSON body.
    pub fn to_json(self) -> String {
        unimplemented!()
    }

    /// The value of `WWW-Authenticate`, for a 401.
    pub fn challenge(self, _realm: &str) -> Option<String> {
        unimplemented!()
    }
}

impl ClientRegistry {
    /// A registry; tokens live `ttl_s` seconds.
    pub fn new(_clients: Vec<Client>, _ttl_s: u64) -> Result<ClientRegistry, Error> {
        unimplemented!()
    }

    /// Reads the JSON form.
    pub fn parse(_json: &[u8]) -> Result<ClientRegistry, Error> {
        unimplemented!()
    }

    /// The JSON form; it holds hashes, never secrets.
    pub fn to_json(&self) -> String {
        unimplemented!()
    }

    /// Judges a token request: the `Authorization` field and the form body.
    pub fn token_request(
        &self,
        _authorization: Option<&[u8]>,
        _form: &[u8],
    ) -> Result<Grant, OAuthError> {
        unimplemented!()
    }
}

/// The value of `Authorization` for a client: `Basic ..` (RFC 6749 section 2.3.1).
pub fn basic_authorization(_client_id: &str, _secret: &str) -> Zeroizing<String> {
    unimplemented!()
}
