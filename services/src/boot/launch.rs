//! From the parts of a service to its listeners: the core plan, the guard and the service on each
//! core, the admin pages, the limits.

use std::sync::Arc;
use std::time::Duration;

use authn::{ClientCertificates, Profile, TokenCache, TokenCheck};
use runtime::stages::{clock_reads, overhead};
use runtime::{Core, CorePlan, Endpoint, ServerLimits};

use crate::boot::started::RunningService;
use crate::config::error::ServeError;
use crate::config::files;
use crate::config::{LimitOverrides, ServiceConfig, ServiceRole};
use crate::edge::admin::{AdminPages, Check, SecurityFigures};
use crate::edge::dispatch::App;
use crate::edge::guard::Guard;
use crate::edge::instrumented::Instrumented;
use crate::refresh::keys::KeyRing;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::{CoreCounters, Telemetry, stages};
use crate::transport::inbound::{expiry, server_tls};

/// Starts the listeners of a service whose parts are ready. `make` builds the app of one core.
///
/// # Errors
/// When a file cannot be used, an address is taken, or the machine lacks what is asked for.
pub(super) fn launch<A: App>(
    config: ServiceConfig,
    keys: Arc<KeyRing>,
    mut checks: Vec<Check>,
    audit: AuditLog,
    make: impl Fn(&Core, &Arc<CoreCounters>) -> A + Send + Sync + 'static,
) -> Result<RunningService, ServeError> {
    let plan = plan(&config)?;
    let limits = limits(&config);
    let main = Endpoint { addr: config.listen, tls: server_tls(&config)?, limits };
    let admin = Endpoint { addr: config.admin, tls: None, limits: admin_limits(&config.limits) };

    let own_keys = Arc::clone(&keys);
    checks.push(Box::new(move || own_keys.missing()));
    let telemetry = Arc::new(Telemetry::new(A::ROUTES));
    let overhead = config.stage_timing.then(stage_timing_overhead);
    let (expiry, own_audit) = (expiry(&config)?, audit.clone());
    let security = SecurityFigures { audit: audit.clone(), keys: Arc::clone(&keys), expiry };
    let telemetry_of_pages = Arc::clone(&telemetry);
    let pages = AdminPages::new(config.clone(), telemetry_of_pages, checks, overhead, security);

    let (service, profile) = (config.kind(), config.profile);
    let forwards_certificate =
        matches!(&config.role, ServiceRole::Gateway(gateway) if gateway.client_cert_field);
    let cache = cache_plan(&config)?;
    let certificates = client_certificates(&config)?;
    let make_shell = move |core: &Core| {
        let counters = telemetry.core();
        let app = make(core, &counters);
        let guard = guard(profile, &keys, cache, counters)
            .with_client_certificates(Arc::clone(&certificates))
            .with_audit(audit.clone());
        Instrumented::new(app, guard.forwarding_certificates(forwards_certificate))
    };
    let running = runtime::launch(plan, main, Some(admin), make_shell, |core| pages.on(core))
        .map_err(ServeError::start)?;
    Ok(RunningService::new(running, service.name()).with_audit(own_audit))
}

/// Measures what timing the steps of a request costs it, and says so.
fn stage_timing_overhead() -> Duration {
    let overhead = overhead(&stages::OWN);
    tracing::info!(
        overhead_ns = overhead.as_nanos() as u64,
        clock_reads = clock_reads(stages::OWN.len() as u32),
        "the steps of every request are timed, which costs each at least this much"
    );
    overhead
}

/// The cache of verified tokens of each core: how many entries, and what keys its hash so that a
/// stranger cannot aim at one place of it. None: no cache.
fn cache_plan(config: &ServiceConfig) -> Result<Option<(usize, [u64; 2])>, ServeError> {
    if !config.token_cache || config.profile.token == TokenCheck::Ignore {
        return Ok(None);
    }
    let key = authn::cache::random_key().map_err(ServeError::start)?;
    Ok(Some((config.token_cache_entries, key)))
}

/// Which certificates may bring whose tokens: what is built in, and the file's clients over it.
fn client_certificates(config: &ServiceConfig) -> Result<Arc<ClientCertificates>, ServeError> {
    let Some(path) = &config.client_certificates else {
        return Ok(Arc::default());
    };
    let text =
        String::from_utf8(files::read(path)?).map_err(|error| ServeError::content(path, error))?;
    let list = ClientCertificates::parse(&text);
    list.map(Arc::new).map_err(|error| ServeError::content(path, error))
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

/// Fields that a gateway adds to a request's head, rounded up: `Via`, `Forwarded`, the client's
/// name, and, where the client sent none, `Host` and `Content-Length`.
const FORWARDED_FIELDS: usize = 8;

/// Bytes that they take, and that the upstream's host name may be longer than the gateway's: a name
/// of a host or a client has 300 at most, a certificate some 2,000 in base64.
const FORWARDED_BYTES: usize = 4 * 1024;

/// The runtime's limits with the overrides. What stands behind a gateway takes a head
/// that was as large as the gateway takes and has grown by what it adds.
fn limits(config: &ServiceConfig) -> ServerLimits {
    let given = &config.limits;
    let mut limits = ServerLimits::default();
    if let ServiceRole::Gateway(gateway) = &config.role {
        limits.address_connections_max = gateway.address_connections_max;
        limits.address_requests_max = gateway.address_requests_max;
    } else {
        limits.http.fields_max += FORWARDED_FIELDS;
        limits.http.head_bytes_max += FORWARDED_BYTES;
    }
    limits.connections_max = given.connections_max.unwrap_or(limits.connections_max);
    limits.bytes_per_s_min = given.bytes_per_s_min.unwrap_or(limits.bytes_per_s_min);
    limits.rate_window = given.rate_window.unwrap_or(limits.rate_window);
    limits.body_memory_bytes_max =
        given.body_memory_bytes_max.unwrap_or(limits.body_memory_bytes_max);
    limits
}

/// The limits of the admin listener, whose connections come out of the reserve of open files.
fn admin_limits(given: &LimitOverrides) -> ServerLimits {
    let mut limits = ServerLimits::default();
    limits.connections_max = given.admin_connections_max.unwrap_or(limits.connections_max);
    limits
}

/// Which cores get a worker.
///
/// # Errors
/// When a core is not one of this process's.
pub(super) fn plan(config: &ServiceConfig) -> Result<CorePlan, ServeError> {
    CorePlan::new(config.workers, config.cores.as_deref(), config.driver)
        .map(|plan| plan.with_stage_timing(config.stage_timing))
        .map_err(ServeError::start)
}
