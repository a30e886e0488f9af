//! One number with one writer and any number of readers.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number with a single writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning core may call this: two writers would lose counts.
    #[inline]
    pub fn add(&self, n: u64) {
        // Relaxed: the value stands alone, no other memory is published through it.
        let value = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(value, Ordering::Relaxed);
    }

    /// Takes `n` off again, for what can be open and closed. Only the owning core may call this.
    #[inline]
    pub fn subtract(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// The value now; any thread may ask.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
