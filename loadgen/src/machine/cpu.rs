//! What the servers' CPU was over a slice, from the kernel's own accounting.
//!
//! The headline is the run time that the scheduler keeps for each thread, in nanoseconds
//! (`/proc/PID/task/*/schedstat`). Beside it stand the split by clock ticks, the whole busy time
//! of the server cores, what the hypervisor stole, and what programs that are not part of the
//! measurement ran on the measured cores. Readings are taken outside of slices: before the first
//! request and after the last answer, when the servers sleep, because a running thread's figure is
//! behind by up to a tick. Refused: an estimate where the kernel keeps no account.

mod accounting;
mod background;
mod parse;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use metrics_export::run::ServiceCpu;

use crate::machine::process::{CpuSource, Process};
use accounting::CpuReading;

/// Nanoseconds in a tick of `/proc`: Linux reports them in 1/100 s on every architecture that
/// Rust runs on (USER_HZ).
pub const TICK_NS: u64 = 10_000_000;

/// Takes readings of the servers of one variant, and of the machine.
#[derive(Clone, Debug)]
pub struct Meter {
    servers: ServerMeter,
    machine: MachineMeter,
}

/// Takes readings of the servers of one variant.
#[derive(Clone, Debug)]
pub struct ServerMeter {
    services: Vec<(String, CpuSource)>,
    generator_cores: Vec<usize>,
}

/// Takes readings of the machine under all servers that it knows.
#[derive(Clone, Debug)]
pub struct MachineMeter {
    known: Vec<CpuSource>,
    server_cores: Vec<usize>,
    measured_cores: Vec<usize>,
    cgroup_stat: Option<PathBuf>,
}

/// One reading of servers and machine.
#[derive(Clone, Debug)]
pub struct Reading {
    servers: ServerReading,
    machine: MachineReading,
}

/// One reading of servers.
#[derive(Clone, Debug)]
pub struct ServerReading {
    services: Vec<CpuReading>,
    memory_peak_bytes: Option<u64>,
}

/// One reading of the machine.
#[derive(Clone, Debug)]
pub struct MachineReading {
    at: Instant,
    cores: Vec<parse::CoreTicks>,
    background: Option<background::Threads>,
    throttled: u64,
    retransmits: Option<u64>,
}

/// What lies between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the servers.
    pub servers: ServerUsage,
    /// Of the machine.
    pub machine: MachineUsage,
}

/// What servers used between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerUsage {
    /// CPU of each service; empty where `cpu_unknown` says why.
    pub services: Vec<ServiceCpu>,
    /// Why there is no figure of the services' CPU, as a sentence.
    pub cpu_unknown: Option<String>,
    /// The most memory that any of the services ever had resident.
    pub memory_peak_bytes: Option<u64>,
    /// A thread of a service was last seen on a core of the generator.
    pub ran_on_generator_core: bool,
}

/// What happened on the measured cores between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineUsage {
    /// Time between the readings.
    pub wall_ns: u64,
    /// Busy time of the server cores: what was neither idle nor stolen.
    pub busy_ns: u64,
    /// Softirq time of the server cores.
    pub softirq_ns: u64,
    /// Time stolen from the measured cores.
    pub steal_ns: u64,
    /// CPU of other programs on the measured cores; None when there are too many to read.
    pub background_ns: Option<u64>,
    /// Times that our control group was throttled.
    pub throttled: u64,
    /// TCP segments that this machine sent again.
    pub retransmits: Option<u64>,
}

impl ServerUsage {
    /// Keeps what the services used for one variant, ns each, where others had them too meanwhile.
    /// User and system time are divided as CPU is.
    pub fn keep_own(&mut self, own_ns: &[u64]) {
        for (service, own_ns) in self.services.iter_mut().zip(own_ns) {
            let share = *own_ns as f64 / service.cpu_ns.max(1) as f64;
            let part = |ns: u64| (ns as f64 * share).round() as u64;
            let (user_ns, system_ns) = (part(service.user_ns), part(service.system_ns));
            *service = ServiceCpu { cpu_ns: *own_ns, user_ns, system_ns, ..service.clone() };
        }
    }
}

impl Meter {
    /// A meter of these processes, which run on `server_cores`.
    #[must_use]
    pub fn new(processes: &[Process], server_cores: &[usize], generator_cores: &[usize]) -> Meter {
        Meter {
            servers: ServerMeter::new(processes, generator_cores),
            machine: MachineMeter::new(processes, server_cores, generator_cores),
        }
    }

    /// Reads everything now.
    ///
    /// # Errors
    /// A process that has ended, or a `/proc` that cannot be read.
    pub fn read(&self) -> io::Result<Reading> {
        Ok(Reading { machine: self.machine.read()?, servers: self.servers.read()? })
    }

    /// The difference of two readings.
    #[must_use]
    pub fn between(&self, before: &Reading, after: &Reading) -> Usage {
        Usage {
            servers: self.servers.between(&before.servers, &after.servers),
            machine: self.machine.between(&before.machine, &after.machine),
        }
    }
}

impl ServerMeter {
    /// A meter of these processes, none of which is to run on `generator_cores`.
    #[must_use]
    pub fn new(processes: &[Process], generator_cores: &[usize]) -> ServerMeter {
        let services =
            processes.iter().map(|process| (process.service.clone(), process.cpu.clone()));
        ServerMeter { services: services.collect(), generator_cores: generator_cores.to_vec() }
    }

    /// Reads their CPU now.
    ///
    /// # Errors
    /// A process that has ended, or a `/proc` that cannot be read.
    pub fn read(&self) -> io::Result<ServerReading> {
        let services: io::Result<Vec<CpuReading>> = self
            .services
            .iter()
            .map(|(service, source)| accounting::read(service, source))
            .collect();
        let peaks = self.services.iter();
        Ok(ServerReading {
            services: services?,
            memory_peak_bytes: peaks
                .filter_map(|(_, source)| accounting::memory_peak_bytes(source))
                .max(),
        })
    }

    /// The difference of two readings.
    #[must_use]
    pub fn between(&self, before: &ServerReading, after: &ServerReading) -> ServerUsage {
        let (services, cpu_unknown) = match self.services_between(before, after) {
            Ok(services) => (services, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut accounting = before.services.iter().zip(&after.services);
        let cores = &self.generator_cores;
        ServerUsage {
            services,
            cpu_unknown,
            memory_peak_bytes: after.memory_peak_bytes,
            ran_on_generator_core: accounting
                .any(|(before, after)| after.ran_on_generator_core(before, cores)),
        }
    }

    fn services_between(
        &self,
        before: &ServerReading,
        after: &ServerReading,
    ) -> Result<Vec<ServiceCpu>, String> {
        let accounting = before.services.iter().zip(&after.services);
        let service =
            |((name, _), (before, after)): (&(String, CpuSource), (&CpuReading, &CpuReading))| {
                let spent = after.since(before).map_err(|why| {
                    format!("the CPU of {name} is not known: {why}. It has no figure here")
                })?;
                Ok(ServiceCpu {
                    service: name.clone(),
                    cpu_ns: spent.run_ns,
                    user_ns: spent.user_ns,
                    system_ns: spent.system_ns,
                })
            };
        self.services.iter().zip(accounting).map(service).collect()
    }
}

impl MachineMeter {
    /// A meter of these cores. What is not one of `servers` is background load.
    #[must_use]
    pub fn new(
        servers: &[Process],
        server_cores: &[usize],
        generator_cores: &[usize],
    ) -> MachineMeter {
        let mut measured_cores = [server_cores, generator_cores].concat();
        measured_cores.sort_unstable();
        measured_cores.dedup();
        MachineMeter {
            known: servers.iter().map(|process| process.cpu.clone()).collect(),
            server_cores: server_cores.to_vec(),
            measured_cores,
            cgroup_stat: cgroup_stat(),
        }
    }

    /// Reads the machine now.
    ///
    /// # Errors
    /// A `/proc` that cannot be read.
    pub fn read(&self) -> io::Result<MachineReading> {
        // The scan of foreign threads takes longest, so it lies outside of what it brackets only
        // by its own duration; its own CPU is the generator's and is not counted.
        let background = background::read(&self.pids());
        Ok(MachineReading {
            cores: parse::core_ticks(&fs::read_to_string("/proc/stat")?),
            at: Instant::now(),
            background,
            throttled: self.throttled(),
            retransmits: accounting::retransmits(),
        })
    }

    /// The difference of two readings.
    #[must_use]
    pub fn between(&self, before: &MachineReading, after: &MachineReading) -> MachineUsage {
        let wall_ns = after.at.duration_since(before.at).as_nanos() as u64;
        let servers = ticks_of(&self.server_cores, before, after);
        let measured = ticks_of(&self.measured_cores, before, after);
        let not_busy = (servers.idle + servers.iowait + servers.steal) * TICK_NS;
        let background_ns = match (&before.background, &after.background) {
            (Some(before), Some(after)) => Some(after.run_ns_since(before, &self.measured_cores)),
            _ => None,
        };
        MachineUsage {
            wall_ns,
            busy_ns: (wall_ns * self.server_cores.len() as u64).saturating_sub(not_busy),
            softirq_ns: servers.softirq * TICK_NS,
            steal_ns: measured.steal * TICK_NS,
            background_ns,
            throttled: after.throttled.saturating_sub(before.throttled),
            retransmits: after
                .retransmits
                .zip(before.retransmits)
                .map(|(after, before)| after - before),
        }
    }

    /// The processes that are measured. Those of a control group are its members.
    fn pids(&self) -> Vec<u32> {
        let members = |source: &CpuSource| match source {
            CpuSource::Pid(pid) => vec![*pid],
            CpuSource::ControlGroup(folder) => {
                let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                text.lines().filter_map(|line| line.parse().ok()).collect()
            }
            CpuSource::Metrics(_) => Vec::new(),
        };
        self.known.iter().flat_map(members).collect()
    }

    fn throttled(&self) -> u64 {
        let text = self.cgroup_stat.as_ref().and_then(|path| fs::read_to_string(path).ok());
        text.as_deref().and_then(parse::throttled).unwrap_or(0)
    }
}

/// Lets everything be idle for 10 ms before the CPU is read: the figure of a thread that still runs
/// is behind by up to a tick, which is that long where the kernel ticks slowest.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(10));
}

/// A process and all that it started that still run: many servers keep their workers as children.
#[must_use]
pub fn with_descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse::parent(&stat)?))
        })
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        let children = parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child);
        found.extend(children.filter(|child| *child != parent).collect::<Vec<_>>());
        at += 1;
    }
    found
}

/// The ticks of these cores between two readings, added up.
fn ticks_of(cores: &[usize], before: &MachineReading, after: &MachineReading) -> parse::CoreTicks {
    let of = |reading: &MachineReading, core: usize| {
        reading.cores.iter().find(|ticks| ticks.core == core).copied().unwrap_or_default()
    };
    cores.iter().fold(parse::CoreTicks::default(), |sum, &core| {
        sum.plus_difference(&of(before, core), &of(after, core))
    })
}

/// The `cpu.stat` of our control group, version 2 first, where there is one.
fn cgroup_stat() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let paths = parse::cgroup_paths(&own);
    paths.into_iter().map(PathBuf::from).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// This very process is billed for a loop of its own, sooner or later: how soon is up to what
    /// else runs on the machine.
    #[test]
    fn a_busy_loop_is_billed() {
        let own =
            Process { service: "own".into(), cpu: CpuSource::Pid(std::process::id()), admin: None };
        let meter = Meter::new(&[own], &[0], &[0]);
        let before = meter.read().unwrap();
        let began = Instant::now();
        let mut usage = Usage::default();
        while usage.servers.services.iter().all(|service| service.cpu_ns < 30_000_000) {
            assert!(began.elapsed() < Duration::from_secs(30), "nothing was billed: {usage:?}");
            let round = Instant::now();
            while round.elapsed() < Duration::from_millis(10) {
                std::hint::spin_loop();
            }
            usage = meter.between(&before, &meter.read().unwrap());
        }
        assert!(usage.machine.wall_ns > 10_000_000);
        assert!(usage.machine.busy_ns <= usage.machine.wall_ns, "{usage:?}");
    }

    #[test]
    fn what_servers_used_for_one_of_several_variants_is_kept() {
        let service = |service: &str, cpu_ns, user_ns, system_ns| ServiceCpu {
            service: service.into(),
            cpu_ns,
            user_ns,
            system_ns,
        };
        let mut usage = ServerUsage {
            services: vec![service("gateway", 900, 300, 600), service("orders", 0, 0, 0)],
            ..ServerUsage::default()
        };
        usage.keep_own(&[300, 0]);
        let kept = [service("gateway", 300, 100, 200), service("orders", 0, 0, 0)];
        assert_eq!(usage.services, kept);
    }

    #[test]
    fn children_belong_to_their_process() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let found = with_descendants(std::process::id());
        assert_eq!(found[0], std::process::id());
        assert!(found.contains(&child.id()), "{found:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_ended_is_named() {
        let gone = Process { service: "orders".into(), cpu: CpuSource::Pid(u32::MAX), admin: None };
        let error = Meter::new(&[gone], &[0], &[1]).read().unwrap_err();
        assert!(error.to_string().contains("the orders process"), "{error}");
    }
}
