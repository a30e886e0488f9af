//! The security log of a service, in lines of JSON: what was refused and why, which tokens were
//! issued, and under which configuration the service ran.
//!
//! It owns the way of an event from a core to the file. It refuses to hold up a request: an event
//! is queued for a thread of its own, within a rate, and what does not fit is counted, in the log
//! itself and in `tollgate_audit_dropped_total`. Where nothing is recorded an event costs one
//! branch.
//!
//! ```text
//!   record --rate--> queue (bounded) --thread--> line --> file, or standard error
//!            |          |                          |
//!            +----------+---- counted as dropped --+
//! ```

mod event;
mod file;
mod rate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runtime::offload::Offload;

use crate::config::audit::{AuditConfig, AuditLevel, AuditTarget};
use crate::config::error::ServeError;
use crate::config::{ServiceConfig, files};

pub use self::event::{AuditAction, AuditEvent, peer_name};
use self::file::{LogFile, Sink};
use self::rate::RateLimit;

/// Events that wait for the thread. An event holds a few hundred bytes.
const QUEUE_EVENTS_MAX: usize = 1024;

/// How long the last lines may take at the end.
const END_MAX: Duration = Duration::from_secs(1);

/// Least time between two complaints of the service's own log about this one.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The audit log of a process, or none. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct AuditLog {
    shared: Option<Arc<AuditShared>>,
    all: bool,
}

#[derive(Debug)]
struct AuditShared {
    offload: Offload,
    /// Permitted requests have a rate of their own, so that they cannot push out refusals.
    permitted: RateLimit,
    others: RateLimit,
    writer: Arc<AuditWriter>,
}

/// What the thread works with.
#[derive(Debug)]
struct AuditWriter {
    service: &'static str,
    /// Events that were not written so far, and how many of them the log tells of.
    dropped: AtomicU64,
    reopen: AtomicBool,
    output: Mutex<AuditOutput>,
}

#[derive(Debug)]
struct AuditOutput {
    sink: Sink,
    dropped_reported: u64,
    /// When a failure was last told in the service's own log.
    told: Option<Instant>,
}

impl AuditLog {
    /// Opens the log that the configuration asks for.
    ///
    /// # Errors
    /// When its file cannot be opened, or no thread can be had.
    pub fn start(config: &ServiceConfig) -> Result<AuditLog, ServeError> {
        let settings = &config.audit;
        if settings.level == AuditLevel::Off {
            return Ok(AuditLog::default());
        }
        let sink = sink(config, settings)?;
        let output = AuditOutput { sink, dropped_reported: 0, told: None };
        let writer = Arc::new(AuditWriter {
            service: config.kind().name(),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            output: Mutex::new(output),
        });
        let offload = Offload::start("audit", QUEUE_EVENTS_MAX)
            .map_err(|error| ServeError::start_of("no thread for the audit log: ", error))?;
        let rate = || RateLimit::new(settings.lines_per_s_max);
        let shared = AuditShared { offload, permitted: rate(), others: rate(), writer };
        Ok(AuditLog { shared: Some(Arc::new(shared)), all: settings.level == AuditLevel::All })
    }

    /// Whether permitted requests are recorded.
    #[inline]
    #[must_use]
    pub fn records_permitted(&self) -> bool {
        self.all
    }

    /// Records what `event` makes, if there is a log and its rate allows for one more.
    pub fn record(&self, source: SocketAddr, event: impl FnOnce() -> AuditEvent) {
        self.admit(source, event, |shared| &shared.others);
    }

    /// As [`AuditLog::record`], for a permitted request.
    pub fn record_permitted(&self, source: SocketAddr, event: impl FnOnce() -> AuditEvent) {
        self.admit(source, event, |shared| &shared.permitted);
    }

    /// Records an event of the service itself, whatever the rate.
    pub fn record_own(&self, event: AuditEvent) {
        if let Some(shared) = &self.shared {
            shared.send(event, SystemTime::now());
        }
    }

    /// Events that were not written; `None` where there is no log.
    #[must_use]
    pub fn dropped(&self) -> Option<u64> {
        let shared = self.shared.as_ref()?;
        Some(shared.writer.dropped.load(Ordering::Relaxed))
    }

    /// Has the file opened anew, which somebody has moved away.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            shared.writer.reopen.store(true, Ordering::Relaxed);
            let writer = Arc::clone(&shared.writer);
            // With a full queue the thread notices before the next line.
            let _ = shared.offload.try_send(move || writer.follow());
        }
    }

    /// Writes what is queued, for a while at most; nothing is recorded afterwards.
    pub fn end(&self) {
        let Some(shared) = &self.shared else { return };
        let lost = shared.offload.end(END_MAX);
        if lost > 0 {
            tracing::warn!(lost, "the last lines of the audit log could not be written in time");
        }
    }

    fn admit(
        &self,
        source: SocketAddr,
        event: impl FnOnce() -> AuditEvent,
        rate: fn(&AuditShared) -> &RateLimit,
    ) {
        let Some(shared) = &self.shared else { return };
        let now = SystemTime::now();
        let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if rate(shared).admits(source.ip(), now_s) {
            shared.send(AuditEvent { source: Some(source), ..event() }, now);
        } else {
            shared.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AuditShared {
    fn send(&self, event: AuditEvent, time: SystemTime) {
        let writer = Arc::clone(&self.writer);
        if self.offload.try_send(move || writer.write(&event, time)).is_err() {
            self.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AuditWriter {
    /// Writes the line of an event, after one about events that were dropped before it.
    fn write(&self, event: &AuditEvent, time: SystemTime) {
        self.follow();
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = self.dropped.load(Ordering::Relaxed);
        let news = dropped - output.dropped_reported;
        let mut written = Ok(());
        if news > 0 {
            let event = AuditEvent { count: Some(news), ..AuditEvent::new(AuditAction::Dropped) };
            written = output.sink.append(&event.line(time, self.service));
            if written.is_ok() {
                output.dropped_reported = dropped;
            }
        }
        let written = written.and_then(|()| output.sink.append(&event.line(time, self.service)));
        if let Err(error) = &written {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if output.told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
                tracing::warn!(%error, "the audit log cannot be written; its lines are dropped");
                output.told = Some(Instant::now());
            }
        }
    }

    /// Opens the file anew if that was asked for. Where it cannot be, the one that is open stays.
    fn follow(&self) {
        if self.reopen.swap(false, Ordering::Relaxed) {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = output.sink.reopen() {
                tracing::warn!(%error, "the audit log cannot be opened anew; the old file is used");
            }
        }
    }
}

/// Opens what the settings name.
fn sink(config: &ServiceConfig, settings: &AuditConfig) -> Result<Sink, ServeError> {
    let path: PathBuf = match (&settings.target, &config.state) {
        (AuditTarget::File(path), _) => path.clone(),
        (AuditTarget::Auto, Some(state)) => {
            let folder = state.join("logs");
            files::create_dir(&folder)?;
            folder.join(format!("{}.audit.jsonl", config.kind().name()))
        }
        (AuditTarget::Stderr, _) | (AuditTarget::Auto, None) => return Ok(Sink::Stderr),
    };
    LogFile::open(&path, settings.file_bytes_max, settings.files_max)
        .map(Sink::Log)
        .map_err(|error| ServeError::io(&path, error))
}

#[cfg(test)]
mod tests;
