//! The token of `tollgate run`: given, or fetched from an OAuth2 token endpoint by client
//! credentials (RFC 6749 section 4.4) and renewed before it ends, on a thread of its own, so that
//! no request waits for it. It refuses to show a secret, also to `Debug`.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use authn::grant::{RESPONSE_BYTES_MAX, TokenResponse, basic_authorization};
use runtime::{blocking, url::Url};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::{
    run::{RunError, Trust},
    tokens::Tokens,
};

/// A token is renewed when four fifths of its life are over, but not more often than this.
const RENEW_MIN: Duration = Duration::from_secs(1);

/// What goes into Authorization.
#[derive(Default)]
pub enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// This token.
    Token(Zeroizing<String>),
    /// A token from an OAuth2 token endpoint.
    Client(ClientCredentials),
}

/// OAuth2 client credentials.
pub struct ClientCredentials {
    /// The token endpoint.
    pub token_url: Url,
    /// The client.
    pub client_id: String,
    /// Its secret, sent by HTTP Basic (RFC 6749 section 2.3.1).
    pub secret: Zeroizing<String>,
    /// Scopes separated by spaces; none for what the client has by default.
    pub scope: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::None => out.write_str("None"),
            Credentials::Token(_) => out.write_str("Token(..)"),
            Credentials::Client(client) => {
                write!(out, "Client({} at {})", client.client_id, client.token_url.host)
            }
        }
    }
}

/// Where a run's tokens come from.
pub(super) struct Source<'a> {
    tokens: Tokens,
    client: Option<Renewal<'a>>,
    warnings: Mutex<Vec<String>>,
    /// How long asking for a token may take in all.
    within: Duration,
}

struct Renewal<'a> {
    credentials: &'a ClientCredentials,
    tls: Option<Arc<ClientConfig>>,
    first_life: Duration,
}

impl<'a> Source<'a> {
    /// Gets the first token.
    pub(super) fn open(
        credentials: &'a Credentials,
        trust: &Trust,
        within: Duration,
    ) -> Result<Source<'a>, RunError> {
        let (tokens, client) = match credentials {
            Credentials::None => (Tokens::none(), None),
            Credentials::Token(token) => (Tokens::one(checked(token)?), None),
            Credentials::Client(client) => {
                let tls = client.token_url.is_tls().then(|| trust.config()).transpose()?;
                let (token, first_life) =
                    fetch(client, tls.clone(), within).map_err(RunError::Token)?;
                let renewal = Renewal { credentials: client, tls, first_life };
                (Tokens::one(token.as_str()), Some(renewal))
            }
        };
        Ok(Source { tokens, client, warnings: Mutex::new(Vec::new()), within })
    }

    /// The handle that requests are filled in from.
    pub(super) fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }

    /// What went wrong with renewing, as sentences.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Renews the token until the other end of `over` is gone.
    pub(super) fn keep_fresh(&self, over: &Receiver<()>) {
        let Some(renewal) = &self.client else { return };
        let mut wait = before_the_end(renewal.first_life);
        while over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match fetch(renewal.credentials, renewal.tls.clone(), self.within) {
                Ok((token, life)) => {
                    self.tokens.replace([token.as_str().into()]);
                    before_the_end(life)
                }
                Err(sentence) => {
                    let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
                    if warnings.is_empty() {
                        warnings.push(format!("the token could not be renewed: {sentence}"));
                    }
                    RENEW_MIN
                }
            };
        }
    }
}

/// A token that is kept fresh on a thread of its own for as long as this lives.
pub struct KeptToken {
    tokens: Tokens,
    /// Its drop ends the thread.
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl KeptToken {
    /// Gets the first token, within this time in all.
    ///
    /// # Errors
    /// What was wrong with the credentials, or why none was given for them.
    pub fn open(
        credentials: Credentials,
        trust: Trust,
        within: Duration,
    ) -> Result<KeptToken, RunError> {
        let (over, unneeded) = channel();
        let (opened, first) = channel();
        let work = move || {
            let source = match Source::open(&credentials, &trust, within) {
                Ok(source) => source,
                // Whoever asked waits for one answer.
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(source.tokens())).is_ok() {
                source.keep_fresh(&unneeded);
            }
        };
        let thread = thread::Builder::new()
            .name("token".into())
            .spawn(work)
            .map_err(|error| RunError::Token(format!("no thread for the token: {error}")))?;
        let ended = |_| RunError::Token("the thread of the token ended".into());
        let tokens = first.recv().map_err(ended)??;
        Ok(KeptToken { tokens, over: Some(over), thread: Some(thread) })
    }

    /// The handle that requests are filled in from.
    pub fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }
}

impl Drop for KeptToken {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn before_the_end(life: Duration) -> Duration {
    (life * 4 / 5).max(RENEW_MIN)
}

/// A token goes into a header line as it is, so it must not hold what ends one.
fn checked(token: &str) -> Result<&str, RunError> {
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RunError::Token(
            "the token is empty or holds spaces or control characters: give the token alone, \
             without `Bearer`"
                .into(),
        ));
    }
    Ok(token)
}

fn fetch(
    client: &ClientCredentials,
    tls: Option<Arc<ClientConfig>>,
    within: Duration,
) -> Result<(Zeroizing<String>, Duration), String> {
    let url = &client.token_url;
    let from = format!("no token from {}://{}", url.scheme.as_str(), url.host_field());
    let basic = basic_authorization(&client.client_id, &client.secret);
    let fields: [(&str, &[u8]); 3] = [
        ("Authorization", basic.as_bytes()),
        ("Content-Type", b"application/x-www-form-urlencoded"),
        ("Accept", b"application/json"),
    ];
    let form = form(client.scope.as_deref());
    let answer =
        blocking::request(url, tls, "POST", &fields, form.as_bytes(), within, RESPONSE_BYTES_MAX)
            .map_err(|error| format!("{from}: {error}"))?;
    if answer.status != 200 {
        return Err(format!("{from}: status {}{}", answer.status, reason(&answer.body)));
    }
    let body = Zeroizing::new(answer.body);
    let response = TokenResponse::parse(&body).map_err(|error| format!("{from}: {error}"))?;
    Ok((response.token, Duration::from_secs(response.ttl_s)))
}

/// What an authorization server says about its refusal (RFC 6749 section 5.2), if it does.
fn reason(body: &[u8]) -> String {
    let error = serde_json::from_slice::<serde_json::Value>(body).ok();
    let text = |key: &str| error.as_ref()?.get(key)?.as_str().map(printable);
    match (text("error"), text("error_description")) {
        (Some(error), Some(description)) => format!(" ({error}: {description})"),
        (Some(error), None) => format!(" ({error})"),
        _ => String::new(),
    }
}

/// What a stranger's server says goes to a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn form(scope: Option<&str>) -> String {
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(scope) = scope {
        form.push_str("&scope=");
        for byte in scope.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    form.push(char::from(byte));
                }
                b' ' => form.push('+'),
                _ => form.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_encoded_as_a_form() {
        assert_eq!(form(None), "grant_type=client_credentials");
        assert_eq!(
            form(Some("orders.read api://x/&y")),
            "grant_type=client_credentials&scope=orders.read+api%3A%2F%2Fx%2F%26y"
        );
    }

    #[test]
    fn a_token_is_one_line_without_its_scheme() {
        assert_eq!(checked(" abc.def\n").unwrap(), "abc.def");
        for wrong in ["", "  ", "Bearer abc", "a\r\nb"] {
            assert!(checked(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn refusals_are_read_and_made_harmless() {
        let body = br#"{"error":"invalid_client","error_description":"no\u001b[2Jsuch"}"#;
        assert_eq!(reason(body), " (invalid_client: no[2Jsuch)");
        assert_eq!(reason(b"<html>"), "");
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        assert_eq!(before_the_end(Duration::from_secs(300)), Duration::from_secs(240));
        assert_eq!(before_the_end(Duration::ZERO), RENEW_MIN);
    }
}
