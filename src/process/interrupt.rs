//! Ctrl-C in a command that measures: taken over before anything begins, looked at while something
//! is waited for. It owns the wait before the first slice; what ends a slice is the command's.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use runtime::blocking;
use runtime::process::{Shutdown, raise_file_limit};

use crate::Failure;
use crate::process::held;

/// How often a wait looks whether Ctrl-C came.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What every command that measures begins with: takes over Ctrl-C, which then also ends requests
/// beside the traffic, and may open many files.
pub(crate) fn begin() -> Result<Shutdown, Failure> {
    let shutdown = held::shutdown()?;
    blocking::stop_with(shutdown.watch());
    raise_file_limit().map_err(|error| {
        Failure::failed(format!(
            "The limit of open files could not be raised: {error}; see tollgate doctor."
        ))
        .because(error)
    })?;
    Ok(shutdown)
}

/// Does what may wait for a file, a name or a server before anything is measured, unless Ctrl-C
/// comes first: what waits then is left behind, and ends with the process.
pub(crate) fn unless_interrupted<T: Send + 'static>(
    shutdown: &Shutdown,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = mpsc::channel();
    thread::Builder::new()
        .name("prepare".into())
        // Nobody may be left to hear of it.
        .spawn(move || _ = done.send(work()))
        .map_err(|error| {
            Failure::failed(format!("No thread could be started: {error}.")).because(error)
        })?;
    loop {
        match result.recv_timeout(POLL_INTERVAL) {
            // A failure that the signal itself made is none.
            Ok(result) if result.is_ok() || shutdown.received().is_none() => return result,
            Err(RecvTimeoutError::Timeout) if shutdown.received().is_none() => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::failed("The preparation panicked."));
            }
            _ => return Err(Failure::interrupted()),
        }
    }
}
