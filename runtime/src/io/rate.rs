//! How fast a peer moves bytes while it is the peer that is waited for.
//!
//! Owns the arithmetic of the smallest rate: time counts only while a wait for the peer lasts, and
//! the rate is that of the last window of such time, so that neither a pause of ours nor a fast
//! beginning says anything about the peer. It reads no clock and ends nothing itself.

/// The least that a peer must move, and what its pauses may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bytes per second of waiting; 0 asks for none.
    pub(crate) bytes_per_s: u32,
    /// The time over which they are counted, in milliseconds.
    pub(crate) window_ms: u32,
    /// The longest pause of a peer that takes what was written to it, in milliseconds.
    pub(crate) write_ms: u32,
}

impl Demand {
    /// No rate, only that the peer takes something in every `write_ms`: of an upstream, whose
    /// slowness is not its client's fault.
    pub(crate) fn progress(write_ms: u64) -> Demand {
        let write_ms = u32::try_from(write_ms).unwrap_or(u32::MAX);
        Demand { bytes_per_s: 1, window_ms: u32::MAX, write_ms }
    }
}

/// A peer's kernel takes what is written in steps as large as half its buffer, however evenly its
/// program reads. So much must be due, in bytes, before what was taken says anything.
const STEP_BYTES: u32 = 64 * 1024;

impl Demand {
    /// The same of a peer that is written to.
    pub(crate) fn of_writes(self) -> Demand {
        let step_ms = u64::from(STEP_BYTES) * 1000 / u64::from(self.bytes_per_s.max(1));
        let step_ms = u32::try_from(step_ms).unwrap_or(u32::MAX);
        Demand { window_ms: self.window_ms.max(step_ms), ..self }
    }
}

/// A moment of the waiting: how long it had lasted, and how much had been moved by then.
#[derive(Clone, Copy, Debug, Default)]
struct RateMark {
    waited_ms: u64,
    moved: u64,
}

/// How many parts a window is moved on by; the oldest mark is one window behind the newest.
const PARTS: usize = 4;

/// What a peer has moved in how much time of waiting for it.
#[derive(Debug, Default)]
pub(crate) struct TransferRate {
    waited_ms: u64,
    since_ms: Option<u64>,
    moved: u64,
    marks: [RateMark; PARTS + 1],
}

impl TransferRate {
    /// Of a peer that has moved so much before, and is waited for from now on.
    pub(crate) fn starting(now_ms: u64, moved: u64) -> TransferRate {
        let marks = [RateMark { waited_ms: 0, moved }; PARTS + 1];
        TransferRate { waited_ms: 0, since_ms: Some(now_ms), moved, marks }
    }

    /// From now on the peer is waited for.
    pub(crate) fn begin(&mut self, now_ms: u64) {
        self.since_ms = Some(now_ms);
    }

    /// It is no longer waited for.
    pub(crate) fn end(&mut self, now_ms: u64) {
        self.waited_ms = self.waited_ms(now_ms);
        self.since_ms = None;
    }

    /// It has moved so many bytes more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    /// What it has moved.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// For how long it was waited for.
    pub(crate) fn waited_ms(&self, now_ms: u64) -> u64 {
        let waiting_ms = self.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        self.waited_ms + waiting_ms
    }

    /// Whether it moved less in the last window than it must. To be asked a few times in each.
    pub(crate) fn is_below(&mut self, demand: Demand, now_ms: u64) -> bool {
        let now = RateMark { waited_ms: self.waited_ms(now_ms), moved: self.moved };
        let window_ms = u64::from(demand.window_ms);
        let oldest = self.marks[0];
        let lasted_ms = now.waited_ms - oldest.waited_ms;
        // What came in somewhat more than a window is held against one window only.
        let due = u64::from(demand.bytes_per_s) * window_ms / 1000;
        if lasted_ms >= window_ms && now.moved - oldest.moved < due {
            return true;
        }
        if now.waited_ms - self.marks[PARTS].waited_ms >= window_ms / PARTS as u64 {
            self.marks.copy_within(1.., 0);
            self.marks[PARTS] = now;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMAND: Demand = Demand { bytes_per_s: 240, window_ms: 5000, write_ms: 30_000 };

    /// Looks every half second at a peer that moves what `moves` says at each, until it is below;
    /// `None` if it never is in `for_ms`.
    fn below_after(for_ms: u64, mut moves: impl FnMut(u64) -> u64) -> Option<u64> {
        let mut pace = TransferRate::default();
        pace.begin(0);
        (1..=for_ms / 500).map(|step| step * 500).find(|&now_ms| {
            pace.add(moves(now_ms));
            pace.is_below(DEMAND, now_ms)
        })
    }

    #[test]
    fn a_peer_at_the_rate_is_never_below() {
        assert_eq!(below_after(600_000, |_| 120), None);
        assert_eq!(below_after(600_000, |now_ms| if now_ms % 2500 == 0 { 600 } else { 0 }), None);
    }

    #[test]
    fn a_peer_below_it_is_found_when_the_window_is_over() {
        assert_eq!(below_after(60_000, |_| 0), Some(5000));
        assert_eq!(below_after(60_000, |_| 119), Some(5000));
    }

    #[test]
    fn what_was_moved_before_the_window_does_not_count() {
        let found = below_after(60_000, |now_ms| if now_ms <= 10_000 { 1_000_000 } else { 0 });
        assert!(matches!(found, Some(15_000..=17_000)), "{found:?}");
    }

    #[test]
    fn only_waiting_counts() {
        let mut pace = TransferRate::default();
        for second in 0..100 {
            let now_ms = second * 1000;
            pace.begin(now_ms);
            assert!(!pace.is_below(DEMAND, now_ms + 20), "in second {second}");
            pace.end(now_ms + 20);
            pace.add(5);
        }
        assert_eq!((pace.waited_ms(1_000_000), pace.moved()), (2000, 500));
    }

    #[test]
    fn writes_are_judged_once_a_step_is_due() {
        assert_eq!(DEMAND.of_writes().window_ms, 273_066);
        let fast = Demand { bytes_per_s: 1_000_000, ..DEMAND };
        assert_eq!(fast.of_writes().window_ms, 5000);
    }
}
