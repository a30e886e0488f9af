//! How many lines a second are taken, in all and from one address, so that a flood of refusals can
//! neither fill the disk nor hide what others do.
//!
//! It owns the counts of the current second, in memory of a fixed size. Addresses share a place
//! where their hashes do, and then the place's part.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use authn::grant::network;

/// Places for addresses.
const PLACES: usize = 64;

/// The counts of one second.
#[derive(Debug)]
pub(super) struct RateLimit {
    lines_max: u32,
    all: Window,
    places: [Window; PLACES],
    /// Keyed anew in each process, so that nobody can choose whose place to share.
    hasher: RandomState,
}

/// A second, and how many were taken in it, in the upper and lower half of a word. Relaxed: nothing
/// else hangs on it.
#[derive(Debug, Default)]
struct Window(AtomicU64);

impl RateLimit {
    /// At most `lines_max` a second, half of them from one address.
    pub(super) fn new(lines_max: u32) -> RateLimit {
        RateLimit {
            lines_max,
            all: Window::default(),
            places: std::array::from_fn(|_| Window::default()),
            hasher: RandomState::new(),
        }
    }

    /// Takes a line from this address in the second `now_s`, or refuses it.
    pub(super) fn admits(&self, source: IpAddr, now_s: u64) -> bool {
        let hash = self.hasher.hash_one(network(source)) as usize;
        self.places[hash % PLACES].admits(now_s, self.lines_max.div_ceil(2))
            && self.all.admits(now_s, self.lines_max)
    }
}

impl Window {
    fn admits(&self, now_s: u64, max: u32) -> bool {
        let second = now_s << 32;
        let step = |word: u64| {
            let taken = if word & !0xffff_ffff == second { word & 0xffff_ffff } else { 0 };
            (taken < u64::from(max)).then_some(second | (taken + 1))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_half_and_all_have_the_whole_of_each_second() {
        let limit = RateLimit::new(10);
        let taken = |source: &str, now_s| {
            let source: IpAddr = source.parse().unwrap();
            (0..100).filter(|_| limit.admits(source, now_s)).count()
        };
        assert_eq!(taken("10.0.0.1", 7), 5);
        assert_eq!(taken("::ffff:10.0.0.1", 7), 0, "the same address");
        // Among so many addresses some have a place of their own.
        let others: usize = (2..250).map(|last| taken(&format!("10.0.0.{last}"), 7)).sum();
        assert_eq!(others, 5);
        assert_eq!(taken("10.0.0.1", 8), 5, "another second");
    }

    #[test]
    fn a_site_of_ipv6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
