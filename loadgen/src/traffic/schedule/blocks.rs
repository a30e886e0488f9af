//! Which target gets traffic when: the blocks of an interleaved slice, as data. Pure.
//!
//! A slice has a lane for each target. A block is a few milliseconds of one lane. A pass goes
//! through all lanes in a random order and is followed by its mirror image, so that what drifts
//! evenly over the two cancels between any two lanes. A pair is a pass with its mirror image. Lanes
//! to the same server share one turn in a pass, so that its caches are as cold as those of others.
//! It refuses to know what a request is.
//!
//! ```
//! use loadgen::traffic::schedule::blocks::Blocks;
//! use std::time::Duration;
//! let blocks = Blocks::interleaved(3, Duration::from_millis(5), 2, 1);
//! let order: Vec<usize> = (0..blocks.count()).map(|block| blocks.lane(block)).collect();
//! assert_eq!(order.len(), 2 * 2 * 3);
//! assert_eq!((order[0], order[1], order[2]), (order[5], order[4], order[3]));
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::traffic::random::Random;

/// The blocks of a slice, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    order: Arc<[u16]>,
    /// In how many parts the turn of each lane is divided.
    parts: Arc<[u32]>,
    turns: usize,
    length: Duration,
}

impl Blocks {
    /// One block of one lane: a slice of a single target.
    #[must_use]
    pub fn whole(length: Duration) -> Blocks {
        Blocks { order: Arc::new([0]), parts: Arc::new([1]), turns: 1, length }
    }

    /// So many pairs of passes through all lanes, each in an order of its own that `seed` decides.
    #[must_use]
    pub fn interleaved(lanes: usize, length: Duration, pairs: u32, seed: u64) -> Blocks {
        Blocks::with_shared_turns(&vec![1; lanes], length, pairs, seed)
    }

    /// The same where the first turn belongs to the first so many lanes, and so on: they divide its
    /// time evenly, one after the other. Which of them is the first is another matter of chance in
    /// each pair: where a turn ends a pass and begins its mirror image, the others of it find the
    /// warmest caches.
    #[must_use]
    pub fn with_shared_turns(turns: &[usize], length: Duration, pairs: u32, seed: u64) -> Blocks {
        let first = |turn: usize| turns[..turn].iter().sum::<usize>();
        let pair = |pair: u32| {
            let mut random = Random::stream(seed, u64::from(pair));
            let order = random.order(turns.len());
            let own = |turn: usize| {
                let lanes = random.order(turns[turn]).into_iter();
                lanes.map(move |lane| first(turn) + lane)
            };
            let pass: Vec<usize> = order.into_iter().flat_map(own).collect();
            let mirror: Vec<usize> = pass.iter().rev().copied().collect();
            pass.into_iter().chain(mirror).map(|lane| lane as u16)
        };
        let parts = turns.iter().flat_map(|lanes| vec![*lanes as u32; *lanes]);
        Blocks {
            order: (0..pairs).flat_map(pair).collect(),
            parts: parts.collect(),
            turns: turns.len(),
            length,
        }
    }

    /// How many lanes there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.parts.len()
    }

    /// How many blocks there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// The lane of a block.
    #[must_use]
    pub fn lane(&self, block: usize) -> usize {
        usize::from(self.order[block])
    }

    /// The pair of passes that a block belongs to.
    #[must_use]
    pub fn pair(&self, block: usize) -> usize {
        block / (2 * self.lanes())
    }

    /// The length of a block of a lane.
    #[must_use]
    pub fn length(&self, lane: usize) -> Duration {
        self.length / self.parts[lane]
    }

    /// The time of all blocks of a lane.
    #[must_use]
    pub fn duration_of(&self, lane: usize) -> Duration {
        self.length(lane) * (self.order.len() / self.lanes()) as u32
    }

    /// The time of all blocks.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.length * (self.turns * self.order.len() / self.lanes()) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each lane has one block in each pass, at places that add up to the same, so that a
        /// drift by equal steps adds the same to all lanes.
        #[test]
        fn passes_are_whole_and_mirrored(lanes in 1_usize..40, pairs in 1_u32..9, seed: u64) {
            let blocks = Blocks::interleaved(lanes, Duration::from_millis(5), pairs, seed);
            prop_assert_eq!(blocks.count(), 2 * lanes * pairs as usize);
            for pair in 0..pairs as usize {
                let mut places = vec![Vec::new(); lanes];
                for place in 0..2 * lanes {
                    let block = pair * 2 * lanes + place;
                    prop_assert_eq!(blocks.pair(block), pair);
                    places[blocks.lane(block)].push(place);
                }
                for places in places {
                    prop_assert_eq!(places.len(), 2);
                    prop_assert_eq!(places.iter().sum::<usize>(), 2 * lanes - 1);
                }
            }
        }
    }

    /// A server that has two lanes is asked once in a pass, for as long as others. Each of its
    /// lanes is first in one pass of a pair and second in the other, and in the pass as often as in
    /// its mirror image.
    #[test]
    fn lanes_of_one_server_share_a_turn() {
        let ms = Duration::from_millis;
        let blocks = Blocks::with_shared_turns(&[2, 1, 1], ms(6), 200, 9);
        assert_eq!((blocks.lanes(), blocks.count()), (4, 200 * 2 * 4));
        assert_eq!([0, 1, 2, 3].map(|lane| blocks.length(lane)), [3, 3, 6, 6].map(ms));
        assert_eq!(blocks.duration(), ms(200 * 2 * 18));
        let all: Duration = (0..4).map(|lane| blocks.duration_of(lane)).sum();
        assert_eq!(all, blocks.duration());
        let mut begins = 0;
        for pair in 0..200 {
            let order: Vec<usize> = (0..8).map(|place| blocks.lane(8 * pair + place)).collect();
            let place = order.iter().position(|lane| *lane < 2).unwrap();
            assert_eq!(order[place] + order[place + 1], 1, "side by side");
            begins += usize::from(order[place] == 0);
            let mirrored: Vec<usize> = order.iter().rev().copied().collect();
            assert_eq!(order, mirrored);
        }
        assert!((70..130).contains(&begins), "{begins} of 200");
    }

    #[test]
    fn orders_differ_between_pairs_and_seeds_and_are_repeatable() {
        let blocks = |seed| Blocks::interleaved(11, Duration::from_millis(5), 2, seed);
        assert_eq!(blocks(1), blocks(1));
        assert_ne!(blocks(1), blocks(2));
        let pass = |pair: usize| -> Vec<usize> {
            (0..11).map(|place| blocks(1).lane(pair * 22 + place)).collect()
        };
        assert_ne!(pass(0), pass(1));
        assert_eq!(blocks(1).duration(), Duration::from_millis(5 * 11 * 2 * 2));
    }
}
