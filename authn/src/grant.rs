//! The client credentials grant (RFC 6749 section 4.4), as data: a request in, a grant out.
//!
//! Owns the judgement of a token request and both ends of its formats. `clients` is who may ask,
//! `request` decides, `form` takes the request apart; `secret`, `password` and `assertion` are how
//! clients prove who they are, `attempts` and `replay` what is remembered of that; `issued` and
//! `revoked` are about tokens that clients bring back. Issues no tokens: the auth server signs what
//! was granted.

mod assertion;
mod attempts;
mod clients;
mod error;
mod form;
mod issued;
mod password;
mod replay;
mod request;
mod response;
mod revoked;
mod secret;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::scope::ScopeSet;

pub use assertion::{ASSERTION_BYTES_MAX, Assertion, AssertionError, AssertionRules};
pub use attempts::{Attempt, FailedAttempts, network};
pub use clients::{
    AuthMethod, ClientRegistry, GrantDefaults, NewSecrets, RegisteredClient, Resource,
};
pub use error::OAuthError;
pub use form::{AUTHORIZATION_BYTES_MAX, BasicCredentials, FORM_BYTES_MAX, FORM_PARAMETERS_MAX};
pub use issued::{INACTIVE_JSON, IssuedToken};
pub use password::{PASSWORD_ROUNDS, PasswordHash};
pub use replay::SeenAssertions;
pub use request::{Authenticated, ClientProof, ClientRequest, Grant, SecretCheck, StretchedSecret};
pub use response::{RESPONSE_BYTES_MAX, TokenResponse};
pub use revoked::RevokedTokens;
pub use secret::{ClientSecret, NewSecret, SecretHash, generate_secret};

/// Whom a request of a client says to come from, for a log: nobody has proved it.
pub fn claimed_client(authorization: Option<&[u8]>, form: &[u8]) -> Option<String> {
    if let Some(credentials) = form::basic_credentials(authorization) {
        return Some(credentials.id.to_string());
    }
    form::RequestForm::parse(form).ok()?.get("client_id").map(str::to_owned)
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
