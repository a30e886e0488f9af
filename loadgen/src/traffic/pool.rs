//! One worker's connections to one target: places that are empty, being opened, idle or busy, and
//! that are kept between slices. It refuses to know when requests are due.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use runtime::generator::{CloseReason, Counters, Dial, EventLoop, Token};
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

use crate::traffic::check::ErrorKind;
use crate::traffic::record::WireBytes;
use crate::traffic::session::VirtualConnection;
use crate::traffic::target::Target;
use crate::traffic::template::Template;
use crate::traffic::workload::{Workload, WorkloadError};

/// How long a place rests whose connection was lost or refused, so that a target that closes or
/// refuses is not hammered: the first time, and at most.
pub(crate) const REST_NS_MIN: u64 = 10_000_000;
const REST_NS_MAX: u64 = 1_000_000_000;
const REST_DOUBLINGS_MAX: u32 = 7;

/// A time that never comes.
pub(crate) const NO_REST: u64 = u64::MAX;

/// A target with its request, as workers are handed it.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) target: Target,
    pub(crate) template: Template,
    presented: Arc<AtomicU64>,
}

impl Attached {
    /// Makes ready what workers share of a target. They share one TLS configuration, because a
    /// session can only be resumed under the very configuration that it was made under.
    pub(crate) fn new(mut target: Target, workload: &Workload) -> Result<Attached, WorkloadError> {
        let template = Template::new(workload, &target.host)?;
        let presented = Arc::new(AtomicU64::new(0));
        if let Some(tls) = &mut target.tls {
            let mut config = ClientConfig::clone(&tls.config);
            let inner = Arc::clone(&config.client_auth_cert_resolver);
            let count = Arc::clone(&presented);
            config.client_auth_cert_resolver = Arc::new(Presenting { inner, count });
            tls.config = Arc::new(config);
        }
        Ok(Attached { target, template, presented })
    }

    /// How often a client certificate was presented since the last call.
    pub(crate) fn take_presented(&self) -> u64 {
        self.presented.swap(0, Ordering::Relaxed)
    }
}

/// Where a token's connection belongs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlaceRef {
    pub(crate) pool: u32,
    pub(crate) place: u32,
}

/// What a place is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceState {
    /// It has no connection.
    Empty,
    /// Its connection is being made; so long after the slice's begin, in ns, it is too late. A
    /// request may wait for it, with its intended time.
    Opening { deadline_ns: u64, waiting: Option<u64> },
    /// Nothing is asked.
    Idle,
    /// A reply is awaited.
    Busy,
}

/// One place for a connection.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    pub(crate) token: Option<Token>,
    pub(crate) stage: PlaceState,
    pub(crate) session: VirtualConnection,
    /// Requests sent on the connection.
    pub(crate) used: u32,
    /// The connection was opened to get ready and has not been counted yet.
    pub(crate) fresh: bool,
    /// Connections in a row that could not be opened or were lost without a reply; one more where
    /// the last one was lost after it had carried replies.
    pub(crate) losses: u8,
    /// Until then, in ns after the slice's begin, no connection is opened ahead of requests.
    pub(crate) rest_until_ns: u64,
    /// Bytes that were counted in an earlier slice.
    counted: WireBytes,
}

impl ConnectionPlace {
    fn new() -> ConnectionPlace {
        ConnectionPlace {
            token: None,
            stage: PlaceState::Empty,
            session: VirtualConnection::new(),
            used: 0,
            fresh: false,
            losses: 0,
            rest_until_ns: NO_REST,
            counted: WireBytes::default(),
        }
    }

    /// The connection is gone; a request that was waiting for its reply has to be told apart
    /// before.
    pub(crate) fn vacate(&mut self) {
        self.token = None;
        self.stage = PlaceState::Empty;
        self.session = VirtualConnection::new();
        self.used = 0;
        self.fresh = false;
        self.rest_until_ns = NO_REST;
        self.counted = WireBytes::default();
    }

    /// Whether a whole reply has come on the connection.
    fn has_replied(&self) -> bool {
        self.used > u32::from(self.stage == PlaceState::Busy)
    }

    /// Notes that the connection is lost, or could not be opened. Returns whether it was of use.
    pub(crate) fn lose(&mut self) -> bool {
        let was_of_use = self.has_replied();
        self.losses = if was_of_use { 1 } else { self.losses.saturating_add(1) };
        was_of_use
    }

    /// How long the place rests before it is given another connection: twice as long each time in
    /// a row.
    pub(crate) fn rest_ns(&self) -> u64 {
        let doublings = u32::from(self.losses).saturating_sub(1).min(REST_DOUBLINGS_MAX);
        (REST_NS_MIN << doublings).min(REST_NS_MAX)
    }

    /// Bytes since the last call.
    pub(crate) fn fresh_bytes(&mut self, counters: &Counters) -> WireBytes {
        let now = WireBytes { sent: counters.bytes_out, received: counters.bytes_in };
        let fresh = WireBytes {
            sent: now.sent.saturating_sub(self.counted.sent),
            received: now.received.saturating_sub(self.counted.received),
        };
        self.counted = now;
        fresh
    }
}

/// One worker's connections to one target.
pub(crate) struct Pool {
    pub(crate) index: u32,
    pub(crate) attached: Arc<Attached>,
    pub(crate) places: Vec<ConnectionPlace>,
    /// Attempts that failed since the last slice.
    pub(crate) prepare_failed: u64,
    address: usize,
    dial: Dial,
}

impl Pool {
    pub(crate) fn new(index: u32, attached: Arc<Attached>) -> Pool {
        let tls = attached.target.tls.as_ref();
        let tls = tls.map(|tls| (Arc::clone(&tls.config), tls.name.clone()));
        let addr = attached.target.addresses.first().copied();
        let addr = addr.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        Pool {
            index,
            attached,
            places: Vec::new(),
            prepare_failed: 0,
            address: 0,
            dial: Dial { addr, source: None, tls },
        }
    }

    /// How many addresses of the target have not been tried.
    pub(crate) fn addresses_left(&self) -> usize {
        self.attached.target.addresses.len().saturating_sub(self.address + 1)
    }

    /// Takes the target's next address into use; false when there is none.
    pub(crate) fn next_address(&mut self) -> bool {
        match self.attached.target.addresses.get(self.address + 1) {
            Some(addr) => {
                self.address += 1;
                self.dial.addr = *addr;
                true
            }
            None => false,
        }
    }

    /// Makes so many places, closing connections that are too many.
    pub(crate) fn resize(&mut self, places: usize, io: &mut EventLoop) {
        for place in self.places.drain(places.min(self.places.len())..) {
            if let Some(token) = place.token {
                io.close(token);
            }
        }
        self.places.resize_with(places, ConnectionPlace::new);
    }

    /// Begins to open the connection of an empty place.
    pub(crate) fn open(
        &mut self,
        place: u32,
        io: &mut EventLoop,
        owners: &mut Owners,
        opening: Opening,
    ) -> io::Result<()> {
        self.dial.source =
            self.attached.target.source.address(self.dial.addr, opening.rotate, opening.nth);
        let token = io.open(&self.dial)?;
        owners.set(token, PlaceRef { pool: self.index, place });
        let slot = &mut self.places[place as usize];
        slot.vacate();
        slot.token = Some(token);
        slot.stage =
            PlaceState::Opening { deadline_ns: opening.deadline_ns, waiting: opening.waiting };
        Ok(())
    }
}

/// How a connection is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// When it is too late, ns after the slice's begin.
    pub(crate) deadline_ns: u64,
    /// The intended time of the request that waits for it.
    pub(crate) waiting: Option<u64>,
    /// Connections are used up, so that source addresses go round.
    pub(crate) rotate: bool,
    /// The number of this connection among all that the worker opened.
    pub(crate) nth: u32,
}

/// Which place each token of an event loop belongs to.
#[derive(Debug, Default)]
pub(crate) struct Owners(Vec<PlaceRef>);

impl Owners {
    fn set(&mut self, token: Token, owner: PlaceRef) {
        if self.0.len() <= token.index() {
            self.0.resize(token.index() + 1, PlaceRef::default());
        }
        self.0[token.index()] = owner;
    }

    #[inline]
    pub(crate) fn of(&self, token: Token) -> PlaceRef {
        self.0.get(token.index()).copied().unwrap_or_default()
    }
}

/// What a connection that could not be opened counts as.
pub(crate) fn open_error(reason: &CloseReason) -> ErrorKind {
    match reason {
        CloseReason::Refused => ErrorKind::Refused,
        CloseReason::Tls(_) | CloseReason::Truncated => ErrorKind::Tls,
        CloseReason::Eof | CloseReason::Reset | CloseReason::Io(_) => ErrorKind::Connect,
    }
}

/// What a request counts as whose connection ended under it.
pub(crate) fn lost_error(reason: &CloseReason) -> ErrorKind {
    match reason {
        CloseReason::Eof | CloseReason::Truncated => ErrorKind::Closed,
        CloseReason::Tls(_) => ErrorKind::Tls,
        CloseReason::Refused | CloseReason::Reset | CloseReason::Io(_) => ErrorKind::Reset,
    }
}

/// Counts how often the client's certificate is presented: rustls asks for it only when the
/// server does.
#[derive(Debug)]
struct Presenting {
    inner: Arc<dyn ResolvesClientCert>,
    count: Arc<AtomicU64>,
}

impl ResolvesClientCert for Presenting {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let key = self.inner.resolve(root_hint_subjects, schemes)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(key)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
