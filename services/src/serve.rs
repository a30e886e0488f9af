//! Starts a service from its configuration and ends it in good order: checks, files, keys,
//! listeners, the ready line, a signal, the drain.
//!
//! It owns the order of a service's life. It refuses to begin listening before every file it needs
//! was read and every address understood, so that what starts also works.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authn::{Profile, Scope, ScopeSet, TokenCache, TokenCheck};
use runtime::process::{Shutdown, exit_when_stdin_closes, raise_file_limit};
use runtime::{Core, CorePlan, DrainReport, Driver, Endpoint, Running, ServerLimits, Upstream};
use serde_json::json;

use crate::admin::{AdminPages, Check};
use crate::all::All;
use crate::auth::{Auth, Issuer};
use crate::config::{LimitOverrides, ServiceConfig, ServiceKind};
use crate::error::ServeError;
use crate::gateway::ping::Ping;
use crate::gateway::{Gateway, Upstreams};
use crate::guard::Guard;
use crate::inbound::server_tls;
use crate::inventory::handler::{self as inventory, InventoryApp};
use crate::keys::{Expected, KeyRing};
use crate::orders::handler as orders;
use crate::orders::stock::Stock;
use crate::outbound::{Outbound, key_fetcher};
use crate::results::{self, Results};
use crate::route::App;
use crate::shell::Shell;
use crate::telemetry::{CoreCounters, Telemetry};
use crate::token::TokenKeeper;

/// As whom orders calls inventory, and what for.
const OWN_CLIENT: (&str, ScopeSet) = ("service-order", ScopeSet::EMPTY.with(Scope::InventoryWrite));

/// A service that listens.
#[derive(Debug)]
pub struct Started {
    running: Running,
    service: ServiceKind,
}

impl Started {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// Where its admin pages are.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.running.admin
    }

    /// The I/O driver in use.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.running.driver
    }

    /// Stops accepting, finishes what is in flight, and cuts what is not finished after `within`.
    pub fn drain(self, within: Duration) -> DrainReport {
        self.running.drain(within)
    }

    /// The line that tells a parent process where the service is.
    fn ready_line(&self) -> String {
        let ready = json!({
            "service": self.service.name(),
            "listen": self.addr().to_string(),
            "admin": self.admin().map(|addr| addr.to_string()),
            "driver": self.driver().as_str(),
            "pid": std::process::id(),
        });
        json!({ "ready": ready }).to_string()
    }
}

/// Runs a service until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// A sentence that says why it did not start, or that the drain had to cut connections.
pub fn serve(config: ServiceConfig) -> Result<(), ServeError> {
    let drain = Duration::from_millis(config.drain_ms);
    let exit_with_stdin = config.exit_with_stdin;
    let mut shutdown = Shutdown::install()
        .map_err(|error| ServeError::Start(format!("signals cannot be taken over: {error}")))?;
    if exit_with_stdin {
        exit_when_stdin_closes().map_err(|error| ServeError::Start(error.to_string()))?;
    }
    if let Err(error) = raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let started = start(config)?;
    // A parent that does not read its end of the pipe must not end the service.
    let _ = writeln!(io::stdout(), "{}", started.ready_line());
    let service = started.service.name();
    let signal = shutdown.wait();
    tracing::info!(service, %signal, "draining");
    let report = started.drain(drain);
    tracing::info!(
        service,
        finished = report.finished,
        cut = report.cut,
        "drained"
    );
    Ok(())
}

/// Starts a service and returns once it listens.
///
/// # Errors
/// A sentence that says why it did not start and what to do.
pub fn start(config: ServiceConfig) -> Result<Started, ServeError> {
    config.check()?;
    for warning in config.warnings() {
        // Not through the log, whose level could hide it.
        eprintln!("WARNING: {warning}");
    }
    match config.service {
        ServiceKind::Auth => start_auth(config),
        ServiceKind::Gateway => start_gateway(config),
        ServiceKind::Orders => start_orders(config),
        ServiceKind::Inventory => start_inventory(config),
        ServiceKind::All => start_all(config),
        ServiceKind::Results => Err(results::cannot_serve()),
    }
}

fn start_auth(config: ServiceConfig) -> Result<Started, ServeError> {
    let issuer = Arc::new(Issuer::load(&config)?);
    let keys = Arc::new(KeyRing::unused());
    launch(config, keys, Vec::new(), move |_core, _counters| {
        Auth::new(Arc::clone(&issuer))
    })
}

fn start_gateway(config: ServiceConfig) -> Result<Started, ServeError> {
    let outbound = Outbound::load(&config)?;
    let upstreams = Upstreams::resolve(&config, &outbound)?;
    let keys = keys(&config, &outbound)?;
    let of_checks = upstreams.clone();
    let checks: Vec<Check> = vec![Box::new(move || of_checks.missing())];
    launch(config, keys, checks, move |core, counters| {
        Gateway::new(core, &upstreams, Arc::clone(counters))
    })
}

fn start_orders(config: ServiceConfig) -> Result<Started, ServeError> {
    let outbound = Outbound::load(&config)?;
    let Some(address) = config.inventory.as_deref() else {
        let text = "orders reserves at the inventory service; give --inventory URL";
        return Err(ServeError::Config(text.to_string()));
    };
    let inventory = outbound.upstream("--inventory", address)?;
    let keys = keys(&config, &outbound)?;
    let token = own_token(&config, &outbound)?;
    let mut checks: Vec<Check> = Vec::new();
    if let Some(keeper) = token.clone() {
        checks.push(Box::new(move || keeper.missing()));
    }
    let shared = orders::Shared::new(config.orders_retained, plan(&config)?.workers());
    launch(config, keys, checks, move |core, _counters| {
        let upstream = Upstream::new(core, inventory.clone());
        shared.app(core.index, Stock::remote(core, upstream, token.clone()))
    })
}

fn start_inventory(config: ServiceConfig) -> Result<Started, ServeError> {
    let outbound = Outbound::load(&config)?;
    let keys = keys(&config, &outbound)?;
    let stock = inventory::open(&config.stock)?;
    launch(config, keys, Vec::new(), move |_core, _counters| {
        InventoryApp::new(Arc::clone(&stock))
    })
}

fn start_all(config: ServiceConfig) -> Result<Started, ServeError> {
    let issuer = Arc::new(Issuer::load(&config)?);
    let keys = match config.profile.token {
        TokenCheck::Ignore => KeyRing::unused(),
        TokenCheck::Verify | TokenCheck::VerifyScopes => KeyRing::own(issuer.verifier()),
    };
    let stock = inventory::open(&config.stock)?;
    let shared = orders::Shared::new(config.orders_retained, plan(&config)?.workers());
    launch(config, Arc::new(keys), Vec::new(), move |core, counters| {
        All {
            ping: Ping::new(Arc::clone(counters)),
            orders: shared.app(core.index, Stock::local(Arc::clone(&stock))),
            inventory: InventoryApp::new(Arc::clone(&stock)),
            auth: Auth::new(Arc::clone(&issuer)),
            results: Results,
        }
    })
}

/// The token with which orders calls inventory, where inventory looks at tokens.
fn own_token(
    config: &ServiceConfig,
    outbound: &Outbound,
) -> Result<Option<Arc<TokenKeeper>>, ServeError> {
    if config.upstream().token == TokenCheck::Ignore {
        return Ok(None);
    }
    let (client, scopes) = OWN_CLIENT;
    let given = config.client_secret.as_deref();
    let secret = config.file(
        given,
        "--client-secret",
        &format!("clients/{client}.secret"),
    )?;
    let keeper = TokenKeeper::start(client, scopes, secret, &config.auth_base(), outbound)?;
    Ok(Some(Arc::new(keeper)))
}

fn plan(config: &ServiceConfig) -> Result<CorePlan, ServeError> {
    CorePlan::new(config.workers, config.cores.as_deref(), config.driver)
        .map_err(|error| ServeError::Start(error.to_string()))
}

/// The keys that a service verifies tokens with: none where it does not look at them.
fn keys(config: &ServiceConfig, outbound: &Outbound) -> Result<Arc<KeyRing>, ServeError> {
    let keys = match config.profile.token {
        TokenCheck::Ignore => KeyRing::unused(),
        TokenCheck::Verify | TokenCheck::VerifyScopes => {
            let expected = Expected {
                issuer: config.issuer(),
                audience: config.audience.clone(),
                leeway_s: config.leeway_s,
            };
            KeyRing::keep(expected, key_fetcher(config.key_source(), outbound)?)?
        }
    };
    Ok(Arc::new(keys))
}

/// Starts the listeners of a service whose parts are ready. `make` builds the app of one core.
fn launch<A: App>(
    config: ServiceConfig,
    keys: Arc<KeyRing>,
    mut checks: Vec<Check>,
    make: impl Fn(&Core, &Arc<CoreCounters>) -> A + Send + Sync + 'static,
) -> Result<Started, ServeError> {
    let plan = plan(&config)?;
    let limits = limits(&config.limits);
    let main = Endpoint {
        addr: config.listen,
        tls: server_tls(&config)?,
        limits,
    };
    let admin = Endpoint {
        addr: config.admin,
        tls: None,
        limits: ServerLimits::default(),
    };

    let own_keys = Arc::clone(&keys);
    checks.push(Box::new(move || own_keys.missing()));
    let telemetry = Arc::new(Telemetry::new(A::ROUTES));
    let pages = AdminPages::new(config.clone(), Arc::clone(&telemetry), checks);

    let (service, profile) = (config.service, config.profile);
    let cache = cache_plan(&config)?;
    let make_shell = move |core: &Core| {
        let counters = telemetry.core();
        let app = make(core, &counters);
        Shell::new(app, guard(profile, &keys, cache, counters))
    };
    let running = runtime::launch(plan, main, Some(admin), make_shell, |core| pages.on(core))
        .map_err(|error| ServeError::Start(error.to_string()))?;
    Ok(Started { running, service })
}

/// The cache of verified tokens of each core: how many entries, and what keys its hash so that a
/// stranger cannot aim at one place of it. None: no cache.
fn cache_plan(config: &ServiceConfig) -> Result<Option<(usize, [u64; 2])>, ServeError> {
    if !config.token_cache || config.profile.token == TokenCheck::Ignore {
        return Ok(None);
    }
    let key = authn::cache::random_key().map_err(|error| ServeError::Start(error.to_string()))?;
    Ok(Some((config.token_cache_entries, key)))
}

fn guard(
    profile: Profile,
    keys: &Arc<KeyRing>,
    cache: Option<(usize, [u64; 2])>,
    counters: Arc<CoreCounters>,
) -> Guard {
    let cache = cache.map(|(entries, key)| TokenCache::new(entries, key));
    Guard::new(profile, Arc::clone(keys), cache, counters)
}

/// The runtime's limits with what was said otherwise.
fn limits(given: &LimitOverrides) -> ServerLimits {
    let mut limits = ServerLimits::default();
    let set = |limit: &mut u64, given: Option<u64>| *limit = given.unwrap_or(*limit);
    set(&mut limits.head_ms, given.head_ms);
    set(&mut limits.body_ms, given.body_ms);
    set(&mut limits.idle_ms, given.idle_ms);
    set(&mut limits.handshake_ms, given.handshake_ms);
    set(&mut limits.write_ms, given.write_ms);
    set(&mut limits.http.body_bytes_max, given.body_bytes_max);
    limits.connections_max = given.connections_max.unwrap_or(limits.connections_max);
    limits
}
