//! What a service is told to be: every setting with its meaning, default and unit, after the
//! command line was read. It owns defaults and the rules between settings; it opens no file.
//!
//! It refuses combinations that would be unsafe without having been asked for: plain HTTP beyond
//! loopback, to be served or to be called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authn::{Algorithm, Profile, TokenCheck, Transport};
use runtime::DriverChoice;
use runtime::url::Url;

use crate::error::ServeError;
use crate::kind::ServiceKind;
use crate::route::BODY_BYTES_MAX;

/// Idempotency keys that may be remembered: one for each share, to some 1 GiB of memory.
const IDEMPOTENCY_KEYS_RANGE: RangeInclusive<usize> = 4..=10_000_000;

/// How long they may be remembered.
const IDEMPOTENCY_TTL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

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
    /// gateway: fields of clients that go to upstreams although others of their kind do not.
    pub forward_fields: Vec<String>,
    /// gateway and orders: how often the names of upstreams are looked up again; zero is only when
    /// no connection can be made.
    pub resolve_interval: Duration,
    /// gateway: whether upstreams are sent each client's certificate (RFC 9440).
    pub client_cert_field: bool,
    /// auth: which algorithm signs tokens.
    pub token_alg: Algorithm,
    /// auth: how long a token is valid.
    pub token_ttl_s: u64,
    /// orders: the file with the secret of its own client, `service-order`.
    pub client_secret: Option<PathBuf>,
    /// orders: how many orders are kept, the newest.
    pub orders_retained: usize,
    /// orders: how many idempotency keys are remembered; a quarter of them are one client's share.
    pub idempotency_keys: usize,
    /// orders: how long a finished idempotency key is remembered.
    pub idempotency_ttl: Duration,
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
    /// Default for [`ServiceConfig::resolve_interval`]: what name servers let others keep is seldom
    /// shorter.
    pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
    /// Default for [`ServiceConfig::idempotency_keys`]: of four busy clients 40 orders a second
    /// each for ten minutes.
    pub const IDEMPOTENCY_KEYS: usize = 100_000;
    /// Default for [`ServiceConfig::idempotency_ttl`]: longer than any client's retries go on.
    pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(600);
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
            forward_fields: Vec::new(),
            resolve_interval: ServiceConfig::RESOLVE_INTERVAL,
            client_cert_field: false,
            token_alg: Algorithm::Es256,
            token_ttl_s: ServiceConfig::TOKEN_TTL_S,
            client_secret: None,
            orders_retained: ServiceConfig::ORDERS_RETAINED,
            idempotency_keys: ServiceConfig::IDEMPOTENCY_KEYS,
            idempotency_ttl: ServiceConfig::IDEMPOTENCY_TTL,
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
        if let Some((option, address)) = self.plain_calls().first().filter(|_| !self.allow_insecure)
        {
            return Err(ServeError::Config(format!(
                "{option} {address} is plain HTTP to an address that is not loopback: give an \
                 https address, one on 127.0.0.1, or insist with --allow-insecure"
            )));
        }
        if self.service == ServiceKind::Orders && self.inventory.is_none() {
            return Err(ServeError::Config(ServiceConfig::NO_INVENTORY.into()));
        }
        let certificate = |name: &String| name.to_ascii_lowercase().starts_with("client-cert");
        if self.client_cert_field && self.forward_fields.iter().any(certificate) {
            return Err(ServeError::Config(
                "--forward-field lets clients claim a certificate, which --client-cert-field sends \
                 itself; give one of the two"
                    .into(),
            ));
        }
        let interval = self.resolve_interval;
        if !interval.is_zero() && interval < Duration::from_secs(1) {
            return Err(ServeError::Config(
                "--resolve-interval must be 1s or more; 0s looks names up again only when no \
                 connection can be made"
                    .into(),
            ));
        }
        if self.token_cache && self.token_cache_entries == 0 {
            return Err(ServeError::Config(
                "--token-cache-entries must be 1 or more; --token-cache off means no cache".into(),
            ));
        }
        if !IDEMPOTENCY_KEYS_RANGE.contains(&self.idempotency_keys) {
            return Err(ServeError::Config(format!(
                "--idempotency-keys must be between {} and {}, not {}",
                IDEMPOTENCY_KEYS_RANGE.start(),
                IDEMPOTENCY_KEYS_RANGE.end(),
                self.idempotency_keys
            )));
        }
        if !IDEMPOTENCY_TTL_RANGE.contains(&self.idempotency_ttl) {
            return Err(ServeError::Config(
                "--idempotency-ttl must be between 1 second and 24 hours".into(),
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

    /// What would be called in plain HTTP beyond loopback: the option and its address.
    fn plain_calls(&self) -> Vec<(&'static str, &str)> {
        let jwks = match &self.jwks {
            Some(KeySource::Url(url)) => Some(url),
            Some(KeySource::File(_)) | None => None,
        };
        // The issuer is a name, until keys or tokens are asked for there.
        let keys = self.profile.token != TokenCheck::Ignore && self.jwks.is_none();
        let token = self.service == ServiceKind::Orders;
        let token = token && self.upstream().token != TokenCheck::Ignore;
        let asked = (keys || token)
            && self.auth.is_none()
            && !matches!(self.service, ServiceKind::Auth | ServiceKind::All);
        let named = [
            ("--orders", self.orders.as_ref()),
            ("--inventory", self.inventory.as_ref()),
            ("--results", self.results.as_ref()),
            ("--auth", self.auth.as_ref()),
            ("--jwks", jwks),
            ("--issuer", self.issuer.as_ref().filter(|_| asked)),
        ];
        let plain = self.upstream().transport == Transport::Plain;
        let is_exposed = |address: &str| match Url::parse(address) {
            Ok(url) => !url.is_tls() && !url.is_loopback(),
            // Without a scheme it gets the profile's; faults are told where it is used.
            Err(_) => {
                plain && Url::parse(&format!("http://{address}")).is_ok_and(|u| !u.is_loopback())
            }
        };
        let given = named.into_iter().filter_map(|(option, address)| Some((option, address?)));
        given.map(|(o, a)| (o, a.as_str())).filter(|(_, address)| is_exposed(address)).collect()
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
        for (option, address) in self.plain_calls() {
            all.push(format!(
                "profile {label}: {service} calls {option} {address} in PLAIN HTTP; anyone on the \
                 path reads and changes everything, tokens and verification keys too"
            ));
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

#[cfg(test)]
mod tests {
    use super::*;

    type Set = fn(&mut ServiceConfig, &str);

    /// Every option that holds an address, on a service that uses it.
    const ADDRESSES: [(&str, ServiceKind, Set); 6] = [
        ("--orders", ServiceKind::Gateway, |c, a| c.orders = Some(a.into())),
        ("--inventory", ServiceKind::Orders, |c, a| c.inventory = Some(a.into())),
        ("--results", ServiceKind::Gateway, |c, a| c.results = Some(a.into())),
        ("--auth", ServiceKind::Inventory, |c, a| c.auth = Some(a.into())),
        ("--jwks", ServiceKind::Inventory, |c, a| c.jwks = Some(KeySource::parse(a))),
        ("--issuer", ServiceKind::Inventory, |c, a| c.issuer = Some(a.into())),
    ];

    fn config(service: ServiceKind, profile: &str) -> ServiceConfig {
        let mut config = ServiceConfig::new(service, Profile::parse(profile).unwrap());
        config.inventory = (service == ServiceKind::Orders).then(|| "127.0.0.1:1".into());
        config
    }

    #[test]
    fn plain_http_beyond_loopback_is_called_only_by_those_who_insist() {
        let exposed = ["http://192.0.2.1:8445", "http://orders.internal", "http://[2001:db8::1]/"];
        let safe =
            ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://192.0.2.1"];
        for (option, service, set) in ADDRESSES {
            for address in exposed {
                let mut config = config(service, "S5");
                set(&mut config, address);
                let refused = config.check().unwrap_err().to_string();
                let named = refused.contains(&format!("{option} {address}"));
                assert!(named && refused.contains("--allow-insecure"), "{refused}");
                config.allow_insecure = true;
                config.check().unwrap();
                let warnings = config.warnings().join("\n");
                assert!(
                    warnings.contains(address) && warnings.contains("PLAIN HTTP"),
                    "{warnings}"
                );
            }
            for address in safe {
                let mut config = config(service, "S5");
                set(&mut config, address);
                config.check().unwrap();
                assert_eq!(config.warnings(), [""; 0], "{option} {address}");
            }
        }
    }

    #[test]
    fn an_address_without_a_scheme_has_the_profiles() {
        for (profile, refused) in [("S0", true), ("S5", false)] {
            let mut config = config(ServiceKind::Gateway, "S5");
            config.upstream_profile = Some(Profile::parse(profile).unwrap());
            config.orders = Some("192.0.2.1:8445".into());
            assert_eq!(config.check().is_err(), refused, "{profile}");
        }
    }

    #[test]
    fn an_issuer_that_is_never_asked_is_only_a_name() {
        let mut config = config(ServiceKind::Inventory, "S5");
        config.issuer = Some("http://issuer.example".into());
        config.auth = Some("https://192.0.2.1".into());
        config.check().unwrap();
        (config.auth, config.jwks) = (None, Some(KeySource::parse("keys.json")));
        config.check().unwrap();
        let mut own = ServiceConfig::new(ServiceKind::Auth, Profile::parse("S5").unwrap());
        own.issuer = Some("http://issuer.example".into());
        own.check().unwrap();
    }
}
