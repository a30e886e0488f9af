//! Owned I/O buffers and each core's pool of them.
//!
//! io_uring writes into memory that must not move while an operation is in flight, so buffers
//! are owned `Vec`s that travel into an operation and come back with it. monoio's `slice_mut`
//! lends the spare capacity to the kernel and sets the length to what was read, so none of this
//! needs `unsafe`. A connection holds buffers only while it has something in them or expects to
//! very soon; the pool keeps a bounded number of spare ones.

use std::cell::{Cell, RefCell};

use crate::observe::stats::StatsRef;

/// Capacity of a fresh buffer in bytes. A page: heads of ordinary requests and answers fit, and
/// a thousand busy connections cost 8 MB.
pub(crate) const BUFFER_BYTES: usize = 4096;

/// What a streamed body or a full TLS record is read into, in bytes: from here on larger reads
/// save nothing measurable.
pub(crate) const BUFFER_BYTES_LARGE: usize = 64 * 1024;

/// Spare buffers a core keeps, in number. 1024 pages are 4 MB; what a burst needed beyond that
/// goes back to the allocator.
const SPARE_MAX: usize = 1024;

/// Waits of a core that may keep their buffers to the end, in number. A read that can be called
/// back costs a hash set's worth of bookkeeping, which so many busy connections are spared; if all
/// of them fall idle, they hold 3 MB until their deadlines.
const KEPT_MAX: usize = 256;

/// The spare buffers of one core.
pub(crate) struct Buffers {
    spare: RefCell<Vec<Vec<u8>>>,
    kept: Cell<usize>,
    stats: StatsRef,
}

impl Buffers {
    /// An empty pool, which counts what it has to allocate.
    pub(crate) fn new(stats: StatsRef) -> Buffers {
        Buffers { spare: RefCell::default(), kept: Cell::new(0), stats }
    }

    /// An empty buffer with room for [`BUFFER_BYTES`] at least.
    pub(crate) fn take(&self) -> Vec<u8> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| {
            self.stats.buffers_made.add(1);
            Vec::with_capacity(BUFFER_BYTES)
        })
    }

    /// Gives a buffer back. One that has grown is not kept: it would make the pool grow too.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_MAX && buffer.capacity() == BUFFER_BYTES {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Leave to keep a buffer for as long as a wait takes; `None` if too many have it.
    #[inline]
    pub(crate) fn keep(&self) -> Option<BufferHold<'_>> {
        let kept = self.kept.get();
        if kept == KEPT_MAX {
            return None;
        }
        self.kept.set(kept + 1);
        Some(BufferHold(&self.kept))
    }

    /// How many spare buffers there are.
    #[cfg(test)]
    pub(crate) fn spare(&self) -> usize {
        self.spare.borrow().len()
    }
}

/// Leave to keep a buffer while waiting; it ends when this is dropped.
pub(crate) struct BufferHold<'a>(&'a Cell<usize>);

impl Drop for BufferHold<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The memory that one body takes beyond a page of [`BUFFER_BYTES`], in the count of its core.
pub(crate) struct BodyRoom {
    stats: StatsRef,
    held: usize,
}

impl BodyRoom {
    /// None yet.
    pub(crate) fn new(stats: StatsRef) -> BodyRoom {
        BodyRoom { stats, held: 0 }
    }

    /// Counts `bytes` in all for this body; false, and nothing changes, if the bodies of the core
    /// would take more than `max` then.
    pub(crate) fn hold(&mut self, bytes: usize, max: usize) -> bool {
        let more = bytes.saturating_sub(self.held) as u64;
        let count = &self.stats.body_bytes_held;
        if count.value() + more > max as u64 {
            return false;
        }
        count.add(more);
        self.held += more as usize;
        true
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.stats.body_bytes_held.subtract(self.held as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::stats::CoreStats;

    fn pool() -> Buffers {
        Buffers::new(StatsRef { all: Arc::new([CoreStats::default()]), index: 0 })
    }

    #[test]
    fn a_buffer_comes_back_empty() {
        let pool = pool();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"left over");
        pool.give(buffer);
        assert_eq!(pool.spare(), 1);
        let buffer = pool.take();
        assert!(buffer.is_empty() && buffer.capacity() == BUFFER_BYTES);
        assert_eq!(pool.spare(), 0);
        assert_eq!(pool.stats.buffers_made.value(), 1);
    }

    #[test]
    fn so_many_waits_keep_their_buffers_and_no_more() {
        let pool = pool();
        let mut kept: Vec<BufferHold<'_>> = std::iter::from_fn(|| pool.keep()).collect();
        assert_eq!(kept.len(), KEPT_MAX);
        kept.pop();
        assert!(pool.keep().is_some_and(|_| pool.keep().is_none()));
        assert!(pool.keep().is_some());
    }

    #[test]
    fn bodies_hold_no_more_than_all_may() {
        let stats = pool().stats;
        let mut one = BodyRoom::new(stats.clone());
        let mut other = BodyRoom::new(stats.clone());
        assert!(one.hold(60, 100) && one.hold(50, 100) && other.hold(40, 100));
        assert!(!other.hold(41, 100) && other.hold(40, 100));
        assert_eq!(stats.body_bytes_held.value(), 100);
        drop(one);
        assert!(other.hold(100, 100));
        drop(other);
        assert_eq!(stats.body_bytes_held.value(), 0);
    }

    #[test]
    fn grown_and_surplus_buffers_are_not_kept() {
        let pool = pool();
        pool.give(Vec::with_capacity(BUFFER_BYTES_LARGE));
        assert_eq!(pool.spare(), 0);
        for _ in 0..SPARE_MAX + 10 {
            pool.give(Vec::with_capacity(BUFFER_BYTES));
        }
        assert_eq!(pool.spare(), SPARE_MAX);
    }
}
