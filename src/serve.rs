//! `tollgate serve`: turns the options of a service into what they mean. An option that a service
//! has no use for is refused, because a setting that is ignored in silence is a trap.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use authn::{Algorithm, Profile};
use runtime::DriverChoice;
use services::gateway::let_through;
use services::{KeySource, ServiceConfig, ServiceKind};

use crate::Failure;
use crate::cli::{Serve, ServeOptions};
use crate::terminal::Log;
use crate::values::duration;

/// How long a service may take to finish what is in flight, unless told.
pub(crate) const DRAIN: Duration = Duration::from_millis(ServiceConfig::DRAIN_MS);

/// Options that only some services have a use for: the option, and those services.
const SPECIAL: [(&str, &[ServiceKind]); 17] = {
    use ServiceKind::{All, Auth, Gateway, Inventory, Orders};
    [
        ("--connections-per-address", &[Gateway]),
        ("--requests-per-address", &[Gateway]),
        ("--token-alg", &[Auth, All]),
        ("--token-ttl-s", &[Auth, All]),
        ("--client-secret", &[Orders]),
        ("--auth", &[Gateway, Orders, Inventory]),
        ("--orders", &[Gateway]),
        ("--inventory", &[Gateway, Orders]),
        ("--results", &[Gateway]),
        ("--forward-field", &[Gateway]),
        ("--resolve-interval", &[Gateway, Orders]),
        ("--upstream-profile", &[Gateway, Orders]),
        ("--client-cert-field", &[Gateway]),
        ("--orders-retained", &[Orders, All]),
        ("--idempotency-keys", &[Orders, All]),
        ("--idempotency-ttl", &[Orders, All]),
        ("--stock", &[Inventory, All]),
    ]
};

/// Carries out `tollgate serve`; returns when the service was stopped.
pub(crate) fn command(typed: Serve) -> Result<u8, Failure> {
    let (service, options) = typed.service.into_options();
    let config = config(service, options)?;
    log_to_stderr();
    services::serve(config).map_err(Failure::failed)?;
    Ok(0)
}

/// Sends what is logged to standard error; standard output is for the ready line.
pub(crate) fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(|| Log)
        .with_env_filter(log_filter())
        .with_target(false)
        .init();
}

/// What is logged: warnings and the service's own milestones, or what `TOLLGATE_LOG` says.
fn log_filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_env("TOLLGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"))
}

fn config(service: &str, typed: ServeOptions) -> Result<ServiceConfig, Failure> {
    let kind = ServiceKind::parse(service)
        .ok_or_else(|| Failure::usage(format!("There is no service {service:?}.")))?;
    refuse_useless(kind, &typed)?;
    let mut config = ServiceConfig::new(kind, profile(typed.profile.as_deref())?);
    config.driver = driver(&typed.driver, typed.require_io_uring)?;
    config.allow_insecure = typed.allow_insecure;
    config.resumption = typed.resumption;
    config.exit_with_stdin = typed.exit_with_stdin;
    config.stage_timing = typed.stage_timing;
    config.workers = Some(workers(typed.workers)?);
    let given = |option: &str, text: Option<String>| text.map(|t| address(option, &t)).transpose();
    set(&mut config.listen, given("--listen", typed.listen)?);
    set(&mut config.admin, given("--admin", typed.admin)?);
    config.cores = typed.cores.as_deref().map(cores).transpose()?;
    config.state = typed.state.map(PathBuf::from);
    config.server_cert = typed.server_cert.map(PathBuf::from);
    config.server_key = typed.server_key.map(PathBuf::from);
    config.client_ca = typed.client_ca.map(PathBuf::from);
    config.crl = typed.crl.map(PathBuf::from);
    config.jwks = typed.jwks.as_deref().map(KeySource::parse);
    config.issuer = typed.issuer;
    set(&mut config.audience, typed.audience);
    config.client_secret = typed.client_secret.map(PathBuf::from);
    config.auth = typed.auth;
    set(
        &mut config.token_cache,
        typed.token_cache.map(|t| switch("--token-cache", &t)).transpose()?,
    );
    set(&mut config.token_cache_entries, typed.token_cache_entries);
    set(&mut config.drain_ms, typed.drain_ms);
    config.limits.connections_max = typed.connections_max;
    config.limits.address_connections_max = typed.connections_per_address;
    config.limits.address_requests_max = typed.requests_per_address;
    config.limits.body_memory_bytes_max =
        typed.body_memory.map(|text| bytes("--body-memory", &text)).transpose()?;
    config.limits.bytes_per_s_min = typed.min_rate;
    config.orders = typed.orders;
    config.inventory = typed.inventory;
    config.results = typed.results;
    config.forward_fields = typed.forward_field;
    set(
        &mut config.resolve_interval,
        typed.resolve_interval.as_deref().map(resolve_interval).transpose()?,
    );
    config.upstream_profile =
        typed.upstream_profile.as_deref().map(|name| profile(Some(name))).transpose()?;
    set(&mut config.token_alg, typed.token_alg.as_deref().map(algorithm).transpose()?);
    set(&mut config.token_ttl_s, typed.token_ttl_s);
    config.client_cert_field = typed.client_cert_field;
    set(&mut config.orders_retained, typed.orders_retained);
    set(&mut config.idempotency_keys, typed.idempotency_keys);
    let ttl = typed.idempotency_ttl.map(|text| duration("--idempotency-ttl", &text));
    set(&mut config.idempotency_ttl, ttl.transpose()?);
    config.stock = typed.stock.iter().map(|text| stock(text)).collect::<Result<_, _>>()?;
    config.check().map_err(Failure::usage)?;
    let_through(&config.forward_fields).map_err(Failure::usage)?;
    Ok(config)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn refuse_useless(kind: ServiceKind, typed: &ServeOptions) -> Result<(), Failure> {
    let given = |option: &str| match option {
        "--connections-per-address" => typed.connections_per_address.is_some(),
        "--requests-per-address" => typed.requests_per_address.is_some(),
        "--token-alg" => typed.token_alg.is_some(),
        "--token-ttl-s" => typed.token_ttl_s.is_some(),
        "--client-secret" => typed.client_secret.is_some(),
        "--auth" => typed.auth.is_some(),
        "--orders" => typed.orders.is_some(),
        "--inventory" => typed.inventory.is_some(),
        "--results" => typed.results.is_some(),
        "--forward-field" => !typed.forward_field.is_empty(),
        "--resolve-interval" => typed.resolve_interval.is_some(),
        "--upstream-profile" => typed.upstream_profile.is_some(),
        "--client-cert-field" => typed.client_cert_field,
        "--orders-retained" => typed.orders_retained.is_some(),
        "--idempotency-keys" => typed.idempotency_keys.is_some(),
        "--idempotency-ttl" => typed.idempotency_ttl.is_some(),
        "--stock" => !typed.stock.is_empty(),
        _ => false,
    };
    match SPECIAL.iter().find(|(option, services)| given(option) && !services.contains(&kind)) {
        None => Ok(()),
        Some((option, services)) => {
            let names: Vec<&str> = services.iter().map(|kind| kind.name()).collect();
            Err(Failure::usage(format!(
                "{} has no use for {option}; it belongs to: {}.",
                kind.name(),
                names.join(", ")
            )))
        }
    }
}

/// The profile: as given, else `SEC_PROFILE`, else the default. An unknown name is an error.
pub(crate) fn profile(given: Option<&str>) -> Result<Profile, Failure> {
    let environment = std::env::var("SEC_PROFILE").ok();
    Profile::choose(given, environment.as_deref()).map_err(Failure::usage)
}

/// The I/O driver that may be used.
pub(crate) fn driver(name: &str, require_io_uring: bool) -> Result<DriverChoice, Failure> {
    match (name, require_io_uring) {
        ("auto", false) => Ok(DriverChoice::Auto),
        ("auto", true) => Ok(DriverChoice::RequireIoUring),
        ("epoll", false) => Ok(DriverChoice::Epoll),
        ("epoll", true) => {
            Err(Failure::usage("--driver epoll and --require-io-uring exclude each other."))
        }
        _ => Err(Failure::usage(format!("--driver takes auto or epoll, not {name:?}."))),
    }
}

/// One worker thread unless more were asked for.
pub(crate) fn workers(given: Option<usize>) -> Result<usize, Failure> {
    match given.unwrap_or(1) {
        0 => Err(Failure::usage("--workers takes 1 or more.")),
        workers => Ok(workers),
    }
}

/// Cores as `0`, `0,2` or `0,2-3`.
pub(crate) fn cores(text: &str) -> Result<Vec<usize>, Failure> {
    let wrong = || Failure::usage(format!("Cores are given as 0 or 0,2-3, not as {text:?}."));
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
        if first > last || last > CORE_NUMBER_MAX {
            return Err(wrong());
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

/// Larger than any machine's; keeps a slip of the finger from filling the memory.
const CORE_NUMBER_MAX: usize = 4_095;

/// The signature of tokens.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, Failure> {
    match name.to_ascii_lowercase().as_str() {
        "es256" => Ok(Algorithm::Es256),
        "eddsa" => Ok(Algorithm::EdDsa),
        "rs256" => Ok(Algorithm::Rs256),
        _ => Err(Failure::usage(format!("--token-alg takes es256, eddsa or rs256, not {name:?}."))),
    }
}

fn switch(option: &str, text: &str) -> Result<bool, Failure> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Failure::usage(format!("{option} takes on or off, not {text:?}."))),
    }
}

/// How often names are looked up again; zero is never without a reason.
fn resolve_interval(text: &str) -> Result<Duration, Failure> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        _ => duration("--resolve-interval", text),
    }
}

/// An address with its port.
pub(crate) fn address(option: &str, text: &str) -> Result<SocketAddr, Failure> {
    SocketAddr::from_str(text).map_err(|_| {
        Failure::usage(format!(
            "{option} takes an address and a port such as 127.0.0.1:8443, not {text:?}."
        ))
    })
}

/// Starting stock as `SKU=N`.
pub(crate) fn stock(text: &str) -> Result<(String, u64), Failure> {
    let wrong =
        || Failure::usage(format!("--stock takes SKU=N such as SKU-1000=500, not {text:?}."));
    let (sku, quantity) = text.split_once('=').ok_or_else(wrong)?;
    let quantity = number(quantity).ok_or_else(wrong)?;
    Ok((sku.to_owned(), quantity as u64))
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
    fn cores_are_read_as_people_write_them() {
        assert_eq!(cores("0").unwrap(), [0]);
        assert_eq!(cores("3,0,1-2,1").unwrap(), [0, 1, 2, 3]);
        for wrong in ["", "a", "1-", "2-1", "-1", "+1", "0,,1", "0-99999999"] {
            assert!(cores(wrong).is_err(), "{wrong:?}");
        }
    }

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
    fn stock_is_a_name_and_a_number() {
        assert_eq!(stock("SKU-1=20").unwrap(), ("SKU-1".into(), 20));
        for wrong in ["SKU-1", "SKU-1=", "SKU-1=x", "SKU-1=-2"] {
            assert!(stock(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_interval_of_zero_is_said_without_a_unit_too() {
        assert_eq!(resolve_interval("0").unwrap(), Duration::ZERO);
        assert_eq!(resolve_interval("0s").unwrap(), Duration::ZERO);
        assert_eq!(resolve_interval("2m").unwrap(), Duration::from_secs(120));
        for wrong in ["", "30", "-1s", "never"] {
            assert!(resolve_interval(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn profiles_are_never_guessed() {
        assert!(profile(Some("S6")).is_err());
        assert!(profile(Some("")).is_err());
        assert_eq!(profile(Some("S5")).unwrap().label(), "S5");
    }
}
