//! What stands in for the kernel where a connection is bytes in memory.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use monoio::BufResult;
use monoio::buf::SliceMut;

/// Both directions of one connection.
#[derive(Default)]
pub(crate) struct Pipe {
    pub(crate) to_server: RefCell<Vec<u8>>,
    pub(crate) ended: Cell<bool>,
    pub(crate) from_server: RefCell<Vec<u8>>,
}

impl Pipe {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|_| if self.is_readable() { Poll::Ready(Ok(())) } else { Poll::Pending }).await
    }

    pub(crate) async fn read(
        &self,
        slice: SliceMut<Vec<u8>>,
    ) -> BufResult<usize, SliceMut<Vec<u8>>> {
        if let Err(error) = self.readable().await {
            return (Err(error), slice);
        }
        let (begin, end) = (slice.begin(), slice.end());
        let mut bytes = slice.into_inner();
        let mut waiting = self.to_server.borrow_mut();
        let count = waiting.len().min(end - begin);
        bytes.truncate(begin);
        bytes.extend_from_slice(&waiting[..count]);
        waiting.drain(..count);
        (Ok(count), SliceMut::new(bytes, begin, end))
    }

    /// Takes everything.
    pub(crate) fn write(&self, bytes: &[u8]) -> usize {
        self.from_server.borrow_mut().extend_from_slice(bytes);
        bytes.len()
    }

    fn is_readable(&self) -> bool {
        self.ended.get() || !self.to_server.borrow().is_empty()
    }
}
