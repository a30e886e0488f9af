//! What a service is told to be: every setting with its meaning, default and unit, after the
//! command line was read. It owns defaults and the rules between settings; it opens no file.
//!
//! It refuses combinations that would be unsafe without having been asked for: plain HTTP beyond
//! loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use authn::{Algorithm, Profile, TokenCheck, Transport};
use runtime::DriverChoice;

use crate::error::ServeError;
use crate::kind::ServiceKind;
use crate::route::BODY_BYTES_MAX;

/// Where verification keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file with a JWK set; read again when a token names a key that is not in it.
    File(PathBuf),
    /// An `http` or `https` address of a JWK set.
    Url(String),
}

impl KeySource {
    /// An address if it looks like one, else a file.
    #[must_use]
    pub fn parse(text: &str) -> KeySource {
        if text.starts_with("https://") || text.starts_with("http://") {
            KeySource::Url(text.to_string())
        } else {
            KeySource::File(PathBuf::from(text))
        }
    }
}

/// The limits of the service's listener and of its calls to upstreams; `None` keeps the runtime's
/// default.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitOverrides {
    /// Connections open at a time, over all cores.
    pub connections_max: Option<usize>,
    /// For a whole request head, from its first byte.
    pub head_ms: Option<u64>,
    /// For each wait for more of a body; for all of it where no rate is demanded.
    pub body_ms: Option<u64>,
    /// Between requests.
    pub idle_ms: Option<u64>,
    /// For a TLS handshake.
    pub handshake_ms: Option<u64>,
    /// For each wait for the peer to take an answer.
    pub write_ms: Option<u64>,
    /// Bytes of a request body.
    pub body_bytes_max: Option<u64>,
    /// Bytes of memory for bodies on one core.
    pub body_memory_bytes_max: Option<usize>,
    /// Bytes per second that a peer must move while it is waited for; 0 asks for none.
    pub bytes_per_s_min: Option<u32>,
    /// How much of such time they are counted over.
    pub rate_window_ms: Option<u32>,
    /// gateway: connections of one address open at a time, over all cores.
    pub address_connections_max: Option<usize>,
    /// gateway: requests of one address in flight at a time, over all cores.
    pub address_requests_max: Option<usize>,
    /// Connections of the admin listener open at a time.
    pub admin_connections_max: Option<usize>,
    /// Connections of one core to one upstream.
    pub upstream_connections_max: Option<usize>,
    /// For an upstream's response to begin, and for each further piece of it.
    pub upstream_response_ms: Option<u64>,
}

/// Everything a service is told.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Which service.
    pub service: ServiceKind,
    /// What it asks of its callers.
    pub profile: Profile,
    /// What it speaks towards the services it calls; the same profile if `None`.
    pub upstream_profile: Option<Profile>,
    /// The listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The state directory, from which every file below has its default.
    pub state: Option<PathBuf>,
    /// Worker threads; one for each usable core if `None`.
    pub workers: Option<usize>,
    /// The cores to pin to.
    pub cores: Option<Vec<usize>>,
    /// Which I/O driver may be used.
    pub driver: DriverChoice,
    /// The server's certificate chain, PEM. Also its client certificate towards other services.
    pub server_cert: Option<PathBuf>,
    /// The private key of `server_cert`, PEM.
    pub server_key: Option<PathBuf>,
    /// The CA of client certificates and of other services' certificates, PEM.
    pub client_ca: Option<PathBuf>,
    /// A revocation list of that CA, PEM.
    pub crl: Option<PathBuf>,
    /// Where verification keys come from; the authorization server's JWK set if `None`.
    pub jwks: Option<KeySource>,
    /// The issuer that tokens must name; for `auth` the issuer it is.
    pub issuer: Option<String>,
    /// The audience that tokens must name.
    pub audience: String,
    /// The authorization server's base address for keys and tokens; the issuer if `None`.
    pub auth: Option<String>,
    /// Whether verified tokens are remembered.
    pub token_cache: bool,
    /// Verified tokens remembered on each core.
    pub token_cache_entries: usize,
    /// Seconds that clocks may differ when a token's times are compared.
    pub leeway_s: u64,
    /// Whether TLS sessions may be resumed. A resumed session skips the certificate checks.
    pub resumption: bool,
    /// How long a drain may take before connections are cut.
    pub drain_ms: u64,
    /// Permits plain HTTP beyond loopback.
    pub allow_insecure: bool,
    /// Ends the service when its standard input closes, so that it does not outlive its parent.
    pub exit_with_stdin: bool,
    /// Whether the steps of requests are timed, which costs each of them a little.
    pub stage_timing: bool,
    /// Listener limits.
    pub limits: LimitOverrides,
    /// gateway: the orders service's base address.
    pub orders: Option<String>,
    /// gateway and orders: the inventory service's base address.
    pub inventory: Option<String>,
    /// gateway: the results service's base address.
    pub results: Option<String>,
    /// auth: which algorithm signs tokens.
    pub token_alg: Algorithm,
    /// auth: how long a token is valid.
    pub token_ttl_s: u64,
    /// orders: the file with the secret of its own client, `service-order`.
    pub client_secret: Option<PathBuf>,
    /// orders: how many orders are kept, the newest.
    pub orders_retained: usize,
    /// inventory: stock at the start, over the built-in one.
    pub stock: Vec<(String, u64)>,
}

impl ServiceConfig {
    /// What orders says when nobody told it where to reserve.
    pub(crate) const NO_INVENTORY: &'static str =
        "orders reserves at the inventory service; give --inventory URL";
    /// Default for [`ServiceConfig::audience`].
    pub const AUDIENCE: &'static str = "tollgate";
    /// Default for [`ServiceConfig::token_cache_entries`]: a token and its facts take about 1 KiB.
    pub const TOKEN_CACHE_ENTRIES: usize = 4_096;
    /// Default for [`ServiceConfig::drain_ms`].
    pub const DRAIN_MS: u64 = 10_000;
    /// Default for [`ServiceConfig::token_ttl_s`]: a stolen token is of use for this long.
    pub const TOKEN_TTL_S: u64 = 900;
    /// Default for [`ServiceConfig::orders_retained`].
    pub const ORDERS_RETAINED: usize = 1_000_000;

    /// A service on its default loopback ports with nothing overridden.
    #[must_use]
    pub fn new(service: ServiceKind, profile: Profile) -> ServiceConfig {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        ServiceConfig {
            service,
            profile,
            upstream_profile: None,
            listen: loopback(service.port()),
            admin: loopback(service.admin_port()),
            state: None,
            workers: None,
            cores: None,
            driver: DriverChoice::Auto,
            server_cert: None,
            server_key: None,
            client_ca: None,
            crl: None,
            jwks: None,
            issuer: None,
            audience: ServiceConfig::AUDIENCE.to_string(),
            auth: None,
            token_cache: true,
            token_cache_entries: ServiceConfig::TOKEN_CACHE_ENTRIES,
            leeway_s: 5,
            resumption: false,
            drain_ms: ServiceConfig::DRAIN_MS,
            allow_insecure: false,
            exit_with_stdin: false,
            stage_timing: false,
            limits: LimitOverrides::default(),
            orders: None,
            inventory: None,
            results: None,
            token_alg: Algorithm::Es256,
            token_ttl_s: ServiceConfig::TOKEN_TTL_S,
            client_secret: None,
            orders_retained: ServiceConfig::ORDERS_RETAINED,
            stock: Vec::new(),
        }
    }

    /// The profile spoken towards other services.
    #[must_use]
    pub fn upstream(&self) -> Profile {
        self.upstream_profile.unwrap_or(self.profile)
    }

    /// The issuer tokens must name: as given, else the default authorization server's address.
    #[must_use]
    pub fn issuer(&self) -> String {
        let scheme = if self.profile.transport == Transport::Plain { "http" } else { "https" };
        let port = match self.service {
            // The process that is the issuer knows its own port.
            ServiceKind::Auth | ServiceKind::All if self.listen.port() != 0 => self.listen.port(),
            ServiceKind::All => ServiceKind::All.port(),
            _ => ServiceKind::Auth.port(),
        };
        self.issuer.clone().unwrap_or_else(|| format!("{scheme}://localhost:{port}"))
    }

    /// Whether keys or tokens are fetched from the authorization server at all.
    #[must_use]
    pub fn calls_auth(&self) -> bool {
        self.profile.token != TokenCheck::Ignore || self.upstream().token != TokenCheck::Ignore
    }

    /// Whether this service calls any other, and so needs what it takes to trust one.
    #[must_use]
    pub fn calls_others(&self) -> bool {
        let upstreams = [&self.orders, &self.inventory, &self.results];
        let keys_from_afar = self.profile.token != TokenCheck::Ignore
            && matches!(self.key_source(), KeySource::Url(_));
        match self.service {
            // These verify what they issue, and call nobody.
            ServiceKind::Auth | ServiceKind::All => false,
            _ => keys_from_afar || upstreams.iter().any(|upstream| upstream.is_some()),
        }
    }

    /// The authorization server's base address, without a slash at the end.
    #[must_use]
    pub fn auth_base(&self) -> String {
        let base = self.auth.clone().unwrap_or_else(|| self.issuer());
        base.trim_end_matches('/').to_string()
    }

    /// Where verification keys come from.
    #[must_use]
    pub fn key_source(&self) -> KeySource {
        let own = || KeySource::Url(format!("{}/.well-known/jwks.json", self.auth_base()));
        self.jwks.clone().unwrap_or_else(own)
    }

    /// A file of the state directory, or the sentence that says how to name it.
    ///
    /// # Errors
    /// When neither the flag nor a state directory was given.
    pub fn file(
        &self,
        given: Option<&Path>,
        flag: &str,
        in_state: &str,
    ) -> Result<PathBuf, ServeError> {
        match (given, &self.state) {
            (Some(path), _) => Ok(path.to_path_buf()),
            (None, Some(state)) => Ok(state.join(in_state)),
            (None, None) => Err(ServeError::Config(format!(
                "{} needs {flag} FILE, or --state DIR with {in_state} in it",
                self.service.name()
            ))),
        }
    }

    /// Checks the rules between settings.
    ///
    /// # Errors
    /// The first rule that is broken, as a sentence that says what to do.
    pub fn check(&self) -> Result<(), ServeError> {
        let insecure = self.profile.transport == Transport::Plain;
        if insecure && !self.listen.ip().is_loopback() && !self.allow_insecure {
            return Err(ServeError::Config(format!(
                "profile {} speaks plain HTTP and {} is not a loopback address: choose a profile \
                 with TLS (S1 to S5), listen on 127.0.0.1, or insist with --allow-insecure",
                self.profile.label(),
                self.listen
            )));
        }
        if self.service == ServiceKind::Orders && self.inventory.is_none() {
            return Err(ServeError::Config(ServiceConfig::NO_INVENTORY.into()));
        }
        if self.token_cache && self.token_cache_entries == 0 {
            return Err(ServeError::Config(
                "--token-cache-entries must be 1 or more; --token-cache off means no cache".into(),
            ));
        }
        self.check_limits()?;
        if self.token_ttl_s == 0 || self.token_ttl_s > 86_400 {
            return Err(ServeError::Config(
                "a token's time to live must be between 1 second and 86400 (a day)".into(),
            ));
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ServeError> {
        // Under TLS a body is read beside its plaintext.
        let tls = self.profile.transport != Transport::Plain;
        let least = if tls { 2 * BODY_BYTES_MAX } else { BODY_BYTES_MAX };
        if self.limits.body_memory_bytes_max.is_some_and(|bytes| bytes < least) {
            return Err(ServeError::Config(format!(
                "--body-memory must be {least} bytes or more, or one body of {BODY_BYTES_MAX} \
                 would find no room"
            )));
        }
        for (flag, max) in [
            ("--connections-max", self.limits.connections_max),
            ("--connections-per-address", self.limits.address_connections_max),
            ("--requests-per-address", self.limits.address_requests_max),
        ] {
            if max == Some(0) {
                let text = format!("{flag} must be 1 or more; with 0 nobody would be served");
                return Err(ServeError::Config(text));
            }
        }
        Ok(())
    }

    /// What the operator must be told loudly about this configuration.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let (label, service) = (self.profile.label(), self.service.name());
        if self.profile.transport == Transport::Plain {
            all.push(format!(
                "profile {label}: {service} on {} speaks PLAIN HTTP; anyone on the path reads and \
                 changes everything. It is a baseline for measuring, never for use",
                self.listen
            ));
            if self.profile.token != TokenCheck::Ignore {
                all.push(format!(
                    "profile {label}: access tokens travel UNENCRYPTED; whoever sees one can use it"
                ));
            }
        }
        if self.resumption && self.profile.transport == Transport::Mutual {
            all.push(format!(
                "profile {label} with --resumption: a resumed session's client certificate is NOT \
                 checked again for revocation or expiry"
            ));
        }
        if !self.admin.ip().is_loopback() {
            all.push(format!(
                "the admin listener {} is reachable from outside and asks for no credentials",
                self.admin
            ));
        }
        all
    }
}
