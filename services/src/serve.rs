//! Starts a service from its configuration and ends it in good order: checks, files, keys,
//! listeners, the ready line, a signal, the drain.
//!
//! It owns the order of a service's life. It refuses to begin listening before every file it needs
//! was read and every address understood, so that what starts also works.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use runtime::process::{Shutdown, raise_file_limit, terminate_when_stdin_closes};
use runtime::{DrainReport, Driver, Running};
use serde_json::json;

use crate::assemble::assemble;
use crate::config::ServiceConfig;
use crate::error::ServeError;
use crate::open_files;

/// A service that listens.
#[derive(Debug)]
pub struct Started {
    running: Running,
    service: &'static str,
}

impl Started {
    pub(crate) fn new(running: Running, service: &'static str) -> Started {
        Started { running, service }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// Where its admin pages are.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.running.admin
    }

    /// The I/O driver in use.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.running.driver
    }

    /// Stops accepting, finishes what is in flight, and cuts what is not finished after `within`.
    pub fn drain(self, within: Duration) -> DrainReport {
        self.running.drain(within)
    }

    /// The line that tells a parent process where the service is.
    fn ready_line(&self) -> String {
        let ready = json!({
            "service": self.service,
            "listen": self.addr().to_string(),
            "admin": self.admin().map(|addr| addr.to_string()),
            "driver": self.driver().as_str(),
            "pid": std::process::id(),
        });
        json!({ "ready": ready }).to_string()
    }
}

/// Runs a service until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// A sentence that says why it did not start, or that the drain had to cut connections.
pub fn serve(config: ServiceConfig) -> Result<(), ServeError> {
    let drain = config.drain;
    until_told(config.exit_with_stdin, drain, || start(config))
}

/// Starts something that listens, tells where, and drains it when a signal comes.
pub(crate) fn until_told(
    exit_with_stdin: bool,
    drain: Duration,
    start: impl FnOnce() -> Result<Started, ServeError>,
) -> Result<(), ServeError> {
    let mut shutdown = Shutdown::install()
        .map_err(|error| ServeError::Start(format!("signals cannot be taken over: {error}")))?;
    if exit_with_stdin {
        terminate_when_stdin_closes().map_err(|error| ServeError::Start(error.to_string()))?;
    }
    if let Err(error) = raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let started = start()?;
    // A parent that does not read its end of the pipe must not end the service.
    let _ = writeln!(io::stdout(), "{}", started.ready_line());
    let service = started.service;
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
pub fn start(mut config: ServiceConfig) -> Result<Started, ServeError> {
    config.check()?;
    for warning in config.warnings() {
        // Not through the log, whose level could hide it.
        let _ = writeln!(io::stderr(), "WARNING: {warning}");
    }
    open_files::fit(&mut config)?;
    assemble(config)
}
