//! Holds what a loop says it took against the clock of the thread, for the tests.

use runtime::process::thread_cpu_ns;

/// Series of which one may be interrupted without a word about the others.
const SERIES: usize = 15;

/// What `work` says it took, by what the thread's clock says: the median of several series.
pub(super) fn median_ratio(mut work: impl FnMut() -> u64) -> f64 {
    let mut ratios: Vec<f64> = (0..SERIES)
        .map(|_| {
            let before = thread_cpu_ns();
            let told = work();
            told as f64 / (thread_cpu_ns() - before) as f64
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[SERIES / 2]
}
