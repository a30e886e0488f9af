//! The loop whose cost is known: it burns processor time and returns how much it was.
//!
//! The truth is the clock of the thread itself, the one behind the kernel's CPU accounting, so that
//! an interruption in the middle of the loop is in it only if it is also billed. The loop consists
//! of readings of that clock. From the first reading to the last all of them are in the figure but
//! for one: the way into the first and the way out of the last. What one reading costs is taken
//! from the last two, in place, and added. The first way in is colder than that. What this costs
//! the figure was measured to be no more in a short loop than in a long one, so that half a us is
//! as true to the ns as 2 us. The shortest loop has two readings.

use std::time::Duration;

/// Burns at least `target` of this thread's processor time, read by `clock_ns`. Returns what it
/// took from being called to having returned, in ns.
pub(super) fn burn(target: Duration, mut clock_ns: impl FnMut() -> u64) -> u64 {
    let target_ns = target.as_nanos() as u64;
    let start = clock_ns();
    let mut previous = start;
    loop {
        let now = clock_ns();
        if now - start >= target_ns {
            return (now - start) + (now - previous);
        }
        previous = now;
    }
}

#[cfg(test)]
mod tests {
    use runtime::process::thread_cpu_ns;

    use super::*;
    use crate::reference::truth::median_ratio;

    /// A clock whose readings take 300 ns each, half of it before the figure is taken.
    #[test]
    fn every_reading_is_in_the_figure() {
        let (mut now, mut readings) = (0, 0);
        let figure = burn(Duration::from_nanos(2_000), || {
            now += 300;
            readings += 1;
            now - 150
        });
        assert_eq!((figure, readings), (now, 8));
        assert_eq!(burn(Duration::ZERO, || 7), 0);
    }

    /// Half a us is two readings of such a clock, or less than one of a slower clock.
    #[test]
    fn every_reading_of_half_a_us_is_in_the_figure() {
        for (reading, expected) in [(100, 6), (300, 3), (800, 2)] {
            let (mut now, mut readings) = (0, 0);
            let figure = burn(Duration::from_nanos(500), || {
                now += reading;
                readings += 1;
                now - reading / 2
            });
            assert_eq!((figure, readings), (now, expected), "{reading} ns");
        }
    }

    /// An interruption that is billed between the last two readings of a loop counts twice: it must
    /// not decide. So what is compared is the median of several series.
    #[test]
    fn the_real_clock_agrees_on_short_and_on_long_loops() {
        for (target_ns, loops) in [(500, 1_000), (2_000, 250), (50_000, 10)] {
            let target = Duration::from_nanos(target_ns);
            let ratio = median_ratio(|| (0..loops).map(|_| burn(target, thread_cpu_ns)).sum());
            // Both clocks saw the same loops; between them lies little more than the sum.
            assert!((0.9..1.1).contains(&ratio), "{target_ns} ns: {ratio}");
            assert!(burn(target, thread_cpu_ns) >= target_ns);
        }
    }
}
