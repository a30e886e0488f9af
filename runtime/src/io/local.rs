//! What the connections and tasks of one core share: deadlines, buffers, counters, the date, and
//! when writes leave. It never leaves its thread, so that nothing on a request's path is locked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::io::buffer::Buffers;
use crate::io::deadline::Deadlines;
use crate::observe::stats::StatsRef;
use crate::system::clock::Moment;

/// What to call for work that is not done in time, by the number of the work.
type Owed = BTreeMap<u64, Box<dyn FnOnce()>>;

/// What the tasks of one core share.
pub(crate) struct Local {
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Buffers,
    pub(crate) stats: StatsRef,
    pub(crate) draining: Cell<bool>,
    /// Tasks that hold a connection; the executor is not dropped under them.
    pub(crate) tasks: Cell<usize>,
    /// Work that a graceful shutdown waits for, and how much of it there was so far.
    pub(crate) owed: RefCell<Owed>,
    pub(crate) owed_so_far: Cell<u64>,
    /// Whether writes are flushed at once instead of together with those of other connections.
    pub(crate) flush_now: Cell<bool>,
    /// Reads that have ended on this core so far.
    pub(crate) reads: Cell<u64>,
    date: Cell<Date>,
}

/// A request that keeps its core busy for longer than this is CPU-bound, and its response should
/// not wait for the work of others: a small request takes 3 us of user time under TLS, a signature
/// 15 and more.
const CPU_BOUND_NS: u64 = 15_000;

impl Local {
    pub(crate) fn new(stats: StatsRef) -> Local {
        let counted = stats.clone();
        Local {
            deadlines: Deadlines::new(move |kind| counted.deadlines[kind.index()].add(1)),
            buffers: Buffers::new(stats.clone()),
            stats,
            draining: Cell::new(false),
            tasks: Cell::new(0),
            owed: RefCell::default(),
            owed_so_far: Cell::new(0),
            flush_now: Cell::new(false),
            reads: Cell::new(0),
            date: Cell::new(Date::read(Moment::now())),
        }
    }

    /// Notes that a task of this core has read something.
    #[inline]
    pub(crate) fn has_read(&self) {
        self.reads.set(self.reads.get() + 1);
        self.flush_now.set(false);
    }

    /// Decides when the response to a request leaves that took so long: at once if the request was
    /// CPU-bound, together with others if not. It was if nothing was read since its own bytes were,
    /// which was read number `read`; else it may have waited.
    #[inline]
    pub(crate) fn decide_flush(&self, read: u64, elapsed_ns: u64) {
        self.flush_now.set(elapsed_ns > CPU_BOUND_NS && read == self.reads.get());
    }

    /// The date at `now`, read anew at most once a second.
    #[inline]
    pub(crate) fn date(&self, now: Moment) -> Date {
        let date = self.date.get();
        if now < date.valid_until {
            return date;
        }
        let date = Date::read(now);
        self.date.set(date);
        date
    }
}

/// A second of the wall clock.
#[derive(Clone, Copy)]
pub(crate) struct Date {
    pub(crate) unix_s: u64,
    pub(crate) text: [u8; 29],
    valid_until: Moment,
}

impl Date {
    fn read(now: Moment) -> Date {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(since_1970.subsec_nanos()));
        Date {
            unix_s: since_1970.as_secs(),
            text: proto_http::imf_fixdate(since_1970.as_secs()),
            valid_until: now + rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_read_once_a_second() {
        let now = Moment::now();
        let date = Date::read(now);
        let left_ns = date.valid_until.ns_since(now);
        assert!((1..=1_000_000_000).contains(&left_ns));
        assert_eq!(date.text, proto_http::imf_fixdate(date.unix_s));
    }
}
