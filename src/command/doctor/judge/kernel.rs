//! Checks of the kernel and of what it allows: io_uring and what works of it, filters of system
//! calls, limits, and the accounting that CPU figures come from.

use runtime::Driver;
use runtime::probe::Refusal;

use super::{Check, CheckResult, Facts, blocks, costs, good};

/// See the module.
pub(super) const CHECKS: &[Check] = &[
    Check { item: "build", why: "an unoptimised server costs many times more", judge: build },
    Check { item: "kernel", why: "driver and timers are what it offers", judge: kernel },
    Check {
        item: "CPU accounting",
        why: "CPU per request is read from them",
        judge: cpu_accounting,
    },
    Check {
        item: "io_uring",
        why: "a run holds for the driver that its servers had",
        judge: io_uring,
    },
    Check { item: "ring features", why: "each saves system calls a request", judge: features },
    Check { item: "seccomp", why: "a filter adds to every system call", judge: seccomp },
    Check { item: "locked memory", why: "before Linux 5.12 rings lie in it", judge: memlock },
    Check { item: "open files", why: "each connection is one in each process", judge: files },
];

fn build(facts: &Facts) -> Option<CheckResult> {
    if facts.optimised {
        return None;
    }
    costs(
        "this tollgate was built without optimisation",
        "cargo build --release, and use target/release/tollgate",
    )
}

fn kernel(facts: &Facts) -> Option<CheckResult> {
    let release = &facts.system.kernel;
    match facts.kernel() {
        (0, 0) => costs("the kernel's release cannot be read", "mount /proc"),
        version if version >= (6, 1) => {
            good(format!("Linux {release}, with everything that is of use here"))
        }
        version if version >= (5, 11) => {
            costs(format!("Linux {release} lacks ring flags that came with 6.0 and 6.1"), NEWER)
        }
        _ => costs(format!("Linux {release} wakes sleepers to the millisecond only"), NEWER),
    }
}

const NEWER: &str = "boot Linux 6.1 or newer";

fn cpu_accounting(facts: &Facts) -> Option<CheckResult> {
    if facts.system.run_time_kept {
        return good("the kernel keeps every thread's run time in ns");
    }
    blocks(
        "/proc/self/schedstat is missing: the kernel keeps no run time of threads",
        "use a kernel with CONFIG_SCHED_INFO, and no sandbox that hides its /proc (gVisor)",
    )
}

fn io_uring(facts: &Facts) -> Option<CheckResult> {
    let driver = facts.tried.driver;
    let on = format!("servers run on {}", driver.map_or("no driver at all", Driver::as_str));
    let Err(refusal) = facts.tried.rings.plain else {
        return match driver {
            Some(Driver::IoUring) => {
                good(format!("{on} with COOP_TASKRUN and SINGLE_ISSUER, the generator on epoll"))
            }
            _ => costs(format!("allowed, but not with its flags: {on}"), NEWER),
        };
    };
    let (reason, fix) = refused(facts, refusal);
    if driver.is_none() {
        return blocks(format!("{reason}, and epoll is refused as well"), fix);
    }
    costs(format!("{reason}: {on}"), fix)
}

/// Why there is no ring, and what would give one. A filter answers as it likes, so that the
/// kernel's own setting is asked first: where it exists the kernel has io_uring.
fn refused(facts: &Facts, refusal: Refusal) -> (String, String) {
    const FILTER: &str = "docker run --security-opt seccomp=unconfined, or a profile that \
                          allows io_uring_setup, io_uring_enter and io_uring_register";
    let disabled = facts.system.io_uring_disabled;
    match (refusal, disabled) {
        (Refusal::Forbidden, Some(setting @ 1..)) => (
            format!("forbidden by kernel.io_uring_disabled = {setting}"),
            facts.sudo("sysctl -w kernel.io_uring_disabled=0"),
        ),
        (Refusal::Forbidden, _) | (Refusal::Missing, Some(_)) if facts.filtered() => {
            ("a seccomp filter refuses what the kernel has".into(), FILTER.into())
        }
        (Refusal::Missing, _) if facts.kernel() < (5, 1) => {
            (format!("Linux {} is older than io_uring", facts.system.kernel), NEWER.into())
        }
        (Refusal::Missing, _) if facts.filtered() => (
            "missing: the kernel was built without it, or a seccomp filter hides it".into(),
            FILTER.into(),
        ),
        (Refusal::Missing, _) => (
            "this kernel was built without it".into(),
            "boot a kernel with CONFIG_IO_URING=y".into(),
        ),
        (Refusal::Denied, _) => (
            "a security module (SELinux, AppArmor) forbids it".into(),
            facts.sudo("ausearch -m avc -ts recent, which names the rule"),
        ),
        (Refusal::NoMemory, _) => (
            "no memory may be locked for a ring".into(),
            "ulimit -l unlimited, or LimitMEMLOCK=infinity of the service".into(),
        ),
        (other, _) => (format!("refused ({other})"), "see dmesg for the reason".into()),
    }
}

fn features(facts: &Facts) -> Option<CheckResult> {
    let rings = &facts.tried.rings;
    rings.plain.ok()?;
    let tried = [
        ("DEFER_TASKRUN", rings.deferred),
        ("provided buffers", rings.provided_buffers),
        ("multishot receive", rings.multishot_receive),
        ("multishot accept", rings.multishot_accept),
    ];
    let missing: Vec<&str> =
        tried.iter().filter(|(_, trial)| trial.is_err()).map(|(name, _)| *name).collect();
    match missing.as_slice() {
        [] => good("DEFER_TASKRUN, provided buffers, multishot receive and accept work"),
        missing => costs(format!("refused when tried: {}", missing.join(", ")), NEWER),
    }
}

fn seccomp(facts: &Facts) -> Option<CheckResult> {
    match facts.system.seccomp {
        Some(0) => good("no filter of system calls"),
        Some(_) => costs(
            "a filter looks at every system call of servers and generator",
            "measure outside of the container, or docker run --security-opt seccomp=unconfined",
        ),
        None => None,
    }
}

fn memlock(facts: &Facts) -> Option<CheckResult> {
    /// A ring of 16,384 completions, its entries and its buffers.
    const CORE_BYTES: u64 = 8 << 20;
    let limit = facts.system.memlock_bytes.soft;
    let shown = match limit {
        u64::MAX => "no limit".to_owned(),
        bytes => format!("{} KiB", bytes >> 10),
    };
    if facts.kernel() >= (5, 12) {
        return good(format!("{shown}; this kernel does not count rings"));
    }
    let workers = facts.system.cores_allowed.len().max(1) as u64;
    if limit >= workers.saturating_mul(CORE_BYTES) {
        return good(shown);
    }
    costs(
        format!("{shown} is too little for a ring on each of {workers} cores"),
        "ulimit -l unlimited, or LimitMEMLOCK=infinity of the service",
    )
}

fn files(facts: &Facts) -> Option<CheckResult> {
    /// What a process has open beside connections: rings, logs, pipes, its own listeners.
    const OTHERS: u64 = 64;
    /// What the usual 64 connections take of a gateway, which holds as many to its upstreams.
    const LEAST: u64 = 2 * 64 + OTHERS;
    let limit = facts.system.files;
    let connections = (limit.hard.saturating_sub(OTHERS)) / 2;
    let says = format!(
        "{} now, raised to {} when it measures: {} connections through the gateway",
        limit.soft,
        figure(limit.hard),
        figure(connections)
    );
    let fix = "ulimit -Hn 65536 as root, LimitNOFILE=65536, or docker run --ulimit nofile=65536";
    match limit.hard {
        0 => None,
        hard if hard < LEAST => blocks(says, fix),
        hard if hard < 4096 => costs(says, fix),
        _ => good(says),
    }
}

/// A number that may be no limit.
fn figure(number: u64) -> String {
    if number > u64::MAX / 4 { "any number".into() } else { number.to_string() }
}
