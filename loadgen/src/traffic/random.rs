//! The seeded random numbers of a measurement: SplitMix64, so that a stored seed gives the same
//! arrivals and the same order again on every machine. Refuses to be a source of secrets.

/// A small generator with one word of state. Two different seeds give unrelated sequences.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Starts the sequence that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// The sequence of a part (a worker, a round) of something that has a seed of its own.
    pub(crate) fn stream(seed: u64, part: u64) -> Random {
        let mut mixed = Random::new(seed ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Random::new(mixed.next_u64())
    }

    /// 64 evenly spread bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number strictly between 0 and 1, so that its logarithm is always finite.
    pub(crate) fn next_open_unit(&mut self) -> f64 {
        let top = self.next_u64() >> 11;
        (top as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// An even draw below `count`; the bias of 2^-64 times `count` is beyond notice.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next_u64()) * count as u128) >> 64) as usize
    }

    /// The numbers below `count` in a random order (Fisher-Yates).
    pub(crate) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn unit_numbers_stay_inside_and_are_even() {
        let mut random = Random::stream(7, 3);
        let mut sum = 0.0;
        for _ in 0..100_000 {
            let unit = random.next_open_unit();
            assert!(unit > 0.0 && unit < 1.0);
            sum += unit;
        }
        assert!((sum / 100_000.0 - 0.5).abs() < 0.005, "mean {}", sum / 100_000.0);
    }

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut counts = std::collections::HashMap::<Vec<usize>, u32>::new();
        for part in 0..6_000 {
            *counts.entry(Random::stream(9, part).order(3)).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(Random::stream(1, 2).order(10), Random::stream(1, 2).order(10));
        assert!(Random::stream(1, 2).order(0).is_empty());
    }
}
