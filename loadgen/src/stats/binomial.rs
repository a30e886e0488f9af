//! The interval of a share that was counted: so many of so many.

use super::beta;

/// The exact interval of Clopper and Pearson (Biometrika 26, 1934) for the probability behind
/// `successes` of `trials`, of confidence `level` or a little more. More successes than trials
/// count as all of them; of no trials nothing is known.
#[must_use]
pub fn clopper_pearson(successes: u64, trials: u64, level: f64) -> (f64, f64) {
    let successes = successes.min(trials);
    let (hits, misses) = (successes as f64, (trials - successes) as f64);
    let tail = (1.0 - level) / 2.0;
    let low = if successes == 0 { 0.0 } else { beta::quantile(tail, hits, misses + 1.0) };
    let high =
        if successes == trials { 1.0 } else { beta::quantile(1.0 - tail, hits + 1.0, misses) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values as the tables and the usual calculators print them, to four digits.
    #[test]
    fn intervals_are_the_published_ones() {
        let published = [
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (5, 10, 0.1871, 0.8129),
            (10, 10, 0.6915, 1.0),
            (1, 20, 0.0013, 0.2487),
            (10, 100, 0.0490, 0.1762),
            (50, 100, 0.3983, 0.6017),
            (95, 100, 0.8872, 0.9836),
        ];
        for (successes, trials, low, high) in published {
            let found = clopper_pearson(successes, trials, 0.95);
            assert!((found.0 - low).abs() < 6e-5, "{successes}/{trials}: {found:?}");
            assert!((found.1 - high).abs() < 6e-5, "{successes}/{trials}: {found:?}");
        }
    }

    /// With no success the upper end has a closed form, 1 - tail^(1/n), at any size.
    #[test]
    fn the_ends_hold_at_every_size() {
        for trials in [1, 3, 1_000, 1_000_000] {
            let expected = 1.0 - 0.005_f64.powf(1.0 / trials as f64);
            let (low, high) = clopper_pearson(0, trials, 0.99);
            assert!(low == 0.0 && (high / expected - 1.0).abs() < 1e-6, "{trials}: {high}");
            let mirrored = clopper_pearson(trials, trials, 0.99);
            assert!((mirrored.0 - (1.0 - high)).abs() < 1e-9 && mirrored.1 == 1.0);
        }
        let (low, high) = clopper_pearson(500_000, 1_000_000, 0.95);
        assert!((low - 0.499_02).abs() < 1e-5 && (high - 0.500_98).abs() < 1e-5, "{low} {high}");
        assert_eq!(clopper_pearson(0, 0, 0.95), (0.0, 1.0));
        assert_eq!(clopper_pearson(9, 3, 0.95), clopper_pearson(3, 3, 0.95));
    }
}
