//! Figures of interleaved slices: one for each pair of passes, and the estimator that brings them
//! to one value a slice. Pure.
//!
//! # What is estimated
//! In a pair each variant had one block in a pass and one in its mirror image, so that a drift of
//! even steps is the same for all. What is left are bursts: the host takes a core away, an
//! interrupt lands in one block. They make a pair's figure larger, never smaller. So the values of
//! a slice, log-ratios of two variants pair by pair, go into a *trimmed mean*: a fifth of them is
//! left out at each end (Tukey and McLaughlin, Sankhya A 25, 1963). Its target is the mean of the
//! middle three fifths of what such values are distributed like. Two variants of equal cost have
//! equal distributions, and the target is 0 whatever their shape, because the distribution of a
//! difference of two equal ones is symmetric. Where a burst hits the dearer variant more often,
//! because it runs longer, the whole mean moves with the bursts and the trimmed one does not: it is
//! the ratio of the costs in blocks that no burst hit.

use metrics_export::run::Slice;

/// The part that is left out at each end.
const TRIMMED: f64 = 0.2;

/// Server CPU per answered request in ns: for each pair of passes of an interleaved slice, or one
/// figure for the whole of it. Empty where it is not known.
#[must_use]
pub fn cpu_figures(slice: &Slice) -> Vec<f64> {
    let pairs = slice.blocks.as_ref().map_or(&[][..], |blocks| &blocks.pairs);
    let known = !pairs.is_empty() && pairs.iter().all(|pair| pair.answered > 0 && pair.cpu_ns > 0);
    match known {
        true => pairs.iter().map(|pair| pair.cpu_ns as f64 / pair.answered as f64).collect(),
        false => slice.cpu_ns_per_request().into_iter().collect(),
    }
}

/// The mean of what is left when a fifth of the values is left out at each end; None of nothing.
#[must_use]
pub fn trimmed_mean(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let out = (values.len() as f64 * TRIMMED) as usize;
    super::mean(&values[out..values.len() - out])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::random::Random;

    #[test]
    fn a_fifth_is_left_out_at_each_end() {
        assert_eq!(trimmed_mean(vec![100.0, 1.0, 2.0, 3.0, -50.0]), Some(2.0));
        assert_eq!(trimmed_mean(vec![1.0, 2.0, 3.0, 6.0]), Some(3.0));
        assert_eq!(trimmed_mean(vec![7.0]), Some(7.0));
        assert_eq!(trimmed_mean(Vec::new()), None);
    }

    /// Bursts that double a figure hit one pair in ten of either variant, and another tenth of the
    /// dearer one's. The ratio of costs is found; the plain mean is off by a burst's share.
    #[test]
    fn bursts_do_not_move_the_ratio() {
        let mut random = Random::new(11);
        let mut figure = |cost: f64, burst: f64| {
            let noise = 1.0 + 0.02 * (random.next_open_unit() - 0.5);
            cost * noise * if random.next_open_unit() < burst { 2.0 } else { 1.0 }
        };
        let ratios: Vec<f64> =
            (0..20_000).map(|_| (figure(110.0, 0.15) / figure(100.0, 0.1)).ln()).collect();
        let plain = crate::stats::mean(&ratios).unwrap();
        let trimmed = trimmed_mean(ratios).unwrap();
        assert!((trimmed - 1.1_f64.ln()).abs() < 0.005, "{trimmed}");
        assert!(plain > 1.1_f64.ln() + 0.03, "{plain}");
    }
}
