//! The token of `tollgate run`: given, or fetched from an OAuth2 token endpoint by client
//! credentials (RFC 6749 section 4.4) and renewed before it ends, on a thread of its own, so that
//! no request waits for it, and neither does the end of a run. It refuses to show a secret, also to
//! `Debug`.

use std::fmt;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use authn::grant::basic_authorization;
use runtime::blocking;
use runtime::url::Url;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::token_response::{Granted, TOKEN_RESPONSE_BYTES_MAX, granted, refusal};
use crate::command::run::RunError;
use crate::traffic::error::ContextError;
use crate::traffic::tokens::Tokens;
use crate::traffic::trust::Trust;

/// A token is renewed when four fifths of its life are over, but not more often than this.
const RENEW_MIN: Duration = Duration::from_secs(1);

/// What goes into Authorization.
#[derive(Clone, Default)]
pub enum AuthorizationSource {
    /// Nothing.
    #[default]
    None,
    /// This token.
    Token(Zeroizing<String>),
    /// A token from an OAuth2 token endpoint.
    Client(Arc<ClientCredentials>),
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
    /// Further parameters of the request, in order; see
    /// [`crate::plan::targets::check_token_params`].
    pub params: Vec<(String, String)>,
}

impl AuthorizationSource {
    /// A warning where the client's secret goes over a network that anybody may listen on.
    pub fn clear_text_warning(&self) -> Option<String> {
        let AuthorizationSource::Client(client) = self else { return None };
        let url = &client.token_url;
        let host = url.host.as_str();
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        // RFC 6761 section 6.3: these names are this machine's.
        let local_name = host == "localhost" || host.ends_with(".localhost");
        let is_loopback = ip.map_or(local_name, |ip| ip.is_loopback());
        (!url.is_tls() && !is_loopback).then(|| {
            format!(
                "WARNING: the secret of {} and its tokens go to {} in clear text, where anybody on \
                 the way can read them: use an https:// token URL.",
                client.client_id,
                url.host_field()
            )
        })
    }
}

impl fmt::Debug for AuthorizationSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthorizationSource::None => out.write_str("None"),
            AuthorizationSource::Token(_) => out.write_str("Token(..)"),
            AuthorizationSource::Client(client) => {
                write!(out, "Client({} at {})", client.client_id, client.token_url.host)
            }
        }
    }
}

/// What went wrong with renewing, as sentences.
type Warnings = Arc<Mutex<Vec<String>>>;

/// A token that is kept fresh on a thread of its own for as long as this lives.
pub struct KeptToken {
    tokens: Tokens,
    warnings: Warnings,
    /// Its drop ends the thread, which may still wait for an endpoint and is not waited for.
    _over: Option<Sender<()>>,
}

impl KeptToken {
    /// Gets the first token, within this time in all.
    ///
    /// # Errors
    /// What was wrong with the credentials, or why none was given for them.
    pub fn open(
        credentials: &AuthorizationSource,
        trust: &Trust,
        within: Duration,
    ) -> Result<KeptToken, RunError> {
        let warnings = Warnings::default();
        let client = match credentials {
            AuthorizationSource::None => {
                return Ok(KeptToken { tokens: Tokens::none(), warnings, _over: None });
            }
            AuthorizationSource::Token(token) => {
                let tokens = Tokens::one(checked(token)?);
                return Ok(KeptToken { tokens, warnings, _over: None });
            }
            AuthorizationSource::Client(client) => Arc::clone(client),
        };
        let tls = client.token_url.is_tls().then(|| trust.config()).transpose()?;
        let renewal = Renewal { client, tls, within, warnings: Arc::clone(&warnings) };
        let (token, life) = renewal.fetch().map_err(RunError::Token)?;
        let tokens = Tokens::one(token.as_str());
        let (over, ended) = channel();
        let kept = tokens.clone();
        thread::Builder::new()
            .name("token".into())
            .spawn(move || renewal.keep_fresh(&kept, life, &ended))
            .map_err(|error| RunError::Token(ContextError::at("no thread for the token", error)))?;
        Ok(KeptToken { tokens, warnings, _over: Some(over) })
    }

    /// Whether a text is a bearer token, line ends and blanks around it aside.
    ///
    /// # Errors
    /// What it is instead, as far as that can be told.
    pub fn check(text: &str) -> Result<(), RunError> {
        checked(text).map(drop)
    }

    /// The handle that requests are filled in from.
    pub fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }

    /// What went wrong with renewing, as sentences.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Renewal {
    client: Arc<ClientCredentials>,
    tls: Option<Arc<ClientConfig>>,
    /// How long asking for a token may take in all.
    within: Duration,
    warnings: Warnings,
}

impl Renewal {
    /// Renews the token until the other end of `over` is gone.
    fn keep_fresh(&self, tokens: &Tokens, first_life: Duration, over: &Receiver<()>) {
        let mut wait = before_the_end(first_life);
        while over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match self.fetch() {
                Ok((token, life)) => {
                    tokens.replace([token.as_str().into()]);
                    before_the_end(life)
                }
                Err(sentence) => {
                    self.warn(format!("the token could not be renewed: {sentence}"));
                    RENEW_MIN
                }
            };
        }
    }

    fn fetch(&self) -> Result<(Zeroizing<String>, Duration), ContextError> {
        let Granted { token, life, doubt } = fetch(&self.client, self.tls.clone(), self.within)?;
        doubt.into_iter().for_each(|doubt| self.warn(doubt));
        Ok((token, life))
    }

    /// The first of many is enough.
    fn warn(&self, sentence: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.is_empty() {
            warnings.push(sentence);
        }
    }
}

/// When a token is renewed. Its life is at most [`super::token_response::LIFE_MAX`].
fn before_the_end(life: Duration) -> Duration {
    (life * 4 / 5).max(RENEW_MIN)
}

/// A token goes into a field line as it is, so it must be one by the grammar of RFC 6750 section
/// 2.1, whatever the file was made with. Of what stands around it only line ends and blanks go.
fn checked(text: &str) -> Result<&str, RunError> {
    let token = text.trim_matches(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    let letters = token.trim_end_matches('=');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !letters.is_empty() && letters.bytes().all(known) {
        return Ok(token);
    }
    let found = match token {
        "" => "it is empty",
        _ if token.starts_with('\u{feff}') => "it begins with a byte order mark: save it without",
        _ if token.contains('\0') => "it holds NUL bytes: save it as plain ASCII text",
        _ if token.contains(['\n', '\r']) => "it has several lines",
        _ if token.starts_with(['{', '[']) => "it is JSON: take out the value of access_token",
        _ if token.starts_with(['"', '\'']) => "it is in quotes: print it without (`jq -r`)",
        _ if token.contains([' ', '\t']) => "it holds blanks: leave out `Bearer` and the like",
        _ => "it holds another character",
    };
    Err(RunError::Token(ContextError::new(format!(
        "the file of the token must hold one bearer token and nothing else, and {found}. A token \
         has letters, digits and -._~+/ with = at its end (RFC 6750 section 2.1); credentials of \
         another kind go into a file for -H @FILE"
    ))))
}

fn fetch(
    client: &ClientCredentials,
    tls: Option<Arc<ClientConfig>>,
    within: Duration,
) -> Result<Granted, ContextError> {
    let url = &client.token_url;
    let from = format!("no token from {}://{}", url.scheme.as_str(), url.host_field());
    let basic = basic_authorization(&client.client_id, &client.secret);
    let fields: [(&str, &[u8]); 3] = [
        ("Authorization", basic.as_bytes()),
        ("Content-Type", b"application/x-www-form-urlencoded"),
        ("Accept", b"application/json"),
    ];
    let form = form(client.scope.as_deref(), &client.params);
    let body_max = TOKEN_RESPONSE_BYTES_MAX;
    let answer =
        blocking::request_leniently(url, tls, "POST", &fields, form.as_bytes(), within, body_max)
            .map_err(|error| match error {
            blocking::Error::TooLarge => ContextError::new(format!(
                "{from}: the token response is larger than {} KiB",
                body_max / 1024
            ))
            .because(error),
            error => ContextError::at(&from, error),
        })?;
    let body = Zeroizing::new(answer.body);
    match answer.status {
        200..=299 => granted(&body).map_err(|error| error.about(&from)),
        status => Err(format!("{from}: status {status}{}", refusal(&body)).into()),
    }
}

fn form(scope: Option<&str>, params: &[(String, String)]) -> String {
    let mut form = "grant_type=client_credentials".to_owned();
    let scope = scope.map(|scope| ("scope", scope));
    let params = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in scope.into_iter().chain(params) {
        // Names are letters that mean themselves.
        form.extend(["&", name, "="]);
        for byte in value.bytes() {
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
    use crate::command::run::token_response::LIFE_MAX;

    #[test]
    fn scopes_and_parameters_are_encoded_as_a_form() {
        assert_eq!(form(None, &[]), "grant_type=client_credentials");
        assert_eq!(
            form(Some("orders.read api://x/&y"), &[]),
            "grant_type=client_credentials&scope=orders.read+api%3A%2F%2Fx%2F%26y"
        );
        let params =
            [("resource", "a=b"), ("resource", "\u{e9}")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(
            form(Some("s"), &params),
            "grant_type=client_credentials&scope=s&resource=a%3Db&resource=%C3%A9"
        );
    }

    #[test]
    fn a_secret_in_clear_text_is_warned_of_outside_loopback() {
        for (url, warned) in [
            ("http://issuer.example/t", true),
            ("http://192.0.2.1:8080/t", true),
            ("http://[2001:db8::1]/t", true),
            ("http://127.0.0.1.example/t", true),
            ("https://issuer.example/t", false),
            ("http://127.0.0.9:1/t", false),
            ("http://[::1]:1/t", false),
            ("http://localhost:1/t", false),
        ] {
            let credentials = AuthorizationSource::Client(Arc::new(ClientCredentials {
                token_url: Url::parse(url).unwrap(),
                client_id: "bench".into(),
                secret: Zeroizing::new("sesame".into()),
                scope: None,
                params: Vec::new(),
            }));
            let said = credentials.clear_text_warning();
            assert_eq!(said.is_some(), warned, "{url}");
            assert!(!said.unwrap_or_default().contains("sesame"));
        }
        assert_eq!(AuthorizationSource::None.clear_text_warning(), None);
    }

    #[test]
    fn a_token_is_taken_whole() {
        for (text, token) in
            [(" abc.def\n", "abc.def"), ("a-._~+/9==\r\n", "a-._~+/9=="), ("abc\n\n", "abc")]
        {
            assert_eq!(checked(text).unwrap(), token);
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_refused_with_the_cause_and_without_the_secret() {
        for (text, cause) in [
            ("", "empty"),
            (" \r\n", "empty"),
            ("\"sesame\"\n", "quotes"),
            ("'sesame'", "quotes"),
            ("{\"access_token\":\"sesame\"}\n", "JSON"),
            ("{\n\"access_token\": \"sesame\"\n}", "lines"),
            ("[\"sesame\"]", "JSON"),
            ("sesame.\nsesame\n", "lines"),
            ("sesame\rsesame", "lines"),
            ("Bearer sesame\n", "`Bearer`"),
            ("Authorization: Bearer sesame", "`Bearer`"),
            ("\u{feff}sesame", "byte order mark"),
            ("s\0e\0s\0a\0m\0e\0", "NUL"),
            ("sesame=open", "another character"),
            ("==", "another character"),
            ("ses\u{e4}me", "another character"),
            ("sesame\u{a0}", "another character"),
        ] {
            let said = checked(text).unwrap_err().to_string();
            assert!(said.contains(cause) && !said.contains("sesame"), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        assert_eq!(before_the_end(Duration::from_secs(300)), Duration::from_secs(240));
        assert_eq!(before_the_end(Duration::ZERO), RENEW_MIN);
        assert_eq!(before_the_end(LIFE_MAX), LIFE_MAX * 4 / 5);
    }
}
