//! When a service of `up` that ended by itself is started again, and what was lost with it. It owns
//! the pace, and starts nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most starts of a service within [`WINDOW`]: one that cannot run must not fill disk and log.
pub(crate) const STARTS_MAX: usize = 10;

/// The time that [`STARTS_MAX`] is about.
const WINDOW: Duration = Duration::from_secs(60);

/// The wait before the second start; it doubles from start to start, and the first one waits for
/// nothing.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// The longest of these waits.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// A service that lived this long is well, and its next end is a first one again.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// The starts of one service after its own ends.
#[derive(Debug, Default)]
pub(crate) struct RestartBackoff {
    starts: VecDeque<Instant>,
    wait: Duration,
}

impl RestartBackoff {
    /// When a service that ended `now` may be started.
    pub(crate) fn due(&mut self, now: Instant) -> Instant {
        self.wait = match self.starts.back() {
            Some(last) if now.duration_since(*last) < WELL_AFTER => {
                (self.wait * 2).clamp(WAIT_FIRST, WAIT_MAX)
            }
            _ => Duration::ZERO,
        };
        self.starts.retain(|start| now.duration_since(*start) < WINDOW);
        let full = self.starts.len() >= STARTS_MAX;
        let free = full.then(|| self.starts[self.starts.len() - STARTS_MAX] + WINDOW);
        free.map_or(now + self.wait, |free| free.max(now + self.wait))
    }

    /// Notes a start.
    pub(crate) fn started(&mut self, now: Instant) {
        self.starts.push_back(now);
    }
}

/// What a service held in memory alone.
pub(crate) fn lost(service: &str) -> &'static str {
    match service {
        "orders" => {
            "Every order and idempotency key that it held is lost; what they reserved stays \
             reserved at inventory."
        }
        "inventory" => {
            "Its reservations and idempotency keys are lost, and stock is back at its start."
        }
        "auth" => "Nothing is lost: its keys and clients are files, and tokens stay valid.",
        "gateway" => "Requests in flight are lost, and nothing else: it keeps no data.",
        _ => "What it held in memory is lost.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_is_at_once_and_further_ones_wait_longer_each_time() {
        let (mut pace, mut now) = (RestartBackoff::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = pace.due(now);
            waits.push((due - now).as_millis());
            now = due;
            pace.started(now);
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_600, 3_200, 6_400]);
        assert_eq!(pace.due(now + WELL_AFTER), now + WELL_AFTER);
    }

    #[test]
    fn no_minute_has_more_than_ten_starts() {
        let (mut pace, mut now) = (RestartBackoff::default(), Instant::now());
        let mut starts = Vec::new();
        for lived in (0..300).map(|n| Duration::from_millis(n % 7 * 2_000)) {
            now = pace.due(now);
            pace.started(now);
            starts.push(now);
            now += lived;
        }
        let eleven = starts.windows(STARTS_MAX + 1);
        assert!(eleven.clone().all(|some| some[STARTS_MAX] - some[0] >= WINDOW));
        assert!(eleven.len() > 100);
    }

    #[test]
    fn every_service_reports_lost_work() {
        for service in crate::process::stack::MESH {
            assert!(!lost(service).starts_with("What it held"), "{service}");
        }
    }
}
