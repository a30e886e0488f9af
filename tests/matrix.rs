//! `tollgate matrix` over its axes: every slice is what its name says, whatever is varied. Figures
//! are not looked at: these runs are far too short, and the machine is busy.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{TOLLGATE, tollgate};
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
    let mut child = Command::new(TOLLGATE)
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

/// One program under two names: each profile is run with both, and each pair has a cost. The second
/// one is started through a script that notes what it was started for.
#[test]
fn two_builds_are_variants_of_one_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let noted = folder.path().join("noted");
    let line = format!("echo \"$1 $2\" >> {}; exec {TOLLGATE} \"$@\"", noted.to_str().unwrap());
    let builds = format!("--builds=a={TOLLGATE},b={}", script(folder.path(), "b", &line));
    let record = record(&[&builds, "--profiles=S0,S4", "--workloads=ping"]);
    let planned = |key: &str| -> Vec<String> {
        let variants = record["plan"]["variants"].as_array().unwrap().iter();
        variants.map(|variant| variant[key].as_str().unwrap().to_owned()).collect()
    };
    let uncached = ["s4-uncached@a", "s4-uncached@b"];
    let roles = ["s0@a", "s0@a-control", "s0@b"].into_iter().chain(uncached);
    let roles: Vec<&str> = roles.chain(["s4-cached@a", "s4-cached@b"]).collect();
    assert_eq!(planned("role"), roles);
    assert_eq!(planned("label")[..3], ["S0 a", "S0 a control", "S0 b"]);
    let ids: Vec<String> = roles.iter().map(|role| role.replace('@', "-")).collect();
    assert_eq!(planned("id"), ids);
    let costs: Vec<String> = record["costs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cost| format!("{} per {}", cost["label"].as_str().unwrap(), cost["per"]))
        .collect();
    for cost in ["S0: b - a", "S4 uncached: b - a", "S4 cached: b - a"] {
        assert!(costs.contains(&format!("{cost} per \"request\"")), "{costs:?}");
    }
    assert!(costs.contains(&"S4 cached: b - a per \"connection\"".to_owned()), "{costs:?}");
    let noted = fs::read_to_string(&noted).unwrap();
    let gateways = noted.lines().filter(|words| *words == "serve gateway").count();
    let instances = record["plan"]["instances"].as_u64().unwrap() as usize;
    assert_eq!(gateways, 3 * instances, "{noted}");
    let said = tollgate(&["--version"]).stdout;
    for (build, name) in record["plan"]["builds"].as_array().unwrap().iter().zip(["a", "b"]) {
        assert_eq!(build["name"], name);
        let version = format!("tollgate {}", build["version"].as_str().unwrap());
        let commit = build["commit"].as_str().map(|commit| format!(" ({commit})"));
        let version = version + &commit.unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&said).trim_end(), version);
    }
}

/// A script in place of a program, written by another process: a file that this one has open for
/// writing could not be executed.
fn script(folder: &Path, name: &str, line: &str) -> String {
    let path = folder.join(name).to_str().unwrap().to_owned();
    let write = "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let status = Command::new("sh").args(["-c", write, "sh", &path, line]).status().unwrap();
    assert!(status.success());
    path
}

#[test]
fn what_is_no_build_of_this_version_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = folder.join("text").to_str().unwrap().to_owned();
    fs::write(&text, "no program").unwrap();
    for (path, said) in [
        (script(folder, "older", "echo 'tollgate 0.0.9 (0123456)'"), "0.0.9"),
        (script(folder, "other", "echo 'cat (GNU coreutils) 9.7'"), "no tollgate"),
        (script(folder, "failing", "exit 3"), "no tollgate"),
        (script(folder, "silent", "exec sleep 60"), "5 s"),
        (folder.join("missing").to_str().unwrap().to_owned(), "no such file"),
        (text, "executed"),
    ] {
        let builds = format!("--builds=a={TOLLGATE},b={path}");
        let runs = folder.join("runs");
        let output = tollgate(&["matrix", &builds, "-o", runs.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&format!("--builds b={path}")) && error.contains(said), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(!runs.exists());
    }
    for options in
        [["--targets=none.toml", "--builds=a=b,c=d"], ["--factorial", "--builds=a=b,c=d"]]
    {
        let output = tollgate(&[&["matrix"], &options[..]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("--builds"), "{error}");
    }
}
