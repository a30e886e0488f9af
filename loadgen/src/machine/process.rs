//! The servers' processes as the machine knows them: who they are, and where their CPU is read. It
//! refuses to read anything.

use std::net::SocketAddr;
use std::path::PathBuf;

use metrics_export::run::CpuSourceKind;
use runtime::url::Url;

/// One service process, or what else accounts for its CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The service's name: `gateway`, `orders`, `inventory`, `auth`, `all`, or `server`.
    pub service: String,
    /// Where its CPU is read.
    pub cpu: CpuSource,
    /// Where it serves `/metrics` in plain HTTP, if it is one of ours.
    pub admin: Option<SocketAddr>,
}

/// Where the CPU of a service is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuSource {
    /// The kernel's accounting of a process's threads: exact.
    Pid(u32),
    /// The accounting of a control group, by its directory: exact to a microsecond in version 2, to
    /// a nanosecond in version 1.
    ControlGroup(PathBuf),
    /// `process_cpu_seconds_total` of a metrics page: as exact as the server keeps it.
    Metrics(Url),
}

/// Where the CPU of a variant's servers is read, as records name it: all of them alike.
#[must_use]
pub fn cpu_source_kind(servers: &[Process]) -> CpuSourceKind {
    match servers.first().map(|process| &process.cpu) {
        Some(CpuSource::Pid(_)) => CpuSourceKind::Processes,
        Some(CpuSource::ControlGroup(_)) => CpuSourceKind::ControlGroup,
        Some(CpuSource::Metrics(_)) => CpuSourceKind::Metrics,
        None => CpuSourceKind::None,
    }
}
