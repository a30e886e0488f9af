//! What a server does: the trait that the rooms above implement, and what they learn of a peer.
//!
//! A service belongs to one core and is never shared, so it may hold `Cell`s and `Rc`s. It is
//! asked once per connection who is there ([`Service::open`]) and once per request what to answer
//! ([`Service::call`]). It sees no socket, no TLS and no driver.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;

use crate::deadline::Kind;
use crate::exchange::Exchange;
use crate::stream::StreamError;
use crate::tls::TlsFacts;

/// A server's behaviour on one core.
pub trait Service: 'static {
    /// What is known of one connection for as long as it lives: its identity, say. It should be
    /// small: every idle connection holds one. The requests of a connection share it, so nothing of
    /// a single request belongs here.
    type Session: 'static;

    /// Looks at a new connection, whose TLS handshake is done.
    fn open(&self, peer: &Peer<'_>) -> Self::Session;

    /// Answers one request through `exchange`: exactly one reply, whole or streamed to its end.
    /// Returning `Ok` without one makes the peer see a 500.
    ///
    /// # Errors
    /// [`Broken`] when the connection is of no more use; it is closed then.
    fn call(
        &self,
        session: &Self::Session,
        exchange: &mut Exchange<'_>,
    ) -> impl Future<Output = Result<(), Broken>>;
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its address.
    pub addr: SocketAddr,
    /// What the TLS handshake agreed on; `None` on a plain connection.
    pub tls: Option<TlsFacts<'a>>,
}

/// The connection cannot be used any more; the server closes it without another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer went away, or the socket or TLS failed.
    Peer,
    /// A deadline struck.
    Deadline(Kind),
    /// The handler gave up in the middle of a streamed answer, which cannot be mended.
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
            Broken::Deadline(kind) => write!(f, "the {} deadline struck", kind.as_str()),
            Broken::Abandoned => f.write_str("the answer was given up half way"),
            Broken::Reset => f.write_str("the service reset it"),
        }
    }
}
