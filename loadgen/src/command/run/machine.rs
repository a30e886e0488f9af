//! The machine under `tollgate run` and `tollgate capacity`: which cores are looked at, what the
//! servers that the user named used of them, and what disturbed. It refuses to judge where it
//! cannot know: without the server's process ids, a program beside the generator may be the very
//! server that is measured.

use std::fs;

use metrics_export::run::ServiceCpu;
use runtime::process::allowed_cpus;

use crate::command::run::{RunError, RunOptions};
use crate::machine::cpu::{Meter, Reading, Usage, settle};
use crate::machine::process::{CpuSource, Process};
use crate::traffic::error::ContextError;
use crate::traffic::record::SliceRecord;
use crate::validity::Observed;

/// What is known of the cores, and the meter that reads their CPU.
pub(crate) struct Machine {
    meter: Meter,
    cores: MeasuredCores,
    source: Option<CpuKind>,
}

/// Which cores matter, and how much is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasuredCores {
    /// Cores of the generator and, where its processes were named, of the server.
    pub measured: usize,
    /// Whether other programs can be told from the server on these cores.
    pub background_known: bool,
    /// The generator has cores of its own, and there are others.
    pub apart: bool,
}

/// Where the server's CPU was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuKind {
    /// The kernel's CPU accounting of its processes: exact.
    Processes,
    /// A counter that it publishes: as coarse as it keeps it.
    Metrics,
}

/// What a slice left in the machine's accounting.
#[derive(Clone, Debug, Default)]
pub struct CpuAccounting {
    /// The difference of two readings.
    pub usage: Usage,
    /// Which cores it is about.
    pub cores: MeasuredCores,
    /// Where the server's CPU was read; None where it was not asked for.
    pub source: Option<CpuKind>,
    /// Why the second reading failed, where it did; then the usage is empty.
    pub failed: Option<String>,
}

impl CpuKind {
    /// The name used in results.
    pub fn as_str(self) -> &'static str {
        match self {
            CpuKind::Processes => "processes",
            CpuKind::Metrics => "metrics",
        }
    }
}

impl CpuAccounting {
    /// CPU of all of the server's processes, where it was read.
    pub fn server_cpu_ns(&self) -> Option<u64> {
        let services = || self.usage.servers.services.iter().map(|service| service.cpu_ns).sum();
        let known = self.failed.is_none() && self.usage.servers.cpu_unknown.is_none();
        (self.source.is_some() && known).then(services)
    }

    /// The same for each request.
    pub fn server_cpu_ns_per_request(&self, requests: u64) -> Option<f64> {
        self.server_cpu_ns().filter(|_| requests > 0).map(|ns| ns as f64 / requests as f64)
    }

    /// Each process, where there are several.
    pub fn services(&self) -> &[ServiceCpu] {
        if self.failed.is_some() { &[] } else { &self.usage.servers.services }
    }
}

impl CpuAccounting {
    /// What they say beside what the generator counted.
    pub(crate) fn observed(&self, record: &SliceRecord) -> Observed {
        let observed = Observed::of_record(record);
        let MeasuredCores { measured, background_known, apart } = self.cores;
        match self.failed {
            Some(_) => observed,
            None => observed.with_usage(&self.usage, measured, background_known, apart),
        }
    }
}

impl Machine {
    pub(super) fn new(options: &RunOptions) -> Machine {
        let allowed = allowed_cpus().unwrap_or_default();
        let pinned: Vec<usize> = options.generator.workers.iter().flatten().copied().collect();
        let is_pinned = !pinned.is_empty();
        let generator = if is_pinned { pinned } else { allowed.clone() };
        let pids = || options.servers.iter().filter_map(pid);
        let mut servers: Vec<usize> = pids().flat_map(affinity).collect();
        servers.sort_unstable();
        servers.dedup();
        let mut measured = [servers.as_slice(), &generator].concat();
        measured.sort_unstable();
        measured.dedup();
        let cores = MeasuredCores {
            measured: measured.len(),
            background_known: is_pinned || pids().next().is_some(),
            apart: is_pinned && allowed.iter().any(|core| !generator.contains(core)),
        };
        let published = options.servers.iter().any(|server| pid(server).is_none());
        let source = match options.servers.as_slice() {
            [] => None,
            _ if published => Some(CpuKind::Metrics),
            _ => Some(CpuKind::Processes),
        };
        Machine { meter: Meter::new(&options.servers, &servers, &generator), cores, source }
    }

    /// Reads the accounting once everything sleeps.
    pub(super) fn read(&self) -> Result<Reading, RunError> {
        settle();
        self.meter.read().map_err(|error| {
            RunError::Server(
                ContextError::new(format!(
                    "the CPU of the server cannot be read: {error}. Check --server-pid or \
                 --metrics-url, or leave it out"
                ))
                .because(error),
            )
        })
    }

    /// What lies between a reading and now.
    pub(super) fn since(&self, before: &Reading) -> CpuAccounting {
        let (cores, source) = (self.cores.clone(), self.source);
        match self.read() {
            Ok(after) => CpuAccounting {
                usage: self.meter.between(before, &after),
                cores,
                source,
                failed: None,
            },
            Err(error) => self.unread(error.to_string()),
        }
    }

    /// What is known where the second reading failed.
    pub(super) fn unread(&self, why: String) -> CpuAccounting {
        let (cores, source) = (self.cores.clone(), self.source);
        CpuAccounting { usage: Usage::default(), cores, source, failed: Some(why) }
    }
}

fn pid(process: &Process) -> Option<u32> {
    match process.cpu {
        CpuSource::Pid(pid) => Some(pid),
        _ => None,
    }
}

/// The cores that a process may run on; none when it cannot be read, which the meter will tell.
fn affinity(pid: u32) -> Vec<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    core_list(list.unwrap_or_default())
}

/// The kernel's way to write cores: `0-1,4`.
fn core_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(core_list("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(core_list("7"), [7]);
        assert!(core_list("").is_empty());
        assert!(!affinity(std::process::id()).is_empty());
    }
}
