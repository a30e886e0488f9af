//! Load on a core that no request asks for: what a busy machine is to a meter, of known size.
//!
//! It owns the threads that make it. It refuses to count: whoever measures sees it as the CPU of
//! another program.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use runtime::process::{allowed_cpus, pin_to, thread_cpu_ns};

use crate::config::error::ServeError;

use super::burn::burn;

/// The longest period.
const EVERY_MAX: Duration = Duration::from_secs(10);

/// A core is busy for a time, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodicLoad {
    /// For how long, in processor time.
    pub busy: Duration,
    /// From the beginning of one time to that of the next.
    pub every: Duration,
}

impl PeriodicLoad {
    /// The first limit that is passed, as a sentence.
    pub(super) fn check(self) -> Result<(), ServeError> {
        let PeriodicLoad { busy, every } = self;
        if busy.is_zero() || busy >= every || every > EVERY_MAX {
            return Err(ServeError::config(format!(
                "a core can be loaded for at least 1 ms of at most {} ms, not for {} ms of every \
                 {} ms",
                EVERY_MAX.as_millis(),
                busy.as_millis(),
                every.as_millis()
            )));
        }
        Ok(())
    }

    /// Starts it on these cores, or on all that the process may use. It lasts as long as the
    /// process.
    pub(super) fn start(self, cores: Option<&[usize]>) -> io::Result<()> {
        let allowed = cores.map_or_else(allowed_cpus, |cores| Ok(cores.to_vec()))?;
        for core in allowed {
            let name = format!("load-{core}");
            thread::Builder::new().name(name).spawn(move || match pin_to(core) {
                Ok(()) => self.go_on(),
                Err(error) => tracing::error!("core {core} cannot be loaded: {error}"),
            })?;
        }
        Ok(())
    }

    fn go_on(self) {
        let mut next = Instant::now();
        loop {
            burn(self.busy, thread_cpu_ns);
            let now = Instant::now();
            next = self.next(next, now);
            thread::sleep(next - now);
        }
    }

    /// When the next time begins after one that began at `begun`: a core that had no time for it
    /// does not make up for it.
    fn next(self, begun: Instant, now: Instant) -> Instant {
        (begun + self.every).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_has_a_period_that_is_longer_than_itself() {
        let ms = Duration::from_millis;
        for (busy, every, good) in
            [(1, 20, true), (4, 20, true), (20, 20, false), (0, 20, false), (1, 10_001, false)]
        {
            let load = PeriodicLoad { busy: ms(busy), every: ms(every) };
            assert_eq!(load.check().is_ok(), good, "{busy} of {every}");
        }
    }

    #[test]
    fn a_time_that_was_missed_is_not_made_up_for() {
        let load =
            PeriodicLoad { busy: Duration::from_millis(1), every: Duration::from_millis(20) };
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        for (now, next) in [(1, 20), (19, 20), (25, 25), (90, 90)] {
            assert_eq!(load.next(begun, at(now)), at(next), "at {now} ms");
        }
    }
}
