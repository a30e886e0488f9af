//! `tollgate matrix --targets` over servers that it did not start: here the gateway of a running
//! stack and its admin pages, each a stranger to the command that measures them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{Up, tollgate};
use serde_json::Value;

/// Three targets: plain HTTP, mutual TLS with a token that is fetched, and the same read by its
/// published counter.
fn write_list(folder: &Path, up: &Up) -> String {
    let state = up.state();
    let (admin, gateway) = (up.admin_url("gateway"), up.url("gateway"));
    let (pid, auth) = (up.pid("gateway"), up.url("auth"));
    let path = |name: &str| state.join(name).display().to_string();
    let [ca, cert, key, secret] = [
        "ca/ca.crt",
        "clients/bench-runner.crt",
        "clients/bench-runner.key",
        "clients/bench-runner.secret",
    ]
    .map(path);
    let list = format!(
        "baseline = \"plain\"\n\
         [defaults]\ncacert = \"{ca}\"\nexpect_status = 200\n\
         [[target]]\nname = \"plain\"\nurl = \"{admin}/livez\"\nserver_pid = [{pid}]\n\
         [[target]]\nname = \"certificate and token\"\nurl = \"{gateway}/api/ping\"\n\
         server_pid = [{pid}]\ncert = \"{cert}\"\nkey = \"{key}\"\n\
         token_url = \"{auth}/oauth2/token\"\nclient_id = \"bench-runner\"\n\
         client_secret_file = \"{secret}\"\n\
         [[target]]\nname = \"without CPU\"\nurl = \"{gateway}/api/ping\"\n\
         cert = \"{cert}\"\nkey = \"{key}\"\ntoken_file = \"token\"\n\
         against = \"certificate and token\"\n"
    );
    fs::write(folder.join("token"), up.token(None)).unwrap();
    let file = folder.join("targets.toml");
    fs::write(&file, list).unwrap();
    file.to_str().unwrap().to_owned()
}

fn measure(file: &str, runs: &Path, options: &[&str]) -> Output {
    let runs = runs.to_str().unwrap();
    // One of the targets is an admin listener, which takes 16 connections: two targets' kept ones
    // and those that are opened and closed.
    let words = ["matrix", "--targets", file, "--slice=60ms", "-R", "200", "-c", "2", "-o", runs];
    tollgate(&[&words[..], options].concat())
}

#[test]
fn servers_that_are_not_ours_are_measured_and_proved() {
    for driver in common::DRIVERS {
        let up = Up::start("S4", &[]);
        let folder = tempfile::tempdir().unwrap();
        let file = write_list(folder.path(), &up);
        let runs = folder.path().join("runs");
        let output = measure(&file, &runs, &["--rounds=2", "--driver", driver]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
        let kept = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
        let record: Value =
            serde_json::from_slice(&fs::read(kept.join("run.json")).unwrap()).unwrap();
        for proof in record["proofs"].as_array().unwrap() {
            assert_eq!(proof["holds"], true, "{proof}");
        }
        let formulas: Vec<&str> = record["costs"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|c| c["formula"].as_str())
            .collect();
        assert!(formulas.contains(&"certificate and token - plain"), "{formulas:?}");
        let claims: Vec<&str> = record["proofs"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|p| p["claim"].as_str())
            .collect();
        assert!(claims.contains(&"a client certificate was presented and accepted"), "{claims:?}");
        let planned = record["plan"]["variants"].as_array().unwrap();
        let sources: Vec<&Value> = planned.iter().map(|variant| &variant["cpu_source"]).collect();
        assert_eq!(sources, ["processes", "processes", "processes", "none"]);
        assert!(planned[2]["request"].as_str().unwrap().ends_with("/api/ping"));
        // Nothing that a target was given is in what the run leaves behind.
        let secret = fs::read_to_string(up.state().join("clients/bench-runner.secret")).unwrap();
        let token = fs::read_to_string(folder.path().join("token")).unwrap();
        let text = record.to_string() + &said;
        assert!(!text.contains(secret.trim()) && !text.contains(token.trim()));
    }
}

/// Words and lists that cannot be measured: the exit code, and what the complaint must hold.
#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_sent() {
    let up = Up::start("S0", &[]);
    let folder = tempfile::tempdir().unwrap();
    let url = up.url("gateway");
    let write = |text: &str| {
        let file = folder.path().join("targets.toml");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let target = format!("[[target]]\nname = \"a\"\nurl = \"{url}/api/ping\"\n");
    let cases = [
        ("[[target]]\nname = \"a\"\nurl = 5\n".to_owned(), &[][..], 2, "line 3"),
        (format!("{target}colour = \"red\"\n"), &[], 2, "colour"),
        (format!("{target}token = \"abc\"\n"), &[], 2, "token_file"),
        (format!("{target}body_file = \"absent\"\n"), &[], 1, "absent"),
        (format!("{target}server_pid = [4000000]\n"), &[], 1, "4000000"),
        (target.clone(), &["--profiles=S1"], 2, "--profiles"),
        (target.clone(), &["--fail-if=b.cpu_us_per_request > 1"], 2, "column 1"),
        (target.replace("127.0.0.1", "nowhere.invalid"), &[], 1, "nowhere.invalid"),
        (target.replace("/api/ping", "/absent"), &[], 1, "404"),
    ];
    for (text, options, code, named) in cases {
        let runs = folder.path().join("runs");
        let output = measure(&write(&text), &runs, &[&["--rounds=1"], options].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}: {output:?}");
        assert!(said.contains(named), "{text}: {said}");
        assert!(!runs.exists(), "{text}: a run was left behind");
    }
}

#[test]
fn a_condition_that_holds_ends_with_99_and_says_so() {
    let up = Up::start("S0", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("targets.toml");
    let url = up.url("gateway");
    fs::write(&file, format!("[[target]]\nname = \"a\"\nurl = \"{url}/api/ping\"\n")).unwrap();
    let lenient =
        ["--rounds=1", "--max-lateness-p99=10s", "--max-foreign=100%", "--max-steal=100%"];
    let lenient = [&lenient[..], &["--min-achieved=0%", "--max-in-flight-growth=100000"]].concat();
    let run = |expression: &str| {
        let words = [&lenient[..], &["--fail-if", expression]].concat();
        measure(file.to_str().unwrap(), &folder.path().join("runs"), &words)
    };
    let output = run("a.response_p99_us > 0");
    // On a machine so busy that even these bounds are broken, INVALID goes before.
    assert!(matches!(output.status.code(), Some(99 | 3)), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("FAILED: a.response_p99_us > 0"), "{said}");
    let output = run("a.response_p99_us < 0");
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("FAILED"), "{output:?}");
}
