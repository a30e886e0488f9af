//! Starts a service from its configuration and ends it in good order: checks, files, keys,
//! listeners, the ready line, a signal, the drain.
//!
//! It owns the order of a service's life. It refuses to begin listening before every file it needs
//! was read and every address understood, so that what starts also works.

use std::io::{self, Write};
use std::time::Duration;

use runtime::process::{Shutdown, raise_file_limit, terminate_when_stdin_closes};

use crate::boot::assemble::assemble;
use crate::boot::open_files;
use crate::boot::started::RunningService;
use crate::config::ServiceConfig;
use crate::config::error::ServeError;

/// Runs a service until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// A sentence that says why it did not start, or that the drain had to cut connections.
pub fn serve(config: ServiceConfig) -> Result<(), ServeError> {
    let drain = config.drain;
    until_signal(config.exit_with_stdin, drain, || {
        let started = start(config)?;
        started
            .follow_hangup()
            .map_err(|error| ServeError::start_of("SIGHUP cannot be taken over: ", error))?;
        Ok(started)
    })
}

/// Starts something that listens, prints where, and drains it when a signal arrives.
pub(crate) fn until_signal(
    exit_with_stdin: bool,
    drain: Duration,
    start: impl FnOnce() -> Result<RunningService, ServeError>,
) -> Result<(), ServeError> {
    let mut shutdown = Shutdown::install()
        .map_err(|error| ServeError::start_of("signals cannot be taken over: ", error))?;
    if exit_with_stdin {
        terminate_when_stdin_closes().map_err(ServeError::start)?;
    }
    if let Err(error) = raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let started = start()?;
    // A parent that does not read its end of the pipe must not end the service.
    let _ = writeln!(io::stdout(), "{}", started.ready_line());
    let service = started.service();
    let signal = shutdown.wait();
    tracing::info!(service, %signal, "draining");
    let report = started.drain(drain);
    tracing::info!(service, finished = report.finished, cut = report.cut, "drained");
    Ok(())
}

/// Starts a service and returns once it listens.
///
/// # Errors
/// A sentence that says why it did not start and what to do.
pub fn start(mut config: ServiceConfig) -> Result<RunningService, ServeError> {
    config.check()?;
    for warning in config.warnings() {
        // Not through the log, whose level could hide it.
        let _ = writeln!(io::stderr(), "WARNING: {warning}");
    }
    open_files::fit(&mut config)?;
    assemble(config)
}
