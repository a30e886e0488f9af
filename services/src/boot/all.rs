//! All services in one process behind one listener, calling each other in memory: the single
//! server, and the way to measure the edge alone.
//!
//! It owns only the joining. Every route is the one of its service with its own permit; there is no
//! gateway in between, so a route's callers are its service's. Tokens are verified with the keys
//! that the process itself signs with.

use crate::auth::Auth;
use crate::edge::dispatch::join_routes;
use crate::gateway::ping::Ping;
use crate::inventory::handler::InventoryApp;
use crate::orders::handler::OrdersApp;
use crate::results::Results;

/// Every service on one core.
pub(super) struct All {
    /// Ping, which the gateway answers elsewhere.
    pub ping: Ping,
    /// Orders, with the stock of this process.
    pub orders: OrdersApp,
    /// The stock.
    pub inventory: InventoryApp,
    /// The authorization server.
    pub auth: Auth,
    /// What says that there are no results yet.
    pub results: Results,
}

join_routes! {
    impl All {
        ping: Ping,
        orders: OrdersApp,
        inventory: InventoryApp,
        auth: Auth,
        results: Results,
    }
}

#[cfg(test)]
mod tests {
    use authn::Callers;
    use proto_http::Method;

    use super::*;
    use crate::edge::dispatch::App;
    use crate::gateway::Gateway;
    use crate::inventory::for_orders::InventoryService;
    use crate::route::{RouteMatch, find};

    #[test]
    fn every_route_is_found_by_its_table() {
        let mut index = 0;
        for table in
            [Ping::ROUTES, OrdersApp::ROUTES, InventoryApp::ROUTES, Auth::ROUTES, Results::ROUTES]
        {
            for entry in table {
                let path = entry.pattern.text().replace('{', "x").replace('}', "");
                match find(All::ROUTES, entry.method, path.as_bytes()) {
                    RouteMatch::Route(found, _) => assert_eq!(found, index, "{path}"),
                    other => panic!("{path}: {other:?}"),
                }
                index += 1;
            }
        }
        assert_eq!(find(All::ROUTES, Method::Get, b"/api"), RouteMatch::Missing);
    }

    #[test]
    fn the_gateway_alone_names_clients_and_it_is_a_caller_wherever_it_does() {
        let mut told = 0;
        for entry in [All::ROUTES, InventoryService::ROUTES, Gateway::ROUTES].into_iter().flatten()
        {
            for forwarder in entry.forwarders {
                assert_eq!(*forwarder, "gateway", "{}", entry.name);
                let Callers::Named(callers) = entry.callers else { panic!("{}", entry.name) };
                assert!(callers.contains(forwarder), "{}", entry.name);
                told += 1;
            }
        }
        assert!(told > 0, "somebody is told");
    }

    #[test]
    fn internal_reservation_routes_are_not_exposed() {
        for path in ["/internal/inventory/reservations", "/internal/inventory/reservations/x"] {
            for method in [Method::Post, Method::Delete] {
                assert_eq!(find(Gateway::ROUTES, method, path.as_bytes()), RouteMatch::Missing);
                assert_eq!(find(All::ROUTES, method, path.as_bytes()), RouteMatch::Missing);
            }
            assert_ne!(
                find(InventoryService::ROUTES, Method::Put, path.as_bytes()),
                RouteMatch::Missing
            );
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = All::ROUTES.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), All::ROUTES.len());
    }
}
