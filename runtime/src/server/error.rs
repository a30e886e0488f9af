//! Why a server's connection or a request's body is of no more use.

use std::fmt;

use proto_http::Error;

use crate::io::stream::StreamError;
use crate::limits::wait_kind::WaitKind;

/// The connection cannot be used any more; the server closes it without another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer went away, or the socket or TLS failed.
    Peer,
    /// A deadline expired.
    Deadline(WaitKind),
    /// The handler gave up in the middle of a streamed answer, which cannot be repaired.
    Abandoned,
    /// The service wants it reset (RST), with whatever was not written yet.
    Reset,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Deadline(kind) => Broken::Deadline(kind),
            StreamError::Closed | StreamError::Tls(_) | StreamError::Io(_) => Broken::Peer,
        }
    }
}

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Peer => f.write_str("the peer is gone"),
            Broken::Deadline(kind) => write!(f, "the {} deadline expired", kind.as_str()),
            Broken::Abandoned => f.write_str("the answer was given up half way"),
            Broken::Reset => f.write_str("the service reset it"),
        }
    }
}

/// Why a request's body cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than the route or the server allows.
    TooLarge,
    /// It breaks the protocol.
    Protocol(Error),
    /// It took too long.
    TooSlow,
    /// The connection ended before it did.
    Closed,
    /// The bodies that this core holds take all the memory they may.
    NoMemory,
}

impl BodyError {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            BodyError::TooLarge => 413,
            BodyError::Protocol(error) => error.status(),
            BodyError::TooSlow => 408,
            BodyError::Closed => 400,
            BodyError::NoMemory => 503,
        }
    }

    /// A sentence for the one who sent it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BodyError::TooLarge => "the body is too large; send less",
            BodyError::Protocol(error) => error.as_str(),
            BodyError::TooSlow => "the body took too long; send it without pauses",
            BodyError::Closed => "the connection ended before the body did",
            BodyError::NoMemory => "too many bodies are being received; try again shortly",
        }
    }
}

impl From<Error> for BodyError {
    fn from(error: Error) -> Self {
        match error {
            Error::BodyTooLarge => BodyError::TooLarge,
            other => BodyError::Protocol(other),
        }
    }
}

impl From<BodyError> for Broken {
    fn from(_: BodyError) -> Self {
        Broken::Peer
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Protocol(error) => Some(error),
            BodyError::TooLarge | BodyError::TooSlow | BodyError::Closed | BodyError::NoMemory => {
                None
            }
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
