//! The executor of one core: monoio, on io_uring or epoll.
//!
//! The driver is io_uring with COOP_TASKRUN and SINGLE_ISSUER, the only ring flags that were
//! found to matter (DEFER_TASKRUN starves all I/O while any task stays runnable). An older kernel
//! gets a plain ring, one without io_uring gets epoll; whoever must not measure the wrong thing
//! asks for [`DriverChoice::RequireIoUring`].

use std::fmt;
use std::future::Future;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use crate::executor::error::StartError;

/// How the kernel is asked for I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with COOP_TASKRUN and SINGLE_ISSUER, or DEFER_TASKRUN (Linux 6.0).
    IoUring,
    /// io_uring without flags: correct, but about 1.4 times the processor time.
    IoUringPlain,
    /// epoll.
    Epoll,
}

impl Driver {
    /// The name for labels and results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::IoUringPlain => "io_uring-plain",
            Driver::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which drivers will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The best there is.
    #[default]
    Auto,
    /// io_uring with its flags, or an error that says why not.
    RequireIoUring,
    /// epoll, whatever else there is.
    Epoll,
}

/// A monoio executor with timers, on whichever driver could be had.
pub(crate) enum Executor {
    Uring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

/// Submissions the ring holds before they must be handed over; one batch of wake-ups is smaller.
const RING_ENTRIES: u32 = 1024;

/// Completions the ring holds. monoio ignores errors of an overflown queue, so there is room for
/// every connection of a large burst to complete at once.
const RING_COMPLETIONS: u32 = 16 * 1024;

impl Executor {
    /// Builds the executor on the thread that will run it (SINGLE_ISSUER asks for that).
    pub(crate) fn new(choice: DriverChoice) -> Result<(Executor, Driver), StartError> {
        if choice == DriverChoice::Epoll {
            return Self::epoll();
        }
        let refused = match Self::ring(true) {
            Ok(ring) => return Ok((Executor::Uring(ring), Driver::IoUring)),
            Err(error) => error,
        };
        if choice == DriverChoice::RequireIoUring {
            return Err(StartError::IoUring(refused));
        }
        match Self::ring(false) {
            Ok(ring) => Ok((Executor::Uring(ring), Driver::IoUringPlain)),
            Err(_) => Self::epoll(),
        }
    }

    /// Runs `future`, and with it all tasks of this thread, until it is done.
    pub(crate) fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Executor::Uring(runtime) => runtime.block_on(future),
            Executor::Epoll(runtime) => runtime.block_on(future),
        }
    }

    fn ring(flags: bool) -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
        let mut ring = io_uring::IoUring::builder();
        ring.setup_cqsize(RING_COMPLETIONS);
        if flags {
            ring.setup_coop_taskrun().setup_single_issuer();
        }
        RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(RING_ENTRIES)
            .uring_builder(ring)
            .enable_timer()
            .build()
    }

    fn epoll() -> Result<(Executor, Driver), StartError> {
        let runtime = RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()
            .map_err(StartError::Epoll)?;
        Ok((Executor::Epoll(runtime), Driver::Epoll))
    }
}
