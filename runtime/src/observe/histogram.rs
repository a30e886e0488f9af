//! Times counted in cells, by one writer, read by anybody. Bounds belong to whoever counts; labels
//! and formats to whoever shows them.

use std::array;

use crate::observe::counter::Counter;

/// A histogram of durations: one cell for each upper bound, and one for what is longer.
#[derive(Debug)]
pub struct Histogram<const CELLS: usize> {
    cells: [Counter; CELLS],
    sum_ns: Counter,
}

impl<const CELLS: usize> Default for Histogram<CELLS> {
    fn default() -> Self {
        Histogram { cells: array::from_fn(|_| Counter::default()), sum_ns: Counter::default() }
    }
}

impl<const CELLS: usize> Histogram<CELLS> {
    /// Counts one duration. `bounds_ns` ascend and are inclusive; there is one less of them than
    /// cells. Only the owning core may call this.
    #[inline]
    pub fn add(&self, bounds_ns: &[u64], duration_ns: u64) {
        debug_assert_eq!(bounds_ns.len() + 1, CELLS, "a cell for each bound and one beyond");
        // Nearly every duration ends in the first cells.
        let cell = bounds_ns.iter().position(|&bound| duration_ns <= bound);
        self.cells[cell.unwrap_or(CELLS - 1)].add(1);
        self.sum_ns.add(duration_ns);
    }

    /// Adds what was counted to `counts` and to `sum_ns`; any thread may ask.
    pub fn add_to(&self, counts: &mut [u64; CELLS], sum_ns: &mut u64) {
        for (total, cell) in counts.iter_mut().zip(&self.cells) {
            *total += cell.value();
        }
        *sum_ns = sum_ns.wrapping_add(self.sum_ns.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_longer_durations_have_a_cell() {
        let histogram = Histogram::<3>::default();
        for ns in [0, 50, 51, 100, 101] {
            histogram.add(&[50, 100], ns);
        }
        let (mut counts, mut sum_ns) = ([1, 0, 0], 7);
        histogram.add_to(&mut counts, &mut sum_ns);
        assert_eq!((counts, sum_ns), ([3, 2, 1], 309));
    }
}
