//! `tollgate serve`: turns the options of a service into what they mean. Each role takes its own
//! options; what no role took is refused, because a setting that is ignored in silence is a trap.

use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use services::config::audit::{AuditConfig, AuditLevel, AuditTarget};
use services::gateway::let_through;
use services::{
    AllConfig, AuthConfig, GatewayConfig, InventoryConfig, KeySource, OrderStoreConfig,
    OrdersConfig, OutboundConfig, ServeError, ServiceConfig, ServiceKind, ServiceRole,
};

use crate::Failure;
use crate::cli::{RoleOptions, ServeArgs, ServeOptions};
use crate::io::terminal::LogWriter;
use crate::values::{
    address, algorithm, choice, cores, driver, duration, duration_or_zero, profile, stock, workers,
};

/// Carries out `tollgate serve`; returns when the service was stopped.
pub(crate) fn command(typed: ServeArgs) -> Result<u8, Failure> {
    let (service, options) = typed.service.into_options();
    let config = config(service, options)?;
    log_to_stderr();
    services::serve(config).map_err(Failure::of)?;
    Ok(0)
}

/// Sends what is logged to standard error; standard output is for the ready line.
pub(crate) fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(|| LogWriter)
        .with_env_filter(log_filter())
        .with_target(false)
        .init();
}

/// What is logged: warnings and the service's own milestones, or what `TOLLGATE_LOG` says.
fn log_filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_env("TOLLGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"))
}

fn config(kind: ServiceKind, mut typed: ServeOptions) -> Result<ServiceConfig, Failure> {
    let role = role(kind, &mut typed.role);
    refuse_useless(kind, &typed.role)?;
    let mut config = ServiceConfig::new(role?, profile(typed.profile.as_deref())?);
    config.driver = driver(&typed.driver, typed.require_io_uring)?;
    config.allow_insecure = typed.allow_insecure;
    config.resumption = typed.resumption;
    config.exit_with_stdin = typed.exit_with_stdin;
    config.stage_timing = typed.stage_timing;
    config.workers = Some(workers(typed.workers)?);
    config.audit = audit(&mut typed)?;
    let given = |option: &str, text: Option<String>| text.map(|t| address(option, &t)).transpose();
    set(&mut config.listen, given("--listen", typed.listen)?);
    set(&mut config.admin, given("--admin", typed.admin)?);
    config.cores = typed.cores.as_deref().map(cores).transpose()?;
    config.state = typed.state.map(PathBuf::from);
    config.server_cert = typed.server_cert.map(PathBuf::from);
    config.server_key = typed.server_key.map(PathBuf::from);
    config.client_ca = typed.client_ca.map(PathBuf::from);
    config.crl = typed.crl.map(PathBuf::from);
    config.client_certificates = typed.client_certificates.map(PathBuf::from);
    config.jwks = typed.jwks.as_deref().map(KeySource::parse);
    config.issuer = typed.issuer;
    set(&mut config.audiences, (!typed.audience.is_empty()).then_some(typed.audience));
    let token_ttl_max = typed.token_ttl_max.map(|text| duration("--token-ttl-max", &text));
    set(&mut config.token_ttl_max, token_ttl_max.transpose()?);
    let token_cache = typed.token_cache.map(|text| choice("--token-cache", &text, &ON_OFF));
    set(&mut config.token_cache, token_cache.transpose()?);
    set(&mut config.token_cache_entries, typed.token_cache_entries);
    set(&mut config.drain, typed.drain_ms.map(Duration::from_millis));
    config.limits.connections_max = typed.connections_max;
    config.limits.body_memory_bytes_max =
        typed.body_memory.map(|text| bytes("--body-memory", &text)).transpose()?;
    config.limits.bytes_per_s_min = typed.min_rate;
    config.check().map_err(unusable)?;
    if let ServiceRole::Gateway(gateway) = &config.role {
        let_through(&gateway.forward_fields).map_err(unusable)?;
    }
    Ok(config)
}

/// Where the audit log goes, and how much of it.
fn audit(typed: &mut ServeOptions) -> Result<AuditConfig, Failure> {
    let mut audit = AuditConfig::default();
    let level = typed.audit.take().map(|text| choice("--audit", &text, &AuditLevel::TABLE));
    set(&mut audit.level, level.transpose()?);
    let target = typed.audit_log.take().map(|text| match text.as_str() {
        "stderr" => AuditTarget::Stderr,
        _ => AuditTarget::File(text.into()),
    });
    set(&mut audit.target, target);
    let size = typed.audit_log_size.take().map(|text| bytes("--audit-log-size", &text));
    set(&mut audit.file_bytes_max, size.transpose()?.map(|bytes| bytes as u64));
    set(&mut audit.files_max, typed.audit_log_files);
    set(&mut audit.lines_per_s_max, typed.audit_rate);
    Ok(audit)
}

/// Settings that cannot be, which is known before anything is started.
fn unusable(error: ServeError) -> Failure {
    Failure::usage(&error).because(error)
}

const ON_OFF: [(&str, bool); 2] = [("on", true), ("off", false)];

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// What a service is told that others are not: it takes its options out of `typed`, all of them
/// before the first is read, so that what is left belongs to others even where one cannot be read.
fn role(kind: ServiceKind, typed: &mut RoleOptions) -> Result<ServiceRole, Failure> {
    Ok(match kind {
        ServiceKind::Auth => issuing(typed)?.into(),
        ServiceKind::Gateway => gateway(typed)?.into(),
        ServiceKind::Orders => orders(typed)?.into(),
        ServiceKind::Inventory => {
            InventoryConfig { auth: typed.auth.take(), stock: starting_stock(typed)? }.into()
        }
        ServiceKind::Results => ServiceRole::Results,
        ServiceKind::All => {
            let (auth, store, stock) = (issuing(typed), store(typed), starting_stock(typed));
            AllConfig { auth: auth?, store: store?, stock: stock? }.into()
        }
    })
}

fn issuing(typed: &mut RoleOptions) -> Result<AuthConfig, Failure> {
    let mut auth = AuthConfig::default();
    let (alg, ttl_s) = (typed.token_alg.take(), typed.token_ttl_s.take());
    set(&mut auth.token_alg, alg.as_deref().map(algorithm).transpose()?);
    set(&mut auth.token_ttl, ttl_s.map(Duration::from_secs));
    Ok(auth)
}

fn gateway(typed: &mut RoleOptions) -> Result<GatewayConfig, Failure> {
    Ok(GatewayConfig {
        address_connections_max: typed.connections_per_address.take(),
        address_requests_max: typed.requests_per_address.take(),
        orders: typed.orders.take(),
        inventory: typed.inventory.take(),
        results: typed.results.take(),
        forward_fields: mem::take(&mut typed.forward_field),
        client_cert_field: mem::take(&mut typed.client_cert_field),
        outbound: outbound(typed)?,
    })
}

fn orders(typed: &mut RoleOptions) -> Result<OrdersConfig, Failure> {
    let inventory = typed.inventory.take();
    let client_secret = typed.client_secret.take().map(PathBuf::from);
    let (outbound, store) = (outbound(typed), store(typed));
    let inventory = inventory.ok_or_else(|| {
        Failure::usage("orders reserves at the inventory service; give --inventory URL")
    })?;
    Ok(OrdersConfig { inventory, outbound: outbound?, client_secret, store: store? })
}

fn outbound(typed: &mut RoleOptions) -> Result<OutboundConfig, Failure> {
    let mut outbound = OutboundConfig { auth: typed.auth.take(), ..OutboundConfig::default() };
    let (interval, name) = (typed.resolve_interval.take(), typed.upstream_profile.take());
    let interval = interval.map(|text| duration_or_zero("--resolve-interval", &text));
    set(&mut outbound.resolve_interval, interval.transpose()?);
    outbound.profile = name.as_deref().map(|name| profile(Some(name))).transpose()?;
    Ok(outbound)
}

fn store(typed: &mut RoleOptions) -> Result<OrderStoreConfig, Failure> {
    let mut store = OrderStoreConfig::default();
    set(&mut store.orders_retained, typed.orders_retained.take());
    set(&mut store.idempotency_keys, typed.idempotency_keys.take());
    let ttl = typed.idempotency_ttl.take().map(|text| duration("--idempotency-ttl", &text));
    set(&mut store.idempotency_ttl, ttl.transpose()?);
    Ok(store)
}

fn starting_stock(typed: &mut RoleOptions) -> Result<Vec<(String, u64)>, Failure> {
    mem::take(&mut typed.stock).iter().map(|text| stock(text)).collect()
}

/// Refuses what the role of `kind` has not taken, and names the services whose role would.
fn refuse_useless(kind: ServiceKind, left: &RoleOptions) -> Result<(), Failure> {
    let Some(option) = left.left().into_iter().next() else {
        return Ok(());
    };
    let takes = |kind: ServiceKind| {
        let mut rest = left.clone();
        // Whether its value is a good one is not asked.
        let _ = role(kind, &mut rest);
        !rest.left().contains(&option)
    };
    let kinds = ServiceKind::TABLE.into_iter().filter(|(kind, ..)| takes(*kind));
    let names: Vec<&str> = kinds.map(|(kind, ..)| kind.name()).collect();
    Err(Failure::usage(format!(
        "{} has no use for {option}; it belongs to: {}.",
        kind.name(),
        names.join(", ")
    )))
}

/// Bytes as `65536`, `64KiB`, `64MiB` or `1GiB`.
fn bytes(option: &str, text: &str) -> Result<usize, Failure> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    let bytes = number(digits).and_then(|count| count.checked_mul(1 << shift));
    bytes.ok_or_else(|| {
        Failure::usage(format!("{option} takes bytes such as 1048576 or 64MiB, not {text:?}."))
    })
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<usize> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_in_powers_of_two() {
        assert_eq!(bytes("-b", "65536").unwrap(), 65_536);
        assert_eq!(bytes("-b", "64KiB").unwrap(), 65_536);
        assert_eq!(bytes("-b", "3MiB").unwrap(), 3 << 20);
        for wrong in ["", "MiB", "-1", "+1", "1 MiB", "64MB", "1.5MiB", "99999999999GiB"] {
            assert!(bytes("-b", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_option_of_another_service_is_refused_with_those_that_have_it() {
        let refusal = |kind, mut given: RoleOptions| {
            let _ = role(kind, &mut given);
            refuse_useless(kind, &given).unwrap_err().to_string()
        };
        let stock = RoleOptions { stock: vec!["A".into()], ..RoleOptions::default() };
        let belongs = "gateway has no use for --stock; it belongs to: inventory, all.";
        assert!(refusal(ServiceKind::Gateway, stock).contains(belongs));
        let field = RoleOptions { client_cert_field: true, ..RoleOptions::default() };
        let belongs = "results has no use for --client-cert-field; it belongs to: gateway.";
        assert!(refusal(ServiceKind::Results, field).contains(belongs));
        let mut all = RoleOptions { orders_retained: Some(1), ..RoleOptions::default() };
        all.token_alg = Some("none".into());
        assert!(role(ServiceKind::All, &mut all).is_err());
        assert_eq!(all.left(), [""; 0]);
        let auth = RoleOptions { auth: Some("x".into()), ..RoleOptions::default() };
        let belongs = "all has no use for --auth; it belongs to: gateway, orders, inventory.";
        assert!(refusal(ServiceKind::All, auth).contains(belongs));
    }
}
