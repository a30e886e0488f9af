//! What an OAuth2 server responds to a token request (RFC 6749 sections 5.1 and 5.2). The server is
//! anybody's, so it is read as leniently as its meaning is clear: of a grant only the token itself
//! must be there. It refuses tokens of a type that we cannot send, and to show any of them.

use crate::traffic::error::ContextError;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The longest token response that is read, in bytes: tokens of a few kilobytes come with others
/// beside them (`id_token`, `refresh_token`).
pub(super) const TOKEN_RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// A token is taken to live no longer than this, whatever the server says: a time that no clock
/// can count to must not end a run.
pub(super) const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a token is taken to live whose server does not say: `expires_in` is optional.
pub(super) const LIFE_UNKNOWN: Duration = Duration::from_secs(300);

/// The members of a response. Each is read when it is asked for, so that one that is odd (a number
/// beyond all bounds, a nest of arrays) costs the others nothing.
type Members = BTreeMap<String, Box<RawValue>>;

/// The most characters of a server's own words that are repeated.
const QUOTED_CHARS_MAX: usize = 200;

/// A token that was granted.
pub(super) struct Granted {
    pub(super) token: Zeroizing<String>,
    /// How long it is taken to live.
    pub(super) life: Duration,
    /// What was odd about the response, as a sentence.
    pub(super) doubt: Option<String>,
}

/// Reads the body of a good response.
pub(super) fn granted(body: &[u8]) -> Result<Granted, ContextError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let members: Members = serde_json::from_slice(body)
        .map_err(|_| "the token response is no JSON object".to_owned())?;
    let token = match value(&members, "access_token") {
        Some(Value::String(token)) => Zeroizing::new(token),
        _ => {
            let reason = reason(&members);
            return Err(format!("the token response holds no `access_token` text{reason}").into());
        }
    };
    // RFC 6749 section 7.1: a client must not use a token whose type it does not know.
    match value(&members, "token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.trim().eq_ignore_ascii_case("Bearer") => {}
        Some(other) => {
            let other = printable(&other.to_string());
            return Err(format!("the token is of type {other}, and only Bearer can be sent").into());
        }
    }
    // It goes into a field line as it is.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let sentence = "the `access_token` is empty or holds blanks, control characters or \
                        letters beyond ASCII: it cannot be sent";
        return Err(sentence.into());
    }
    let (life, doubt) = life(members.get("expires_in").map(|raw| raw.get()));
    Ok(Granted { token, life, doubt })
}

/// What a server says about its refusal, in brackets, if it does.
pub(super) fn refusal(body: &[u8]) -> String {
    serde_json::from_slice(body).map_or_else(|_| String::new(), |members| reason(&members))
}

/// A member, as far as it can be read.
fn value(members: &Members, key: &str) -> Option<Value> {
    serde_json::from_str(members.get(key)?.get()).ok()
}

fn reason(members: &Members) -> String {
    let text = |key: &str| value(members, key)?.as_str().map(printable);
    match (text("error"), text("error_description")) {
        (Some(error), Some(description)) => format!(" ({error}: {description})"),
        (Some(error), None) => format!(" ({error})"),
        _ => String::new(),
    }
}

/// Seconds as a number, whole or not, or as a text that holds one. A time that is over, or none,
/// says as little as a member that is missing.
fn life(raw: Option<&str>) -> (Duration, Option<String>) {
    let raw = raw.unwrap_or("null");
    let seconds = match serde_json::from_str(raw) {
        Ok(Value::Null) => return (LIFE_UNKNOWN, None),
        Ok(Value::Number(number)) => number.as_f64(),
        Ok(Value::String(text)) => text.trim().parse().ok(),
        Ok(_) => None,
        // A number that no float holds: infinite, or nothing.
        Err(_) => raw.parse().ok(),
    };
    match seconds.filter(|seconds: &f64| *seconds > 0.0) {
        Some(seconds) => (Duration::from_secs_f64(seconds.min(LIFE_MAX.as_secs_f64())), None),
        None => {
            let doubt = format!(
                "the token response says {} for `expires_in`, which is no time from now: the \
                 token is renewed as if it lived {} s",
                printable(raw),
                LIFE_UNKNOWN.as_secs()
            );
            (LIFE_UNKNOWN, Some(doubt))
        }
    }
}

/// What a stranger's server says goes to a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The life of a token whose response holds these members too.
    fn lives(members: &str) -> (u64, bool) {
        let json = format!(r#"{{"access_token":"abc","token_type":"Bearer"{members}}}"#);
        let granted = granted(json.as_bytes()).unwrap();
        assert_eq!(granted.token.as_str(), "abc");
        (granted.life.as_millis() as u64, granted.doubt.is_some())
    }

    #[test]
    fn any_lifetime_a_server_states_is_a_time_to_renew() {
        let (unknown, most) = (LIFE_UNKNOWN.as_millis() as u64, LIFE_MAX.as_millis() as u64);
        for (members, life) in [
            ("", (unknown, false)),
            (r#","expires_in":null"#, (unknown, false)),
            (r#","expires_in":90"#, (90_000, false)),
            (r#","expires_in":89.5"#, (89_500, false)),
            (r#","expires_in":"90""#, (90_000, false)),
            (r#","expires_in":" 1e2 ""#, (100_000, false)),
            (r#","expires_in":9223372036854775807"#, (most, false)),
            (r#","expires_in":18446744073709551616"#, (most, false)),
            (r#","expires_in":1e300"#, (most, false)),
            (r#","expires_in":1e400"#, (most, false)),
            (r#","expires_in":-1e400"#, (unknown, true)),
            (r#","expires_in":"inf""#, (most, false)),
            (r#","expires_in":0"#, (unknown, true)),
            (r#","expires_in":-5"#, (unknown, true)),
            (r#","expires_in":"NaN""#, (unknown, true)),
            (r#","expires_in":"soon""#, (unknown, true)),
            (r#","expires_in":{"s":1}"#, (unknown, true)),
        ] {
            assert_eq!(lives(members), life, "{members}");
        }
    }

    #[test]
    fn what_stands_beside_the_token_is_ignored() {
        for json in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","token_type":"bEARER","scope":["x"],"id_token":7,"e":{}}"#,
            "\u{feff}\r\n {\"token_type\": \"Bearer\", \"access_token\": \"a\"}\n",
        ] {
            assert_eq!(granted(json.as_bytes()).unwrap().token.as_str(), "a", "{json}");
        }
    }

    #[test]
    fn a_response_without_a_token_names_what_is_wrong() {
        for (json, part) in [
            ("", "no JSON object"),
            ("[]", "no JSON object"),
            ("access_token=a&token_type=Bearer", "no JSON object"),
            (r#"{"token":"a"}"#, "access_token"),
            (r#"{"access_token":1}"#, "access_token"),
            (r#"{"error":"invalid_scope","error_description":"no"}"#, "(invalid_scope: no)"),
            (r#"{"access_token":"sesame","token_type":"DPoP"}"#, "\"DPoP\""),
            (r#"{"access_token":""}"#, "empty"),
            (r#"{"access_token":"sesame open"}"#, "blanks"),
            (r#"{"access_token":"sesame\r\nX: y"}"#, "control characters"),
        ] {
            let said = granted(json.as_bytes()).err().unwrap().to_string();
            assert!(said.contains(part) && !said.contains("sesame"), "{json}: {said}");
        }
    }

    #[test]
    fn refusals_are_read_and_made_harmless() {
        let body = br#"{"error":"invalid_client","error_description":"no\u001b[2Jsuch"}"#;
        assert_eq!(refusal(body), " (invalid_client: no[2Jsuch)");
        assert_eq!(refusal(b"<html>"), "");
    }

    proptest! {
        #[test]
        fn any_body_is_a_token_or_a_sentence(body: Vec<u8>, expires in "\\PC*") {
            let _ = granted(&body);
            let json = serde_json::json!({"access_token": "a", "expires_in": expires});
            let life = granted(json.to_string().as_bytes()).unwrap().life;
            prop_assert!(life <= LIFE_MAX);
        }
    }
}
