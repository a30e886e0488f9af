//! A share of all requests, spread evenly and without chance: 2% is every fiftieth, and of any
//! number of requests in a row the count is known to within one. Pure.

use std::cell::Cell;

/// A share in parts per million. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestShare {
    millionths: u32,
}

const WHOLE: u32 = 1_000_000;

impl RequestShare {
    /// So many percent, to four digits behind the point; None if that is not from 0 to 100.
    #[must_use]
    pub fn percent(percent: f64) -> Option<RequestShare> {
        let within = (0.0..=100.0).contains(&percent);
        within
            .then(|| RequestShare { millionths: (percent * f64::from(WHOLE / 100)).round() as u32 })
    }
}

/// Deals a share out. It belongs to one core.
#[derive(Debug, Default)]
pub(super) struct Every {
    share: RequestShare,
    carried: Cell<u32>,
}

impl Every {
    pub(super) fn new(share: RequestShare) -> Every {
        Every { share, carried: Cell::new(0) }
    }

    /// Whether this one belongs to the share.
    pub(super) fn is_due(&self) -> bool {
        let carried = self.carried.get() + self.share.millionths;
        let due = carried >= WHOLE;
        self.carried.set(if due { carried - WHOLE } else { carried });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_exactly_and_evenly() {
        for (percent, of, expected) in [
            (0.0, 1_000, 0),
            (100.0, 1_000, 1_000),
            (1.0, 10_000, 100),
            (2.0, 49, 0),
            (2.0, 50, 1),
            (0.0001, 1_000_000, 1),
            (33.3, 1_000, 333),
        ] {
            let every = Every::new(RequestShare::percent(percent).unwrap());
            let count = (0..of).filter(|_| every.is_due()).count();
            assert_eq!(count, expected, "{percent}% of {of}");
        }
        let every = Every::new(RequestShare::percent(25.0).unwrap());
        let due: Vec<u32> = (0..12).filter(|_| every.is_due()).collect();
        assert_eq!(due, [3, 7, 11]);
    }

    #[test]
    fn a_share_is_a_part_of_a_whole() {
        for wrong in [-1.0, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(RequestShare::percent(wrong), None, "{wrong}");
        }
    }
}
