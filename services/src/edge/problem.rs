//! Errors as `application/problem+json` (RFC 9457): one shape for every refusal of every service.
//!
//! It owns the shape and the responses that no service words itself (404, 405). It refuses to carry
//! bytes of the request that were not escaped.

use authn::Denied;
use proto_http::{BodyLength, Error};
use runtime::{BodyError, Exchange};

use crate::route::{BODY_BYTES_MAX, RouteEntry, Routed, allow};

/// The media type of every error body.
pub const CONTENT_TYPE: (&str, &[u8]) = ("content-type", b"application/problem+json");

/// Responses must not be kept where they depend on who asks.
pub const NO_STORE: (&str, &[u8]) = ("cache-control", b"no-store");

/// What a challenge calls the protected space (RFC 9110 section 11.5).
pub const REALM: &str = "tollgate";

/// An error as a client reads it.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, as the last part of its `type`; `None` is `about:blank`, whose meaning
    /// is that of the status alone.
    pub kind: Option<&'static str>,
    /// The kind in words, the same for every occurrence.
    pub title: &'static str,
    /// What went wrong this time and what to do.
    pub detail: &'a str,
}

impl Problem<'_> {
    /// Responds to the request with this problem.
    pub fn respond(&self, exchange: &mut Exchange<'_>) {
        self.respond_with(exchange, &[]);
    }

    /// As [`Problem::respond`], with further fields.
    pub fn respond_with(&self, exchange: &mut Exchange<'_>, further: &[(&str, &[u8])]) {
        let mut fields = vec![CONTENT_TYPE, NO_STORE];
        fields.extend_from_slice(further);
        exchange.reply().send(self.status, &fields, self.to_json().as_bytes());
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> String {
        let kind = match self.kind {
            Some(kind) => format!("urn:tollgate:problem:{kind}"),
            None => "about:blank".to_string(),
        };
        serde_json::json!({
            "type": kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        })
        .to_string()
    }
}

/// 404 for a path that is no route.
pub fn not_found(exchange: &mut Exchange<'_>) {
    let detail = "there is nothing at this path; paths are compared as sent, without decoding";
    Problem { status: 404, kind: None, title: "Not Found", detail }.respond(exchange);
}

/// 405 for a known path with another method (RFC 9110 section 15.5.6).
pub fn method_not_allowed(exchange: &mut Exchange<'_>, table: &[RouteEntry], pattern: &str) {
    let allow = allow(table, pattern);
    let detail = format!("this path answers {allow}");
    let problem = Problem { status: 405, kind: None, title: "Method Not Allowed", detail: &detail };
    problem.respond_with(exchange, &[("allow", allow.as_bytes())]);
}

/// 400 for an access token in the query, whether tokens are looked at or not.
pub fn token_in_query(exchange: &mut Exchange<'_>) {
    let detail = "URLs are logged, so an access token must not be in one; send it as \
                  `Authorization: Bearer TOKEN`";
    let title = "Token In Query";
    let problem = Problem { status: 400, kind: Some("token-in-query"), title, detail };
    let challenge = Denied::CredentialsMalformed.challenge(REALM);
    problem.respond_with(exchange, &[("www-authenticate", challenge.as_bytes())]);
}

/// Waits for the body of route `R`, which cannot do without one: as many bytes as its line allows.
///
/// # Errors
/// 411 when the request says nothing about a body (RFC 9110 section 15.5.12), else as
/// [`Exchange::body`].
pub async fn required_body<R: Routed>(exchange: &mut Exchange<'_>) -> Result<(), BodyError> {
    let max = R::ENTRY.body_bytes_max.unwrap_or(BODY_BYTES_MAX);
    match exchange.request().length() {
        BodyLength::Empty => Err(BodyError::Protocol(Error::LengthRequired)),
        _ => exchange.body(max).await,
    }
}

/// The response to a body that could not be read, with the status and the sentence of the error.
pub fn body_refused(exchange: &mut Exchange<'_>, error: BodyError) {
    let title = match error.status() {
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    let problem = Problem { status: error.status(), kind: None, title, detail: error.as_str() };
    let retry: &[(&str, &[u8])] =
        if error == BodyError::NoMemory { &[("retry-after", b"1")] } else { &[] };
    problem.respond_with(exchange, retry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_peer_cannot_leave_their_quotes() {
        let detail = "no \"sku\"\n\u{7}";
        let json = Problem { status: 400, kind: Some("bad-order"), title: "Bad", detail }.to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["detail"], detail);
        assert_eq!(value["type"], "urn:tollgate:problem:bad-order");
        assert_eq!(value["status"], 400);
    }
}
