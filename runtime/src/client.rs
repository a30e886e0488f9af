//! Requests to an upstream, over the connections a core keeps to it.
//!
//! ```text
//!   send(ask)  --------------------------------> Call with a response head -> body | pieces
//!   begin(ask) -> write* -> finish_request -> response()  --^
//!   drop: kept for the next request if the response was read whole, else closed
//! ```
//!
//! One connection carries one request at a time, so responses cannot be mixed up: a [`Call`]
//! that is dropped early closes its connection. A small request leaves in one write.
//!
//! A kept connection is looked at when the first bytes of a request are about to leave. If anything
//! has arrived, it could be taken for this request's response: the request leaves on a fresh one.
//! What arrives after that look cannot be told from a response.
//!
//! A kept connection may turn out to be closed. The request is then sent once more, on a fresh
//! one, but only where that cannot do harm (RFC 9110 section 9.2.2): nothing of a response has
//! arrived, and either the method is idempotent or not one byte could be written.
//!
//! A call waits at most `response_timeout` for the head and for each further piece of the response.

pub(crate) mod addresses;
mod config;
mod connect;
mod error;
mod pool;

use std::fmt;
use std::rc::Rc;

use proto_http::{BodyLength, Client, Error, OutgoingRequest, ResponseHead};

use self::pool::{ConnectionPool, PooledConnection, Upload};
use crate::executor::core::Core;
use crate::io::buffer::BUFFER_BYTES;
use crate::io::inbox::{Gathered, Inbox};
use crate::io::rate::Demand;
use crate::io::stream::make_room;
use crate::tls::TlsFacts;

pub use self::config::UpstreamConfig;
pub use self::error::ClientError;

/// One upstream, as seen from one core. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Upstream {
    pool: Rc<ConnectionPool>,
}

impl Upstream {
    /// Nothing is connected before the first call.
    #[must_use]
    pub fn new(core: &Core, config: UpstreamConfig) -> Upstream {
        Upstream { pool: ConnectionPool::new(core, config) }
    }

    /// Sends a whole request (`ask.body` is `None` or `Bytes`) and waits for the response's
    /// head. An empty `ask.host` is replaced by the configured one.
    ///
    /// # Errors
    /// When there is no response; [`ClientError::status`] says what a gateway answers then.
    pub async fn send(&self, ask: &OutgoingRequest<'_>) -> Result<Call, ClientError> {
        let mut fresh = false;
        loop {
            let mut call = self.checkout(fresh).await?;
            match call.exchange(&self.named(ask)).await {
                Ok(()) => return Ok(call),
                Err(_) if call.may_be_repeated(ask.method) => {
                    self.pool.core.stats().upstream_retried.add(1);
                    fresh = true;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Begins a request whose body (`Exact` or `Chunked`) follows piece by piece. Neither that nor
    /// the response is late as long as the upstream is still taking what was written.
    ///
    /// # Errors
    /// When there is no connection, or half of all that there may be carry such requests.
    pub async fn begin(&self, ask: &OutgoingRequest<'_>) -> Result<Call, ClientError> {
        let upload = self.pool.begin_upload().map_err(|error| self.failed(error))?;
        let mut call = self.checkout(false).await?;
        call.upload = Some(upload);
        call.link.seen().stream.watch().demand(Demand::progress(self.pool.waits.response_ms));
        call.encode(&self.named(ask));
        Ok(call)
    }

    async fn checkout(&self, fresh: bool) -> Result<Call, ClientError> {
        let link = self.pool.checkout(fresh).await.map_err(|error| self.failed(error))?;
        Ok(Call::new(self.pool.clone(), link))
    }

    fn failed(&self, error: ClientError) -> ClientError {
        self.pool.core.stats().upstream_failed.add(1);
        error
    }

    fn named<'a>(&'a self, ask: &OutgoingRequest<'a>) -> OutgoingRequest<'a> {
        let mut ask = *ask;
        if ask.host.is_empty() {
            ask.host = self.pool.config.host.as_bytes();
        }
        ask
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("addrs", &self.pool.config.addrs).finish_non_exhaustive()
    }
}

/// One request and its response.
pub struct Call {
    pool: Rc<ConnectionPool>,
    link: Loan,
    inbox: Inbox,
    out: Vec<u8>,
    /// The first bytes of the request have left, or are about to.
    begun: bool,
    responded: bool,
    written_before: u64,
    /// Its place among the uploads.
    upload: Option<Upload>,
}

impl Call {
    fn new(pool: Rc<ConnectionPool>, link: PooledConnection) -> Call {
        let buffers = &pool.core.local.buffers;
        Call {
            inbox: Inbox::new(buffers.take()),
            out: buffers.take(),
            written_before: link.stream.written(),
            link: Loan(Some(link)),
            begun: false,
            responded: false,
            upload: None,
            pool,
        }
    }

    /// Sends the next bytes of the request's body, together with the head if that still waits.
    ///
    /// # Errors
    /// When the connection broke. The upstream may have answered before: see
    /// [`Call::response`].
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ClientError> {
        let link = self.link.get()?;
        link.http.request_piece(&mut self.out, piece);
        self.flush().await
    }

    /// Sends the end of the request.
    ///
    /// # Errors
    /// As [`Call::write`].
    pub async fn finish_request(&mut self) -> Result<(), ClientError> {
        let link = self.link.get()?;
        link.http.request_end(&mut self.out);
        self.flush().await?;
        self.upload = None;
        Ok(())
    }

    /// Waits for the response's head. [`Upstream::send`] has done so already.
    ///
    /// # Errors
    /// When there is none, or it breaks the protocol.
    pub async fn response(&mut self) -> Result<(), ClientError> {
        while !self.responded {
            let link = self.link.get()?;
            match link.http.head(self.inbox.message()) {
                Ok(Some(consumed)) => {
                    self.inbox.begin(consumed);
                    self.responded = true;
                }
                Ok(None) => self.read().await?,
                Err(error) => return Err(ClientError::Protocol(error)),
            }
        }
        Ok(())
    }

    /// The response's status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head().status
    }

    /// The response's head.
    #[must_use]
    pub fn head(&self) -> &ResponseHead {
        self.link.seen().http.response()
    }

    /// The value of the first field of this name, given in lower case.
    #[must_use]
    pub fn field(&self, lower_name: &str) -> Option<&[u8]> {
        self.head().field(self.inbox.message(), lower_name)
    }

    /// All fields of the response, name and value, in the order they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = self.inbox.message();
        let fields = self.head().fields().iter();
        fields.map(move |field| (field.name.of(bytes), field.value.of(bytes)))
    }

    /// What the TLS handshake with the upstream agreed on.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts<'_>> {
        self.link.seen().stream.facts()
    }

    /// The whole body, at most `max` bytes.
    ///
    /// # Errors
    /// When it is larger, malformed, too slow or cut off.
    pub async fn body(&mut self, max: usize) -> Result<&[u8], ClientError> {
        if let BodyLength::Exact(length) = self.head().length
            && length > max as u64
            && !self.link.seen().http.body_done()
        {
            return Err(ClientError::TooLarge);
        }
        loop {
            let link = self.link.get()?;
            let gathered = self.inbox.gather(&mut link.http, max);
            match gathered.map_err(ClientError::Protocol)? {
                Gathered::All => return Ok(self.inbox.body()),
                Gathered::Part => self.read_body().await?,
                Gathered::TooMuch => return Err(ClientError::TooLarge),
            }
        }
    }

    /// The whole body if it has arrived already, without any wait.
    ///
    /// # Errors
    /// When what has arrived is malformed.
    pub fn buffered(&mut self) -> Result<Option<&[u8]>, ClientError> {
        let link = self.link.get()?;
        let gathered = self.inbox.gather(&mut link.http, usize::MAX);
        let whole = gathered.map_err(ClientError::Protocol)? == Gathered::All;
        Ok(whole.then(|| self.inbox.body()))
    }

    /// The head's fields and the body as far as it was collected, at once.
    #[must_use]
    pub fn parts(&self) -> (&ResponseHead, &[u8], &[u8]) {
        (self.head(), self.inbox.message(), self.inbox.body())
    }

    /// The next piece of the body as it arrives; `None` at its end. The piece before is gone.
    ///
    /// # Errors
    /// As [`Call::body`].
    pub async fn piece(&mut self) -> Result<Option<&[u8]>, ClientError> {
        loop {
            let link = self.link.get()?;
            match self.inbox.piece(&mut link.http) {
                Ok(Some(true)) => return Ok(Some(self.inbox.body())),
                Ok(Some(false)) => return Ok(None),
                Ok(None) => self.read_body().await?,
                Err(error) => return Err(ClientError::Protocol(error)),
            }
        }
    }

    fn encode(&mut self, ask: &OutgoingRequest<'_>) {
        if let Ok(link) = self.link.get() {
            link.http.request(&mut self.out, ask);
        }
    }

    async fn exchange(&mut self, ask: &OutgoingRequest<'_>) -> Result<(), ClientError> {
        self.encode(ask);
        self.flush().await?;
        if self.out.capacity() > BUFFER_BYTES {
            // The caller has the body still; a second one should not wait for the response too.
            self.out = Vec::new();
        }
        self.response().await
    }

    /// Whether the failed request can be sent again without harm.
    fn may_be_repeated(&self, method: &str) -> bool {
        let idempotent = matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE");
        let Some(PooledConnection { stream, kept: true, .. }) = &self.link.0 else {
            return false;
        };
        let unsent = stream.written() == self.written_before;
        let unanswered = self.inbox.bytes.is_empty() && stream.watch().fired().is_none();
        unanswered && (idempotent || unsent)
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        if !self.begun {
            self.begun = true;
            let link = self.link.get()?;
            if !self.pool.is_usable(link) {
                Box::pin(self.renew()).await?;
            }
        }
        let link = self.link.get()?;
        let limit_ms = self.pool.waits.write_ms;
        Ok(link.stream.write(&mut self.out, limit_ms).await?)
    }

    /// Puts a new connection in the place of one that cannot be used.
    async fn renew(&mut self) -> Result<(), ClientError> {
        let mut link = self.link.take().ok_or(ClientError::Closed)?;
        self.pool.renew(&mut link).await?;
        self.written_before = link.stream.written();
        self.link = Loan(Some(link));
        Ok(())
    }

    async fn read_body(&mut self) -> Result<(), ClientError> {
        self.inbox.close_hole();
        if self.inbox.bytes.capacity() == self.inbox.bytes.len() {
            // A page was not enough: this is a large body.
            make_room(&mut self.inbox.bytes, u64::MAX);
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let link = self.link.get()?;
        let limit_ms = self.pool.waits.response_ms;
        match link.stream.read(&mut self.inbox.bytes, limit_ms).await? {
            0 => self.end(),
            _ => Ok(()),
        }
    }

    /// The upstream has closed: right only where that is what ends the body.
    fn end(&mut self) -> Result<(), ClientError> {
        let link = self.link.get()?;
        if !self.responded || !link.stream.ended_properly() {
            return Err(ClientError::Closed);
        }
        match link.http.eof() {
            Ok(()) => Ok(()),
            Err(Error::Truncated) => Err(ClientError::Closed),
            Err(error) => Err(ClientError::Protocol(error)),
        }
    }

    /// Whether the connection is between two requests: its response is there to the last byte,
    /// and nothing after it, nor was more announced than may come.
    fn complete(&mut self) -> bool {
        let Ok(link) = self.link.get() else {
            return false;
        };
        let whole = self.responded
            && self.out.is_empty()
            && self.inbox.gather(&mut link.http, usize::MAX) == Ok(Gathered::All);
        if whole && !self.inbox.is_spent() {
            self.pool.note_unsolicited();
            return false;
        }
        whole
            && Client::reusable(&link.http)
            && !link.http.response().body_withheld
            && link.stream.watch().fired().is_none()
    }
}

/// The connection of a call; none once there is no connection that could be used. It is moved out
/// in [`Loan::take`] alone: to be renewed, or kept for the next call.
struct Loan(Option<PooledConnection>);

impl Loan {
    #[inline]
    fn get(&mut self) -> Result<&mut PooledConnection, ClientError> {
        self.0.as_mut().ok_or(ClientError::Closed)
    }

    /// As whoever holds a response sees it.
    fn seen(&self) -> &PooledConnection {
        self.0.as_ref().expect("a call with a response has its connection")
    }

    fn take(&mut self) -> Option<PooledConnection> {
        self.0.take()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let complete = self.complete();
        if let Some(link) = self.link.take()
            && complete
        {
            self.pool.keep(link);
        }
        let buffers = &self.pool.core.local.buffers;
        buffers.give(std::mem::take(&mut self.inbox.bytes));
        buffers.give(std::mem::take(&mut self.out));
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("responded", &self.responded).finish_non_exhaustive()
    }
}
