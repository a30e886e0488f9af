//! A service that listens: where it is, and how it ends.
//!
//! It owns the ready line. It refuses to start anything: who made the listeners hands them over.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use runtime::process::on_hangup;
use runtime::{DrainReport, Driver, Running};
use serde_json::json;

use crate::telemetry::audit::{AuditAction, AuditEvent, AuditLog};

/// A service that listens.
#[derive(Debug)]
pub struct RunningService {
    running: Running,
    service: &'static str,
    audit: AuditLog,
}

impl RunningService {
    pub(crate) fn new(running: Running, service: &'static str) -> RunningService {
        RunningService { running, service, audit: AuditLog::default() }
    }

    /// The same service, whose start and end are recorded.
    pub(crate) fn with_audit(self, audit: AuditLog) -> RunningService {
        let facts = vec![
            ("listen", self.addr().to_string()),
            ("driver", self.driver().to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("pid", std::process::id().to_string()),
        ];
        audit.record_own(AuditEvent { facts, ..AuditEvent::new(AuditAction::Started) });
        RunningService { audit, ..self }
    }

    /// From now on SIGHUP has the audit log opened anew, instead of ending the process.
    pub(crate) fn follow_hangup(&self) -> io::Result<()> {
        let audit = self.audit.clone();
        on_hangup(move || audit.reopen())
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
        let report = self.running.drain(within);
        let facts =
            vec![("finished", report.finished.to_string()), ("cut", report.cut.to_string())];
        self.audit.record_own(AuditEvent { facts, ..AuditEvent::new(AuditAction::Ended) });
        self.audit.end();
        report
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
