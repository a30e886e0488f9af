//! What is recorded of an event, and its line.
//!
//! It owns the members, their words and their order. It refuses to carry a token, a `jti`, a path
//! or a body; what a peer wrote is cut to a length, and leaves as printable ASCII.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::Identity;
use jiff::Timestamp;

/// The longest text of one member, in characters as written.
const TEXT_CHARS_MAX: usize = 256;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// A request was permitted.
    RequestPermitted,
    /// A request was refused.
    RequestRefused,
    /// A TLS handshake failed.
    HandshakeRefused,
    /// An access token was issued.
    TokenIssued,
    /// An access token was asked for and not issued.
    TokenRefused,
    /// An access token was revoked by its client.
    TokenRevoked,
    /// The service is about to start with this configuration.
    Configured,
    /// The service listens.
    Started,
    /// The service has finished its last request.
    Ended,
    /// Lines could not be written.
    Dropped,
}

impl AuditAction {
    /// What it is about, and what was decided.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            AuditAction::RequestPermitted => ("request", "permitted"),
            AuditAction::RequestRefused => ("request", "refused"),
            AuditAction::HandshakeRefused => ("handshake", "refused"),
            AuditAction::TokenIssued => ("token", "issued"),
            AuditAction::TokenRefused => ("token", "refused"),
            AuditAction::TokenRevoked => ("token", "revoked"),
            AuditAction::Configured => ("service", "configured"),
            AuditAction::Started => ("service", "started"),
            AuditAction::Ended => ("service", "ended"),
            AuditAction::Dropped => ("audit", "dropped"),
        }
    }
}

/// One event. Members that are not known are left out of its line.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// What happened.
    pub action: AuditAction,
    /// Why, as a word of a closed set.
    pub reason: Option<Cow<'static, str>>,
    /// The peer's certificate, as [`peer_name`] words it.
    pub peer: Option<String>,
    /// The client: of a verified token, named by a forwarder, or, where a token was asked for, what
    /// the request says.
    pub client: Option<String>,
    /// The name of the route.
    pub route: Option<&'static str>,
    /// The token, as [`authn::jwt::jti_hash`]. Of a token that was refused it is what its bearer
    /// says.
    pub jti_hash: Option<String>,
    /// Where the connection comes from.
    pub source: Option<SocketAddr>,
    /// Further facts, such as settings.
    pub facts: Vec<(&'static str, String)>,
    /// How many events it stands for, where that is not one.
    pub count: Option<u64>,
}

impl AuditEvent {
    /// An event of which nothing else is known yet.
    #[must_use]
    pub fn new(action: AuditAction) -> AuditEvent {
        AuditEvent {
            action,
            reason: None,
            peer: None,
            client: None,
            route: None,
            jti_hash: None,
            source: None,
            facts: Vec::new(),
            count: None,
        }
    }

    /// The event as one line of JSON (RFC 8259), with the line's end.
    pub(super) fn line(&self, time: SystemTime, service: &str) -> Vec<u8> {
        let (event, decision) = self.action.words();
        let mut line = String::with_capacity(256);
        line.push('{');
        member(&mut line, "time", &rfc_3339(time));
        member(&mut line, "service", service);
        member(&mut line, "event", event);
        member(&mut line, "decision", decision);
        let source = self.source.map(|source| source.to_string());
        let known = [
            ("reason", self.reason.as_deref()),
            ("peer", self.peer.as_deref()),
            ("client", self.client.as_deref()),
            ("route", self.route),
            ("jti_sha256", self.jti_hash.as_deref()),
            ("source", source.as_deref()),
        ];
        let known = known.into_iter().filter_map(|(name, text)| Some((name, text?)));
        known.for_each(|(name, text)| member(&mut line, name, text));
        self.facts.iter().for_each(|(name, text)| member(&mut line, name, text));
        if let Some(count) = self.count {
            // Writing to a `String` cannot fail.
            let _ = write!(line, ",\"count\":{count}");
        }
        line.push_str("}\n");
        line.into_bytes()
    }
}

/// The peer of a connection by its certificate: its SPIFFE identity, or `unnamed` for one without.
#[must_use]
pub fn peer_name(identity: Option<&Identity>) -> Option<String> {
    let name = identity?.name.as_deref();
    let uri = name.and_then(|name| authn::identity::uri_of(name).ok());
    Some(uri.unwrap_or_else(|| "unnamed".to_owned()))
}

/// The time in UTC, to the millisecond (RFC 3339).
fn rfc_3339(time: SystemTime) -> String {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// Adds a member, with a comma where others stand before it.
fn member(line: &mut String, name: &str, text: &str) {
    if !line.ends_with('{') {
        line.push(',');
    }
    line.push('"');
    line.push_str(name);
    line.push_str("\":\"");
    escape(line, text);
    line.push('"');
}

/// Adds a text as the inside of a JSON string, in printable ASCII: whatever a log is shown on, it
/// says nothing to a terminal and begins no line. Where it is cut, three dots stand.
fn escape(line: &mut String, text: &str) {
    let start = line.len();
    for character in text.chars() {
        if line.len() - start >= TEXT_CHARS_MAX {
            line.push_str("...");
            return;
        }
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            ' '..='~' => line.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn parsed(line: &[u8]) -> Value {
        serde_json::from_slice(line).expect("a line of JSON")
    }

    #[test]
    fn a_line_has_the_members_that_are_known() {
        let event = AuditEvent {
            reason: Some("token_expired".into()),
            peer: peer_name(Some(&Identity { name: Some("orders".into()) })),
            client: Some("a\"b\\c\r\n\u{1b}[2J\u{202e}\u{1f600}".into()),
            route: Some("orders.create"),
            jti_hash: Some(authn::jwt::jti_hash("abc")),
            source: Some(([127, 0, 0, 1], 4711).into()),
            ..AuditEvent::new(AuditAction::RequestRefused)
        };
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_042);
        let line = String::from_utf8(event.line(time, "gateway")).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"time":"2023-11-14T22:13:20.042Z","service":"gateway","event":"request","#,
                r#""decision":"refused","reason":"token_expired","#,
                r#""peer":"spiffe://tollgate/orders","#,
                r#""client":"a\"b\\c\u000d\u000a\u001b[2J\u202e\ud83d\ude00","#,
                r#""route":"orders.create","jti_sha256":"ungWv48Bz-pBQUDeXa4iIw","#,
                r#""source":"127.0.0.1:4711"}"#,
                "\n"
            )
        );
        assert_eq!(parsed(line.as_bytes())["client"], *event.client.unwrap());
        assert_eq!(peer_name(Some(&Identity { name: None })).as_deref(), Some("unnamed"));
        assert_eq!(peer_name(None), None);
        let bare = parsed(&AuditEvent::new(AuditAction::Started).line(time, "auth"));
        assert_eq!(bare.as_object().unwrap().len(), 4, "{bare}");
    }

    proptest! {
        #[test]
        fn whatever_a_peer_says_is_one_short_line(client: String, repeat in 1..200usize) {
            let client = client.repeat(repeat);
            let event =
                AuditEvent { client: Some(client), ..AuditEvent::new(AuditAction::TokenRefused) };
            let line = event.line(SystemTime::now(), "auth");
            prop_assert!(line.len() < 600);
            prop_assert!(line[..line.len() - 1].iter().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert!(parsed(&line)["client"].is_string());
        }
    }
}
