//! What a server does: the trait that the crates above implement, and what they learn of a peer.
//!
//! A service belongs to one core and is never shared, so it may hold `Cell`s and `Rc`s. It is
//! asked once per connection who is there ([`Service::open`]) and once per request what to answer
//! ([`Service::call`]). It sees no socket, no TLS and no driver.

use std::future::Future;
use std::net::SocketAddr;

use crate::server::error::Broken;
use crate::server::exchange::Exchange;
use crate::tls::{HandshakeFailure, TlsFacts};

/// A server's behaviour on one core.
pub trait Service: 'static {
    /// What is known of one connection for as long as it lives: its identity, say. It should be
    /// small: every idle connection holds one. The requests of a connection share it, so nothing of
    /// a single request belongs here.
    type Session: 'static;

    /// Looks at a new connection, whose TLS handshake is done.
    fn open(&self, peer: &Peer<'_>) -> Self::Session;

    /// Learns that the handshake with a new connection failed, which is closed then. A service that
    /// keeps no record of it need not care.
    fn handshake_failed(&self, _peer: SocketAddr, _failure: HandshakeFailure) {}

    /// Answers one request through `exchange`: exactly one reply, whole or streamed to its end.
    /// Returning `Ok` without one makes the peer see a 500.
    ///
    /// # Errors
    /// [`Broken`] when the connection is of no more use; it is closed then.
    fn call(
        &self,
        session: &Self::Session,
        exchange: &mut Exchange<'_>,
    ) -> impl Future<Output = Result<(), Broken>>;
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its address.
    pub addr: SocketAddr,
    /// What the TLS handshake agreed on; `None` on a plain connection.
    pub tls: Option<TlsFacts<'a>>,
}
