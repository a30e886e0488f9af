//! How often intervals hold the truth: the bookkeeping of many experiments, and from when on a
//! count is too low to be chance. Pure.

/// A perfect meter fails one row of a calibration by chance in less than this, and all four rows of
/// intervals together in less than 2%.
const CHANCE: f64 = 0.005;

/// What one experiment said about one cost whose truth is known; in ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostEstimate {
    /// What it was.
    pub truth_ns: f64,
    /// The estimate.
    pub estimate_ns: f64,
    /// The interval, where there was one.
    pub interval_ns: Option<(f64, f64)>,
}

impl CostEstimate {
    /// Whether the interval holds the truth. Its ends are whole ns, so that half of one is lost at
    /// either.
    #[must_use]
    pub fn holds(&self) -> bool {
        let within = |(low, high)| low - 0.5 <= self.truth_ns && self.truth_ns <= high + 0.5;
        self.interval_ns.is_some_and(within)
    }

    /// How far off the estimate is, as a share of the truth.
    #[must_use]
    pub fn error_share(&self) -> f64 {
        (self.estimate_ns - self.truth_ns).abs() / self.truth_ns
    }
}

/// The fewest of `trials` intervals of confidence `level` that must hold the truth: an honest
/// meter has fewer in less than one of 200 calibrations. It is 89 for 100 intervals of 95%.
#[must_use]
pub fn least(trials: u64, level: f64) -> u64 {
    trials - misses_max(trials, 1.0 - level)
}

/// The most of `trials` that may go wrong where each goes wrong with probability `chance`. It is 11
/// for 100 of 5%.
#[must_use]
pub fn misses_max(trials: u64, chance: f64) -> u64 {
    let mut probability = (1.0 - chance).powf(trials as f64);
    let mut up_to = probability;
    let mut misses = 0;
    while up_to < 1.0 - CHANCE && misses < trials {
        probability *= (trials - misses) as f64 / (misses + 1) as f64 * chance / (1.0 - chance);
        up_to += probability;
        misses += 1;
    }
    misses
}

#[cfg(test)]
mod tests {
    use metrics_export::run::Cost;

    use super::*;
    use crate::plan::Role;
    use crate::stats::{self, LayerInput, Per};
    use crate::traffic::random::Random;

    #[test]
    fn bounds_are_those_of_the_design() {
        assert_eq!((least(100, 0.95), misses_max(100, 0.05)), (89, 11));
        assert_eq!((least(10, 0.95), least(1, 0.95), least(0, 0.95)), (7, 0, 0));
        assert!(least(1_000, 0.95) >= 930, "{}", least(1_000, 0.95));
    }

    #[test]
    fn an_interval_holds_what_lies_between_its_ends() {
        let finding =
            |truth_ns, interval_ns| CostEstimate { truth_ns, estimate_ns: 110.0, interval_ns };
        assert!(finding(100.0, Some((100.0, 120.0))).holds());
        assert!(finding(120.4, Some((100.0, 120.0))).holds());
        assert!(!finding(121.0, Some((100.0, 120.0))).holds());
        assert!(!finding(100.0, None).holds());
        assert!((finding(100.0, None).error_share() - 0.1).abs() < 1e-12);
    }

    /// A meter in memory: rounds of a base and of the same with a loop, whose own figure is off by
    /// `bias_ns`.
    struct Rounds {
        base: Vec<f64>,
        busy: Vec<f64>,
    }

    impl LayerInput for Rounds {
        fn figures(&self, role: &Role, _per: Per, round: u32) -> Vec<f64> {
            let figures = if *role == Role::from("base") { &self.base } else { &self.busy };
            figures.get(round as usize).copied().into_iter().collect()
        }

        fn rounds(&self) -> Vec<(u32, u32)> {
            (0..self.base.len() as u32).map(|round| (round, round)).collect()
        }
    }

    /// Of 200 experiments, how many intervals hold a truth of 10 us beside a base of 8.
    fn held(bias_ns: f64) -> u64 {
        let layer = stats::difference("busy", "", "busy", "base", Per::Request);
        let experiment = |seed: u64| {
            let mut random = Random::stream(5, seed);
            // The sum of four even draws is round enough; its deviation is 2%.
            let mut noise = || {
                let sum: f64 = (0..4).map(|_| random.next_open_unit() - 0.5).sum();
                1.0 + 0.02 * sum / (1.0_f64 / 3.0).sqrt()
            };
            // The machine drifts; a loop that ends by a clock does not.
            let drift: Vec<f64> = (0..12).map(|_| 1.0 + 3.0 * (noise() - 1.0)).collect();
            let mut figures = |loop_ns: f64| {
                drift.iter().map(|drift| drift * 8_000.0 * noise() + loop_ns).collect()
            };
            let rounds = Rounds { base: figures(0.0), busy: figures(10_000.0 + bias_ns) };
            let layers = [layer.clone()];
            let Cost { estimate_ns, low_ns, high_ns, .. } =
                stats::estimate_family(&layers, "", &rounds, seed).costs.remove(0);
            CostEstimate {
                truth_ns: 10_000.0,
                estimate_ns: estimate_ns.unwrap() as f64,
                interval_ns: Some((low_ns.unwrap() as f64, high_ns.unwrap() as f64)),
            }
        };
        (0..200).filter(|seed| experiment(*seed).holds()).count() as u64
    }

    #[test]
    fn an_honest_meter_passes_and_a_biased_one_does_not() {
        assert!(held(0.0) >= least(200, 0.95), "{}", held(0.0));
        // 6% of the truth: less than a single experiment would resolve.
        assert!(held(600.0) < least(200, 0.95), "{}", held(600.0));
    }
}
