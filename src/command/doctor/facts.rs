//! What is known of the machine before it is judged: what its files say, what was tried, and what
//! was seen in a short look. Plain data, so that a test can invent any machine.

use std::time::Duration;

use loadgen::plan::Cores;
use runtime::Driver;
use runtime::probe::{CounterAccess, Rings, Trial};

/// Everything that the judgement stands on.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) system: System,
    pub(crate) tried: Tried,
    /// The cores that `matrix` would take, where there are two.
    pub(crate) cores: Option<Cores>,
    pub(crate) look: MachineSample,
    /// This very program was built with optimisation.
    pub(crate) optimised: bool,
}

/// What `/proc` and `/sys` say. None and empty where they say nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct System {
    /// The kernel's release, such as `6.8.0-45-generic`.
    pub(crate) kernel: String,
    /// The processor is one that a hypervisor shows.
    pub(crate) virtual_machine: bool,
    /// We are root, and commands need no sudo.
    pub(crate) root: bool,
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for a group and root only, 2 for nobody.
    pub(crate) io_uring_disabled: Option<i64>,
    /// 0 none, 1 strict, 2 a filter of system calls.
    pub(crate) seccomp: Option<i64>,
    pub(crate) memlock_bytes: Limit,
    pub(crate) files: Limit,
    pub(crate) cores_allowed: Vec<usize>,
    pub(crate) cores_online: Vec<usize>,
    pub(crate) cores_isolated: Vec<usize>,
    /// Cores that are threads of one physical core, for every allowed core.
    pub(crate) siblings: Vec<(usize, Vec<usize>)>,
    /// Cores that share a level-2 cache, for every allowed core.
    pub(crate) level2: Vec<(usize, Vec<usize>)>,
    /// The cores' worth of time that our control group may use.
    pub(crate) quota_cores: Option<f64>,
    pub(crate) governor: Option<String>,
    pub(crate) turbo: Option<Turbo>,
    pub(crate) perf_event_paranoid: Option<i64>,
    pub(crate) kptr_restrict: Option<i64>,
    /// The `perf` command is on the path.
    pub(crate) perf_installed: bool,
    pub(crate) clock: Option<String>,
    pub(crate) clocks: Vec<String>,
    pub(crate) autogroup: Option<i64>,
    pub(crate) somaxconn: Option<i64>,
    pub(crate) congestion: Option<String>,
    /// First and last port of outgoing connections.
    pub(crate) ports: Option<(i64, i64)>,
    pub(crate) time_wait_reuse: Option<i64>,
    /// The kernel can encrypt TLS records.
    pub(crate) kernel_tls: bool,
    pub(crate) huge_pages: Option<String>,
    /// The kernel keeps the run time of every thread.
    pub(crate) run_time_kept: bool,
}

/// Clock speeds above the nominal one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turbo {
    /// They are allowed.
    pub(crate) on: bool,
    /// The file that decides, from the root.
    pub(crate) file: &'static str,
    /// What to write there to forbid them.
    pub(crate) off: &'static str,
}

/// A limit of this process; `u64::MAX` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// What was found out by doing it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    pub(crate) rings: Rings,
    /// What servers would run on.
    pub(crate) driver: Option<Driver>,
    pub(crate) counters: CounterAccess,
    /// A connection over loopback.
    pub(crate) loopback: Trial,
}

/// What was seen on the two measured cores within a second, while we used them little.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineSample {
    pub(crate) length: Duration,
    pub(crate) clock_read_ns: f64,
    /// What the hypervisor took, of the two cores.
    pub(crate) steal_share: f64,
    /// What other programs used of them; None where there are too many to read.
    pub(crate) background_share: Option<f64>,
    /// Times that our control group was throttled.
    pub(crate) throttled: u64,
    /// How late a sleep of 50 us ended, in ns.
    pub(crate) wake_p50_ns: u64,
    pub(crate) wake_p99_ns: u64,
    /// The longest time in which a loop that only reads the clock did not run, in ns.
    pub(crate) gap_max_ns: u64,
    /// Such gaps above 20 us for each second of the loop.
    pub(crate) gaps_per_second: f64,
}
