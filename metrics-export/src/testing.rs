//! A small made-up run for the tests of this crate.

mod full;
mod schema;

use std::collections::BTreeMap;

use crate::run::*;

pub(crate) use full::{broken, full};

/// A run of two variants with one slice each, one of them disturbed.
pub(crate) fn run() -> Run {
    Run {
        schema: SCHEMA.into(),
        schema_version: SCHEMA_VERSION,
        id: "20231114-221320".into(),
        command: RunCommand::Matrix,
        started_at: "2023-11-14T22:13:20Z".into(),
        elapsed_ns: 2_000_000_000,
        complete: true,
        validity: Validity::default(),
        plan: plan(),
        environment: Environment::default(),
        proofs: vec![],
        results: vec![],
        costs: vec![],
        floors: vec![Floor { cell: String::new(), share: 0.004, ns: 75 }],
        service_times: Vec::new(),
        interleaving: Vec::new(),
        additivity: vec![],
        slices: vec![
            slice("s0", 30_000_000, vec![]),
            slice("s1", 40_000_000, vec!["steal was 3%, \"much\"".into(), "late".into()]),
        ],
        fleet: None,
        network: None,
    }
}

fn slice(variant: &str, cpu_ns: u64, disturbances: Vec<String>) -> Slice {
    Slice {
        variant: variant.into(),
        kind: SliceKind::Open,
        instance: 0,
        round: 0,
        position: 0,
        attempt: 0,
        counts: true,
        disturbances,
        start_unix_ns: 1_700_000_000_000_000_000,
        duration_ns: 1_000_000_000,
        requests_asked: 1600,
        requests_sent: 1600,
        requests_answered: 1600,
        dropped: 0,
        errors: [("status-409".to_owned(), 0)].into(),
        bytes_sent: 1_600_000,
        bytes_received: 320_000,
        connections_opened: 0,
        handshakes_full: 0,
        handshakes_resumed: 0,
        response: Percentiles { count: 1600, p99_ns: 251_000, ..Percentiles::default() },
        service: Percentiles::default(),
        lateness: Percentiles::default(),
        services: vec![ServiceCpu {
            service: "gateway".into(),
            cpu_ns,
            user_ns: 10_000_000,
            system_ns: 20_000_000,
        }],
        generator_cpu_ns: 1,
        busy_ns: 2,
        softirq_ns: 3,
        steal_ns: 4,
        background_ns: None,
        throttled: 0,
        connect: Percentiles::default(),
        handshake: Percentiles::default(),
        in_flight_growth_milli: -20,
        in_flight_first_milli: None,
        sent_in_window: None,
        queue_high_water: None,
        retransmits: Some(0),
        generator_share_milli: 1000,
        server_handshakes: Some(Handshakes { none: 0, full: 3, resumed: 0 }),
        ran_on_generator_core: false,
        closed_idle: 0,
        closed_unsolicited: 0,
        cpu_unknown: None,
        blocks: None,
    }
}

fn plan() -> Plan {
    Plan {
        label: None,
        environment: None,
        tags: BTreeMap::new(),
        protocols: vec!["HTTP/1.1".into()],
        subject: SubjectKind::Stack,
        topology: Some(Topology::Mesh),
        arrivals: Some(ArrivalPattern::Constant),
        generator_wait: GeneratorWait::Spin,
        rounds: 1,
        instances: 1,
        stop_rule: "rounds".into(),
        slice_ns: 1_000_000_000,
        warmup_ns: 0,
        closed_slice_ns: 0,
        handshake_slice_ns: 0,
        operating_share_milli: 400,
        seed: 1,
        quick: false,
        server_cores: vec![0],
        generator_cores: vec![1],
        cells: vec![Cell {
            id: String::new(),
            label: String::new(),
            workload: "orders-create".into(),
            call_path: CallPath::Gateway,
            protocol: "HTTP/1.1".into(),
            rate_milli_per_s: 1_600_000,
            rate_source: "as asked".into(),
            connections: 64,
            requests_per_connection: None,
            handshake: HandshakeKind::Full,
            token_algorithm: "es256".into(),
            workers: 1,
            block_ns: None,
        }],
        variants: ["s0", "s1"].map(planned).into(),
        builds: vec![],
    }
}

fn planned(role: &str) -> PlannedVariant {
    PlannedVariant {
        id: role.into(),
        label: role.to_ascii_uppercase(),
        cell: String::new(),
        role: role.into(),
        profile: Some(role.to_ascii_uppercase()),
        tokens: TokenSupply::None,
        token_cache: Some(true),
        request: None,
        cpu_source: CpuSourceKind::Processes,
    }
}

#[test]
fn a_record_is_read_back_and_another_version_refused() {
    let run = run();
    let text = run.to_json();
    assert_eq!(Run::from_json(&text).unwrap(), run);
    // The version before had zeros where nothing was recorded, and fewer keys of a slice.
    let older = text.replace("\"schema_version\": 3", "\"schema_version\": 2");
    let points = ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"];
    let older = points.iter().fold(older, |text, point| {
        text.replace(&format!("\"{point}\": null"), &format!("\"{point}\": 0"))
    });
    let older = older.replace("\"closed_idle\": 0,", "");
    assert_eq!(Run::from_json(&older).unwrap().slices, run.slices);
    let newer = text.replace("\"schema_version\": 3", "\"schema_version\": 99");
    assert!(matches!(Run::from_json(&newer), Err(RecordError::Newer(99))));
    let ancient = text.replace("\"schema_version\": 3", "\"schema_version\": 1");
    assert!(matches!(Run::from_json(&ancient), Err(RecordError::Older(1))));
    let other = text.replace("tollgate.run", "tollgate.single");
    assert!(matches!(Run::from_json(&other), Err(RecordError::OtherSchema(_))));
    assert!(matches!(Run::from_json(&text[..text.len() / 2]), Err(RecordError::Truncated(_))));
    let damaged = text.replace("\"elapsed_ns\": 2000000000", "\"elapsed_ns\": \"long\"");
    assert!(matches!(Run::from_json(&damaged), Err(RecordError::Damaged(_))));
    for no_record in ["", "{}", "[]", "#!/bin/sh"] {
        assert!(matches!(Run::from_json(no_record), Err(RecordError::NotARecord(_))));
    }
}
