//! Random order from a stored seed.

use crate::stats::bootstrap::below;
use crate::traffic::random::Random;

/// The numbers below `count` in an order that `seed` and `part` decide (Fisher-Yates).
#[must_use]
pub fn shuffled(count: usize, seed: u64, part: u64) -> Vec<usize> {
    let mut random = Random::stream(seed, part);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(last + 1, &mut random));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut counts = std::collections::HashMap::<Vec<usize>, u32>::new();
        for part in 0..6_000 {
            *counts.entry(shuffled(3, 9, part)).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(shuffled(10, 1, 2), shuffled(10, 1, 2));
        assert!(shuffled(0, 1, 2).is_empty());
    }
}
