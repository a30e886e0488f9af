//! One connection's client half: requests out, responses in, one exchange after another.
//!
//! It owns the state of the exchange and tells whether the connection may carry another one. It
//! refuses responses it did not ask for, and connections whose next byte could belong to the last
//! response.
//!
//! ```text
//!        request              head                body (done) | eof
//! Ready ---------> Waiting ---------> Receiving --------------------> Ready     reusable()
//!                   |   ^   no body: ---------------------------------> ^
//!                   +---+ 1xx                             any error, or Connection: close
//!                                                                     Spent     !reusable()
//! ```
//!
//! The request's own body is sent beside that by `request_piece` and `request_end`; a response may
//! come before it is complete, and then the connection is not reusable.
//!
//! ```
//! use proto_http::{OutgoingBody, OutgoingRequest, BodyLength, Client, Limits};
//!
//! let mut client = Client::new(Limits::default());
//! let mut out = Vec::new();
//!
//! // Waiting: the request is encoded, and the response is told apart by its method.
//! let (method, body) = ("GET", OutgoingBody::None);
//! let request = OutgoingRequest { method, target: b"/", host: b"a", fields: &[], body };
//! client.request(&mut out, &request);
//! assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//! assert!(!client.reusable());
//!
//! // Receiving: the interim response is skipped.
//! let input = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
//! let taken = client.head(input)?.expect("the head is complete");
//! assert_eq!(client.response().status, 200);
//! assert_eq!(client.response().length, BodyLength::Exact(2));
//! let rest = &input[taken..];
//! let body = client.body(rest)?;
//! assert_eq!(&rest[body.data], b"hi");
//!
//! // Ready.
//! assert!(body.done && client.reusable());
//! # Ok::<(), proto_http::Error>(())
//! ```

use super::body::Decoder;
use super::encode::{self, Length};
use super::search::HeadProgress;
use super::{lenient, read};
use crate::{Body, BodyLength, Error, Limits, Method, OutgoingBody, OutgoingRequest, ResponseHead};

/// The longest head that is kept to be recognised, in bytes: a usual one has 100 to 500.
const KNOWN_BYTES_MAX: usize = 1024;

/// What is left to send of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Done,
    /// So many bytes, never 0.
    Exact(u64),
    Chunked,
    /// The body ended short of its length.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Ready,
    Waiting,
    Receiving,
    Spent,
}

/// One connection's client half. See the [module](self) for its states.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    state: ClientState,
    sending: Sending,
    method: Method,
    progress: HeadProgress,
    /// What the strict reader refuses is read again leniently.
    lenient: bool,
    /// The head that is coming was refused by the strict reader.
    refused: Option<lenient::LenientProgress>,
    /// Bytes of interim responses before the head that is being read.
    skipped_bytes: usize,
    interim_responses: u8,
    head: ResponseHead,
    /// The bytes that `head` was read from, unless it is a long one or followed interim ones, and
    /// the method that it answered. Servers send the same head again and again, and the same bytes
    /// mean the same; comparing them costs a tenth of reading them. Empty whenever `head` is not
    /// what they say.
    known: Vec<u8>,
    known_method: Method,
    body: Decoder,
}

impl Client {
    /// A connection on which nothing has been sent.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: ClientState::Ready,
            sending: Sending::Done,
            method: Method::Other,
            progress: HeadProgress::default(),
            lenient: false,
            refused: None,
            skipped_bytes: 0,
            interim_responses: 0,
            head: ResponseHead::default(),
            known: Vec::new(),
            known_method: Method::Other,
            body: Decoder::Done,
        }
    }

    /// The same for a client that measures servers of others: it takes responses that curl and
    /// browsers take, where the end of the response is beyond doubt. A folded value spans its line
    /// ends. Not for a gateway, whose neighbours must understand a response alike.
    pub fn lenient(limits: Limits) -> Self {
        Self { lenient: true, ..Self::new(limits) }
    }

    /// Writes a request's head, and its body if it is given whole. The connection must be
    /// [reusable](Client::reusable).
    ///
    /// # Panics
    /// In debug builds, if it is not.
    pub fn request(&mut self, out: &mut Vec<u8>, ask: &OutgoingRequest<'_>) {
        let method = Method::from_bytes(ask.method.as_bytes());
        self.requested(method);
        let (length, sending, bytes) = match ask.body {
            // RFC 9110 section 8.6: a method that anticipates content says that there is none.
            OutgoingBody::None if matches!(method, Method::Post | Method::Put | Method::Patch) => {
                (Length::Exact(0), Sending::Done, &[][..])
            }
            OutgoingBody::None => (Length::None, Sending::Done, &[][..]),
            OutgoingBody::Bytes(bytes) => (Length::Exact(bytes.len() as u64), Sending::Done, bytes),
            OutgoingBody::Exact(0) => (Length::Exact(0), Sending::Done, &[][..]),
            OutgoingBody::Exact(bytes) => (Length::Exact(bytes), Sending::Exact(bytes), &[][..]),
            OutgoingBody::Chunked => (Length::Chunked, Sending::Chunked, &[][..]),
        };
        self.sending = sending;
        encode::request_head(out, ask.method, ask.target, ask.host, ask.fields, length);
        out.extend_from_slice(bytes);
    }

    /// Notes that a whole request of this method, encoded elsewhere, is being sent. The connection
    /// must be [reusable](Client::reusable).
    ///
    /// # Panics
    /// In debug builds, if it is not.
    #[inline]
    pub fn requested(&mut self, method: Method) {
        debug_assert!(self.reusable(), "the last exchange left the connection {:?}", self.state);
        self.method = method;
        self.sending = Sending::Done;
        self.state = ClientState::Waiting;
        self.skipped_bytes = 0;
        self.interim_responses = 0;
    }

    /// Writes a piece of the body of a streamed request. What exceeds the announced length is cut
    /// off.
    pub fn request_piece(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        match self.sending {
            Sending::Exact(left) => {
                debug_assert!(piece.len() as u64 <= left, "a request is longer than it said");
                let length = left.min(piece.len() as u64);
                out.extend_from_slice(&piece[..length as usize]);
                self.sending = match left - length {
                    0 => Sending::Done,
                    left => Sending::Exact(left),
                };
            }
            Sending::Chunked => encode::chunk(out, piece),
            Sending::Done | Sending::Broken => {}
        }
    }

    /// Ends a streamed request. One that is shorter than it said makes the connection useless.
    pub fn request_end(&mut self, out: &mut Vec<u8>) {
        self.sending = match self.sending {
            Sending::Chunked => {
                out.extend_from_slice(encode::LAST_CHUNK);
                Sending::Done
            }
            Sending::Done => Sending::Done,
            Sending::Exact(_) | Sending::Broken => Sending::Broken,
        };
    }

    /// Reads the head of the final response, over interim ones. `Some` is the number of bytes
    /// taken, interim responses included, and the spans of [`Client::response`] index into this
    /// very `input`. `None` asks for more: call again with the same bytes and those that came after
    /// them.
    ///
    /// In any state but waiting nothing is read.
    ///
    /// # Errors
    /// The head is malformed or over a limit; interim and final ones share `head_bytes_max`.
    #[inline]
    pub fn head(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        if self.state != ClientState::Waiting {
            return Ok(None);
        }
        let found = match self.known_head(input) {
            Some(taken) => Ok(Some(taken)),
            None => self.final_head(input),
        }
        .and_then(|taken| self.expect_body(taken));
        match found {
            Ok(None) => {}
            Ok(Some(_)) => self.advance(ClientState::Receiving),
            Err(error) => self.fail(error),
        }
        found
    }

    /// How many bytes at the front of the input are interim responses that have been read, while
    /// the final head is still to come. The caller spends them before it hands in more; one that
    /// does not ask holds them until the final head is there.
    pub fn interim(&mut self) -> usize {
        match self.state {
            ClientState::Waiting => std::mem::take(&mut self.skipped_bytes),
            _ => 0,
        }
    }

    /// The head read last.
    pub fn response(&self) -> &ResponseHead {
        &self.head
    }

    /// Reads a piece of the response's body. Call it until `done`; a body that has ended, or never
    /// was, takes nothing and is done. A body that lasts until the connection ends is done by
    /// [`Client::eof`] only.
    ///
    /// # Errors
    /// The framing is malformed or over a limit. Further calls return the error again.
    #[inline]
    pub fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
        let body = self.body.piece(input, &self.limits);
        match body {
            Ok(_) => self.advance(self.state),
            Err(error) => self.fail(error),
        }
        body
    }

    /// The whole response has been read.
    #[inline]
    pub fn body_done(&self) -> bool {
        matches!(self.state, ClientState::Ready | ClientState::Spent) && self.body.is_done()
    }

    /// The peer has ended the connection, and nothing else will come.
    ///
    /// # Errors
    /// The response is incomplete. That is right only for a body that lasts until now.
    pub fn eof(&mut self) -> Result<(), Error> {
        match self.state {
            ClientState::Receiving if self.head.length == BodyLength::UntilClose => {
                self.body = Decoder::Done;
                self.state = ClientState::Spent;
                Ok(())
            }
            ClientState::Waiting | ClientState::Receiving => {
                self.fail(Error::Truncated);
                Err(Error::Truncated)
            }
            ClientState::Ready => {
                self.state = ClientState::Spent;
                Ok(())
            }
            ClientState::Spent => Ok(()),
        }
    }

    /// Another request may be sent on this connection: the last exchange is complete on both sides
    /// and neither wants to close. Bytes that are left over in the input say otherwise: a server
    /// that speaks unasked is not to be listened to.
    #[inline]
    pub fn reusable(&self) -> bool {
        self.state == ClientState::Ready && self.sending == Sending::Done
    }

    /// The length of the head if it is the last one over again.
    #[inline]
    fn known_head(&self, input: &[u8]) -> Option<usize> {
        let known = !self.known.is_empty()
            && self.known_method == self.method
            && input.starts_with(&self.known);
        known.then_some(self.known.len())
    }

    /// Begins the body of the head that took so many bytes.
    #[inline]
    fn expect_body(&mut self, taken: Option<usize>) -> Result<Option<usize>, Error> {
        if taken.is_some() {
            self.body = Decoder::new(self.head.length, &self.limits, self.lenient)?;
        }
        Ok(taken)
    }

    fn final_head(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        self.known.clear();
        loop {
            let start = self.skipped_bytes;
            let Some(taken) = self.one_head(input, start)? else { return Ok(None) };
            match self.head.status {
                // RFC 9110 section 15.2.2: only a client that sent Upgrade is sent 101.
                101 => return Err(Error::UpgradeUnasked),
                // RFC 9110 section 15.2: interim responses may be ignored.
                100..=199 => {
                    self.interim_responses = self.interim_responses.saturating_add(1);
                    if self.interim_responses > self.limits.interim_responses_max {
                        return Err(Error::InterimTooMany);
                    }
                    self.skipped_bytes += taken;
                }
                _ => {
                    if start == 0 && taken <= KNOWN_BYTES_MAX {
                        self.known.extend_from_slice(&input[..taken]);
                        self.known_method = self.method;
                    }
                    return Ok(Some(start + taken));
                }
            }
        }
    }

    /// Reads one head, interim or final. A lenient client reads strictly first as well: that is the
    /// faster way, and right for nearly all.
    fn one_head(&mut self, input: &[u8], start: usize) -> Result<Option<usize>, Error> {
        let (method, limits, head) = (self.method, &self.limits, &mut self.head);
        if self.refused.is_none() {
            let found = read::response(&mut self.progress, input, start, method, limits, head);
            if found.is_ok() || !self.lenient {
                return found;
            }
            self.progress = HeadProgress::default();
        }
        let search = self.refused.get_or_insert_default();
        let found = lenient::response(search, input, start, method, limits, head)?;
        if found.is_some() {
            self.refused = None;
        }
        Ok(found)
    }

    /// Ends the exchange if its body has ended, else goes to `state`.
    #[inline]
    fn advance(&mut self, state: ClientState) {
        self.state = match state {
            ClientState::Receiving if self.body.is_done() && self.head.keep_alive => {
                ClientState::Ready
            }
            ClientState::Receiving if self.body.is_done() => ClientState::Spent,
            state => state,
        };
    }

    #[cold]
    fn fail(&mut self, error: Error) {
        self.body = Decoder::Failed(error);
        self.state = ClientState::Spent;
    }
}
