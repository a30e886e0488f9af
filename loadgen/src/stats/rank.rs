//! The Hodges-Lehmann estimates of one sample and of two, and the exact intervals that belong to
//! them, from Wilcoxon's signed-rank and rank-sum statistics. The first assumes values that are
//! independent and symmetric about their centre, the second two samples of one shape; neither
//! assumes which.

use super::{ConfidenceInterval, IntervalMethod, median};

/// The median of the averages of all pairs, each value paired with itself as well.
pub(super) fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    median(&walsh_averages(values))
}

/// The narrowest interval between two Walsh averages whose confidence is at least `level`; None
/// when even the widest one falls short.
pub(super) fn interval(values: &[f64], level: f64) -> Option<ConfidenceInterval> {
    let ways = signed_rank_ways(values.len());
    let tail = tail_count(&ways, (1.0 - level) / 2.0)?;
    Some(inner(walsh_averages(values), tail, IntervalMethod::SignedRank))
}

/// The median of all differences between the second sample and the first, and the narrowest
/// interval between two of these whose confidence is at least `level`, where there is one.
pub(super) fn two_samples(
    first: &[f64],
    second: &[f64],
    level: f64,
) -> (Option<f64>, Option<ConfidenceInterval>) {
    let differences = second.iter().flat_map(|b| first.iter().map(move |a| b - a));
    let differences: Vec<f64> = differences.collect();
    let centre = median(&differences);
    let ways = rank_sum_ways(first.len(), second.len());
    let tail = tail_count(&ways, (1.0 - level) / 2.0);
    (centre, tail.map(|tail| inner(differences, tail, IntervalMethod::RankSum)))
}

fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let pairs = values.iter().enumerate();
    pairs.flat_map(|(at, a)| values[at..].iter().map(move |b| f64::midpoint(*a, *b))).collect()
}

fn inner(mut values: Vec<f64>, outside: usize, method: IntervalMethod) -> ConfidenceInterval {
    values.sort_by(f64::total_cmp);
    ConfidenceInterval { low: values[outside], high: values[values.len() - 1 - outside], method }
}

/// ways[w]: subsets of the ranks 1..=count that add up to w.
fn signed_rank_ways(count: usize) -> Vec<f64> {
    let mut ways = vec![0.0; count * (count + 1) / 2 + 1];
    ways[0] = 1.0;
    for rank in 1..=count {
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    ways
}

/// ways[u]: orders of the two samples in which u pairs are the wrong way round; the coefficients
/// of the Gaussian binomial, a product of (1 - q^(second + i)) / (1 - q^i).
fn rank_sum_ways(first: usize, second: usize) -> Vec<f64> {
    let mut ways = vec![0.0; first * second + 1];
    ways[0] = 1.0;
    for i in 1..=first {
        for u in (second + i..ways.len()).rev() {
            ways[u] -= ways[u - second - i];
        }
        for u in i..ways.len() {
            ways[u] += ways[u - i];
        }
    }
    ways
}

/// How many values lie outside on each side: the largest w with P(W <= w) <= `tail` where all
/// ways are equally likely. None when not even w = 0 fits, for then the interval would be
/// unbounded.
fn tail_count(ways: &[f64], tail: f64) -> Option<usize> {
    let all: f64 = ways.iter().sum();
    let mut below = 0.0;
    let fits = ways.iter().take_while(|ways| {
        below += **ways / all;
        below <= tail
    });
    fits.count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values of the signed-rank test at 5%, two-sided, as every table prints them: the
    /// largest w with P(W <= w) <= 0.025.
    #[test]
    fn critical_values_are_the_published_ones() {
        let published = [
            (6, 0),
            (7, 2),
            (8, 3),
            (9, 5),
            (10, 8),
            (11, 10),
            (12, 13),
            (13, 17),
            (15, 25),
            (20, 52),
        ];
        for (count, critical) in published {
            assert_eq!(tail_count(&signed_rank_ways(count), 0.025), Some(critical), "n = {count}");
        }
        assert_eq!(tail_count(&signed_rank_ways(5), 0.025), None);
    }

    /// Critical values of the Mann-Whitney test at 5%, two-sided.
    #[test]
    fn critical_values_of_two_samples_are_the_published_ones() {
        let published = [
            (4, 4, 0),
            (5, 5, 2),
            (5, 8, 6),
            (6, 6, 5),
            (8, 8, 13),
            (10, 10, 23),
            (12, 12, 37),
            (20, 20, 127),
        ];
        for (first, second, critical) in published {
            let ways = rank_sum_ways(first, second);
            assert_eq!(tail_count(&ways, 0.025), Some(critical), "{first} and {second}");
        }
        assert_eq!(tail_count(&rank_sum_ways(3, 3), 0.025), None);
        assert_eq!(rank_sum_ways(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
    }

    /// Worked by hand: of 1, 2, 4 the averages are 1, 1.5, 2, 2.5, 3, 4, so the median is 2.25.
    #[test]
    fn the_estimate_is_the_median_of_the_averages() {
        assert_eq!(hodges_lehmann(&[1.0, 2.0, 4.0]), Some(2.25));
        assert_eq!(hodges_lehmann(&[7.0]), Some(7.0));
        assert_eq!(hodges_lehmann(&[]), None);
    }

    /// 1..=8: 36 averages, the 4th smallest and the 4th largest. Sorted from below they are
    /// 1, 1.5, 2, 2, 2.5, ..
    #[test]
    fn the_interval_is_between_the_fourth_averages_of_eight() {
        let values: Vec<f64> = (1..=8).map(f64::from).collect();
        let found = interval(&values, 0.95).unwrap();
        assert_eq!((found.low, found.high), (2.0, 7.0));
        // One outlier moves an end of the range, not the interval's other end.
        let with_outlier = [&values[..7], &[1000.0]].concat();
        assert_eq!(interval(&with_outlier, 0.95).unwrap().low, 2.0);
    }

    /// 1..=4 against 11..=14: the widest is all that four and four give.
    #[test]
    fn two_samples_differ_by_the_median_of_their_differences() {
        let (first, second) = ([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0]);
        let (centre, interval) = two_samples(&first, &second, 0.95);
        let interval = interval.unwrap();
        assert_eq!((centre, interval.low, interval.high), (Some(10.0), 7.0, 13.0));
        assert_eq!(two_samples(&first, &[], 0.95), (None, None));
    }
}
