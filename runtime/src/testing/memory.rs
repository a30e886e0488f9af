//! A server's connections without sockets, for benchmarks, counts and tests: bytes go in, bytes
//! come out, and everything between them is the code that serves real ones.
//!
//! ```text
//!   on_core ─> Server::new ─> Server::connect ─> send ─> take ─┐
//!                                                  ^───────────┘
//! ```
//! It owns the connection's two ends. It refuses to wait: a connection runs when
//! it is given bytes, until it wants more or ends. So nothing but the peer is ever waited for: no
//! timer fires, no deadline expires, and a service that calls an upstream stands still.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Waker};

use rustls::ServerConfig;

use crate::executor::core::Core;
use crate::executor::driver::{DriverChoice, Executor};
use crate::executor::error::StartError;
use crate::io::pipe::Pipe;
use crate::io::socket::Socket;
use crate::io::stream::{Stream, StreamError};
use crate::limits::{CoreLimits, ServerLimits};
use crate::observe::stats::CoreStats;
use crate::server::connection::{ConnectionGuard, EndpointState, serve_connection};
use crate::server::service::Service;
use crate::server::wire::Idle;

/// Calls `body` with a core of this thread, on which servers in memory can live.
///
/// # Errors
/// When the kernel refuses even an event queue.
///
/// # Panics
/// Within another core.
pub fn on_core<R>(body: impl FnOnce(&Core) -> R) -> Result<R, StartError> {
    // What happens in memory needs no driver; tasks need an executor around them.
    let (mut executor, driver) = Executor::new(DriverChoice::Epoll)?;
    let stats: Arc<[CoreStats]> = Arc::from([CoreStats::default()]);
    let core = Core::new(0, None, driver, &stats);
    Ok(executor.block_on(async { body(&core) }))
}

/// A server that listens nowhere.
pub struct MemoryServer<S> {
    endpoint: Rc<EndpointState<S>>,
}

impl<S: Service> MemoryServer<S> {
    /// Serves `service` on `core`, under TLS where a configuration is given.
    #[must_use]
    pub fn new(
        core: &Core,
        service: S,
        tls: Option<Arc<ServerConfig>>,
        limits: ServerLimits,
    ) -> MemoryServer<S> {
        let endpoint = EndpointState {
            service,
            core: core.clone(),
            tls,
            limits: Rc::new(CoreLimits::from(&limits)),
            stats: core.local.stats.clone(),
            open_everywhere: Arc::new(AtomicUsize::new(0)),
            addresses: None,
            open: Cell::new(0),
            closed: Cell::new(0),
        };
        MemoryServer { endpoint: Rc::new(endpoint) }
    }

    /// A new connection of `peer`.
    ///
    /// # Errors
    /// When there are too many, or the TLS configuration can serve none.
    pub fn connect(&self, peer: SocketAddr) -> Result<MemoryConnection, StreamError> {
        let guard = ConnectionGuard::enter(&self.endpoint, peer).ok_or(StreamError::Closed)?;
        let endpoint = &self.endpoint;
        let pipe = Rc::new(Pipe::default());
        let socket = Socket::Memory(pipe.clone());
        let local = endpoint.core.local.clone();
        let stream = Stream::accepted(local, socket, endpoint.tls.clone(), endpoint.stats.clone())?;
        endpoint.stats.connections_accepted.add(1);
        let served = Box::pin(serve_connection(guard, Idle::new(stream, peer)));
        let mut connection = MemoryConnection { pipe, served: Some(served) };
        connection.go_on();
        Ok(connection)
    }
}

impl<S> fmt::Debug for MemoryServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("open", &self.endpoint.open.get()).finish_non_exhaustive()
    }
}

/// One connection, from the peer's side.
pub struct MemoryConnection {
    pipe: Rc<Pipe>,
    served: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl MemoryConnection {
    /// Gives the server these bytes, and lets it do with them all that it does before it waits for
    /// more.
    pub fn send(&mut self, bytes: &[u8]) {
        self.pipe.to_server.borrow_mut().extend_from_slice(bytes);
        self.go_on();
    }

    /// Ends what the peer sends (FIN).
    pub fn end(&mut self) {
        self.pipe.ended.set(true);
        self.go_on();
    }

    /// Appends what the server has written since the last time; returns how many bytes.
    pub fn take(&self, out: &mut Vec<u8>) -> usize {
        let mut written = self.pipe.from_server.borrow_mut();
        let count = written.len();
        out.append(&mut written);
        count
    }

    /// Whether the server has not closed the connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.served.is_some()
    }

    fn go_on(&mut self) {
        // Whoever gives bytes runs the connection, so nobody has to be woken.
        let mut context = Context::from_waker(Waker::noop());
        if let Some(served) = &mut self.served
            && served.as_mut().poll(&mut context).is_ready()
        {
            self.served = None;
        }
    }
}

impl fmt::Debug for MemoryConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::server::error::Broken;
    use crate::server::exchange::Exchange;
    use crate::server::service::Peer;

    /// Answers with the body it was sent.
    struct Echo;

    impl Service for Echo {
        type Session = ();

        fn open(&self, _: &Peer<'_>) {}

        async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
            exchange.body(64 * 1024).await?;
            let (_, body, reply) = exchange.parts();
            reply.send(200, &[], body);
            Ok(())
        }
    }

    /// Responds to `/work` after more CPU time than a batch of responses may wait for.
    struct Worker;

    impl Service for Worker {
        type Session = ();

        fn open(&self, _: &Peer<'_>) {}

        async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
            let start = Instant::now();
            while exchange.request().path() == b"/work" && start.elapsed() < WORK {}
            exchange.reply().send(200, &[], b"");
            let elapsed = exchange.elapsed();
            assert_eq!(exchange.elapsed(), elapsed, "the response is whole");
            assert!(exchange.request().path() != b"/work" || elapsed >= WORK);
            Ok(())
        }
    }

    const WORK: Duration = Duration::from_millis(1);

    fn peer() -> SocketAddr {
        "192.0.2.1:1".parse().unwrap()
    }

    fn said(connection: &MemoryConnection) -> String {
        let mut out = Vec::new();
        connection.take(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_connection_is_served_byte_by_byte_and_ends_with_its_peer() {
        on_core(|core| {
            let server = MemoryServer::new(core, Echo, None, ServerLimits::default());
            let mut connection = server.connect(peer()).unwrap();
            let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
            for byte in request {
                assert_eq!(said(&connection), "");
                connection.send(&[*byte]);
            }
            assert!(said(&connection).ends_with("\r\n\r\nhello"));
            connection.send(&[&request[..], &request[..]].concat());
            assert_eq!(said(&connection).matches("200 OK").count(), 2, "both of one read");
            assert!(connection.is_open() && core.stats().connections_open.value() == 1);
            connection.end();
            assert!(!connection.is_open());
            assert_eq!(said(&connection), "");
            assert_eq!(core.stats().connections_open.value(), 0);
            assert_eq!(core.stats().requests.value(), 3);
        })
        .unwrap();
    }

    #[test]
    fn a_large_body_passes_through_small_buffers() {
        on_core(|core| {
            let server = MemoryServer::new(core, Echo, None, ServerLimits::default());
            let mut connection = server.connect(peer()).unwrap();
            let body = "x".repeat(50_000);
            let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n";
            connection.send(format!("{head}{body}").as_bytes());
            assert!(said(&connection).ends_with(&body));
        })
        .unwrap();
    }

    #[test]
    fn nonsense_is_refused_and_the_connection_closed() {
        on_core(|core| {
            let server = MemoryServer::new(core, Echo, None, ServerLimits::default());
            let mut connection = server.connect(peer()).unwrap();
            connection.send(b"nonsense\r\n\r\n");
            assert!(said(&connection).starts_with("HTTP/1.1 400 "));
            connection.end();
            assert!(!connection.is_open());
        })
        .unwrap();
    }

    #[test]
    fn a_response_is_flushed_at_once_only_after_a_cpu_bound_request() {
        on_core(|core| {
            let server = MemoryServer::new(core, Worker, None, ServerLimits::default());
            let mut connection = server.connect(peer()).unwrap();
            connection.send(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(core.local.flush_now.get(), "whatever the service asks for");
            // Of some quick requests one at least is not interrupted by the machine.
            let quick = (0..100).any(|_| {
                connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                !core.local.flush_now.get()
            });
            assert!(quick);
        })
        .unwrap();
    }

    #[test]
    fn one_connection_too_many_is_refused() {
        on_core(|core| {
            let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
            let server = MemoryServer::new(core, Echo, None, limits);
            let first = server.connect(peer()).unwrap();
            assert!(matches!(server.connect(peer()), Err(StreamError::Closed)));
            drop(first);
            assert!(server.connect(peer()).is_ok());
        })
        .unwrap();
    }
}
