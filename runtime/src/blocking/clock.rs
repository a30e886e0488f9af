//! The one deadline of a blocking request, and the wish to stop that shortens it.
//!
//! Owns what is left of the time, and how waits that know no deadline get one. Refuses to end a
//! request at the very moment of the wish: a server that is well gets to answer, so that what was
//! measured until then is kept.

use std::cell::Cell;
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::Error;
use crate::system::process::ShutdownWatch;

/// How often a wait looks whether the process was told to stop.
const TURN: Duration = Duration::from_millis(50);

/// What a request has left once the process was told to stop: many times what a server needs that
/// is well, and little to a person.
const STOPPING: Duration = Duration::from_millis(250);

/// What is waited where no end is in sight: a year.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

static SHUTDOWN: OnceLock<ShutdownWatch> = OnceLock::new();

/// From now on the wish to stop ends every request of this process soon. For commands whose
/// requests are only worth waiting for while somebody wants the result; the first call counts.
pub fn stop_with(shutdown: ShutdownWatch) {
    // A second watch would tell the same.
    let _ = SHUTDOWN.set(shutdown);
}

/// What is left of a request's time.
pub(super) struct RequestClock {
    end: Instant,
    shutdown: Option<ShutdownWatch>,
    /// The end since the wish to stop was seen.
    cut: Cell<Option<Instant>>,
}

impl RequestClock {
    pub(super) fn new(deadline: Duration) -> RequestClock {
        let now = Instant::now();
        RequestClock {
            // A deadline that no clock can count to is none.
            end: now.checked_add(deadline).unwrap_or(now + FOR_EVER),
            shutdown: SHUTDOWN.get().cloned(),
            cut: Cell::new(None),
        }
    }

    /// What is left; an error once it is nothing.
    pub(super) fn left(&self, doing: &'static str) -> Result<Duration, Error> {
        let now = Instant::now();
        let asked = || self.shutdown.as_ref().is_some_and(|watch| watch.received().is_some());
        if self.cut.get().is_none() && asked() {
            self.cut.set(Some(now + STOPPING));
        }
        if self.cut.get().is_some_and(|cut| now >= cut) {
            return Err(Error::Interrupted(doing));
        }
        let left = self.end.saturating_duration_since(now);
        if left.is_zero() { Err(Error::Timeout(doing)) } else { Ok(left) }
    }

    /// How long to wait before looking again.
    pub(super) fn turn(&self, doing: &'static str) -> Result<Duration, Error> {
        let left = self.left(doing)?;
        Ok(if self.shutdown.is_some() { left.min(TURN) } else { left })
    }

    /// Does what knows no deadline, or none that can be cut, on a thread that may be left behind;
    /// it ends by itself.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (done, result) = mpsc::channel();
        let started = thread::Builder::new().name("wait".to_owned()).spawn(move || {
            // The asker may have given up.
            let _ = done.send(work());
        });
        started.map_err(|error| Error::Io(error.kind()))?;
        loop {
            match result.recv_timeout(self.turn(doing)?) {
                Ok(result) => return Ok(result),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Error::Timeout(doing)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn clock(deadline: Duration, stopping: bool) -> RequestClock {
        let shutdown = Some(ShutdownWatch::fixed(stopping));
        RequestClock { end: Instant::now() + deadline, shutdown, cut: Cell::new(None) }
    }

    #[test]
    fn a_wish_to_stop_leaves_a_wait_a_moment_and_no_more() {
        let stopping = clock(LONG, true);
        assert_eq!(stopping.wait_for("x", || 7), Ok(7));
        let begun = Instant::now();
        assert_eq!(stopping.wait_for("x", || thread::sleep(LONG)), Err(Error::Interrupted("x")));
        assert!(begun.elapsed() < LONG / 2);
    }

    #[test]
    fn any_deadline_can_be_counted_to() {
        for deadline in [Duration::ZERO, LONG, Duration::from_secs(1 << 62), Duration::MAX] {
            assert_eq!(RequestClock::new(deadline).left("x").is_ok(), deadline > Duration::ZERO);
        }
    }

    #[test]
    fn without_it_a_wait_has_its_deadline() {
        for shutdown in [None, Some(ShutdownWatch::fixed(false))] {
            let clock = RequestClock { shutdown, ..clock(Duration::from_millis(80), false) };
            assert_eq!(clock.wait_for("x", || thread::sleep(LONG)), Err(Error::Timeout("x")));
        }
    }
}
