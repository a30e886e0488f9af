//! One executor per core, as services see it: a thread that is pinned to one processor and runs one
//! monoio executor. What a [`Core`] owns never leaves that thread; cores share nothing on the path
//! of a request.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::executor::driver::Driver;
use crate::io::local::Local;
use crate::observe::stats::{CoreStats, StatsRef};

/// One core, as services see it; it lives and is cloned on its own thread.
#[derive(Clone)]
pub struct Core {
    /// Its number, from 0.
    pub index: usize,
    /// The processor it is pinned to; `None` if pinning was refused.
    pub cpu: Option<usize>,
    /// The driver it runs on.
    pub driver: Driver,
    pub(crate) local: Rc<Local>,
}

impl Core {
    pub(crate) fn new(
        index: usize,
        cpu: Option<usize>,
        driver: Driver,
        stats: &Arc<[CoreStats]>,
    ) -> Core {
        let stats = StatsRef { all: stats.clone(), index };
        Core { index, cpu, driver, local: Rc::new(Local::new(stats)) }
    }

    /// This core's counters.
    #[must_use]
    pub fn stats(&self) -> &CoreStats {
        &self.local.stats
    }

    /// The counters of all cores of this launch.
    #[must_use]
    pub fn all_stats(&self) -> &Arc<[CoreStats]> {
        &self.local.stats.all
    }

    /// Whether the process has been told to finish: a readiness probe should say so.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.local.draining.get()
    }

    /// Runs `future` beside the connections of this core. It must never wake itself in a circle:
    /// that would starve the core. It is dropped, wherever it stands, when the core ends.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        monoio::spawn(future);
    }

    /// As [`Core::spawn`], for work that must not be lost: a graceful shutdown waits for it within
    /// its deadline, and `cut` is called if it is not done by then. See [`Core::draining`].
    pub fn spawn_owed(
        &self,
        future: impl Future<Output = ()> + 'static,
        cut: impl FnOnce() + 'static,
    ) {
        let local = self.local.clone();
        let number = local.owed_so_far.replace(local.owed_so_far.get() + 1);
        local.owed.borrow_mut().insert(number, Box::new(cut));
        monoio::spawn(async move {
            future.await;
            local.owed.borrow_mut().remove(&number);
        });
    }

    /// Waits for `duration`, to the millisecond.
    pub async fn sleep(&self, duration: Duration) {
        monoio::time::sleep(duration).await;
    }

    /// Waits for `duration`, or until a graceful shutdown begins.
    pub async fn sleep_while_serving(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.draining() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.sleep(left.min(DRAIN_NOTICED_WITHIN)).await;
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("index", &self.index)
            .field("cpu", &self.cpu)
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

/// How soon a task that waits notices that a graceful shutdown began.
const DRAIN_NOTICED_WITHIN: Duration = Duration::from_millis(100);
