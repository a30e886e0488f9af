//! The deadline of one socket: by when its wait must end, what it waits for, and how fast its peer
//! is.
//!
//! It owns the verdict on one socket. It refuses to know when the sweep runs and what is done then.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::RawFd;

use monoio::io::Canceller;

use super::NEVER;
use crate::io::rate::{Demand, TransferRate};
use crate::limits::wait_kind::WaitKind;
use crate::system::sys;

/// How long a busy connection that turned idle keeps its buffer, in milliseconds.
const HOLD_MS: u64 = 1000;

pub(super) struct DeadlineSlot {
    pub(super) fd: RawFd,
    pub(super) index: Cell<usize>,
    pub(super) at_ms: Cell<u64>,
    pub(super) kind: Cell<WaitKind>,
    pub(super) fired: Cell<Option<WaitKind>>,
    /// The end of this socket must be a reset.
    pub(super) abortive: Cell<bool>,
    /// Since when a read has held a buffer for nothing, and how to cancel it.
    pub(super) held_since_ms: Cell<u64>,
    pub(super) canceller: RefCell<Option<Canceller>>,
    /// What the socket has taken so far, in bytes.
    pub(super) written: Cell<u64>,
    pub(super) demand: Cell<Demand>,
    /// Of the body that is being received, if it did not come with its head.
    pub(super) receiving: Cell<Option<Box<TransferRate>>>,
    /// Of the write that the last sweep found waiting, with the time of that sweep.
    pub(super) sending: Cell<Option<Box<(TransferRate, u64)>>>,
}

impl DeadlineSlot {
    pub(super) fn new(fd: RawFd, index: usize) -> DeadlineSlot {
        DeadlineSlot {
            fd,
            index: Cell::new(index),
            at_ms: Cell::new(NEVER),
            kind: Cell::new(WaitKind::Idle),
            fired: Cell::new(None),
            abortive: Cell::new(false),
            held_since_ms: Cell::new(NEVER),
            canceller: RefCell::new(None),
            written: Cell::new(0),
            demand: Cell::default(),
            receiving: Cell::default(),
            sending: Cell::default(),
        }
    }

    /// Until when its read may keep a buffer for nothing.
    pub(super) fn held_until_ms(&self) -> u64 {
        self.held_since_ms.get().saturating_add(HOLD_MS)
    }

    /// Ends the socket's wait: shuts it down, or resets it where an end would be taken for another.
    pub(super) fn shut(&self, how: Shutdown) {
        if !(self.abortive.get() && sys::abort(self.fd)) {
            sys::shutdown(self.fd, how);
        }
    }

    /// By when the sweep must look at it again if nothing happens on the socket until then.
    pub(super) fn next_look_ms(&self, now_ms: u64) -> u64 {
        let at_ms = self.at_ms.get();
        let waits_for_bytes =
            matches!(self.kind.get(), WaitKind::Body | WaitKind::Write | WaitKind::Response);
        if at_ms != NEVER && waits_for_bytes && self.demand.get().bytes_per_s != 0 {
            // A rate is counted in every period.
            return now_ms;
        }
        at_ms.min(self.held_until_ms())
    }

    pub(super) fn cancel(&self) {
        self.held_since_ms.set(NEVER);
        let mut canceller = self.canceller.borrow_mut();
        *canceller = canceller.take().map(Canceller::cancel);
    }

    /// Whether the peer, if it is waited for, moves less than it must.
    pub(super) fn is_too_slow(&self, now_ms: u64, swept: Swept) -> bool {
        let demand = self.demand.get();
        if demand.bytes_per_s == 0 || self.at_ms.get() == NEVER {
            return false;
        }
        match self.kind.get() {
            WaitKind::Body => {
                let mut receiving = self.receiving.take();
                let below = receiving.as_mut().is_some_and(|pace| pace.is_below(demand, now_ms));
                self.receiving.set(receiving);
                below
            }
            WaitKind::Write | WaitKind::Response => {
                self.takes_too_little(demand.of_writes(), now_ms, swept)
            }
            _ => false,
        }
    }

    /// Counts how much of what was written the peer has acknowledged, which is all that tells a
    /// slow peer from one that reads nothing. Whenever it took something its time begins anew: its
    /// rate is what bounds the whole.
    fn takes_too_little(&self, demand: Demand, now_ms: u64, swept: Swept) -> bool {
        let taken = self.written.get().saturating_sub(sys::unacknowledged(self.fd));
        let found = self.sending.take().filter(|sending| sending.1 == swept.at_ms);
        let mut sending =
            found.unwrap_or_else(|| Box::new((TransferRate::starting(now_ms, taken), now_ms)));
        let pace = &mut sending.0;
        if taken > pace.moved() {
            pace.add(taken - pace.moved());
            let at_ms = now_ms + u64::from(demand.write_ms) + swept.period_ms;
            self.at_ms.set(self.at_ms.get().max(at_ms));
        }
        let below = pace.is_below(demand, now_ms);
        sending.1 = now_ms;
        self.sending.set(Some(sending));
        below
    }
}

/// The sweep before this one.
#[derive(Clone, Copy)]
pub(super) struct Swept {
    pub(super) at_ms: u64,
    pub(super) period_ms: u64,
}
