//! One connection's client half: its signatures; the states follow.

use crate::{AnswerBody, Body, Error, Limits, Method, ResponseHead};

/// A request to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The method's name; see [`Method::as_str`](crate::Method).
    pub method: &'a str,
    /// The target, as it is to be sent.
    pub target: &'a [u8],
    /// The value of Host; if empty, no Host is written (it may be among the fields).
    pub host: &'a [u8],
    /// Fields in the order they are sent, framing left out as in [`Answer`](crate::Answer).
    pub fields: &'a [(&'a str, &'a [u8])],
    /// What follows the head.
    pub body: AnswerBody<'a>,
}

/// One connection's client half.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    head: ResponseHead,
}

impl Client {
    /// A connection on which nothing has been sent.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: ResponseHead::default(),
        }
    }

    /// Writes a request's head, and its body if it is given whole.
    pub fn request(&mut self, out: &mut Vec<u8>, ask: &Ask<'_>) {
        let _ = (out, ask);
    }

    /// Notes that a whole request of this method, encoded earlier, is being sent.
    pub fn requested(&mut self, method: Method) {
        let _ = method;
    }

    /// Writes a piece of the body of a streamed request.
    pub fn request_piece(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        let _ = (out, piece);
    }

    /// Ends a streamed request.
    pub fn request_end(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Reads a final response's head; `Some` is the number of bytes taken, interim ones included.
    pub fn head(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        let _ = (input, self.limits);
        Ok(None)
    }

    /// The head read last.
    pub fn response(&self) -> &ResponseHead {
        &self.head
    }

    /// Reads a piece of the body; call it until `done`.
    pub fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
        let _ = input;
        Ok(Body::default())
    }

    /// The whole response has been read.
    pub fn body_done(&self) -> bool {
        true
    }

    /// The connection has ended: right after a body that lasts until then, else an error.
    pub fn eof(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Another request may be sent on this connection.
    pub fn reusable(&self) -> bool {
        false
    }
}
