//! One accepted connection from its first byte to its last, as straight-line code.
//!
//! ```text
//!   accepted -> TLS handshake -> open(peer) -> idle <----------------+
//!                    |                            | readable            | the peer is slow
//!                    v                            v                     |
//!                  closed <---- close <---- busy: head, call, conclude, flush, read
//! ```
//!
//! An idle connection holds a socket, its session and, under TLS, its keys: no buffer and no
//! part of a request's state, which exist only in the boxed future of a busy connection. That
//! costs one poll before a connection's first request and none while it is busy.
//!
//! Errors that HTTP can express are answered with their status and end the connection; nothing
//! else is ever answered here.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use monoio::net::TcpStream;
use rustls::ServerConfig;

use crate::executor::core::Core;
use crate::executor::driver::Driver;
use crate::io::rate::Demand;
use crate::io::stream::Stream;
use crate::limits::wait_kind::WaitKind;
use crate::limits::{CoreLimits, ServerLimits};
use crate::observe::stats::StatsRef;
use crate::server::address_counts::{AddressCounts, AddressShare, InFlight};
use crate::server::error::{BodyError, Broken};
use crate::server::exchange::Exchange;
use crate::server::response::Replied;
use crate::server::service::{Peer, Service};
use crate::server::wire::{Idle, NextStep, RequestRefusal, Wire};
use crate::tls::{Handshake, HandshakeFailure};

/// Where a server listens, and what it allows its peers.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The TLS configuration; `None` serves plain connections.
    pub tls: Option<Arc<ServerConfig>>,
    /// What one peer may take.
    pub limits: ServerLimits,
}

impl Endpoint {
    /// An endpoint with the default limits.
    #[must_use]
    pub fn new(addr: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Endpoint {
        Endpoint { addr, tls, limits: ServerLimits::default() }
    }
}

/// One endpoint on one core: the service, and what all its connections share.
pub(crate) struct EndpointState<S> {
    pub(crate) service: S,
    pub(crate) core: Core,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) limits: Rc<CoreLimits>,
    pub(crate) stats: StatsRef,
    /// Open connections of this endpoint on all cores; touched once per connection.
    pub(crate) open_everywhere: Arc<AtomicUsize>,
    /// What each address has open on all cores, where that is capped.
    pub(crate) addresses: Option<Arc<AddressCounts>>,
    /// Those of this core.
    pub(crate) open: Cell<usize>,
    /// Those of this core that were closed by the drain's deadline, and those that were not.
    pub(crate) closed: Cell<u64>,
}

impl<S: Service> EndpointState<S> {
    /// Takes a connection in and serves it in a task of its own, or closes it if there are too
    /// many.
    pub(crate) fn accept(self: &Rc<Self>, tcp: std::net::TcpStream, addr: SocketAddr) {
        let Some(guard) = ConnectionGuard::enter(self, addr) else {
            return;
        };
        let Ok(stream) = self.take(tcp) else {
            return;
        };
        self.stats.connections_accepted.add(1);
        let idle = Idle::new(stream, addr);
        monoio::spawn(serve_connection(guard, idle));
    }

    fn take(&self, tcp: std::net::TcpStream) -> Result<Stream, Broken> {
        let adopt = || {
            tcp.set_nodelay(true)?;
            // io_uring waits by itself; a non-blocking socket would make it fail instead.
            tcp.set_nonblocking(self.core.driver == Driver::Epoll)?;
            TcpStream::from_std(tcp)
        };
        let tcp = adopt().map_err(|_| Broken::Peer)?;
        let local = self.core.local.clone();
        let stream = Stream::accepted(local, tcp, self.tls.clone(), self.stats.clone());
        let stream = stream.map_err(|_| Broken::Peer)?;
        stream.watch().demand(demand(&self.limits));
        Ok(stream)
    }
}

/// What is demanded of a peer that is waited for.
fn demand(limits: &CoreLimits) -> Demand {
    Demand {
        bytes_per_s: limits.bytes_per_s_min,
        window_ms: limits.rate_window_ms,
        write_ms: u32::try_from(limits.write_ms).unwrap_or(u32::MAX),
    }
}

/// One open connection in the counts, for as long as it lives.
pub(crate) struct ConnectionGuard<S: Service> {
    endpoint: Rc<EndpointState<S>>,
    address: Option<AddressShare>,
}

impl<S: Service> ConnectionGuard<S> {
    pub(crate) fn enter(
        endpoint: &Rc<EndpointState<S>>,
        peer: SocketAddr,
    ) -> Option<ConnectionGuard<S>> {
        let address = match &endpoint.addresses {
            None => None,
            Some(addresses) => {
                let max = endpoint.limits.address_connections_max.unwrap_or(usize::MAX);
                let Some(share) = addresses.enter(peer.ip(), max) else {
                    endpoint.stats.address_connections_refused.add(1);
                    return None;
                };
                Some(share)
            }
        };
        // Relaxed: the number alone matters. A failed entry takes its own count back.
        if endpoint.open_everywhere.fetch_add(1, Ordering::Relaxed)
            >= endpoint.limits.connections_max
        {
            endpoint.open_everywhere.fetch_sub(1, Ordering::Relaxed);
            endpoint.stats.connections_refused.add(1);
            return None;
        }
        endpoint.open.set(endpoint.open.get() + 1);
        endpoint.core.local.tasks.set(endpoint.core.local.tasks.get() + 1);
        endpoint.stats.connections_open.add(1);
        Some(ConnectionGuard { endpoint: endpoint.clone(), address })
    }

    /// Counts a request of this connection's address, where that is capped; `Err` if it has as many
    /// in flight as it may.
    #[inline]
    fn begin_request(&self) -> Result<Option<InFlight<'_>>, ()> {
        let (Some(share), Some(max)) = (&self.address, self.endpoint.limits.address_requests_max)
        else {
            return Ok(None);
        };
        share.begin_request(max).map(Some).ok_or_else(|| {
            self.endpoint.stats.address_requests_refused.add(1);
        })
    }
}

impl<S: Service> Drop for ConnectionGuard<S> {
    fn drop(&mut self) {
        let endpoint = &self.endpoint;
        endpoint.open_everywhere.fetch_sub(1, Ordering::Relaxed);
        endpoint.open.set(endpoint.open.get() - 1);
        endpoint.closed.set(endpoint.closed.get() + 1);
        endpoint.core.local.tasks.set(endpoint.core.local.tasks.get() - 1);
        endpoint.stats.connections_open.subtract(1);
    }
}

/// A connection from the handshake on. This future is what an idle connection costs, so whatever
/// lasts only while there is something to do is boxed.
pub(crate) async fn serve_connection<S: Service>(guard: ConnectionGuard<S>, mut idle: Idle) {
    let endpoint = &*guard.endpoint;
    let mut leftover = Vec::new();
    if endpoint.tls.is_some() && !Box::pin(tls_handshake(endpoint, &mut idle, &mut leftover)).await
    {
        return;
    }
    let session = endpoint.service.open(&Peer { addr: idle.peer, tls: idle.stream.facts() });
    loop {
        if leftover.is_empty() {
            let limit_ms = endpoint.limits.idle_now(endpoint.core.draining());
            idle.stream.watch().set(WaitKind::Idle, limit_ms);
            if idle.stream.readable().await.is_err() {
                return;
            }
        }
        let leftover = std::mem::take(&mut leftover);
        match Box::pin(serve_requests(&guard, &session, idle, leftover)).await {
            Some(quiescent) => idle = quiescent,
            None => return,
        }
    }
}

/// Makes the TLS handshake and counts how it went.
async fn tls_handshake<S: Service>(
    endpoint: &EndpointState<S>,
    idle: &mut Idle,
    leftover: &mut Vec<u8>,
) -> bool {
    let Idle { stream, peer, .. } = idle;
    let limit_ms = endpoint.limits.handshake_now(endpoint.core.draining());
    let handshake =
        stream.handshake(leftover, limit_ms, endpoint.limits.body_memory_bytes_max).await;
    let stats = &endpoint.stats;
    let facts = match (&handshake, stream.facts()) {
        (Ok(()), Some(facts)) => facts,
        (result, _) => {
            let failure = match result {
                Ok(()) => HandshakeFailure::Internal,
                Err(error) => error.handshake_failure(),
            };
            stats.handshakes_failed[failure.index()].add(1);
            endpoint.service.handshake_failed(*peer, failure);
            return false;
        }
    };
    match facts.handshake {
        Handshake::Full => stats.handshakes_full.add(1),
        Handshake::Resumed => stats.handshakes_resumed.add(1),
    }
    if facts.certificates.is_some() {
        stats.handshakes_client_certificate.add(1);
    }
    true
}

/// Serves requests for as long as they come quickly; gives the connection back when they do not,
/// and nothing when the connection is over.
async fn serve_requests<S: Service>(
    guard: &ConnectionGuard<S>,
    session: &S::Session,
    idle: Idle,
    leftover: Vec<u8>,
) -> Option<Idle> {
    let endpoint = &*guard.endpoint;
    let local = endpoint.core.local.clone();
    let woken = leftover.is_empty();
    let limits = endpoint.limits.clone();
    let mut wire = Wire::new(idle, local, endpoint.stats.clone(), limits, leftover);
    if woken && !wire.wake().await {
        Box::pin(wire.close(false)).await;
        return None;
    }
    loop {
        let step = loop {
            if let Some(step) = wire.next_head() {
                break step;
            }
            if wire.stream.seal(&mut wire.out).is_err() {
                break NextStep::End;
            }
            if wire.stream.drain(&mut wire.out, Some(wire.limits.write_ms)).await.is_err() {
                break NextStep::End;
            }
            let Some(hold) = wire.await_head() else {
                break NextStep::Idle;
            };
            let read = wire.stream.fill(&mut wire.inbox.bytes, hold).await;
            if let Some(step) = wire.has_read(read) {
                break step;
            }
        };
        match step {
            NextStep::Request => endpoint.stats.requests.add(1),
            NextStep::Idle => return Some(wire.into_idle()),
            NextStep::Refuse(_) | NextStep::End => {
                Box::pin(leave(wire, step)).await;
                return None;
            }
        }
        let Ok(in_flight) = guard.begin_request() else {
            wire.reply().problem(429, TOO_MANY);
            if !matches!(wire.conclude().await, Ok(true)) {
                return None;
            }
            continue;
        };
        let mut exchange = Exchange::new(&mut wire, &endpoint.core);
        let called = endpoint.service.call(session, &mut exchange).await;
        drop(in_flight);
        if called == Err(Broken::Reset) {
            wire.stream.set_abortive(true);
        }
        if called.is_err() || !answered(&mut wire) {
            wire.guard_end();
            return None;
        }
        match wire.conclude().await {
            Ok(true) => {}
            Ok(false) => {
                let linger = !wire.http.body_done() || wire.body_error.is_some();
                Box::pin(wire.close(linger)).await;
                return None;
            }
            Err(_) => return None,
        }
    }
}

/// Ends a connection whose peer sent what is refused, or no request any more.
async fn leave(mut wire: Wire, step: NextStep) {
    let refused = if let NextStep::Refuse(refusal) = step {
        refuse(&mut wire, refusal);
        true
    } else {
        false
    };
    wire.close(refused).await;
}

const TOO_MANY: &str = "this address has too many requests in flight; wait for their responses";

/// Sees to it that there is a response, and decides when it leaves; false if it was begun and not
/// finished, which nothing but the end of the connection can tell the peer.
fn answered(wire: &mut Wire) -> bool {
    match wire.response.replied {
        Replied::Whole => {
            wire.local.decide_flush(wire.read_number, wire.response.elapsed_ns);
            true
        }
        Replied::Streaming => false,
        Replied::No => {
            let (status, detail) = match wire.body_error {
                Some(BodyError::Closed) => return false,
                Some(error) => (error.status(), error.as_str()),
                None => (500, "the service gave no answer"),
            };
            wire.problem(status, detail);
            true
        }
    }
}

fn refuse(wire: &mut Wire, refusal: RequestRefusal) {
    wire.stats.requests_malformed.add(1);
    match refusal {
        RequestRefusal::Malformed(error) => wire.problem(error.status(), error.as_str()),
        RequestRefusal::TooSlow => {
            wire.problem(408, "the request head took too long; send it at once")
        }
    }
}
