//! The settings of a service: each with its meaning, default and unit, after the command line was
//! read. It owns defaults and the rules between settings; it opens no file. Settings that only one
//! service has stand in its [`ServiceRole`].
//!
//! It refuses combinations that would be unsafe without having been asked for: plain HTTP beyond
//! loopback, to be served or to be called.

pub mod audit;
mod auth;
pub mod error;
pub(crate) mod files;
mod gateway;
pub mod kind;
mod orders;
mod outbound;
mod role;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authn::jwt::{LEEWAY_DEFAULT, TTL_MAX_DEFAULT};
use authn::{Expected, Profile, TokenCheck, Transport};
use runtime::DriverChoice;
use runtime::url::Url;

use crate::config::audit::AuditConfig;
use crate::config::error::ServeError;
use crate::config::kind::ServiceKind;
use crate::route::BODY_BYTES_MAX;

pub use self::auth::AuthConfig;
pub use self::gateway::GatewayConfig;
pub use self::orders::{OrderStoreConfig, OrdersConfig};
pub use self::outbound::OutboundConfig;
pub use self::role::{AllConfig, InventoryConfig, ServiceRole};

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

/// The limits of the service's listeners that can be set from outside; `None` keeps the default of
/// [`runtime::ServerLimits`], where each has its meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitOverrides {
    /// Connections open at a time, over all cores.
    pub connections_max: Option<usize>,
    /// Bytes of memory for bodies on one core.
    pub body_memory_bytes_max: Option<usize>,
    /// Bytes per second that a peer must move while it is waited for; 0 asks for none.
    pub bytes_per_s_min: Option<u32>,
    /// How much of such time they are counted over.
    pub rate_window: Option<Duration>,
    /// Connections of the admin listener open at a time.
    pub admin_connections_max: Option<usize>,
}

/// The most audiences: each is compared with those of every token that is verified.
const AUDIENCES_MAX: usize = 16;

/// What [`ServiceConfig::token_ttl_max`] may be. Tokens are remembered for so long, and what is
/// revoked as well.
const TOKEN_TTL_MAX_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

/// All settings of a service.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Which service, with the settings that only this one has.
    pub role: ServiceRole,
    /// What it asks of its callers.
    pub profile: Profile,
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
    /// Which certificates may bring whose tokens, TOML; what is built in if `None`.
    pub client_certificates: Option<PathBuf>,
    /// Where verification keys come from; the authorization server's JWK set if `None`.
    pub jwks: Option<KeySource>,
    /// The issuer that tokens must name; for `auth` the issuer it is.
    pub issuer: Option<String>,
    /// The audiences of which tokens must name one; `auth` issues for the first.
    pub audiences: Vec<String>,
    /// The longest life of a token that is accepted: its `exp` less its `iat`.
    pub token_ttl_max: Duration,
    /// Whether verified tokens are remembered.
    pub token_cache: bool,
    /// Verified tokens remembered on each core.
    pub token_cache_entries: usize,
    /// Seconds that clocks may differ when a token's times are compared.
    pub leeway: Duration,
    /// Whether TLS sessions may be resumed. A resumed session skips the certificate checks.
    pub resumption: bool,
    /// How long a drain may take before connections are cut.
    pub drain: Duration,
    /// Permits plain HTTP beyond loopback.
    pub allow_insecure: bool,
    /// Ends the service when its standard input closes, so that it does not outlive its parent.
    pub exit_with_stdin: bool,
    /// Whether the steps of requests are timed, which costs each of them a little.
    pub stage_timing: bool,
    /// Listener limits.
    pub limits: LimitOverrides,
    /// The audit log.
    pub audit: AuditConfig,
}

impl ServiceConfig {
    /// Default for [`ServiceConfig::audiences`].
    pub const AUDIENCE: &'static str = "tollgate";
    /// Default for [`ServiceConfig::token_cache_entries`]: a token and its facts take about 1 KiB.
    pub const TOKEN_CACHE_ENTRIES: usize = 4_096;
    /// Default for [`ServiceConfig::drain`].
    pub const DRAIN: Duration = Duration::from_secs(10);

    /// A service on its default loopback ports with nothing else overridden than its role says.
    #[must_use]
    pub fn new(role: impl Into<ServiceRole>, profile: Profile) -> ServiceConfig {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let role = role.into();
        ServiceConfig {
            listen: loopback(role.kind().port()),
            admin: loopback(role.kind().admin_port()),
            role,
            profile,
            state: None,
            workers: None,
            cores: None,
            driver: DriverChoice::Auto,
            server_cert: None,
            server_key: None,
            client_ca: None,
            crl: None,
            client_certificates: None,
            jwks: None,
            issuer: None,
            audiences: vec![ServiceConfig::AUDIENCE.to_string()],
            token_ttl_max: TTL_MAX_DEFAULT,
            token_cache: true,
            token_cache_entries: ServiceConfig::TOKEN_CACHE_ENTRIES,
            leeway: LEEWAY_DEFAULT,
            resumption: false,
            drain: ServiceConfig::DRAIN,
            allow_insecure: false,
            exit_with_stdin: false,
            stage_timing: false,
            limits: LimitOverrides::default(),
            audit: AuditConfig::default(),
        }
    }

    /// Which service it is.
    #[must_use]
    pub fn kind(&self) -> ServiceKind {
        self.role.kind()
    }

    /// The profile spoken towards other services.
    #[must_use]
    pub fn upstream(&self) -> Profile {
        self.role.outbound().and_then(|outbound| outbound.profile).unwrap_or(self.profile)
    }

    /// The issuer tokens must name: as given, else the default authorization server's address.
    #[must_use]
    pub fn issuer(&self) -> String {
        let scheme = if self.profile.transport == Transport::Plain { "http" } else { "https" };
        let port = match self.kind() {
            // The process that is the issuer knows its own port.
            ServiceKind::Auth | ServiceKind::All if self.listen.port() != 0 => self.listen.port(),
            ServiceKind::All => ServiceKind::All.port(),
            _ => ServiceKind::Auth.port(),
        };
        self.issuer.clone().unwrap_or_else(|| format!("{scheme}://localhost:{port}"))
    }

    /// What tokens must say here.
    #[must_use]
    pub fn expected(&self) -> Expected {
        Expected {
            issuer: self.issuer(),
            audiences: self.audiences.clone(),
            leeway: self.leeway,
            ttl_max: self.token_ttl_max,
        }
    }

    /// Whether keys or tokens are fetched from the authorization server at all.
    #[must_use]
    pub fn calls_auth(&self) -> bool {
        self.profile.token != TokenCheck::Ignore || self.upstream().token != TokenCheck::Ignore
    }

    /// Whether this service calls any other, and so needs what it takes to trust one.
    #[must_use]
    pub fn calls_others(&self) -> bool {
        let keys_from_afar = self.profile.token != TokenCheck::Ignore
            && matches!(self.key_source(), KeySource::Url(_));
        match self.kind() {
            // These verify what they issue, and call nobody.
            ServiceKind::Auth | ServiceKind::All => false,
            _ => keys_from_afar || self.role.upstreams().next().is_some(),
        }
    }

    /// The authorization server's base address, without a slash at the end.
    #[must_use]
    pub fn auth_base(&self) -> String {
        let base = self.role.auth().map_or_else(|| self.issuer(), str::to_string);
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
            (None, None) => Err(ServeError::config(format!(
                "{} needs {flag} FILE, or --state DIR with {in_state} in it",
                self.kind().name()
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
            return Err(ServeError::config(format!(
                "profile {} speaks plain HTTP and {} is not a loopback address: choose a profile \
                 with TLS (S1 to S5), listen on 127.0.0.1, or insist with --allow-insecure",
                self.profile.label(),
                self.listen
            )));
        }
        if let Some((option, address)) = self.plain_calls().first().filter(|_| !self.allow_insecure)
        {
            return Err(ServeError::config(format!(
                "{option} {address} is plain HTTP to an address that is not loopback: give an \
                 https address, one on 127.0.0.1, or insist with --allow-insecure"
            )));
        }
        if self.token_cache && self.token_cache_entries == 0 {
            return Err(ServeError::config(
                "--token-cache-entries must be 1 or more; --token-cache off means no cache",
            ));
        }
        self.check_tokens()?;
        self.check_limits()?;
        self.audit.check()?;
        self.role.check()
    }

    fn check_tokens(&self) -> Result<(), ServeError> {
        if self.audiences.len() > AUDIENCES_MAX || self.audiences.iter().any(String::is_empty) {
            return Err(ServeError::config(format!(
                "--audience takes a name and stands at most {AUDIENCES_MAX} times"
            )));
        }
        if !TOKEN_TTL_MAX_RANGE.contains(&self.token_ttl_max) {
            return Err(ServeError::config("--token-ttl-max must be from 1s to 720h (30 days)"));
        }
        let issued = self.role.issuing().map(|auth| auth.token_ttl);
        if issued.is_some_and(|ttl| ttl > self.token_ttl_max) {
            return Err(ServeError::config(
                "--token-ttl-s is longer than --token-ttl-max, so that no service would accept \
                 a token that is issued here; lower the one or raise the other",
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
        let orders = matches!(self.role, ServiceRole::Orders(_));
        let token = orders && self.upstream().token != TokenCheck::Ignore;
        let asked = (keys || token)
            && self.role.auth().is_none()
            && !matches!(self.role, ServiceRole::Auth(_) | ServiceRole::All(_));
        let others = [
            ("--auth", self.role.auth()),
            ("--jwks", jwks.map(String::as_str)),
            ("--issuer", self.issuer.as_deref().filter(|_| asked)),
        ];
        let others = others.into_iter().filter_map(|(option, address)| Some((option, address?)));
        let plain = self.upstream().transport == Transport::Plain;
        let is_exposed = |address: &str| match Url::parse(address) {
            Ok(url) => !url.is_tls() && !url.is_loopback(),
            // Without a scheme it gets the profile's; faults are reported where it is used.
            Err(_) => {
                plain && Url::parse(&format!("http://{address}")).is_ok_and(|u| !u.is_loopback())
            }
        };
        let given = self.role.upstreams().chain(others);
        given.filter(|(_, address)| is_exposed(address)).collect()
    }

    fn check_limits(&self) -> Result<(), ServeError> {
        // Under TLS a body is read beside its plaintext.
        let tls = self.profile.transport != Transport::Plain;
        let least = if tls { 2 * BODY_BYTES_MAX } else { BODY_BYTES_MAX };
        if self.limits.body_memory_bytes_max.is_some_and(|bytes| bytes < least) {
            return Err(ServeError::config(format!(
                "--body-memory must be {least} bytes or more, or one body of {BODY_BYTES_MAX} \
                 would find no room"
            )));
        }
        not_zero("--connections-max", self.limits.connections_max)
    }

    /// Warnings for the operator about this configuration.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let (label, service) = (self.profile.label(), self.kind().name());
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

/// Refuses a limit that would let nobody in.
fn not_zero(flag: &str, max: Option<usize>) -> Result<(), ServeError> {
    match max {
        Some(0) => Err(ServeError::config(format!(
            "{flag} must be 1 or more; with 0 nobody would be served"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type With = fn(&str) -> ServiceConfig;

    /// Every option that holds an address, on a service that uses it.
    const ADDRESSES: [(&str, With); 6] = [
        ("--orders", |a| {
            strict(GatewayConfig { orders: Some(a.into()), ..GatewayConfig::default() })
        }),
        ("--inventory", |a| strict(OrdersConfig::new(a))),
        ("--results", |a| {
            strict(GatewayConfig { results: Some(a.into()), ..GatewayConfig::default() })
        }),
        ("--auth", |a| {
            strict(InventoryConfig { auth: Some(a.into()), ..InventoryConfig::default() })
        }),
        ("--jwks", |a| ServiceConfig {
            jwks: Some(KeySource::parse(a)),
            ..strict(InventoryConfig::default())
        }),
        ("--issuer", |a| ServiceConfig {
            issuer: Some(a.into()),
            ..strict(InventoryConfig::default())
        }),
    ];

    /// A service under the strictest profile.
    fn strict(role: impl Into<ServiceRole>) -> ServiceConfig {
        ServiceConfig::new(role, Profile::parse("S5").unwrap())
    }

    #[test]
    fn plain_http_beyond_loopback_needs_allow_insecure() {
        let exposed = ["http://192.0.2.1:8445", "http://orders.internal", "http://[2001:db8::1]/"];
        let safe =
            ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://192.0.2.1"];
        for (option, with) in ADDRESSES {
            for address in exposed {
                let mut config = with(address);
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
                let config = with(address);
                config.check().unwrap();
                assert_eq!(config.warnings(), [""; 0], "{option} {address}");
            }
        }
    }

    #[test]
    fn an_address_without_a_scheme_has_the_profiles() {
        for (profile, refused) in [("S0", true), ("S5", false)] {
            let outbound = OutboundConfig {
                profile: Some(Profile::parse(profile).unwrap()),
                ..OutboundConfig::default()
            };
            let orders = Some("192.0.2.1:8445".into());
            let config = strict(GatewayConfig { orders, outbound, ..GatewayConfig::default() });
            assert_eq!(config.check().is_err(), refused, "{profile}");
        }
    }

    #[test]
    fn audiences_and_lives_of_tokens_have_bounds() {
        let with = |audiences: &[&str], ttl_max_s, ttl_s| {
            let token_ttl = Duration::from_secs(ttl_s);
            let mut config = strict(AuthConfig { token_ttl, ..AuthConfig::default() });
            config.audiences = audiences.iter().map(|name| (*name).to_owned()).collect();
            config.token_ttl_max = Duration::from_secs(ttl_max_s);
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(with(&["a", "b"], 86_400, 86_400), Ok(()));
        assert_eq!(with(&["a"; 16], 1, 1), Ok(()));
        assert_eq!(with(&["a"], 30 * 86_400, 900), Ok(()));
        let table = [
            (with(&["a", ""], 86_400, 900), "--audience"),
            (with(&["a"; 17], 86_400, 900), "--audience"),
            (with(&["a"], 0, 900), "--token-ttl-max must be"),
            (with(&["a"], 30 * 86_400 + 1, 900), "--token-ttl-max must be"),
            (with(&["a"], 60, 61), "--token-ttl-s is longer than --token-ttl-max"),
        ];
        for (refused, said) in table {
            assert!(refused.as_ref().is_err_and(|error| error.contains(said)), "{refused:?}");
        }
    }

    #[test]
    fn an_issuer_that_is_never_called_is_only_a_name() {
        let issuer = Some("http://issuer.example".to_string());
        let auth = Some("https://192.0.2.1".into());
        let mut config = strict(InventoryConfig { auth, ..InventoryConfig::default() });
        config.issuer = issuer.clone();
        config.check().unwrap();
        config.role = InventoryConfig::default().into();
        config.jwks = Some(KeySource::parse("keys.json"));
        config.check().unwrap();
        let mut own = strict(AuthConfig::default());
        own.issuer = issuer;
        own.check().unwrap();
    }
}
