//! The service that the runtime calls on each core: finds the route, lets the table's dispatch
//! obtain the permit and call the handler, and counts the response.
//!
//! It owns the order of these steps. It refuses to know any service: routes, handlers and their
//! state come as an [`App`]. Under every profile it refuses an access token in the query.

use std::net::SocketAddr;

use runtime::tls::HandshakeFailure;
use runtime::{Broken, Exchange, Peer, Service};

use crate::edge::dispatch::App;
use crate::edge::guard::{Guard, PeerSession};
use crate::edge::problem;
use crate::edge::query::carries_token;
use crate::route::{RouteMatch, find};

/// One core's server of the routes of `A`.
#[derive(Debug)]
pub struct Instrumented<A> {
    app: A,
    guard: Guard,
}

impl<A: App> Instrumented<A> {
    /// Puts `guard` in front of `app`.
    #[must_use]
    pub fn new(app: A, guard: Guard) -> Instrumented<A> {
        Instrumented { app, guard }
    }
}

impl<A: App> Service for Instrumented<A> {
    type Session = PeerSession;

    fn open(&self, peer: &Peer<'_>) -> PeerSession {
        self.guard.open(peer)
    }

    fn handshake_failed(&self, peer: SocketAddr, failure: HandshakeFailure) {
        self.guard.handshake_failed(peer, failure);
    }

    async fn call(&self, session: &PeerSession, exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        let request = exchange.request();
        let path = request.path();
        // All that follows the path is its query; where there is none, this is all that it costs.
        if request.target().len() != path.len() && request.query().is_some_and(carries_token) {
            self.guard.token_in_query(session, exchange);
            problem::token_in_query(exchange);
            let index = A::ROUTES.len();
            self.guard.counters().answered(index, 400, exchange.elapsed());
            return Ok(());
        }
        let (index, result) = match find(A::ROUTES, request.method(), path) {
            RouteMatch::Route(index, param) => {
                (index, self.app.call(index, param, &self.guard, session, exchange).await)
            }
            RouteMatch::Method(pattern) => {
                problem::method_not_allowed(exchange, A::ROUTES, pattern);
                (A::ROUTES.len(), Ok(()))
            }
            RouteMatch::Missing => {
                problem::not_found(exchange);
                (A::ROUTES.len(), Ok(()))
            }
        };
        if let Some(status) = exchange.status() {
            self.guard.counters().answered(index, status, exchange.elapsed());
        }
        result
    }
}
