//! The addresses of an upstream that was given by name: looked up once before the service listens,
//! then again every so often, and when no address takes a connection.
//!
//! It owns the thread that asks, because the system's resolver knows no deadline: a dead one holds
//! that thread up and nothing else, and the addresses known so far stay in use. It refuses to
//! publish what is no news: an upstream whose addresses come in another order keeps its
//! connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use runtime::Addresses;

use crate::config::error::RefreshError;
use crate::refresh::refresher::Refresher;
use crate::refresh::watched::Watched;

/// Stands for "only when asked": longer than any process lives.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The addresses of one name, on all cores.
#[derive(Debug)]
pub(super) struct Resolved {
    published: Arc<Watched<Vec<SocketAddr>>>,
    refresher: Refresher,
}

impl Resolved {
    /// Begins with `first`, and calls `look_up` every `interval` from then on; with an interval of
    /// zero only after failures. `name` is for the log.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn keep(
        name: String,
        first: Vec<SocketAddr>,
        interval: Duration,
        mut look_up: impl FnMut() -> Result<Vec<SocketAddr>, RefreshError> + Send + 'static,
    ) -> io::Result<Resolved> {
        let interval = if interval.is_zero() { NEVER } else { interval };
        let published = Arc::new(Watched::default());
        published.publish(Arc::new(first.clone()));
        let (own, mut known) = (Arc::clone(&published), Some(first));
        let mut last = Vec::new();
        let refresher = Refresher::start("resolver", move || {
            // What was looked up before the thread began is good for one interval as well.
            let found = match known.take() {
                Some(first) => first,
                None => look_up()?,
            };
            let mut sorted = found.clone();
            sorted.sort_unstable();
            if sorted != last && !last.is_empty() {
                tracing::info!(upstream = name, addresses = ?found, "the addresses have changed");
                own.publish(Arc::new(found));
            }
            last = sorted;
            Ok(interval)
        })?;
        Ok(Resolved { published, refresher })
    }
}

impl Addresses for Resolved {
    fn version(&self) -> u64 {
        self.published.version()
    }

    fn list(&self) -> Arc<Vec<SocketAddr>> {
        self.published.latest().unwrap_or_default()
    }

    fn failed(&self) {
        self.refresher.ask();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn at(ports: &[u16]) -> Vec<SocketAddr> {
        ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect()
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn new_addresses_are_published_within_an_interval_and_reorderings_are_not() {
        let (answer, answers) = mpsc::channel::<Vec<SocketAddr>>();
        let short = Duration::from_millis(1);
        let look_up = move || answers.recv().map_err(|error| RefreshError::of("", error));
        let resolved = Resolved::keep("a".into(), at(&[1, 2]), short, look_up).unwrap();
        let first = resolved.version();
        assert_eq!(*resolved.list(), at(&[1, 2]));
        answer.send(at(&[2, 1])).unwrap();
        answer.send(at(&[3])).unwrap();
        until("the new address is there", || *resolved.list() == at(&[3]));
        assert_eq!(resolved.version(), first + 1, "the other order was no news");
    }

    #[test]
    fn without_an_interval_only_failures_trigger_a_lookup() {
        let (asked, asks) = mpsc::channel();
        let look_up = move || {
            asked.send(()).unwrap();
            Ok(at(&[7]))
        };
        let resolved = Resolved::keep("a".into(), at(&[1]), Duration::ZERO, look_up).unwrap();
        assert_eq!(
            asks.recv_timeout(Duration::from_millis(50)),
            Err(mpsc::RecvTimeoutError::Timeout)
        );
        resolved.failed();
        asks.recv_timeout(SOON).unwrap();
        until("the new address is there", || *resolved.list() == at(&[7]));
    }

    #[test]
    fn a_hanging_or_failing_resolver_keeps_the_known_addresses() {
        let (release, held) = mpsc::channel::<()>();
        let (asked, asks) = mpsc::channel();
        let mut failures = 0;
        let look_up = move || {
            asked.send(()).unwrap();
            if failures < 2 {
                failures += 1;
                return Err(RefreshError::new("no such name"));
            }
            let _ = held.recv();
            Ok(at(&[9]))
        };
        let short = Duration::from_millis(1);
        let resolved = Resolved::keep("a".into(), at(&[1]), short, look_up).unwrap();
        (0..3).for_each(|_| asks.recv_timeout(SOON).unwrap());
        // It hangs now.
        (0..1000).for_each(|_| resolved.failed());
        assert_eq!(*resolved.list(), at(&[1]));
        release.send(()).unwrap();
        until("it goes on", || *resolved.list() == at(&[9]));
    }
}
