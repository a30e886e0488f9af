//! What a stream stands on: a connection of the kernel, or under the feature `memory`, for tests
//! and benchmarks only, bytes in memory.
//!
//! It owns the choice and nothing else; without the feature there is none to make.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use monoio::BufResult;
use monoio::buf::{Slice, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent};
use monoio::net::TcpStream;

use crate::system::sys;

/// One end of a connection, as the rest of this crate reads and writes it.
pub(crate) enum Socket {
    Kernel(TcpStream),
    #[cfg(feature = "memory")]
    Memory(std::rc::Rc<crate::io::pipe::Pipe>),
}

impl Socket {
    /// Waits until there is something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Socket::Kernel(tcp) => tcp.readable(false).await,
            #[cfg(feature = "memory")]
            Socket::Memory(pipe) => pipe.readable().await,
        }
    }

    /// Reads once into the slice.
    pub(crate) async fn read(
        &mut self,
        slice: SliceMut<Vec<u8>>,
    ) -> BufResult<usize, SliceMut<Vec<u8>>> {
        match self {
            Socket::Kernel(tcp) => tcp.read(slice).await,
            #[cfg(feature = "memory")]
            Socket::Memory(pipe) => pipe.read(slice).await,
        }
    }

    /// As [`Socket::read`], but can be cancelled.
    pub(crate) async fn cancelable_read(
        &mut self,
        slice: SliceMut<Vec<u8>>,
        handle: CancelHandle,
    ) -> BufResult<usize, SliceMut<Vec<u8>>> {
        match self {
            Socket::Kernel(tcp) => tcp.cancelable_read(slice, handle).await,
            #[cfg(feature = "memory")]
            Socket::Memory(pipe) => pipe.read(slice).await,
        }
    }

    /// Writes once, as much of the slice as is taken.
    pub(crate) async fn write(
        &mut self,
        slice: Slice<Vec<u8>>,
    ) -> BufResult<usize, Slice<Vec<u8>>> {
        match self {
            Socket::Kernel(tcp) => tcp.write(slice).await,
            #[cfg(feature = "memory")]
            Socket::Memory(pipe) => {
                let bytes = &slice.get_ref()[slice.begin()..slice.end()];
                (Ok(pipe.write(bytes)), slice)
            }
        }
    }

    /// Writes without waiting; returns how many bytes were taken.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Kernel(tcp) => sys::send_now(tcp, bytes),
            #[cfg(feature = "memory")]
            Socket::Memory(pipe) => Ok(pipe.write(bytes)),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Socket {
        Socket::Kernel(tcp)
    }
}

impl AsRawFd for Socket {
    /// In memory there is none: the number is one that no call takes.
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Socket::Kernel(tcp) => tcp.as_raw_fd(),
            #[cfg(feature = "memory")]
            Socket::Memory(_) => -1,
        }
    }
}
