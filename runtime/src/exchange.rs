//! One request and its answer, as a service sees them.
//!
//! The request is a view of the bytes where they were read; the answer is encoded straight into
//! the connection's out-buffer and written when nothing is left to answer, or when the service
//! says so. What HTTP demands (framing, HEAD, keep-alive, 100-continue) is done below.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use proto_http::{
    Answer, AnswerBody, BodyLength, Error, Lines, Method, RequestHead, Responder, Version,
};

use crate::clock::Moment;
use crate::cores::{Core, Local};
use crate::inbox::Gathered;
use crate::service::Broken;
use crate::stages::{Lap, Stage};
use crate::stats::CoreStats;
use crate::wire::{Replied, ResponseState, Wire};

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
        Exchange::parts_of(self.wire)
    }

    pub(crate) fn parts_of(wire: &mut Wire) -> (Request<'_>, &[u8], Reply<'_>) {
        let (head, responder) = wire.http.parts();
        let request = Request { head, bytes: wire.inbox.message() };
        let reply = Reply {
            responder,
            lines: Lines::NONE,
            out: &mut wire.out,
            response: &mut wire.response,
            local: &wire.local,
            stats: &wire.stats,
            closing: wire.stream.watch().fired().is_some() || wire.body_error.is_some(),
            arrived: wire.arrived,
        };
        (request, wire.inbox.body(), reply)
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
    pub fn unix_s(&self) -> u64 {
        self.wire.local.date(self.wire.arrived).unix_s
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

/// A request's head. Its parts borrow the bytes as they were read.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The method's name as sent.
    #[must_use]
    pub fn method_name(&self) -> &'a [u8] {
        self.head.method_name.of(self.bytes)
    }

    /// The target as sent.
    #[must_use]
    pub fn target(&self) -> &'a [u8] {
        self.head.target.of(self.bytes)
    }

    /// The target's path, without the query.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.head.path(self.bytes)
    }

    /// What follows the target's first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        self.head.query(self.bytes)
    }

    /// The value of the first field of this name, given in lower case.
    #[must_use]
    pub fn field(&self, lower_name: &str) -> Option<&'a [u8]> {
        self.head.field(self.bytes, lower_name)
    }

    /// All fields, name and value, in the order they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let fields = self.head.fields().iter();
        fields.map(move |field| (field.name.of(bytes), field.value.of(bytes)))
    }

    /// The value of `Authorization`.
    #[inline]
    #[must_use]
    pub fn authorization(&self) -> Option<&'a [u8]> {
        Some(self.head.authorization?.of(self.bytes))
    }

    /// How long the body is.
    #[must_use]
    pub fn length(&self) -> BodyLength {
        self.head.length
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The head as proto-http read it; its spans index into [`Request::bytes`].
    #[must_use]
    pub fn head(&self) -> &'a RequestHead {
        self.head
    }

    /// The bytes the head's spans index into.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The target may carry secrets in its query; field values do.
        f.debug_struct("Request").field("method", &self.method()).finish_non_exhaustive()
    }
}

/// The way to answer one request: once, whole or in pieces.
pub struct Reply<'a> {
    responder: &'a mut Responder,
    lines: Lines,
    out: &'a mut Vec<u8>,
    response: &'a mut ResponseState,
    local: &'a Local,
    stats: &'a CoreStats,
    closing: bool,
    arrived: Moment,
}

impl Reply<'_> {
    /// Adds field lines to the head, before all other fields.
    #[inline]
    #[must_use]
    pub fn lines(self, lines: Lines) -> Self {
        Reply { lines, ..self }
    }

    /// The whole answer. `Content-Length`, `Connection` and `Date` are added; the body is left
    /// out where there must be none (HEAD, 204, 304).
    ///
    /// # Panics
    /// When this request was answered already.
    #[inline]
    pub fn send(self, status: u16, fields: &[(&str, &[u8])], body: &[u8]) {
        let body = AnswerBody::Bytes(body);
        let lines = self.lines;
        self.answer(&Answer { status, lines, fields, body });
    }

    /// An answer that is streamed, if `body` is `Exact` or `Chunked`: its head. Pieces follow by
    /// [`Reply::piece`], then [`Reply::end`].
    ///
    /// # Panics
    /// When this request was answered already.
    pub fn head(self, status: u16, fields: &[(&str, &[u8])], body: AnswerBody<'_>) {
        let lines = self.lines;
        self.answer(&Answer { status, lines, fields, body });
    }

    /// The next bytes of a streamed answer.
    pub fn piece(self, piece: &[u8]) {
        debug_assert_eq!(self.response.replied, Replied::Streaming, "a piece needs a head");
        self.responder.respond_piece(self.out, piece);
    }

    /// The end of a streamed answer.
    pub fn end(self) {
        debug_assert_eq!(self.response.replied, Replied::Streaming, "an end needs a head");
        self.responder.respond_end(self.out);
        self.response.replied = Replied::Whole;
        self.response.elapsed_ns = Moment::now().ns_since(self.arrived);
    }

    /// An answer by RFC 9457: `application/problem+json` with the status's own title and a
    /// sentence, which must not need escaping in JSON.
    pub fn problem(self, status: u16, detail: &'static str) {
        let title = title(status);
        let body = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}"#
        );
        let fields: [(&str, &[u8]); 2] =
            [("Content-Type", b"application/problem+json"), ("Retry-After", b"1")];
        // RFC 9110 section 10.2.3: it makes sense where another try may find room.
        let count = if matches!(status, 429 | 503) { 2 } else { 1 };
        self.send(status, &fields[..count], body.as_bytes());
    }

    /// Makes this the connection's last exchange; the answer says so.
    pub fn close(&mut self) {
        self.responder.close_after();
    }

    fn answer(mut self, answer: &Answer<'_>) {
        assert_eq!(self.response.replied, Replied::No, "a request is answered once");
        if self.closing || self.local.draining.get() {
            self.close();
        }
        let mut lap = self.stats.lap();
        let date = self.local.date(self.arrived).text;
        self.responder.respond(self.out, &date, answer);
        self.response.encoding = lap.end(Stage::Encode);
        self.response.status = answer.status;
        self.response.replied = match answer.body {
            AnswerBody::None | AnswerBody::Bytes(_) => Replied::Whole,
            AnswerBody::Exact(_) | AnswerBody::Chunked => Replied::Streaming,
        };
        self.response.elapsed_ns = Moment::now().ns_since(self.arrived);
        self.stats.answered(answer.status);
    }
}

/// What the statuses this crate itself answers with are called (RFC 9110 section 15).
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
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

impl std::error::Error for BodyError {}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
