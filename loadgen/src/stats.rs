//! What the rounds say: log-ratios within a round, their centre, and an interval around it.
//!
//! Drift of a machine is multiplicative and lasts for minutes, so two variants are compared only
//! inside one round, by the logarithm of their ratio; what drifts cancels. Pure: figures in,
//! figures out, and the one random source is a seed. Refused: an interval from fewer than
//! [`ROUNDS_MIN`] rounds, because any that could be printed would be invented.

pub(crate) mod bootstrap;
mod layers;
mod rank;

pub use layers::{
    CONTROL, Family, Layer, LayerInput, Per, Term, additivity, control, difference, layers,
    price_family, settled,
};

/// The fewest rounds that give an interval.
pub const ROUNDS_MIN: usize = 8;

/// Up to this many rounds the interval is the exact signed-rank one; above, the bootstrap.
pub const EXACT_ROUNDS_MAX: usize = 20;

/// The confidence of intervals.
pub const LEVEL: f64 = 0.95;

/// One round's figure and the instance of the processes that it was measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Which start of the processes; rounds of one instance share its luck.
    pub instance: u32,
    /// The figure.
    pub value: f64,
}

/// A centre with what is known of its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The Hodges-Lehmann estimate: the median of all averages of two.
    pub centre: f64,
    /// The interval; None when there were too few rounds.
    pub interval: Option<Interval>,
}

/// An interval of [`LEVEL`] confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How it was found.
    pub method: Method,
}

/// How an interval was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Inverts Wilcoxon's signed-rank test exactly.
    SignedRank,
    /// Resamples instances, then rounds within them.
    Bootstrap,
}

impl Method {
    /// The name used in results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::SignedRank => "signed-rank",
            Method::Bootstrap => "bootstrap",
        }
    }
}

/// Estimates the centre of the observations; None when there are none. `seed` drives resampling.
#[must_use]
pub fn estimate(observations: &[Observation], seed: u64) -> Option<Estimate> {
    let values: Vec<f64> = observations.iter().map(|observation| observation.value).collect();
    let centre = rank::hodges_lehmann(&values)?;
    let interval = match values.len() {
        0..ROUNDS_MIN => None,
        ROUNDS_MIN..=EXACT_ROUNDS_MAX => rank::interval(&values, LEVEL),
        _ => Some(bootstrap::interval(observations, LEVEL, seed)),
    };
    Some(Estimate { centre, interval })
}

/// The median; None of nothing. The middle two are averaged.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    let (count, middle) = (values.len(), values.len() / 2);
    if count == 0 {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if count % 2 == 1 {
        return Some(*upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, *upper))
}
