//! The routes by which the orders service reserves for its orders, beside those of the API.
//!
//! Owns the second way to the stock. What is reserved through it cannot be named through the API,
//! and no gateway forwards it: whoever knows an order's id can neither release its stock nor
//! reserve in its name. Under mutual TLS and with tokens its reservations belong to the peer
//! besides, so that somebody else who comes this way reaches only his own. It refuses to know how
//! a reservation is read or made: `handler` does.

use std::sync::Arc;

use authn::{Callers, OwnerRule, Permit, Scope};
use proto_http::Method;
use runtime::{Broken, Exchange};

use crate::edge::dispatch::{join_routes, routes};
use crate::inventory::handler::{InventoryApp, release_as, reserve_as};
use crate::inventory::store::Inventory;
use crate::route::Param;

/// Where orders reserves.
pub const RESERVATIONS: &str = "/internal/inventory/reservations";

/// Orders, by its certificate, or its client by the token where there is no certificate.
const CALLERS: Callers = Callers::Named(&["orders", "service-order"]);

routes! {
    impl ForOrders {
        /// Reserves for an order, all or nothing.
        Reserve = "inventory.orders.reserve", Method::Post, RESERVATIONS,
            (Some(Scope::InventoryWrite), CALLERS, &[]), OwnerRule::Creator => reserve;
        /// Gives an order's reservation back.
        Release = "inventory.orders.release", Method::Delete,
            "/internal/inventory/reservations/{orderId}",
            (Some(Scope::InventoryWrite), CALLERS, &[]), OwnerRule::Owner => release;
    }
}

join_routes! { impl InventoryService { api: InventoryApp, orders: ForOrders } }

/// The whole inventory service on one core.
pub struct InventoryService {
    api: InventoryApp,
    orders: ForOrders,
}

/// The routes of orders on one core.
pub struct ForOrders(InventoryApp);

impl InventoryService {
    /// The routes over a stock that all cores share.
    #[must_use]
    pub fn new(inventory: &Arc<Inventory>) -> InventoryService {
        let app = || InventoryApp::new(Arc::clone(inventory));
        InventoryService { api: app(), orders: ForOrders(app()) }
    }
}

async fn reserve(
    ForOrders(app): &ForOrders,
    permit: Permit<'_, Reserve>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    reserve_as::<Reserve>(app, app.inventory.orders(permit.creator()), exchange).await
}

async fn release(
    ForOrders(app): &ForOrders,
    permit: Permit<'_, Release>,
    param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    release_as(app, app.inventory.orders(permit.owner()), param, exchange);
    Ok(())
}
