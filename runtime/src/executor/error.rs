//! Why nothing was started.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Executors one process may have; beyond it something was mistyped.
pub(crate) const WORKERS_MAX: usize = 1024;

/// Why nothing was started. Each says what to do.
#[derive(Debug)]
pub enum StartError {
    /// Another socket holds the address.
    AddressInUse(SocketAddr),
    /// The address cannot be bound.
    Bind(SocketAddr, io::Error),
    /// The processors this process may use cannot be told.
    Affinity(io::Error),
    /// A processor was named that this process may not use.
    CoreNotAllowed {
        /// The one that was named.
        cpu: usize,
        /// Those that may be used.
        allowed: Vec<usize>,
    },
    /// So many workers make no sense.
    Workers(usize),
    /// io_uring was required and is refused.
    IoUring(io::Error),
    /// Not even epoll can be had.
    Epoll(io::Error),
    /// A thread cannot be started, or ended before it was ready.
    Thread(io::Error),
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Bind(_, error)
            | StartError::Affinity(error)
            | StartError::IoUring(error)
            | StartError::Epoll(error)
            | StartError::Thread(error) => Some(error),
            StartError::AddressInUse(_)
            | StartError::CoreNotAllowed { .. }
            | StartError::Workers(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::AddressInUse(addr) => {
                write!(f, "{addr} is taken by another process; stop it or listen on another port")
            }
            StartError::Bind(addr, error) => write!(f, "cannot listen on {addr}: {error}"),
            StartError::Affinity(error) => {
                write!(f, "the kernel does not tell which processors may be used: {error}")
            }
            StartError::CoreNotAllowed { cpu, allowed } => write!(
                f,
                "processor {cpu} is not one this process may use; choose from {allowed:?}"
            ),
            StartError::Workers(workers) => {
                write!(f, "{workers} workers cannot be had; give 1 to {WORKERS_MAX}")
            }
            StartError::IoUring(error) => write!(
                f,
                "io_uring is required and cannot be used: {error}; it needs Linux 6.0, \
                 sysctl kernel.io_uring_disabled=0, and a container that does not block it \
                 (tollgate doctor tells which it is)"
            ),
            StartError::Epoll(error) => {
                write!(f, "no event queue can be had: {error}; raise the limit of open files")
            }
            StartError::Thread(error) => write!(f, "cannot start a worker thread: {error}"),
        }
    }
}
