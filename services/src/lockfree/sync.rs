//! The shared-memory types the stores are built from: std's in a build, loom's under `--cfg loom`.
//!
//! Owns the switch and nothing else, so that a store's source is the same text in production and
//! in the model checker. The one lock is for what few requests pass and none waits under; a store
//! that every request passes does without.

#[cfg(not(loom))]
pub(crate) use std::hash::RandomState;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use model::{OnceLock, RandomState};

/// What loom lacks, modelled with what it has.
#[cfg(loom)]
mod model {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use loom::sync::atomic::{AtomicBool, Ordering};

    /// A seed that is the same in every execution: the model checker replays executions, and a
    /// random one would send the replay to other buckets.
    pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;

    /// std's cell behind a loom flag: the flag carries the ordering that the real one promises.
    ///
    /// Loom runs its threads as coroutines of one thread, so the inner cell cannot itself race.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        full: AtomicBool,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            OnceLock { full: AtomicBool::new(false), value: std::sync::OnceLock::new() }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // Acquire: pairs with the Release in `set`. An exchange where a load would do: of a
            // thread that loads and then stores, loom forgets who loaded before it, and would not
            // try the other order.
            let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            let full = self.full.compare_exchange(true, true, acquire, relaxed).is_ok();
            full.then(|| self.value.get())?
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            let result = self.value.set(value);
            if result.is_ok() {
                // Release: pairs with the Acquire in `get`.
                self.full.store(true, Ordering::Release);
            } else {
                // The real `set` returns only once the winner's value is there.
                while !self.full.load(Ordering::Acquire) {
                    loom::thread::yield_now();
                }
            }
            result
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            if self.get().is_none() {
                let _ = self.set(make());
            }
            self.get().expect("set just above, by us or by the winner")
        }
    }
}
