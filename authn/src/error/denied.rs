//! A refused request, and what to answer: status and challenge of RFC 6750.
//!
//! Owns the response of every refusal; who is refused is decided in [`crate::policy`]. Refuses to
//! tell the client more than the error codes of RFC 6750 section 3.1: why a token was refused is
//! for metrics and logs, which have [`TokenError::reason`].

use std::fmt;

use super::TokenError;
use crate::scope::Scope;

/// A refused request: which status it gets, and which challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The credentials have a wrong form or place: a scheme without a token, a token in the query.
    CredentialsMalformed,
    /// A token is needed and none was sent.
    TokenMissing,
    /// The token that was sent is not accepted.
    TokenRefused(TokenError),
    /// The token is valid, but lacks the scope of the route.
    ScopeMissing(Scope),
    /// The caller is known, but may not use the route.
    CallerRefused,
    /// The caller may use the route, but the token is another client's.
    SenderRefused,
    /// Mutual TLS is demanded and the connection has no client certificate.
    CertificateMissing,
}

impl Denied {
    /// 401 when other credentials would help the same client, 403 when it is known and refused, 400
    /// when the request is no right one whatever its credentials (RFC 6750 section 3.1).
    pub const fn status(self) -> u16 {
        match self {
            Denied::CredentialsMalformed => 400,
            Denied::TokenMissing | Denied::TokenRefused(_) => 401,
            Denied::ScopeMissing(_)
            | Denied::CallerRefused
            | Denied::SenderRefused
            | Denied::CertificateMissing => 403,
        }
    }

    /// The sentence for the client.
    pub const fn reason(self) -> &'static str {
        match self {
            Denied::CredentialsMalformed => "Authorization names Bearer and must name one token",
            Denied::TokenMissing => "an access token is required; send Authorization: Bearer",
            Denied::TokenRefused(_) => "the access token is not accepted; ask for a new one",
            Denied::ScopeMissing(_) => "the token lacks the scope that this operation requires",
            Denied::CallerRefused => "this caller may not use this operation",
            Denied::SenderRefused => {
                "the token's client has another certificate; send a token of your own client"
            }
            Denied::CertificateMissing => "a client certificate is required",
        }
    }

    /// A word for metrics, such as `scope_missing`.
    pub const fn label(self) -> &'static str {
        match self {
            Denied::CredentialsMalformed => "credentials_malformed",
            Denied::TokenMissing => "token_missing",
            Denied::TokenRefused(_) => "token_refused",
            Denied::ScopeMissing(_) => "scope_missing",
            Denied::CallerRefused => "caller_refused",
            Denied::SenderRefused => "sender_refused",
            Denied::CertificateMissing => "certificate_missing",
        }
    }

    /// The scope that was missing, if that was it.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Denied::ScopeMissing(scope) => Some(scope),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3). Characters of `realm` that cannot
    /// stand in a quoted string are left out.
    pub fn challenge(self, realm: &str) -> String {
        let mut value = String::with_capacity(128);
        value.push_str("Bearer realm=\"");
        value.extend(realm.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')));
        value.push('"');
        match self {
            // A request without credentials gets no error code (RFC 6750 section 3.1). Nor does a
            // refusal that is about the certificate: the challenge then only names the scheme.
            Denied::TokenMissing
            | Denied::CallerRefused
            | Denied::SenderRefused
            | Denied::CertificateMissing => {}
            Denied::CredentialsMalformed => value.push_str(", error=\"invalid_request\""),
            Denied::TokenRefused(_) => value.push_str(", error=\"invalid_token\""),
            Denied::ScopeMissing(scope) => {
                value.push_str(", error=\"insufficient_scope\", scope=\"");
                value.push_str(scope.as_str());
                value.push('"');
            }
        }
        value
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Denied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Denied::TokenRefused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TokenError> for Denied {
    fn from(error: TokenError) -> Denied {
        Denied::TokenRefused(error)
    }
}

/// What of a text can stand in a quoted string as it is (RFC 9110 section 5.6.4).
pub(crate) fn quotable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_follow_rfc_6750() {
        let table = [
            (Denied::TokenMissing, 401, r#"Bearer realm="shop""#),
            (Denied::CredentialsMalformed, 400, r#"Bearer realm="shop", error="invalid_request""#),
            (
                Denied::ScopeMissing(Scope::OrdersWrite),
                403,
                r#"Bearer realm="shop", error="insufficient_scope", scope="orders.write""#,
            ),
            (Denied::CallerRefused, 403, r#"Bearer realm="shop""#),
            (Denied::SenderRefused, 403, r#"Bearer realm="shop""#),
            (Denied::CertificateMissing, 403, r#"Bearer realm="shop""#),
        ];
        for (denied, status, challenge) in table {
            assert_eq!((denied.status(), denied.challenge("shop").as_str()), (status, challenge));
        }
        // Of a token that is refused nobody learns why.
        for error in TokenError::ALL {
            let denied = Denied::TokenRefused(error);
            let challenge = r#"Bearer realm="shop", error="invalid_token""#;
            assert_eq!((denied.status(), denied.challenge("shop").as_str()), (401, challenge));
            assert_eq!(denied.reason(), Denied::TokenRefused(TokenError::Expired).reason());
        }
        assert_eq!(
            Denied::TokenMissing.challenge("a\"\\\r\nX-Evil: b"),
            "Bearer realm=\"aX-Evil: b\""
        );
    }
}
