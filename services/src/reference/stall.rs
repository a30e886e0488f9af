//! When a core stands still. It owns the times, and refuses to read a clock or to sleep: its caller
//! does both.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a core stands still, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The length of one stall.
    pub length: Duration,
    /// From the beginning of one stall to the beginning of the next; longer than a stall.
    pub every: Duration,
}

impl Stall {
    /// 100 ms of every second.
    pub const ONCE_A_SECOND: Stall =
        Stall { length: Duration::from_millis(100), every: Duration::from_secs(1) };
}

/// The stalls of one core.
#[derive(Debug)]
pub(super) struct StallClock {
    stall: Stall,
    /// When the next one begins.
    next: Cell<Instant>,
}

impl StallClock {
    /// The first stall begins one period after `now`.
    pub(super) fn new(stall: Stall, now: Instant) -> StallClock {
        StallClock { stall, next: Cell::new(now + stall.every) }
    }

    /// When the stall ends that the core is in at `now`; None if it is in none. Every stall is told
    /// once. One during which nobody asked is left out.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let Stall { length, every } = self.stall;
        let past = now.checked_duration_since(self.next.get())?;
        // Many periods may have passed without a request.
        let into = Duration::from_nanos((past.as_nanos() % every.as_nanos()) as u64);
        let begun = now - into;
        self.next.set(begun + every);
        let end = begun + length;
        (now < end).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_told_once_and_ends_when_it_should() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (length, every) = (Duration::from_millis(5), Duration::from_millis(20));
        let clock = StallClock::new(Stall { length, every }, start);
        for (now, end) in [
            (0, None),
            (19, None),
            (20, Some(25)),
            // The core stood still until 25.
            (25, None),
            (44, Some(45)),
            (45, None),
            // Nobody asked during the stall from 60 to 65.
            (65, None),
            // Many periods without a request.
            (80_003, Some(80_005)),
            (80_019, None),
            (80_020, Some(80_025)),
        ] {
            assert_eq!(clock.due(at(now)), end.map(at), "at {now} ms");
        }
    }
}
