//! A background thread that keeps one thing fresh: tries, waits until the thing gets old or
//! somebody asks, and tries again; after a failure it waits longer each time. It owns the pace and
//! the thread, and knows nothing of what is kept. It refuses to be hurried: asking cannot make it
//! try more than once a second, because a stranger's token can cause the asking.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::error::RefreshError;

/// Least time between two tries that were asked for.
const ASKED_GAP: Duration = Duration::from_secs(1);
/// First wait after a failure. Services of a stack start together, so the other is up in a moment.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The handle of a keeping thread, which ends when the handle is dropped.
#[derive(Debug)]
pub struct Refresher {
    shared: Arc<RefreshShared>,
}

#[derive(Debug, Default)]
struct RefreshShared {
    state: Mutex<RefreshState>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct RefreshState {
    asked: bool,
    stopped: bool,
    fault: Option<String>,
}

impl RefreshShared {
    fn lock(&self) -> MutexGuard<'_, RefreshState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refresher {
    /// Starts the thread. `attempt` returns how long its result is good for, or what went wrong.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        name: &'static str,
        mut attempt: impl FnMut() -> Result<Duration, RefreshError> + Send + 'static,
    ) -> io::Result<Refresher> {
        let shared = Arc::new(RefreshShared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new().name(name.to_string()).spawn(move || {
            let mut retry = RETRY_FIRST;
            loop {
                let started = Instant::now();
                let result = attempt();
                let wait = match &result {
                    Ok(good_for) => {
                        retry = RETRY_FIRST;
                        *good_for
                    }
                    Err(_) => {
                        let wait = retry;
                        retry = (retry * 2).min(RETRY_MAX);
                        wait
                    }
                };
                note(name, &own, result.err().map(|error| error.to_string()));
                if !rest(&own, started, wait) {
                    return;
                }
            }
        })?;
        Ok(Refresher { shared })
    }

    /// Asks for a try before the thing is old.
    pub fn ask(&self) {
        let mut state = self.shared.lock();
        if !state.asked {
            state.asked = true;
            self.shared.bell.notify_one();
        }
    }

    /// What went wrong last time, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.shared.lock().fault.clone()
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.bell.notify_one();
    }
}

/// Keeps the outcome for `/readyz` and logs it when it is news.
fn note(name: &str, shared: &RefreshShared, fault: Option<String>) {
    let mut state = shared.lock();
    if state.fault == fault {
        return;
    }
    match &fault {
        Some(fault) => tracing::warn!(refresher = name, "{fault}; trying again"),
        None => tracing::info!(refresher = name, "works again"),
    }
    state.fault = fault;
}

/// Waits until `wait` is over, or somebody asks and the last try is long enough ago. False: stop.
fn rest(shared: &RefreshShared, started: Instant, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    let mut state = shared.lock();
    loop {
        let now = Instant::now();
        let due = if state.asked { until.min(started + ASKED_GAP) } else { until };
        if state.stopped || now >= due {
            state.asked = false;
            return !state.stopped;
        }
        let waited = shared.bell.wait_timeout(state, due - now);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn failures_are_repeated_and_remembered_until_it_works() {
        let (tell, told) = mpsc::channel();
        let mut tries = 0;
        let refresher = Refresher::start("test", move || {
            tries += 1;
            tell.send(tries).unwrap();
            if tries < 3 {
                Err(RefreshError::new(format!("try {tries}")))
            } else {
                Ok(Duration::from_secs(60))
            }
        })
        .unwrap();
        for expected in 1..=3 {
            assert_eq!(told.recv_timeout(SOON), Ok(expected));
        }
        let deadline = Instant::now() + SOON;
        while refresher.fault().is_some() {
            assert!(Instant::now() < deadline, "the fault is forgotten once it works");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn asking_hurries_but_not_more_than_once_a_second() {
        let (tell, told) = mpsc::channel();
        let refresher = Refresher::start("test", move || {
            tell.send(Instant::now()).unwrap();
            Ok(Duration::from_secs(60))
        })
        .unwrap();
        let first = told.recv_timeout(SOON).unwrap();
        (0..100).for_each(|_| refresher.ask());
        let second = told.recv_timeout(SOON).unwrap();
        assert!(second - first >= Duration::from_millis(990));
        drop(refresher);
        assert_eq!(told.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
