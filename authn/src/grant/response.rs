//! Responses of the token endpoint (RFC 6749 section 5.1), written and read.
//!
//! Owns both ends of their format. Refuses a response that is too long or of a token type that
//! nobody here can use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::request::Grant;
use crate::error::Error;
use crate::json::object;

/// Longest token response that a client reads, in bytes: a token and a little around it.
pub const RESPONSE_BYTES_MAX: usize = crate::token::jwt::TOKEN_BYTES_MAX + 1024;

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
