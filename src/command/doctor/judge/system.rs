//! Checks of what stands around the measuring: clocks, the network of loopback, memory, and the
//! tools that show where time goes.

use runtime::probe::Refusal;

use super::{Check, CheckResult, Facts, blocks, costs, good};

/// See the module.
pub(super) const CHECKS: &[Check] = &[
    Check { item: "clock", why: "every request is timed with several reads", judge: clock },
    Check { item: "loopback", why: "servers and generator meet there", judge: loopback },
    Check { item: "congestion", why: "it decides when TCP sends", judge: congestion },
    Check { item: "backlog", why: "connections that come together wait there", judge: backlog },
    Check { item: "ports", why: "a new connection for each request uses them up", judge: ports },
    Check { item: "kernel TLS", why: "with it a server's cost moves into the kernel", judge: tls },
    Check { item: "huge pages", why: "memory per connection reads larger", judge: huge_pages },
    Check { item: "perf", why: "flame graphs show where the cost is", judge: perf },
    Check { item: "counters", why: "cycles tell more than time does", judge: counters },
];

fn clock(facts: &Facts) -> Option<CheckResult> {
    /// A read that enters the kernel takes longer, one that does not is far below.
    const SLOW_NS: f64 = 150.0;
    let name = facts.system.clock.as_deref().unwrap_or("unknown");
    let says = format!("{name}, {:.0} ns a read", facts.look.clock_read_ns);
    if facts.look.clock_read_ns <= SLOW_NS {
        return good(says);
    }
    let tsc = name != "tsc" && facts.system.clocks.iter().any(|clock| clock == "tsc");
    let file = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    let fix = match tsc {
        true => facts.write("tsc", file),
        false => "boot with tsc=reliable, or take a machine that offers its tsc".into(),
    };
    costs(format!("{says}: each enters the kernel"), fix)
}

fn loopback(facts: &Facts) -> Option<CheckResult> {
    match facts.tried.loopback {
        Ok(()) => good("a connection to 127.0.0.1 was made"),
        Err(refusal) => blocks(
            format!("no connection to 127.0.0.1 ({refusal})"),
            facts.sudo("ip link set lo up"),
        ),
    }
}

fn congestion(facts: &Facts) -> Option<CheckResult> {
    match facts.system.congestion.as_deref()? {
        "bbr" => costs(
            "bbr, which paces what is sent by timers, on loopback too",
            facts.sudo("sysctl -w net.ipv4.tcp_congestion_control=cubic"),
        ),
        name => good(name),
    }
}

fn backlog(facts: &Facts) -> Option<CheckResult> {
    let most = facts.system.somaxconn?;
    let says = format!("net.core.somaxconn = {most}");
    if most >= 1024 {
        return good(says);
    }
    costs(
        format!("{says}: a burst overflows it, and a lost SYN costs a second"),
        facts.sudo("sysctl -w net.core.somaxconn=4096"),
    )
}

fn ports(facts: &Facts) -> Option<CheckResult> {
    let (first, last) = facts.system.ports?;
    let count = last - first + 1;
    let says = format!("{count} for each source address");
    if count < 16_000 {
        return costs(says, facts.sudo("sysctl -w net.ipv4.ip_local_port_range='32768 60999'"));
    }
    if facts.system.time_wait_reuse == Some(0) {
        return costs(
            format!("{says}, held for a minute after use"),
            facts.sudo("sysctl -w net.ipv4.tcp_tw_reuse=2"),
        );
    }
    good(says)
}

fn tls(facts: &Facts) -> Option<CheckResult> {
    if !facts.system.kernel_tls {
        return good("not offered, and tollgate does not use it");
    }
    good("offered; tollgate does not use it, a target such as nginx may")
}

fn huge_pages(facts: &Facts) -> Option<CheckResult> {
    match facts.system.huge_pages.as_deref() {
        Some("always") => costs(
            "always: pages of 2 MiB wherever they fit",
            facts.write("madvise", "sys/kernel/mm/transparent_hugepage/enabled"),
        ),
        _ => None,
    }
}

fn perf(facts: &Facts) -> Option<CheckResult> {
    let (system, counters) = (&facts.system, &facts.tried.counters);
    let level = system.perf_event_paranoid.map_or("?".to_owned(), |level| level.to_string());
    // Beyond 2 the setting itself refuses everything; up to there it allows one's own code.
    let own_allowed = system.perf_event_paranoid.is_none_or(|level| level <= 2);
    if counters.clock.is_err() && own_allowed && facts.filtered() {
        return costs(
            "a seccomp filter refuses perf_event_open",
            "docker run --security-opt seccomp=unconfined --cap-add PERFMON",
        );
    }
    if counters.kernel_clock.is_err() {
        let what = if counters.clock.is_err() { "no code" } else { "no kernel code" };
        return costs(
            format!("{what} may be sampled (kernel.perf_event_paranoid = {level})"),
            facts.sudo("sysctl -w kernel.perf_event_paranoid=1"),
        );
    }
    if !system.perf_installed {
        return costs(
            "not installed: `tollgate flame` cannot record",
            facts.sudo("apt-get install linux-perf (Ubuntu linux-tools-generic, Fedora perf)"),
        );
    }
    match system.kptr_restrict {
        Some(restrict) if restrict >= 2 || (restrict == 1 && !system.root) => costs(
            format!("kernel functions have no names (kernel.kptr_restrict = {restrict})"),
            facts.sudo("sysctl -w kernel.kptr_restrict=0"),
        ),
        _ => good("installed, and it may sample the kernel with names"),
    }
}

fn counters(facts: &Facts) -> Option<CheckResult> {
    match facts.tried.counters.cycles {
        Ok(()) => good("the processor's own can be read"),
        Err(Refusal::Missing) if facts.system.virtual_machine => costs(
            "the hypervisor shows none: perf samples by the clock only",
            "a machine whose host exposes its PMU; instruction counts come from valgrind here",
        ),
        Err(Refusal::Missing) => {
            costs("none: perf samples by the clock only", "boot a kernel with the PMU's driver")
        }
        Err(_) => None,
    }
}
