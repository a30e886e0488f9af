//! The command line as a person meets it: help, mistakes, locks, ends of processes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use common::{TOLLGATE, Up, send_signal, tollgate};

/// Words that cannot be understood, and a word that the complaint must hold.
const MISTAKES: [(&[&str], &str); 17] = [
    (&[], "--help"),
    (&["dance"], "dance"),
    (&["up", "--profile", "S9"], "S9"),
    (&["up", "--profile=s5x"], "s5x"),
    (&["serve", "gateway", "--listen", "nowhere"], "nowhere"),
    (&["serve", "gateway", "--stock", "SKU-1=2"], "--stock"),
    (&["serve", "orders", "--profile", "S0"], "--inventory"),
    (&["serve", "all", "--profile", "S0", "--idempotency-keys", "3"], "between 4 and 10000000"),
    (&["serve", "all", "--profile", "S0", "--idempotency-ttl", "600"], "--idempotency-ttl"),
    (&["serve", "all", "--profile", "S0", "--idempotency-ttl", "25h"], "between 1 second and 24"),
    (&["serve", "inventory", "--profile", "S0", "--idempotency-keys", "9"], "no use"),
    (&["serve", "orders", "--profile", "S0", "--client-cert-field"], "no use"),
    (&["run", "http://127.0.0.1:1/", "--duration", "soon"], "soon"),
    (&["run", "ftp://127.0.0.1/"], "ftp"),
    (&["matrix", "--topology", "ring"], "ring"),
    (&["matrix", "--targets", "t.toml", "--topology", "single"], "--topology"),
    (&["run", "http://127.0.0.1:1/", "--output-format", "xml"], "xml"),
];

#[test]
fn mistakes_are_usage_errors_that_name_the_word() {
    for (words, named) in MISTAKES {
        let output = tollgate(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(named), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?} printed on standard output");
    }
}

#[test]
fn an_unknown_profile_in_the_environment_is_refused_too() {
    let mut command = std::process::Command::new(TOLLGATE);
    let output = command.args(["up"]).env("SEC_PROFILE", "S7").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("S7"));
}

#[test]
fn every_command_has_help() {
    for words in [
        &["--help"][..],
        &["up", "--help"],
        &["serve", "orders", "--help"],
        &["matrix", "--help"],
        &["run", "--help"],
        &["compare", "--help"],
        &["flame", "--help"],
        &["capacity", "--help"],
        &["token", "--help"],
        &["pki", "issue", "--help"],
    ] {
        let output = tollgate(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Usage:"), "{words:?}");
    }
}

#[test]
fn a_second_stack_on_the_same_state_is_refused_with_the_first_ones_pid() {
    let up = Up::start("S0", &[]);
    let state = up.state();
    let second =
        tollgate(&["up", "--any-port", "--profile", "S0", "--state", state.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&up.child.id().to_string()), "{said}");
}

#[test]
fn a_plain_stack_warns_on_the_terminal() {
    for (profile, warns) in [("S0", true), ("plain+token", true), ("S1", false)] {
        let mut up = Up::start(profile, &[]);
        up.stop("TERM", Duration::from_secs(15));
        let mut said = String::new();
        up.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said.contains("PLAIN HTTP"), warns, "{profile}: {said}");
    }
}

#[test]
fn the_printed_curl_line_creates_an_order() {
    for profile in ["S2", "S5"] {
        let up = Up::start(profile, &[]);
        let line = up.printed.lines().find(|l| l.trim_start().starts_with("curl ")).unwrap();
        assert!(!line.contains("Bearer"), "a secret stands in the command line: {line}");
        let output = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
        let body = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(body.contains("\"accepted\":true"), "{line}\n{output:?}");
    }
}

#[test]
fn the_metadata_names_the_port_that_the_auth_server_listens_on() {
    let up = Up::start("S2", &[]);
    let url = up.url("auth");
    let port = url.rsplit(':').next().unwrap();
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let document = up.curl("auth", &format!("/.well-known/{path}")).run().json();
        let endpoint = document["token_endpoint"].as_str().unwrap();
        assert_eq!(endpoint, format!("https://localhost:{port}/oauth2/token"), "{path}");
    }
}

#[test]
fn secrets_and_keys_are_private() {
    let up = Up::start("S5", &[]);
    let mut secret = 0;
    for entry in walk(&up.state()) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let name = entry.to_string_lossy().into_owned();
        if [".key", ".secret", ".header"].iter().any(|end| name.ends_with(end)) {
            assert_eq!(mode, 0o600, "{name}");
            secret += 1;
        }
    }
    assert!(secret >= 8, "only {secret} secrets were found");
}

#[test]
fn children_end_when_their_parent_is_killed() {
    let mut up = Up::start("S0", &[]);
    let pids: Vec<u32> = ["auth", "inventory", "orders", "gateway"].map(|s| up.pid(s)).into();
    send_signal(up.child.id(), "KILL");
    up.child.wait().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(15);
    while pids.iter().any(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(std::time::Instant::now() < deadline, "a child outlived its parent");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn stopping_is_a_clean_end() {
    for signal in ["INT", "TERM"] {
        let mut up = Up::start("S2", &[]);
        let status = up.stop(signal, Duration::from_secs(15));
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        assert!(!up.state().join("stack.json").exists(), "stack.json still says that a stack runs");
    }
}

#[test]
fn plain_http_stays_on_loopback_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("s");
    let words = ["serve", "inventory", "--profile", "S0", "--listen", "0.0.0.0:0", "--state"];
    let output = tollgate(&[&words[..], &[state.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("--allow-insecure"), "{said}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = tollgate(&[
        "serve",
        "inventory",
        "--profile",
        "S0",
        "--listen",
        &address,
        "--admin",
        "127.0.0.1:0",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_stack_whose_steps_are_timed_shows_them_on_every_page() {
    let up = Up::start("S0", &["--stage-timing"]);
    assert_eq!(up.curl("gateway", "/api/ping").run().status, 200);
    let handled = |service: &str| {
        up.metric(service, "tollgate_stage_duration_seconds_count", &[r#"stage="handler""#])
    };
    assert_eq!((handled("gateway"), handled("orders")), (1.0, 0.0));
    for service in ["auth", "inventory", "orders", "gateway"] {
        let overhead = up.metric(service, "tollgate_stage_timing_overhead_seconds", &[]);
        assert!(overhead > 0.0, "{service}");
    }
}
