//! Listening sockets: one per core on one port, and the task that accepts from each.
//!
//! The kernel spreads connections over the sockets by SO_REUSEPORT. That option also lets a
//! second process take the same port in silence, so the address is first bound without it: a
//! taken port is refused with a clear sentence.
//!
//! One long-lived task per socket waits for readiness and then takes what is there without
//! waiting. An accept that were in flight could lose a connection when it is given up; a poll
//! cannot. `accept4` of std sets CLOEXEC. Without free file descriptors the task backs off and
//! the backlog waits. So does the rest of a burst for its next turn: who is connected already is
//! served in between.

use std::cell::Cell;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use crate::executor::error::StartError;
use crate::server::connection::EndpointState;
use crate::server::service::Service;
use crate::system::sys;

/// Connections the kernel holds ready for us per socket; it caps this by net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Connections that are accepted before the other tasks of the core have a turn. An accept and what
/// it takes to begin are 10 us, so that nobody waits for much more than a thousand TLS records.
const ACCEPTS_PER_TURN: usize = 64;

/// Shortest and longest pause after a failed accept.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// Binds `count` sockets to `addr` and lets them listen; returns them with the address they got.
pub(crate) fn listen(
    addr: SocketAddr,
    count: usize,
) -> Result<(Vec<TcpListener>, SocketAddr), StartError> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse(addr),
        _ => StartError::Bind(addr, error),
    };
    if addr.port() != 0 {
        // Held while the others are bound only if it could share the port with them; it cannot.
        drop(bind(addr, false).map_err(fail)?);
    }
    let first = bind(addr, true).map_err(fail)?;
    let bound = first.local_addr().map_err(fail)?;
    let bound = bound.as_socket().unwrap_or(addr);
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(bind(bound, true).map_err(fail)?);
    }
    let listening = |socket: Socket| {
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    let listeners = sockets.into_iter().map(listening);
    let listeners = listeners.collect::<io::Result<Vec<_>>>().map_err(fail)?;
    Ok((listeners, bound))
}

fn bind(addr: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// An endpoint that is being served on this core.
pub(crate) struct Opened<S> {
    pub(crate) endpoint: Rc<EndpointState<S>>,
    pub(crate) listener: Rc<Listener>,
}

/// One core's listening socket.
pub(crate) struct Listener {
    socket: TcpListener,
    closed: Cell<bool>,
    stopped: Cell<bool>,
}

impl Listener {
    pub(crate) fn new(socket: TcpListener) -> Rc<Listener> {
        Rc::new(Listener { socket, closed: Cell::new(false), stopped: Cell::new(false) })
    }

    /// Accepts until [`Listener::close`].
    pub(crate) async fn run<S: Service>(self: Rc<Self>, endpoint: Rc<EndpointState<S>>) {
        let ready = self.socket.try_clone().ok();
        let ready = ready.and_then(|socket| monoio::net::TcpListener::from_std(socket).ok());
        if let Some(ready) = ready {
            let mut pause = BACK_OFF.0;
            while !self.closed.get() {
                // An error here is the socket's own and shows again in accept.
                let _ = ready.readable(false).await;
                if self.closed.get() {
                    break;
                }
                let mut accepted = self.accept_some(&endpoint);
                while let Ok(Backlog::MayHaveMore) = accepted
                    && !self.closed.get()
                {
                    // At once, for the readiness may have been reported for the last time.
                    yield_now().await;
                    accepted = self.accept_some(&endpoint);
                }
                if accepted.is_ok() {
                    pause = BACK_OFF.0;
                } else {
                    endpoint.stats.accept_errors.add(1);
                    monoio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACK_OFF.1);
                }
            }
        }
        self.stopped.set(true);
    }

    /// Keeps new connections out, by a filter that drops SYNs. Those whose SYN came before are
    /// still taken in: their peers may already have been told that they are connected.
    pub(crate) fn keep_out(&self) {
        // Best effort: without the filter a connection could be reset at the close.
        let _ = SockRef::from(&self.socket).attach_filter(&DROP_SYN);
    }

    /// Stops listening. Connections the kernel has established are taken in and served first:
    /// closing would reset them. One whose third segment is still on its way is reset all the
    /// same, so [`Listener::keep_out`] is best called a little earlier.
    pub(crate) fn close<S: Service>(&self, endpoint: &Rc<EndpointState<S>>) {
        self.keep_out();
        while let Ok(Backlog::MayHaveMore) = self.accept_some(endpoint) {}
        self.closed.set(true);
        // Wakes the task that waits for readiness.
        sys::shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }

    /// Whether the accepting task has ended.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Takes in what a turn may.
    fn accept_some<S: Service>(&self, endpoint: &Rc<EndpointState<S>>) -> io::Result<Backlog> {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.socket.accept() {
                Ok((tcp, addr)) => endpoint.accept(tcp, addr),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Backlog::Empty),
                    // The peer changed its mind before we looked.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(Backlog::MayHaveMore)
    }
}

/// What is left of a socket's backlog after a turn.
enum Backlog {
    Empty,
    MayHaveMore,
}

/// Lets every other task that can run go first, and the kernel's news come in. A task that wakes
/// itself would be put before all others; one that waits for a new task comes behind them.
async fn yield_now() {
    monoio::spawn(async {}).await;
}

/// Classic BPF over the TCP header: `ldb [13]; jset SYN, drop, keep`. It sees segments that are
/// addressed to the listening socket, so a SYN in it is a new connection.
const DROP_SYN: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];
