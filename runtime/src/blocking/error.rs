//! Why a blocking request has no answer.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::tls::TlsError;
use crate::url::UrlError;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The URL cannot be asked: no such host, or no name that TLS could check.
    Url(UrlError),
    /// An `https` URL and no TLS configuration to ask it with.
    NoTls,
    /// Nothing listens at the last address that was tried.
    Refused(SocketAddr),
    /// The last address that was tried cannot be reached.
    Connect(SocketAddr, io::ErrorKind),
    /// The deadline passed while waiting for this.
    Timeout(&'static str),
    /// The process was told to stop while waiting for this.
    Interrupted(&'static str),
    /// TLS failed; tells which side refused what.
    Tls(TlsError),
    /// The peer closed the connection during the handshake.
    ClosedInHandshake,
    /// The peer closed the connection before the answer was whole.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// The answer is not HTTP/1.1 as it should be.
    Protocol(proto_http::Error),
    /// The answer's body is larger than was allowed.
    TooLarge,
    /// The operating system failed.
    Io(io::ErrorKind),
}

impl Error {
    pub(super) fn from_io(error: &io::Error, doing: &'static str) -> Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(doing),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::Reset,
            kind => Error::Io(kind),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Url(error) => Some(error),
            Error::Tls(error) => Some(error),
            Error::Protocol(error) => Some(error),
            Error::NoTls
            | Error::Refused(_)
            | Error::Connect(..)
            | Error::Timeout(_)
            | Error::Interrupted(_)
            | Error::ClosedInHandshake
            | Error::Closed
            | Error::Reset
            | Error::TooLarge
            | Error::Io(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(error) => error.fmt(f),
            Error::NoTls => write!(f, "an https URL needs a CA to check the server with"),
            Error::Refused(addr) => write!(f, "connection refused: nothing listens at {addr}"),
            Error::Connect(addr, kind) => write!(f, "no connection to {addr}: {kind}"),
            Error::Timeout(doing) => write!(f, "the time ran out while waiting for {doing}"),
            Error::Interrupted(doing) => write!(f, "interrupted while waiting for {doing}"),
            Error::Tls(error) => error.fmt(f),
            Error::ClosedInHandshake => {
                write!(f, "the server closed the connection during the TLS handshake")
            }
            Error::Closed => write!(f, "the server closed the connection before its answer ended"),
            Error::Reset => write!(f, "the server reset the connection"),
            Error::Protocol(error) => write!(f, "the answer is no valid HTTP/1.1: {error}"),
            Error::TooLarge => write!(f, "the answer's body is larger than was allowed for it"),
            Error::Io(kind) => write!(f, "the request failed: {kind}"),
        }
    }
}
