//! Records for the tests of comparisons and thresholds: a plain run with known figures.

use std::collections::BTreeMap;

use metrics_export::run::{
    ArrivalPattern, CallPath, Cell, ClosedLoop, Connecting, ConnectionKind, Cost, CpuSourceKind,
    Environment, GeneratorWait, HandshakeKind, IntervalMethod, Per, Percentiles, Plan,
    PlannedVariant, Run, RunCommand, SCHEMA, SCHEMA_VERSION, ServiceCpu, Slice, SliceKind,
    SubjectKind, TokenSupply, Topology, Validity, VariantResult, Verdict,
};

use crate::traffic::random::Random;

/// Requests in each slice.
const ANSWERED: u64 = 1_000;

/// A run whose variants cost so many us per request, `drift` times as much in every round. Each
/// has twelve rounds of its own process with one per cent of noise from `seed`; a new connection
/// costs ten times a request.
pub(crate) fn run(variants: &[(&str, f64)], drift: f64, seed: u64) -> Run {
    let cell = Cell {
        id: String::new(),
        label: String::new(),
        workload: "ping".into(),
        call_path: CallPath::Gateway,
        protocol: "HTTP/1.1".into(),
        rate_milli_per_s: 5_000_000,
        rate_source: "as asked".into(),
        connections: 64,
        requests_per_connection: None,
        handshake: HandshakeKind::Full,
        token_algorithm: "es256".into(),
        workers: 1,
        block_ns: None,
    };
    let mut run = Run {
        schema: SCHEMA.into(),
        schema_version: SCHEMA_VERSION,
        id: format!("run-{seed}"),
        command: RunCommand::Matrix,
        started_at: "2026-07-01T12:00:00Z".into(),
        elapsed_ns: 1,
        complete: true,
        validity: Validity { valid: true, ..Validity::default() },
        plan: plan(cell, seed),
        environment: Environment {
            cpu_model: "a CPU".into(),
            cpus: 2,
            kernel: "6.1".into(),
            generator_driver: "epoll".into(),
            version: "0.1.0".into(),
            optimised: true,
            ..Environment::default()
        },
        proofs: Vec::new(),
        results: Vec::new(),
        costs: Vec::new(),
        floors: Vec::new(),
        service_times: Vec::new(),
        interleaving: Vec::new(),
        additivity: Vec::new(),
        slices: Vec::new(),
        fleet: None,
        network: None,
    };
    let mut random = Random::new(seed);
    for (label, us) in variants {
        add(&mut run, label, *us * drift, &mut random);
    }
    run
}

/// Gives a run the cost of a layer in us, with its interval.
pub(crate) fn cost(run: &mut Run, id: &str, [low, estimate, high]: [f64; 3]) {
    let ns = |us: f64| Some((us * 1000.0) as i64);
    run.costs.push(Cost {
        id: id.into(),
        cell: run.plan.cells[0].id.clone(),
        label: id.to_uppercase(),
        formula: "S1 - S0".into(),
        per: Per::Request,
        rounds: 12,
        estimate_ns: ns(estimate),
        low_ns: ns(low),
        high_ns: ns(high),
        family_low_ns: None,
        family_high_ns: None,
        level: 0.95,
        method: IntervalMethod::SignedRank,
        reference_ns: 10_000,
        verdict: Verdict::Resolved,
        words: "resolved".into(),
        undisturbed_ns: None,
        counted: None,
    });
}

/// The same run twice as two cells of one.
pub(crate) fn two_cells(run: &Run) -> Run {
    let mut both = run.clone();
    both.plan.cells.clear();
    (both.plan.variants, both.results, both.slices) = Default::default();
    for name in ["ping", "orders"] {
        let cell = &run.plan.cells[0];
        both.plan.cells.push(Cell { id: name.into(), label: name.into(), ..cell.clone() });
        let id = |role: &str| format!("{name}-{role}");
        both.plan.variants.extend(run.plan.variants.iter().map(|planned| PlannedVariant {
            id: id(&planned.id),
            cell: name.into(),
            ..planned.clone()
        }));
        let results = run.results.iter();
        both.results
            .extend(results.map(|one| VariantResult { variant: id(&one.variant), ..one.clone() }));
        let slices = run.slices.iter();
        both.slices.extend(slices.map(|one| Slice { variant: id(&one.variant), ..one.clone() }));
    }
    both
}

fn plan(cell: Cell, seed: u64) -> Plan {
    Plan {
        label: None,
        environment: None,
        tags: BTreeMap::new(),
        protocols: vec!["HTTP/1.1".into()],
        subject: SubjectKind::Stack,
        topology: Some(Topology::Mesh),
        arrivals: Some(ArrivalPattern::Constant),
        generator_wait: GeneratorWait::Spin,
        rounds: 12,
        instances: 12,
        stop_rule: "rounds".into(),
        slice_ns: 1_000_000_000,
        warmup_ns: 1,
        closed_slice_ns: 1,
        handshake_slice_ns: 1,
        operating_share_milli: 400,
        seed,
        quick: false,
        server_cores: vec![0],
        generator_cores: vec![1],
        cells: vec![cell],
        variants: Vec::new(),
        builds: Vec::new(),
    }
}

fn add(run: &mut Run, label: &str, us: f64, random: &mut Random) {
    let id = label.to_lowercase().replace([' ', '+'], "-");
    run.plan.variants.push(PlannedVariant {
        id: id.clone(),
        label: label.into(),
        cell: String::new(),
        role: id.clone(),
        profile: None,
        tokens: TokenSupply::None,
        token_cache: None,
        request: None,
        cpu_source: CpuSourceKind::Processes,
    });
    let ns = us * 1000.0;
    run.results.push(VariantResult {
        variant: id.clone(),
        cpu_ns_per_request: ns as u64,
        response: points(200_000, 900_000),
        service: points(190_000, 800_000),
        closed_loop: Some(ClosedLoop {
            requests_milli_per_s: (1e12 / ns) as u64,
            cpu_ns_per_request: ns as u64,
        }),
        connecting: Some(connecting(ns * 10.0)),
        ..VariantResult::default()
    });
    for round in 0..12 {
        for (kind, factor) in [(SliceKind::Open, 1.0), (SliceKind::Connect, 10.0)] {
            let noise = 0.99 + 0.02 * (random.next_u64() as f64 / u64::MAX as f64);
            run.slices.push(slice(&id, round, kind, ns * factor * noise));
        }
    }
}

fn points(p50_ns: u64, p99_ns: u64) -> Percentiles {
    Percentiles { count: 1, p50_ns, p90_ns: p50_ns, p99_ns, p999_ns: p99_ns, max_ns: p99_ns }
}

fn connecting(ns: f64) -> Connecting {
    Connecting {
        handshake: ConnectionKind::Full,
        client_certificate: false,
        connections: 1,
        handshakes_full: 1,
        handshakes_resumed: 0,
        server_handshakes_full: None,
        server_handshakes_resumed: None,
        connections_milli_per_s: 1,
        generator_limited: false,
        cpu_ns_per_connection: ns as u64,
        cpu_ns_per_handshake: None,
        generator_cpu_ns_per_connection: None,
        generator_cpu_ns_per_handshake: None,
        connect: Percentiles::default(),
        tls: Percentiles::default(),
    }
}

fn slice(variant: &str, round: u32, kind: SliceKind, ns: f64) -> Slice {
    Slice {
        variant: variant.into(),
        kind,
        instance: round,
        round,
        position: 0,
        attempt: 0,
        counts: true,
        disturbances: Vec::new(),
        start_unix_ns: 0,
        duration_ns: 1,
        requests_asked: ANSWERED,
        requests_sent: ANSWERED,
        requests_answered: ANSWERED,
        dropped: 0,
        errors: BTreeMap::new(),
        bytes_sent: 0,
        bytes_received: 0,
        connections_opened: 0,
        handshakes_full: 0,
        handshakes_resumed: 0,
        response: Percentiles::default(),
        service: Percentiles::default(),
        lateness: Percentiles::default(),
        services: vec![ServiceCpu {
            service: "gateway".into(),
            cpu_ns: (ns * ANSWERED as f64) as u64,
            user_ns: 0,
            system_ns: 0,
        }],
        generator_cpu_ns: 0,
        busy_ns: 0,
        softirq_ns: 0,
        steal_ns: 0,
        background_ns: None,
        throttled: 0,
        connect: Percentiles::default(),
        handshake: Percentiles::default(),
        in_flight_growth_milli: 0,
        in_flight_first_milli: None,
        sent_in_window: None,
        queue_high_water: None,
        retransmits: None,
        generator_share_milli: 0,
        server_handshakes: None,
        ran_on_generator_core: false,
        closed_idle: 0,
        closed_unsolicited: 0,
        cpu_unknown: None,
        blocks: None,
    }
}
