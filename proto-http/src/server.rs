//! One connection's server half: its signatures; the states follow.

use crate::{Answer, Body, Error, Limits, RequestHead};

/// What the connection does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the next request.
    Continue,
    /// Part of the request's body is unread: give what arrives to [`Server::body`], drop its data,
    /// and ask again. Bounded by `drain_bytes_max`.
    Drain,
    /// Close the connection once everything is written.
    Close,
}

/// One connection's server half.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    head: RequestHead,
    responder: Responder,
}

/// The part of a [`Server`] that answers. It knows of the request what an answer depends on (HEAD,
/// the version, keep-alive), so that a handler can read the head while it writes; see
/// [`Server::parts`].
#[derive(Debug, Default)]
pub struct Responder {}

impl Responder {
    /// Writes an answer's head, and its body if it is given whole.
    pub fn respond(&mut self, out: &mut Vec<u8>, date: &[u8; 29], answer: &Answer<'_>) {
        let _ = (out, date, answer);
    }

    /// Writes a piece of the body of a streamed answer.
    pub fn respond_piece(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        let _ = (out, piece);
    }

    /// Ends a streamed answer.
    pub fn respond_end(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Makes this exchange the connection's last.
    pub fn close_after(&mut self) {}
}

impl Server {
    /// A connection on which nothing has been read.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: RequestHead::default(),
            responder: Responder::default(),
        }
    }

    /// The head read last and, apart from it, the half that answers.
    pub fn parts(&mut self) -> (&RequestHead, &mut Responder) {
        (&self.head, &mut self.responder)
    }

    /// Reads a head; `Some` is the number of bytes it took, and the spans index into this `input`.
    pub fn head(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        let _ = (input, self.limits);
        Ok(None)
    }

    /// The head read last.
    pub fn request(&self) -> &RequestHead {
        &self.head
    }

    /// Nothing of an exchange has begun.
    pub fn is_idle(&self) -> bool {
        true
    }

    /// Reads a piece of the body; call it until `done`.
    pub fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
        let _ = input;
        Ok(Body::default())
    }

    /// The whole body has been read.
    pub fn body_done(&self) -> bool {
        true
    }

    /// Writes 100 Continue if the client waits for it; true if it did.
    pub fn continue_100(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        false
    }

    /// Writes an answer's head, and its body if it is given whole.
    pub fn respond(&mut self, out: &mut Vec<u8>, date: &[u8; 29], answer: &Answer<'_>) {
        self.responder.respond(out, date, answer);
    }

    /// Writes a piece of the body of a streamed answer.
    pub fn respond_piece(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        self.responder.respond_piece(out, piece);
    }

    /// Ends a streamed answer.
    pub fn respond_end(&mut self, out: &mut Vec<u8>) {
        self.responder.respond_end(out);
    }

    /// Makes this exchange the connection's last.
    pub fn close_after(&mut self) {
        self.responder.close_after();
    }

    /// What to do after the answer.
    #[expect(
        clippy::should_implement_trait,
        reason = "it is the field's word for this step"
    )]
    pub fn next(&mut self) -> Next {
        Next::Close
    }
}
