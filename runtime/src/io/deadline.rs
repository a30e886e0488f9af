//! Deadlines without timers: one coarse sweep per core.
//!
//! A timer for every read would cost 2 to 4% of a small request. Instead every socket has one
//! slot that says by when its current wait must end and what it waits for; setting it is two
//! plain stores. One task per core looks at all slots and shuts the sockets whose time is up, so
//! that the read or write that waits there completes and finds out why. It looks every `period`
//! while there is traffic, and otherwise when the nearest deadline expires (`pause`). The task
//! exists only while there are slots: without connections a process wakes up for nothing, and with
//! idle ones a few times in their idle limit.
//!
//! A deadline expires never early and at most two periods late; the period is an eighth of the
//! shortest limit in use, between 2 ms and 1 s.
//!
//! The same sweep finds peers that are too slow: of a wait for a body or for a full socket it
//! counts the time and what the peer moved, against the smallest rate (`Demand`). Of a write only
//! the sweep itself knows that it waits, so one that does not wait costs nothing.
//!
//! Refused here: deciding what an expired deadline means. That is its owner's business.

mod pause;
mod slot;

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use monoio::io::CancelHandle;

use self::pause::Pause;
use self::slot::{DeadlineSlot, Swept};
use crate::io::rate::Demand;
use crate::system::clock::Moment;
use crate::system::sys;

pub(crate) use crate::limits::wait_kind::WaitKind;

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// Bytes that extend a body's or a write's deadline by one millisecond: a peer that keeps up
/// 64 kB/s is never cut, one that drips is.
const BYTES_PER_MS: u64 = 64;

/// Shortest and longest time between two sweeps, in milliseconds.
const PERIOD_MS: (u64, u64) = (2, 1000);

/// When so many connections turned idle between two sweeps, the memory they had is given back to
/// the system. That takes about a millisecond, which many requests must not have to wait for.
const TRIM_AFTER: usize = 256;

/// Something that wants to look after itself whenever the sweep runs.
pub(crate) trait Housekeeping {
    /// `now_ms` is the core's coarse clock. Returns by when it must be called again on that clock,
    /// or [`NEVER`]. It may be called at any time before.
    fn sweep(&self, now_ms: u64) -> u64;
}

/// All deadlines of one core, and its coarse clock.
pub(crate) struct Deadlines {
    now_ms: Cell<u64>,
    /// When it swept last.
    swept_ms: Cell<u64>,
    period_ms: Cell<u64>,
    pause: Pause,
    sweeping: Cell<bool>,
    trim: Cell<bool>,
    slots: RefCell<Vec<Rc<DeadlineSlot>>>,
    housekeepers: RefCell<Vec<Weak<dyn Housekeeping>>>,
    expired: Box<dyn Fn(WaitKind)>,
}

impl Deadlines {
    /// A registry that reports each deadline that expired to `expired`.
    pub(crate) fn new(expired: impl Fn(WaitKind) + 'static) -> Rc<Deadlines> {
        Rc::new(Deadlines {
            now_ms: Cell::new(Moment::now().as_ms()),
            swept_ms: Cell::new(0),
            period_ms: Cell::new(PERIOD_MS.1),
            pause: Pause::default(),
            sweeping: Cell::new(false),
            trim: Cell::new(false),
            slots: RefCell::default(),
            housekeepers: RefCell::default(),
            expired: Box::new(expired),
        })
    }

    /// Announces that limits as short as `limit_ms` will be set.
    pub(crate) fn expect(&self, limit_ms: u64) {
        let period = (limit_ms / 8).clamp(PERIOD_MS.0, PERIOD_MS.1);
        self.period_ms.set(self.period_ms.get().min(period));
    }

    /// Tells the coarse clock the time, which the caller has just read anyway.
    #[inline]
    pub(crate) fn note(&self, now: Moment) {
        self.now_ms.set(now.as_ms());
    }

    /// The coarse clock in milliseconds: behind the true one by at most one period. To ask for it
    /// ends a long wait of the sweep, so every deadline that counts from it is found in time.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.end_long_wait();
        self.now_ms.get()
    }

    /// Lets the sweep go on every period, and brings the clock up to date, if it waits for longer.
    #[inline]
    fn end_long_wait(&self) {
        if self.pause.is_long() {
            self.resume();
        }
    }

    #[cold]
    #[inline(never)]
    fn resume(&self) {
        self.note(Moment::now());
        self.pause.end();
    }

    /// Calls `housekeeper` at every sweep until it is dropped.
    pub(crate) fn keep(&self, housekeeper: Weak<dyn Housekeeping>) {
        self.housekeepers.borrow_mut().push(housekeeper);
    }

    /// Takes the socket under watch: gives it a slot, and starts the sweep if it is the first.
    pub(crate) fn watch<S: AsRawFd>(self: &Rc<Self>, socket: S) -> WatchedSocket<S> {
        let mut slots = self.slots.borrow_mut();
        let slot = Rc::new(DeadlineSlot::new(socket.as_raw_fd(), slots.len()));
        slots.push(slot.clone());
        if !self.sweeping.replace(true) {
            self.note(Moment::now());
            monoio::spawn(sweep_while_watched(self.clone()));
        }
        WatchedSocket { watch: Watch { slot, registry: self.clone() }, socket }
    }

    /// Shuts every socket whose time is up. Returns by when it must sweep again if nothing happens
    /// until then: the nearest deadline on the coarse clock, or now where that is every period.
    pub(crate) fn sweep(&self, now: Moment) -> u64 {
        // A connection that reads moves the clock.
        let is_quiet = self.now_ms.get() == self.swept_ms.get();
        self.note(now);
        let now_ms = self.now_ms.get();
        let swept = Swept { at_ms: self.swept_ms.replace(now_ms), period_ms: self.period_ms.get() };
        let mut is_cancelled = 0;
        let mut nearest_ms = if is_quiet { NEVER } else { now_ms };
        for slot in self.slots.borrow().iter() {
            if slot.is_too_slow(now_ms, swept) {
                self.expire(slot, WaitKind::Rate);
            } else if slot.at_ms.get() < now_ms {
                self.expire(slot, slot.kind.get());
            } else if slot.held_until_ms() < now_ms {
                slot.cancel();
                is_cancelled += 1;
            }
            nearest_ms = nearest_ms.min(slot.next_look_ms(now_ms));
        }
        if is_cancelled > 0 {
            nearest_ms = now_ms;
        }
        // Those cancelled the last time have given their buffers to the allocator by now.
        if self.trim.replace(is_cancelled >= TRIM_AFTER) {
            sys::trim_heap();
        }
        self.housekeepers.borrow_mut().retain(|housekeeper| match housekeeper.upgrade() {
            Some(housekeeper) => {
                nearest_ms = nearest_ms.min(housekeeper.sweep(now_ms));
                true
            }
            None => false,
        });
        nearest_ms
    }

    /// Lets every wait of this kind end in at most `grace_ms` from now.
    pub(crate) fn hasten(&self, kind: WaitKind, grace_ms: u64) {
        // From now on the sweep is frequent, so little slack is needed.
        self.period_ms.set(PERIOD_MS.0);
        let at = self.now_ms() + grace_ms;
        for slot in self.slots.borrow().iter() {
            if slot.kind.get() == kind && slot.at_ms.get() != NEVER {
                slot.at_ms.set(slot.at_ms.get().min(at));
            }
        }
    }

    /// Whether no socket is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.borrow().is_empty()
    }

    /// Shuts every watched socket in both directions; returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        let slots = self.slots.borrow();
        for slot in slots.iter() {
            slot.at_ms.set(NEVER);
            slot.shut(Shutdown::Both);
        }
        slots.len()
    }

    /// Ends the wait of `slot` for this reason.
    fn expire(&self, slot: &DeadlineSlot, reason: WaitKind) {
        let kind = slot.kind.get();
        slot.at_ms.set(NEVER);
        slot.fired.set(Some(kind));
        (self.expired)(reason);
        slot.shut(kind.shuts());
    }

    fn remove(&self, slot: &DeadlineSlot) {
        let mut slots = self.slots.borrow_mut();
        let index = slot.index.get();
        slots.swap_remove(index);
        if let Some(moved) = slots.get(index) {
            moved.index.set(index);
        }
        // A burst of connections should not cost memory for ever.
        if slots.capacity() > 64 && slots.len() < slots.capacity() / 4 {
            let capacity = slots.capacity() / 2;
            slots.shrink_to(capacity);
        }
    }
}

async fn sweep_while_watched(deadlines: Rc<Deadlines>) {
    let mut wait_ms = 0;
    loop {
        let period_ms = deadlines.period_ms.get();
        if wait_ms <= period_ms || !deadlines.pause.wait_long(wait_ms).await {
            monoio::time::sleep(Duration::from_millis(deadlines.period_ms.get())).await;
        }
        let nearest_ms = deadlines.sweep(Moment::now());
        if deadlines.slots.borrow().is_empty() {
            deadlines.sweeping.set(false);
            return;
        }
        // What expires at a time is found after it.
        wait_ms = nearest_ms.saturating_add(1).saturating_sub(deadlines.now_ms());
    }
}

/// A socket with its deadline. The sweep shuts sockets by their number, which the kernel gives to
/// another one as soon as this one is closed; so the slot goes first, and none is ever without its
/// socket.
pub(crate) struct WatchedSocket<S> {
    watch: Watch,
    pub(crate) socket: S,
}

impl<S> WatchedSocket<S> {
    /// The slot of the socket's deadline.
    #[inline]
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }
}

impl<S> Drop for WatchedSocket<S> {
    fn drop(&mut self) {
        // What the fields own, the socket among it, is dropped after this.
        self.watch.registry.remove(&self.watch.slot);
    }
}

/// The slot of one socket, as [`WatchedSocket`] has it.
pub(crate) struct Watch {
    slot: Rc<DeadlineSlot>,
    registry: Rc<Deadlines>,
}

impl Watch {
    /// From now on the socket waits for `kind`, at most `limit_ms` (and one period).
    #[inline]
    pub(crate) fn set(&self, kind: WaitKind, limit_ms: u64) {
        self.set_after(kind, self.registry.now_ms(), limit_ms, 0);
    }

    /// As [`Watch::set`], counted from `start_ms` on the coarse clock, with the time that
    /// `bytes` bytes may take on top.
    #[inline]
    pub(crate) fn set_after(&self, kind: WaitKind, start_ms: u64, limit_ms: u64, bytes: u64) {
        // The coarse clock may be one period behind; without it a deadline could expire early.
        let slack = self.registry.period_ms.get();
        let at = start_ms + limit_ms + slack + bytes / BYTES_PER_MS;
        self.slot.kind.set(kind);
        self.slot.at_ms.set(at);
    }

    /// From now on the peer must move bytes at this rate, whenever it is waited for.
    pub(crate) fn demand(&self, demand: Demand) {
        self.slot.demand.set(demand);
    }

    /// A read for the rest of a body begins. Its peer has `limit_ms` for each such wait; where no
    /// rate is demanded, for all of them together, and a millisecond more for every 64 bytes.
    pub(crate) fn receive(&self, now: Moment, limit_ms: u64) {
        let now_ms = now.as_ms();
        let mut pace = self.slot.receiving.take().unwrap_or_default();
        let left_ms = if self.slot.demand.get().bytes_per_s == 0 {
            let all_ms = limit_ms + pace.moved() / BYTES_PER_MS;
            all_ms.saturating_sub(pace.waited_ms(now_ms))
        } else {
            limit_ms
        };
        pace.begin(now_ms);
        self.slot.receiving.set(Some(pace));
        self.registry.note(now);
        self.set(WaitKind::Body, left_ms);
    }

    /// Bytes have come in the meantime.
    pub(crate) fn has_received(&self, bytes: usize) {
        if let Some(mut pace) = self.slot.receiving.take() {
            pace.add(bytes as u64);
            self.slot.receiving.set(Some(pace));
        }
    }

    /// That read has ended.
    pub(crate) fn end_receive(&self, now: Moment) {
        if let Some(mut pace) = self.slot.receiving.take() {
            pace.end(now.as_ms());
            self.slot.receiving.set(Some(pace));
        }
        self.registry.note(now);
        self.clear();
    }

    /// There is no more of this body to come.
    pub(crate) fn forget_body(&self) {
        self.slot.receiving.take();
    }

    /// The socket has taken so many bytes.
    #[inline]
    pub(crate) fn has_written(&self, bytes: usize) {
        self.slot.written.set(self.slot.written.get() + bytes as u64);
    }

    /// How many it has taken in all.
    pub(crate) fn written(&self) -> u64 {
        self.slot.written.get()
    }

    /// Lets a write wait at most `limit_ms` while the deadline of a read is set; `None` if the one
    /// that is set ends writes too. A deadline that shuts the socket for reading alone would leave
    /// the write to wait for ever.
    pub(crate) fn set_aside(&self, limit_ms: u64) -> Option<SetAside> {
        let deadline = SetAside { kind: self.slot.kind.get(), at_ms: self.slot.at_ms.get() };
        if deadline.at_ms != NEVER && deadline.kind.shuts() == Shutdown::Both {
            return None;
        }
        self.set(WaitKind::Write, limit_ms);
        Some(deadline)
    }

    /// The write has ended.
    pub(crate) fn restore(&self, deadline: SetAside) {
        // It may be nearer than what the sweep waits for.
        self.registry.end_long_wait();
        self.slot.kind.set(deadline.kind);
        self.slot.at_ms.set(deadline.at_ms);
    }

    /// The socket waits for nothing that has a limit here.
    #[inline]
    pub(crate) fn clear(&self) {
        self.slot.at_ms.set(NEVER);
    }

    /// Announces a read that holds a buffer and may take long. Given the handle, it is cancelled
    /// (ECANCELED, nothing read) when it has waited for a while; see [`Watch::release`].
    #[inline]
    pub(crate) fn hold(&self) -> CancelHandle {
        self.slot.held_since_ms.set(self.registry.now_ms());
        let mut canceller = self.slot.canceller.borrow_mut();
        canceller.get_or_insert_default().handle()
    }

    /// The read has ended.
    #[inline]
    pub(crate) fn release(&self) {
        self.slot.held_since_ms.set(NEVER);
    }

    /// There will be no [`Watch::hold`] for some time.
    pub(crate) fn forget_hold(&self) {
        self.slot.canceller.take();
    }

    /// Whether a deadline that expires resets the connection, whatever it is set for.
    pub(crate) fn set_abortive(&self, abortive: bool) {
        self.slot.abortive.set(abortive);
    }

    /// The coarse clock in milliseconds.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.registry.now_ms()
    }

    /// Which deadline expired, if one did. The socket is shut then.
    #[inline]
    pub(crate) fn fired(&self) -> Option<WaitKind> {
        self.slot.fired.get()
    }
}

/// A deadline in whose place another one is set for a while.
pub(crate) struct SetAside {
    kind: WaitKind,
    at_ms: u64,
}

#[cfg(test)]
mod tests;
