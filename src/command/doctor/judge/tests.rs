//! Invented machines, and what is to be said of them.

use std::time::Duration;

use loadgen::plan::Cores;
use runtime::Driver;
use runtime::probe::{CounterAccess, Refusal, Rings};

use super::super::facts::{Facts, Limit, MachineSample, System, Tried, Turbo};
use super::{Finding, Status, judge};

const TURBO: Turbo = Turbo { on: true, file: "sys/boost", off: "0" };

/// A machine with nothing to complain of.
pub(in super::super) fn sound() -> Facts {
    let system = System {
        kernel: "6.8.0-45-generic".into(),
        io_uring_disabled: Some(0),
        seccomp: Some(0),
        memlock_bytes: Limit { soft: 8 << 20, hard: 8 << 20 },
        files: Limit { soft: 1024, hard: 1_048_576 },
        cores_allowed: vec![0, 1, 2, 3],
        cores_online: vec![0, 1, 2, 3],
        siblings: [(0, 2), (1, 3), (2, 0), (3, 1)].map(|(a, b)| (a, vec![a, b])).into(),
        level2: [(0, 2), (1, 3), (2, 0), (3, 1)].map(|(a, b)| (a, vec![a, b])).into(),
        governor: Some("performance".into()),
        turbo: Some(Turbo { on: false, ..TURBO }),
        perf_event_paranoid: Some(1),
        kptr_restrict: Some(0),
        perf_installed: true,
        clock: Some("tsc".into()),
        clocks: vec!["tsc".into(), "hpet".into()],
        autogroup: Some(1),
        somaxconn: Some(4096),
        congestion: Some("cubic".into()),
        ports: Some((32_768, 60_999)),
        time_wait_reuse: Some(2),
        huge_pages: Some("madvise".into()),
        run_time_kept: true,
        ..System::default()
    };
    let rings = Rings {
        plain: Ok(()),
        cooperative: Ok(()),
        deferred: Ok(()),
        provided_buffers: Ok(()),
        multishot_receive: Ok(()),
        multishot_accept: Ok(()),
    };
    let look = MachineSample {
        length: Duration::from_secs(1),
        clock_read_ns: 22.0,
        steal_share: 0.0,
        background_share: Some(0.001),
        throttled: 0,
        wake_p50_ns: 3_000,
        wake_p99_ns: 9_000,
        gap_max_ns: 80_000,
        gaps_per_second: 40.0,
    };
    Facts {
        system,
        tried: Tried {
            rings,
            driver: Some(Driver::IoUring),
            counters: CounterAccess { clock: Ok(()), kernel_clock: Ok(()), cycles: Ok(()) },
            loopback: Ok(()),
        },
        cores: Some(Cores { servers: vec![0], generator: vec![1] }),
        look,
        optimised: true,
    }
}

/// What is said of an item once the sound machine was changed like this.
fn of(item: &str, change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = sound();
    change(&mut facts);
    let found = judge(&facts).into_iter().find(|finding| finding.item == item);
    found.unwrap_or_else(|| panic!("nothing is said of {item}"))
}

fn no_ring(facts: &mut Facts, refusal: Refusal) {
    let none = Err(refusal);
    facts.tried.rings = Rings {
        plain: none,
        cooperative: none,
        deferred: none,
        provided_buffers: none,
        multishot_receive: none,
        multishot_accept: none,
    };
    facts.tried.driver = Some(Driver::Epoll);
}

/// Each trouble: the item, the change, how bad it is, a word of what is said, and one of the cure.
type Trouble = (&'static str, fn(&mut Facts), Status, &'static str, &'static str);

const TROUBLES: &[Trouble] = &[
    ("build", |f| f.optimised = false, Status::Costs, "optimisation", "cargo build --release"),
    ("kernel", |f| f.system.kernel = "5.15.0-1".into(), Status::Costs, "5.15", "6.1"),
    ("kernel", |f| f.system.kernel = "4.18.0".into(), Status::Costs, "millisecond", "6.1"),
    (
        "CPU accounting",
        |f| f.system.run_time_kept = false,
        Status::Blocks,
        "schedstat",
        "SCHED_INFO",
    ),
    (
        "open files",
        |f| f.system.files = Limit { soft: 128, hard: 128 },
        Status::Blocks,
        "32 connections",
        "nofile",
    ),
    (
        "open files",
        |f| f.system.files = Limit { soft: 1024, hard: 1024 },
        Status::Costs,
        "480 connections",
        "LimitNOFILE",
    ),
    (
        "locked memory",
        |f| {
            f.system.kernel = "5.10.0".into();
            f.system.memlock_bytes = Limit { soft: 65_536, hard: 65_536 };
        },
        Status::Costs,
        "64 KiB",
        "ulimit -l",
    ),
    ("cores", |f| f.system.cores_allowed = vec![2], Status::Blocks, "1 of 4", "taskset"),
    ("CPU quota", |f| f.system.quota_cores = Some(1.5), Status::Blocks, "1.5", "--cpus"),
    ("CPU quota", |f| f.system.quota_cores = Some(3.0), Status::Costs, "3.0", "CPUQuota"),
    (
        "governor",
        |f| f.system.governor = Some("powersave".into()),
        Status::Costs,
        "powersave",
        "sudo cpupower frequency-set -g performance",
    ),
    (
        "turbo",
        |f| f.system.turbo = Some(TURBO),
        Status::Costs,
        "on",
        "echo 0 | sudo tee /sys/boost",
    ),
    ("steal", |f| f.look.steal_share = 0.023, Status::Costs, "2.3%", "dedicated"),
    ("other load", |f| f.look.background_share = Some(0.4), Status::Costs, "40.0%", "ps -eo"),
    ("other load", |f| f.look.background_share = None, Status::Costs, "too many", "end what"),
    ("autogroup", |f| f.look.background_share = Some(0.4), Status::Costs, "nice", "autogroup"),
    ("wake-ups", |f| f.look.wake_p99_ns = 350_000, Status::Costs, "350 us", "--wait spin"),
    ("interruptions", |f| f.look.gap_max_ns = 4_000_000, Status::Costs, "4.0 ms", "isolcpus"),
    ("seccomp", |f| f.system.seccomp = Some(2), Status::Costs, "every system call", "unconfined"),
    (
        "clock",
        |f| {
            f.look.clock_read_ns = 900.0;
            f.system.clock = Some("hpet".into());
        },
        Status::Costs,
        "hpet, 900 ns",
        "echo tsc | sudo tee",
    ),
    (
        "loopback",
        |f| f.tried.loopback = Err(Refusal::Forbidden),
        Status::Blocks,
        "127.0.0.1",
        "ip link set lo up",
    ),
    ("congestion", |f| f.system.congestion = Some("bbr".into()), Status::Costs, "bbr", "cubic"),
    ("backlog", |f| f.system.somaxconn = Some(128), Status::Costs, "128", "somaxconn=4096"),
    ("ports", |f| f.system.ports = Some((60_000, 60_999)), Status::Costs, "1000", "port_range"),
    ("ports", |f| f.system.time_wait_reuse = Some(0), Status::Costs, "a minute", "tw_reuse=2"),
    (
        "huge pages",
        |f| f.system.huge_pages = Some("always".into()),
        Status::Costs,
        "2 MiB",
        "madvise",
    ),
    ("perf", |f| f.system.perf_installed = false, Status::Costs, "not installed", "linux-perf"),
    ("perf", |f| f.system.kptr_restrict = Some(1), Status::Costs, "no names", "kptr_restrict=0"),
    (
        "perf",
        |f| f.tried.counters.kernel_clock = Err(Refusal::Denied),
        Status::Costs,
        "no kernel code",
        "perf_event_paranoid=1",
    ),
    (
        "perf",
        |f| {
            f.system.seccomp = Some(2);
            f.tried.counters.clock = Err(Refusal::Forbidden);
        },
        Status::Costs,
        "seccomp filter",
        "PERFMON",
    ),
    (
        "perf",
        |f| {
            f.system.perf_event_paranoid = Some(4);
            f.tried.counters.clock = Err(Refusal::Denied);
            f.tried.counters.kernel_clock = Err(Refusal::Denied);
        },
        Status::Costs,
        "no code",
        "perf_event_paranoid=1",
    ),
    (
        "counters",
        |f| {
            f.system.virtual_machine = true;
            f.tried.counters.cycles = Err(Refusal::Missing);
        },
        Status::Costs,
        "hypervisor",
        "valgrind",
    ),
    (
        "ring features",
        |f| f.tried.rings.multishot_accept = Err(Refusal::Missing),
        Status::Costs,
        "multishot accept",
        "6.1",
    ),
];

#[test]
fn every_trouble_is_named_with_its_cure() {
    for (item, change, status, says, fix) in TROUBLES {
        let found = of(item, change);
        assert_eq!(found.status, *status, "{found:?}");
        assert!(found.says.contains(says), "{says:?} is not in {found:?}");
        assert!(found.fix.as_deref().unwrap().contains(fix), "{fix:?} is not in {found:?}");
    }
}

#[test]
fn a_sound_machine_is_good_in_every_item() {
    for finding in judge(&sound()) {
        assert_eq!(finding.status, Status::Good, "{finding:?}");
        assert!(finding.fix.is_none(), "{finding:?}");
    }
}

/// A change, the refusal, a word of what is said, and one of the cure.
type Refused = (fn(&mut Facts), Refusal, &'static str, &'static str);

/// A container, a setting, a module and an old kernel refuse in their own ways, and none is taken
/// for another.
#[test]
fn a_refused_ring_is_traced_to_whoever_refused_it() {
    let cases: [Refused; 7] = [
        (|f| f.system.seccomp = Some(2), Refusal::Forbidden, "seccomp filter", "unconfined"),
        (|f| f.system.seccomp = Some(2), Refusal::Missing, "seccomp filter", "unconfined"),
        (
            |f| f.system.io_uring_disabled = Some(2),
            Refusal::Forbidden,
            "io_uring_disabled = 2",
            "sudo sysctl -w kernel.io_uring_disabled=0",
        ),
        (
            |f| f.system.io_uring_disabled = None,
            Refusal::Missing,
            "built without it",
            "CONFIG_IO_URING",
        ),
        (
            |f| {
                f.system.io_uring_disabled = None;
                f.system.kernel = "4.18.0-513".into();
            },
            Refusal::Missing,
            "older than io_uring",
            "6.1",
        ),
        (|_| (), Refusal::Denied, "security module", "ausearch"),
        (|_| (), Refusal::NoMemory, "memory", "ulimit -l"),
    ];
    for (change, refusal, says, fix) in cases {
        let found = of("io_uring", |facts| {
            change(facts);
            no_ring(facts, refusal);
        });
        assert_eq!(found.status, Status::Costs, "{found:?}");
        assert!(found.says.contains(says) && found.says.contains("epoll"), "{says:?}: {found:?}");
        assert!(found.fix.as_deref().unwrap().contains(fix), "{fix:?}: {found:?}");
    }
    let mut facts = sound();
    no_ring(&mut facts, Refusal::Forbidden);
    assert!(judge(&facts).iter().all(|finding| finding.item != "ring features"));
}

#[test]
fn hyperthreads_of_one_core_get_the_core_to_use() {
    let pair = |generator: usize| {
        of("core pair", |facts| {
            facts.cores = Some(Cores { servers: vec![0], generator: vec![generator] });
        })
    };
    assert_eq!(pair(1).status, Status::Good);
    let shared = pair(2);
    assert_eq!(shared.status, Status::Costs);
    assert!(shared.says.contains("one physical core"), "{shared:?}");
    assert_eq!(shared.fix.as_deref(), Some("--server-cores 0 --generator-cores 1"));
    let cache = of("core pair", |facts| {
        facts.system.cores_allowed = vec![0, 1];
        facts.system.level2 = vec![(0, vec![0, 1]), (1, vec![0, 1])];
    });
    assert!(cache.says.contains("level-2"), "{cache:?}");
    assert!(cache.fix.as_deref().unwrap().contains("two physical cores"), "{cache:?}");
}

#[test]
fn what_a_virtual_machine_hides_is_not_held_against_it() {
    let found = of("governor", |facts| {
        facts.system.governor = None;
        facts.system.virtual_machine = true;
    });
    assert_eq!(found.status, Status::Good);
    assert!(found.says.contains("not visible in this virtual machine"), "{found:?}");
}

#[test]
fn root_needs_no_sudo() {
    let found = of("congestion", |facts| {
        facts.system.root = true;
        facts.system.congestion = Some("bbr".into());
    });
    let cure = "sysctl -w net.ipv4.tcp_congestion_control=cubic";
    assert_eq!(found.fix.as_deref(), Some(cure));
}
