//! One response, as a service gives it: encoded straight into the connection's out-buffer. What
//! HTTP demands of it (framing, HEAD, keep-alive) is done below; when it leaves is decided above.

use std::time::Duration;

use proto_http::{FieldLines, OutgoingBody, OutgoingResponse, Responder};

use crate::io::local::Local;
use crate::observe::stages::Stage;
use crate::observe::stats::CoreStats;
use crate::system::clock::Moment;

/// How far the response to the current request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replied {
    No,
    Streaming,
    Whole,
}

/// The response to the current request; what does not follow from `replied` is of an earlier one.
pub(crate) struct ResponseState {
    pub(crate) replied: Replied,
    /// The status, once there is one.
    pub(crate) status: u16,
    /// How long its encoding took, once there is one, where that is timed.
    pub(crate) encoding: Duration,
    /// From the arrival of the request until it was whole, in nanoseconds, once it is.
    pub(crate) elapsed_ns: u64,
}

/// The way to answer one request: once, whole or in pieces.
pub struct Reply<'a> {
    pub(crate) responder: &'a mut Responder,
    pub(crate) lines: FieldLines,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) response: &'a mut ResponseState,
    pub(crate) local: &'a Local,
    pub(crate) stats: &'a CoreStats,
    /// The connection takes no further request.
    pub(crate) closing: bool,
    /// When the request arrived.
    pub(crate) arrived: Moment,
}

impl Reply<'_> {
    /// Adds field lines to the head, before all other fields.
    #[inline]
    #[must_use]
    pub fn lines(self, lines: FieldLines) -> Self {
        Reply { lines, ..self }
    }

    /// The whole answer. `Content-Length`, `Connection` and `Date` are added; the body is left
    /// out where there must be none (HEAD, 204, 304).
    ///
    /// # Panics
    /// When this request was answered already.
    #[inline]
    pub fn send(self, status: u16, fields: &[(&str, &[u8])], body: &[u8]) {
        let body = OutgoingBody::Bytes(body);
        let lines = self.lines;
        self.answer(&OutgoingResponse { status, lines, fields, body });
    }

    /// An answer that is streamed, if `body` is `Exact` or `Chunked`: its head. Pieces follow by
    /// [`Reply::piece`], then [`Reply::end`].
    ///
    /// # Panics
    /// When this request was answered already.
    pub fn head(self, status: u16, fields: &[(&str, &[u8])], body: OutgoingBody<'_>) {
        let lines = self.lines;
        self.answer(&OutgoingResponse { status, lines, fields, body });
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

    fn answer(mut self, answer: &OutgoingResponse<'_>) {
        assert_eq!(self.response.replied, Replied::No, "a request is answered once");
        if self.closing || self.local.draining.get() {
            self.close();
        }
        let mut lap = self.stats.lap();
        let date = self.local.date(self.arrived).text;
        self.responder.respond(self.out, &date, answer);
        self.response.encoding = lap.end(Stage::ENCODE);
        self.response.status = answer.status;
        self.response.replied = match answer.body {
            OutgoingBody::None | OutgoingBody::Bytes(_) => Replied::Whole,
            OutgoingBody::Exact(_) | OutgoingBody::Chunked => Replied::Streaming,
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
