//! The Hodges-Lehmann estimate and the exact interval that belongs to it, from Wilcoxon's
//! signed-rank statistic. It assumes differences that are independent and symmetric about their
//! centre, and no shape beyond that.

use super::{Interval, Method, median};

/// The median of the averages of all pairs, each value paired with itself as well.
pub(super) fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    median(&walsh_averages(values))
}

/// The narrowest interval between two Walsh averages whose confidence is at least `level`; None
/// when even the widest one falls short.
pub(super) fn interval(values: &[f64], level: f64) -> Option<Interval> {
    let tail = tail_count(values.len(), (1.0 - level) / 2.0)?;
    let mut averages = walsh_averages(values);
    averages.sort_by(f64::total_cmp);
    Some(Interval {
        low: averages[tail],
        high: averages[averages.len() - 1 - tail],
        method: Method::SignedRank,
    })
}

fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let pairs = values.iter().enumerate();
    pairs.flat_map(|(at, a)| values[at..].iter().map(move |b| f64::midpoint(*a, *b))).collect()
}

/// How many averages lie outside on each side: the largest k with P(W < k) <= `tail` under the
/// null distribution, found by counting subsets of the ranks. None when not even k = 1 fits, for
/// then the interval would be unbounded.
fn tail_count(count: usize, tail: f64) -> Option<usize> {
    let ranks_sum = count * (count + 1) / 2;
    // ways[w]: subsets of the ranks 1..=count that add up to w.
    let mut ways = vec![0.0_f64; ranks_sum + 1];
    ways[0] = 1.0;
    for rank in 1..=count {
        for sum in (rank..=ranks_sum).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let subsets = 2.0_f64.powi(i32::try_from(count).ok()?);
    let mut below = 0.0;
    let mut largest = None;
    for (k, ways) in ways.iter().enumerate() {
        below += ways / subsets; // P(W <= k) = P(W < k + 1)
        if below > tail {
            break;
        }
        largest = Some(k);
    }
    largest
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
            assert_eq!(tail_count(count, 0.025), Some(critical), "n = {count}");
        }
        assert_eq!(tail_count(5, 0.025), None);
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
}
