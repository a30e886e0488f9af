//! The epoll driver: edge-triggered, one registration per connection, no call that can be known
//! to yield nothing.
//!
//! Owns the readiness that epoll reported and that is not used up: edges are not repeated, so a
//! connection that was left unread (its turn was over, or the caller had not consumed) is kept in
//! `resume` and read in a later turn. Refuses to touch bytes.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::connection::{Connection, EventSink};
use super::{Event, LoopState, Token, sys};

/// Events taken over in one call.
const EVENTS_PER_TURN: usize = 512;
/// Ciphertext is read into one buffer for all connections; it holds two full TLS records.
const SCRATCH_BYTES: usize = 36 * 1024;

/// See the module.
pub(super) struct Epoll {
    epoll: OwnedFd,
    ready: Vec<libc::epoll_event>,
    scratch: Box<[u8]>,
    /// Connections whose socket may hold bytes that no further event will tell of.
    resume: Vec<Token>,
    resuming: Vec<Token>,
    slept: bool,
    precise: bool,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Epoll> {
        Ok(Epoll {
            epoll: sys::epoll_create()?,
            ready: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_TURN],
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            resume: Vec::new(),
            resuming: Vec::new(),
            slept: false,
            precise: true,
        })
    }

    /// Begins to watch a connection that has begun to connect.
    pub(super) fn register(&mut self, token: Token, connection: &Connection) -> io::Result<()> {
        match &connection.socket {
            Some(socket) => sys::epoll_add(&self.epoll, socket, token.to_bits()),
            None => Ok(()),
        }
    }

    /// Notes a connection that has to be read without another event.
    #[inline]
    pub(super) fn arm(&mut self, token: Token, connection: &mut Connection) {
        if connection.unread && !connection.resuming && !connection.paused() {
            connection.resuming = true;
            self.resume.push(token);
        }
    }

    /// Waits for at most `timeout` and lets every connection that can move do so.
    pub(super) fn turn(
        &mut self,
        shared: &mut LoopState,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let timeout = if self.resume.is_empty() { timeout } else { Some(Duration::ZERO) };
        let count = self.wait(timeout)?;
        for place in 0..count {
            let (flags, data) = (self.ready[place].events, self.ready[place].u64);
            self.step(shared, Token::from_bits(data), flags as i32, events);
        }
        if !self.resume.is_empty() {
            std::mem::swap(&mut self.resume, &mut self.resuming);
            while let Some(token) = self.resuming.pop() {
                if let Some(connection) = shared.table.get_mut(token) {
                    connection.resuming = false;
                    self.step(shared, token, libc::EPOLLIN, events);
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, shared: &mut LoopState, token: Token, flags: i32, events: &mut Vec<Event>) {
        let open = shared.table.get_mut(token).filter(|found| found.socket.is_some());
        let Some(connection) = open else { return };
        let mut report = EventSink { token, events };
        match progress(connection, flags, &mut self.scratch, &mut report) {
            Ok(()) => self.arm(token, connection),
            Err(reason) => {
                connection.shut();
                shared.end(token, reason, events);
            }
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if timeout != Some(Duration::ZERO) && !self.slept {
            self.slept = true;
            sys::precise_timers();
        }
        if self.precise {
            match sys::epoll_wait(&self.epoll, &mut self.ready, timeout) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => self.precise = false,
                other => return other,
            }
        }
        // An older kernel counts in milliseconds. Rounded down, the last one is spun, never late.
        let ms = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(-1));
        sys::epoll_wait_ms(&self.epoll, &mut self.ready, ms)
    }
}

fn progress(
    connection: &mut Connection,
    flags: i32,
    scratch: &mut [u8],
    report: &mut EventSink<'_>,
) -> Result<(), super::CloseReason> {
    let failed = flags & (libc::EPOLLERR | libc::EPOLLHUP) != 0;
    if connection.connecting() {
        if flags & libc::EPOLLOUT == 0 && !failed {
            return Ok(());
        }
        connection.connected(failed, report)?;
    } else if connection.blocked && flags & libc::EPOLLOUT != 0 {
        connection.flush()?;
    }
    let ended = failed || flags & libc::EPOLLRDHUP != 0;
    if ended || flags & libc::EPOLLIN != 0 {
        connection.read(ended, scratch, report)?;
    }
    Ok(())
}
