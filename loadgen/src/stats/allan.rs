//! The Allan deviation: how far the means of two neighbouring stretches of a series differ. Where
//! it falls with the square root of a stretch's length, samples are independent, and averaging over
//! more time narrows an interval. Where it stays or rises, the series drifts, and it does not.
//!
//! The definition is D. W. Allan's, "Statistics of Atomic Frequency Standards", Proc. IEEE 54(2),
//! 221-230, 1966: the square root of half the mean squared difference of the means of neighbouring
//! stretches. The estimator is the *overlapping* one: stretches begin at every sample, as in
//! W. J. Riley, "Handbook of Frequency Stability Analysis", NIST SP 1065, 2008, section 5.2.4. It
//! estimates the same value as stretches side by side, and more closely. Here the result is divided
//! by the mean of the series, since costs are compared as ratios.
//!
//! Pure: figures in, figures out. Refused: a value from fewer than [`STRETCHES_MIN`] stretches side
//! by side, since it would rest on one difference.

use super::mean;

/// The fewest stretches side by side that give a value.
const STRETCHES_MIN: usize = 3;

/// The overlapping Allan deviation of evenly spaced samples, as a share of their mean, where a
/// stretch is `samples` long. None of too few stretches, and where there is no positive mean.
#[must_use]
pub fn allan_deviation(series: &[f64], samples: usize) -> Option<f64> {
    if samples == 0 || series.len() / samples < STRETCHES_MIN {
        return None;
    }
    let mean = mean(series).filter(|mean| mean.is_finite() && *mean > 0.0)?;
    let sums = running_sums(series, mean);
    let squares = sums.windows(2 * samples + 1).map(|part| {
        let (begin, middle, end) = (part[0], part[samples], part[2 * samples]);
        ((end - middle) - (middle - begin)).powi(2)
    });
    let differences = sums.len() - 2 * samples;
    let mean_square = squares.sum::<f64>() / differences as f64;
    Some((mean_square / 2.0).sqrt() / samples as f64 / mean)
}

/// The sum of everything before each sample, and of all at the end. Taken from the mean, so that a
/// long series does not lose the small digits of its differences.
fn running_sums(series: &[f64], mean: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let after = series.iter().map(|value| {
        sum += value - mean;
        sum
    });
    std::iter::once(0.0).chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::normal;
    use super::*;
    use crate::traffic::random::Random;

    fn close(found: Option<f64>, expected: f64, share: f64) {
        let found = found.unwrap();
        assert!((found / expected - 1.0).abs() < share, "{found}, not {expected}");
    }

    /// White noise of 1% around 1,000.
    fn white(count: usize, seed: u64) -> Vec<f64> {
        let mut random = Random::new(seed);
        (0..count).map(|_| 1_000.0 + 10.0 * normal(&mut random)).collect()
    }

    #[test]
    fn a_series_done_by_hand() {
        let series = [1.0, 3.0, 2.0, 4.0, 6.0, 2.0];
        // Differences 2, -1, 2, 2, -4; the mean of their squares is 29 / 5, that of the series 3.
        close(allan_deviation(&series, 1), (2.9_f64).sqrt() / 3.0, 1e-12);
        // Means of two: 2, 2.5, 3, 5, 4. Of those that touch: 1, 2.5, 1, so 8.25 / 3.
        close(allan_deviation(&series, 2), (1.375_f64).sqrt() / 3.0, 1e-12);
    }

    /// NBS Monograph 140, annex 8.E, with the values of NIST SP 1065, table 30.
    #[test]
    fn the_published_test_data_give_the_published_values() {
        let series = [892.0, 809.0, 823.0, 798.0, 671.0, 644.0, 883.0, 903.0, 677.0];
        let mean = 7_100.0 / 9.0;
        close(allan_deviation(&series, 1), 91.229_45 / mean, 1e-6);
        close(allan_deviation(&series, 2), 85.952_87 / mean, 1e-6);
    }

    #[test]
    fn a_constant_does_not_deviate() {
        for samples in [1, 10, 33] {
            assert_eq!(allan_deviation(&[7.0; 100], samples), Some(0.0));
        }
    }

    #[test]
    fn white_noise_falls_with_the_square_root_of_the_length() {
        let series = white(40_000, 7);
        for samples in [1, 4, 25, 100] {
            close(allan_deviation(&series, samples), 0.01 / (samples as f64).sqrt(), 0.1);
        }
    }

    /// A walk of steps of s has s * sqrt((2 m^2 + 1) / (6 m)) over m samples, which is s / sqrt(2)
    /// over one and rises with the square root of m / 3.
    #[test]
    fn a_random_walk_rises_with_the_square_root_of_the_length() {
        let mut random = Random::new(11);
        let mut place = 1e6;
        let walk = (0..100_000).map(|_| {
            place += normal(&mut random);
            place
        });
        let series: Vec<f64> = walk.collect();
        let mean = mean(&series).unwrap();
        for samples in [1, 10, 100] {
            let m = samples as f64;
            let expected = ((2.0 * m * m + 1.0) / (6.0 * m)).sqrt() / mean;
            close(allan_deviation(&series, samples), expected, 0.15);
        }
    }

    #[test]
    fn it_is_a_share_of_the_mean() {
        let series = white(1_000, 3);
        let larger: Vec<f64> = series.iter().map(|value| value * 1e3).collect();
        close(allan_deviation(&larger, 20), allan_deviation(&series, 20).unwrap(), 1e-9);
    }

    #[test]
    fn too_little_gives_no_value() {
        assert_eq!(allan_deviation(&[], 1), None);
        assert_eq!(allan_deviation(&[1.0, 2.0, 3.0], 0), None);
        assert_eq!(allan_deviation(&[1.0, 2.0], 1), None);
        assert!(allan_deviation(&[1.0, 2.0, 3.0], 1).is_some());
        assert_eq!(allan_deviation(&[1.0; 5], 2), None);
        assert_eq!(allan_deviation(&[1.0; 5], usize::MAX), None);
        assert_eq!(allan_deviation(&[0.0; 5], 1), None);
        assert_eq!(allan_deviation(&[1.0, f64::NAN, 1.0], 1), None);
    }
}
