//! One connection while it is busy: its buffers, its protocol state, and the waiting in between.
//!
//! Before any wait for input everything that was answered is written: answers to requests that
//! came together leave in one write, and no peer waits for an answer while we wait for the peer.
//! This module knows no service; it refuses to decide what is answered.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use proto_http::{BodyLength, Error, FieldLines, Next, Server};

use crate::io::buffer::{BUFFER_BYTES_LARGE, BodyRoom};
use crate::io::inbox::{Gathered, Inbox};
use crate::io::local::Local;
use crate::io::stream::{Hold, Stream, StreamError};
use crate::limits::CoreLimits;
use crate::limits::wait_kind::WaitKind;
use crate::observe::stages::Stage;
use crate::observe::stats::StatsRef;
use crate::server::error::{BodyError, Broken};
use crate::server::request::Request;
use crate::server::response::{Replied, Reply, ResponseState};
use crate::system::clock::Moment;

/// Answers gather up to this many bytes before they are written although more requests wait.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// A connection whose requests come faster than this keeps its buffer while it waits.
const BUSY_GAP_NS: u64 = 20_000_000;

/// What a quick request adds to a connection's pace, up to `PACE_MAX`; a slow one takes as much.
/// With `PACE_BUSY` it is busy: one quick request after connecting does not make it so, and one
/// hiccup of the machine does not end it.
const PACE_BUSY: u8 = 4;
const PACE_MAX: u8 = 8;

/// What comes next on a connection.
pub(crate) enum NextStep {
    /// A request's head.
    Request,
    /// Nothing, and the peer is slow: wait without buffers.
    Idle,
    /// Something that must be refused.
    Refuse(RequestRefusal),
    /// The end of the connection.
    End,
}

/// Why a request is refused before a service sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestRefusal {
    Malformed(Error),
    TooSlow,
}

/// A connection between two requests, and how fast they have come.
pub(crate) struct Idle {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    arrived: Moment,
    pace: u8,
}

impl Idle {
    pub(crate) fn new(stream: Stream, peer: SocketAddr) -> Idle {
        Idle { stream, peer, arrived: Moment::now(), pace: 0 }
    }
}

/// One busy connection.
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    pub(crate) local: Rc<Local>,
    pub(crate) stats: StatsRef,
    pub(crate) http: Server,
    pub(crate) inbox: Inbox,
    pub(crate) out: Vec<u8>,
    pub(crate) response: ResponseState,
    pub(crate) peer: SocketAddr,
    pub(crate) arrived: Moment,
    /// Which read of this core brought it.
    pub(crate) read_number: u64,
    pub(crate) body_error: Option<BodyError>,
    pub(crate) limits: Rc<CoreLimits>,
    /// An end of the connection is a reset for now.
    abortive: bool,
    head_begun: bool,
    /// Whether more was read for the body of this request than came with its head, and how much.
    receiving: bool,
    body_bytes: u64,
    body_room: Option<BodyRoom>,
    pace: u8,
}

impl Wire {
    /// A connection that wakes up with `bytes` read already (often none).
    pub(crate) fn new(
        idle: Idle,
        local: Rc<Local>,
        stats: StatsRef,
        limits: Rc<CoreLimits>,
        bytes: Vec<u8>,
    ) -> Wire {
        let bytes = if bytes.capacity() == 0 { local.buffers.take() } else { bytes };
        Wire {
            stream: idle.stream,
            http: Server::new(limits.http),
            inbox: Inbox::new(bytes),
            out: local.buffers.take(),
            response: ResponseState {
                replied: Replied::No,
                status: 0,
                encoding: Duration::ZERO,
                elapsed_ns: 0,
            },
            peer: idle.peer,
            arrived: idle.arrived,
            read_number: 0,
            body_error: None,
            abortive: false,
            head_begun: false,
            receiving: false,
            body_bytes: 0,
            body_room: None,
            pace: idle.pace,
            local,
            stats,
            limits,
        }
    }

    /// Gives the buffers back and the connection out.
    pub(crate) fn into_idle(self) -> Idle {
        self.stream.watch().forget_hold();
        if self.receiving {
            self.stream.watch().forget_body();
        }
        self.local.buffers.give(self.inbox.bytes);
        self.local.buffers.give(self.out);
        Idle { stream: self.stream, peer: self.peer, arrived: self.arrived, pace: self.pace }
    }

    /// Looks for a request's head in what has been read; `None` if more must be read.
    #[inline]
    pub(crate) fn next_head(&mut self) -> Option<NextStep> {
        if self.inbox.message().is_empty() {
            return None;
        }
        let mut lap = self.stats.lap();
        match self.http.head(self.inbox.message()) {
            Ok(Some(consumed)) => {
                lap.end(Stage::PARSE);
                self.begin(consumed);
                Some(NextStep::Request)
            }
            Ok(None) => None,
            Err(error) => Some(NextStep::Refuse(RequestRefusal::Malformed(error))),
        }
    }

    /// Gets ready to read more of a head, once everything is written: makes room, sets the
    /// deadline. `None` if there is nothing of it yet and the peer is slow.
    #[inline]
    pub(crate) fn await_head(&mut self) -> Option<Hold> {
        self.inbox.discard_spent(&self.local.buffers);
        if self.body_room.is_some() && self.inbox.bytes.is_empty() {
            self.inbox.bytes = self.local.buffers.take();
            self.body_room = None;
        }
        if self.out.capacity() > 2 * GATHER_BYTES_MAX {
            // One huge answer should not cost memory for as long as the connection lives.
            self.out = self.local.buffers.take();
        }
        if !self.inbox.bytes.is_empty() {
            if !self.head_begun {
                self.head_begun = true;
                self.stream.watch().set(WaitKind::Head, self.limits.head_ms);
            }
            return Some(Hold::Whole);
        }
        if self.pace < PACE_BUSY {
            return None;
        }
        self.stream.watch().set(WaitKind::Idle, self.limits.idle_now(self.local.draining.get()));
        Some(Hold::Short)
    }

    /// Notes that a read of a head has ended: when, and how quickly it came. `None` if it brought
    /// something.
    #[inline]
    pub(crate) fn has_read(&mut self, read: Result<usize, StreamError>) -> Option<NextStep> {
        let now = Moment::now();
        self.pace = if now.ns_since(self.arrived) < BUSY_GAP_NS {
            PACE_MAX.min(self.pace + 1)
        } else {
            self.pace.saturating_sub(1)
        };
        self.arrived = now;
        self.read_number = self.local.reads.get();
        self.local.deadlines.note(now);
        match read {
            Ok(1..) => None,
            Err(StreamError::Deadline(WaitKind::Head)) => {
                Some(NextStep::Refuse(RequestRefusal::TooSlow))
            }
            Err(error) if error.is_cancelled() => {
                self.pace = 0;
                Some(NextStep::Idle)
            }
            _ => Some(NextStep::End),
        }
    }

    /// Reads what woke an idle connection; false if that was its end. Part of a TLS record wakes
    /// it as well: the rest has as long as a request's head, which it begins.
    pub(crate) async fn wake(&mut self) -> bool {
        self.stream.watch().set(WaitKind::Head, self.limits.head_ms);
        let read = self.stream.fill(&mut self.inbox.bytes, Hold::Whole).await;
        self.has_read(read).is_none()
    }

    /// Collects the whole body, contiguous.
    pub(crate) async fn collect(&mut self, max: usize) -> Result<(), BodyError> {
        if let BodyLength::Exact(length) = self.http.request().length
            && length > max as u64
            && !self.http.body_done()
        {
            return Err(BodyError::TooLarge);
        }
        loop {
            match self.inbox.gather(&mut self.http, max)? {
                Gathered::All => return Ok(()),
                Gathered::Part => self.read_body(Keeping::All(max)).await?,
                Gathered::TooMuch => return Err(BodyError::TooLarge),
            }
        }
    }

    /// Finds the next piece of the body; false at its end.
    pub(crate) async fn piece(&mut self) -> Result<bool, BodyError> {
        loop {
            match self.inbox.piece(&mut self.http)? {
                Some(found) => return Ok(found),
                None => self.read_body(Keeping::Piece).await?,
            }
        }
    }

    /// Writes everything that was answered so far.
    pub(crate) async fn flush(&mut self) -> Result<(), Broken> {
        self.guard_end();
        Ok(self.stream.write(&mut self.out, self.limits.write_ms).await?)
    }

    /// An answer that ends with the connection looks whole wherever that ends. Until its last byte
    /// is written every end is therefore a reset: a deadline, a failure of ours, a killed process.
    pub(crate) fn guard_end(&mut self) {
        if !self.abortive && self.http.ends_with_connection() {
            self.abortive = true;
            self.stream.set_abortive(true);
        }
    }

    /// Answers with an error of this crate's own, after which the connection ends.
    pub(crate) fn problem(&mut self, status: u16, detail: &'static str) {
        self.http.close_after();
        self.response.replied = Replied::No;
        self.reply().problem(status, detail);
    }

    /// The way to answer the current request.
    pub(crate) fn reply(&mut self) -> Reply<'_> {
        self.parts().2
    }

    /// The current request's head, its body as far as it was collected, and the way to answer.
    #[inline]
    pub(crate) fn parts(&mut self) -> (Request<'_>, &[u8], Reply<'_>) {
        let (head, responder) = self.http.parts();
        let request = Request { head, bytes: self.inbox.message() };
        let reply = Reply {
            responder,
            lines: FieldLines::NONE,
            out: &mut self.out,
            response: &mut self.response,
            local: &self.local,
            stats: &self.stats,
            closing: self.stream.watch().fired().is_some() || self.body_error.is_some(),
            arrived: self.arrived,
        };
        (request, self.inbox.body(), reply)
    }

    /// Ends the exchange; true if the connection can take another request.
    pub(crate) async fn conclude(&mut self) -> Result<bool, Broken> {
        loop {
            match self.http.next() {
                Next::Continue => {
                    self.inbox.advance();
                    if self.out.len() > GATHER_BYTES_MAX {
                        self.flush().await?;
                    }
                    return Ok(true);
                }
                Next::Close => return Ok(false),
                Next::Drain => {
                    // The body nobody wanted is read off for the sake of the next request.
                    if self.piece().await.is_err() {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Ends the connection: writes what is left and closes. With `linger` the peer may still be
    /// sending; closing at once would make its kernel throw our answer away (RFC 9112 section
    /// 9.6), so what it sends is read off for a moment.
    pub(crate) async fn close(mut self, linger: bool) {
        self.guard_end();
        let limit_ms = self.limits.write_ms;
        let stream = &mut self.stream;
        let said = stream.write_last(&mut self.out, limit_ms, linger).await;
        if self.abortive && said.is_ok() {
            stream.set_abortive(false);
        }
        if linger && said.is_ok() {
            self.read_off().await;
        }
        self.into_idle();
    }

    async fn read_off(&mut self) {
        self.stream.watch().set(WaitKind::Linger, LINGER_MS);
        let mut rest = LINGER_BYTES_MAX;
        loop {
            self.inbox.bytes.clear();
            match self.stream.fill(&mut self.inbox.bytes, Hold::Whole).await {
                Ok(read @ 1..) if read < rest => rest -= read,
                _ => return,
            }
        }
    }

    #[inline]
    fn begin(&mut self, consumed: usize) {
        self.stream.watch().clear();
        self.inbox.begin(consumed);
        self.response.replied = Replied::No;
        self.body_error = None;
        self.head_begun = false;
        if self.receiving {
            self.receiving = false;
            self.body_bytes = 0;
            self.stream.watch().forget_body();
        }
    }

    /// Reads more of the body, after everything that the peer might wait for was written.
    async fn read_body(&mut self, keeping: Keeping) -> Result<(), BodyError> {
        self.http.continue_100(&mut self.out);
        self.flush().await.map_err(|_| BodyError::Closed)?;
        let full = self.inbox.bytes.len() == self.inbox.bytes.capacity();
        self.inbox.close_hole();
        if full {
            self.grow(keeping)?;
        }
        self.receiving = true;
        self.stream.watch().receive(Moment::now(), self.limits.body_ms);
        let result = self.stream.fill(&mut self.inbox.bytes, Hold::Whole).await;
        let watch = self.stream.watch();
        watch.has_received(result.as_ref().map_or(0, |read| *read));
        watch.end_receive(Moment::now());
        match result {
            Ok(0) => Err(BodyError::Closed),
            Ok(read) => {
                self.body_bytes += read as u64;
                Ok(())
            }
            Err(StreamError::Deadline(_)) => Err(BodyError::TooSlow),
            Err(_) => Err(BodyError::Closed),
        }
    }

    /// Makes room for more of a body that has filled its buffer: a few times as much, so that what
    /// a peer makes us hold is what it has sent and not what it has announced.
    fn grow(&mut self, keeping: Keeping) -> Result<(), BodyError> {
        let (came, max) = match keeping {
            Keeping::All(max) => (self.inbox.body().len() as u64, (max + FRAMING_BYTES) as u64),
            Keeping::Piece => (self.body_bytes, u64::MAX),
        };
        let length = match self.http.request().length {
            BodyLength::Exact(length) => length,
            _ => max,
        };
        let bytes = &self.inbox.bytes;
        let most = BUFFER_BYTES_LARGE.min(GROWTH * bytes.capacity()) as u64;
        let wanted = length.saturating_sub(came).min(most) as usize;
        if bytes.capacity() - bytes.len() >= wanted {
            return Ok(());
        }
        // Under TLS as much is read before it is decrypted.
        let records = if self.stream.facts().is_some() { wanted } else { 0 };
        let held = bytes.len() + wanted + records - self.inbox.body_start();
        let room = self.body_room.get_or_insert_with(|| BodyRoom::new(self.stats.clone()));
        match (room.hold(held, self.limits.body_memory_bytes_max), keeping) {
            (true, _) => self.inbox.bytes.reserve_exact(wanted),
            (false, Keeping::All(_)) => {
                self.stats.bodies_refused.add(1);
                return Err(BodyError::NoMemory);
            }
            // One that is passed on needs no more than the room it has.
            (false, Keeping::Piece) => {}
        }
        Ok(())
    }
}

/// What is kept of a body while more of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// All that came, at most so many bytes.
    All(usize),
    /// The last piece at most.
    Piece,
}

/// Room for the sizes of the next chunks, in bytes: they are taken out as they are read.
const FRAMING_BYTES: usize = 1024;

/// By how much a full buffer grows.
const GROWTH: usize = 4;

/// How long a closed connection's last bytes are read off, in milliseconds.
const LINGER_MS: u64 = 1000;

/// How many of them, in bytes; a peer that sends more does not listen anyway.
const LINGER_BYTES_MAX: usize = 256 * 1024;
