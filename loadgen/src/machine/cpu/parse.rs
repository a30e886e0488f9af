//! The kernel's text files as figures: `/proc/stat`, `/proc/PID/stat`, `schedstat`, `cpu.stat`.
//! Pure; what is missing is None, never a guess.

/// Clock ticks of one core since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CoreTicks {
    pub(super) core: usize,
    pub(super) idle: u64,
    pub(super) iowait: u64,
    pub(super) softirq: u64,
    pub(super) steal: u64,
}

impl CoreTicks {
    /// Adds what passed between two readings of one core.
    pub(super) fn plus_difference(self, before: &CoreTicks, after: &CoreTicks) -> CoreTicks {
        CoreTicks {
            core: after.core,
            idle: self.idle + after.idle.saturating_sub(before.idle),
            // The kernel documents that iowait may fall.
            iowait: self.iowait + after.iowait.saturating_sub(before.iowait),
            softirq: self.softirq + after.softirq.saturating_sub(before.softirq),
            steal: self.steal + after.steal.saturating_sub(before.steal),
        }
    }
}

/// The lines `cpuN user nice system idle iowait irq softirq steal ..` of `/proc/stat`.
pub(super) fn core_ticks(stat: &str) -> Vec<CoreTicks> {
    let line = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let core = words.next()?.parse().ok()?;
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        Some(CoreTicks { core, idle: at(3), iowait: at(4), softirq: at(6), steal: at(7) })
    };
    // The line of all cores together is `cpu  ..`: its first word is no core number but a count.
    stat.lines().filter(|text| !text.starts_with("cpu ")).filter_map(line).collect()
}

/// Run time of a thread: the first of the three figures of `schedstat`.
pub(super) fn run_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// User and system ticks of `/proc/PID/stat`: the 14th and 15th field.
pub(super) fn process_ticks(stat: &str) -> Option<(u64, u64)> {
    Some((stat_field(stat, 14)?, stat_field(stat, 15)?))
}

/// The parent of a process: the 4th field of its `stat`.
pub(super) fn parent(stat: &str) -> Option<u32> {
    stat_field(stat, 4).and_then(|parent| parent.try_into().ok())
}

/// The core that a thread ran on last: the 39th field of its `stat`.
pub(super) fn last_core(stat: &str) -> Option<usize> {
    stat_field(stat, 39).map(|core| core as usize)
}

/// Whether a `stat` is that of a softirq thread of the kernel, which works for whoever sends.
pub(super) fn is_softirq_thread(stat: &str) -> bool {
    stat.split_once(" (").is_some_and(|(_, rest)| rest.starts_with("ksoftirqd/"))
}

/// A field by its number in proc(5), from 3 on. The second field, the name, may hold spaces and
/// parentheses, so counting begins after the last closing one.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// How often a control group was throttled, from `cpu.stat`.
pub(super) fn throttled(cpu_stat: &str) -> Option<u64> {
    keyed(cpu_stat, "nr_throttled")
}

/// The figure behind a name, in a file of lines `name figure`.
pub(super) fn keyed(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The column `RetransSegs` of the two `Tcp:` lines of `/proc/net/snmp`.
pub(super) fn retransmits(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp: "));
    let (names, figures) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "RetransSegs")?;
    figures.split(' ').nth(at)?.parse().ok()
}

/// Where the `cpu.stat` of a process may be, from its `/proc/PID/cgroup`.
pub(super) fn cgroup_paths(cgroup: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = path.trim_end_matches('/');
        if controllers.is_empty() {
            paths.insert(0, format!("/sys/fs/cgroup{path}/cpu.stat"));
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            paths.push(format!("/sys/fs/cgroup/{controllers}{path}/cpu.stat"));
            paths.push(format!("/sys/fs/cgroup/cpu{path}/cpu.stat"));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  56005 0 9410 242863 1124 0 139 277 0 0\n\
                        cpu0 27160 0 4263 122896 360 0 7 149 0 0\n\
                        cpu1 28844 0 5147 119967 764 0 132 127 0 0\nintr 525776 0\nctxt 1\n";

    #[test]
    fn cores_are_read_and_their_sum_is_not_taken_for_one() {
        let cores = core_ticks(STAT);
        assert_eq!(cores.len(), 2);
        let first = CoreTicks { core: 0, idle: 122_896, iowait: 360, softirq: 7, steal: 149 };
        assert_eq!(cores[0], first);
        let later = CoreTicks { idle: 122_900, iowait: 1, steal: 150, ..first };
        let passed = CoreTicks::default().plus_difference(&first, &later);
        assert_eq!((passed.idle, passed.iowait, passed.steal), (4, 0, 1));
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194304 10 0 0 0 123 45 0 0 20 0 1 0 9 8 7 6 5 4 3 \
                    2 1 0 0 0 0 0 0 0 17 1 0 0";
        assert_eq!(process_ticks(stat), Some((123, 45)));
        assert_eq!(last_core(stat), Some(1));
        assert!(!is_softirq_thread(stat));
        assert!(is_softirq_thread("15 (ksoftirqd/1) S 2 0 0"));
        assert_eq!(process_ticks("77 (cut off"), None);
    }

    #[test]
    fn small_files_are_read() {
        assert_eq!(run_ns("180969 86919 2\n"), Some(180_969));
        assert_eq!(run_ns(""), None);
        assert_eq!(throttled("nr_periods 5\nnr_throttled 2\nthrottled_usec 9\n"), Some(2));
        assert_eq!(throttled("usage_usec 5\n"), None);
        assert_eq!(keyed("user_usec 5\nusage_usec 7\n", "usage_usec"), Some(7));
        let snmp = "Ip: A\nIp: 1\nTcp: MaxConn RetransSegs InErrs\nTcp: -1 42 0\n";
        assert_eq!((retransmits(snmp), retransmits("Udp: 1\n")), (Some(42), None));
        assert_eq!(
            cgroup_paths("4:memory:/x\n1:cpu,cpuacct:/y\n0::/z\n"),
            [
                "/sys/fs/cgroup/z/cpu.stat",
                "/sys/fs/cgroup/cpu,cpuacct/y/cpu.stat",
                "/sys/fs/cgroup/cpu/y/cpu.stat"
            ]
        );
    }
}
