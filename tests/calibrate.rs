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
    eprintln!("{error}");
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
fn added_processor_time_is_found_and_experiments_are_gone_on_with() {
    let options = ["--experiments=1", "--rate=1000"];
    let (code, report) = calibrate("added", &options);
    assert!(matches!(code, 0 | 1 | 3), "{report:#}");
    // An experiment that the machine disturbed is not counted, but is told all the same.
    let costs = report["trials"][0]["costs"].as_array().unwrap();
    let ids: Vec<&str> = costs.iter().map(|cost| cost["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["control", "busy-0.5", "busy-2", "busy-10", "busy-50"]);
    let truth_us = costs[4]["truth_ns"].as_f64().unwrap() / 1e3;
    assert!((50.0..80.0).contains(&truth_us), "{report:#}");
    let estimate_us = costs[4]["estimate_ns"].as_f64().unwrap() / 1e3;
    assert!((20.0..120.0).contains(&estimate_us), "{report:#}");
    for (low, high) in [("low_ns", "high_ns"), ("family_low_ns", "family_high_ns")] {
        assert!(costs[4][low].as_i64() <= costs[4][high].as_i64(), "{report:#}");
    }

    // Made valid by hand, it is all that was asked for: nothing is taken, and another part is.
    let mut kept = report;
    kept["trials"].as_array_mut().unwrap().truncate(1);
    kept["trials"][0]["breaches"] = Value::Array(Vec::new());
    let file = std::env::temp_dir().join(format!("calibration-{}.json", std::process::id()));
    std::fs::write(&file, kept.to_string()).unwrap();
    let resume = format!("--resume={}", file.display());
    let (code, report) = calibrate("faults,added", &[&options[..], &[&resume]].concat());
    assert!(matches!(code, 0 | 1 | 3), "{report:#}");
    assert_eq!((&report["trials"], &report["sittings"]), (&kept["trials"], &Value::from(2)));
    assert_eq!(report["finished"], serde_json::json!(["faults", "added"]));
    assert_eq!(rows(&report)[0]["part"], "faults");
    let output = tollgate(&["calibrate", "--quick", "--seed=2", &resume]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("another --seed"), "{error}");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn work_after_the_response_and_pauses_are_those_of_their_servers() {
    let (code, report) = calibrate("pause,after", &["--experiments=1"]);
    assert!(matches!(code, 0 | 1 | 3), "{report:#}");
    assert_eq!(report["complete"], true);
    let p99_ns = |role| figure(&report, &format!("{role}: response p99 of whole"), "p99_ns");
    assert!(p99_ns("pause-50-of-500") > 20_000_000, "{report:#}");
    assert!(p99_ns("base") > 0 && p99_ns("base-control") > 0, "{report:#}");
    let truth_ns = report["trials"][0]["costs"][1]["truth_ns"].as_i64().unwrap();
    assert!((20_000..40_000).contains(&truth_ns), "{report:#}");
}

#[test]
fn a_core_is_loaded_without_a_request() {
    let words = ["reference", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--exit-with-stdin"];
    let mut child = Command::new(TOLLGATE)
        .args(words)
        .args(["--load-ms=5", "--load-every-ms=20"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let used_ns = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let read = |task: std::fs::DirEntry| {
            std::fs::read_to_string(task.path().join("schedstat")).unwrap()
        };
        let first = |text: String| text.split(' ').next().unwrap().parse::<u64>().unwrap();
        tasks.map(|task| first(read(task.unwrap()))).sum()
    };
    let before = used_ns();
    std::thread::sleep(std::time::Duration::from_millis(400));
    let used_ms = (used_ns() - before) / 1_000_000;
    // 100 ms on each core; a busy machine has less to give.
    assert!(used_ms >= 40, "{used_ms} ms");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
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
        (&["reference", "--load-ms=5"], "go together"),
    ] {
        let output = tollgate(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
        assert!(error.contains(said), "{words:?}: {error}");
    }
}
