//! From a route table to handlers: what a set of routes is, and the macros that make a table and
//! its dispatch out of lines of text.
//!
//! It owns the only way from a path to a handler. A handler is named in a table and nowhere else,
//! and takes the [`Permit`](authn::policy::Permit) of its own route, so that a handler cannot run
//! unchecked and a check of one route cannot open another.

use std::future::Future;

use runtime::{Broken, Exchange};

use crate::edge::guard::{Guard, PeerSession};
use crate::route::{Param, RouteEntry};

/// A set of routes together with the state their handlers work on. `routes!` implements it.
pub trait App: 'static {
    /// The table; the position of a line is the `index` of the other functions.
    const ROUTES: &'static [RouteEntry];

    /// Obtains the permit of route `index` and calls its handler, or answers the refusal.
    ///
    /// # Errors
    /// When the connection broke; everything else has been answered.
    fn call(
        &self,
        index: usize,
        param: Param,
        guard: &Guard,
        session: &PeerSession,
        exchange: &mut Exchange<'_>,
    ) -> impl Future<Output = Result<(), Broken>>;
}

/// Builds a route table: a marker type for each route, the constant table, and the dispatch.
///
/// ```text
/// routes! {
///     impl Orders {
///         /// Takes an order.
///         OrderCreate = "orders.create", Method::Post, "/api/orders",
///             (Some(Scope::OrdersWrite), Callers::Named(&["gateway", "runner"]), &["gateway"]),
///             OwnerRule::Creator => handler::create;
///         /// Streams what it is sent, of any length.
///         Upload = "orders.upload", Method::Post, "/api/orders/upload",
///             (Some(Scope::OrdersWrite), Callers::Any, &[]), OwnerRule::Nobody
///             => handler::upload, body: None;
///         /// No token is asked for here under any profile.
///         Keys = "auth.jwks", Method::Get, "/.well-known/jwks.json", open, OwnerRule::Nobody
///             => handler::keys;
///     }
/// }
/// ```
/// A handler is `async fn(&Orders, Permit<'_, OrderCreate>, Param, &mut Exchange<'_>)` and returns
/// `Result<(), Broken>`. The third of the access is who may bring other clients' tokens and name a
/// client of its own ([`authn::policy::is_forwarder`]). Nothing has a default: a line without its
/// forwarders or its owner rule does not compile.
macro_rules! routes {
    (@entry $name:expr, $method:expr, $path:expr, open, $owner:expr) => {
        $crate::edge::dispatch::routes!(
            @line $name, $method, $path, (None, authn::Callers::Any, &[]), $owner, true)
    };
    (@entry $name:expr, $method:expr, $path:expr, $access:tt, $owner:expr) => {
        $crate::edge::dispatch::routes!(@line $name, $method, $path, $access, $owner, false)
    };
    (@line $name:expr, $method:expr, $path:expr,
        ($scope:expr, $callers:expr, $forwarders:expr), $owner:expr, $open:expr) => {
        $crate::route::RouteEntry {
            name: $name,
            method: $method,
            pattern: $crate::route::PathPattern::new($path),
            scope: $scope,
            callers: $callers,
            forwarders: $forwarders,
            owner: $owner,
            open: $open,
            body_bytes_max: Some($crate::route::BODY_BYTES_MAX),
        }
    };
    (impl $app:ty {
        $($(#[$doc:meta])* $marker:ident = $name:expr, $method:expr, $path:expr, $access:tt,
            $owner:expr => $handler:path $(, body: $body:expr)?;)+
    }) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $marker {}

            impl authn::Route for $marker {
                const NAME: &'static str = $name;
                const SCOPE: Option<authn::Scope> = <Self as $crate::route::Routed>::ENTRY.scope;
                const CALLERS: authn::Callers = <Self as $crate::route::Routed>::ENTRY.callers;
                const FORWARDERS: &'static [&'static str] =
                    <Self as $crate::route::Routed>::ENTRY.forwarders;
                const OWNER: authn::OwnerRule = <Self as $crate::route::Routed>::ENTRY.owner;
            }

            impl $crate::route::Routed for $marker {
                const ENTRY: $crate::route::RouteEntry =
                    $crate::edge::dispatch::routes!(
                        @entry $name, $method, $path, $access, $owner)
                        $(.with_body_bytes_max($body))?;
            }
        )+

        /// The positions of the routes in the table, and behind them its length.
        #[derive(Clone, Copy)]
        enum RouteIndex { $($marker,)+ Length }

        impl $crate::edge::dispatch::App for $app {
            const ROUTES: &'static [$crate::route::RouteEntry] =
                &[$(<$marker as $crate::route::Routed>::ENTRY),+];

            async fn call(
                &self,
                index: usize,
                param: $crate::route::Param,
                guard: &$crate::edge::guard::Guard,
                session: &$crate::edge::guard::PeerSession,
                exchange: &mut runtime::Exchange<'_>,
            ) -> Result<(), runtime::Broken> {
                let length = RouteIndex::Length as usize;
                debug_assert!(index < length, "an index comes from this table");
                $(
                    if index == RouteIndex::$marker as usize {
                        let mut lap = exchange.lap();
                        let mut presented = authn::policy::Presented::default();
                        let permit =
                            guard.permit::<$marker>(session, &mut presented, exchange, &mut lap);
                        return match permit {
                            Ok(permit) => {
                                let handled = $handler(self, permit, param, exchange).await;
                                let encoding = exchange.encoding();
                                lap.end_without($crate::telemetry::stages::HANDLER, encoding);
                                handled
                            }
                            Err(refusal) => {
                                refusal.respond(exchange);
                                Ok(())
                            }
                        };
                    }
                )+
                $crate::edge::problem::not_found(exchange);
                Ok(())
            }
        }
    };
}
pub(crate) use routes;

/// Makes one set of routes of several: the tables one behind the other, each with its own state.
macro_rules! join_routes {
    (impl $app:ty { $($part:ident: $type:ty),+ $(,)? }) => {
        impl $crate::edge::dispatch::App for $app {
            const ROUTES: &'static [$crate::route::RouteEntry] = {
                const LENGTH: usize = 0 $(+ <$type as $crate::edge::dispatch::App>::ROUTES.len())+;
                const ALL: [$crate::route::RouteEntry; LENGTH] =
                    $crate::route::concat(&[$(<$type as $crate::edge::dispatch::App>::ROUTES),+]);
                &ALL
            };

            async fn call(
                &self,
                mut index: usize,
                param: $crate::route::Param,
                guard: &$crate::edge::guard::Guard,
                session: &$crate::edge::guard::PeerSession,
                exchange: &mut runtime::Exchange<'_>,
            ) -> Result<(), runtime::Broken> {
                $(
                    let length = <$type as $crate::edge::dispatch::App>::ROUTES.len();
                    if index < length {
                        return self.$part.call(index, param, guard, session, exchange).await;
                    }
                    index -= length;
                )+
                let _ = index;
                $crate::edge::problem::not_found(exchange);
                Ok(())
            }
        }
    };
}
pub(crate) use join_routes;
