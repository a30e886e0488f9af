//! Puts each service together: its store, its keys, its upstreams, its app on each core.
//!
//! It owns who needs what. Everything a service needs is read and understood here, before
//! [`launch`](crate::boot::launch) opens a listener.

use std::sync::Arc;

use authn::{Scope, ScopeSet, TokenCheck};
use runtime::Upstream;

use crate::auth::{Auth, Issuer};
use crate::boot::all::All;
use crate::boot::launch::{launch, plan};
use crate::boot::started::RunningService;
use crate::config::error::ServeError;
use crate::config::{
    AllConfig, AuthConfig, GatewayConfig, InventoryConfig, OrderStoreConfig, OrdersConfig,
    ServiceConfig, ServiceRole,
};
use crate::edge::admin::Check;
use crate::gateway::ping::Ping;
use crate::gateway::{Gateway, Upstreams};
use crate::inventory::for_orders::InventoryService;
use crate::inventory::handler::{self as inventory, InventoryApp};
use crate::orders::handler as orders;
use crate::orders::idempotency::Idempotency;
use crate::orders::stock::Stock;
use crate::refresh::keys::KeyRing;
use crate::results::{self, Results};
use crate::telemetry::audit::{AuditAction, AuditEvent, AuditLog};
use crate::transport::outbound::{Outbound, key_fetcher};
use crate::transport::token::TokenRefresher;

/// As whom orders calls inventory, and what for.
const OWN_CLIENT: (&str, ScopeSet) = ("service-order", ScopeSet::EMPTY.with(Scope::InventoryWrite));

/// Starts the service that the configuration names.
///
/// # Errors
/// The first thing that is missing or cannot be used.
pub(super) fn assemble(config: ServiceConfig) -> Result<RunningService, ServeError> {
    let audit = AuditLog::start(&config)?;
    audit.record_own(configured(&config));
    match config.role.clone() {
        ServiceRole::Auth(auth) => start_auth(config, &auth, audit),
        ServiceRole::Gateway(gateway) => start_gateway(config, &gateway, audit),
        ServiceRole::Orders(orders) => start_orders(config, &orders, audit),
        ServiceRole::Inventory(inventory) => start_inventory(config, &inventory, audit),
        ServiceRole::All(all) => start_all(config, &all, audit),
        ServiceRole::Results => Err(results::cannot_serve()),
    }
}

/// The settings that decide who may do what, for the audit log. None of them is a secret.
fn configured(config: &ServiceConfig) -> AuditEvent {
    let on_off = |on: bool| if on { "on" } else { "off" }.to_owned();
    let facts = vec![
        ("profile", config.profile.label().to_owned()),
        ("upstream_profile", config.upstream().label().to_owned()),
        ("listen", config.listen.to_string()),
        ("admin", config.admin.to_string()),
        ("issuer", config.issuer()),
        ("audience", config.audiences.join(" ")),
        ("token_cache", on_off(config.token_cache)),
        ("resumption", on_off(config.resumption)),
        ("allow_insecure", on_off(config.allow_insecure)),
        ("audit", config.audit.level.label().to_owned()),
    ];
    AuditEvent { facts, ..AuditEvent::new(AuditAction::Configured) }
}

fn start_auth(
    config: ServiceConfig,
    auth: &AuthConfig,
    audit: AuditLog,
) -> Result<RunningService, ServeError> {
    let issuer = Arc::new(Issuer::load(&config, auth)?);
    let keys = Arc::new(KeyRing::unused());
    let of_tokens = audit.clone();
    launch(config, keys, Vec::new(), audit, move |_core, _counters| {
        Auth::new(Arc::clone(&issuer), of_tokens.clone())
    })
}

fn start_gateway(
    config: ServiceConfig,
    gateway: &GatewayConfig,
    audit: AuditLog,
) -> Result<RunningService, ServeError> {
    let outbound = Outbound::load(&config)?;
    let upstreams = Upstreams::resolve(config.profile, gateway, &outbound)?;
    let keys = keys(&config, &outbound)?;
    let of_checks = upstreams.clone();
    let checks: Vec<Check> = vec![Box::new(move || of_checks.missing())];
    launch(config, keys, checks, audit, move |core, counters| {
        Gateway::new(core, &upstreams, Arc::clone(counters))
    })
}

fn start_orders(
    config: ServiceConfig,
    orders: &OrdersConfig,
    audit: AuditLog,
) -> Result<RunningService, ServeError> {
    let outbound = Outbound::load(&config)?;
    let inventory = outbound.upstream("--inventory", &orders.inventory)?;
    let keys = keys(&config, &outbound)?;
    let token = own_token(&config, orders, &outbound)?;
    let mut checks: Vec<Check> = Vec::new();
    if let Some(refresher) = token.clone() {
        checks.push(Box::new(move || refresher.missing()));
    }
    let shared = orders_shared(&config, &orders.store)?;
    launch(config, keys, checks, audit, move |core, _counters| {
        let upstream = Upstream::new(core, inventory.clone());
        shared.app(core.index, Stock::remote(core, upstream, token.clone()))
    })
}

fn start_inventory(
    config: ServiceConfig,
    settings: &InventoryConfig,
    audit: AuditLog,
) -> Result<RunningService, ServeError> {
    let outbound = Outbound::load(&config)?;
    let keys = keys(&config, &outbound)?;
    let stock = inventory::open(&settings.stock)?;
    launch(config, keys, Vec::new(), audit, move |_core, _counters| InventoryService::new(&stock))
}

fn start_all(
    config: ServiceConfig,
    all: &AllConfig,
    audit: AuditLog,
) -> Result<RunningService, ServeError> {
    let issuer = Arc::new(Issuer::load(&config, &all.auth)?);
    let keys = match config.profile.token {
        TokenCheck::Ignore => KeyRing::unused(),
        TokenCheck::Verify | TokenCheck::VerifyScopes => KeyRing::own(issuer.verifier()),
    };
    let stock = inventory::open(&all.stock)?;
    let shared = orders_shared(&config, &all.store)?;
    let of_tokens = audit.clone();
    launch(config, Arc::new(keys), Vec::new(), audit, move |core, counters| All {
        ping: Ping::new(Arc::clone(counters)),
        orders: shared.app(core.index, Stock::local(Arc::clone(&stock))),
        inventory: InventoryApp::new(Arc::clone(&stock)),
        auth: Auth::new(Arc::clone(&issuer), of_tokens.clone()),
        results: Results,
    })
}

/// What the cores of orders share.
fn orders_shared(
    config: &ServiceConfig,
    store: &OrderStoreConfig,
) -> Result<orders::OrdersShared, ServeError> {
    let keys = Idempotency::new(store.idempotency_keys, store.idempotency_ttl);
    orders::OrdersShared::new(store.orders_retained, plan(config)?.workers(), keys)
}

/// The token with which orders calls inventory, where inventory looks at tokens.
fn own_token(
    config: &ServiceConfig,
    orders: &OrdersConfig,
    outbound: &Outbound,
) -> Result<Option<Arc<TokenRefresher>>, ServeError> {
    if config.upstream().token == TokenCheck::Ignore {
        return Ok(None);
    }
    let (client, scopes) = OWN_CLIENT;
    let given = orders.client_secret.as_deref();
    let secret = config.file(given, "--client-secret", &format!("clients/{client}.secret"))?;
    let refresher = TokenRefresher::start(client, scopes, secret, &config.auth_base(), outbound)?;
    Ok(Some(Arc::new(refresher)))
}

/// The keys that a service verifies tokens with: none where it does not look at them.
fn keys(config: &ServiceConfig, outbound: &Outbound) -> Result<Arc<KeyRing>, ServeError> {
    let keys = match config.profile.token {
        TokenCheck::Ignore => KeyRing::unused(),
        TokenCheck::Verify | TokenCheck::VerifyScopes => {
            KeyRing::keep(config.expected(), key_fetcher(config.key_source(), outbound)?)?
        }
    };
    Ok(Arc::new(keys))
}
