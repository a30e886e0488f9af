//! One accepted connection from its first byte to its last, as straight-line code.
//!
//! ```text
//!   accepted -> TLS handshake -> open(peer) -> parked <----------------+
//!                    |                            | readable            | the peer is slow
//!                    v                            v                     |
//!                  closed <---- farewell <---- busy: head, call, conclude, flush, read
//! ```
//!
//! A parked connection holds a socket, its session and, under TLS, its keys: no buffer and no
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

use crate::address_counts::{AddressCounts, InFlight, Share};
use crate::cores::{Core, Local, StatsRef};
use crate::deadline::Kind;
use crate::exchange::{BodyError, Exchange};
use crate::rate::Demand;
use crate::service::{Broken, Peer, Service};
use crate::stream::Stream;
use crate::tls::Handshake;
use crate::wire::{Idle, Refusal, Replied, Step, Wire};

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

/// What a server's peers may take: room, and milliseconds. A deadline strikes at the time given
/// or up to two sweeps later (a sweep is an eighth of the shortest one, at most a second).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections, all cores together; further ones are closed at once. 16384 idle ones
    /// are some 14 MB, or 140 under TLS.
    pub connections_max: usize,
    /// Open connections of one address, all cores together; further ones are closed at once.
    /// `None` counts none: behind a proxy or a translator many peers share an address.
    pub address_connections_max: Option<usize>,
    /// Requests of one address being answered at the same time; further ones are told 429.
    pub address_requests_max: Option<usize>,
    /// For the TLS handshake: a slow client's three round trips with retransmissions.
    pub handshake_ms: u64,
    /// For the rest of a head once its first byte came.
    pub head_ms: u64,
    /// For each wait for more of a body. Without a smallest rate, for all waits for a body
    /// together, and a millisecond more for every 64 bytes of it that came.
    pub body_ms: u64,
    /// For the next request. Longer than the idle time of this crate's own client, so that it is
    /// the client that closes and no request meets a closed connection.
    pub idle_ms: u64,
    /// For the peer to take nothing of an answer. Without a smallest rate, for writing it, and a
    /// millisecond more for every 64 bytes of it.
    pub write_ms: u64,
    /// Bytes per second that a peer must move while it is what is waited for: by a read for the
    /// rest of a body, or by a write to a full socket. 0 asks for none. 240 are less than any modem
    /// made, and sixteen connections that drip at it still cost their owner 30 kbit/s.
    pub bytes_per_s_min: u32,
    /// How much of such time they are counted over, and how much passes before they are, in
    /// milliseconds.
    pub rate_window_ms: u32,
    /// Bytes of memory that the bodies on one core may take, and handshakes that have only begun,
    /// beyond a page for each connection; further ones are answered 503, or closed. A thousand of
    /// the largest that routes collect.
    pub body_memory_bytes_max: usize,
    /// What a message may hold.
    pub http: proto_http::Limits,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections_max: 16 * 1024,
            address_connections_max: None,
            address_requests_max: None,
            handshake_ms: 10_000,
            head_ms: 10_000,
            body_ms: 30_000,
            idle_ms: 75_000,
            write_ms: 30_000,
            bytes_per_s_min: 240,
            rate_window_ms: 5_000,
            body_memory_bytes_max: 64 * 1024 * 1024,
            http: proto_http::Limits::default(),
        }
    }
}

/// How long an idle connection may still send a request once the server drains, in milliseconds.
pub(crate) const DRAIN_IDLE_MS: u64 = 200;

/// How long a TLS handshake may still take then.
pub(crate) const DRAIN_HANDSHAKE_MS: u64 = 1000;

impl ServerLimits {
    /// The shortest of the limits, which sets the pace of the sweep.
    pub(crate) fn shortest_ms(&self) -> u64 {
        let rate_ms = if self.bytes_per_s_min == 0 { u64::MAX } else { self.rate_window_ms.into() };
        let limits = [self.head_ms, self.body_ms, self.idle_ms, self.write_ms, rate_ms];
        limits.into_iter().fold(self.handshake_ms, u64::min)
    }

    /// Whether anything is counted of each address.
    pub(crate) fn counts_addresses(&self) -> bool {
        self.address_connections_max.is_some() || self.address_requests_max.is_some()
    }

    /// What is demanded of a peer that is waited for.
    fn demand(&self) -> Demand {
        Demand {
            bytes_per_s: self.bytes_per_s_min,
            window_ms: self.rate_window_ms,
            write_ms: u32::try_from(self.write_ms).unwrap_or(u32::MAX),
        }
    }

    /// How long to wait for a next request now.
    pub(crate) fn idle_now(&self, local: &Local) -> u64 {
        if local.draining.get() { self.idle_ms.min(DRAIN_IDLE_MS) } else { self.idle_ms }
    }

    /// How long to wait for a handshake now.
    fn handshake_now(&self, local: &Local) -> u64 {
        if local.draining.get() {
            self.handshake_ms.min(DRAIN_HANDSHAKE_MS)
        } else {
            self.handshake_ms
        }
    }
}

/// One endpoint on one core: the service, and what all its connections share.
pub(crate) struct Door<S> {
    pub(crate) service: S,
    pub(crate) core: Core,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) limits: Rc<ServerLimits>,
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

impl<S: Service> Door<S> {
    /// Takes a connection in and serves it in a task of its own, or closes it if there are too
    /// many.
    pub(crate) fn admit(self: &Rc<Self>, tcp: std::net::TcpStream, addr: SocketAddr) {
        let Some(guest) = Guest::enter(self, addr) else {
            return;
        };
        let Ok(stream) = self.take(tcp) else {
            return;
        };
        self.stats.connections_accepted.add(1);
        let idle = Idle::new(stream, addr);
        monoio::spawn(attend(guest, idle));
    }

    fn take(&self, tcp: std::net::TcpStream) -> Result<Stream, Broken> {
        let adopt = || {
            tcp.set_nodelay(true)?;
            // io_uring waits by itself; a non-blocking socket would make it fail instead.
            tcp.set_nonblocking(self.core.driver == crate::Driver::Epoll)?;
            TcpStream::from_std(tcp)
        };
        let tcp = adopt().map_err(|_| Broken::Peer)?;
        let local = self.core.local.clone();
        let stream = Stream::accepted(local, tcp, self.tls.clone(), self.stats.clone());
        let stream = stream.map_err(|_| Broken::Peer)?;
        stream.watch().demand(self.limits.demand());
        Ok(stream)
    }
}

/// One open connection in the counts, for as long as it lives.
pub(crate) struct Guest<S: Service> {
    door: Rc<Door<S>>,
    address: Option<Share>,
}

impl<S: Service> Guest<S> {
    pub(crate) fn enter(door: &Rc<Door<S>>, peer: SocketAddr) -> Option<Guest<S>> {
        let address = match &door.addresses {
            None => None,
            Some(addresses) => {
                let max = door.limits.address_connections_max.unwrap_or(usize::MAX);
                let Some(share) = addresses.enter(peer.ip(), max) else {
                    door.stats.address_connections_refused.add(1);
                    return None;
                };
                Some(share)
            }
        };
        // Relaxed: the number alone matters. A failed entry takes its own count back.
        if door.open_everywhere.fetch_add(1, Ordering::Relaxed) >= door.limits.connections_max {
            door.open_everywhere.fetch_sub(1, Ordering::Relaxed);
            door.stats.connections_refused.add(1);
            return None;
        }
        door.open.set(door.open.get() + 1);
        door.core.local.tasks.set(door.core.local.tasks.get() + 1);
        door.stats.connections_open.add(1);
        Some(Guest { door: door.clone(), address })
    }

    /// Counts a request of this connection's address, where that is capped; `Err` if it has as many
    /// in flight as it may.
    #[inline]
    fn begin_request(&self) -> Result<Option<InFlight<'_>>, ()> {
        let (Some(share), Some(max)) = (&self.address, self.door.limits.address_requests_max)
        else {
            return Ok(None);
        };
        share.begin_request(max).map(Some).ok_or_else(|| {
            self.door.stats.address_requests_refused.add(1);
        })
    }
}

impl<S: Service> Drop for Guest<S> {
    fn drop(&mut self) {
        let door = &self.door;
        door.open_everywhere.fetch_sub(1, Ordering::Relaxed);
        door.open.set(door.open.get() - 1);
        door.closed.set(door.closed.get() + 1);
        door.core.local.tasks.set(door.core.local.tasks.get() - 1);
        door.stats.connections_open.subtract(1);
    }
}

/// A connection from the handshake on. This future is what an idle connection costs, so whatever
/// lasts only while there is something to do is boxed.
pub(crate) async fn attend<S: Service>(guest: Guest<S>, mut idle: Idle) {
    let door = &*guest.door;
    let mut early = Vec::new();
    if door.tls.is_some() && !Box::pin(greet(door, &mut idle.stream, &mut early)).await {
        return;
    }
    let session = door.service.open(&Peer { addr: idle.peer, tls: idle.stream.facts() });
    loop {
        if early.is_empty() {
            let limit_ms = door.limits.idle_now(&door.core.local);
            idle.stream.watch().set(Kind::Idle, limit_ms);
            if idle.stream.readable().await.is_err() {
                return;
            }
        }
        let early = std::mem::take(&mut early);
        match Box::pin(work(&guest, &session, idle, early)).await {
            Some(parked) => idle = parked,
            None => return,
        }
    }
}

/// Makes the TLS handshake and counts how it went.
async fn greet<S: Service>(door: &Door<S>, stream: &mut Stream, early: &mut Vec<u8>) -> bool {
    let limit_ms = door.limits.handshake_now(&door.core.local);
    let greeted = stream.handshake(early, limit_ms, door.limits.body_memory_bytes_max).await;
    let stats = &door.stats;
    let Some(facts) = greeted.ok().and_then(|()| stream.facts()) else {
        stats.handshakes_failed.add(1);
        return false;
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
async fn work<S: Service>(
    guest: &Guest<S>,
    session: &S::Session,
    idle: Idle,
    early: Vec<u8>,
) -> Option<Idle> {
    let door = &*guest.door;
    let local = door.core.local.clone();
    let woken = early.is_empty();
    let limits = door.limits.clone();
    let mut wire = Wire::new(idle, local, door.stats.clone(), limits, early);
    if woken && !wire.wake().await {
        Box::pin(wire.farewell(false)).await;
        return None;
    }
    loop {
        let step = loop {
            if let Some(step) = wire.next_head() {
                break step;
            }
            if wire.stream.seal(&mut wire.out).is_err() {
                break Step::End;
            }
            if wire.stream.drain(&mut wire.out, Some(wire.limits.write_ms)).await.is_err() {
                break Step::End;
            }
            let Some(hold) = wire.await_head() else {
                break Step::Park;
            };
            let read = wire.stream.fill(&mut wire.inbox.bytes, hold).await;
            if let Some(step) = wire.has_read(read) {
                break step;
            }
        };
        match step {
            Step::Request => door.stats.requests.add(1),
            Step::Park => return Some(wire.into_idle()),
            Step::Refuse(_) | Step::End => {
                Box::pin(leave(wire, step)).await;
                return None;
            }
        }
        let Ok(in_flight) = guest.begin_request() else {
            wire.reply().problem(429, TOO_MANY);
            if !matches!(wire.conclude().await, Ok(true)) {
                return None;
            }
            continue;
        };
        let mut exchange = Exchange::new(&mut wire, &door.core);
        let called = door.service.call(session, &mut exchange).await;
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
                Box::pin(wire.farewell(linger)).await;
                return None;
            }
            Err(_) => return None,
        }
    }
}

/// Ends a connection whose peer sent what is refused, or no request any more.
async fn leave(mut wire: Wire, step: Step) {
    let refused = if let Step::Refuse(refusal) = step {
        refuse(&mut wire, refusal);
        true
    } else {
        false
    };
    wire.farewell(refused).await;
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

fn refuse(wire: &mut Wire, refusal: Refusal) {
    wire.stats.requests_malformed.add(1);
    match refusal {
        Refusal::Malformed(error) => wire.problem(error.status(), error.as_str()),
        Refusal::TooSlow => wire.problem(408, "the request head took too long; send it at once"),
    }
}
