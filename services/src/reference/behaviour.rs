//! What the reference server does beside answering, and how much of it is allowed.
//!
//! It owns the settings and their limits. It refuses what the server could not do as it was told,
//! and what no experiment asks for: that is a slip of the finger.

use std::time::Duration;

use crate::config::error::ServeError;

use super::every::RequestShare;
use super::stall::Stall;

/// The most that one request may burn before its response, and once more after it.
const BUSY_MAX: Duration = Duration::from_millis(100);

/// The longest wait of a response.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// The most memory that a request may walk. Each core has as much of its own.
const WALK_KIB_MAX: u32 = 64 * 1024;

/// The longest time between two stalls; a stopped server ends after the stall that it is in.
const STALL_EVERY_MAX: Duration = Duration::from_secs(10);

/// What the server does beside answering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Processor time that every request burns, at least so much.
    pub busy: Duration,
    /// The same, after the kernel has taken the response.
    pub after: Duration,
    /// How much memory every request reads, one word of each cache line.
    pub walk_kib: u32,
    /// How long every response waits, without processor time. The executor's timers have a grain of
    /// a millisecond: whole ones only, and the wait lasts up to one more. What it was is counted.
    pub delay: Duration,
    /// When the whole core stands still, if it does.
    pub stall: Option<Stall>,
    /// Whether it burns processor time while it stands still. Else it sleeps, and the core is free
    /// for other programs.
    pub stall_burns: bool,
    /// Which share of the responses is wrong: by turns a 500 and a body that is too short.
    pub wrong: RequestShare,
    /// Which share of the requests has its connection reset instead of a response.
    pub reset: RequestShare,
}

impl Behaviour {
    /// The first limit that is passed, as a sentence.
    pub(super) fn check(&self) -> Result<(), ServeError> {
        let wrong = |sentence: String| Err(ServeError::config(sentence));
        if self.busy.max(self.after) > BUSY_MAX || self.delay > DELAY_MAX {
            return wrong(format!(
                "a request may burn at most {} us before its response and after it, and wait at \
                 most {} us",
                BUSY_MAX.as_micros(),
                DELAY_MAX.as_micros()
            ));
        }
        if !self.delay.subsec_nanos().is_multiple_of(1_000_000) {
            return wrong(
                "a delay is a whole number of milliseconds: the timers have no finer grain".into(),
            );
        }
        if self.walk_kib > WALK_KIB_MAX {
            return wrong(format!("a request may walk at most {WALK_KIB_MAX} KiB of memory"));
        }
        self.stall.map_or(Ok(()), check_stall)
    }
}

fn check_stall(stall: Stall) -> Result<(), ServeError> {
    let Stall { length, every } = stall;
    if every > STALL_EVERY_MAX {
        return Err(ServeError::config(format!(
            "pauses may begin at most {} ms apart, not {}",
            STALL_EVERY_MAX.as_millis(),
            every.as_millis()
        )));
    }
    if length.is_zero() || length >= every {
        return Err(ServeError::config(format!(
            "a pause takes at least 1 ms and ends before the next one begins: {} ms of every {} ms \
             cannot be",
            length.as_millis(),
            every.as_millis()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_behaviour_is_rejected() {
        let (micros, millis) = (Duration::from_micros, Duration::from_millis);
        let default = Behaviour::default();
        let stall = |length, every| Behaviour {
            stall: Some(Stall { length: millis(length), every: millis(every) }),
            ..default
        };
        for (behaviour, word) in [
            (Behaviour { busy: micros(100_001), ..default }, "burn"),
            (Behaviour { after: micros(100_001), ..default }, "burn"),
            (Behaviour { delay: Duration::from_secs(11), ..default }, "wait"),
            (Behaviour { delay: micros(1_500), ..default }, "whole number"),
            (Behaviour { walk_kib: 65_537, ..default }, "walk at most 65536 KiB"),
            (stall(0, 10), "0 ms of every 10 ms"),
            (stall(10, 10), "10 ms of every 10 ms"),
            (stall(0, 0), "at least 1 ms"),
            (stall(1, 10_001), "10000 ms apart"),
        ] {
            let sentence = behaviour.check().unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
        }
    }

    #[test]
    fn the_largest_and_the_smallest_are_allowed() {
        let largest = Behaviour {
            busy: BUSY_MAX,
            after: BUSY_MAX,
            walk_kib: WALK_KIB_MAX,
            delay: DELAY_MAX,
            stall: Some(Stall { length: Duration::from_millis(1), every: STALL_EVERY_MAX }),
            ..Behaviour::default()
        };
        let shortest = Behaviour { busy: Duration::from_nanos(1), ..Behaviour::default() };
        let usual = Behaviour { stall: Some(Stall::ONCE_A_SECOND), ..Behaviour::default() };
        for behaviour in [largest, shortest, usual, Behaviour::default()] {
            assert!(behaviour.check().is_ok(), "{behaviour:?}");
        }
    }
}
