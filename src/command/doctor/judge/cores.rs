//! Checks of the cores: how many, how they lie to each other, how fast they run, and who else is on
//! them.

use loadgen::plan::Cores;
use metrics_export::run::Bounds;

use super::{Check, CheckResult, Facts, blocks, costs, good};

/// See the module.
pub(super) const CHECKS: &[Check] = &[
    Check { item: "cores", why: "servers and generator need one each", judge: count },
    Check {
        item: "core pair",
        why: "what one core's load does to the other is in its figures",
        judge: pair,
    },
    Check { item: "CPU quota", why: "a throttled slice is invalid", judge: quota },
    Check { item: "governor", why: "CPU time is as long as the clock is slow", judge: governor },
    Check { item: "turbo", why: "speed then depends on heat and neighbours", judge: turbo },
    Check { item: "steal", why: "what the host takes is in every time", judge: steal },
    Check { item: "other load", why: "it evicts caches and delays requests", judge: background },
    Check { item: "autogroup", why: "it decides whether nice has any force", judge: autogroup },
    Check { item: "wake-ups", why: "a late sleeper sends late", judge: wakeups },
    Check { item: "interruptions", why: "each one is in somebody's p99.9", judge: gaps },
];

fn count(facts: &Facts) -> Option<CheckResult> {
    let system = &facts.system;
    let (allowed, online) = (system.cores_allowed.len(), system.cores_online.len());
    let isolated = match system.cores_isolated.as_slice() {
        [] => "none is isolated".to_owned(),
        cores => format!("isolated: {}", list(cores)),
    };
    let says = format!("{allowed} of {online} online may be used; {isolated}");
    if allowed >= 2 {
        return good(says);
    }
    blocks(says, "taskset -c 0-1 tollgate .., docker run --cpuset-cpus 0-1, or a larger machine")
}

fn pair(facts: &Facts) -> Option<CheckResult> {
    let Cores { servers, generator } = facts.cores.as_ref()?;
    let (server, generator) = (*servers.first()?, *generator.first()?);
    let both = format!("servers on {server}, generator on {generator}");
    let together = |groups: &[(usize, Vec<usize>)]| {
        groups.iter().any(|(core, group)| *core == server && group.contains(&generator))
    };
    let (siblings, level2) = (&facts.system.siblings, &facts.system.level2);
    let shared = if together(siblings) {
        "are threads of one physical core"
    } else if together(level2) {
        "share a level-2 cache"
    } else {
        return good(format!("{both}, each with a physical core and level-2 cache of its own"));
    };
    let apart = |core: &&usize| {
        let with = |groups: &[(usize, Vec<usize>)]| {
            groups.iter().any(|(of, group)| *of == server && group.contains(core))
        };
        **core != server && !with(siblings) && !with(level2)
    };
    let fix = match facts.system.cores_allowed.iter().find(apart) {
        Some(core) => format!("--server-cores {server} --generator-cores {core}"),
        None => "a machine or a CPU set with two physical cores".into(),
    };
    costs(format!("{both}: they {shared}"), fix)
}

fn quota(facts: &Facts) -> Option<CheckResult> {
    let throttled = match facts.look.throttled {
        0 => String::new(),
        times => format!(", throttled {times} times in the last second"),
    };
    let fix = "docker run --cpus 0 --cpuset-cpus 0-1, or CPUQuota= (empty) of the service";
    match facts.system.quota_cores {
        None => good("the control group is not limited"),
        Some(quota) if quota < 2.0 => {
            blocks(format!("{quota:.1} cores' worth, and two are measured{throttled}"), fix)
        }
        Some(quota) if quota < facts.system.cores_allowed.len() as f64 || !throttled.is_empty() => {
            costs(format!("{quota:.1} cores' worth of time{throttled}"), fix)
        }
        Some(quota) => good(format!("{quota:.1} cores' worth of time")),
    }
}

fn governor(facts: &Facts) -> Option<CheckResult> {
    match facts.system.governor.as_deref() {
        Some("performance") => good("performance"),
        Some(name) => costs(
            format!("{name}: the clock follows the load"),
            facts.sudo("cpupower frequency-set -g performance"),
        ),
        None if facts.system.virtual_machine => {
            good("not visible in this virtual machine; rounds in turn take drift out")
        }
        None => good("none: the clock's speed is not scaled by Linux"),
    }
}

fn turbo(facts: &Facts) -> Option<CheckResult> {
    let turbo = facts.system.turbo.as_ref()?;
    if turbo.on { costs("on", facts.write(turbo.off, turbo.file)) } else { good("off") }
}

fn steal(facts: &Facts) -> Option<CheckResult> {
    let look = &facts.look;
    let says = format!(
        "{} of the two cores in the last {:.1} s",
        percent(look.steal_share),
        seconds(facts)
    );
    let bound = Bounds::default().steal_share_max;
    if look.steal_share <= bound {
        return good(says);
    }
    costs(
        format!("{says}, above the bound of {}: a run now would be invalid", percent(bound)),
        "measure when neighbours are quiet, or take a machine with dedicated cores",
    )
}

fn background(facts: &Facts) -> Option<CheckResult> {
    let Some(share) = facts.look.background_share else {
        return costs("too many threads run here to read what they use", "end what is not needed");
    };
    let says = format!(
        "other programs used {} of the two cores in {:.1} s",
        percent(share),
        seconds(facts)
    );
    let bound = Bounds::default().background_share_max;
    if share <= bound {
        return good(says);
    }
    costs(
        format!("{says}, above the bound of {}: a run now would be invalid", percent(bound)),
        "end them; ps -eo pcpu,pid,args --sort=-pcpu | head shows which they are",
    )
}

fn autogroup(facts: &Facts) -> Option<CheckResult> {
    let busy = facts.look.background_share.is_some_and(|share| share > 0.02);
    match facts.system.autogroup {
        Some(1..) if busy => costs(
            "on, and others are busy: each session gets an equal share whatever its nice",
            facts.write("-20", "proc/$$/autogroup, in the shell that measures"),
        ),
        Some(1..) => good("on, which matters only while other sessions are busy"),
        _ => None,
    }
}

fn wakeups(facts: &Facts) -> Option<CheckResult> {
    let look = &facts.look;
    let says = format!(
        "sleeping 50 us ended {} late at p50, {} at p99",
        time(look.wake_p50_ns),
        time(look.wake_p99_ns)
    );
    let bound = Bounds::default().lateness_p99_ns_max;
    if look.wake_p99_ns <= bound {
        return good(says);
    }
    costs(
        format!("{says}; the bound of lateness is {}", time(bound)),
        "run --wait spin --cores N (matrix spins already), and end other programs",
    )
}

fn gaps(facts: &Facts) -> Option<CheckResult> {
    /// About a slice of the scheduler: somebody else ran.
    const LONG_NS: u64 = 1_000_000;
    let look = &facts.look;
    let says = format!(
        "a spinning loop stood still for {} at most, and {:.0} times a second above 20 us",
        time(look.gap_max_ns),
        look.gaps_per_second
    );
    if look.gap_max_ns <= LONG_NS && look.gaps_per_second <= 1_000.0 {
        return good(says);
    }
    costs(says, "end other programs, or keep them off with isolcpus=N nohz_full=N at boot")
}

fn seconds(facts: &Facts) -> f64 {
    facts.look.length.as_secs_f64()
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn time(ns: u64) -> String {
    match ns {
        1_000_000.. => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.0} us", ns as f64 / 1e3),
    }
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
