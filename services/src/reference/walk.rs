//! A walk through memory of the server's own: a load whose cost depends on what the caches hold.
//!
//! It reads one word of each cache line in the order of their addresses. Its truth is taken by the
//! clock of the thread, as that of the loop in `burn`. It refuses to say what the walk does to
//! others, whose lines it evicts.

use std::hint::black_box;

/// One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct CacheLine([u64; 8]);

/// The memory of one core, which that core alone reads.
#[derive(Debug)]
pub(super) struct Walk {
    lines: Box<[CacheLine]>,
}

impl Walk {
    /// So many KiB. Every line is written: pages that were never written are one and the same page
    /// of zeros, which any cache would hold.
    pub(super) fn new(kib: u32) -> Walk {
        let count = u64::from(kib) * 1024 / size_of::<CacheLine>() as u64;
        Walk { lines: (0..count).map(|number| CacheLine([number; 8])).collect() }
    }

    /// Reads every line once. Returns the processor time by `clock_ns` from being called to having
    /// returned, in ns: three readings are in it, and what the last one took stands for the way
    /// into the first and out of the last.
    pub(super) fn run(&self, mut clock_ns: impl FnMut() -> u64) -> u64 {
        let start = clock_ns();
        black_box(self.sum());
        let end = clock_ns();
        let last = clock_ns();
        (last - start) + (last - end)
    }

    /// The sum of the first words. The compiler knows neither the lines nor what becomes of the
    /// sum, so that it cannot leave out a read.
    fn sum(&self) -> u64 {
        let lines = black_box(&*self.lines);
        lines.iter().fold(0, |sum, line| sum.wrapping_add(line.0[0]))
    }
}

#[cfg(test)]
mod tests {
    use runtime::process::thread_cpu_ns;

    use super::*;
    use crate::reference::truth::median_ratio;

    #[test]
    fn every_line_is_read_once() {
        assert_eq!(size_of::<CacheLine>(), 64);
        for kib in [1, 3, 256] {
            let lines = u64::from(kib) * 16;
            assert_eq!(Walk::new(kib).sum(), lines * (lines - 1) / 2, "{kib} KiB");
        }
    }

    /// A clock whose readings take 300 ns each, half of it before the figure is taken; the walk
    /// itself takes none of its time.
    #[test]
    fn every_reading_is_in_the_figure() {
        let mut now = 0;
        let figure = Walk::new(1).run(|| {
            now += 300;
            now - 150
        });
        assert_eq!((figure, now), (900, 900));
    }

    #[test]
    fn the_real_clock_agrees_and_a_longer_walk_takes_longer() {
        let taken = |kib| {
            let walk = Walk::new(kib);
            let mut told = Vec::new();
            let ratio = median_ratio(|| {
                told.push((0..10).map(|_| walk.run(thread_cpu_ns)).sum());
                told[told.len() - 1]
            });
            assert!((0.8..1.2).contains(&ratio), "{kib} KiB: {ratio}");
            told.sort_unstable();
            told[told.len() / 2]
        };
        let (short, long) = (taken(16), taken(4_096));
        assert!(long > 8 * short, "{short} ns and {long} ns");
    }
}
