//! Whether gaps between arrivals are those of independent users: the test of Kolmogorov and
//! Smirnov against the exponential distribution. Pure.

use std::time::Duration;

use crate::traffic::schedule::{ArrivalPattern, Rate, Schedule, WorkerShare};

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// How many gaps there were.
    pub gaps: usize,
    /// The largest distance between the distributions.
    pub distance: f64,
    /// How often a true exponential would be as far off or farther.
    pub probability: f64,
}

/// The gaps between the intended times of a slice, in ns.
#[must_use]
pub fn intended(pattern: ArrivalPattern, rate: Rate, duration: Duration, seed: u64) -> Vec<f64> {
    let alone = WorkerShare { index: 0, count: 1 };
    let mut schedule = Schedule::new(pattern, rate, duration, None, seed, alone);
    let mut last_ns = 0;
    let gap = std::iter::from_fn(|| {
        let at_ns = schedule.take_due(u64::MAX)?;
        let gap_ns = at_ns - std::mem::replace(&mut last_ns, at_ns);
        Some(gap_ns as f64)
    });
    gap.collect()
}

/// Tests gaps against the exponential with this mean, both in ns.
#[must_use]
pub fn exponential(mut gaps: Vec<f64>, mean_ns: f64) -> Fit {
    gaps.sort_by(f64::total_cmp);
    let count = gaps.len() as f64;
    let mut distance = 0.0_f64;
    for (rank, gap) in gaps.iter().enumerate() {
        let expected = -(-gap / mean_ns).exp_m1();
        let (before, after) = (rank as f64 / count, (rank + 1) as f64 / count);
        distance = distance.max(expected - before).max(after - expected);
    }
    let root = count.sqrt();
    // Stephens's correction of the asymptotic distribution (JRSS B 32, 1970).
    let probability = kolmogorov((root + 0.12 + 0.11 / root) * distance);
    Fit { gaps: gaps.len(), distance, probability }
}

/// The probability that Kolmogorov's limiting variable exceeds `x`.
fn kolmogorov(x: f64) -> f64 {
    if x < 0.2 {
        // Below this it is one to a dozen digits, and the series converges slowly.
        return 1.0;
    }
    let term = |i: i32| {
        let sign = if i % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(i * i) * x * x).exp()
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 20_000.0;

    fn fit(pattern: ArrivalPattern, seed: u64, mean_ns: f64) -> Fit {
        let rate = Rate::per_second(RATE).unwrap();
        exponential(intended(pattern, rate, Duration::from_secs(2), seed), mean_ns)
    }

    /// Critical values as the tables print them.
    #[test]
    fn the_limiting_distribution_is_the_published_one() {
        for (x, probability) in [(1.224, 0.10), (1.358, 0.05), (1.628, 0.01), (1.949, 0.001)] {
            assert!((kolmogorov(x) / probability - 1.0).abs() < 0.01, "{x}");
        }
        assert!(kolmogorov(0.0) == 1.0 && kolmogorov(10.0) < 1e-80);
    }

    #[test]
    fn poisson_gaps_are_exponential_under_any_seed() {
        let low = (0..100)
            .filter(|seed| fit(ArrivalPattern::Poisson, *seed, 50_000.0).probability < 0.05);
        // Five are expected; 13 and more come by chance in one of a thousand.
        assert!(low.count() < 13);
    }

    #[test]
    fn other_gaps_are_refused() {
        assert!(fit(ArrivalPattern::Constant, 1, 50_000.0).probability < 1e-9);
        assert!(fit(ArrivalPattern::Poisson, 1, 52_000.0).probability < 1e-6);
    }
}
