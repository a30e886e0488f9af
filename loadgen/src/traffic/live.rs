//! What a progress bar may look at while a slice runs. Each worker writes its own counters, plainly
//! and without a lock; the drawing thread reads them whenever it likes and does the arithmetic, so
//! that no worker ever works for a picture. It refuses to be a result: times are kept to 3% only,
//! and what is reported comes from the slice's own histograms.

use std::array::from_fn;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// Each power of two of ns is told apart in so many parts.
const PARTS_BITS: u32 = 4;
const PARTS: usize = 1 << PARTS_BITS;

/// From 1 us to 69 s; what is shorter or longer is counted at the end.
const FIRST_BIT: u32 = 10;
const LAST_BIT: u32 = 35;
const PLACES: usize = (LAST_BIT - FIRST_BIT + 1) as usize * PARTS;

/// One worker's counters since the generator was started.
#[derive(Debug)]
pub struct Live {
    /// Errors, written now and then.
    pub(crate) errors: AtomicU64,
    /// Good replies by their response time.
    times: [AtomicU64; PLACES],
}

impl Default for Live {
    fn default() -> Live {
        Live { errors: AtomicU64::new(0), times: from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Live {
    /// A good reply came after so long, in ns. Only the worker that owns these counters calls it,
    /// so that a load and a store do, which is what a plain counter costs.
    #[inline]
    pub(crate) fn replied(&self, response_ns: u64) {
        let counter = &self.times[place(response_ns)];
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// The counters of all workers at one moment, or what was added between two moments.
#[derive(Clone, Debug)]
pub struct LiveCounts {
    /// Errors.
    pub errors: u64,
    times: [u64; PLACES],
}

impl LiveCounts {
    /// Reads all workers' counters.
    #[must_use]
    pub fn read(live: &[Live]) -> LiveCounts {
        let sum = |pick: &dyn Fn(&Live) -> &AtomicU64| {
            live.iter().map(|live| pick(live).load(Ordering::Relaxed)).sum()
        };
        LiveCounts {
            errors: sum(&|live| &live.errors),
            times: from_fn(|at| sum(&|live| &live.times[at])),
        }
    }

    /// Good replies.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.times.iter().sum()
    }

    /// The response time that 99% of the good replies kept, in ns; None without any.
    #[must_use]
    pub fn p99_ns(&self) -> Option<u64> {
        let count = self.ok();
        let mut missing = count - count / 100;
        let found = self.times.iter().position(|&here| {
            missing = missing.saturating_sub(here);
            missing == 0
        });
        found.filter(|_| count > 0).map(middle)
    }
}

impl Sub<&LiveCounts> for &LiveCounts {
    type Output = LiveCounts;

    fn sub(self, before: &LiveCounts) -> LiveCounts {
        LiveCounts {
            errors: self.errors - before.errors,
            times: from_fn(|at| self.times[at] - before.times[at]),
        }
    }
}

/// The counter of a time.
#[inline]
fn place(ns: u64) -> usize {
    let ns = ns.clamp(1 << FIRST_BIT, (1 << (LAST_BIT + 1)) - 1);
    let bit = ns.ilog2();
    let part = (ns >> (bit - PARTS_BITS)) as usize & (PARTS - 1);
    (bit - FIRST_BIT) as usize * PARTS + part
}

/// The middle of the times that a counter stands for.
fn middle(place: usize) -> u64 {
    let bit = FIRST_BIT + (place / PARTS) as u32;
    let width = 1_u64 << (bit - PARTS_BITS);
    (1 << bit) + (place % PARTS) as u64 * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_place_within_three_percent_of_it() {
        let mut ns = 1 << FIRST_BIT;
        while ns < 1 << (LAST_BIT + 1) {
            let shown = middle(place(ns));
            assert!(shown.abs_diff(ns) * 100 <= ns * 100 / 32 + 100, "{ns} ns is shown as {shown}");
            ns += ns / 97 + 1;
        }
        assert_eq!(place(0), 0);
        assert_eq!(place(u64::MAX), PLACES - 1);
    }

    #[test]
    fn p99_is_of_what_came_between_two_looks() {
        let live = [Live::default(), Live::default()];
        let before = LiveCounts::read(&live);
        assert_eq!(before.p99_ns(), None);
        (0..98).for_each(|_| live[0].replied(100_000));
        (0..2).for_each(|_| live[1].replied(5_000_000));
        let now = LiveCounts::read(&live);
        let near = |shown: Option<u64>, ns: u64| shown.is_some_and(|s| s.abs_diff(ns) < ns / 32);
        assert!(near((&now - &before).p99_ns(), 5_000_000), "two of a hundred are beyond p98");
        live[0].replied(200_000);
        assert!(
            near((&LiveCounts::read(&live) - &now).p99_ns(), 200_000),
            "what was before is no more"
        );
        (0..900).for_each(|_| live[0].replied(100_000));
        assert!(
            near(LiveCounts::read(&live).p99_ns(), 100_000),
            "two of a thousand are beyond p99"
        );
    }
}
