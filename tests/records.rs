//! The record that `run`, `capacity` and `matrix` leave, from the outside: one schema for all, read
//! by `report` and `compare`, and kept where it was asked for. Records of every version are read
//! for ever.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use common::{TOLLGATE, tollgate};

const SCHEMA: &str = include_str!("../docs/run.schema.json");

/// The bounds are not what is tested: machines of tests are busy.
const WIDE: [&str; 5] = [
    "--max-lateness-p99=10s",
    "--max-steal=100%",
    "--max-foreign=100%",
    "--max-throttled=1000000",
    "--min-achieved=1%",
];

/// A server of known cost.
fn server() -> (common::Served, String) {
    let served = common::Served::reference();
    let url = format!("http://{}/api/ping", served.listen);
    (served, url)
}

fn in_folder(folder: &Path, words: &[&str]) -> Output {
    Command::new(TOLLGATE).args(words).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The only directory of runs below `folder`.
fn only_run(folder: &Path) -> PathBuf {
    let found: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn record(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

fn assert_fits_the_schema(record: &Value) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(record).map(|e| e.to_string()).collect();
    assert_eq!(faults, [""; 0]);
}

fn report(run: &Path, format: &str) -> String {
    let words = ["report", run.to_str().unwrap(), "--output-format", format, "-o", "-"];
    let output = tollgate(&words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn run_leaves_a_record_of_the_open_and_of_the_closed_loop() {
    let (_served, url) = server();
    let folder = tempfile::tempdir().unwrap();
    let common = ["run", &url, "-d", "300ms", "-c", "2", "--warmup", "50ms"];
    let named = ["--environment", "lab, rack 7", "--tag", "ticket=42", "--label", "mine"];
    let open = [&common[..], &["-R", "500", "--runs", "open"], &named, &WIDE].concat();
    let output = in_folder(folder.path(), &open);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stderr).contains("Kept in open/"), "{output:?}");
    let run = only_run(&folder.path().join("open"));
    let found = record(&run);
    assert_fits_the_schema(&found);
    assert_eq!(found["id"], run.file_name().unwrap().to_str().unwrap());
    assert_eq!(found["command"], "run");
    assert_eq!(found["plan"]["environment"], "lab, rack 7");
    assert_eq!(found["plan"]["tags"], json!({"ticket": "42"}));
    assert_eq!(found["plan"]["protocols"], json!(["HTTP/1.1"]));
    assert_eq!(found["plan"]["cells"][0]["rate_milli_per_s"], 500_000);
    assert_eq!(found["results"][0]["requests_answered"], 150);
    assert_eq!(found["results"][0]["response"]["count"], 150);
    assert!(run.join("target.hlog").exists() && run.join("slices.csv").exists());
    for (format, part) in [
        ("text", "environment lab, rack 7, ticket=42"),
        ("markdown", "| mine |"),
        ("html", "ticket=42"),
        ("csv", "target,open,"),
        ("json", "\"tollgate.run\""),
    ] {
        let shown = report(&run, format);
        assert!(shown.contains(part), "{format}: {shown}");
    }

    let closed = [&common[..], &["--runs", "closed"], &WIDE].concat();
    let output = in_folder(folder.path(), &closed);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let run = only_run(&folder.path().join("closed"));
    let found = record(&run);
    assert_fits_the_schema(&found);
    assert_eq!(found["plan"]["arrivals"], Value::Null);
    assert!(found["results"][0]["closed_loop"]["requests_milli_per_s"].as_u64().unwrap() > 0);
    assert!(found["results"][0]["response"]["count"].as_u64().unwrap() > 0);
    let shown = report(&run, "text");
    assert!(shown.contains("closed loop, 2 connections"), "{shown}");

    let open = only_run(&folder.path().join("open"));
    let words = ["compare", open.to_str().unwrap(), run.to_str().unwrap()];
    let output = tollgate(&words);
    assert!(text(&output.stdout).contains("arrivals: constant before, none after"), "{output:?}");
}

#[test]
fn capacity_leaves_a_record() {
    let (_served, url) = server();
    let folder = tempfile::tempdir().unwrap();
    let words = ["capacity", &url, "-c", "2", "--slice", "60ms", "--confirm", "2", "--warmup", "0"];
    let wide = ["--slo", "p50=1s", "--resolution", "50%", "--max-generator=100%"];
    let output = in_folder(folder.path(), &[&words[..], &wide, &WIDE].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let run = only_run(&folder.path().join("runs"));
    let found = record(&run);
    assert_fits_the_schema(&found);
    assert_eq!(found["command"], "capacity");
    let capacity = &found["results"][0]["capacity"];
    assert!(capacity["slo"]["rate_milli_per_s"].as_u64().unwrap() > 0, "{capacity}");
    assert!(report(&run, "markdown").contains("p50 at most 1"), "{}", report(&run, "markdown"));
    assert!(report(&run, "text").contains("rates that are searched, 2 connections"));
    let page = report(&run, "html");
    assert!(page.contains("<svg") && page.contains("GET http://"), "{page}");
    assert!(!page.contains("How long requests took"), "a search has no slices: {page}");
}

#[test]
fn a_record_is_kept_where_it_was_asked_for_and_its_absence_changes_no_exit_code() {
    let (_served, url) = server();
    let words = ["run", &url, "-n", "20", "-c", "2", "--warmup", "0"];
    let run = |folder: &TempDir, more: &[&str]| {
        in_folder(folder.path(), &[&words[..], &WIDE, more].concat())
    };
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder, &["--runs", "none"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let output = run(&folder, &["--output-format", "quiet"]);
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    only_run(&folder.path().join("runs"));

    // Where the result cannot be written, the record is kept all the same.
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder, &["-o", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    only_run(&folder.path().join("runs"));

    // A file stands where the directory would be.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("runs"), "").unwrap();
    let output = run(&folder, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stderr).contains("the record will not be kept"), "{output:?}");
    assert!(text(&output.stdout).contains("good replies"), "{output:?}");
    let output = run(&folder, &["--runs", "runs"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("cannot be written to runs"), "{output:?}");
    assert!(output.stdout.is_empty(), "nothing was measured: {output:?}");
}

#[test]
fn annotations_that_do_not_fit_are_usage_errors() {
    let long = "x".repeat(101);
    for (words, part) in [
        (["--environment", long.as_str()], "--environment takes 1 to 100 characters"),
        (["--tag", "novalue"], "--tag takes K=V"),
    ] {
        for command in [&["run", "http://127.0.0.1:1/"][..], &["matrix"]] {
            let output = tollgate(&[command, &words].concat());
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            assert!(text(&output.stderr).contains(part), "{output:?}");
        }
    }
}

/// Records of earlier releases, by their directory.
fn kept(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/run-v{version}"))
}

#[test]
fn every_version_of_the_record_is_read() {
    for version in [2, 3] {
        let run = kept(version);
        assert_eq!(record(&run)["schema_version"], version);
        for format in ["text", "markdown", "csv", "html"] {
            let shown = report(&run, format);
            assert!(shown.contains("S1") || format == "csv", "{version}: {shown}");
        }
        for (before, after) in [(version, 3), (3, version)] {
            let (before, after) = (kept(before), kept(after));
            let output = tollgate(&["compare", before.to_str().unwrap(), after.to_str().unwrap()]);
            // 3 where one of them is not valid.
            assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
            let shown = text(&output.stdout);
            assert!(shown.contains("S4 ") && shown.contains("TLS per conn."), "{shown}");
        }
    }
    assert_fits_the_schema(&record(&kept(3)));
}

#[test]
fn a_record_that_cannot_be_read_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read_to_string(kept(3).join("run.json")).unwrap();
    let newer = whole.replacen("\"schema_version\": 3", "\"schema_version\": 4", 1);
    let damaged = whole.replacen("\"complete\": ", "\"complete\": 7, \"was\": ", 1);
    for (name, text_of_it, why) in [
        ("newer", newer.as_str(), "version 4, and this build reads tollgate.run versions 2 to 3"),
        ("truncated", &whole[..whole.len() / 2], "the record is truncated"),
        ("damaged", damaged.as_str(), "the record is damaged"),
        ("empty", "", "this is no record of a run"),
    ] {
        let file = folder.path().join(format!("{name}.json"));
        fs::write(&file, text_of_it).unwrap();
        let file = file.to_str().unwrap();
        for words in [&["report", file][..], &["compare", file, file]] {
            let output = tollgate(words);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let complaint = text(&output.stderr);
            assert!(complaint.contains(why) && complaint.contains(file), "{complaint}");
        }
    }
}
