//! A result in every format, from figures that were made up.

use std::time::{Duration, SystemTime};

use metrics_export::run::{Breach, Capacity, LoadPoint, Percentiles, SloResult};

use super::*;
use crate::command::capacity::{Settings, Slo};
use crate::command::run::RequestSummary;
use crate::traffic::schedule::ArrivalPattern;
use crate::traffic::slice::{Arrivals, SliceSpec};

fn point(asked: Option<u64>, achieved: u64, p99_ns: u64, kept: Option<bool>) -> LoadPoint {
    let times = |p99_ns: u64| Percentiles {
        count: 1_000,
        p50_ns: p99_ns / 4,
        p90_ns: p99_ns / 2,
        p99_ns,
        p999_ns: p99_ns * 2,
        max_ns: p99_ns * 3,
    };
    LoadPoint {
        asked_milli_per_s: asked.map(|rate| rate * 1_000),
        achieved_milli_per_s: achieved * 1_000,
        response: times(p99_ns),
        service: times(p99_ns / 3),
        server_cpu_ns_per_request: Some(12_345),
        generator_share_milli: 412,
        kept,
        ..LoadPoint::default()
    }
}

fn outcome() -> CapacityOutcome {
    let slo = Slo { quantile: Quantile::P99, limit: Duration::from_millis(2) };
    let confirmations = vec![point(Some(1_200_000), 1_200_000, 900_000, Some(true)); 2];
    CapacityOutcome {
        label: Some("nightly".into()),
        url: "http://127.0.0.1:8080/ping".into(),
        summary: RequestSummary { method: "GET".into(), in_turn: 1 },
        spec: SliceSpec::new(Arrivals::Closed, 64, Duration::from_secs(1)),
        pattern: ArrivalPattern::Constant,
        settings: Settings::new(Some(slo)),
        warmup: Duration::from_secs(1),
        capacity: Capacity {
            closed_loop_milli_per_s: 1_500_000_000,
            complete: true,
            slo: Some(SloResult {
                quantile: Quantile::P99,
                limit_ns: 2_000_000,
                rate_milli_per_s: Some(1_200_000_000),
                confirmation_slices: 2,
                kept_slices: 2,
                slice_ns: 1_000_000_000,
                attempts: 1,
                confidence_milli: 950,
                kept_share_min_milli: 158,
                next_failed_milli_per_s: Some(1_224_000_000),
                confirmations,
            }),
            curve: vec![
                point(None, 1_500_000, 700_000, None),
                point(Some(150_000), 150_000, 80_000, Some(true)),
                point(Some(1_224_000), 1_224_000, 5_000_000_000, Some(false)),
            ],
        },
        began: SystemTime::UNIX_EPOCH,
        slices: 6,
        driver: "epoll",
        cpu_source: None,
        breaches: Vec::new(),
        notes: vec!["a note".into()],
        failure: None,
    }
}

#[test]
fn text_fits_a_terminal_and_has_the_interval() {
    let mut outcome = outcome();
    outcome.capacity.curve[2].breaches.push(Breach::of_sentence("it fell behind"));
    let text = outcome.render(OutputFormat::Text);
    for part in [
        "closed-loop maximum  1500000/s (1 slices: 1500000 to 1500000), generator 41%",
        "p99 within 2ms       1200000/s",
        "kept in 2 of 2 slices: with 95% confidence in at least 15.8% of them",
        "1224000/s did not keep it",
        "behind",
        "note        a note",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with("note")) {
        assert!(line.chars().count() <= 100, "{} characters: {line}", line.chars().count());
    }
}

#[test]
fn doubts_come_first() {
    let mut outcome = outcome();
    outcome.breaches.push("the generator was the limit".into());
    assert_eq!(outcome.exit_code(), 3);
    assert!(
        outcome.render(OutputFormat::Text).starts_with("INVALID: the generator was the limit\n")
    );
    assert!(outcome.render(OutputFormat::Markdown).starts_with("**INVALID:** the generator"));
    assert_eq!(outcome.render(OutputFormat::Quiet), "INVALID: the generator was the limit\n");
    outcome.breaches.clear();
    assert_eq!((outcome.exit_code(), outcome.render(OutputFormat::Quiet).as_str()), (0, ""));
    outcome.capacity.complete = false;
    assert_eq!(outcome.exit_code(), 130);
    assert!(outcome.render(OutputFormat::Text).starts_with("Interrupted"));
}

#[test]
fn a_limit_without_an_answer_has_an_exit_code_of_its_own() {
    let mut outcome = outcome();
    let slo = outcome.capacity.slo.as_mut().unwrap();
    slo.rate_milli_per_s = None;
    assert!(outcome.render(OutputFormat::Text).contains("no rate was confirmed"));
    assert_eq!(outcome.exit_code(), 99);
    outcome.capacity.closed_loop_milli_per_s = 0;
    assert_eq!(outcome.exit_code(), 1);
}

#[test]
fn programs_read_ns_and_thousandths() {
    let outcome = outcome();
    let json: serde_json::Value =
        serde_json::from_str(&outcome.render(OutputFormat::Json)).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(json["capacity"]["closed_loop_milli_per_s"], 1_500_000_000_u64);
    assert_eq!(json["capacity"]["slo"]["kept_share_min_milli"], 158);
    assert_eq!(json["capacity"]["curve"][1]["response"]["p99_ns"], 80_000);
    let csv = outcome.render(OutputFormat::Csv);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 3 + 2);
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns), "{csv}");
    assert!(lines[1].starts_with("nightly,http://127.0.0.1:8080/ping,true,closed,maximum,,"));
    assert!(outcome.render(OutputFormat::Markdown).contains("| 1224000 |"));
}

#[test]
fn a_percentile_of_nothing_is_no_number() {
    let mut outcome = outcome();
    let none = Percentiles::default();
    let empty = LoadPoint { response: none, service: none, ..point(Some(10), 10, 1, None) };
    outcome.capacity.curve = vec![empty];
    assert!(outcome.render(OutputFormat::Csv).contains(",10.000,10.000,,,,,,,12345,"));
    assert!(outcome.render(OutputFormat::Markdown).contains("| 10.0 | 10.0 | - | - | - | - |"));
    assert!(!outcome.render(OutputFormat::Text).contains("0.00"));
    let json: serde_json::Value =
        serde_json::from_str(&outcome.render(OutputFormat::Json)).unwrap();
    let response = &json["capacity"]["curve"][0]["response"];
    assert_eq!((&response["count"], &response["p99_ns"]), (&0.into(), &serde_json::Value::Null));
}
