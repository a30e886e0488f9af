//! The connections one core keeps to one upstream.
//!
//! The one used last is taken first, so that the surplus of a burst grows old and is closed. An
//! idle connection has no operation in flight and no buffer: it is looked at before it is used
//! again if it has been idle for a while, and closed by the core's sweep when it is too old.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use proto_http::Client;

use crate::client::{ClientError, UpstreamConfig};
use crate::cores::{Core, StatsRef};
use crate::deadline::{Housekeeping, Kind};
use crate::stream::{Stream, StreamError};
use crate::sys;

/// Idle for longer than this, a connection is looked at before it is used, in milliseconds. A
/// server that closes a connection this young was going to close any.
const TRUSTED_MS: u64 = 20;

/// All connections to one upstream.
pub(crate) struct Pool {
    pub(crate) core: Core,
    pub(crate) config: UpstreamConfig,
    idle: RefCell<Vec<Link>>,
    open: Rc<Cell<usize>>,
    uploads: Rc<Cell<usize>>,
    turn: Cell<usize>,
}

/// One of them.
pub(crate) struct Link {
    pub(crate) stream: Stream,
    pub(crate) http: Client,
    /// It has carried a request before.
    pub(crate) kept: bool,
    idle_since_ms: u64,
    _place: Place,
}

/// A connection's place in the counts.
struct Place {
    open: Rc<Cell<usize>>,
    stats: StatsRef,
}

impl Place {
    fn take(pool: &Pool) -> Result<Place, ClientError> {
        let open = pool.open.get();
        if open >= pool.config.connections_max {
            return Err(ClientError::Exhausted);
        }
        pool.open.set(open + 1);
        let stats = pool.core.local.stats.clone();
        stats.upstream_open.add(1);
        Ok(Place { open: pool.open.clone(), stats })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
        self.stats.upstream_open.subtract(1);
    }
}

/// A streamed request's place in the count. How long one lasts is its client's to say, so they get
/// half of the connections and leave the rest to requests that are sent whole.
pub(crate) struct Upload(Rc<Cell<usize>>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Pool {
    pub(crate) fn new(core: &Core, config: UpstreamConfig) -> Rc<Pool> {
        let deadlines = &core.local.deadlines;
        deadlines.expect(config.response_ms.min(config.idle_ms).min(config.connect_ms));
        let pool = Rc::new(Pool {
            core: core.clone(),
            config,
            idle: RefCell::default(),
            open: Rc::default(),
            uploads: Rc::default(),
            turn: Cell::new(0),
        });
        let keeper: Rc<dyn Housekeeping> = pool.clone();
        deadlines.keep(Rc::downgrade(&keeper));
        pool
    }

    /// A kept connection that seems usable, unless a `fresh` one is asked for; else a new one.
    pub(crate) async fn checkout(&self, fresh: bool) -> Result<Link, ClientError> {
        if !fresh && let Some(link) = self.kept() {
            return Ok(link);
        }
        // Boxed: a busy connection's future has room for all that can happen in it, and is moved
        // whole when a parked one wakes up. What happens rarely takes its own room.
        Box::pin(self.connect()).await
    }

    /// Leave to stream a request's body.
    pub(crate) fn begin_upload(&self) -> Result<Upload, ClientError> {
        let uploads = self.uploads.get();
        if uploads >= self.config.connections_max.div_ceil(2) {
            return Err(ClientError::Uploads);
        }
        self.uploads.set(uploads + 1);
        Ok(Upload(self.uploads.clone()))
    }

    /// Keeps a connection whose last response is complete.
    pub(crate) fn keep(&self, mut link: Link) {
        if self.core.draining() {
            return;
        }
        link.kept = true;
        link.idle_since_ms = self.core.local.deadlines.now_ms();
        link.stream.watch().clear();
        self.idle.borrow_mut().push(link);
    }

    fn kept(&self) -> Option<Link> {
        let now_ms = self.core.local.deadlines.now_ms();
        loop {
            // Closed ones are dropped one by one: there may be a usable one below.
            let link = self.idle.borrow_mut().pop()?;
            let idle_ms = now_ms.saturating_sub(link.idle_since_ms);
            if idle_ms <= TRUSTED_MS || (idle_ms < self.config.idle_ms && link.stream.quiet()) {
                return Some(link);
            }
        }
    }

    /// Tries the addresses in turn, each at most `connect_ms`.
    async fn connect(&self) -> Result<Link, ClientError> {
        let place = Place::take(self)?;
        let addrs = &self.config.addrs;
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut failed = ClientError::NoAddress;
        for offset in 0..addrs.len() {
            let addr = addrs[(turn.wrapping_add(offset)) % addrs.len()];
            match self.connect_to(addr).await {
                Ok(stream) => {
                    self.core.stats().upstream_opened.add(1);
                    if self.config.tls.is_some() {
                        self.core.stats().upstream_handshakes.add(1);
                    }
                    return Ok(Link {
                        stream,
                        http: Client::new(self.config.http),
                        kept: false,
                        idle_since_ms: 0,
                        _place: place,
                    });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, addr: SocketAddr) -> Result<Stream, ClientError> {
        let tls = self.config.tls.clone();
        let connected = Stream::connect(&self.core, addr, tls, self.config.connect_ms).await;
        connected.map_err(|error| match error {
            StreamError::Deadline(Kind::Handshake) => ClientError::ConnectTimeout,
            StreamError::Tls(error) => ClientError::Tls(error),
            // EMFILE and ENFILE are our own shortage, not the upstream's.
            StreamError::Io(error) if sys::is_out_of_files(&error) => ClientError::Exhausted,
            StreamError::Io(error) => ClientError::Refused(error),
            StreamError::Closed | StreamError::Deadline(_) => ClientError::Closed,
        })
    }
}

impl Housekeeping for Pool {
    fn sweep(&self, now_ms: u64) {
        let limit_ms = self.config.idle_ms;
        // The oldest come first, because the newest are taken first.
        let mut idle = self.idle.borrow_mut();
        let old = idle.partition_point(|link| now_ms - link.idle_since_ms.min(now_ms) >= limit_ms);
        let closed: Vec<Link> = idle.drain(..old).collect();
        drop(idle);
        drop(closed);
    }
}
