//! When each request is meant to be sent: the intended times of one worker in one slice, in
//! nanoseconds after the slice began. Pure: no clock, no thread; the same arguments give the same
//! times.
//!
//! *Constant* arrivals are integers counted from the start of the slice, so that they cannot
//! drift. *Poisson* arrivals are drawn given their number: a Poisson process that is known to have
//! `n` arrivals in a slice spreads them like `n` independent even draws, and these are made here
//! one after the other, in order. Gaps are then exponential up to a term of order 1/n, while the
//! number of requests is the asked one in every slice; two variants that are compared have
//! therefore done the same work.

pub mod blocks;

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::traffic::random::Random;

pub use metrics_export::run::ArrivalPattern;

/// Thousandths of a request per second and nanoseconds: `PER_MILLI / rate_milli` is a gap in ns.
const PER_MILLI: u64 = 1_000_000_000_000;

/// The highest rate that can be asked for, in requests per second: beyond it gaps are under a
/// nanosecond's use to anyone (10 ns).
pub const RATE_PER_SECOND_MAX: f64 = 100_000_000.0;

/// The lowest, which is the step between rates too: a request in 17 minutes.
pub const RATE_PER_SECOND_MIN: f64 = 0.001;

/// Requests per second, kept in whole thousandths so that schedules are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// The rate nearest to `requests` per second; `None` unless that is from
    /// [`RATE_PER_SECOND_MIN`] to [`RATE_PER_SECOND_MAX`].
    pub fn per_second(requests: f64) -> Option<Rate> {
        if !(RATE_PER_SECOND_MIN..=RATE_PER_SECOND_MAX).contains(&requests) {
            return None;
        }
        NonZeroU64::new((requests * 1000.0).round() as u64).map(Rate)
    }

    /// A whole number of requests per second; the lowest rate for none.
    pub const fn whole(requests: u32) -> Rate {
        match NonZeroU64::new(requests as u64 * 1000) {
            Some(milli) => Rate(milli),
            None => Rate(NonZeroU64::MIN),
        }
    }

    /// Requests per second.
    pub fn as_f64(self) -> f64 {
        self.0.get() as f64 / 1000.0
    }

    /// Thousandths of a request per second.
    pub fn as_milli(self) -> u64 {
        self.0.get()
    }

    /// How many requests a slice of this length asks for.
    pub fn requests_in(self, duration: Duration) -> u64 {
        let asked = duration.as_nanos() * u128::from(self.0.get());
        u64::try_from(asked.div_ceil(u128::from(PER_MILLI))).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/s", self.as_f64())
    }
}

/// Which part of a slice one worker drives: worker `index` of `count`.
#[derive(Clone, Copy, Debug)]
pub struct WorkerShare {
    /// This worker, from 0.
    pub index: usize,
    /// All workers of the slice, at least 1.
    pub count: usize,
}

impl WorkerShare {
    /// How many of `total` indivisible things this worker has; all shares add up to `total`.
    pub fn of(self, total: u64) -> u64 {
        let (index, count) = (self.index as u64, self.count as u64);
        total / count + u64::from(index < total % count)
    }
}

/// The intended send times of one worker in one slice, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    left: u64,
    next_ns: u64,
    gaps: Gaps,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// `whole` ns plus `part`/`per` ns each time; `carry` is what of a ns has been saved up.
    Constant { whole: u64, part: u64, per: u64, carry: u64 },
    /// The exact position of the next arrival, the slice's end, and what draws the one after.
    Poisson { at_ns: f64, end_ns: f64, random: Random },
}

impl Schedule {
    /// The times of worker `share` when all workers together send at `rate` for `duration`, but
    /// no more than `requests_max` requests. Every time lies inside the slice.
    pub fn new(
        pattern: ArrivalPattern,
        rate: Rate,
        duration: Duration,
        requests_max: Option<u64>,
        seed: u64,
        share: WorkerShare,
    ) -> Schedule {
        let total = rate.requests_in(duration).min(requests_max.unwrap_or(u64::MAX));
        let left = share.of(total);
        match pattern {
            ArrivalPattern::Constant => Schedule::constant(rate, left, share),
            ArrivalPattern::Poisson => {
                // A limit on the number shortens the slice; it must not thin the arrivals out.
                let lasts = total as f64 / rate.as_f64() * 1e9;
                let end_ns = lasts.min(duration.as_nanos() as f64);
                let random = Random::stream(seed, share.index as u64);
                let mut schedule = Schedule {
                    left,
                    next_ns: 0,
                    gaps: Gaps::Poisson { at_ns: 0.0, end_ns, random },
                };
                schedule.step();
                schedule
            }
        }
    }

    fn constant(rate: Rate, left: u64, share: WorkerShare) -> Schedule {
        // Workers take turns: this one has every `count`-th request of the common schedule.
        let per = rate.0.get();
        let first = u128::from(PER_MILLI) * share.index as u128;
        let stride = u128::from(PER_MILLI) * share.count as u128;
        let whole_of = |sum: u128| u64::try_from(sum / u128::from(per)).unwrap_or(u64::MAX);
        let part_of = |sum: u128| (sum % u128::from(per)) as u64;
        let gaps = Gaps::Constant {
            whole: whole_of(stride),
            part: part_of(stride),
            per,
            carry: part_of(first),
        };
        Schedule { left, next_ns: whole_of(first), gaps }
    }

    /// How many requests are still to be sent.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// When the next request is meant to be sent, in ns after the slice began.
    #[inline]
    pub fn peek(&self) -> Option<u64> {
        (self.left > 0).then_some(self.next_ns)
    }

    /// Takes the next request off the schedule if it is due at `now_ns`.
    #[inline]
    pub fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        if self.left == 0 || self.next_ns > now_ns {
            return None;
        }
        let intended = self.next_ns;
        self.left -= 1;
        self.step();
        Some(intended)
    }

    /// Drops what has not been taken (an interrupted slice) and tells how many those were.
    pub fn cut(&mut self) -> u64 {
        std::mem::take(&mut self.left)
    }

    #[inline]
    fn step(&mut self) {
        match &mut self.gaps {
            Gaps::Constant { whole, part, per, carry } => {
                *carry += *part;
                let full = *carry >= *per;
                *carry -= if full { *per } else { 0 };
                self.next_ns = self.next_ns.saturating_add(*whole + u64::from(full));
            }
            Gaps::Poisson { at_ns, end_ns, random } => {
                if self.left > 0 {
                    // The smallest of `left` even draws on what remains is 1 - U^(1/left) of it.
                    let power = random.next_open_unit().ln() / self.left as f64;
                    *at_ns -= (*end_ns - *at_ns) * power.exp_m1();
                    self.next_ns = *at_ns as u64;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALONE: WorkerShare = WorkerShare { index: 0, count: 1 };

    fn times(mut schedule: Schedule) -> Vec<u64> {
        std::iter::from_fn(|| schedule.take_due(u64::MAX)).collect()
    }

    fn plan(
        pattern: ArrivalPattern,
        rate: f64,
        duration: Duration,
        share: WorkerShare,
    ) -> Schedule {
        Schedule::new(pattern, Rate::per_second(rate).unwrap(), duration, None, 42, share)
    }

    #[test]
    fn constant_times_are_the_exact_quotients() {
        let minute = Duration::from_secs(60);
        for rate in [0.5, 3.0, 7.001, 999.999, 20_000.0, 33_333.333] {
            let milli = (rate * 1000.0_f64).round() as u128;
            for (k, at) in
                times(plan(ArrivalPattern::Constant, rate, minute, ALONE)).iter().enumerate()
            {
                assert_eq!(u128::from(*at), k as u128 * 1_000_000_000_000 / milli, "{rate} {k}");
            }
        }
    }

    #[test]
    fn nothing_is_due_early_and_nothing_is_skipped() {
        let mut schedule = plan(ArrivalPattern::Constant, 1000.0, Duration::from_secs(1), ALONE);
        assert_eq!(schedule.take_due(0), Some(0));
        assert_eq!(schedule.take_due(999_999), None);
        assert_eq!(schedule.peek(), Some(1_000_000));
        assert_eq!(schedule.take_due(5_000_000), Some(1_000_000));
        assert_eq!(schedule.take_due(5_000_000), Some(2_000_000));
        assert_eq!(schedule.cut(), 997);
        assert_eq!(schedule.peek(), None);
    }

    #[test]
    fn a_limit_on_requests_ends_the_schedule() {
        for pattern in [ArrivalPattern::Constant, ArrivalPattern::Poisson] {
            let rate = Rate::per_second(1000.0).unwrap();
            let schedule =
                Schedule::new(pattern, rate, Duration::from_secs(3600), Some(500), 1, ALONE);
            let times = times(schedule);
            assert_eq!(times.len(), 500);
            let last = *times.last().unwrap();
            assert!((450_000_000..500_000_000).contains(&last), "{pattern:?} {last}");
        }
    }

    /// Kolmogorov-Smirnov against 1 - exp(-gap/mean): the statistic times sqrt(n) exceeds 1.95 by
    /// chance in one of 1,000 tests; the seed is fixed, so this one does not change.
    #[test]
    fn poisson_gaps_are_exponential() {
        let times = times(plan(ArrivalPattern::Poisson, 20_000.0, Duration::from_secs(2), ALONE));
        assert_eq!(times.len(), 40_000);
        let mut gaps: Vec<f64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 50_000.0).collect();
        gaps.sort_by(f64::total_cmp);
        let count = gaps.len() as f64;
        let worst = gaps.iter().enumerate().fold(0.0_f64, |worst, (k, gap)| {
            let expected = 1.0 - (-gap).exp();
            worst
                .max((expected - k as f64 / count).abs())
                .max((expected - (k + 1) as f64 / count).abs())
        });
        assert!(worst * count.sqrt() < 1.95, "statistic {}", worst * count.sqrt());
        // Neighbouring gaps know nothing of each other.
        let gaps: Vec<f64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 50_000.0 - 1.0).collect();
        let lagged: f64 = gaps.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let spread: f64 = gaps.iter().map(|gap| gap * gap).sum();
        assert!((lagged / spread).abs() < 0.02, "correlation {}", lagged / spread);
    }

    proptest! {
        /// All workers together send exactly the asked number, in order, inside the slice.
        #[test]
        fn shares_add_up_inside_the_slice(
            milli in 1_u64..200_000_000,
            ms in 1_u64..200,
            count in 1_usize..9,
            poisson: bool,
        ) {
            let pattern = if poisson { ArrivalPattern::Poisson } else { ArrivalPattern::Constant };
            let rate = milli as f64 / 1000.0;
            let duration = Duration::from_millis(ms);
            let asked = Rate::per_second(rate).unwrap().requests_in(duration);
            prop_assume!(asked < 20_000);
            let mut all = Vec::new();
            for index in 0..count {
                let mine = times(plan(pattern, rate, duration, WorkerShare { index, count }));
                prop_assert!(mine.windows(2).all(|pair| pair[0] <= pair[1]));
                all.extend(mine);
            }
            prop_assert_eq!(all.len() as u64, asked);
            let end = duration.as_nanos() as u64;
            prop_assert!(all.iter().all(|at| *at < end));
            if !poisson {
                // Interleaved workers make the very schedule of one worker.
                all.sort_unstable();
                prop_assert_eq!(all, times(plan(pattern, rate, duration, ALONE)));
            }
        }
    }
}
