//! What a caller says to the loop and hears from it: where to connect, what happened, why it
//! ended and what it cost. Data only.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::token::Token;
use crate::tls::TlsError;

/// Where to connect, and how.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The server's address.
    pub addr: SocketAddr,
    /// The local address to connect from; any where `None`. Connection-per-request loads on one
    /// address run out of ports in seconds.
    pub source: Option<IpAddr>,
    /// TLS with this configuration, to a server of this name.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// What [`EventLoop::poll`](super::EventLoop::poll) does while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Asks again and again: the core is busy, nobody is woken late.
    Spin,
    /// Sleeps in the kernel, with timers precise to the nanosecond; while news come within a few
    /// microseconds it looks for them so long before it sleeps.
    Sleep,
}

/// What happened to one connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// TCP and, where asked for, TLS are done: [`EventLoop::send`](super::EventLoop::send) may be
    /// called.
    Connected(Token),
    /// More bytes than before are in [`EventLoop::received`](super::EventLoop::received).
    Received(Token),
    /// The connection is gone. What it had received can be read until the next poll.
    Closed(Token, CloseReason),
}

/// Why a connection ended without the caller's doing.
#[derive(Clone, Debug, PartialEq)]
pub enum CloseReason {
    /// The peer ended it in order: by FIN, or under TLS by `close_notify`.
    Eof,
    /// The peer ended TCP without ending TLS first: a truncation attack looks the same
    /// (RFC 8446 section 6.1).
    Truncated,
    /// The peer reset it.
    Reset,
    /// Nobody listens at that address.
    Refused,
    /// TLS failed; tells which side refused what.
    Tls(Box<TlsError>),
    /// The network said otherwise: unreachable, timed out by the kernel, ...
    Io(io::ErrorKind),
}

impl CloseReason {
    pub(super) fn from_io(error: &io::Error) -> CloseReason {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => CloseReason::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseReason::Reset,
            kind => CloseReason::Io(kind),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Eof => write!(f, "the peer closed the connection"),
            CloseReason::Truncated => {
                write!(f, "the peer closed the connection without ending TLS (no close_notify)")
            }
            CloseReason::Reset => write!(f, "the peer reset the connection"),
            CloseReason::Refused => write!(
                f,
                "connection refused: nothing listens there; check host and port, and whether the \
                 server runs"
            ),
            CloseReason::Tls(error) => error.fmt(f),
            CloseReason::Io(kind) => write!(f, "the network failed: {kind}"),
        }
    }
}

/// What one connection has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received on the wire above TCP, TLS included.
    pub bytes_in: u64,
    /// Bytes handed to TCP, TLS included.
    pub bytes_out: u64,
    /// From the call of `connect` to the poll that saw it done.
    pub connect: Option<Duration>,
    /// From there to the poll that saw the TLS handshake done, our own computing included.
    pub handshake: Option<Duration>,
}
