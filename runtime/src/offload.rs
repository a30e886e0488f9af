//! Work that must not block a core: file writes, fsync, password derivation.
//!
//! It owns a bounded queue and the one thread that does its jobs, in their order. A core hands a
//! job over and goes on ([`Offload::try_send`]), or waits for the result without blocking
//! ([`Offload::submit`]). The thread sleeps while the queue is empty: nothing ticks. A full queue
//! refuses; it never makes a core wait.

mod answer;
mod error;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use error::OffloadError;

type Job = Box<dyn FnOnce() + Send>;

/// A queue of jobs and the thread that does them. Share it in an `Arc`. Dropping it lets the thread
/// finish what is queued and end, without waiting for it; see [`Offload::end`].
pub struct Offload {
    queue: Arc<JobQueue>,
}

/// What the handle and the thread have in common.
struct JobQueue {
    state: Mutex<JobList>,
    /// Rung when there is a job, or no more will come.
    work: Condvar,
    /// Rung when the thread is done.
    done: Condvar,
    jobs_max: usize,
}

#[derive(Default)]
struct JobList {
    jobs: VecDeque<Job>,
    running: bool,
    ending: bool,
    done: bool,
}

impl Offload {
    /// Starts the thread, called `name` in lists of threads. At most `jobs_max` jobs wait at a
    /// time, beside the one that runs. To be called before cores are pinned: the thread may run
    /// wherever its creator may.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(name: &str, jobs_max: usize) -> io::Result<Offload> {
        let state = JobList { jobs: VecDeque::with_capacity(jobs_max), ..JobList::default() };
        let queue = Arc::new(JobQueue {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
            jobs_max,
        });
        let own = Arc::clone(&queue);
        thread::Builder::new().name(name.to_owned()).spawn(move || own.work_off())?;
        Ok(Offload { queue })
    }

    /// Queues a job whose result nobody waits for. It may be called on any thread and returns at
    /// once. A panic of the job is printed like any other, and the thread goes on.
    ///
    /// # Errors
    /// [`OffloadError::Full`] or [`OffloadError::Ended`]; the job is dropped then.
    pub fn try_send(&self, job: impl FnOnce() + Send + 'static) -> Result<(), OffloadError> {
        self.queue.push(Box::new(job))
    }

    /// Queues a job and waits for its result, on a core, which does other work meanwhile. It takes
    /// as long as the jobs before it; two file descriptors are open until then. If the future is
    /// dropped, the job is done all the same.
    ///
    /// # Errors
    /// As [`Offload::try_send`]; or when the job panicked, was dropped at the end, or no sockets
    /// can be had to wait on.
    pub async fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OffloadError> {
        let (sender, receiver) = answer::pair()?;
        self.try_send(move || {
            let result = catch_unwind(AssertUnwindSafe(job));
            sender.send(result.map_err(|_| OffloadError::Panicked));
        })?;
        receiver.receive().await
    }

    /// Refuses further jobs, waits at most `within` until those that are queued are done, and drops
    /// the rest. Returns how many were not done, the one that still runs among them.
    #[must_use = "jobs may have been dropped"]
    pub fn end(&self, within: Duration) -> usize {
        self.queue.refuse_jobs();
        let deadline = Instant::now().checked_add(within);
        let mut state = self.queue.lock();
        while !state.done {
            let left = deadline.map_or(within, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let waited = self.queue.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let dropped = std::mem::take(&mut state.jobs);
        let running = usize::from(state.running);
        drop(state);
        // Whoever waits for one of them learns it when it is dropped, outside of the lock.
        dropped.len() + running
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        self.queue.refuse_jobs();
    }
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload")
            .field("jobs_max", &self.queue.jobs_max)
            .field("waiting", &self.queue.lock().jobs.len())
            .finish_non_exhaustive()
    }
}

impl JobQueue {
    /// Jobs run outside of the lock, so nothing can panic under it.
    fn lock(&self) -> MutexGuard<'_, JobList> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), OffloadError> {
        let mut state = self.lock();
        if state.ending {
            return Err(OffloadError::Ended);
        }
        if state.jobs.len() >= self.jobs_max {
            return Err(OffloadError::Full);
        }
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    fn refuse_jobs(&self) {
        self.lock().ending = true;
        self.work.notify_one();
    }

    /// The life of the thread.
    fn work_off(&self) {
        while let Some(job) = self.next() {
            // The panic hook has printed what happened, and `submit` tells who waits.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
        self.lock().done = true;
        self.done.notify_all();
    }

    /// The next job, once there is one; `None` when all are done and no more will come.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.running = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.running = true;
                return Some(job);
            }
            if state.ending {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests;
