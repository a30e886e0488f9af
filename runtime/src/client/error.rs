//! Why an upstream gave no response, or not all of it, and what a gateway makes of that.

use std::fmt;
use std::io;

use proto_http::Error;

use crate::io::stream::StreamError;
use crate::limits::wait_kind::WaitKind;
use crate::tls::TlsError;

/// Why an upstream gave no response, or not all of it.
#[derive(Debug)]
pub enum ClientError {
    /// No address is known for it.
    NoAddress,
    /// Nothing listens at its address.
    Refused(io::Error),
    /// No connection to its address can be made.
    Unreachable(io::Error),
    /// It did not take the connection, or finish the TLS handshake, in time.
    ConnectTimeout,
    /// TLS failed: one end does not trust the other.
    Tls(TlsError),
    /// All connections this core may have to it are in use.
    Exhausted,
    /// As many of them as may be carry requests whose bodies are streamed.
    Uploads,
    /// It took the request and was silent for too long.
    ResponseTimeout,
    /// It closed the connection before the response was whole.
    Closed,
    /// The connection broke before the response was whole.
    Lost(io::Error),
    /// Its response breaks the protocol.
    Protocol(Error),
    /// Its response is larger than the caller allows.
    TooLarge,
}

impl ClientError {
    /// What a gateway answers its own client (RFC 9110 sections 15.6.3 to 15.6.5): 504 for an
    /// upstream that is late, 503 when we have no capacity left for it, 502 for the rest.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            ClientError::ConnectTimeout | ClientError::ResponseTimeout => 504,
            ClientError::Exhausted | ClientError::Uploads => 503,
            ClientError::NoAddress
            | ClientError::Refused(_)
            | ClientError::Unreachable(_)
            | ClientError::Tls(_)
            | ClientError::Closed
            | ClientError::Lost(_)
            | ClientError::Protocol(_)
            | ClientError::TooLarge => 502,
        }
    }
}

impl From<StreamError> for ClientError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Deadline(WaitKind::Handshake) => ClientError::ConnectTimeout,
            StreamError::Deadline(_) => ClientError::ResponseTimeout,
            StreamError::Tls(error) => ClientError::Tls(error),
            StreamError::Closed => ClientError::Closed,
            StreamError::Io(error) => ClientError::Lost(error),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::Refused(error)
            | ClientError::Unreachable(error)
            | ClientError::Lost(error) => Some(error),
            ClientError::Tls(error) => Some(error),
            ClientError::Protocol(error) => Some(error),
            ClientError::NoAddress
            | ClientError::ConnectTimeout
            | ClientError::Exhausted
            | ClientError::Uploads
            | ClientError::ResponseTimeout
            | ClientError::Closed
            | ClientError::TooLarge => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NoAddress => f.write_str("no address is known for the upstream"),
            ClientError::Refused(error) | ClientError::Unreachable(error) => {
                write!(f, "the upstream cannot be reached: {error}")
            }
            ClientError::ConnectTimeout => {
                f.write_str("the upstream did not take the connection in time")
            }
            ClientError::Tls(error) => write!(f, "no TLS with the upstream: {error}"),
            ClientError::Exhausted => {
                f.write_str("all connections to the upstream are in use; raise their limit")
            }
            ClientError::Uploads => {
                f.write_str("too many uploads to the upstream are under way; try again shortly")
            }
            ClientError::ResponseTimeout => f.write_str("the upstream did not respond in time"),
            ClientError::Closed => {
                f.write_str("the upstream closed the connection before its response was whole")
            }
            ClientError::Lost(error) => {
                write!(
                    f,
                    "the connection to the upstream broke before its response was whole: {error}"
                )
            }
            ClientError::Protocol(error) => {
                write!(f, "the upstream's response breaks HTTP: {error}")
            }
            ClientError::TooLarge => f.write_str("the upstream's response is too large"),
        }
    }
}
