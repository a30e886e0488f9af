//! The connections one core keeps to one upstream.
//!
//! The one used last is taken first, so that the surplus of a burst grows old and is closed. An
//! idle connection has no operation in flight and no buffer. It is closed by the core's sweep when
//! it is too old, or its address is no longer one of the upstream's (an idle core notices that
//! within 5 s). Whether anything has arrived on it is looked at when a request is about to leave
//! ([`ConnectionPool::is_usable`]), and not when it is taken: that may be long before.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use proto_http::Client;

use super::config::{UpstreamConfig, UpstreamWaits};
use super::error::ClientError;
use crate::executor::core::Core;
use crate::io::deadline::{Housekeeping, NEVER, WaitKind};
use crate::io::stream::{Stream, StreamError};
use crate::observe::stats::StatsRef;
use crate::system::sys::{self, ConnectionHealth};

/// How often idle connections are held against the list of addresses where nothing else wakes the
/// core, in milliseconds. A request looks at the list as well.
const LOOK_MS: u64 = 5000;

/// All connections to one upstream.
pub(crate) struct ConnectionPool {
    pub(crate) core: Core,
    pub(crate) config: UpstreamConfig,
    pub(crate) waits: UpstreamWaits,
    idle: RefCell<Vec<PooledConnection>>,
    /// The addresses, and which version of them.
    addrs: RefCell<Arc<Vec<SocketAddr>>>,
    version: Cell<u64>,
    /// Until when connections are not kept, on the coarse clock.
    reuse_paused_until_ms: Cell<u64>,
    open: Rc<Cell<usize>>,
    uploads: Rc<Cell<usize>>,
    turn: Cell<usize>,
}

/// One of them.
pub(crate) struct PooledConnection {
    pub(crate) stream: Stream,
    pub(crate) http: Client,
    /// It has carried a request before.
    pub(crate) kept: bool,
    addr: SocketAddr,
    /// The version of the addresses that `addr` was found in last.
    version: u64,
    idle_since_ms: u64,
    _open: OpenCount,
}

/// A connection's place in the counts.
struct OpenCount {
    open: Rc<Cell<usize>>,
    stats: StatsRef,
}

impl OpenCount {
    fn take(pool: &ConnectionPool) -> Result<OpenCount, ClientError> {
        let open = pool.open.get();
        if open >= pool.config.connections_max {
            return Err(ClientError::Exhausted);
        }
        pool.open.set(open + 1);
        let stats = pool.core.local.stats.clone();
        stats.upstream_open.add(1);
        Ok(OpenCount { open: pool.open.clone(), stats })
    }
}

impl Drop for OpenCount {
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

impl ConnectionPool {
    pub(crate) fn new(core: &Core, config: UpstreamConfig) -> Rc<ConnectionPool> {
        let deadlines = &core.local.deadlines;
        let waits = UpstreamWaits::from(&config);
        deadlines.expect(waits.response_ms.min(waits.idle_ms).min(waits.connect_ms));
        let (version, addrs) = (config.addrs.version(), config.addrs.list());
        let pool = Rc::new(ConnectionPool {
            core: core.clone(),
            config,
            waits,
            idle: RefCell::default(),
            addrs: RefCell::new(addrs),
            version: Cell::new(version),
            reuse_paused_until_ms: Cell::new(0),
            open: Rc::default(),
            uploads: Rc::default(),
            turn: Cell::new(0),
        });
        let housekeeping: Rc<dyn Housekeeping> = pool.clone();
        deadlines.keep(Rc::downgrade(&housekeeping));
        pool
    }

    /// A kept connection, unless a `fresh` one is asked for; else a new one.
    pub(crate) async fn checkout(&self, fresh: bool) -> Result<PooledConnection, ClientError> {
        if !fresh && let Some(link) = self.kept() {
            return Ok(link);
        }
        // Boxed: a busy connection's future has room for all that can happen in it, and is moved
        // whole when an idle one wakes up. What happens rarely takes its own room.
        Box::pin(self.open()).await
    }

    /// The last look at a connection before a request leaves on it.
    pub(crate) fn is_usable(&self, link: &mut PooledConnection) -> bool {
        if !link.kept {
            return true;
        }
        let found = link.stream.look();
        match found {
            ConnectionHealth::Idle => self.core.stats().upstream_reused.add(1),
            ConnectionHealth::Ended => {}
            ConnectionHealth::Unsolicited => self.note_unsolicited(),
        }
        found == ConnectionHealth::Idle
    }

    /// Gives `link` a new connection in place of the one it has. The old one must not be used even
    /// if this fails.
    pub(crate) async fn renew(&self, link: &mut PooledConnection) -> Result<(), ClientError> {
        (link.stream, link.addr) = self.connect().await?;
        (link.version, link.kept) = (self.version.get(), false);
        Ok(())
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
    pub(crate) fn keep(&self, mut link: PooledConnection) {
        let now_ms = self.core.local.deadlines.now_ms();
        let paused = now_ms < self.reuse_paused_until_ms.get();
        if paused || self.core.draining() || !self.is_current(&mut link) {
            return;
        }
        link.kept = true;
        link.idle_since_ms = now_ms;
        link.stream.watch().clear();
        self.idle.borrow_mut().push(link);
    }

    /// The upstream has said something unasked. What it says next may come just after a request
    /// was sent, and then nothing tells it from a response; so for a while each request has a
    /// connection of its own.
    #[cold]
    pub(crate) fn note_unsolicited(&self) {
        self.core.stats().upstream_unsolicited.add(1);
        let now_ms = self.core.local.deadlines.now_ms();
        self.reuse_paused_until_ms.set(now_ms + self.waits.reuse_pause_ms);
        let idle = self.idle.take();
        drop(idle);
    }

    fn kept(&self) -> Option<PooledConnection> {
        self.refresh();
        let now_ms = self.core.local.deadlines.now_ms();
        loop {
            // Old ones are dropped one by one: there may be a usable one below.
            let mut link = self.idle.borrow_mut().pop()?;
            let idle_ms = now_ms.saturating_sub(link.idle_since_ms);
            if idle_ms < self.waits.idle_ms && self.is_current(&mut link) {
                return Some(link);
            }
        }
    }

    /// Takes over newer addresses if there are any.
    #[inline]
    fn refresh(&self) {
        let version = self.config.addrs.version();
        if version != self.version.get() {
            self.version.set(version);
            self.addrs.replace(self.config.addrs.list());
        }
    }

    /// Whether the connection's address is still one of the upstream's.
    #[inline]
    fn is_current(&self, link: &mut PooledConnection) -> bool {
        let version = self.version.get();
        if link.version != version && !self.addrs.borrow().contains(&link.addr) {
            return false;
        }
        link.version = version;
        true
    }

    async fn open(&self) -> Result<PooledConnection, ClientError> {
        let open = OpenCount::take(self)?;
        let (stream, addr) = self.connect().await?;
        Ok(PooledConnection {
            stream,
            http: Client::new(self.config.http),
            kept: false,
            addr,
            version: self.version.get(),
            idle_since_ms: 0,
            _open: open,
        })
    }

    /// Tries the addresses in turn, each at most `connect_timeout`.
    async fn connect(&self) -> Result<(Stream, SocketAddr), ClientError> {
        self.refresh();
        let addrs = self.addrs.borrow().clone();
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
                    return Ok((stream, addr));
                }
                Err(error) => failed = error,
            }
        }
        self.config.addrs.failed();
        Err(failed)
    }

    async fn connect_to(&self, addr: SocketAddr) -> Result<Stream, ClientError> {
        let tls = self.config.tls.clone();
        let connected = Stream::connect(&self.core, addr, tls, self.waits.connect_ms).await;
        connected.map_err(|error| match error {
            StreamError::Deadline(WaitKind::Handshake) => ClientError::ConnectTimeout,
            StreamError::Tls(error) => ClientError::Tls(error),
            // EMFILE and ENFILE are our own shortage, not the upstream's.
            StreamError::Io(error) if sys::is_out_of_files(&error) => ClientError::Exhausted,
            StreamError::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                ClientError::Refused(error)
            }
            StreamError::Io(error) => ClientError::Unreachable(error),
            StreamError::Closed | StreamError::Deadline(_) => ClientError::Closed,
        })
    }
}

impl Housekeeping for ConnectionPool {
    fn sweep(&self, now_ms: u64) -> u64 {
        let limit_ms = self.waits.idle_ms;
        // The oldest come first, because the newest are taken first.
        let mut idle = self.idle.borrow_mut();
        let old = idle.partition_point(|link| now_ms - link.idle_since_ms.min(now_ms) >= limit_ms);
        let mut closed: Vec<PooledConnection> = idle.drain(..old).collect();
        self.refresh();
        closed.extend(idle.extract_if(.., |link| !self.is_current(link)));
        let oldest_ms = idle.first().map(|link| link.idle_since_ms);
        drop(idle);
        drop(closed);
        let Some(oldest_ms) = oldest_ms else {
            return NEVER;
        };
        let look_ms = if self.config.addrs.may_change() { now_ms + LOOK_MS } else { NEVER };
        look_ms.min(oldest_ms.saturating_add(limit_ms))
    }
}
