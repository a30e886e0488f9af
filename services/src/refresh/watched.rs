//! A value that one background thread renews and every core reads: verification keys, the service's
//! own access token. It owns the hand-over and nothing else.
//!
//! A reader pays one atomic load while nothing changes; the lock is taken only when the value is
//! new, so the path of a request never waits for the thread that fetches.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The shared half: what was published last.
#[derive(Debug)]
pub struct Watched<T> {
    /// Zero as long as nothing was published. The store (Release, after the value) pairs with the
    /// reader's load (Acquire).
    version: AtomicU64,
    value: Mutex<Option<Arc<T>>>,
}

impl<T> Default for Watched<T> {
    fn default() -> Watched<T> {
        Watched { version: AtomicU64::new(0), value: Mutex::new(None) }
    }
}

impl<T> Watched<T> {
    /// Makes `value` what readers see from now on.
    pub fn publish(&self, value: Arc<T>) {
        let mut slot = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(value);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// True once a value is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.version() != 0
    }

    /// Another number after each value that is published.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What was published last.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One core's view of a published value.
#[derive(Debug)]
pub struct WatchReader<T> {
    shared: Arc<Watched<T>>,
    seen: Cell<u64>,
    value: RefCell<Option<Arc<T>>>,
}

impl<T> WatchReader<T> {
    /// A view that has seen nothing yet.
    #[must_use]
    pub fn new(shared: Arc<Watched<T>>) -> WatchReader<T> {
        WatchReader { shared, seen: Cell::new(0), value: RefCell::new(None) }
    }

    /// Takes over a newer value if there is one; true if there was.
    pub fn refresh(&self) -> bool {
        let version = self.shared.version();
        if version == self.seen.get() {
            return false;
        }
        self.value.replace(self.shared.latest());
        self.seen.set(version);
        true
    }

    /// The value, renewed first where there is a newer one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.refresh();
        self.value.borrow().clone()
    }

    /// Calls `f` with the value last taken over by [`WatchReader::refresh`].
    pub fn with<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        f(self.value.borrow().as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_each_value_once_as_new() {
        let shared = Arc::new(Watched::default());
        let reader = WatchReader::new(Arc::clone(&shared));
        assert!(!reader.refresh() && reader.get().is_none() && !shared.is_ready());
        shared.publish(Arc::new(1));
        assert!(shared.is_ready() && reader.refresh() && !reader.refresh());
        shared.publish(Arc::new(2));
        assert_eq!(reader.get().as_deref(), Some(&2));
    }
}
