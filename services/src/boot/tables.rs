//! The route table of each service, for pages and tests that go through all of them. It refuses
//! to be a way to a handler: a table is data.

use crate::auth::Auth;
use crate::boot::all::All;
use crate::config::kind::ServiceKind;
use crate::edge::dispatch::App;
use crate::gateway::Gateway;
use crate::inventory::for_orders::InventoryService;
use crate::orders::handler::OrdersApp;
use crate::results::Results;
use crate::route::RouteEntry;

/// Every route of a service, in the order in which paths are compared.
#[must_use]
pub fn route_table(service: ServiceKind) -> &'static [RouteEntry] {
    match service {
        ServiceKind::Gateway => Gateway::ROUTES,
        ServiceKind::Auth => Auth::ROUTES,
        ServiceKind::Orders => OrdersApp::ROUTES,
        ServiceKind::Inventory => InventoryService::ROUTES,
        ServiceKind::Results => Results::ROUTES,
        ServiceKind::All => All::ROUTES,
    }
}
