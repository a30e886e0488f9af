//! The client credentials grant (RFC 6749 section 4.4), as data: a request in, a grant out.
//!
//! Owns the judgement of a token request and both ends of its formats. `clients` is who may ask,
//! `form` takes the request apart. Clients authenticate with `client_secret_basic` and with nothing
//! else: a secret in the body is refused, and so is every other grant type. Issues no tokens: the
//! auth server signs what was granted.

mod clients;
mod form;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::json::object;
use crate::scope::ScopeSet;

use form::TokenRequestForm;

pub use clients::{
    ClientRegistry, NewSecret, NewSecrets, RegisteredClient, SHOP_CLIENTS, SecretHash,
    TOKEN_TTL_DEFAULT, generate_secret,
};
pub use form::{AUTHORIZATION_BYTES_MAX, FORM_BYTES_MAX, FORM_PARAMETERS_MAX};

/// Longest token response that a client reads, in bytes: a token and a little around it.
pub const RESPONSE_BYTES_MAX: usize = crate::token::jwt::TOKEN_BYTES_MAX + 1024;

/// A token may be issued for this client with these scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The authenticated client.
    pub client_id: Box<str>,
    /// The scopes of the token.
    pub scopes: ScopeSet,
    /// Lifetime of the token, in whole seconds.
    pub ttl: Duration,
}

impl Grant {
    /// The JSON body of the response (RFC 6749 section 5.1). It holds a credential: send it with
    /// `Cache-Control: no-store`.
    pub fn response_json(&self, token: &str) -> String {
        let response = TokenResponseJson {
            access_token: token.into(),
            token_type: "Bearer".into(),
            expires_in: self.ttl.as_secs(),
            scope: Some(self.scopes.to_string()),
        };
        serde_json::to_string(&response).expect("a response is strings and a number")
    }
}

/// What a client reads in the response to its request.
pub struct TokenResponse {
    /// The access token.
    pub token: Zeroizing<String>,
    /// Its remaining lifetime.
    pub ttl: Duration,
}

impl TokenResponse {
    /// Reads the body of a successful response.
    ///
    /// # Errors
    /// [`Error::TokenResponse`] when it is too long, not the expected JSON, or of another token
    /// type.
    pub fn parse(json: &[u8]) -> Result<TokenResponse, Error> {
        if json.len() > RESPONSE_BYTES_MAX {
            return Err(Error::TokenResponse);
        }
        let response: TokenResponseJson = object(json).map_err(|_| Error::TokenResponse)?;
        // RFC 6749 section 7.1: a client must not use a token whose type it does not know.
        let usable = response.token_type.eq_ignore_ascii_case("Bearer")
            && !response.access_token.is_empty()
            && response.access_token.bytes().all(|byte| byte.is_ascii_graphic());
        let token = Zeroizing::new(response.access_token);
        if usable {
            Ok(TokenResponse { token, ttl: Duration::from_secs(response.expires_in) })
        } else {
            Err(Error::TokenResponse)
        }
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenResponse(.., ttl: {:?})", self.ttl)
    }
}

#[derive(Serialize, Deserialize)]
struct TokenResponseJson {
    access_token: String,
    token_type: String,
    expires_in: u64,
    scope: Option<String>,
}

/// A refused token request (RFC 6749 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// The HTTP status.
    pub status: u16,
    /// The `error` code.
    pub code: &'static str,
    /// The `error_description`.
    pub description: &'static str,
}

impl OAuthError {
    /// The JSON body of the response.
    pub fn to_json(self) -> String {
        #[derive(Serialize)]
        struct ErrorJson {
            error: &'static str,
            error_description: &'static str,
        }
        let body = ErrorJson { error: self.code, error_description: self.description };
        serde_json::to_string(&body).expect("an error is strings")
    }

    /// The value of `WWW-Authenticate` where the status is 401 (RFC 7617). `realm` is used as in
    /// [`crate::Denied::challenge`].
    pub fn challenge(self, realm: &str) -> Option<String> {
        let realm = crate::error::quotable(realm);
        (self.status == 401).then(|| format!("Basic realm=\"{realm}\", charset=\"UTF-8\""))
    }

    pub(crate) const fn invalid_request(description: &'static str) -> OAuthError {
        OAuthError { status: 400, code: "invalid_request", description }
    }

    /// One text for every way to fail: who is known and who is not is nobody's business.
    pub(crate) const INVALID_CLIENT: OAuthError = OAuthError {
        status: 401,
        code: "invalid_client",
        description: "authenticate with client_secret_basic, with a registered id and its secret",
    };

    const UNSUPPORTED_GRANT: OAuthError = OAuthError {
        status: 400,
        code: "unsupported_grant_type",
        description: "only client_credentials is supported",
    };

    const INVALID_SCOPE: OAuthError = OAuthError {
        status: 400,
        code: "invalid_scope",
        description: "ask only for scopes that the client was given",
    };
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

impl std::error::Error for OAuthError {}

impl ClientRegistry {
    /// Judges a token request: the value of its `Authorization` field, and its body in
    /// `application/x-www-form-urlencoded`, whose media type the caller has checked.
    ///
    /// # Errors
    /// [`OAuthError`]: the form of the request is judged first, then who asks, then for what.
    pub fn token_request(
        &self,
        authorization: Option<&[u8]>,
        form: &[u8],
    ) -> Result<Grant, OAuthError> {
        let form = TokenRequestForm::parse(form)?;
        if form.get("client_secret").is_some() {
            return Err(OAuthError::invalid_request(
                "send the client secret in the Authorization field only",
            ));
        }
        let client = self.authenticate(authorization)?;
        // RFC 6749 section 2.3: at most one way to authenticate; a client_id that says the same
        // does no harm.
        if form.get("client_id").is_some_and(|id| *id != *client.id) {
            return Err(OAuthError::invalid_request("client_id is not the authenticated client"));
        }
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
        Ok(Grant { client_id: client.id.clone(), scopes, ttl: self.token_ttl() })
    }

    /// Finds the client behind an `Authorization` field. What an unknown client costs is what a
    /// known one with a wrong secret costs.
    fn authenticate(&self, authorization: Option<&[u8]>) -> Result<&RegisteredClient, OAuthError> {
        let credentials =
            form::basic_credentials(authorization).ok_or(OAuthError::INVALID_CLIENT)?;
        let (client, proved) = self.check(&credentials.id, credentials.secret.as_bytes());
        client.filter(|_| proved).ok_or(OAuthError::INVALID_CLIENT)
    }
}

/// Whom a token request says to come from, for a log: nobody has proved it.
pub fn claimed_client(authorization: Option<&[u8]>) -> Option<String> {
    form::basic_credentials(authorization).map(|credentials| credentials.id.to_string())
}

/// The value of `Authorization` with which a client asks for tokens: `Basic ..`, id and secret
/// form-encoded (RFC 6749 section 2.3.1).
pub fn basic_authorization(client_id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(String::with_capacity((client_id.len() + secret.len()) * 3 + 1));
    form::encode(client_id, &mut pair);
    pair.push(':');
    form::encode(secret, &mut pair);
    let mut value = Zeroizing::new(String::with_capacity(pair.len() * 4 / 3 + 16));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    value
}

/// The body with which a client asks for a token of these scopes; none means all of its own.
pub fn request_form(scopes: ScopeSet) -> String {
    let mut body = String::from("grant_type=client_credentials");
    if !scopes.is_empty() {
        body.push_str("&scope=");
        form::encode(&scopes.to_string(), &mut body);
    }
    body
}
