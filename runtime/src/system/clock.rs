//! The clock of the request path: the kernel's monotonic one as a single number.
//!
//! std's `Instant` is the same clock in two numbers, whose differences a request pays for several
//! times. Elsewhere `Instant` is right. Nothing here waits; deadlines are kept by
//! [`crate::io::deadline`].

use std::ops::Add;
use std::time::Duration;

use crate::system::sys;

/// Nanoseconds on the monotonic clock; 584 years fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Reads the clock.
    #[inline]
    pub(crate) fn now() -> Moment {
        Moment(sys::monotonic_ns())
    }

    /// How long `earlier` is before this, in nanoseconds; 0 if it is not.
    #[inline]
    pub(crate) fn ns_since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The whole milliseconds of the clock.
    #[inline]
    pub(crate) fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, more: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(more.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_clock_of_std() {
        let (before, start) = (std::time::Instant::now(), Moment::now());
        std::thread::sleep(Duration::from_millis(2));
        let (took, after) = (Moment::now().ns_since(start), before.elapsed());
        assert!(took >= 2_000_000 && u128::from(took) <= after.as_nanos(), "{took} {after:?}");
    }

    #[test]
    fn moments_are_added_to_and_compared() {
        let moment = Moment(5_000_000);
        let later = moment + Duration::from_micros(1500);
        assert_eq!((later.ns_since(moment), moment.ns_since(later)), (1_500_000, 0));
        assert_eq!(((later + Duration::MAX).0, later.as_ms()), (u64::MAX, 6));
        assert!(moment < later);
    }
}
