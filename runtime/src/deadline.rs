//! Deadlines without timers: one coarse sweep per core.
//!
//! A timer for every read would cost 2 to 4% of a small request. Instead every socket has one
//! slot that says by when its current wait must end and what it waits for; setting it is two
//! plain stores. One task per core looks at all slots every `period` and shuts the sockets whose
//! time is up, so that the read or write that waits there completes and finds out why.
//! The task exists only while there are slots: an idle process does not tick.
//!
//! A deadline strikes never early and at most two periods late; the period is an eighth of the
//! shortest limit in use, between 2 ms and 1 s.
//!
//! Refused here: deciding what a struck deadline means. That is its owner's business.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use monoio::io::{CancelHandle, Canceller};

use crate::clock::Moment;
use crate::sys;

/// What a socket waits for when its deadline strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The TLS handshake to finish.
    Handshake,
    /// The rest of a request head of which something has arrived.
    Head,
    /// The rest of a request body.
    Body,
    /// The next request.
    Idle,
    /// The peer to take what is written to it.
    Write,
    /// The peer to close after its last answer.
    Linger,
    /// An upstream's response.
    Response,
}

impl Kind {
    /// All kinds, in the order of [`Kind::index`].
    pub const ALL: [Kind; 7] = [
        Kind::Handshake,
        Kind::Head,
        Kind::Body,
        Kind::Idle,
        Kind::Write,
        Kind::Linger,
        Kind::Response,
    ];

    /// The place of this kind in [`Kind::ALL`] and in `CoreStats::deadlines`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name for labels: lower case, one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Handshake => "handshake",
            Kind::Head => "head",
            Kind::Body => "body",
            Kind::Idle => "idle",
            Kind::Write => "write",
            Kind::Linger => "linger",
            Kind::Response => "response",
        }
    }

    /// Which directions end. Where an answer (408) may still be due, writing stays possible.
    fn shuts(self) -> Shutdown {
        match self {
            Kind::Head | Kind::Body | Kind::Idle => Shutdown::Read,
            Kind::Handshake | Kind::Write | Kind::Linger | Kind::Response => Shutdown::Both,
        }
    }
}

/// No deadline.
const NEVER: u64 = u64::MAX;

/// Bytes that extend a body's or a write's deadline by one millisecond: a peer that keeps up
/// 64 kB/s is never cut, one that drips is.
const BYTES_PER_MS: u64 = 64;

/// Shortest and longest time between two sweeps, in milliseconds.
const PERIOD_MS: (u64, u64) = (2, 1000);

/// How long a busy connection that turned idle keeps its buffer, in milliseconds.
const HOLD_MS: u64 = 1000;

/// When so many connections turned idle between two sweeps, the memory they had is given back to
/// the system. That takes about a millisecond, which many requests must not have to wait for.
const TRIM_AFTER: usize = 256;

/// Something that wants to look after itself whenever the sweep runs.
pub(crate) trait Housekeeping {
    /// `now_ms` is the core's coarse clock.
    fn sweep(&self, now_ms: u64);
}

/// All deadlines of one core, and its coarse clock.
pub(crate) struct Deadlines {
    now_ms: Cell<u64>,
    period_ms: Cell<u64>,
    sweeping: Cell<bool>,
    trim: Cell<bool>,
    slots: RefCell<Vec<Rc<Slot>>>,
    keepers: RefCell<Vec<Weak<dyn Housekeeping>>>,
    struck: Box<dyn Fn(Kind)>,
}

struct Slot {
    fd: RawFd,
    index: Cell<usize>,
    at_ms: Cell<u64>,
    kind: Cell<Kind>,
    fired: Cell<Option<Kind>>,
    /// The end of this socket must be a reset.
    abortive: Cell<bool>,
    /// Since when a read has held a buffer for nothing, and how to call it back.
    held_since_ms: Cell<u64>,
    canceller: RefCell<Option<Canceller>>,
}

impl Slot {
    /// Ends the socket's wait: shuts it down, or resets it where an end would be taken for another.
    fn shut(&self, how: Shutdown) {
        if !(self.abortive.get() && sys::abort(self.fd)) {
            sys::shutdown(self.fd, how);
        }
    }

    fn call_back(&self) {
        self.held_since_ms.set(NEVER);
        let mut canceller = self.canceller.borrow_mut();
        *canceller = canceller.take().map(Canceller::cancel);
    }
}

impl Deadlines {
    /// A registry that reports each deadline that struck to `struck`.
    pub(crate) fn new(struck: impl Fn(Kind) + 'static) -> Rc<Deadlines> {
        Rc::new(Deadlines {
            now_ms: Cell::new(Moment::now().as_ms()),
            period_ms: Cell::new(PERIOD_MS.1),
            sweeping: Cell::new(false),
            trim: Cell::new(false),
            slots: RefCell::default(),
            keepers: RefCell::default(),
            struck: Box::new(struck),
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

    /// The coarse clock in milliseconds: behind the true one by at most one period.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Calls `keeper` at every sweep until it is dropped.
    pub(crate) fn keep(&self, keeper: Weak<dyn Housekeeping>) {
        self.keepers.borrow_mut().push(keeper);
    }

    /// Gives the socket a slot, and starts the sweep if it is the first. The [`Watch`] must be
    /// dropped before the socket is.
    pub(crate) fn watch(self: &Rc<Self>, fd: RawFd) -> Watch {
        let mut slots = self.slots.borrow_mut();
        let slot = Rc::new(Slot {
            fd,
            index: Cell::new(slots.len()),
            at_ms: Cell::new(NEVER),
            kind: Cell::new(Kind::Idle),
            fired: Cell::new(None),
            abortive: Cell::new(false),
            held_since_ms: Cell::new(NEVER),
            canceller: RefCell::new(None),
        });
        slots.push(slot.clone());
        if !self.sweeping.replace(true) {
            self.note(Moment::now());
            monoio::spawn(sweep_while_watched(self.clone()));
        }
        Watch { slot, registry: self.clone() }
    }

    /// Shuts every socket whose time is up.
    pub(crate) fn sweep(&self, now: Moment) {
        self.note(now);
        let now_ms = self.now_ms();
        let mut called_back = 0;
        for slot in self.slots.borrow().iter() {
            if slot.at_ms.get() < now_ms {
                self.strike(slot);
            } else if slot.held_since_ms.get().saturating_add(HOLD_MS) < now_ms {
                slot.call_back();
                called_back += 1;
            }
        }
        // Those called back the last time have given their buffers to the allocator by now.
        if self.trim.replace(called_back >= TRIM_AFTER) {
            sys::trim_heap();
        }
        self.keepers.borrow_mut().retain(|keeper| match keeper.upgrade() {
            Some(keeper) => {
                keeper.sweep(now_ms);
                true
            }
            None => false,
        });
    }

    /// Lets every wait of this kind end in at most `grace_ms` from now.
    pub(crate) fn hasten(&self, kind: Kind, grace_ms: u64) {
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

    fn strike(&self, slot: &Slot) {
        let kind = slot.kind.get();
        slot.at_ms.set(NEVER);
        slot.fired.set(Some(kind));
        (self.struck)(kind);
        slot.shut(kind.shuts());
    }

    fn remove(&self, slot: &Slot) {
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
    loop {
        monoio::time::sleep(Duration::from_millis(deadlines.period_ms.get())).await;
        deadlines.sweep(Moment::now());
        if deadlines.slots.borrow().is_empty() {
            deadlines.sweeping.set(false);
            return;
        }
    }
}

/// One socket's slot. Dropping it takes the socket out of the registry.
pub(crate) struct Watch {
    slot: Rc<Slot>,
    registry: Rc<Deadlines>,
}

impl Watch {
    /// From now on the socket waits for `kind`, at most `limit_ms` (and one period).
    #[inline]
    pub(crate) fn set(&self, kind: Kind, limit_ms: u64) {
        self.set_after(kind, self.registry.now_ms(), limit_ms, 0);
    }

    /// As [`Watch::set`], counted from `start_ms` on the coarse clock, with the time that
    /// `bytes` bytes may take on top.
    #[inline]
    pub(crate) fn set_after(&self, kind: Kind, start_ms: u64, limit_ms: u64, bytes: u64) {
        // The coarse clock may be one period behind; without it a deadline could strike early.
        let slack = self.registry.period_ms.get();
        let at = start_ms + limit_ms + slack + bytes / BYTES_PER_MS;
        self.slot.kind.set(kind);
        self.slot.at_ms.set(at);
    }

    /// The socket waits for nothing that has a limit here.
    #[inline]
    pub(crate) fn clear(&self) {
        self.slot.at_ms.set(NEVER);
    }

    /// Announces a read that holds a buffer and may take long. Given the handle, it is called
    /// back (ECANCELED, nothing read) when it has waited for a while; see [`Watch::release`].
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

    /// Which deadline struck, if one did. The socket is shut then.
    #[inline]
    pub(crate) fn fired(&self) -> Option<Kind> {
        self.slot.fired.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.registry.remove(&self.slot);
    }
}
