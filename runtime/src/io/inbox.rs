//! Where a message lies in the buffer it is read into, for either end of a connection.
//!
//! ```text
//!   bytes:  | spent | head (in place) | body, contiguous | hole | not yet decoded | spare |
//!                   start             end of head         ^     next              len
//!                                                         body.end
//! ```
//!
//! A head stays where it was read for as long as its message lives, so its spans stay valid
//! without a copy. A body with a length lies right behind it, untouched. Chunked bodies are moved
//! together over the holes their framing leaves. Streamed bodies use the space behind the head
//! again and again. It reads nothing itself.

use std::ops::Range;

use proto_http::{Body, Client, Error, Server};

use crate::io::buffer::{BUFFER_BYTES_LARGE, Buffers};

/// The half of proto-http that decodes a body.
pub(crate) trait Decode {
    fn body(&mut self, input: &[u8]) -> Result<Body, Error>;
    fn body_done(&self) -> bool;
}

impl Decode for Server {
    fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
        Server::body(self, input)
    }

    fn body_done(&self) -> bool {
        Server::body_done(self)
    }
}

impl Decode for Client {
    fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
        Client::body(self, input)
    }

    fn body_done(&self) -> bool {
        Client::body_done(self)
    }
}

/// What [`Inbox::gather`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// The whole body is there.
    All,
    /// More must be read.
    Part,
    /// There is more of it than was allowed.
    TooMuch,
}

/// A buffer and the message in it.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) bytes: Vec<u8>,
    start: usize,
    head_end: usize,
    body: Range<usize>,
    next: usize,
    handed_out: bool,
}

impl Inbox {
    pub(crate) fn new(bytes: Vec<u8>) -> Inbox {
        Inbox { bytes, ..Inbox::default() }
    }

    /// What has not been decoded yet, from the head of the message on.
    #[inline]
    pub(crate) fn message(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The body as far as it was gathered, or the piece that was found last.
    #[inline]
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.body.clone()]
    }

    /// Where the message's body begins.
    pub(crate) fn body_start(&self) -> usize {
        self.head_end
    }

    /// Notes that the message's head is `consumed` bytes long.
    #[inline]
    pub(crate) fn begin(&mut self, consumed: usize) {
        self.head_end = self.start + consumed;
        self.next = self.head_end;
        self.body = self.head_end..self.head_end;
        self.handed_out = false;
    }

    /// Decodes what is there of the body, all together in [`Inbox::body`], at most `max` bytes.
    pub(crate) fn gather(&mut self, http: &mut impl Decode, max: usize) -> Result<Gathered, Error> {
        loop {
            if http.body_done() {
                return Ok(Gathered::All);
            }
            let piece = http.body(&self.bytes[self.next..])?;
            let data = self.next + piece.data.start..self.next + piece.data.end;
            self.next += piece.consumed;
            if self.body.len() + data.len() > max {
                return Ok(Gathered::TooMuch);
            }
            if data.is_empty() {
                // Framing alone.
            } else if self.body.is_empty() {
                self.body = data;
            } else {
                let end = self.body.end + data.len();
                if data.start != self.body.end {
                    self.bytes.copy_within(data, self.body.end);
                }
                self.body.end = end;
            }
            if piece.consumed == 0 && !piece.done {
                return Ok(Gathered::Part);
            }
        }
    }

    /// Finds the next piece of the body, in [`Inbox::body`] then: `Some(true)`, or `Some(false)`
    /// at its end. `None` if more must be read. The piece before is forgotten. All that has come is
    /// one piece: a write for each of a peer's chunks would let it cost us a thousand times what it
    /// costs the peer.
    pub(crate) fn piece(&mut self, http: &mut impl Decode) -> Result<Option<bool>, Error> {
        if !self.body.is_empty() && !self.handed_out {
            // What was gathered before streaming began comes first.
            self.handed_out = true;
            return Ok(Some(true));
        }
        self.body = self.head_end..self.head_end;
        let gathered = self.gather(http, usize::MAX)?;
        if !self.body.is_empty() {
            self.handed_out = true;
            return Ok(Some(true));
        }
        Ok((gathered == Gathered::All).then_some(false))
    }

    /// Moves what is not yet decoded next to the body, so that the spare room is in one piece.
    pub(crate) fn close_hole(&mut self) {
        if self.next > self.body.end {
            self.bytes.copy_within(self.next.., self.body.end);
            let length = self.bytes.len() - (self.next - self.body.end);
            self.bytes.truncate(length);
            self.next = self.body.end;
        }
    }

    /// Goes on to the next message, which begins where this one ended.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.begin_at(self.next);
    }

    /// A message begins here of which nothing is known: its head and its body are empty. One that
    /// is refused before its head is read has them too.
    #[inline]
    fn begin_at(&mut self, start: usize) {
        self.start = start;
        self.head_end = start;
        self.body = start..start;
        self.next = start;
    }

    /// Moves the current message, whose head was not read yet, to the front, over the spent ones.
    #[inline]
    pub(crate) fn discard_spent(&mut self, buffers: &Buffers) {
        if self.start == 0 {
            return;
        }
        let left = self.bytes.len() - self.start;
        if left > 0 {
            self.bytes.copy_within(self.start.., 0);
        }
        self.bytes.truncate(left);
        self.begin_at(0);
        if left == 0 && self.bytes.capacity() > BUFFER_BYTES_LARGE {
            self.bytes = buffers.take();
        }
    }

    /// Whether nothing follows the message.
    pub(crate) fn is_spent(&self) -> bool {
        self.next == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bodies of letters between framing bytes `-`, ended by `.`; one run of letters at a time.
    #[derive(Default)]
    struct Letters(bool);

    impl Decode for Letters {
        fn body(&mut self, input: &[u8]) -> Result<Body, Error> {
            let framing = input.iter().take_while(|&&byte| byte == b'-').count();
            let letters = input[framing..].iter();
            let letters = letters.take_while(|byte| byte.is_ascii_alphabetic()).count();
            let end = framing + letters;
            self.0 = input.get(end) == Some(&b'.');
            Ok(Body { consumed: end + usize::from(self.0), data: framing..end, done: self.0 })
        }

        fn body_done(&self) -> bool {
            self.0
        }
    }

    fn inbox(bytes: &[u8], head: usize) -> Inbox {
        let mut inbox = Inbox::new(bytes.to_vec());
        inbox.begin(head);
        inbox
    }

    #[test]
    fn a_contiguous_body_is_not_moved() {
        let mut inbox = inbox(b"HHabc.next", 2);
        let before = inbox.bytes.clone();
        let gathered = inbox.gather(&mut Letters::default(), 3).unwrap();
        assert_eq!((gathered, inbox.body()), (Gathered::All, &b"abc"[..]));
        assert_eq!(inbox.bytes, before);
        inbox.advance();
        assert_eq!(inbox.message(), b"next");
    }

    #[test]
    fn a_framed_body_is_moved_together_over_any_split() {
        let whole = b"HH-ab--cd-e.next";
        for split in 2..whole.len() - 4 {
            let mut http = Letters::default();
            let mut inbox = inbox(&whole[..split], 2);
            if inbox.gather(&mut http, 9).unwrap() == Gathered::Part {
                inbox.close_hole();
                inbox.bytes.extend_from_slice(&whole[split..]);
                assert_eq!(inbox.gather(&mut http, 9).unwrap(), Gathered::All);
            }
            assert_eq!(inbox.body(), b"abcde", "split at {split}");
            assert_eq!(&inbox.message()[..2], b"HH", "the head stays in place");
        }
    }

    #[test]
    fn a_message_whose_head_was_not_read_has_no_body_yet() {
        let mut http = Letters::default();
        let mut inbox = inbox(b"HHHHHHHHab.n", 8);
        assert_eq!(inbox.gather(&mut http, 9).unwrap(), Gathered::All);
        inbox.advance();
        assert_eq!((inbox.message(), inbox.body(), inbox.body_start()), (&b"n"[..], &b""[..], 11));
        inbox.begin_at(0);
        assert_eq!((inbox.body(), inbox.body_start()), (&b""[..], 0));
    }

    #[test]
    fn a_body_over_its_limit_is_reported() {
        let mut inbox = inbox(b"-ab-cd.", 0);
        let gathered = inbox.gather(&mut Letters::default(), 3).unwrap();
        assert_eq!(gathered, Gathered::TooMuch);
    }

    #[test]
    fn chunks_that_came_together_are_one_piece_and_reuse_the_space() {
        let mut http = Letters::default();
        let mut inbox = inbox(b"HH-ab-cd", 2);
        assert_eq!(inbox.piece(&mut http).unwrap(), Some(true));
        assert_eq!(inbox.body(), b"abcd");
        assert_eq!(inbox.piece(&mut http).unwrap(), None);
        inbox.close_hole();
        assert_eq!(inbox.bytes, b"HH");
        inbox.bytes.extend_from_slice(b"-ef.");
        assert_eq!(inbox.piece(&mut http).unwrap(), Some(true));
        assert_eq!(inbox.body(), b"ef");
        assert_eq!(inbox.piece(&mut http).unwrap(), Some(false));
        assert!(inbox.is_spent());
    }

    #[test]
    fn what_was_gathered_comes_first_when_streaming_begins() {
        let mut http = Letters::default();
        let mut inbox = inbox(b"HH-ab-c", 2);
        assert_eq!(inbox.gather(&mut http, 9).unwrap(), Gathered::Part);
        assert_eq!(inbox.piece(&mut http).unwrap(), Some(true));
        assert_eq!(inbox.body(), b"abc");
        assert_eq!(inbox.piece(&mut http).unwrap(), None);
    }
}
