//! A made-up run in which every list holds something and every figure is known, for the tests of
//! the reports and of the schema.

use super::run;
use crate::run::*;
use crate::run::{ConnectionKind, CpuSourceKind, IntervalMethod, Per, Quantile, TokenSupply};

/// A valid run of five variants in one cell and of one in another.
pub(crate) fn full() -> Run {
    let mut full = run();
    full.validity = validity();
    full.plan.label = Some("first try".into());
    full.plan.rounds = 12;
    full.plan.instances = 2;
    full.plan.variants = [
        ("s0", "S0", "S0", ""),
        ("s0-control", "S0 control", "S0", ""),
        ("s1", "S1", "S1", ""),
        ("s2-uncached", "S2 uncached", "S2", ""),
        ("s3", "S3", "S3", ""),
        ("ping-s0", "S0", "S0", "ping"),
    ]
    .map(|(id, label, profile, cell)| PlannedVariant {
        id: id.into(),
        label: label.into(),
        cell: cell.into(),
        role: id.trim_start_matches("ping-").into(),
        profile: Some(profile.into()),
        tokens: TokenSupply::None,
        token_cache: Some(true),
        request: Some("GET https://host/path".into()),
        cpu_source: CpuSourceKind::Processes,
    })
    .into();
    let ping = Cell { id: "ping".into(), workload: "ping".into(), ..full.plan.cells[0].clone() };
    full.plan.cells[0].label = "orders-create".into();
    full.plan.cells.push(Cell { label: "ping".into(), requests_per_connection: Some(100), ..ping });
    full.environment = environment();
    full.proofs = ["token verified", "client certificate"].map(proof).into();
    full.results = vec![
        result("s0", 80_000, Some((ConnectionKind::Tcp, 30_000))),
        result("s0-control", 81_000, None),
        result("s1", 90_000, Some((ConnectionKind::Full, 125_000))),
        result("s2-uncached", 215_000, None),
        result("s3", 90_000, Some((ConnectionKind::Full, 200_000))),
        result("ping-s0", 9_000, None),
    ];
    full.costs = costs();
    full.service_times = vec![cost("tls", "TLS", 41_000, 80_000)];
    full.floors[0].ns = 2_000;
    full.interleaving = vec![interleaving()];
    full.additivity = vec![Additivity {
        cell: String::new(),
        form: "cached".into(),
        interactions: vec![cost("interaction-cached", "interaction, cached", 300, 900)],
        statistic: 0.7,
        critical: 2.4,
        additive: true,
        words: "Layers add up as far as this run can tell.".into(),
    }];
    full.slices[1].attempt = 1;
    full.slices[0].background_ns = Some(5);
    full.slices[0].in_flight_first_milli = Some(1_000);
    full.slices[0].sent_in_window = Some(1_600);
    full.slices[0].queue_high_water = Some(0);
    full.plan.cells[0].block_ns = Some(2_000_000);
    let pairs = vec![PairCpu { cpu_ns: 400_000, answered: 8 }; 2];
    let (block_ns, slice_ns) = (2_000_000, 88_000_000);
    let answered_in_time = 16;
    full.slices[0].blocks =
        Some(SliceBlocks { block_ns, slice_ns, answered_in_time, reading_ns: 9_000, pairs });
    full
}

fn interleaving() -> Interleaving {
    Interleaving {
        cell: String::new(),
        requests_per_block_milli: 8_000,
        undisturbed_ns: 74_000,
        extra_share: 0.08,
        extra_low: Some(0.06),
        extra_high: Some(0.1),
        reading_share: 0.0002,
        costs_compared: 8,
        costs_agreeing: 8,
        autocorrelation: Some(0.02),
    }
}

fn validity() -> Validity {
    Validity {
        valid: true,
        breaches: vec![],
        slices_repeated: 1,
        notes: vec!["The host is virtual.".into()],
        bounds: Bounds::default(),
    }
}

/// Makes a run one that broke a bound and whose token was not verified.
pub(crate) fn broken(mut run: Run) -> Run {
    run.validity.valid = false;
    run.validity.breaches = vec![Breach {
        bound: "steal_share_max".into(),
        scope: BreachScope::Variant("s1".into()),
        sentence: "The hypervisor took 3% of the time: measure on a quieter host.".into(),
        cause: Some(Cause::Machine),
        measured: Some(0.03),
        limit: Some(0.01),
        detail: Some("two ticks".into()),
    }];
    run.proofs[0].holds = false;
    run
}

fn environment() -> Environment {
    Environment {
        cpu_model: "Made-up CPU".into(),
        cpus: 2,
        virtual_machine: true,
        kernel: "6.18.0".into(),
        governor: Some("performance".into()),
        irq_time_accounting: Some(false),
        generator_driver: "epoll".into(),
        server_drivers: vec!["io_uring".into()],
        version: "0.1.0".into(),
        commit: Some("0123456".into()),
        optimised: true,
    }
}

fn proof(claim: &str) -> Proof {
    Proof {
        variant: "s1".into(),
        claim: claim.into(),
        slices: 12,
        holds: true,
        found: "1,482 verified".into(),
    }
}

fn result(variant: &str, cpu_ns: u64, connecting: Option<(ConnectionKind, u64)>) -> VariantResult {
    let times = |p50_ns| Percentiles {
        count: 100_000,
        p50_ns,
        p90_ns: p50_ns * 2,
        p99_ns: p50_ns * 5,
        p999_ns: p50_ns * 20,
        max_ns: p50_ns * 100,
    };
    let cost = |service: &str, share| ServiceCost {
        service: service.into(),
        cpu_ns_per_request: cpu_ns * share / 10,
    };
    VariantResult {
        variant: variant.into(),
        slices: 12,
        requests_asked: 100_000,
        requests_answered: 100_000,
        errors: [("status-409".to_owned(), 0)].into(),
        cpu_ns_per_request: cpu_ns,
        services: vec![cost("orders", 4), cost("gateway", 6)],
        system_share_milli: Some(600),
        busy_ns_per_request: Some(cpu_ns + 3_000),
        undisturbed_cpu_ns_per_request: Some(70_000),
        idle_cpu_ns_per_s: Some(20_000),
        generator_cpu_ns_per_request: Some(400_000),
        response: times(370_000),
        service: times(228_000),
        lateness: times(1_000),
        bytes_sent_per_request: 1_082,
        bytes_received_per_request: 239,
        closed_loop: Some(ClosedLoop {
            requests_milli_per_s: 13_346_400,
            cpu_ns_per_request: 56_500,
        }),
        connecting: connecting.map(|(handshake, cpu_ns)| Connecting {
            handshake,
            client_certificate: variant == "s3",
            connections: 5_000,
            handshakes_full: 5_000,
            handshakes_resumed: 0,
            server_handshakes_full: Some(5_000),
            server_handshakes_resumed: Some(0),
            connections_milli_per_s: 4_000_000,
            generator_limited: variant == "s3",
            cpu_ns_per_connection: cpu_ns,
            cpu_ns_per_handshake: (handshake != ConnectionKind::Tcp).then(|| cpu_ns - 30_000),
            generator_cpu_ns_per_connection: Some(cpu_ns * 2),
            generator_cpu_ns_per_handshake: (handshake != ConnectionKind::Tcp)
                .then(|| cpu_ns * 2 - 60_000),
            connect: times(60_000),
            tls: if handshake == ConnectionKind::Tcp {
                Percentiles::default()
            } else {
                times(700_000)
            },
        }),
        capacity: (variant == "s1").then(capacity),
        memory_peak_bytes: Some(12 << 20),
        retransmits: Some(0),
        ..VariantResult::default()
    }
}

fn capacity() -> Capacity {
    let point = |rate: u64, p99_ns, kept: bool| LoadPoint {
        asked_milli_per_s: Some(rate * 1_000_000),
        achieved_milli_per_s: rate * 1_000_000,
        response: Percentiles { count: 1, p99_ns, ..Percentiles::default() },
        kept: Some(kept),
        breaches: if kept { vec![] } else { vec![Breach::of_sentence("unanswered requests grew")] },
        ..LoadPoint::default()
    };
    let slo = SloResult {
        quantile: Quantile::P99,
        limit_ns: 2_000_000,
        rate_milli_per_s: Some(8_000_000),
        confirmation_slices: 20,
        kept_slices: 20,
        slice_ns: 0,
        attempts: 0,
        confidence_milli: 950,
        kept_share_min_milli: 861,
        next_failed_milli_per_s: Some(9_000_000),
        confirmations: vec![point(8, 1_900_000, true)],
    };
    Capacity {
        closed_loop_milli_per_s: 10_000_000,
        complete: true,
        slo: Some(slo),
        // The highest rate first: charts sort by rate.
        curve: vec![point(9, 30_000_000, false), point(4, 500_000, true)],
    }
}

fn costs() -> Vec<Cost> {
    let mut control = cost("a-a", "A/A control", 400, 1_600);
    control.formula = "S0 control - S0".into();
    control.words = "no difference, as it must be".into();
    let mut few = cost("policy-cached", "policy, cached", 0, 0);
    few.verdict = Verdict::TooFewRounds;
    (few.low_ns, few.high_ns, few.family_low_ns, few.family_high_ns) = (None, None, None, None);
    few.words = "no interval: 3 rounds, and 8 are needed".into();
    let mut certificate = cost("certificate", "client certificate", -500, 1_500);
    certificate.counted = Some(InstructionEvidence {
        instructions: -12,
        reference_instructions: 9_800,
        request: "ping".into(),
        release: "0.1.0".into(),
    });
    let mut connection = cost("tls-connection", "TLS", 95_000, 5_000);
    connection.per = Per::Connection;
    connection.reference_ns = 30_000;
    vec![control, cost("tls", "TLS", 10_000, 3_000), certificate, few, connection]
}

/// A cost with an interval of this half width.
fn cost(id: &str, label: &str, ns: i64, half: i64) -> Cost {
    let resolved = ns.abs() > half;
    Cost {
        id: id.into(),
        cell: String::new(),
        label: label.into(),
        formula: "S1 - S0".into(),
        per: Per::Request,
        rounds: 12,
        estimate_ns: Some(ns),
        low_ns: Some(ns - half),
        high_ns: Some(ns + half),
        family_low_ns: Some(ns - half - 200),
        family_high_ns: Some(ns + half + 200),
        level: 0.95,
        method: IntervalMethod::SignedRank,
        reference_ns: 80_000,
        verdict: if resolved { Verdict::Resolved } else { Verdict::WithinNoise },
        words: if resolved { "resolved" } else { "not resolved: within the noise floor" }.into(),
        undisturbed_ns: Some(9_500),
        counted: None,
    }
}
