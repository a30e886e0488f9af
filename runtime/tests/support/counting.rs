//! The system's allocator, which counts for each thread how often it was asked and how many bytes
//! are held. A program that wants it makes it its `#[global_allocator]`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory so far, and how many bytes it has not given back,
/// without the allocator's own needs.
pub fn counted() -> (u64, i64) {
    (ALLOCATIONS.get(), HELD_BYTES.get())
}

fn count(asked: u64, grown: i64) {
    // A thread that is ending has nothing left to count.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + asked));
    let _ = HELD_BYTES.try_with(|held| held.set(held.get() + grown));
}

// SAFETY: every call goes to the system's allocator unchanged; the counts touch no memory that
// was allocated here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
