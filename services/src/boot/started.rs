//! A service that listens: where it is, and how it ends.
//!
//! It owns the ready line. It refuses to start anything: who made the listeners hands them over.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::{DrainReport, Driver, Running};
use serde_json::json;

/// A service that listens.
#[derive(Debug)]
pub struct RunningService {
    running: Running,
    service: &'static str,
}

impl RunningService {
    pub(crate) fn new(running: Running, service: &'static str) -> RunningService {
        RunningService { running, service }
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

    /// The service's name.
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    /// The line by which a parent process learns where the service is.
    pub(crate) fn ready_line(&self) -> String {
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
