//! Why a connection ended, as its reader or writer learns it.

use std::fmt;
use std::io;

use crate::limits::wait_kind::WaitKind;
use crate::tls::{HandshakeFailure, TlsError};

/// Why a connection is of no more use.
#[derive(Debug)]
pub enum StreamError {
    /// The peer closed it in the middle of something.
    Closed,
    /// This wait took too long, and the connection was shut.
    Deadline(WaitKind),
    /// TLS failed.
    Tls(TlsError),
    /// The kernel says no.
    Io(io::Error),
}

impl StreamError {
    /// Why the handshake failed that ended with this error.
    pub(crate) fn handshake_failure(&self) -> HandshakeFailure {
        match self {
            StreamError::Tls(error) => HandshakeFailure::of(error),
            StreamError::Deadline(_) => HandshakeFailure::TimedOut,
            StreamError::Closed | StreamError::Io(_) => HandshakeFailure::Closed,
        }
    }

    /// Whether this is no failure: a read that waited for long gave its buffer back.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, StreamError::Io(error) if error.raw_os_error() == Some(libc::ECANCELED))
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        StreamError::Io(error)
    }
}

impl From<TlsError> for StreamError {
    fn from(error: TlsError) -> Self {
        StreamError::Tls(error)
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StreamError::Tls(error) => Some(error),
            StreamError::Io(error) => Some(error),
            StreamError::Closed | StreamError::Deadline(_) => None,
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Closed => f.write_str("the peer closed the connection"),
            StreamError::Deadline(kind) => {
                write!(f, "the connection was shut by its {} deadline", kind.as_str())
            }
            StreamError::Tls(error) => error.fmt(f),
            StreamError::Io(error) => write!(f, "the connection broke: {error}"),
        }
    }
}
