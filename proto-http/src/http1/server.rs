//! One connection's server half: requests in, answers out, one exchange after another.
//!
//! It owns the state of the exchange, and with it whether the connection lives on. It refuses to
//! continue where the peer and we might disagree about where a message ends: after any error, after
//! an answer cut short, past a body too long to read off.
//!
//! ```text
//!       head             respond(None | Bytes)               next
//! Idle ------> Asked ------------------------------> Answered ------> Idle      Next::Continue
//!               | ^                                   ^   |  ^ |
//!               | | body, continue_100                |   |  +-+ body           Next::Drain
//!               v                                     |   |
//!              Streaming: respond_piece -- respond_end    +---------> Closed    Next::Close
//! ```
//!
//! An error of `head` or `body` leads to Asked as well: it is answered with its status, and the
//! connection closes after that. So does an answer in Idle (408, 503), which nobody asked for.
//!
//! Bytes stay with the caller: `head` and `body` take the unread input and tell how much of it is
//! spent. A caller that closes should close its sending side, and read on for a moment, because
//! data that arrives at a closed socket can cost the peer the answer (RFC 9112 section 9.6).
//!
//! ```
//! use proto_http::{BodyLength, FieldLines, Limits, Method, Next, Server};
//! use proto_http::{OutgoingBody, OutgoingResponse, imf_fixdate};
//!
//! let input = b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
//!               GET / HTTP/1.1\r\n";
//! let mut server = Server::new(Limits::default());
//! assert!(server.is_idle());
//!
//! // Asked: the head says what the request is and how long its body is.
//! let taken = server.head(input)?.expect("the head is complete");
//! assert_eq!(server.request().method, Method::Post);
//! assert_eq!(server.request().path(input), b"/orders");
//! assert_eq!(server.request().length, BodyLength::Exact(5));
//! let rest = &input[taken..];
//! let body = server.body(rest)?;
//! assert_eq!(&rest[body.data], b"hello");
//! assert!(body.done);
//! let rest = &rest[body.consumed..];
//!
//! // Answered: the answer is whole, and the connection stays.
//! let mut out = Vec::new();
//! let body = OutgoingBody::Bytes(b"thanks");
//! let answer = OutgoingResponse { status: 201, lines: FieldLines::NONE, fields: &[], body };
//! server.respond(&mut out, &imf_fixdate(0), &answer);
//! let expected = "HTTP/1.1 201 Created\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
//!                 Content-Length: 6\r\n\r\nthanks";
//! assert_eq!(String::from_utf8_lossy(&out), expected);
//! assert_eq!(server.next(), Next::Continue);
//!
//! // Idle again: the next request has only begun to arrive.
//! assert_eq!(server.head(rest)?, None);
//! # Ok::<(), proto_http::Error>(())
//! ```

use super::body::Decoder;
use super::responder::ResponderState;
use super::search::HeadProgress;
use super::{encode, read};
use crate::{Body, Error, Limits, OutgoingResponse, RequestHead, Responder};

/// What the connection does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the next request.
    Continue,
    /// Part of the request's body is unread: give what arrives to [`Server::body`], drop its data,
    /// and ask again. Bounded by `drain_bytes_max`; the caller bounds the time.
    Drain,
    /// Close the connection once everything is written.
    Close,
}

/// One connection's server half. See the [module](self) for its states.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    progress: HeadProgress,
    head: RequestHead,
    responder: Responder,
}

impl Server {
    /// A connection on which nothing has been read.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            progress: HeadProgress::default(),
            head: RequestHead::default(),
            responder: Responder::new(limits.drain_bytes_max),
        }
    }

    /// Reads a request's head. `Some` is the number of bytes it took, its blank line included, and
    /// the spans of [`Server::request`] index into this very `input`. `None` asks for more: call
    /// again with the same bytes and those that came after them.
    ///
    /// In any state but idle nothing is read.
    ///
    /// # Errors
    /// The head is malformed, over a limit, or asks for what is not there. The connection is lost;
    /// the error is to be answered.
    #[inline]
    pub fn head(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        if self.responder.state != ResponderState::Idle {
            return Ok(None);
        }
        let found = read::request(&mut self.progress, input, &self.limits, &mut self.head);
        let found = found
            .and_then(|taken| Ok((taken, Decoder::new(self.head.length, &self.limits, false)?)));
        match found {
            Ok((None, _)) => Ok(None),
            Ok((taken, body)) => {
                self.responder.begin(&self.head, body);
                Ok(taken)
            }
            Err(error) => {
                self.head.keep_alive = false;
                self.responder.begin(&self.head, Decoder::Failed(error));
                self.fail(error);
                Err(error)
            }
        }
    }

    /// The head read last; after an error, what was understood of it.
    pub fn request(&self) -> &RequestHead {
        &self.head
    }

    /// No request is being answered, though part of one may have arrived.
    pub fn is_idle(&self) -> bool {
        self.responder.state == ResponderState::Idle
    }

    /// Reads a piece of the request's body. Call it until `done`; a body that has ended, or never
    /// was, takes nothing and is done. A chunked body may need calls whose data is empty.
    ///
    /// # Errors
    /// The framing is malformed or over a limit. The connection is lost; if there was no answer yet
    /// the error is to be answered. Further calls return it again.
    #[inline]
    pub fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
        // RFC 9110 section 10.1.1: once the body comes, nobody waits for 100.
        self.responder.continue_owed &= input.is_empty();
        let body = self.responder.body.piece(input, &self.limits);
        match &body {
            Ok(piece) if self.responder.state == ResponderState::Answered => {
                self.responder.drained_bytes =
                    self.responder.drained_bytes.saturating_add(piece.consumed as u64);
            }
            Ok(_) => {}
            Err(error) => self.fail(*error),
        }
        body
    }

    /// The whole body has been read.
    #[inline]
    pub fn body_done(&self) -> bool {
        self.responder.body.is_done()
    }

    /// Writes 100 Continue if the client may be waiting for it; true if it did. To be called before
    /// the body is waited for, and not at all if it is not wanted: then the answer closes the
    /// connection, since nobody can tell whether the body follows.
    pub fn continue_100(&mut self, out: &mut Vec<u8>) -> bool {
        let owed = self.responder.continue_owed && self.responder.state == ResponderState::Asked;
        if owed {
            out.extend_from_slice(encode::CONTINUE);
            self.responder.continue_owed = false;
        }
        owed
    }

    /// The head read last and, apart from it, the half that answers.
    pub fn parts(&mut self) -> (&RequestHead, &mut Responder) {
        (&self.head, &mut self.responder)
    }

    /// See [`Responder::respond`].
    #[inline]
    pub fn respond(&mut self, out: &mut Vec<u8>, date: &[u8; 29], answer: &OutgoingResponse<'_>) {
        self.responder.respond(out, date, answer);
    }

    /// See [`Responder::respond_piece`].
    pub fn respond_piece(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        self.responder.respond_piece(out, piece);
    }

    /// See [`Responder::respond_end`].
    pub fn respond_end(&mut self, out: &mut Vec<u8>) {
        self.responder.respond_end(out);
    }

    /// See [`Responder::close_after`].
    pub fn close_after(&mut self) {
        self.responder.close_after();
    }

    /// The answer has no other end than that of the connection, as streamed ones have for clients
    /// of HTTP/1.0: if it is cut off, the connection must not end as if it were whole (RFC 9112
    /// section 8).
    pub fn ends_with_connection(&self) -> bool {
        self.responder.until_close
    }

    /// What to do now that the answer is written.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it is the word for this step, and no item")]
    pub fn next(&mut self) -> Next {
        let responder = &mut self.responder;
        match responder.state {
            ResponderState::Answered if responder.last => {}
            ResponderState::Answered if responder.body.is_done() => {
                responder.state = ResponderState::Idle;
                return Next::Continue;
            }
            ResponderState::Answered if responder.drained_bytes <= responder.drain_bytes_max => {
                return Next::Drain;
            }
            ResponderState::Idle if !responder.closing => return Next::Continue,
            _ => {}
        }
        responder.state = ResponderState::Closed;
        Next::Close
    }

    #[cold]
    fn fail(&mut self, error: Error) {
        self.responder.body = Decoder::Failed(error);
        self.responder.last = true;
        self.responder.continue_owed = false;
    }
}
