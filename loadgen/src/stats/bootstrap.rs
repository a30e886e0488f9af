//! The seeded bootstrap, for more instances than the exact interval is used for.

use crate::traffic::random::Random;

use super::{ConfidenceInterval, IntervalMethod, LEVEL, beta, rank};

/// Resamples: the ends of a 95% interval then lie on the 50th of 2,000 from either side.
pub(super) const RESAMPLES: usize = 2_000;

/// What a normal variable stays within, either side, with [`LEVEL`] probability.
const NORMAL: f64 = 1.959_963_984_540_054;

/// The percentile interval of the Hodges-Lehmann estimate, widened as a sample of this size
/// needs: percentiles of resamples leave out that the spread itself is an estimate (Hesterberg,
/// What Teachers Should Know About the Bootstrap, 2015, section 4.3).
pub(super) fn interval(values: &[f64], centre: f64, seed: u64) -> ConfidenceInterval {
    let mut random = Random::new(seed);
    let count = values.len();
    let mut centres: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let resample: Vec<f64> = (0..count).map(|_| values[random.below(count)]).collect();
            rank::hodges_lehmann(&resample)
        })
        .collect();
    centres.sort_by(f64::total_cmp);
    let outside = ((1.0 - LEVEL) / 2.0 * RESAMPLES as f64) as usize;
    let degrees = count as f64 - 1.0;
    let factor = beta::student(LEVEL, degrees) / NORMAL * (count as f64 / degrees).sqrt();
    let (low, high) = (centres[outside], centres[RESAMPLES - 1 - outside]);
    ConfidenceInterval { low, high, method: IntervalMethod::Bootstrap }.stretched(centre, factor)
}

impl ConfidenceInterval {
    /// The same with each end farther from a point by a factor.
    pub(super) fn stretched(self, point: f64, factor: f64) -> ConfidenceInterval {
        let end = |end: f64| point + factor * (end - point);
        ConfidenceInterval { low: end(self.low), high: end(self.high), ..self }
    }
}

/// A standard normal draw (Box and Muller).
pub(crate) fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * random.next_open_unit().ln()).sqrt();
    radius * (std::f64::consts::TAU * random.next_open_unit()).cos()
}
