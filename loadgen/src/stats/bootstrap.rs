//! The seeded bootstrap for more rounds than the exact interval is tabled for. Instances are
//! resampled first, then the rounds within each: rounds of one instance share the luck of its
//! memory layout and are no independent evidence.

use std::collections::BTreeMap;

use crate::random::Random;

use super::{Interval, Method, Observation, rank};

/// Resamples: the ends of a 95% interval then lie on the 50th of 2,000 from either side.
const RESAMPLES: usize = 2_000;

/// The percentile interval of the Hodges-Lehmann estimate.
pub(super) fn interval(observations: &[Observation], level: f64, seed: u64) -> Interval {
    let instances = by_instance(observations);
    let mut random = Random::new(seed);
    let mut centres: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| rank::hodges_lehmann(&resample(&instances, &mut random)))
        .collect();
    centres.sort_by(f64::total_cmp);
    let outside = ((1.0 - level) / 2.0 * RESAMPLES as f64) as usize;
    Interval {
        low: centres[outside],
        high: centres[centres.len() - 1 - outside],
        method: Method::Bootstrap,
    }
}

fn by_instance(observations: &[Observation]) -> Vec<Vec<f64>> {
    let mut instances: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for observation in observations {
        instances.entry(observation.instance).or_default().push(observation.value);
    }
    instances.into_values().collect()
}

fn resample(instances: &[Vec<f64>], random: &mut Random) -> Vec<f64> {
    let mut values = Vec::new();
    for _ in instances {
        let rounds = &instances[below(instances.len(), random)];
        values.extend(rounds.iter().map(|_| rounds[below(rounds.len(), random)]));
    }
    values
}

/// An even draw below `count`; the bias of 2^-64 times `count` is beyond notice.
pub(crate) fn below(count: usize, random: &mut Random) -> usize {
    ((u128::from(random.next_u64()) * count as u128) >> 64) as usize
}
