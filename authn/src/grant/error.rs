//! Refusals of the token endpoint (RFC 6749 section 5.2).
//!
//! Owns their codes, statuses and sentences. Refuses to say more than a stranger may know: until a
//! client has proved who it is, one sentence serves for every way to fail.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A refused request of a client (RFC 6749 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// The HTTP status.
    pub status: u16,
    /// The `error` code.
    pub code: &'static str,
    /// The `error_description`.
    pub description: &'static str,
    /// For `Retry-After`: when it is worth to ask again, in whole seconds.
    pub retry_after: Option<Duration>,
}

impl OAuthError {
    /// One text for every way to fail: who is known and who is not is nobody's business.
    pub const INVALID_CLIENT: OAuthError = OAuthError::new(
        401,
        "invalid_client",
        "authenticate as the client was registered, by client_secret_basic, private_key_jwt or \
         tls_client_auth",
    );

    /// As many secrets are being checked as are checked at a time.
    pub const BUSY: OAuthError = OAuthError {
        retry_after: Some(Duration::from_secs(1)),
        ..OAuthError::new(
            503,
            "temporarily_unavailable",
            "as many secrets as possible are being checked; try again in a moment",
        )
    };

    /// The server failed. RFC 6749 section 5.2 has no word for it; section 4.1.2.1 has.
    pub const SERVER_ERROR: OAuthError =
        OAuthError::new(500, "server_error", "the request could not be carried out; try again");

    pub(crate) const UNSUPPORTED_GRANT: OAuthError =
        OAuthError::new(400, "unsupported_grant_type", "only client_credentials is supported");

    pub(crate) const INVALID_SCOPE: OAuthError =
        OAuthError::new(400, "invalid_scope", "ask only for scopes that the client was given");

    /// RFC 8707 section 2.
    pub(crate) const INVALID_TARGET: OAuthError = OAuthError::new(
        400,
        "invalid_target",
        "ask only for resources that the client was given, and for few enough of them",
    );

    /// Too many attempts failed. RFC 6749 has no code for it.
    #[must_use]
    pub const fn held_up(retry_after: Duration) -> OAuthError {
        OAuthError {
            retry_after: Some(retry_after),
            ..OAuthError::new(
                429,
                "temporarily_unavailable",
                "too many attempts to authenticate failed; wait as long as Retry-After says",
            )
        }
    }

    pub(crate) const fn invalid_request(description: &'static str) -> OAuthError {
        OAuthError::new(400, "invalid_request", description)
    }

    pub(crate) const fn new(
        status: u16,
        code: &'static str,
        description: &'static str,
    ) -> OAuthError {
        OAuthError { status, code, description, retry_after: None }
    }

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
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

impl std::error::Error for OAuthError {}
