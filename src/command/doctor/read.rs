//! Reads what `/proc` and `/sys` say of the machine, below a root that tests put elsewhere.
//! A file that is missing or says something else is no fact; it refuses to guess.

use std::fs;
use std::path::{Path, PathBuf};

use super::facts::{Limit, System, Turbo};
use crate::values;

/// The files that switch clock speeds above the nominal one: what they say when it is allowed, and
/// when it is forbidden.
const TURBO: [(&str, &str, &str); 2] = [
    ("sys/devices/system/cpu/intel_pstate/no_turbo", "0", "1"),
    ("sys/devices/system/cpu/cpufreq/boost", "1", "0"),
];

const CPU: &str = "sys/devices/system/cpu";
const CLOCK: &str = "sys/devices/system/clocksource/clocksource0";

/// Reads all of it. `path` is the search path for commands.
pub(crate) fn system(root: &Path, path: &str) -> System {
    let files = Files { root };
    let status = files.text("proc/self/status");
    let limits = files.text("proc/self/limits");
    let cores_allowed = field(&status, "Cpus_allowed_list").map(cores).unwrap_or_default();
    let first = cores_allowed.first().copied().unwrap_or(0);
    let shared = |file: &str| {
        let of = |core: &usize| (*core, files.cores(&format!("{CPU}/cpu{core}/{file}")));
        cores_allowed.iter().map(of).collect()
    };
    System {
        kernel: files.line("proc/sys/kernel/osrelease").unwrap_or_default(),
        virtual_machine: field(&files.text("proc/cpuinfo"), "flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        root: field(&status, "Uid").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")),
        io_uring_disabled: files.number("proc/sys/kernel/io_uring_disabled"),
        seccomp: field(&status, "Seccomp").and_then(|mode| mode.parse().ok()),
        memlock_bytes: limit(&limits, "Max locked memory"),
        files: limit(&limits, "Max open files"),
        cores_online: files.cores(&format!("{CPU}/online")),
        cores_isolated: files.cores(&format!("{CPU}/isolated")),
        siblings: shared("topology/thread_siblings_list"),
        level2: shared(&files.level2(first)),
        quota_cores: files.quota(),
        governor: files.line(&format!("{CPU}/cpu{first}/cpufreq/scaling_governor")),
        turbo: TURBO
            .iter()
            .find_map(|&(file, on, off)| Some(Turbo { on: files.line(file)? == on, file, off })),
        perf_event_paranoid: files.number("proc/sys/kernel/perf_event_paranoid"),
        kptr_restrict: files.number("proc/sys/kernel/kptr_restrict"),
        perf_installed: path.split(':').any(|folder| Path::new(folder).join("perf").is_file()),
        clock: files.line(&format!("{CLOCK}/current_clocksource")),
        clocks: words(&files.text(&format!("{CLOCK}/available_clocksource"))),
        autogroup: files.number("proc/sys/kernel/sched_autogroup_enabled"),
        somaxconn: files.number("proc/sys/net/core/somaxconn"),
        congestion: files.line("proc/sys/net/ipv4/tcp_congestion_control"),
        ports: files.ports(),
        time_wait_reuse: files.number("proc/sys/net/ipv4/tcp_tw_reuse"),
        kernel_tls: words(&files.text("proc/sys/net/ipv4/tcp_available_ulp"))
            .iter()
            .any(|name| name == "tls"),
        huge_pages: chosen(&files.text("sys/kernel/mm/transparent_hugepage/enabled")),
        run_time_kept: files.number("proc/self/schedstat").is_some(),
        cores_allowed,
    }
}

/// The files below a root.
struct Files<'a> {
    root: &'a Path,
}

impl Files<'_> {
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path);
        Some(text.trim().to_owned()).filter(|line| !line.is_empty())
    }

    /// The first number of a file.
    fn number(&self, path: &str) -> Option<i64> {
        self.text(path).split_whitespace().next()?.parse().ok()
    }

    fn cores(&self, path: &str) -> Vec<usize> {
        self.line(path).map(|line| cores(&line)).unwrap_or_default()
    }

    fn ports(&self) -> Option<(i64, i64)> {
        let text = self.text("proc/sys/net/ipv4/ip_local_port_range");
        let mut words = text.split_whitespace().map_while(|word| word.parse().ok());
        Some((words.next()?, words.next()?))
    }

    /// The file that lists the cores of a level-2 cache, below a core's folder.
    fn level2(&self, core: usize) -> String {
        let index = (0..8).find(|index| {
            let level = format!("{CPU}/cpu{core}/cache/index{index}/level");
            self.number(&level) == Some(2)
        });
        format!("cache/index{}/shared_cpu_list", index.unwrap_or(2))
    }

    /// The least that our control group and those above it may use, in cores' worth of time.
    fn quota(&self) -> Option<f64> {
        let groups = self.text("proc/self/cgroup");
        let mut least: Option<f64> = None;
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
            let second = controllers.is_empty();
            if !second && controllers.split(',').all(|name| name != "cpu") {
                continue;
            }
            let mount = PathBuf::from("sys/fs/cgroup").join(controllers);
            let group = group.trim_start_matches('/');
            for above in Path::new(group).ancestors() {
                let folder = mount.join(above);
                let quota =
                    if second { self.quota_second(&folder) } else { self.quota_first(&folder) };
                least = [least, quota].into_iter().flatten().reduce(f64::min);
            }
        }
        least
    }

    fn quota_second(&self, folder: &Path) -> Option<f64> {
        let text = fs::read_to_string(self.root.join(folder).join("cpu.max")).ok()?;
        let mut words = text.split_whitespace();
        share(words.next()?.parse().ok()?, words.next()?.parse().ok()?)
    }

    fn quota_first(&self, folder: &Path) -> Option<f64> {
        let folder = folder.to_str()?;
        share(
            self.number(&format!("{folder}/cpu.cfs_quota_us"))?,
            self.number(&format!("{folder}/cpu.cfs_period_us"))?,
        )
    }
}

/// A quota of -1 is none.
fn share(quota_us: i64, period_us: i64) -> Option<f64> {
    (quota_us > 0 && period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

/// A line `name: value` of a file of such lines.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// A line of `/proc/self/limits`: its name, the soft and the hard limit.
fn limit(text: &str, name: &str) -> Limit {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut figures = line.split_whitespace().map(|word| match word {
        "unlimited" => u64::MAX,
        figure => figure.parse().unwrap_or(0),
    });
    Limit { soft: figures.next().unwrap_or(0), hard: figures.next().unwrap_or(0) }
}

fn cores(list: &str) -> Vec<usize> {
    values::cores(list.trim()).unwrap_or_default()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The word in brackets: the kernel's way to say which of several is in force.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine as a tree of files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_laptop_in_a_container_is_read() {
        let status = "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nSeccomp:\t2\n\
                      Cpus_allowed_list:\t1,3\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n\
                      Max locked memory         65536                unlimited            bytes\n";
        let root = tree(&[
            ("proc/self/status", status),
            ("proc/self/limits", limits),
            ("proc/self/schedstat", "180969 86919 2\n"),
            ("proc/self/cgroup", "0::/box/inner\n"),
            ("sys/fs/cgroup/box/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/box/inner/cpu.max", "max 100000\n"),
            ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse hypervisor\n"),
            ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n"),
            ("proc/sys/kernel/io_uring_disabled", "2\n"),
            ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            ("proc/sys/net/ipv4/tcp_available_ulp", "mptcp tls\n"),
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/devices/system/cpu/isolated", "\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n"),
            ("sys/devices/system/cpu/cpu1/cache/index1/level", "2\n"),
            ("sys/devices/system/cpu/cpu1/cache/index1/shared_cpu_list", "0-1\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("bin/perf", ""),
        ]);
        let bin = root.path().join("bin");
        let system = system(root.path(), &format!("/nowhere:{}", bin.display()));
        assert_eq!((system.seccomp, system.io_uring_disabled), (Some(2), Some(2)));
        assert!(system.virtual_machine && system.perf_installed && system.kernel_tls);
        assert!(!system.root && system.run_time_kept);
        assert_eq!(system.files, Limit { soft: 1024, hard: 524_288 });
        assert_eq!(system.memlock_bytes, Limit { soft: 65_536, hard: u64::MAX });
        assert_eq!((system.cores_allowed, system.cores_online.len()), (vec![1, 3], 4));
        assert!(system.cores_isolated.is_empty());
        assert_eq!(system.siblings, [(1, vec![1, 3]), (3, vec![])]);
        assert_eq!(system.level2[0], (1, vec![0, 1]));
        assert_eq!(system.quota_cores, Some(1.5));
        assert_eq!(system.governor.as_deref(), Some("powersave"));
        assert!(system.turbo.as_ref().is_some_and(|turbo| turbo.on && turbo.off == "1"));
        assert_eq!(system.ports, Some((32_768, 60_999)));
        assert_eq!(system.huge_pages.as_deref(), Some("madvise"));
    }

    #[test]
    fn an_older_control_group_has_its_quota_in_two_files() {
        let root = tree(&[
            ("proc/self/cgroup", "4:memory:/m\n1:cpu,cpuacct:/y\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/y/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/y/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(system(root.path(), "").quota_cores, Some(0.5));
    }

    #[test]
    fn an_empty_tree_is_no_fact_at_all() {
        let root = tree(&[]);
        let system = system(root.path(), "");
        assert!(system.kernel.is_empty() && system.clock.is_none() && !system.run_time_kept);
        assert!(system.quota_cores.is_none() && system.turbo.is_none());
        assert_eq!(system.files, Limit::default());
    }
}
