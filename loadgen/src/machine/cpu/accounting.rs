//! The CPU of one service, from whatever accounts for it: the threads of a process, a control
//! group, or a counter that the server itself publishes.
//!
//! A process is the most exact and tells the split of user and kernel by clock ticks; a control
//! group holds workers that come and go; a published counter is all that a remote server offers,
//! and is as coarse as that server keeps it. A counter that fell, or is no number, is no figure.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use metrics_export::prometheus::{ACCEPT, Scrape};
use runtime::blocking;
use runtime::url::Url;

use super::{TICK_NS, parse};
use crate::machine::process::CpuSource;
use crate::traffic::error::ContextError;

/// The counter that Prometheus client libraries publish of their process.
const PROCESS_CPU: &str = "process_cpu_seconds_total";

/// The same without the suffix that some servers leave out.
const PROCESS_CPU_BARE: &str = "process_cpu_seconds";

/// From here on a counter exceeds 64 bits of ns, which are 584 years.
const SECONDS_END: f64 = 1.8e10;

/// The longest wait for a metrics page, and the largest that is read.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const PAGE_BYTES_MAX: usize = 4 << 20;

/// One reading of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuReading {
    pub(super) run_ns: u64,
    pub(super) user_ns: u64,
    pub(super) system_ns: u64,
    threads: Vec<Thread>,
    /// Why the counter is no figure.
    unusable: Option<String>,
}

/// What a service spent between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) run_ns: u64,
    pub(super) user_ns: u64,
    pub(super) system_ns: u64,
}

/// One thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thread {
    id: u32,
    run_ns: u64,
    last_core: Option<usize>,
}

impl CpuReading {
    /// What was spent since an earlier reading; an error tells why that cannot be known.
    pub(super) fn since(&self, before: &CpuReading) -> Result<Spent, ContextError> {
        if let Some(why) = before.unusable.as_ref().or(self.unusable.as_ref()) {
            return Err(why.as_str().into());
        }
        let user_ns = rise(before.user_ns, self.user_ns)?;
        let system_ns = rise(before.system_ns, self.system_ns)?;
        let still_there = |thread: &Thread| self.threads.iter().any(|now| now.id == thread.id);
        let run_ns = if before.threads.iter().all(still_there) {
            rise(before.run_ns, self.run_ns)?
        } else {
            // A thread that ended took its exact figure along; the process keeps its ticks.
            user_ns + system_ns
        };
        Ok(Spent { run_ns, user_ns, system_ns })
    }

    /// Whether a thread that did a twentieth of the work since `before` or more was last seen on
    /// one of these cores.
    pub(super) fn ran_on_generator_core(&self, before: &CpuReading, cores: &[usize]) -> bool {
        let work_ns = self.run_ns.saturating_sub(before.run_ns);
        self.threads.iter().any(|thread| {
            let known = before.threads.iter().find(|known| known.id == thread.id);
            let ran_ns = thread.run_ns.saturating_sub(known.map_or(0, |known| known.run_ns));
            let there = thread.last_core.is_some_and(|core| cores.contains(&core));
            there && ran_ns > work_ns / 20
        })
    }
}

fn rise(before_ns: u64, now_ns: u64) -> Result<u64, ContextError> {
    now_ns.checked_sub(before_ns).ok_or_else(|| {
        ContextError::new(format!(
            "its counter fell from {} s to {} s, as it does when a server is started again or \
             several take turns behind one address",
            before_ns as f64 / 1e9,
            now_ns as f64 / 1e9,
        ))
    })
}

/// Reads the CPU of a service now.
pub(super) fn read(service: &str, source: &CpuSource) -> io::Result<CpuReading> {
    match source {
        CpuSource::Pid(pid) => process(service, *pid),
        CpuSource::ControlGroup(folder) => control_group(folder),
        CpuSource::Metrics(url) => page(url),
    }
}

fn process(service: &str, pid: u32) -> io::Result<CpuReading> {
    let gone = |error: io::Error| {
        let sentence = format!(
            "the {service} process {pid} cannot be read ({error}): it has ended, or the kernel \
             keeps no schedstat; see its log"
        );
        io::Error::new(error.kind(), sentence)
    };
    let mut reading = CpuReading::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(gone)? {
        let task = task?;
        // A thread that ends while we read takes its figure along; services keep their threads.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let run_ns = parse::run_ns(&text).unwrap_or(0);
        reading.run_ns += run_ns;
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if let Some(id) = task.file_name().to_str().and_then(|name| name.parse().ok()) {
            reading.threads.push(Thread { id, run_ns, last_core: parse::last_core(&stat) });
        }
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(gone)?;
    let (user, system) = parse::process_ticks(&stat).unwrap_or((0, 0));
    let (user_ns, system_ns) = (user.saturating_mul(TICK_NS), system.saturating_mul(TICK_NS));
    if reading.threads.is_empty() {
        // A kernel without schedstat keeps ticks alone.
        reading.run_ns = user_ns.saturating_add(system_ns);
    }
    Ok(CpuReading { user_ns, system_ns, ..reading })
}

fn control_group(folder: &Path) -> io::Result<CpuReading> {
    let read = |name: &str| fs::read_to_string(folder.join(name));
    // Version 1 keeps it in ns, in a hierarchy of its own.
    if let Some(run_ns) = read("cpuacct.usage").ok().and_then(|text| text.trim().parse().ok()) {
        let stat = read("cpuacct.stat").unwrap_or_default();
        let [user_ns, system_ns] = ["user", "system"]
            .map(|name| parse::keyed(&stat, name).unwrap_or(0).saturating_mul(TICK_NS));
        return Ok(CpuReading { run_ns, user_ns, system_ns, ..CpuReading::default() });
    }
    let text = read("cpu.stat").map_err(|error| {
        let sentence = format!(
            "{} has neither cpu.stat nor cpuacct.usage ({error}): name the directory of a control \
             group",
            folder.display()
        );
        io::Error::new(error.kind(), sentence)
    })?;
    let usage = parse::keyed(&text, "usage_usec").ok_or_else(|| {
        io::Error::other(format!(
            "{}/cpu.stat has no usage_usec: name a control group of version 2, or one of version 1 \
             that has cpuacct",
            folder.display()
        ))
    })?;
    let ns = |name: &str| parse::keyed(&text, name).unwrap_or(0).saturating_mul(1_000);
    let (user_ns, system_ns) = (ns("user_usec"), ns("system_usec"));
    Ok(CpuReading {
        run_ns: usage.saturating_mul(1_000),
        user_ns,
        system_ns,
        ..CpuReading::default()
    })
}

fn page(url: &Url) -> io::Result<CpuReading> {
    let failed = |why: String| {
        io::Error::other(format!("the metrics of {} cannot be read: {why}", url.host_field()))
    };
    let fields: [(&str, &[u8]); 1] = [("Accept", ACCEPT.as_bytes())];
    let answer =
        blocking::request_leniently(url, None, "GET", &fields, b"", ANSWER_WITHIN, PAGE_BYTES_MAX)
            .map_err(|error| failed(error.to_string()))?;
    if answer.status != 200 {
        return Err(failed(format!("status {}", answer.status)));
    }
    let scrape = Scrape::parse(&String::from_utf8_lossy(&answer.body))
        .map_err(|error| failed(error.to_string()))?;
    let seconds = scrape
        .sum(PROCESS_CPU, &[])
        .or_else(|| scrape.sum(PROCESS_CPU_BARE, &[]))
        .ok_or_else(|| failed(format!("the page has no {PROCESS_CPU}")))?;
    Ok(published(seconds))
}

/// A published counter as a reading; one that is no time is kept as such.
fn published(seconds: f64) -> CpuReading {
    if (0.0..SECONDS_END).contains(&seconds) {
        return CpuReading { run_ns: (seconds * 1e9) as u64, ..CpuReading::default() };
    }
    let unusable = Some(format!("{PROCESS_CPU} is {seconds}, which is no time"));
    CpuReading { unusable, ..CpuReading::default() }
}

/// The most memory that a process ever had resident, in bytes; None when the kernel does not say.
pub(super) fn memory_peak_bytes(source: &CpuSource) -> Option<u64> {
    let CpuSource::Pid(pid) = source else { return None };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// TCP segments that this machine has sent again since it was booted.
pub(super) fn retransmits() -> Option<u64> {
    parse::retransmits(&fs::read_to_string("/proc/net/snmp").ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_works_can_stray() {
        let thread = |id, run_ns, core| Thread { id, run_ns, last_core: Some(core) };
        let before = CpuReading {
            run_ns: 1_000,
            threads: vec![thread(1, 500, 0), thread(2, 500, 1)],
            ..CpuReading::default()
        };
        let idle = CpuReading {
            run_ns: 2_000,
            threads: vec![thread(1, 1_490, 0), thread(2, 510, 1)],
            ..CpuReading::default()
        };
        assert!(!idle.ran_on_generator_core(&before, &[1]));
        assert!(idle.ran_on_generator_core(&before, &[0]));
    }

    #[test]
    fn a_counter_that_fell_or_is_no_time_is_no_figure() {
        let (one, two) = (published(19.9), published(20.0));
        assert_eq!(two.since(&one).unwrap().run_ns, 100_000_000);
        let why = one.since(&two).unwrap_err();
        assert!(why.to_string().contains("fell from 20 s to 19.9 s"), "{why}");
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
            let wrong = published(wrong);
            for reading in [wrong.since(&one), two.since(&wrong), wrong.since(&wrong)] {
                assert!(reading.unwrap_err().to_string().contains("which is no time"));
            }
        }
        let group = |user_ns| CpuReading { run_ns: 9, user_ns, ..CpuReading::default() };
        assert!(group(1).since(&group(2)).is_err(), "every part of it is looked at");
    }

    #[test]
    fn threads_that_ended_are_known_by_the_ticks_of_their_process() {
        let thread = |id, run_ns| Thread { id, run_ns, last_core: None };
        let reading = |threads: Vec<Thread>, user_ns| CpuReading {
            run_ns: threads.iter().map(|thread| thread.run_ns).sum(),
            user_ns,
            threads,
            ..CpuReading::default()
        };
        let before = reading(vec![thread(1, 100), thread(2, 5_000)], 10);
        let whole = reading(vec![thread(1, 300), thread(2, 5_100), thread(3, 50)], 20);
        assert_eq!(whole.since(&before).unwrap().run_ns, 350);
        let ended = reading(vec![thread(1, 9_000)], 4_010);
        assert_eq!(ended.since(&before).unwrap().run_ns, 4_000, "and not the difference of sums");
    }

    #[test]
    fn a_control_group_is_read_and_a_foreign_file_refused() {
        let folder = std::env::temp_dir().join(format!("tollgate-group-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |text: &str| fs::write(folder.join("cpu.stat"), text).unwrap();
        write("usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 0\n");
        let source = CpuSource::ControlGroup(folder.clone());
        let reading = read("server", &source).unwrap();
        assert_eq!((reading.run_ns, reading.user_ns, reading.system_ns), (5_000, 3_000, 2_000));
        write("nr_periods 0\n");
        assert!(read("server", &source).unwrap_err().to_string().contains("version 2"));
        fs::write(folder.join("cpuacct.usage"), "7123456\n").unwrap();
        fs::write(folder.join("cpuacct.stat"), "user 2\nsystem 3\n").unwrap();
        let reading = read("server", &source).unwrap();
        assert_eq!((reading.run_ns, reading.system_ns), (7_123_456, 3 * TICK_NS));
        fs::remove_dir_all(&folder).unwrap();
        assert!(read("server", &source).unwrap_err().to_string().contains("cpu.stat"));
    }
}
