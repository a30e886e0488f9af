//! What so many slices without a failure say about the next ones: the exact binomial bound of
//! Clopper and Pearson. Pure.

use crate::stats::clopper_pearson;

/// The lower bound of the share of successes after `kept` of `tried`: a true share below it would
/// have shown so many or more with a probability of less than `error`. 0 when nothing was kept.
///
/// ```
/// use loadgen::command::capacity::confidence::share_min;
/// // Twenty of twenty: the share is at least the twentieth root of the error.
/// assert!((share_min(20, 20, 0.05) - 0.05_f64.powf(0.05)).abs() < 1e-9);
/// ```
pub fn share_min(kept: u64, tried: u64, error: f64) -> f64 {
    // The interval shares its error out over both ends, and only one of them is asked for.
    clopper_pearson(kept, tried, 1.0 - 2.0 * error).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_agree_with_published_tables() {
        // One-sided 95% lower bounds (two-sided 90% of the usual tables).
        for (kept, tried, bound) in
            [(9, 10, 0.6058), (10, 10, 0.7411), (18, 20, 0.7174), (59, 59, 0.9505), (5, 10, 0.2224)]
        {
            let found = share_min(kept, tried, 0.05);
            assert!((found - bound).abs() < 5e-4, "{kept} of {tried}: {found}");
        }
        assert_eq!(share_min(0, 10, 0.05), 0.0);
        assert_eq!(share_min(0, 0, 0.05), 0.0);
    }

    #[test]
    fn many_slices_do_not_overflow() {
        let found = share_min(5_000, 5_000, 0.05);
        assert!((found - 0.05_f64.powf(1.0 / 5_000.0)).abs() < 1e-9, "{found}");
        assert!(share_min(4_990, 5_000, 0.05) < found);
    }
}
