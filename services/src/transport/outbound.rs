//! How this service calls others: which transport, which certificate it shows, whom it trusts.
//!
//! It owns the reading of addresses and the agreement between an address's scheme and the profile.
//! It refuses an address whose scheme the profile does not speak: what is called S3 must not
//! quietly call its upstream in plain HTTP.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authn::Transport;
use authn::material::ClientMaterial;
use authn::tls::{ServerTrust, TlsOptions, client_config};
use runtime::UpstreamConfig;
use runtime::blocking::{self, Response};
use runtime::url::{Url, UrlError};
use rustls::ClientConfig;

use crate::config::error::{RefreshError, ServeError};
use crate::config::files;
use crate::config::{KeySource, OutboundConfig, ServiceConfig};
use crate::transport::inbound::{authorities, own_certificate};
use crate::transport::resolve::Resolved;

/// The largest JWK set that is asked for; the reader's own limit is lower.
const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Longest a call of a background thread may take in all.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// The means to call other services.
#[derive(Debug, Clone)]
pub struct Outbound {
    transport: Transport,
    tls: Option<Arc<ClientConfig>>,
    settings: OutboundConfig,
}

impl Outbound {
    /// Reads the files that calling others takes under this configuration.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: &ServiceConfig) -> Result<Outbound, ServeError> {
        let transport = config.upstream().transport;
        let tls = if config.calls_others() { tls(config)? } else { None };
        let settings = config.role.outbound().cloned().unwrap_or_default();
        Ok(Outbound { transport, tls, settings })
    }

    /// A caller for background threads. Its address may be of either scheme.
    ///
    /// # Errors
    /// When the address is not one.
    pub fn caller(&self, address: &str) -> Result<Caller, ServeError> {
        let url = parse(address)?;
        Ok(Caller { url, tls: self.tls.clone() })
    }

    /// What an upstream at `address` is reached with. An address without a scheme gets the
    /// profile's.
    ///
    /// # Errors
    /// When the address is not one, does not resolve, or its scheme is not the profile's.
    pub fn upstream(&self, flag: &str, address: &str) -> Result<UpstreamConfig, ServeError> {
        let (tls, scheme) = match self.transport {
            Transport::Plain => (false, "http"),
            Transport::Tls | Transport::Mutual => (true, "https"),
        };
        let named = format!("{flag} {address}");
        let fault = |error: UrlError| ServeError::config_of(&named, error);
        let url = if address.contains("://") {
            Url::parse(address)
        } else {
            Url::parse(&format!("{scheme}://{address}"))
        };
        let url = url.map_err(fault)?;
        if url.is_tls() != tls {
            return Err(ServeError::config(format!(
                "{named}: the profile towards upstreams speaks {scheme}; give an {scheme} address \
                 or another --upstream-profile"
            )));
        }
        if url.target != "/" {
            return Err(ServeError::config(format!(
                "{named}: paths go on as they are; give only scheme, host and port"
            )));
        }
        let addrs = url.resolve().map_err(fault)?;
        let mut upstream = UpstreamConfig::new(addrs.clone(), url.host_field());
        if url.host.parse::<IpAddr>().is_err() {
            let (name, asked) = (url.host.clone(), url.clone());
            let look_up = move || asked.resolve().map_err(RefreshError::from);
            let resolved = Resolved::keep(name, addrs, self.settings.resolve_interval, look_up)
                .map_err(ServeError::start)?;
            upstream.addrs = Arc::new(resolved);
        }
        let settings = &self.settings;
        upstream.connections_max = settings.connections_max.unwrap_or(upstream.connections_max);
        upstream.response_timeout = settings.response_timeout.unwrap_or(upstream.response_timeout);
        if tls && let Some(config) = &self.tls {
            let name = url.server_name().map_err(fault)?;
            upstream.tls = Some((Arc::clone(config), name));
        }
        Ok(upstream)
    }
}

/// TLS towards others, where anything is called by TLS.
fn tls(config: &ServiceConfig) -> Result<Option<Arc<ClientConfig>>, ServeError> {
    // Keys and tokens may come from an https issuer even where services speak plain HTTP.
    let auth_by_tls = config.auth_base().starts_with("https://")
        || matches!(config.key_source(), KeySource::Url(url) if url.starts_with("https://"));
    let transport = match config.upstream().transport {
        Transport::Plain if auth_by_tls && config.calls_auth() => Transport::Tls,
        Transport::Plain => return Ok(None),
        transport @ (Transport::Tls | Transport::Mutual) => transport,
    };
    let identity = match transport {
        Transport::Mutual => Some(own_certificate(config)?),
        Transport::Plain | Transport::Tls => None,
    };
    let material = ClientMaterial { roots: authorities(config)?, identity };
    let options = TlsOptions { resumption: config.resumption };
    client_config(&material, transport, &options, &ServerTrust::Path)
        .map_err(|error| ServeError::config_of("TLS towards other services", error))
}

fn parse(address: &str) -> Result<Url, ServeError> {
    Url::parse(address)
        .map_err(|error| ServeError::config_of(&format!("{address} is not an address"), error))
}

/// One address, called by a background thread over a connection of its own.
#[derive(Debug, Clone)]
pub struct Caller {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
}

impl Caller {
    /// The address, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.url.to_string()
    }

    /// A `GET`.
    ///
    /// # Errors
    /// When there is no response; the deadline is five seconds in all.
    pub fn get(&self, body_bytes_max: usize) -> Result<Response, CallError> {
        self.request("GET", &[("accept", b"application/json")], &[], body_bytes_max)
    }

    /// A `POST` of a form.
    ///
    /// # Errors
    /// As of [`Caller::get`].
    pub fn post_form(
        &self,
        authorization: &str,
        form: &[u8],
        body_bytes_max: usize,
    ) -> Result<Response, CallError> {
        let fields: [(&str, &[u8]); 3] = [
            ("authorization", authorization.as_bytes()),
            ("content-type", b"application/x-www-form-urlencoded"),
            ("accept", b"application/json"),
        ];
        self.request("POST", &fields, form, body_bytes_max)
    }

    fn request(
        &self,
        method: &str,
        fields: &[(&str, &[u8])],
        body: &[u8],
        body_bytes_max: usize,
    ) -> Result<Response, CallError> {
        let tls = self.tls.clone();
        blocking::request(&self.url, tls, method, fields, body, CALL_DEADLINE, body_bytes_max)
            .map_err(|cause| CallError { url: self.url.clone(), cause })
    }
}

/// Why a call of a background thread has no response.
#[derive(Debug)]
pub struct CallError {
    /// What was called.
    url: Url,
    cause: blocking::Error,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be called: {}", self.url, self.cause)
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<CallError> for RefreshError {
    fn from(error: CallError) -> RefreshError {
        RefreshError::of("", error)
    }
}

/// What reads a JWK set from its source, for
/// [`KeyRing::keep`](crate::refresh::keys::KeyRing::keep).
///
/// # Errors
/// When the source's address is not one.
pub fn key_fetcher(
    source: KeySource,
    outbound: &Outbound,
) -> Result<impl FnMut() -> Result<Vec<u8>, RefreshError> + Send + 'static, ServeError> {
    enum OpenedKeySource {
        File(PathBuf),
        Address(Caller),
    }
    let opened = match source {
        KeySource::File(path) => OpenedKeySource::File(path),
        KeySource::Url(address) => OpenedKeySource::Address(outbound.caller(&address)?),
    };
    Ok(move || match &opened {
        OpenedKeySource::File(path) => files::read(path).map_err(RefreshError::from),
        OpenedKeySource::Address(caller) => fetch_keys(caller),
    })
}

fn fetch_keys(caller: &Caller) -> Result<Vec<u8>, RefreshError> {
    let response = caller.get(JWKS_BYTES_MAX)?;
    if response.status != 200 {
        let (address, status) = (caller.address(), response.status);
        return Err(RefreshError::new(format!(
            "no verification keys: {address} answered {status}"
        )));
    }
    Ok(response.body)
}
