//! What changed between two independent experiments.

use super::{ConfidenceInterval, Estimate, IntervalMethod, LEVEL, Observation, ROUNDS_MIN};
use super::{beta, deviation, mean, rank, units, values};

/// The change of a figure from experiment `a` to experiment `b`. None when one of them is empty.
///
/// Values are natural logarithms, so that the result is the logarithm of the ratio of `b` to `a`.
/// For a variant's cost beside its baseline they are those that [`super::observations`] gives of
/// its difference, from which the drift of the machine has cancelled; for its figure alone they
/// are the figure's logarithm, and then the interval says nothing of what drifted between the two
/// experiments.
///
/// Instances count as they do in [`super::estimate`]. The centre is Hodges and Lehmann's of two
/// samples, with the exact interval of the rank-sum test; where there are too few instances for
/// one, the difference of means with Student's t. Both take it that the two experiments scatter
/// alike.
#[must_use]
pub fn change(a: &[Observation], b: &[Observation]) -> Option<Estimate> {
    let enough = a.len().min(b.len()) >= ROUNDS_MIN;
    let (a, b) = (values(&units(a)), values(&units(b)));
    let (centre, interval) = rank::two_samples(&a, &b, LEVEL);
    if interval.is_some() {
        return Some(Estimate { centre: centre?, interval: interval.filter(|_| enough) });
    }
    let centre = mean(&b)? - mean(&a)?;
    let interval = if enough { student(&a, &b, centre) } else { None };
    Some(Estimate { centre, interval })
}

/// Two samples of at least two each, with the spread of both together.
fn student(a: &[f64], b: &[f64], centre: f64) -> Option<ConfidenceInterval> {
    let squares = |values: &[f64]| {
        let degrees = values.len() as f64 - 1.0;
        Some(deviation(values, mean(values)?).powi(2) * degrees)
    };
    let (m, n) = (a.len() as f64, b.len() as f64);
    let degrees = m + n - 2.0;
    let variance = (squares(a)? + squares(b)?) / degrees;
    let half = beta::student(LEVEL, degrees) * (variance * (1.0 / m + 1.0 / n)).sqrt();
    Some(ConfidenceInterval {
        low: centre - half,
        high: centre + half,
        method: IntervalMethod::Student,
    })
}
