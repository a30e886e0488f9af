//! `tollgate matrix` over its axes: every slice is what its name says, whatever is varied. Figures
//! are not looked at: these runs are far too short, and the machine is busy.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::tollgate;
use serde_json::Value;

/// Runs a matrix as short as one can be and returns its record. Exit 3 is the machine's fault: it
/// says that these figures must not be used, and nobody does.
fn record(options: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let short = ["matrix", "--rounds=1", "--slice=60ms", "-R", "200", "-o", runs];
    let output = tollgate(&[&short[..], options].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{options:?}: {said}{error}");
    let kept = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let record = serde_json::from_slice(&fs::read(kept.join("run.json")).unwrap()).unwrap();
    everything_is_proved(options, &record);
    every_variant_left_a_log(&kept, &record);
    record
}

fn everything_is_proved(options: &[&str], record: &Value) {
    let proofs = record["proofs"].as_array().unwrap();
    assert!(!proofs.is_empty());
    for proof in proofs {
        assert_eq!(proof["holds"], true, "{options:?}: {proof}");
    }
    for result in record["results"].as_array().unwrap() {
        assert_eq!(result["errors"], serde_json::json!({}), "{options:?}: {result}");
    }
}

fn every_variant_left_a_log(kept: &Path, record: &Value) {
    for variant in record["plan"]["variants"].as_array().unwrap() {
        let log = kept.join(format!("{}.hlog", variant["id"].as_str().unwrap()));
        assert!(fs::read_to_string(&log).unwrap().contains("Tag=response"), "{log:?}");
    }
}

fn cells(record: &Value) -> Vec<String> {
    let cells = record["plan"]["cells"].as_array().unwrap();
    cells.iter().map(|cell| cell["label"].as_str().unwrap().to_owned()).collect()
}

fn result<'a>(record: &'a Value, variant: &str) -> &'a Value {
    let results = record["results"].as_array().unwrap();
    results.iter().find(|result| result["variant"] == variant).unwrap()
}

#[test]
fn workloads_are_run_through_the_gateway_and_past_it() {
    let workloads = "--workloads=orders-create,orders-read,inventory-reserve";
    for path in ["--call-path=gateway", "--call-path=direct"] {
        let record = record(&["--profiles=S0,S5", workloads, path]);
        assert_eq!(cells(&record), ["orders-create", "orders-read", "inventory-reserve"]);
        assert_eq!(record["plan"]["variants"].as_array().unwrap().len(), 3 * 4);
    }
}

#[test]
fn handshakes_are_full_or_resumed_as_asked() {
    for driver in common::DRIVERS {
        let record = record(&[
            "--profiles=S0,S1,S3",
            "--workloads=ping",
            "--handshake=full,resumed",
            "--driver",
            driver,
        ]);
        for (variant, kind, certificate) in [
            ("full-handshake-s0", "tcp", false),
            ("full-handshake-s1", "full", false),
            ("full-handshake-s3", "full", true),
            ("resumed-handshake-s1", "resumed", false),
            ("resumed-handshake-s3", "resumed", true),
        ] {
            let found = &result(&record, variant)["connecting"];
            assert_eq!(found["handshake"], kind, "{variant}");
            assert_eq!(found["client_certificate"], certificate, "{variant}");
            assert!(found["generator_cpu_ns_per_connection"].as_u64().unwrap() > 0, "{variant}");
            if kind != "tcp" {
                let (full, resumed) = ("server_handshakes_full", "server_handshakes_resumed");
                assert_eq!(found[full], found["handshakes_full"], "{variant}: {found}");
                assert_eq!(found[resumed], found["handshakes_resumed"], "{variant}: {found}");
            }
        }
    }
}

#[test]
fn tokens_are_sent_signed_and_cached_as_asked() {
    let record = record(&[
        "--profiles=S0,S4",
        "--tokens=one,unique:8192",
        "--token-cache=on,off",
        "--token-alg=eddsa",
    ]);
    assert_eq!(cells(&record).len(), 4);
    assert_eq!(record["plan"]["cells"][0]["token_algorithm"], "eddsa");
    let wire = |variant: &str| result(&record, variant)["bytes_sent_per_request"].as_u64().unwrap();
    let one = "tokens-one-cache-on";
    assert!(wire(&format!("{one}-s4-cached")) > wire(&format!("{one}-s0")) + 300);
}

/// Ctrl-C in the middle: what was taken is reported and kept, and the exit code says so.
#[test]
fn an_interrupted_matrix_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(common::TOLLGATE)
        .args(["matrix", "--profiles=S0,S1", "--rounds=60", "--slice=60ms", "-R", "200", "-o"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The plan is printed before the first slice.
    let mut announced = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut announced).unwrap();
    assert!(announced.contains("60 rounds"), "{announced}");
    std::thread::sleep(Duration::from_secs(4));
    common::send_signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.starts_with("INTERRUPTED"), "{said}");
    let kept = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let record: Value = serde_json::from_slice(&fs::read(kept.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["complete"], false);
}

#[test]
fn one_axis_at_a_time_and_connections_that_are_used_up() {
    let record = record(&[
        "--profiles=S1,tls+scopes",
        "--topology=single",
        "--connections=8,2",
        "--requests-per-connection=keep,5",
        "--vary=connections",
        "--vary=requests-per-connection",
    ]);
    let settings = [
        "8 connections, kept connections",
        "2 connections, kept connections",
        "8 connections, 5 per connection",
    ];
    assert_eq!(cells(&record), settings);
    // Without S0 the first profile is the baseline.
    let labels: Vec<&Value> =
        record["plan"]["variants"].as_array().unwrap().iter().map(|v| &v["label"]).collect();
    assert_eq!(labels[..2], ["S1", "S1 control"]);
}
