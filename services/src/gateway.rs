//! The gateway: the one door to orders, inventory and results, and ping.
//!
//! It owns no data. Before anything is forwarded the caller has passed this gateway's own check of
//! the route: method, path and scope are the upstream's, read from its table; the callers are the
//! gateway's. What is no route here is never sent upstream. The upstream checks again for itself.

mod client;
mod fields;
mod forward;
mod forwarded;
mod lists;
pub mod ping;

use std::sync::Arc;

use authn::{Callers, OwnerRule, Permit, Profile, Transport};
use runtime::{Broken, Core, Exchange, Upstream, UpstreamConfig};

use self::client::ClientIdentity;
use self::fields::LetThrough;
use self::forward::UpstreamRoute;
use self::ping::Ping;
use crate::config::GatewayConfig;
use crate::config::error::ServeError;
use crate::edge::dispatch::{join_routes, routes};
use crate::inventory::handler as inventory;
use crate::orders::handler as orders;
use crate::results;
use crate::route::{Param, Routed};
use crate::telemetry::CoreCounters;
use crate::transport::outbound::Outbound;

/// Who may use the API from outside.
const CALLERS: Callers = Callers::Named(&["bench-runner", "bench-ui"]);

/// A table whose lines are those of upstreams: same method, path, scope and limit of the body, this
/// gateway's callers.
macro_rules! proxied {
    ($($(#[$doc:meta])* $marker:ident = $name:expr, $upstream:ty => $handler:path;)+) => {
        routes! {
            impl Proxy {
                $(
                    $(#[$doc])*
                    $marker = $name,
                        <$upstream as Routed>::ENTRY.method,
                        <$upstream as Routed>::ENTRY.pattern.text(),
                        (<$upstream as Routed>::ENTRY.scope, CALLERS, &[]), OwnerRule::Upstream
                        => $handler,
                        body: <$upstream as Routed>::ENTRY.body_bytes_max;
                )+
            }
        }
    };
}

proxied! {
    /// Forwards a new order.
    OrderCreate = "gateway.orders.create", orders::OrderCreate => to_orders;
    /// Forwards the reading of an order.
    OrderRead = "gateway.orders.read", orders::OrderRead => to_orders;
    /// Forwards a reservation.
    Reserve = "gateway.inventory.reserve", inventory::Reserve => to_inventory;
    /// Forwards the return of a reservation.
    Release = "gateway.inventory.release", inventory::Release => to_inventory;
    /// Forwards the reading of a stock.
    StockRead = "gateway.inventory.read", inventory::StockRead => to_inventory;
    /// Forwards the setting of a stock.
    StockSet = "gateway.inventory.set", inventory::StockSet => to_inventory;
    /// Forwards a new result.
    RunCreate = "gateway.runs.create", results::RunCreate => to_results;
    /// Forwards the list of results.
    RunList = "gateway.runs.list", results::RunList => to_results;
    /// Forwards the reading of a result.
    RunRead = "gateway.runs.read", results::RunRead => to_results;
}

async fn to_orders<R: Routed>(
    proxy: &Proxy,
    permit: Permit<'_, R>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    proxy.orders.forward(ClientIdentity::of(&permit), R::ENTRY.body_bytes_max, exchange).await
}

async fn to_inventory<R: Routed>(
    proxy: &Proxy,
    permit: Permit<'_, R>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    proxy.inventory.forward(ClientIdentity::of(&permit), R::ENTRY.body_bytes_max, exchange).await
}

async fn to_results<R: Routed>(
    proxy: &Proxy,
    permit: Permit<'_, R>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    proxy.results.forward(ClientIdentity::of(&permit), R::ENTRY.body_bytes_max, exchange).await
}

join_routes! { impl Gateway { ping: Ping, proxy: Proxy } }

/// The gateway on one core.
#[derive(Debug)]
pub struct Gateway {
    ping: Ping,
    proxy: Proxy,
}

/// The forwarding half of the gateway on one core.
#[derive(Debug)]
pub struct Proxy {
    orders: UpstreamRoute,
    inventory: UpstreamRoute,
    results: UpstreamRoute,
}

/// Where the upstreams are, resolved once for all cores.
#[derive(Debug, Clone)]
pub struct Upstreams {
    orders: Option<UpstreamConfig>,
    inventory: Option<UpstreamConfig>,
    results: Option<UpstreamConfig>,
    /// Whether clients speak TLS to the gateway, which is reported to upstreams.
    clients_use_tls: bool,
    through: LetThrough,
}

/// Understands the names given by `--forward-field`.
///
/// # Errors
/// A name that cannot be let through.
pub fn let_through(names: &[String]) -> Result<LetThrough, ServeError> {
    LetThrough::parse(names).map_err(|error| ServeError::config_of("--forward-field", error))
}

impl Upstreams {
    /// Understands the addresses of the configuration; `profile` is what clients are served under.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn resolve(
        profile: Profile,
        config: &GatewayConfig,
        outbound: &Outbound,
    ) -> Result<Upstreams, ServeError> {
        let resolve = |flag: &str, address: &Option<String>| {
            address.as_deref().map(|address| outbound.upstream(flag, address)).transpose()
        };
        Ok(Upstreams {
            orders: resolve("--orders", &config.orders)?,
            inventory: resolve("--inventory", &config.inventory)?,
            results: resolve("--results", &config.results)?,
            clients_use_tls: profile.transport != Transport::Plain,
            through: let_through(&config.forward_fields)?,
        })
    }

    /// Why the gateway is of no use; an upstream that is missing makes it so only if all are.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let none = self.orders.is_none() && self.inventory.is_none() && self.results.is_none();
        none.then(|| "no upstream is given: --orders, --inventory, --results".to_string())
    }
}

impl Gateway {
    /// The gateway of one core, with connections of its own.
    #[must_use]
    pub fn new(core: &Core, upstreams: &Upstreams, counters: Arc<CoreCounters>) -> Gateway {
        let tls = upstreams.clients_use_tls;
        let route = |name, config: &Option<UpstreamConfig>| {
            let upstream = config.clone().map(|config| Upstream::new(core, config));
            UpstreamRoute::new(name, upstream, tls, upstreams.through.clone())
        };
        Gateway {
            ping: Ping::new(counters),
            proxy: Proxy {
                orders: route("orders", &upstreams.orders),
                inventory: route("inventory", &upstreams.inventory),
                results: route("results", &upstreams.results),
            },
        }
    }
}
