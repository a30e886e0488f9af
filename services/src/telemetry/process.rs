//! The process itself as figures, in the names that Prometheus's own client libraries use. It reads
//! `/proc/self` and refuses to guess: what cannot be read is left off the page.

use std::fs;

use metrics_export::prometheus::Page;

/// Kernel ticks per second in `/proc/<pid>/stat`; `USER_HZ` is 100 on every Linux architecture.
const TICKS_PER_S: f64 = 100.0;

/// Adds the `process_*` families.
pub(super) fn add(page: &mut Page) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse)
    {
        page.counter("process_cpu_seconds_total", "User and system CPU time spent, in seconds.")
            .value(&[], stat.cpu_ticks as f64 / TICKS_PER_S);
        if let Some(boot) = boot_time_s() {
            page.gauge("process_start_time_seconds", "Start of the process since the Unix epoch.")
                .value(&[], boot as f64 + stat.start_ticks as f64 / TICKS_PER_S);
        }
        page.gauge("process_threads", "Threads of the process.").value(&[], stat.threads);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        for (field, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Resident memory, in bytes."),
            ("VmSize:", "process_virtual_memory_bytes", "Virtual memory, in bytes."),
        ] {
            if let Some(kib) = number_after(&status, field) {
                page.gauge(name, help).value(&[], kib * 1024);
            }
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory handle of this very count is one of them.
        let count = open.count().saturating_sub(1) as u64;
        page.gauge("process_open_fds", "Open file descriptors.").value(&[], count);
    }
    if let Some(max) = fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(files_max) {
        page.gauge("process_max_fds", "Limit of open file descriptors.").value(&[], max);
    }
}

/// What is used of `/proc/self/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
}

impl Stat {
    /// The second field is the command in brackets and may hold anything, so fields count from the
    /// last bracket.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // The field behind the bracket is number 3 of proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
        })
    }
}

fn boot_time_s() -> Option<u64> {
    number_after(&fs::read_to_string("/proc/stat").ok()?, "btime")
}

fn files_max(limits: &str) -> Option<u64> {
    number_after(limits, "Max open files")
}

/// The first number on the line that starts with `label`.
fn number_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use metrics_export::prometheus::ExpositionFormat;

    use super::*;

    #[test]
    fn stat_is_read_behind_a_command_with_brackets() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 11 22 5 6 20 0 9 0 4242 1 2";
        let stat = Stat { cpu_ticks: 33, threads: 9, start_ticks: 4242 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a S 1"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let mut page = Page::new();
        add(&mut page);
        let text = page.render(ExpositionFormat::Text);
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds"]
        {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name} is not in\n{text}");
        }
    }
}
