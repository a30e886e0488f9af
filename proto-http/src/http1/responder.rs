//! The answering half of a server's exchange: what an answer looks like, given what was asked.
//!
//! It owns the exchange's state and the decision whether the connection stays. It knows of the
//! request only what an answer depends on (HEAD, the version, keep-alive, what is unread of the
//! body), so that a handler may read the request's head while it answers. It refuses to send a body
//! where there is none to be, and more of it than was announced.

use super::body::Decoder;
use super::encode::{self, ConnectionField, Length};
use crate::{Method, OutgoingBody, OutgoingResponse, RequestHead, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponderState {
    Idle,
    Asked,
    /// Streaming an answer of which so many bytes are still owed, never 0.
    Exact(u64),
    /// Streaming an answer in chunks.
    Chunked,
    /// Streaming an answer that ends with the connection, to a client of HTTP/1.0.
    UntilClose,
    Answered,
    Closed,
}

/// The part of a [`Server`](crate::Server) that answers; see
/// [`Server::parts`](crate::Server::parts).
#[derive(Debug)]
pub struct Responder {
    pub(crate) state: ResponderState,
    /// The rest of the request's body; what is unread when the answer is written decides whether
    /// the connection can stay.
    pub(crate) body: Decoder,
    is_head: bool,
    version: Version,
    /// The answer's end is that of the connection.
    pub(crate) until_close: bool,
    /// This exchange is the connection's last.
    pub(crate) last: bool,
    /// Every exchange is, from now on.
    pub(crate) closing: bool,
    /// The client may be holding its body back until it sees 100 Continue.
    pub(crate) continue_owed: bool,
    /// Bytes read off after the answer, and how many of them there may be.
    pub(crate) drained_bytes: u64,
    pub(crate) drain_bytes_max: u64,
}

impl Responder {
    pub(crate) fn new(drain_bytes_max: u64) -> Self {
        Self {
            state: ResponderState::Idle,
            body: Decoder::Done,
            is_head: false,
            version: Version::Http11,
            until_close: false,
            last: false,
            closing: false,
            continue_owed: false,
            drained_bytes: 0,
            drain_bytes_max,
        }
    }

    /// Begins the exchange that this head asks for.
    #[inline]
    pub(crate) fn begin(&mut self, head: &RequestHead, body: Decoder) {
        self.state = ResponderState::Asked;
        self.body = body;
        self.is_head = head.method == Method::Head;
        self.version = head.version;
        self.until_close = false;
        self.last = self.closing || !head.keep_alive;
        self.continue_owed = head.expect_continue;
        self.drained_bytes = 0;
    }

    /// Writes an answer's head, and its body if it is given whole. `date` is the time now, see
    /// [`imf_fixdate`](crate::imf_fixdate).
    ///
    /// The body is left away for HEAD, 204, 205 and 304. A client of HTTP/1.0 gets a chunked answer
    /// that ends with the connection.
    ///
    /// # Panics
    /// In debug builds, if there is an answer already.
    #[inline]
    pub fn respond(&mut self, out: &mut Vec<u8>, date: &[u8; 29], answer: &OutgoingResponse<'_>) {
        match self.state {
            ResponderState::Asked => {}
            ResponderState::Idle => {
                self.is_head = false;
                self.version = Version::Http11;
                self.last = true;
            }
            state => {
                debug_assert!(false, "one request has one answer, and this one is {state:?}");
                return;
            }
        }
        self.last |= !self.is_drainable();
        let status = if matches!(answer.status, 200..=999) { answer.status } else { 500 };
        let (length, next, bytes) = self.plan(status, answer.body);
        self.state = next;
        let connection = match (self.last, self.version) {
            (true, _) => ConnectionField::Close,
            (false, Version::Http11) => ConnectionField::None,
            (false, Version::Http10) => ConnectionField::KeepAlive,
        };
        let fields = (answer.lines, answer.fields);
        encode::response_head(out, status, date, fields, length, connection);
        out.extend_from_slice(bytes);
    }

    /// Writes a piece of the body of a streamed answer. What exceeds the announced length is cut
    /// off; where there is no body to be sent, nothing is written.
    pub fn respond_piece(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        match self.state {
            ResponderState::Exact(left) => {
                debug_assert!(piece.len() as u64 <= left, "an answer is longer than it said");
                let length = left.min(piece.len() as u64);
                out.extend_from_slice(&piece[..length as usize]);
                self.state = match left - length {
                    0 => ResponderState::Answered,
                    left => ResponderState::Exact(left),
                };
            }
            ResponderState::Chunked => encode::chunk(out, piece),
            ResponderState::UntilClose => out.extend_from_slice(piece),
            ResponderState::Idle
            | ResponderState::Asked
            | ResponderState::Answered
            | ResponderState::Closed => {}
        }
    }

    /// Ends a streamed answer. One that is shorter than it said ends the connection with it, so
    /// that the client can tell; so does one that is never ended.
    pub fn respond_end(&mut self, out: &mut Vec<u8>) {
        match self.state {
            ResponderState::Chunked => {
                out.extend_from_slice(encode::LAST_CHUNK);
                self.state = ResponderState::Answered;
            }
            ResponderState::UntilClose => self.state = ResponderState::Answered,
            ResponderState::Exact(_) => self.state = ResponderState::Closed,
            ResponderState::Idle
            | ResponderState::Asked
            | ResponderState::Answered
            | ResponderState::Closed => {}
        }
    }

    /// Makes this exchange the connection's last, or the next one if there is none: the answer says
    /// so if it has not begun.
    pub fn close_after(&mut self) {
        self.closing = true;
        self.last = true;
    }

    /// The framing of an answer, the state it leads to, and the bytes that follow its head.
    #[inline]
    fn plan<'a>(
        &mut self,
        status: u16,
        body: OutgoingBody<'a>,
    ) -> (Length, ResponderState, &'a [u8]) {
        let is_head = self.is_head;
        // RFC 9110 section 6.4.1: these have no content, and sections 8.6 and 15.4.5 say what may
        // be announced. Section 15.3.6: 205 has none either, but needs framing.
        match (status, body) {
            (204, _) => return (Length::None, ResponderState::Answered, &[]),
            (205, _) => return (Length::Exact(0), ResponderState::Answered, &[]),
            (304, OutgoingBody::Exact(bytes)) => {
                return (Length::Exact(bytes), ResponderState::Answered, &[]);
            }
            (304, _) => return (Length::None, ResponderState::Answered, &[]),
            _ => {}
        }
        match body {
            // For HEAD this says nothing about GET's length, rather than that it is 0.
            OutgoingBody::None if is_head => (Length::None, ResponderState::Answered, &[]),
            OutgoingBody::None => (Length::Exact(0), ResponderState::Answered, &[]),
            OutgoingBody::Bytes(bytes) => {
                let sent = if is_head { &[][..] } else { bytes };
                (Length::Exact(bytes.len() as u64), ResponderState::Answered, sent)
            }
            OutgoingBody::Exact(bytes) if is_head || bytes == 0 => {
                (Length::Exact(bytes), ResponderState::Answered, &[])
            }
            OutgoingBody::Exact(bytes) => (Length::Exact(bytes), ResponderState::Exact(bytes), &[]),
            // RFC 9112 section 6.1: a client of HTTP/1.0 is sent no transfer coding.
            OutgoingBody::Chunked if self.version == Version::Http10 => {
                self.last |= !is_head;
                self.until_close = !is_head;
                (
                    Length::None,
                    if is_head { ResponderState::Answered } else { ResponderState::UntilClose },
                    &[],
                )
            }
            OutgoingBody::Chunked => (
                Length::Chunked,
                if is_head { ResponderState::Answered } else { ResponderState::Chunked },
                &[],
            ),
        }
    }

    /// What is unread of the body can be read off, as far as is known.
    fn is_drainable(&self) -> bool {
        !self.continue_owed && self.body.left().unwrap_or(0) <= self.drain_bytes_max
    }
}
