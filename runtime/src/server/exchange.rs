//! One request and its answer, as a service sees them.
//!
//! The request is a view of the bytes where they were read; the answer is encoded straight into
//! the connection's out-buffer and written when nothing is left to answer, or when the service
//! says so. What HTTP demands (framing, HEAD, keep-alive, 100-continue) is done below.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::UnixTime;

use crate::executor::core::Core;
use crate::io::inbox::Gathered;
use crate::observe::stages::Lap;
use crate::server::error::{BodyError, Broken};
use crate::server::request::Request;
use crate::server::response::{Replied, Reply};
use crate::server::wire::Wire;
use crate::system::clock::Moment;

/// One request and the way to answer it.
pub struct Exchange<'a> {
    wire: &'a mut Wire,
    core: &'a Core,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(wire: &'a mut Wire, core: &'a Core) -> Exchange<'a> {
        Exchange { wire, core }
    }

    /// The request's head.
    #[inline]
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        Request { head: self.wire.http.request(), bytes: self.wire.inbox.message() }
    }

    /// Waits for the whole body and keeps it, contiguous, for [`Exchange::parts`]; at most `max`
    /// bytes of it. 100 Continue is sent if the client waits for it.
    ///
    /// # Errors
    /// When the body is too large, malformed, too slow or cut off. A service that returns `Ok`
    /// without a reply of its own then has the error answered with its status.
    pub async fn body(&mut self, max: usize) -> Result<(), BodyError> {
        let result = self.wire.collect(max).await;
        self.note(result)
    }

    /// The head, the body as far as [`Exchange::body`] or [`Exchange::buffered`] collected it,
    /// and the reply, all at once.
    #[inline]
    pub fn parts(&mut self) -> (Request<'_>, &[u8], Reply<'_>) {
        self.wire.parts()
    }

    /// The next piece of the body as it arrives; `None` at its end. The piece before is gone.
    ///
    /// # Errors
    /// As [`Exchange::body`]. What was streamed on from earlier pieces is then incomplete.
    pub async fn piece(&mut self) -> Result<Option<&[u8]>, BodyError> {
        let result = self.wire.piece().await;
        if self.note(result)? { Ok(Some(self.wire.inbox.body())) } else { Ok(None) }
    }

    /// The whole body, if it has arrived already, without any wait; `None` if some of it is
    /// still to come, which [`Exchange::piece`] or [`Exchange::body`] then wait for.
    ///
    /// # Errors
    /// When what has arrived is malformed.
    pub fn buffered(&mut self) -> Result<Option<&[u8]>, BodyError> {
        let wire = &mut *self.wire;
        let result = wire.inbox.gather(&mut wire.http, usize::MAX);
        if self.note(result.map_err(BodyError::from))? == Gathered::All {
            Ok(Some(self.wire.inbox.body()))
        } else {
            Ok(None)
        }
    }

    /// The way to answer.
    #[inline]
    pub fn reply(&mut self) -> Reply<'_> {
        self.parts().2
    }

    /// Writes what was replied so far and waits until the kernel has taken it: back-pressure for
    /// streamed answers. Whole answers need none.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn flush(&mut self) -> Result<(), Broken> {
        self.wire.flush().await
    }

    /// The status this request was answered with; `None` as long as it is not.
    #[inline]
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        (self.wire.response.replied != Replied::No).then_some(self.wire.response.status)
    }

    /// Starts timing a step of this request, where steps are timed.
    #[inline]
    #[must_use]
    pub fn lap(&self) -> Lap<'a> {
        self.core.stats().lap()
    }

    /// How long the encoding of this request's answer took; zero where there is none yet, or
    /// nothing is timed.
    #[inline]
    #[must_use]
    pub fn encoding(&self) -> Duration {
        let response = &self.wire.response;
        if response.replied == Replied::No { Duration::ZERO } else { response.encoding }
    }

    /// The address of the other end.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.wire.peer
    }

    /// How many bytes of answers wait to be written.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.wire.out.len()
    }

    /// From the arrival of the bytes that completed this request's head until the response was
    /// whole, or until now if it is not.
    #[inline]
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let elapsed_ns = match self.wire.response.replied {
            Replied::Whole => self.wire.response.elapsed_ns,
            Replied::No | Replied::Streaming => Moment::now().ns_since(self.wire.arrived),
        };
        Duration::from_nanos(elapsed_ns)
    }

    /// When they arrived, in seconds since 1970.
    #[inline]
    #[must_use]
    pub fn unix_time(&self) -> UnixTime {
        let unix_s = self.wire.local.date(self.wire.arrived).unix_s;
        UnixTime::since_unix_epoch(Duration::from_secs(unix_s))
    }

    /// The core this runs on.
    #[inline]
    #[must_use]
    pub fn core(&self) -> &'a Core {
        self.core
    }

    fn note<T>(&mut self, result: Result<T, BodyError>) -> Result<T, BodyError> {
        if let Err(error) = &result {
            self.wire.body_error = Some(*error);
        }
        result
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("method", &self.request().method()).finish_non_exhaustive()
    }
}
