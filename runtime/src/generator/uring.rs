//! The io_uring driver: one multishot receive per connection into provided buffers.
//!
//! Owns the ring, what is in flight, and the rule that makes descriptors safe to reuse: nothing
//! that names a descriptor stays unsubmitted when that descriptor is closed. The kernel never
//! holds memory of a connection, only the ring's own buffers; sends are plain calls, written at
//! once like the epoll driver's. Refuses to touch bytes.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::connection::{Connection, EventSink};
use super::provided::{GROUP, ProvidedBuffers};
use super::{CloseReason, Event, LoopState, Token};

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;
/// Completions taken over in one turn.
const EVENTS_PER_TURN: usize = 1024;

/// What a completion is of: the top 8 bits of its user data, above the token.
const CONNECT: u64 = 1 << 56;
const RECEIVE: u64 = 2 << 56;
const WRITABLE: u64 = 3 << 56;
const CANCEL: u64 = 4 << 56;
const KIND: u64 = 0xff << 56;

struct Completion {
    data: u64,
    result: i32,
    flags: u32,
}

/// See the module.
pub(super) struct Uring {
    ring: IoUring,
    /// Dropped after the ring.
    buffers: ProvidedBuffers,
    done: Vec<Completion>,
    /// Why queued submissions could not be handed over: told by the next turn.
    failed: Option<io::Error>,
}

impl Uring {
    pub(super) fn new() -> io::Result<Uring> {
        // Deferred task work came with Linux 6.1, which also has multishot receives: where the
        // kernel grants the one, the other needs no probe.
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let buffers = ProvidedBuffers::new();
        // SAFETY: the buffers live in the same struct as the ring; `drop` takes them back from
        // the kernel before either is gone.
        unsafe { buffers.register(&ring.submitter())? };
        Ok(Uring { ring, buffers, done: Vec::with_capacity(EVENTS_PER_TURN), failed: None })
    }

    /// Begins to watch a connection that has begun to connect.
    pub(super) fn register(&mut self, token: Token, connection: &mut Connection) -> io::Result<()> {
        self.poll_writable(connection, token.to_bits() | CONNECT);
        Ok(())
    }

    /// Arms what the connection waits for: bytes, room, or, where the caller does not consume,
    /// that no more bytes come.
    #[inline]
    pub(super) fn arm(&mut self, token: Token, connection: &mut Connection) {
        if connection.reading() && connection.socket.is_some() {
            let flight = connection.flight;
            if connection.paused() {
                if flight.receiving && !flight.cancelling {
                    connection.flight.cancelling = true;
                    let entry = opcode::AsyncCancel::new(token.to_bits() | RECEIVE).build();
                    self.push(entry.user_data(token.to_bits() | CANCEL));
                }
            } else if !flight.receiving {
                self.receive(token, connection);
            }
        }
        if connection.blocked && !connection.flight.polling {
            self.poll_writable(connection, token.to_bits() | WRITABLE);
        }
    }

    /// Closes the connection's socket. What is in flight holds it open in the kernel, so it is
    /// shut down first: the peer sees the end now and the flight comes home.
    pub(super) fn forget(&mut self, connection: &mut Connection) {
        let flight = std::mem::take(&mut connection.flight);
        if flight.receiving || flight.polling {
            if !self.ring.submission().is_empty() {
                self.submit();
            }
            if let Some(socket) = &connection.socket {
                // It may not be connected yet, or no longer.
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        connection.shut();
    }

    /// Waits for at most `timeout` and lets every connection that can move do so.
    pub(super) fn turn(
        &mut self,
        shared: &mut LoopState,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.enter(timeout)?;
        let mut done = std::mem::take(&mut self.done);
        done.extend(self.ring.completion().take(EVENTS_PER_TURN).map(|entry| Completion {
            data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
        for completion in done.drain(..) {
            self.step(shared, &completion, events);
        }
        self.done = done;
        Ok(())
    }

    fn step(&mut self, shared: &mut LoopState, completion: &Completion, events: &mut Vec<Event>) {
        let token = Token::from_bits(completion.data);
        let connection = shared.table.get_mut(token).filter(|found| found.socket.is_some());
        let Some(connection) = connection else {
            self.give_back(completion);
            return;
        };
        let mut report = EventSink { token, events };
        let progress = match completion.data & KIND {
            RECEIVE => self.received(connection, completion, &mut report),
            CONNECT => {
                connection.flight.polling = false;
                let trouble = libc::POLLERR | libc::POLLHUP;
                let failed = completion.result < 0 || completion.result & i32::from(trouble) != 0;
                connection.connected(failed, &mut report)
            }
            WRITABLE => {
                connection.flight.polling = false;
                connection.flush()
            }
            _ => Ok(()),
        };
        match progress {
            Ok(()) => self.arm(token, connection),
            Err(reason) => {
                self.forget(connection);
                shared.end(token, reason, events);
            }
        }
    }

    fn received(
        &mut self,
        connection: &mut Connection,
        completion: &Completion,
        report: &mut EventSink<'_>,
    ) -> Result<(), CloseReason> {
        if !cqueue::more(completion.flags) {
            connection.flight.receiving = false;
            connection.flight.cancelling = false;
        }
        let count = usize::try_from(completion.result).unwrap_or(0);
        if let Some(id) = cqueue::buffer_select(completion.flags) {
            let take_in = |bytes: &mut [u8]| match bytes {
                [] => Ok(()),
                bytes => connection.take_in(bytes, report),
            };
            // SAFETY: this completion handed over the buffer and its count, and is seen once.
            unsafe { self.buffers.with(id, count, take_in) }?;
        }
        match completion.result {
            0 => Err(connection.end_of_stream()),
            1.. => Ok(()),
            // Out of buffers for a moment, cancelled by us, or interrupted: armed again.
            error => match -error {
                libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => Ok(()),
                error => Err(CloseReason::from_io(&io::Error::from_raw_os_error(error))),
            },
        }
    }

    /// Returns the buffer of a completion whose connection is gone.
    fn give_back(&mut self, completion: &Completion) {
        if completion.data & KIND == RECEIVE
            && let Some(id) = cqueue::buffer_select(completion.flags)
        {
            // SAFETY: this completion handed over the buffer, and is seen once.
            unsafe { self.buffers.with(id, 0, |_| ()) };
        }
    }

    fn receive(&mut self, token: Token, connection: &mut Connection) {
        if let Some(socket) = &connection.socket {
            connection.flight.receiving = true;
            let entry = opcode::RecvMulti::new(types::Fd(socket.as_raw_fd()), GROUP).build();
            self.push(entry.user_data(token.to_bits() | RECEIVE));
        }
    }

    fn poll_writable(&mut self, connection: &mut Connection, data: u64) {
        if let Some(socket) = &connection.socket {
            connection.flight.polling = true;
            let fd = types::Fd(socket.as_raw_fd());
            let entry = opcode::PollAdd::new(fd, libc::POLLOUT as u32).build();
            self.push(entry.user_data(data));
        }
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.ring.submission().is_full() {
            self.submit();
        }
        // SAFETY: the descriptor is open now and, by the rule of this module, is not closed
        // before the entry is submitted; no entry points to memory.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        if pushed.is_err() && self.failed.is_none() {
            self.failed = Some(io::Error::other("io_uring takes no more submissions"));
        }
    }

    fn submit(&mut self) {
        if let Err(error) = self.ring.submit()
            && self.failed.is_none()
        {
            self.failed = Some(error);
        }
    }

    /// Hands over what is queued and waits for a completion, unless one is there.
    fn enter(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let (queued, work) = {
            let submissions = self.ring.submission();
            let work = submissions.taskrun() || submissions.cq_overflow();
            (submissions.len(), work)
        };
        let idle = self.ring.completion().is_empty();
        let submitter = self.ring.submitter();
        let entered = match timeout {
            Some(timeout) if timeout.is_zero() || !idle => {
                if queued == 0 && !work {
                    return Ok(());
                }
                /// `IORING_ENTER_GETEVENTS`: run the deferred work as well.
                const GET_EVENTS: u32 = 1;
                // SAFETY: `queued` entries are in the submission queue, which `push` vouches
                // for, and no argument is passed.
                unsafe { submitter.enter::<libc::sigset_t>(queued as u32, 0, GET_EVENTS, None) }
            }
            Some(timeout) => {
                let time =
                    types::Timespec::new().sec(timeout.as_secs()).nsec(timeout.subsec_nanos());
                submitter.submit_with_args(1, &types::SubmitArgs::new().timespec(&time))
            }
            None => submitter.submit_and_wait(usize::from(idle)),
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // The time is over, or completions have to be taken over first.
                Some(libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Takes the buffers back from the kernel before their memory is freed.
        let submitter = self.ring.submitter();
        let _ = submitter.register_sync_cancel(None, types::CancelBuilder::any());
        let _ = submitter.unregister_buf_ring(GROUP);
    }
}
