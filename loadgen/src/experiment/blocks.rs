//! How long a block is: data about a cell in, a length out. Pure. It refuses to interleave what a
//! block is too short for.

use std::time::Duration;

use crate::plan::{BlockChoice, Protocol};
use crate::traffic::schedule::Rate;

/// The shortest block that is chosen. Shorter blocks make intervals narrower down to here on the
/// machines that were looked at, and their requests find colder caches (docs/methodology.md).
const SHORTEST: Duration = Duration::from_millis(2);

/// A block has at least so many requests, since the first one finds the coldest caches.
const REQUESTS_MIN: f64 = 4.0;

/// A block is at least so many median response times long, or most of its requests would be under
/// way at its ends.
const RESPONSES_MIN: u32 = 4;

/// Fewer pairs of passes than this leave no robust mean of a slice.
const PAIRS_MIN: u32 = 5;

/// The length of a block in a cell whose requests are sent at this rate and have this median
/// response time with its slowest variant. None where slices are to be whole.
pub(super) fn length(protocol: &Protocol, rate: Rate, response: Duration) -> Option<Duration> {
    match protocol.block {
        BlockChoice::Whole => None,
        BlockChoice::Length(length) => Some(length),
        BlockChoice::Auto => {
            let requests = Duration::from_secs_f64(REQUESTS_MIN / rate.as_f64());
            let length = SHORTEST.max(requests).max(response * RESPONSES_MIN);
            (pairs(protocol.slice, length) >= PAIRS_MIN).then_some(length)
        }
    }
}

/// So many pairs of blocks of this length are about as long as a whole slice would be.
pub(super) fn pairs(slice: Duration, block: Duration) -> u32 {
    let pairs = slice.as_secs_f64() / (2.0 * block.as_secs_f64());
    (pairs.round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_long_enough_for_its_requests_and_responses() {
        let protocol = Protocol::standard(1);
        let at = |rate: f64, response_us: u64| {
            let rate = Rate::per_second(rate).unwrap();
            length(&protocol, rate, Duration::from_micros(response_us))
        };
        assert_eq!(at(10_000.0, 200), Some(SHORTEST));
        assert_eq!(at(1_000.0, 200), Some(Duration::from_millis(4)));
        assert_eq!(at(10_000.0, 2_000), Some(Duration::from_millis(8)));
        assert_eq!(at(100.0, 200), None, "too few pairs would fit into a slice");
        assert_eq!(at(10_000.0, 20_000), None);
    }

    #[test]
    fn a_length_that_was_asked_for_is_taken() {
        let wanted = Duration::from_millis(50);
        let protocol = Protocol { block: BlockChoice::Length(wanted), ..Protocol::standard(1) };
        let rate = Rate::whole(10);
        assert_eq!(length(&protocol, rate, Duration::from_millis(80)), Some(wanted));
        let whole = Protocol { block: BlockChoice::Whole, ..protocol };
        assert_eq!(length(&whole, rate, Duration::ZERO), None);
    }

    #[test]
    fn pairs_fill_a_slice() {
        let ms = Duration::from_millis;
        assert_eq!(pairs(ms(250), ms(5)), 25);
        assert_eq!(pairs(ms(250), ms(250)), 1);
        assert_eq!(pairs(ms(250), ms(30)), 4);
    }
}
