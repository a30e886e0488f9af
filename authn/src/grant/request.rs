//! A request of a client, judged: who asks, and what for.
//!
//! Owns the order: the form of the request first, then who asks, then what may be granted. Refuses
//! more than one proof of a client, a secret in the body, and every grant type but client
//! credentials. An [`Authenticated`] client has no other constructor than the checks of this crate.

use std::time::Duration;

use zeroize::Zeroizing;

use super::clients::{AuthMethod, ClientRegistry, GrantDefaults, RegisteredClient};
use super::error::OAuthError;
use super::form::{BasicCredentials, RequestForm, basic_credentials};
use super::password::PasswordHash;
use super::secret::ClientSecret;
use crate::certificate::identity::Identity;
use crate::scope::ScopeSet;

/// The one `client_assertion_type` that is known (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Most audiences of a token; each verifier compares them all.
const TOKEN_AUDIENCES_MAX: usize = 16;

/// How a client says who it is.
pub enum ClientProof {
    /// By id and secret, in the `Authorization` field.
    Secret(BasicCredentials),
    /// By an assertion that it signed, and perhaps its id.
    Assertion(Option<Box<str>>, Zeroizing<Box<str>>),
    /// By its id; the connection has the certificate.
    Certificate(Box<str>),
}

/// A request of a client: for a token, or about one.
pub struct ClientRequest {
    /// Who says to ask.
    pub proof: ClientProof,
    form: RequestForm,
}

impl ClientRequest {
    /// Takes a request apart: the value of its `Authorization` field, and its body in
    /// `application/x-www-form-urlencoded`, whose media type the caller has checked.
    ///
    /// # Errors
    /// [`OAuthError`] when its form is wrong, or it does not say who asks.
    pub fn parse(authorization: Option<&[u8]>, form: &[u8]) -> Result<ClientRequest, OAuthError> {
        let form = RequestForm::parse(form)?;
        let proof = ClientProof::read(authorization, &form)?;
        Ok(ClientRequest { proof, form })
    }

    /// The token that the request is about (RFC 7009 section 2.1, RFC 7662 section 2.1). A hint of
    /// its type is not needed: there is one type.
    ///
    /// # Errors
    /// [`OAuthError`] when it is missing.
    pub fn token(&self) -> Result<&str, OAuthError> {
        self.form.get("token").ok_or(OAuthError::invalid_request("token is missing"))
    }
}

impl ClientProof {
    /// Reads the one proof of a request. RFC 6749 section 2.3: a client must not use more than one.
    fn read(authorization: Option<&[u8]>, form: &RequestForm) -> Result<ClientProof, OAuthError> {
        if form.get("client_secret").is_some() {
            return Err(OAuthError::invalid_request(
                "send the client secret in the Authorization field only",
            ));
        }
        let id = form.get("client_id");
        let assertion = form.get("client_assertion");
        match (authorization, assertion, form.get("client_assertion_type")) {
            (Some(_), None, None) => {
                let basic = basic_credentials(authorization).ok_or(OAuthError::INVALID_CLIENT)?;
                // A client_id that says the same does no harm.
                if id.is_some_and(|id| id != basic.id.as_str()) {
                    return Err(OAuthError::invalid_request("client_id names another client"));
                }
                Ok(ClientProof::Secret(basic))
            }
            (None, Some(jwt), Some(JWT_BEARER)) => {
                Ok(ClientProof::Assertion(id.map(Box::from), Zeroizing::new(jwt.into())))
            }
            (None, None, None) => {
                id.map(|id| ClientProof::Certificate(id.into())).ok_or(OAuthError::INVALID_CLIENT)
            }
            (Some(_), _, _) => Err(OAuthError::invalid_request(
                "send either an Authorization field or a client assertion",
            )),
            _ => Err(OAuthError::invalid_request(
                "a client assertion needs client_assertion, and client_assertion_type with \
                 urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )),
        }
    }
}

/// A client that proved who it is.
#[derive(Clone, Copy, Debug)]
pub struct Authenticated<'r>(&'r RegisteredClient);

impl<'r> Authenticated<'r> {
    pub(super) fn new(client: &'r RegisteredClient) -> Authenticated<'r> {
        Authenticated(client)
    }

    /// The client.
    pub fn client(self) -> &'r RegisteredClient {
        self.0
    }
}

/// What a look at a secret says.
pub enum SecretCheck<'r> {
    /// It is the client's.
    Proved(Authenticated<'r>),
    /// It is not, or there is no such client.
    Wrong,
    /// It must be stretched first, beside the threads that serve.
    Stretch(StretchedSecret<'r>),
}

/// A client whose secret is still to be stretched.
#[derive(Clone, Copy, Debug)]
pub struct StretchedSecret<'r> {
    client: &'r RegisteredClient,
    hash: &'r PasswordHash,
}

impl<'r> StretchedSecret<'r> {
    /// What compares the secret, for another thread: see [`PasswordHash::matches`].
    pub fn comparison(
        self,
        credentials: &BasicCredentials,
    ) -> impl FnOnce() -> bool + Send + use<> {
        let (hash, secret) = (self.hash.clone(), credentials.secret.clone());
        move || hash.matches(secret.as_bytes())
    }

    /// The client, if [`StretchedSecret::comparison`] said yes.
    pub fn proved(self, matches: bool) -> Option<Authenticated<'r>> {
        matches.then_some(Authenticated(self.client))
    }
}

impl ClientRegistry {
    /// Looks at a secret. An unknown client costs what one with a wrong random secret costs; ids
    /// of clients whose secrets are stretched can be told from others by the time (RFC 6749
    /// section 2.2: an id is no secret).
    pub fn check_secret(&self, credentials: &BasicCredentials) -> SecretCheck<'_> {
        let client = self.client(&credentials.id);
        let client = client.filter(|client| client.allows(AuthMethod::SecretBasic));
        let secret = credentials.secret.as_bytes();
        match client.and_then(|client| Some((client, client.secret.as_ref()?))) {
            Some((client, ClientSecret::Chosen(hash))) => {
                SecretCheck::Stretch(StretchedSecret { client, hash })
            }
            Some((client, ClientSecret::Random(hash))) if hash.matches(secret) => {
                SecretCheck::Proved(Authenticated(client))
            }
            Some(_) => SecretCheck::Wrong,
            None => {
                self.decoy().matches(secret);
                SecretCheck::Wrong
            }
        }
    }

    /// The client whose certificate the connection shows (RFC 8705 section 2.1). `identity` is who
    /// was verified under mutual TLS, and `None` under any other transport.
    ///
    /// # Errors
    /// [`OAuthError::INVALID_CLIENT`].
    pub fn check_certificate(
        &self,
        id: &str,
        identity: Option<&Identity>,
    ) -> Result<Authenticated<'_>, OAuthError> {
        let name = identity.and_then(|identity| identity.name.as_deref());
        let client = self.client(id).filter(|client| client.allows(AuthMethod::TlsClientAuth));
        let is_own =
            |client: &&RegisteredClient| client.certificates.iter().any(|own| Some(&**own) == name);
        client.filter(is_own).map(Authenticated).ok_or(OAuthError::INVALID_CLIENT)
    }

    /// Decides what an authenticated client is granted.
    ///
    /// # Errors
    /// [`OAuthError`]: the grant type, then scopes, then resources.
    pub fn grant(
        &self,
        client: Authenticated<'_>,
        request: &ClientRequest,
        defaults: &GrantDefaults,
    ) -> Result<Grant, OAuthError> {
        let (client, form) = (client.0, &request.form);
        match form.get("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(OAuthError::UNSUPPORTED_GRANT),
            None => return Err(OAuthError::invalid_request("grant_type is missing")),
        }
        let scopes = match form.get("scope") {
            Some(list) => ScopeSet::parse(list).map_err(|_| OAuthError::INVALID_SCOPE)?,
            // RFC 6749 section 3.3: the default is all that the client was given.
            None => client.scopes,
        };
        if !client.scopes.contains_all(scopes) {
            return Err(OAuthError::INVALID_SCOPE);
        }
        Ok(Grant {
            client_id: client.id.clone(),
            scopes,
            ttl: self.token_ttl(client, defaults),
            audiences: audiences(client, form, defaults)?,
        })
    }
}

/// The audiences of a token: those of the resources that were asked for (RFC 8707 section 2), else
/// the client's.
fn audiences(
    client: &RegisteredClient,
    form: &RequestForm,
    defaults: &GrantDefaults,
) -> Result<Vec<Box<str>>, OAuthError> {
    let mut audiences: Vec<Box<str>> = Vec::new();
    for uri in form.all("resource") {
        let known = client.resources.iter().find(|resource| *resource.uri == *uri);
        for audience in &known.ok_or(OAuthError::INVALID_TARGET)?.audiences {
            if !audiences.contains(audience) {
                audiences.push(audience.clone());
            }
        }
    }
    match audiences.len() {
        0 if client.audiences.is_empty() => Ok(vec![defaults.audience.clone()]),
        0 => Ok(client.audiences.clone()),
        1..=TOKEN_AUDIENCES_MAX => Ok(audiences),
        _ => Err(OAuthError::INVALID_TARGET),
    }
}

/// A token may be issued for this client with these scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The authenticated client.
    pub client_id: Box<str>,
    /// The scopes of the token.
    pub scopes: ScopeSet,
    /// Lifetime of the token, in whole seconds.
    pub ttl: Duration,
    /// The audiences of the token, one at least.
    pub audiences: Vec<Box<str>>,
}
