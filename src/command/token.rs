//! `tollgate token`: asks the running stack's auth server for an access token, the way any OAuth2
//! client would (RFC 6749, section 4.4).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authn::grant::{RESPONSE_BYTES_MAX, TokenResponse, basic_authorization, request_form};
use authn::material::{CertifiedKey, ClientMaterial, Peers, authorities};
use authn::tls::{ServerTrust, TlsOptions, client_config};
use authn::{Profile, ScopeSet};
use runtime::blocking;
use runtime::url::Url;
use rustls::pki_types::UnixTime;
use zeroize::Zeroizing;

use crate::Failure;
use crate::cli::TokenArgs;
use crate::io::stdout::print;
use crate::process::state::{StackClient, StackFile, StateDir};

/// How long asking may take in all.
const WITHIN: Duration = Duration::from_secs(10);

/// A token is taken to live no longer, whatever its server says: no clock counts to any number.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An access token and how long it lasts.
pub(crate) struct Fetched {
    /// The token.
    pub(crate) value: Zeroizing<String>,
    /// From now until it ends.
    pub(crate) life: Duration,
}

/// Carries out `tollgate token`.
pub(crate) fn command(typed: &TokenArgs) -> Result<u8, Failure> {
    let state = StateDir::open(Path::new(&typed.state))?;
    let scopes = match typed.scope.as_deref() {
        None => ScopeSet::EMPTY,
        Some(text) => scopes(text)?,
    };
    let token = fetch(&state.stack()?, &typed.client, scopes)?;
    print(&Zeroizing::new(format!("{}\n", *token.value)))?;
    Ok(0)
}

fn scopes(text: &str) -> Result<ScopeSet, Failure> {
    ScopeSet::parse(text).map_err(|error| {
        Failure::usage(format!("--scope {text:?} cannot be asked for: {error}.")).because(error)
    })
}

/// Asks the auth server of a running stack for a token.
pub(crate) fn fetch(stack: &StackFile, client: &str, scopes: ScopeSet) -> Result<Fetched, Failure> {
    let known = stack.clients.iter().find(|known| known.name == client).ok_or_else(|| {
        let names: Vec<&str> = stack.clients.iter().map(|known| known.name.as_str()).collect();
        Failure::usage(format!("There is no client {client:?}; there are: {}.", names.join(", ")))
    })?;
    let secret = known.secret.as_deref().ok_or_else(|| {
        Failure::failed(format!(
            "{client} is a public client: it has no secret and cannot ask for a token by itself."
        ))
    })?;
    let secret = Zeroizing::new(read(secret)?);
    let secret = std::str::from_utf8(&secret)
        .map_err(|_| Failure::failed(format!("The secret of {client} is not text.")))?;
    let base = stack.services.iter().find(|s| matches!(s.name.as_str(), "auth" | "all"));
    let base = base.ok_or_else(|| Failure::failed("The running stack has no auth server."))?;
    let url = Url::parse(&format!("{}/oauth2/token", base.url)).map_err(Failure::of)?;
    let basic = basic_authorization(client, secret.trim());
    let fields: [(&str, &[u8]); 2] = [
        ("Authorization", basic.as_bytes()),
        ("Content-Type", b"application/x-www-form-urlencoded"),
    ];
    let tls = tls(stack, known)?;
    let form = request_form(scopes);
    let answer =
        blocking::request(&url, tls, "POST", &fields, form.as_bytes(), WITHIN, RESPONSE_BYTES_MAX)
            .map_err(|error| {
                Failure::failed(format!("Could not ask {} for a token: {error}", base.url))
                    .because(error)
            })?;
    if answer.status != 200 {
        return Err(Failure::failed(format!(
            "The auth server refused (status {}): {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )));
    }
    let token = TokenResponse::parse(&answer.body).map_err(Failure::of)?;
    Ok(Fetched { value: token.token, life: token.ttl.min(LIFE_MAX) })
}

fn tls(
    stack: &StackFile,
    client: &StackClient,
) -> Result<Option<Arc<rustls::ClientConfig>>, Failure> {
    let profile = Profile::parse(&stack.profile).map_err(Failure::of)?;
    let now = UnixTime::now();
    let material = ClientMaterial {
        roots: authorities(&read(&stack.ca)?, Peers::Servers, now)
            .map_err(|error| {
                Failure::failed(format!("{}: {error}.", stack.ca.display())).because(error)
            })?
            .valid,
        identity: Some(
            CertifiedKey::from_pem(&read(&client.cert)?, &read(&client.key)?)
                .map_err(Failure::of)?,
        ),
    };
    client_config(&material, profile.transport, &TlsOptions::default(), &ServerTrust::Path)
        .map_err(Failure::of)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::failed(format!("Could not read {}: {error}.", path.display())).because(error)
    })
}
