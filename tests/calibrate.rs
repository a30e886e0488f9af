//! `tollgate calibrate` and the servers of known cost, in small. What is asserted here holds on a
//! busy machine too: exact counts, a stall of a tenth of a second, fifty microseconds found to
//! within a factor. Fine figures are the full calibration's, on a machine that is left alone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use common::{DRIVERS, TOLLGATE, send_signal, tollgate};
use serde_json::Value;

/// Runs these parts in their short form; returns the exit code and the answer.
fn calibrate(parts: &str, options: &[&str]) -> (i32, Value) {
    let words = ["calibrate", "--quick", "--seed=1", "--output-format=json", "--parts", parts];
    let output = tollgate(&[&words[..], options].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout);
    let report: Value = report.unwrap_or_else(|_| panic!("no answer: {error}"));
    (output.status.code().unwrap(), report)
}

fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().unwrap()
}

/// A figure of the first row that is about this.
fn figure(report: &Value, what: &str, name: &str) -> i64 {
    let row = rows(report).iter().find(|row| row["what"].as_str().unwrap().contains(what));
    let row = row.unwrap_or_else(|| panic!("no row {what:?} in {report:#}"));
    row["figures"][name].as_i64().unwrap()
}

#[test]
fn wrong_answers_and_resets_are_counted_exactly_on_both_drivers() {
    for driver in DRIVERS {
        let (code, report) = calibrate("faults", &["--driver", driver]);
        assert_eq!(code, 0, "{driver}: {report:#}");
        assert!(rows(&report).iter().all(|row| row["verdict"] == "pass"), "{driver}: {report:#}");
        // 4,000/s for 1 s: every hundredth is reset, and 3% of the rest are wrong by turns. Where
        // in its turns the server begins is up to the slice that warmed it up.
        let counted = |what| figure(&report, what, "server");
        assert_eq!(counted("requests sent"), 4_000, "{driver}");
        assert_eq!(counted("reset"), 40, "{driver}: {report:#}");
        assert!((59..=60).contains(&counted("wrong status")), "{driver}: {report:#}");
        assert!((59..=60).contains(&counted("too short")), "{driver}: {report:#}");
    }
}

#[test]
fn a_stall_is_charged_to_the_response_and_gaps_are_exponential() {
    let (code, report) = calibrate("schedules,stall", &[]);
    assert!(matches!(code, 0 | 1 | 3), "{report:#}");
    assert_eq!(report["complete"], true);
    assert!(figure(&report, "response p99", "stalls") >= 2, "{report:#}");
    let p99_ns = figure(&report, "response p99", "p99_ns");
    assert!(p99_ns > 50_000_000, "{report:#}");
    // Half of the requests that were under way did not see it.
    assert!(figure(&report, "service p99,", "p50_ns") < p99_ns / 2, "{report:#}");
    assert!(figure(&report, "exponential", "probability_millionths") > 1_000, "{report:#}");
}

#[test]
fn added_processor_time_is_found() {
    let options = ["--experiments=1", "--rounds=8", "--rate=1000"];
    let (code, report) = calibrate("added", &options);
    assert!(matches!(code, 0 | 1 | 3), "{report:#}");
    // An experiment that the machine disturbed is not counted, but is told all the same.
    let costs = report["trials"][0]["costs"].as_array().unwrap();
    let busy: Vec<u64> = costs.iter().map(|cost| cost["busy_us"].as_u64().unwrap()).collect();
    assert_eq!(busy, [0, 2, 10, 50]);
    let truth_us = costs[3]["truth_ns"].as_f64().unwrap() / 1e3;
    assert!((50.0..80.0).contains(&truth_us), "{report:#}");
    let estimate_us = costs[3]["estimate_ns"].as_f64().unwrap() / 1e3;
    assert!((20.0..120.0).contains(&estimate_us), "{report:#}");
    assert!(costs[3]["low_ns"].as_i64() <= costs[3]["high_ns"].as_i64(), "{report:#}");
}

#[test]
fn an_interrupted_calibration_reports_what_it_has() {
    let mut child = Command::new(TOLLGATE)
        .args(["calibrate", "--parts=faults,added", "--quick", "--output-format=json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut announced = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut announced).unwrap();
    assert!(announced.contains("faults, added"), "{announced}");
    send_signal(child.id(), "INT");
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["complete"], false);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (words, said) in [
        (&["calibrate", "--parts=everything"][..], "everything"),
        (&["calibrate", "--output-format=csv"], "csv"),
        (&["reference", "--listen=0.0.0.0:0"], "loopback"),
        (&["reference", "--wrong-percent=101"], "--wrong-percent"),
        (&["reference", "--busy-us=200000"], "burn"),
        (&["reference", "--busy-us=0.0001"], "three digits"),
        (&["reference", "--after-us=-1"], "--after-us"),
        (&["reference", "--walk-kib=100000"], "walk"),
        (&["reference", "--pause-ms=5"], "go together"),
        (&["reference", "--pause-ms=10", "--pause-every-ms=10"], "10 ms of every 10 ms"),
        (&["reference", "--stall", "--pause-ms=5", "--pause-every-ms=9"], "excludes"),
        (&["reference", "--delay-ms=fast"], "fast"),
    ] {
        let output = tollgate(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
        assert!(error.contains(said), "{words:?}: {error}");
    }
}
