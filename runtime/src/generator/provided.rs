//! The memory that io_uring receives into: a ring of equal buffers that the kernel picks from, so
//! that a connection which waits for an answer holds no buffer at all.
//!
//! Owns that memory and the hand-over of each buffer. Refuses to know whose bytes they are.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The buffer group that receives name.
pub(super) const GROUP: u16 = 0;
/// A power of two. More completions than this between two turns wait in the socket.
const COUNT: u16 = 1024;
/// A small answer fits one buffer.
const SIZE: usize = 4 * 1024;
const PAGE: usize = 4096;

/// See the module. The ring that these are registered with must be gone before they are dropped.
pub(super) struct ProvidedBuffers {
    entries: NonNull<BufRingEntry>,
    bytes: NonNull<u8>,
    tail: u16,
}

impl ProvidedBuffers {
    pub(super) fn new() -> ProvidedBuffers {
        let mut buffers = ProvidedBuffers {
            entries: allocate(entries_layout()).cast(),
            bytes: allocate(bytes_layout()),
            tail: 0,
        };
        for id in 0..COUNT {
            buffers.give(id);
        }
        buffers
    }

    /// Lets the kernel use the buffers for receives of [`GROUP`].
    ///
    /// # Safety
    /// The buffers must outlive the ring, or be unregistered before they are dropped.
    pub(super) unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.entries.as_ptr().addr() as u64;
        // SAFETY: `entries` has COUNT elements and is aligned to a page; that it lives long
        // enough is what our caller promises.
        unsafe { submitter.register_buf_ring(address, COUNT, GROUP) }
    }

    /// Lets `use_bytes` have what the kernel received into buffer `id`, to change it as well, then
    /// gives the buffer back.
    ///
    /// # Safety
    /// A completion must have handed over `id` with `count` bytes, and it must not have been
    /// given back since: otherwise the kernel may write while the bytes are in use.
    pub(super) unsafe fn with<T>(
        &mut self,
        id: u16,
        count: usize,
        use_bytes: impl FnOnce(&mut [u8]) -> T,
    ) -> T {
        assert!(id < COUNT && count <= SIZE, "the kernel names only buffers that it was given");
        // SAFETY: the range lies inside the allocation (asserted) and was zeroed at first; the
        // kernel does not touch it while the buffer is ours, as our caller promises.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(self.bytes.as_ptr().add(usize::from(id) * SIZE), count)
        };
        let result = use_bytes(bytes);
        self.give(id);
        result
    }

    /// Puts buffer `id` at the end of the ring and publishes it.
    fn give(&mut self, id: u16) {
        let place = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `place` is below COUNT, so the entry lies inside the allocation, and the kernel
        // reads it only once the tail below is published. The setters leave the tail, which
        // shares the first entry's reserved field, alone.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(place);
            let address = self.bytes.as_ptr().add(usize::from(id) * SIZE);
            entry.set_addr(address.expose_provenance() as u64);
            entry.set_len(SIZE as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the pointer is to the first entry of the ring, aligned and initialised; the
        // field is a u16 that both sides access atomically. Release pairs with the kernel's
        // acquire of the tail.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for ProvidedBuffers {
    fn drop(&mut self) {
        // SAFETY: both were allocated in `new` with these layouts, and by the type's rule no ring
        // uses them any more.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), entries_layout());
            dealloc(self.bytes.as_ptr(), bytes_layout());
        }
    }
}

fn entries_layout() -> Layout {
    Layout::from_size_align(usize::from(COUNT) * size_of::<BufRingEntry>(), PAGE)
        .expect("a few pages are a layout")
}

fn bytes_layout() -> Layout {
    Layout::from_size_align(usize::from(COUNT) * SIZE, PAGE).expect("4 MiB are a layout")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: both layouts have a size above zero.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}
