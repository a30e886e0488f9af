//! The load generator's own event loop: many client connections on one thread, no tasks.
//!
//! Owns sockets, their buffers, TLS and the moments at which bytes move. Refuses to know what the
//! bytes mean, when a request is due, or how long one may take: its caller holds the schedule and
//! the deadlines, and calls [`EventLoop::close`] on what is late. It is no executor because a
//! generator that spins would starve every other task of one.
//!
//! ```text
//!   open() -> Token
//!     | poll: Event::Connected (TCP, and TLS where asked for, are done)
//!     v
//!   send() ---> poll: Event::Received ---> received(), consume() ---> send() ...
//!     |
//!     | close()                      or poll: Event::Closed (the peer, the network, TLS)
//!     v                                 its token still answers received(), facts() and
//!   the token is stale: harmless        counters() until the next poll
//! ```
//!
//! Two drivers stand behind the one type, epoll and io_uring, and either spins or sleeps. Memory
//! per connection is bounded: a peer that sends more than [`RECEIVED_BYTES_MAX`] that the caller
//! did not consume is not read from until it is consumed.

mod buffers;
mod connection;
mod epoll;
mod event;
mod flight;
mod provided;
mod sys;
mod table;
mod token;
mod uring;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

pub use crate::executor::driver::{Driver, DriverChoice};
use crate::tls::TlsFacts;

pub use event::{CloseReason, Counters, Dial, Event, Wait};
pub use token::Token;

use connection::Connection;
use epoll::Epoll;
use table::ConnectionTable;
use uring::Uring;

/// How many received bytes of one connection may wait for the caller before the peer is no longer
/// read from. It exceeds any head that the caller accepts (300 KiB); bodies are consumed piece by
/// piece.
pub const RECEIVED_BYTES_MAX: usize = 512 * 1024;

/// How many bytes of one connection may wait for the peer before [`EventLoop::send`] refuses
/// more. A single larger send is taken whole where nothing waits.
pub const QUEUED_BYTES_MAX: usize = 1024 * 1024;

/// How long a sleeping poll looks before it sleeps: about what it costs both sides that one is put
/// to sleep and woken, so that looking in vain costs twice the best at most.
const LOOK: Duration = Duration::from_micros(5);

/// The most polls that sleep at once after looking was in vain.
const NAPS_MAX: u32 = 64;

/// Many client connections on one thread.
///
/// Make it on the thread that polls it.
pub struct EventLoop {
    shared: LoopState,
    engine: LoopDriver,
    alertness: Alertness,
    /// io_uring ties a ring to its thread, and sleeping sets the thread's timer slack.
    not_send: PhantomData<*const ()>,
}

enum LoopDriver {
    Epoll(Epoll),
    Uring(Box<Uring>),
}

impl EventLoop {
    /// A loop without connections. `Auto` takes the driver that costs the generator least: epoll,
    /// see `docs/benchmarks.md`.
    ///
    /// # Errors
    /// When the kernel refuses the driver: `RequireIoUring` needs Linux 6.0 and a system that
    /// does not forbid io_uring (`kernel.io_uring_disabled`, a container's seccomp profile).
    pub fn new(choice: DriverChoice) -> io::Result<EventLoop> {
        let engine = match choice {
            DriverChoice::RequireIoUring => LoopDriver::Uring(Box::new(Uring::new()?)),
            DriverChoice::Auto | DriverChoice::Epoll => LoopDriver::Epoll(Epoll::new()?),
        };
        Ok(EventLoop {
            shared: LoopState::default(),
            engine,
            alertness: Alertness::default(),
            not_send: PhantomData,
        })
    }

    /// The driver in use: it is part of every result.
    #[must_use]
    pub fn driver(&self) -> Driver {
        match self.engine {
            LoopDriver::Epoll(_) => Driver::Epoll,
            LoopDriver::Uring(_) => Driver::IoUring,
        }
    }

    /// How many connections there are: those being made and those told as closed by the last
    /// poll included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.table.len()
    }

    /// Begins a connection. How it ends is told by [`EventLoop::poll`].
    ///
    /// # Errors
    /// What is wrong at this end: too many open files, no free port at the source address, a
    /// source address that is not this machine's, an unreachable network.
    pub fn open(&mut self, dial: &Dial) -> io::Result<Token> {
        let token = self.shared.table.allocate()?;
        let connection = self.shared.table.connection(token);
        let begun = connection.dial(dial).and_then(|()| self.engine.register(token, connection));
        match begun {
            Ok(()) => Ok(token),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.shared.end_later(token, CloseReason::Refused);
                Ok(token)
            }
            Err(error) => {
                self.shared.table.free(token);
                Err(error)
            }
        }
    }

    /// Sends `plain`, encrypted where the connection is TLS. As much as TCP takes is written now;
    /// the rest goes out in later polls. Returns whether it was taken: not for a stale token, not
    /// before [`Event::Connected`], and not while [`QUEUED_BYTES_MAX`] wait already.
    pub fn send(&mut self, token: Token, plain: &[u8]) -> bool {
        let Some(connection) = self.shared.table.get_mut(token) else {
            return false;
        };
        match connection.send(plain) {
            Ok(taken) => {
                self.engine.arm(token, connection);
                taken
            }
            Err(reason) => {
                self.engine.forget(connection);
                self.shared.end_later(token, reason);
                false
            }
        }
    }

    /// How many bytes of this connection wait for the peer to take them.
    #[must_use]
    pub fn queued(&self, token: Token) -> usize {
        self.shared.table.get(token).map_or(0, Connection::queued)
    }

    /// What was received and not yet consumed; empty for a stale token.
    #[must_use]
    pub fn received(&self, token: Token) -> &[u8] {
        self.shared.table.get(token).map_or(&[], Connection::received)
    }

    /// Spends the first `count` received bytes.
    pub fn consume(&mut self, token: Token, count: usize) {
        if let Some(connection) = self.shared.table.get_mut(token) {
            connection.consume(count);
            self.engine.arm(token, connection);
        }
    }

    /// Ends the connection now: TLS sends close_notify, nothing is waited for, no event follows.
    pub fn close(&mut self, token: Token) {
        if let Some(connection) = self.shared.table.get_mut(token) {
            connection.send_close_notify();
            self.engine.forget(connection);
            self.shared.table.free(token);
        }
    }

    /// What TLS agreed on, for a connection that is past its handshake.
    #[must_use]
    pub fn facts(&self, token: Token) -> Option<TlsFacts<'_>> {
        self.shared.table.get(token).and_then(Connection::facts)
    }

    /// What the connection has cost; all zero for a stale token.
    #[must_use]
    pub fn counters(&self, token: Token) -> Counters {
        self.shared.table.get(token).map_or_else(Counters::default, Connection::counters)
    }

    /// Replaces `events` by what has happened since the last call. Returns as soon as there is
    /// any, or when `until` has come (`None`: never); with an `until` that is past it looks once
    /// and returns. A sleeping poll also returns, without events, when a signal arrives.
    ///
    /// # Errors
    /// When the kernel refuses to tell; no peer can cause that.
    pub fn poll(
        &mut self,
        wait: Wait,
        until: Option<Instant>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        events.clear();
        self.shared.begin_turn(events);
        let mut looking = wait == Wait::Sleep && self.alertness.looks();
        let mut look_until = None;
        loop {
            let timeout = if wait == Wait::Spin || looking || !events.is_empty() {
                Some(Duration::ZERO)
            } else {
                until.map(|until| until.saturating_duration_since(Instant::now()))
            };
            let turn = match &mut self.engine {
                LoopDriver::Epoll(epoll) => epoll.turn(&mut self.shared, timeout, events),
                LoopDriver::Uring(uring) => uring.turn(&mut self.shared, timeout, events),
            };
            match turn {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                other => other?,
            }
            if !events.is_empty() {
                if looking {
                    self.alertness.found();
                }
                return Ok(());
            }
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                return Ok(());
            }
            if looking && now >= *look_until.get_or_insert(now + LOOK) {
                looking = false;
                self.alertness.looked_in_vain();
            }
        }
    }
}

/// Whether a poll that may sleep looks for a moment first. A busy peer answers sooner than a
/// sleeper is woken, and waking it costs the peer's core as well, which may be the one that is
/// being measured; where nothing comes that soon, looking is given up for ever longer.
#[derive(Debug, Default)]
struct Alertness {
    /// Polls that are to sleep at once.
    naps: u32,
    /// How many such polls the last vain look was followed by.
    last_naps: u32,
}

impl Alertness {
    fn looks(&mut self) -> bool {
        let looks = self.naps == 0;
        self.naps = self.naps.saturating_sub(1);
        looks
    }

    fn found(&mut self) {
        self.last_naps = 0;
    }

    fn looked_in_vain(&mut self) {
        self.last_naps = (self.last_naps * 2).clamp(1, NAPS_MAX);
        self.naps = self.last_naps;
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("driver", &self.driver())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl LoopDriver {
    fn register(&mut self, token: Token, connection: &mut Connection) -> io::Result<()> {
        match self {
            LoopDriver::Epoll(epoll) => epoll.register(token, connection),
            LoopDriver::Uring(uring) => uring.register(token, connection),
        }
    }

    /// Arms what the connection waits for after it moved outside of a turn.
    fn arm(&mut self, token: Token, connection: &mut Connection) {
        match self {
            LoopDriver::Epoll(epoll) => epoll.arm(token, connection),
            LoopDriver::Uring(uring) => uring.arm(token, connection),
        }
    }

    /// Closes the connection's socket.
    fn forget(&mut self, connection: &mut Connection) {
        match self {
            LoopDriver::Epoll(_) => connection.shut(),
            LoopDriver::Uring(uring) => uring.forget(connection),
        }
    }
}

/// What both drivers work on.
#[derive(Default)]
struct LoopState {
    table: ConnectionTable,
    /// Told as closed in the last poll; their slots are free from the next one on.
    ended: Vec<Token>,
    /// Closed between two polls.
    ended_later: Vec<(Token, CloseReason)>,
}

impl LoopState {
    fn begin_turn(&mut self, events: &mut Vec<Event>) {
        for token in self.ended.drain(..) {
            self.table.free(token);
        }
        for (token, reason) in self.ended_later.drain(..) {
            // The caller may have closed it in the meantime, and then wants to hear no more.
            if self.table.get(token).is_some() {
                events.push(Event::Closed(token, reason));
                self.ended.push(token);
            }
        }
    }

    /// Tells of the end of a connection whose socket is closed by now.
    fn end(&mut self, token: Token, reason: CloseReason, events: &mut Vec<Event>) {
        events.push(Event::Closed(token, reason));
        self.ended.push(token);
    }

    fn end_later(&mut self, token: Token, reason: CloseReason) {
        self.ended_later.push((token, reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_given_up_for_ever_longer() {
        let mut alertness = Alertness::default();
        let mut looked = Vec::new();
        for poll in 0..400 {
            if alertness.looks() {
                looked.push(poll);
                alertness.looked_in_vain();
            }
        }
        assert_eq!(looked, [0, 2, 5, 10, 19, 36, 69, 134, 199, 264, 329, 394]);
        while !alertness.looks() {}
        alertness.found();
        assert!(alertness.looks(), "what was found once is looked for again");
        alertness.looked_in_vain();
        assert!(!alertness.looks() && alertness.looks());
    }
}
