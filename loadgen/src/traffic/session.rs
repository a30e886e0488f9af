//! One virtual connection: what has been asked on it, when it was meant and sent, and how much of
//! the reply has come. Sans-io: bytes and times come in, a reply or a fault comes out; the socket
//! and the clock are the worker's. It refuses to keep a body: bytes are counted and dropped.
//!
//! ```text
//!            sent                    head whole            body whole
//! Idle ───────────────▶ Head ───────────────────▶ Body ───────────────▶ Idle
//!                         │                         │  └─ end of connection, where
//!                         └──────── fault ──────────┘     that ends the body ──▶ Idle
//! ```
//! After a fault the connection is of no use: where the next reply would begin is not known. Bytes
//! after a whole reply leave that reply what it is, however TCP cuts them, and end the connection.
//! Replies are read leniently, as curl reads them: the server is measured, and not its grammar.
//!
//! ```
//! use loadgen::traffic::{check::Expect, session::VirtualConnection};
//! let mut session = VirtualConnection::new();
//! session.sent(proto_http::Method::Get, 1_000, 1_200);
//! let expect = Expect::success();
//! // Half a head is not an error, and nothing of it is taken.
//! assert_eq!(session.received(b"HTTP/1.1 200 OK\r\nContent-Le", &expect), Ok((0, None)));
//! let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
//! let (taken, done) = session.received(reply, &expect).unwrap();
//! assert_eq!(taken, reply.len());
//! let received = done.unwrap();
//! assert!(received.status == 200 && received.verdict.is_ok() && received.reusable);
//! assert_eq!(session.times(5_000), (4_000, 3_800)); // response time, service time
//! ```

use proto_http::{Client, Error, Limits, Method};

use crate::traffic::check::{ErrorKind, Expect};

/// One virtual connection's exchange.
#[derive(Debug)]
pub struct VirtualConnection {
    client: Client,
    phase: ExchangePhase,
    body_bytes: u64,
    intended_ns: u64,
    sent_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExchangePhase {
    Idle,
    Head,
    Body,
}

/// A reply that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedResponse {
    /// Its status.
    pub status: u16,
    /// Whether it is a good one.
    pub verdict: Result<(), ErrorKind>,
    /// Another request may be sent on the connection.
    pub reusable: bool,
    /// It may not because more bytes came, which no request asked for.
    pub unsolicited: bool,
}

/// Why a connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What came is not a reply.
    Malformed(Error),
    /// Bytes came that no request asked for.
    Unasked,
    /// The connection ended before the reply was whole.
    Closed,
}

impl Fault {
    /// The kind of error that the request is counted as.
    pub fn kind(self) -> ErrorKind {
        match self {
            Fault::Malformed(_) | Fault::Unasked => ErrorKind::Malformed,
            Fault::Closed => ErrorKind::Closed,
        }
    }

    /// What a user reads.
    pub fn sentence(self) -> &'static str {
        match self {
            Fault::Malformed(Error::HeadTooLarge | Error::TooManyFields) => {
                "the head of the response is longer than 300 KiB, the most that is read"
            }
            Fault::Malformed(Error::StatusLine) => {
                "what came does not begin as a response does: `HTTP/1.1` and a status of 100 to 999"
            }
            Fault::Malformed(Error::ContentLengthRepeated) => {
                "the response gives different lengths in Content-Length"
            }
            Fault::Malformed(error) => error.as_str(),
            Fault::Unasked => "bytes came that belong to no request",
            Fault::Closed => "the server closed the connection before its reply was whole",
        }
    }
}

impl Default for VirtualConnection {
    fn default() -> VirtualConnection {
        VirtualConnection::new()
    }
}

impl VirtualConnection {
    /// A connection on which nothing has been sent.
    pub fn new() -> VirtualConnection {
        VirtualConnection {
            client: Client::lenient(Limits::LENIENT),
            phase: ExchangePhase::Idle,
            body_bytes: 0,
            intended_ns: 0,
            sent_ns: 0,
        }
    }

    /// Notes that a whole request is being sent. Times are ns since the slice began.
    #[inline]
    pub fn sent(&mut self, method: Method, intended_ns: u64, sent_ns: u64) {
        self.client.requested(method);
        self.phase = ExchangePhase::Head;
        self.body_bytes = 0;
        self.intended_ns = intended_ns;
        self.sent_ns = sent_ns;
    }

    /// Whether a reply is awaited.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.phase != ExchangePhase::Idle
    }

    /// When the request that is being answered was sent.
    #[inline]
    pub fn sent_ns(&self) -> u64 {
        self.sent_ns
    }

    /// Response time (from the intended send time) and service time (from the actual one), ns, of
    /// a reply that was whole at `now_ns`.
    #[inline]
    pub fn times(&self, now_ns: u64) -> (u64, u64) {
        (now_ns.saturating_sub(self.intended_ns), now_ns.saturating_sub(self.sent_ns))
    }

    /// Reads what has arrived. Returns how many bytes are spent, and the reply once it is whole;
    /// bytes that are not spent are to be handed in again with those that follow.
    #[inline]
    pub fn received(
        &mut self,
        input: &[u8],
        expect: &Expect,
    ) -> Result<(usize, Option<ReceivedResponse>), Fault> {
        let mut spent = 0;
        if self.phase == ExchangePhase::Idle {
            return if input.is_empty() { Ok((0, None)) } else { Err(Fault::Unasked) };
        }
        if self.phase == ExchangePhase::Head {
            match self.client.head(input).map_err(Fault::Malformed)? {
                None => return Ok((self.client.interim(), None)),
                Some(head) => spent = head,
            }
            self.phase = ExchangePhase::Body;
        }
        loop {
            if self.client.body_done() {
                let mut progress = self.finish(expect);
                progress.unsolicited = progress.reusable && spent < input.len();
                progress.reusable &= !progress.unsolicited;
                return Ok((input.len(), Some(progress)));
            }
            let rest = input.get(spent..).unwrap_or_default();
            if rest.is_empty() {
                return Ok((spent, None));
            }
            let piece = self.client.body(rest).map_err(Fault::Malformed)?;
            self.body_bytes += piece.data.len() as u64;
            spent += piece.consumed;
            if piece.consumed == 0 && !self.client.body_done() {
                return Ok((spent, None));
            }
        }
    }

    /// The connection has ended. A reply whose body lasts until then is whole.
    pub fn ended(&mut self, expect: &Expect) -> Result<Option<ReceivedResponse>, Fault> {
        match self.phase {
            ExchangePhase::Idle => Ok(None),
            ExchangePhase::Head => Err(Fault::Closed),
            ExchangePhase::Body => match self.client.eof() {
                Ok(()) => Ok(Some(ReceivedResponse { reusable: false, ..self.finish(expect) })),
                Err(_) => Err(Fault::Closed),
            },
        }
    }

    fn finish(&mut self, expect: &Expect) -> ReceivedResponse {
        self.phase = ExchangePhase::Idle;
        let status = self.client.response().status;
        ReceivedResponse {
            status,
            verdict: expect.judge(status, self.body_bytes),
            reusable: self.client.reusable(),
            unsolicited: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Replies, whether they are good, and whether another request may follow.
    const REPLIES: [(&str, &str, Result<(), ErrorKind>, bool); 7] = [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok(()), true),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", Err(ErrorKind::ShortBody), true),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Err(ErrorKind::ShortBody), true),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            Ok(()),
            true,
        ),
        (
            "POST",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
            Ok(()),
            true,
        ),
        (
            "POST",
            "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
            Err(ErrorKind::Status),
            false,
        ),
        ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Ok(()), false),
    ];

    fn method(name: &str) -> Method {
        match name {
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            _ => Method::Get,
        }
    }

    fn expect() -> Expect {
        Expect { body_bytes_min: 1, ..Expect::success() }
    }

    /// Hands a reply in piece by piece, each time with what was not spent before.
    fn feed(
        session: &mut VirtualConnection,
        reply: &[u8],
        cuts: &[usize],
    ) -> Option<ReceivedResponse> {
        let mut start = 0;
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % reply.len()).collect();
        ends.sort_unstable();
        ends.push(reply.len());
        for end in ends {
            let (spent, progress) =
                session.received(&reply[start..end.max(start)], &expect()).expect("it is sound");
            start += spent;
            if progress.is_some() {
                assert_eq!((start, end), (reply.len(), reply.len()));
                return progress;
            }
        }
        None
    }

    proptest! {
        /// However the bytes arrive, they are the same reply.
        #[test]
        fn any_split_is_the_same_reply(
            which in 0..REPLIES.len(),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let (name, reply, verdict, reusable) = REPLIES[which];
            let mut session = VirtualConnection::new();
            session.sent(method(name), 10, 20);
            let progress = feed(&mut session, reply.as_bytes(), &cuts).expect("it is whole");
            prop_assert_eq!((progress.verdict, progress.reusable), (verdict, reusable));
            prop_assert_eq!(session.times(50), (40, 30));
            prop_assert!(!session.is_busy());
        }

        /// Arbitrary bytes, cut anywhere, never make it panic, take more than there is, or tell of
        /// a reply after a fault; and cutting them elsewhere changes nothing.
        #[test]
        fn garbage_is_harmless_however_it_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            prop_assert_eq!(fate(&bytes, &cuts), fate(&bytes, &[]));
        }
    }

    /// What came of bytes that are handed in piece by piece until the connection ends. Of a wrong
    /// head that has no end it depends on the cuts whether that or the end is noticed first.
    #[derive(Debug, PartialEq)]
    enum Fate {
        Reply(ReceivedResponse),
        Fault,
    }

    fn fate(bytes: &[u8], cuts: &[usize]) -> Fate {
        let mut session = VirtualConnection::new();
        session.sent(Method::Get, 0, 0);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        let mut start = 0;
        let mut reply = None;
        for end in ends {
            let end = end.max(start);
            match session.received(&bytes[start..end], &expect()) {
                // Bytes after a whole reply mean the same, whether they come with it or later.
                Err(Fault::Unasked) if reply.is_some() => {
                    let whole = |reply: ReceivedResponse| ReceivedResponse {
                        reusable: false,
                        unsolicited: reply.reusable || reply.unsolicited,
                        ..reply
                    };
                    return Fate::Reply(reply.map(whole).expect("there is one"));
                }
                Err(_) => return Fate::Fault,
                Ok((spent, progress)) => {
                    assert!(spent <= end - start, "more was taken than there is");
                    assert!(progress.is_none() || reply.is_none(), "two replies to one request");
                    start += spent;
                    reply = reply.or(progress);
                    assert_eq!(session.is_busy(), reply.is_none());
                }
            }
        }
        match (reply, session.ended(&expect())) {
            (Some(reply), Ok(None)) => Fate::Reply(reply),
            (None, Ok(Some(reply))) => Fate::Reply(reply),
            (None, Err(_)) => Fate::Fault,
            other => panic!("{other:?} is no end of {bytes:?}"),
        }
    }

    /// Sound replies with a few bytes changed, taken out, doubled or moved: much closer to what a
    /// decoder trips over than arbitrary bytes are. Seeded, so that a failure comes again.
    #[test]
    fn damaged_replies_are_harmless_however_they_are_cut() {
        const INPUTS: usize = 100_000;
        let mut random = crate::traffic::random::Random::new(20_260_721);
        let mut below = |bound: usize| (random.next_u64() % bound.max(1) as u64) as usize;
        let mut replies = 0;
        for _ in 0..INPUTS {
            let mut bytes = REPLIES[below(REPLIES.len())].1.as_bytes().to_vec();
            for _ in 0..=below(3) {
                damage(&mut bytes, &mut below);
            }
            let cuts = [below(bytes.len() + 1), below(bytes.len() + 1)];
            let whole = fate(&bytes, &[]);
            assert_eq!(fate(&bytes, &cuts), whole, "{cuts:?}: {}", bytes.escape_ascii());
            replies += usize::from(matches!(whole, Fate::Reply(_)));
        }
        assert!((INPUTS / 20..INPUTS).contains(&replies), "{replies} were still replies");
    }

    /// Bytes that mean something in a reply.
    const MEANINGFUL: &[u8] = b"\r\n\0 \t:;,0129fF-+xHTP/.\x7f\xff";

    fn damage(bytes: &mut Vec<u8>, below: &mut impl FnMut(usize) -> usize) {
        let at = below(bytes.len());
        let other = below(bytes.len());
        match below(5) {
            _ if bytes.is_empty() => {}
            0 => bytes[at] = MEANINGFUL[below(MEANINGFUL.len())],
            1 => bytes.insert(at, MEANINGFUL[below(MEANINGFUL.len())]),
            2 => drop(bytes.drain(at.min(other)..at.max(other).min(at.min(other) + 6))),
            3 => bytes.extend_from_within(at.min(other)..at.max(other)),
            _ => bytes.swap(at, other),
        }
    }

    #[test]
    fn a_connection_is_used_again_and_again() {
        let mut session = VirtualConnection::new();
        for (name, reply, verdict, reusable) in REPLIES.into_iter().filter(|reply| reply.3) {
            session.sent(method(name), 0, 0);
            let progress = feed(&mut session, reply.as_bytes(), &[]).expect("it is whole");
            assert_eq!((progress.verdict, progress.reusable), (verdict, reusable));
        }
    }

    #[test]
    fn unsolicited_bytes_are_a_fault() {
        let mut session = VirtualConnection::new();
        assert_eq!(session.received(b"", &expect()), Ok((0, None)));
        assert_eq!(session.received(b"HTTP/1.1 408", &expect()), Err(Fault::Unasked));
    }

    #[test]
    fn a_whole_reply_stays_good_whatever_comes_after_it() {
        for reply in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        ] {
            for more in ["\r\n", "x", "0\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
                let bytes = [reply, more].concat();
                let good = ReceivedResponse {
                    status: 200,
                    verdict: Ok(()),
                    reusable: false,
                    unsolicited: true,
                };
                for cut in 0..bytes.len() {
                    assert_eq!(fate(bytes.as_bytes(), &[cut]), Fate::Reply(good), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn a_reply_may_be_of_any_size_but_for_its_head() {
        let head = |bytes: usize| {
            let filler = "Set-Cookie: a=b\r\n".repeat(bytes / 17);
            format!("HTTP/1.1 200 OK\r\n{filler}Content-Length: 1\r\n\r\nx")
        };
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(10_000);
        let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "a=b;".repeat(100_000));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for reply in [
            head(Limits::LENIENT.head_bytes_max - 100),
            interim + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            [chunked, &extension].concat(),
        ] {
            let mut session = VirtualConnection::new();
            session.sent(Method::Get, 0, 0);
            let cuts: Vec<usize> = (0..reply.len()).step_by(50_000).collect();
            let progress = feed(&mut session, reply.as_bytes(), &cuts).expect("it is whole");
            assert_eq!((progress.status, progress.verdict), (200, Ok(())));
        }
        let mut session = VirtualConnection::new();
        session.sent(Method::Get, 0, 0);
        let fault = session
            .received(head(Limits::LENIENT.head_bytes_max).as_bytes(), &expect())
            .unwrap_err();
        assert!(fault.sentence().contains("300 KiB"), "{}", fault.sentence());
    }

    #[test]
    fn the_end_completes_only_a_body_that_lasts_until_then() {
        for (reply, kind) in [
            ("HTTP/1.1 200 OK\r\n\r\nx", Ok(())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", Err(Fault::Closed)),
            ("HTTP/1.1 200 OK\r\n", Err(Fault::Closed)),
        ] {
            let mut session = VirtualConnection::new();
            session.sent(Method::Get, 0, 0);
            assert_eq!(feed(&mut session, reply.as_bytes(), &[]), None);
            let ended = session.ended(&expect());
            assert_eq!(ended.map(|progress| assert!(!progress.expect("whole").reusable)), kind);
        }
    }
}
