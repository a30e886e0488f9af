//! The CPU of one service, from whatever keeps books of it: the threads of a process, a control
//! group, or a counter that the server itself publishes.
//!
//! A process is the most exact and tells the split of user and kernel by clock ticks; a control
//! group holds workers that come and go; a published counter is all that a remote server offers,
//! and is as coarse as that server keeps it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use metrics_export::prometheus::{ACCEPT, Scrape};
use runtime::blocking;
use runtime::url::Url;

use super::{TICK_NS, parse};
use crate::stack::CpuSource;

/// The counter that Prometheus client libraries publish of their process.
const PROCESS_CPU: &str = "process_cpu_seconds_total";

/// The same without the suffix that some servers leave out.
const PROCESS_CPU_BARE: &str = "process_cpu_seconds";

/// The longest wait for a metrics page, and the largest that is read.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const PAGE_BYTES_MAX: usize = 4 << 20;

/// One reading of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) run_ns: u64,
    pub(super) user_ns: u64,
    pub(super) system_ns: u64,
    threads: Vec<Thread>,
}

/// One thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thread {
    id: u32,
    run_ns: u64,
    last_core: Option<usize>,
}

impl Books {
    /// Whether a thread that did a twentieth of the work since `before` or more was last seen on
    /// one of these cores.
    pub(super) fn strayed(&self, before: &Books, cores: &[usize]) -> bool {
        let work_ns = self.run_ns.saturating_sub(before.run_ns);
        self.threads.iter().any(|thread| {
            let known = before.threads.iter().find(|known| known.id == thread.id);
            let ran_ns = thread.run_ns.saturating_sub(known.map_or(0, |known| known.run_ns));
            let there = thread.last_core.is_some_and(|core| cores.contains(&core));
            there && ran_ns > work_ns / 20
        })
    }
}

/// Reads the books of a service now.
pub(super) fn read(service: &str, source: &CpuSource) -> io::Result<Books> {
    match source {
        CpuSource::Pid(pid) => process(service, *pid),
        CpuSource::ControlGroup(folder) => control_group(folder),
        CpuSource::Metrics(url) => page(url),
    }
}

fn process(service: &str, pid: u32) -> io::Result<Books> {
    let gone = |error: io::Error| {
        let sentence = format!(
            "the {service} process {pid} cannot be read ({error}): it has ended, or the kernel \
             keeps no schedstat; see its log"
        );
        io::Error::new(error.kind(), sentence)
    };
    let mut books = Books::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(gone)? {
        let task = task?;
        // A thread that ends while we read takes its figure along; services keep their threads.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let run_ns = parse::run_ns(&text).unwrap_or(0);
        books.run_ns += run_ns;
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if let Some(id) = task.file_name().to_str().and_then(|name| name.parse().ok()) {
            books.threads.push(Thread { id, run_ns, last_core: parse::last_core(&stat) });
        }
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(gone)?;
    let (user, system) = parse::process_ticks(&stat).unwrap_or((0, 0));
    Ok(Books { user_ns: user * TICK_NS, system_ns: system * TICK_NS, ..books })
}

fn control_group(folder: &Path) -> io::Result<Books> {
    let read = |name: &str| fs::read_to_string(folder.join(name));
    // Version 1 keeps it in ns, in a hierarchy of its own.
    if let Some(run_ns) = read("cpuacct.usage").ok().and_then(|text| text.trim().parse().ok()) {
        let stat = read("cpuacct.stat").unwrap_or_default();
        let [user_ns, system_ns] =
            ["user", "system"].map(|name| parse::keyed(&stat, name).unwrap_or(0) * TICK_NS);
        return Ok(Books { run_ns, user_ns, system_ns, ..Books::default() });
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
    let ns = |name: &str| parse::keyed(&text, name).unwrap_or(0) * 1_000;
    let (user_ns, system_ns) = (ns("user_usec"), ns("system_usec"));
    Ok(Books { run_ns: usage * 1_000, user_ns, system_ns, ..Books::default() })
}

fn page(url: &Url) -> io::Result<Books> {
    let failed = |why: String| {
        io::Error::other(format!("the metrics of {} cannot be read: {why}", url.host_field()))
    };
    let fields: [(&str, &[u8]); 1] = [("Accept", ACCEPT.as_bytes())];
    let answer = blocking::request(url, None, "GET", &fields, b"", ANSWER_WITHIN, PAGE_BYTES_MAX)
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
    Ok(Books { run_ns: (seconds * 1e9) as u64, ..Books::default() })
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
        let before = Books {
            run_ns: 1_000,
            threads: vec![thread(1, 500, 0), thread(2, 500, 1)],
            ..Books::default()
        };
        let idle = Books {
            run_ns: 2_000,
            threads: vec![thread(1, 1_490, 0), thread(2, 510, 1)],
            ..Books::default()
        };
        assert!(!idle.strayed(&before, &[1]));
        assert!(idle.strayed(&before, &[0]));
    }

    #[test]
    fn a_control_group_is_read_and_a_foreign_file_refused() {
        let folder = std::env::temp_dir().join(format!("tollgate-group-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |text: &str| fs::write(folder.join("cpu.stat"), text).unwrap();
        write("usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 0\n");
        let source = CpuSource::ControlGroup(folder.clone());
        let books = read("server", &source).unwrap();
        assert_eq!((books.run_ns, books.user_ns, books.system_ns), (5_000, 3_000, 2_000));
        write("nr_periods 0\n");
        assert!(read("server", &source).unwrap_err().to_string().contains("version 2"));
        fs::write(folder.join("cpuacct.usage"), "7123456\n").unwrap();
        fs::write(folder.join("cpuacct.stat"), "user 2\nsystem 3\n").unwrap();
        let books = read("server", &source).unwrap();
        assert_eq!((books.run_ns, books.system_ns), (7_123_456, 3 * TICK_NS));
        fs::remove_dir_all(&folder).unwrap();
        assert!(read("server", &source).unwrap_err().to_string().contains("cpu.stat"));
    }
}
