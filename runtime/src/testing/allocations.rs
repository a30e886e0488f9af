//! An allocator that counts, for tests that say what a path may allocate.
//!
//! It owns two counts for each thread, of calls and of bytes, and passes every call on to the
//! system's allocator. It refuses to tell what was allocated, or to limit it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts what each thread asks it for. A test makes it its own with
/// `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory so far, growing what it had included.
#[must_use]
pub fn so_far() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// How many bytes this thread has asked for and not given back, without the allocator's own needs.
#[must_use]
pub fn held_bytes() -> i64 {
    HELD_BYTES.with(Cell::get)
}

fn count(asked: u64, grown: i64) {
    // A thread that is ending has nothing left to count.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + asked));
    let _ = HELD_BYTES.try_with(|held| held.set(held.get() + grown));
}

/// A layout's size in the sign that is counted with; none is larger than that.
fn size(layout: Layout) -> i64 {
    layout.size() as i64
}

// SAFETY: every call goes to the system's allocator unchanged; the count touches no memory that
// was allocated here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -size(layout));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count(1, new as i64 - size(layout));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, new) }
    }
}
