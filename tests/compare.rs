//! `tollgate compare` as a person meets it: two records on disk, exit codes, formats, thresholds,
//! and what is said of files that are no records.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use metrics_export::run::Run;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Rounds of each run, each on processes of its own.
const ROUNDS: u32 = 12;

/// Records below a folder of their own.
struct Runs {
    folder: TempDir,
}

impl Runs {
    fn new() -> Runs {
        Runs { folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a run of S0 and S1 that cost so many us per request, and returns its directory.
    fn write(&self, name: &str, s0: f64, s1: f64, change: impl FnOnce(&mut Value)) -> PathBuf {
        let mut record = record(name, &[("s0", s0), ("s1", s1)]);
        change(&mut record);
        let directory = self.folder.path().join(name);
        fs::create_dir(&directory).unwrap();
        // What the command reads is what the record's own structure holds.
        let run: Run = serde_json::from_value(record).unwrap();
        fs::write(directory.join("run.json"), run.to_json()).unwrap();
        directory
    }
}

fn record(id: &str, variants: &[(&str, f64)]) -> Value {
    let slices: Vec<Value> = (0..ROUNDS)
        .flat_map(|round| variants.iter().map(move |(id, us)| slice(id, round, *us)))
        .collect();
    let planned = variants.iter().map(|(id, _)| {
        json!({"id": id, "label": id.to_uppercase(), "cell": "", "role": id, "profile": null,
            "tokens": "none", "token_cache": null, "request": null, "cpu_source": "processes"})
    });
    json!({
        "schema": "tollgate.run", "schema_version": metrics_export::run::SCHEMA_VERSION,
        "id": id, "command": "matrix", "started_at": "2026-07-01T12:00:00Z", "elapsed_ns": 1,
        "complete": true,
        "validity": {"valid": true, "breaches": [], "slices_repeated": 0, "notes": [],
            "bounds": serde_json::to_value(metrics_export::run::Bounds::default()).unwrap()},
        "plan": {"label": null, "subject": "stack", "topology": "mesh", "arrivals": "constant",
            "generator_wait": "spin", "rounds": ROUNDS, "instances": ROUNDS, "stop_rule": "rounds",
            "slice_ns": 1, "warmup_ns": 1, "closed_slice_ns": 1, "handshake_slice_ns": 1,
            "operating_share_milli": 400, "seed": 1, "quick": false, "server_cores": [0],
            "generator_cores": [1],
            "cells": [{"id": "", "label": "", "workload": "ping", "call_path": "gateway",
                "protocol": "HTTP/1.1", "rate_milli_per_s": 1_000_000, "rate_source": "as asked",
                "connections": 64, "requests_per_connection": null, "handshake": "full",
                "token_algorithm": "es256", "workers": 1}],
            "variants": planned.collect::<Vec<_>>()},
        "environment": {"cpu_model": "a CPU", "cpus": 2, "virtual_machine": false,
            "kernel": "6.1", "governor": null, "irq_time_accounting": null,
            "generator_driver": "epoll", "server_drivers": [], "version": "0.1.0", "commit": null,
            "optimised": true},
        "proofs": [], "costs": [], "floors": [], "additivity": [],
        "results": variants.iter().map(|(id, us)| result(id, *us)).collect::<Vec<_>>(),
        "slices": slices,
    })
}

fn points(us: u64) -> Value {
    let ns = us * 1000;
    json!({"count": 1, "p50_ns": ns, "p90_ns": ns, "p99_ns": ns, "p999_ns": ns, "max_ns": ns})
}

fn result(id: &str, us: f64) -> Value {
    json!({"variant": id, "slices": ROUNDS, "requests_asked": 1, "requests_answered": 1,
        "dropped": 0, "errors": {}, "cpu_ns_per_request": (us * 1000.0) as u64, "services": [],
        "system_share_milli": null, "busy_ns_per_request": null,
        "generator_cpu_ns_per_request": null, "response": points(900), "service": points(800),
        "lateness": points(1), "bytes_sent_per_request": 1, "bytes_received_per_request": 1,
        "closed_loop": null, "connecting": null, "memory_peak_bytes": null, "retransmits": null})
}

/// The noise is the same in every run and differs from round to round.
fn slice(id: &str, round: u32, us: f64) -> Value {
    let noise = 1.0 + 0.001 * f64::from(round * 7 % 5);
    json!({"variant": id, "kind": "open", "instance": round, "round": round, "position": 0,
        "attempt": 0, "counts": true, "disturbances": [], "start_unix_ns": 0, "duration_ns": 1,
        "requests_asked": 1000, "requests_sent": 1000, "requests_answered": 1000, "dropped": 0,
        "errors": {}, "bytes_sent": 0, "bytes_received": 0, "connections_opened": 0,
        "handshakes_full": 0, "handshakes_resumed": 0, "response": points(1),
        "service": points(1), "lateness": points(1),
        "services": [{"service": "gateway", "cpu_ns": (us * noise * 1e6) as u64, "user_ns": 0,
            "system_ns": 0}],
        "generator_cpu_ns": 0, "busy_ns": 0, "softirq_ns": 0, "steal_ns": 0, "background_ns": null,
        "throttled": 0, "connect": points(1), "handshake": points(1),
        "in_flight_growth_milli": 0, "retransmits": null, "generator_share_milli": 0,
        "server_handshakes": null, "ran_on_generator_core": false})
}

fn compare(before: &Path, after: &Path, options: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("compare")
        .args([before, after])
        .args(options)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_change_is_told_in_every_format() {
    let runs = Runs::new();
    let before = runs.write("before", 10.0, 30.0, |_| {});
    let after = runs.write("after", 11.0, 36.3, |_| {});
    let (code, text, errors) = compare(&before, &after.join("run.json"), &[]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    let s1 = text.lines().find(|line| line.starts_with("S1 ")).unwrap();
    assert!(s1.contains("slower by 10.0% [") && s1.ends_with("S0"), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a pipe");
    let (code, json, _) = compare(&before, &after, &["--output-format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["variants"][1]["cpu_per_request"]["verdict"]), (0, &json!("slower")));
    let (code, markdown, _) = compare(&before, &after, &["--output-format=markdown"]);
    assert!(code == 0 && markdown.contains("| S1 | 30.00 | 36.30 | slower by 10.0%"), "{markdown}");
    let (code, nothing, _) = compare(&before, &after, &["--output-format=quiet"]);
    assert_eq!((code, nothing.as_str()), (0, ""));
}

#[test]
fn thresholds_decide_the_exit_code() {
    let runs = Runs::new();
    let before = runs.write("before", 10.0, 30.0, |_| {});
    let after = runs.write("after", 10.0, 33.0, |_| {});
    let regression = "S1.cpu_us_per_request > 1.05 * baseline";
    let (code, text, _) = compare(&before, &after, &["--fail-if", regression]);
    assert_eq!(code, 99, "{text}");
    assert!(text.contains(&format!("FAILED: {regression}")), "{text}");
    assert!(text.contains("33.00 us is > 31.50 us"), "{text}");
    let fine = "s1.response_p99_us > 2 ms or S1.cpu_us_per_request > 2 * baseline";
    let (code, text, _) = compare(&before, &after, &["--fail-if", fine]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("kept: {fine}")), "{text}");
    let (code, quiet, _) = compare(
        &before,
        &after,
        &["--output-format=quiet", "--fail-if", fine, "--fail-if", regression],
    );
    assert_eq!((code, quiet.as_str()), (99, ""));
}

#[test]
fn an_invalid_run_comes_first_and_wins() {
    let runs = Runs::new();
    let before = runs.write("before", 10.0, 30.0, |_| {});
    let after = runs.write("after", 10.0, 33.0, |record| {
        record["validity"]["valid"] = json!(false);
        record["validity"]["breaches"] = json!([{"bound": "steal_share_max", "variant": null,
            "sentence": "The hypervisor took 4% of the time: use a quiet machine."}]);
    });
    let options = ["--fail-if", "S1.cpu_us_per_request > baseline"];
    let (code, text, _) = compare(&before, &after, &options);
    assert_eq!(code, 3, "{text}");
    assert!(text.starts_with("INVALID: the run after"), "{text}");
    assert!(text.lines().nth(1).unwrap().contains("use a quiet machine"), "{text}");
}

#[test]
fn differences_come_before_any_figure() {
    let runs = Runs::new();
    let before = runs.write("before", 10.0, 30.0, |_| {});
    let after = runs.write("after", 10.0, 30.0, |record| {
        record["plan"]["generator_wait"] = json!("sleep");
        record["plan"]["cells"][0]["connections"] = json!(8);
    });
    let (code, text, _) = compare(&before, &after, &[]);
    let place = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle}: {text}"));
    assert_eq!(code, 0);
    assert!(place("client mode: spin before, sleep after") < place("Server CPU per request"));
    assert!(place("connections: 64 before, 8 after") < place("Server CPU per request"));
    assert!(text.contains("no change that can be told: within ["), "{text}");
}

#[test]
fn mistakes_are_named() {
    let runs = Runs::new();
    let good = runs.write("good", 10.0, 30.0, |_| {});
    let (code, _, said) = compare(&good, &good, &["--fail-if", "S1.cpu > 3"]);
    assert_eq!(code, 2);
    assert!(said.contains("column 4: \"cpu\" is no metric") && said.contains("\n     ^"), "{said}");
    let (code, _, said) = compare(&good, &good, &["--fail-if", "S7.errors > 3"]);
    assert!(code == 2 && said.contains("there are S0, S1"), "{said}");
    let (code, _, said) = compare(&good, &good, &["--output-format", "xml"]);
    assert!(code == 2 && said.contains("xml"), "{said}");
    let nowhere = runs.folder.path().join("nowhere");
    let (code, _, said) = compare(&good, &nowhere, &[]);
    assert!(code == 1 && said.contains("nowhere") && said.contains("run.json"), "{said}");
    let damaged = runs.folder.path().join("damaged.json");
    for (text, word) in [
        ("{\"schema\": \"tollgate.run\"", "truncated"),
        ("{\"schema\": \"tollgate.run\", \"schema_version\": 1}", "version 1"),
        ("{\"schema\": \"tollgate.run\", \"schema_version\": 2}", "damaged"),
    ] {
        fs::write(&damaged, text).unwrap();
        let (code, _, said) = compare(&damaged, &good, &[]);
        assert!(code == 1 && said.contains(word), "{text}: {said}");
    }
}

/// A record may come from anybody: what of it a terminal would act on is shown and not done.
#[test]
fn records_write_nothing_that_a_terminal_acts_on() {
    const HOSTILE: &str = "S1 \u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\r\u{202e}\u{2066}";
    let runs = Runs::new();
    let change = |record: &mut Value| {
        for place in ["/plan/label", "/plan/variants/1/label", "/environment/cpu_model", "/id"] {
            *record.pointer_mut(place).unwrap() = HOSTILE.into();
        }
        record["validity"]["notes"] = json!([HOSTILE]);
    };
    let paths = [("one", 1.0), ("two", 9.0)].map(|(name, us)| runs.write(name, 10.0, us, change));
    let [one, two] = paths.each_ref().map(|path| path.to_str().unwrap());
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate")).args(words).output().unwrap();
        for text in [output.stdout.clone(), output.stderr] {
            let text = String::from_utf8(text).unwrap();
            let acts = |c: char| {
                (c.is_control() && c != '\n' && c != '\t') || "\u{202e}\u{2066}".contains(c)
            };
            assert!(!text.contains(acts), "{words:?}: {text:?}");
        }
        String::from_utf8(output.stdout).unwrap()
    };
    for format in ["text", "markdown", "json"] {
        for words in [&["compare", one, two][..], &["report", one]] {
            let text = run(&[words, &["--output-format", format]].concat());
            // Markdown of a report does not show these.
            assert!(format != "text" || text.contains("\\u001b"), "{words:?}: {text}");
        }
    }
    run(&["report", one, "--output-format", "csv"]);
    let json = run(&["report", one, "--output-format", "json"]);
    let read: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["plan"]["label"], HOSTILE);
    let missing = "no\u{1b}[2Jfolder";
    assert!(run(&["report", missing]).is_empty());
    run(&["compare", missing, one]);
}
