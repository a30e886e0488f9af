//! The command line as a person meets it: help, mistakes, locks, ends of processes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::play::{OK, play};
use common::{DRIVERS, TOLLGATE, Up, send_signal, tollgate};
use serde_json::Value;

/// Where commands may leave their runs.
const FOLDER: &str = env!("CARGO_TARGET_TMPDIR");

/// What ends by itself in a moment is waited for this long on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Words that cannot be understood, and a word that the complaint must hold.
const MISTAKES: [(&[&str], &str); 22] = [
    (&[], "--help"),
    (&["dance"], "dance"),
    (&["up", "--profile", "S9"], "S9"),
    (&["up", "--profile=s5x"], "s5x"),
    (&["serve", "gateway", "--listen", "nowhere"], "nowhere"),
    (&["serve", "gateway", "--stock", "SKU-1=2"], "--stock"),
    (&["serve", "orders", "--profile", "S0"], "--inventory"),
    (&["serve", "inventory", "--forward-field", "X-Real-IP"], "--forward-field"),
    (&["serve", "gateway", "--profile", "S0", "--forward-field", "Host"], "never goes on"),
    (&["serve", "gateway", "--profile", "S0", "--resolve-interval", "9ms"], "1s or more"),
    (&["serve", "all", "--profile", "S0", "--idempotency-keys", "3"], "between 4 and 10000000"),
    (&["serve", "all", "--profile", "S0", "--idempotency-ttl", "600"], "--idempotency-ttl"),
    (&["serve", "all", "--profile", "S0", "--idempotency-ttl", "25h"], "between 1 second and 24"),
    (&["serve", "inventory", "--profile", "S0", "--idempotency-keys", "9"], "no use"),
    (&["serve", "orders", "--profile", "S0", "--client-cert-field"], "no use"),
    (
        &["serve", "gateway", "--client-cert-field", "--forward-field", "Client-Cert"],
        "give one of the two",
    ),
    (&["run", "http://127.0.0.1:1/", "--duration", "soon"], "soon"),
    (&["run", "ftp://127.0.0.1/"], "ftp"),
    (&["run", "http://127.0.0.1:1/", "-o", "result", "--hlog", "result"], "same file"),
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
fn an_argument_that_is_no_text_is_a_usage_error() {
    let mut command = common::command(&[]);
    let output = command.arg(OsStr::from_bytes(b"r\xffn")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("UTF-8") && !said.contains("panicked"), "{said}");
}

#[test]
fn an_unknown_profile_in_the_environment_is_refused_too() {
    let mut command = common::command(&[]);
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
fn a_result_that_nobody_gets_is_a_failure_with_a_sentence() {
    let server = play(|s| s.write_all(OK).is_ok());
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/run-v3");
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").to_str().unwrap().to_owned();
    for words in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["run", &server, "-n", "1", "-c", "1", "-d", "100ms", "--warmup", "0"],
        &["report", run, "--output-format", "json"],
        &["compare", run, run],
        &["pki", "init", "--state", &state],
    ] {
        let full = || Stdio::from(fs::File::create("/dev/full").unwrap());
        // Its reader is gone before anything is printed.
        let left = || Stdio::from(std::io::pipe().unwrap().1);
        let mut closed = Command::new("sh");
        closed.current_dir(FOLDER);
        closed.args(["-c", "exec \"$@\" >&-", "sh", TOLLGATE]).args(words);
        let with = |stdout| {
            let mut command = common::command(&[]);
            command.args(words).stdout(stdout);
            command
        };
        for (what, mut command) in
            [("full", with(full())), ("left", with(left())), ("closed", closed)]
        {
            let output = command.stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{what} {words:?}: {said}");
            assert!(said.contains("standard output"), "{what} {words:?}: {said}");
            assert!(!said.contains("panicked"), "{what} {words:?}: {said}");
        }
    }
}

#[test]
fn standard_error_that_nobody_reads_ends_no_command() {
    let server = play(|s| s.write_all(OK).is_ok());
    let mut command = common::command(&[]);
    command.args(["run", &server, "-n", "1", "-c", "1", "--warmup", "0", "--token-file", "-"]);
    let full = || Stdio::from(fs::File::create("/dev/full").unwrap());
    let output = command.stdin(Stdio::null()).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "an empty token is an error, and no panic");
    let mistake = common::command(&[]).arg("dance").stderr(full()).output().unwrap();
    assert_eq!(mistake.status.code(), Some(2));
}

#[test]
fn more_connections_than_open_files_are_refused_with_limit_and_flag() {
    let words = ["run", "http://127.0.0.1:1/", "-c", "64"];
    let mut limited = Command::new("sh");
    limited.current_dir(FOLDER);
    limited.args(["-c", "ulimit -n 40; exec \"$@\"", "sh", TOLLGATE]).args(words);
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["64 connections", "may have 40", "-c ", "`ulimit -n "] {
        assert!(said.contains(part), "{part}: {said}");
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
        let output = Command::new("sh").args(["-c", line]).current_dir(FOLDER).output().unwrap();
        let body = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(body.contains("\"accepted\":true"), "{line}\n{output:?}");
    }
}

#[test]
fn the_metadata_names_the_port_that_the_auth_server_listens_on() {
    let up = Up::start("S2", &[]);
    let url = up.url("auth");
    let port = url.rsplit(':').next().unwrap();
    let document = up.curl("auth", "/.well-known/oauth-authorization-server").run().json();
    let endpoint = document["token_endpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("https://localhost:{port}/oauth2/token"));
    assert_eq!(up.curl("auth", "/.well-known/openid-configuration").run().status, 404);
}

#[test]
fn a_broken_list_of_clients_is_an_alarm_and_the_one_before_stays_in_force() {
    let up = Up::start("S2", &[]);
    let list = up.state().join("auth/clients.toml");
    let good = fs::read(&list).unwrap();
    fs::write(&list, "broken = true\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(15);
    let log = || fs::read_to_string(up.state().join("logs/auth.log")).unwrap();
    while !log().contains("ALARM: cannot use") {
        assert!(Instant::now() < deadline, "no alarm: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(log().contains("line 1: a member is wrong"), "{}", log());
    let token = up.token(Some("orders.read"));
    assert!(token.split('.').count() == 3, "{token}");
    fs::write(&list, &good).unwrap();
    while !log().contains("read again") {
        assert!(Instant::now() < deadline, "it is not read again: {}", log());
        std::thread::sleep(Duration::from_millis(20));
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
    let deadline = Instant::now() + Duration::from_secs(15);
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(Instant::now() < deadline, "a child outlived its parent");
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
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
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

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
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

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The lines of a child's standard error, as they come.
fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    receive
}

fn wait_for(lines: &Receiver<String>, words: &[&str]) {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("no line had {words:?}"));
        if words.iter().all(|word| line.contains(word)) {
            return;
        }
    }
}

/// Whether a process runs: it is there and no zombie.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn a_killed_service_is_started_again_where_it_was() {
    for driver in DRIVERS {
        let mut up = Up::start("S4", &["--driver", driver]);
        let said = lines(up.child.stderr.take().unwrap());
        let line = up.printed.lines().find(|l| l.trim_start().starts_with("curl ")).unwrap();
        let line = line.replacen("curl -sS", "curl -sS --max-time 5", 1);
        let accepts = || {
            let output =
                Command::new("sh").args(["-c", &line]).current_dir(FOLDER).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains("\"accepted\":true")
        };
        assert!(accepts());
        for (service, lost) in [
            ("orders", "order and idempotency key"),
            ("inventory", "stock is back"),
            ("auth", "tokens stay valid"),
            ("gateway", "keeps no data"),
        ] {
            let (url, pid) = (up.url(service), up.pid(service));
            send_signal(pid, "KILL");
            wait_for(&said, &[service, &pid.to_string(), "SIGKILL"]);
            wait_for(&said, &[lost]);
            wait_for(&said, &[service, &url, "again, as process"]);
            until("the stack takes orders again", accepts);
            let stack = || fs::read(up.state().join("stack.json")).unwrap();
            let moved = || {
                let stack: Value = serde_json::from_slice(&stack()).unwrap();
                let services = stack["services"].as_array().unwrap();
                let named = services.iter().find(|s| s["name"] == service).unwrap();
                assert_eq!(named["url"], *url, "{service} moved");
                named["pid"] != pid
            };
            until("stack.json names the new process", moved);
        }
        assert_eq!(up.stop("INT", SOON).code(), Some(0), "on {driver}");
    }
}

#[test]
fn with_no_restart_a_service_that_ends_takes_the_stack_with_it() {
    let mut up = Up::start("S0", &["--no-restart"]);
    send_signal(up.pid("orders"), "KILL");
    let status = common::wait(&mut up.child, SOON).unwrap();
    let mut said = String::new();
    up.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("orders") && said.contains("SIGKILL"), "{said}");
}

#[test]
fn a_second_ctrl_c_leaves_no_service_and_no_port() {
    for driver in DRIVERS {
        let mut up = Up::start("S0", &["--driver", driver, "--drain-ms", "60000"]);
        let said = lines(up.child.stderr.take().unwrap());
        let names = ["auth", "inventory", "orders", "gateway"];
        let pids = names.map(|name| up.pid(name));
        // A request that does not end keeps the gateway from ending.
        let address = up.url("gateway").trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = "POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
                    Expect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 100");
        send_signal(up.child.id(), "INT");
        wait_for(&said, &["Stopping"]);
        send_signal(up.child.id(), "INT");
        let status = common::wait(&mut up.child, SOON).expect("the second signal ends it");
        assert_eq!(status.code(), Some(130), "on {driver}");
        // What was killed has ended, and the kernel may still take its sockets away.
        assert!(!pids.iter().any(|pid| runs(*pid)), "a service runs on, on {driver}");
        for name in names {
            let address = up.url(name).trim_start_matches("http://").to_owned();
            until("the port is free", || TcpListener::bind(&address).is_ok());
        }
    }
}

/// A matrix that works in a folder of its own, where its keys are seen.
fn matrix(folder: &Path) -> std::process::Child {
    let mut command = common::command(&[]);
    command.args(["matrix", "--quick", "--profiles=S0", "--topology=single", "--slice=60ms"]);
    command.args(["--rounds=60", "--instances=60", "-R", "200", "-o"]).arg(folder.join("runs"));
    command.env("XDG_RUNTIME_DIR", folder).env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn secrets(folder: &Path) -> Vec<std::path::PathBuf> {
    // Files come and go meanwhile.
    let listed = Command::new("find").arg(folder).args(["-name", "*.secret"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().map(Into::into).collect()
}

#[test]
fn keys_of_a_matrix_do_not_outlive_it_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut killed = matrix(folder.path());
    until("secrets are made", || !secrets(folder.path()).is_empty());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = secrets(folder.path());
    assert!(!left.is_empty(), "a killed process cannot clean up");
    // The next command does, and a second Ctrl-C cleans up after itself.
    let mut next = matrix(folder.path());
    until("what was left is removed", || !left.iter().any(|path| path.exists()));
    until("secrets are made anew", || !secrets(folder.path()).is_empty());
    for _ in 0..2 {
        send_signal(next.id(), "INT");
    }
    assert_eq!(common::wait(&mut next, SOON).unwrap().code(), Some(130));
    let named = |name: std::ffi::OsString| name.to_string_lossy().starts_with("tollgate-work-");
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| named(name.clone())).count(), 0);
}

#[test]
fn a_killed_service_ends_the_matrix_and_finished_slices_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let child = matrix(folder.path());
    // Servers of the second instance are started when all slices of the first are finished.
    let named = || {
        let words = ["-path", "*/logs/*-1-all.log"];
        let found = Command::new("find").arg(folder.path()).args(words).output().unwrap();
        !found.stdout.is_empty()
    };
    until("the second instance is started", named);
    let of_child = |entry: &fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().unwrap_or_default().split(' ').nth(2);
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_server = String::from_utf8_lossy(&words).contains("serve\0all\0");
        is_server && parent == Some(&child.id().to_string())
    };
    let server = || fs::read_dir("/proc").unwrap().flatten().find(of_child);
    until("a server runs", || server().is_some());
    let pid = server().unwrap().file_name().into_string().unwrap();
    send_signal(pid.parse().unwrap(), "KILL");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let named = said.contains(&format!("all (process {pid}) "));
    assert!(named && said.contains("ended: signal: 9 (SIGKILL)"), "{said}");
    let kept = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap();
    let record = fs::read(kept.path().join("run.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["complete"], false);
    let slices = record["slices"].as_array().unwrap();
    assert!(slices.len() >= 6, "{} slices", slices.len());
    assert!(slices.iter().all(|slice| slice["errors"] == serde_json::json!({})));
    assert!(record["validity"]["notes"].to_string().contains("SIGKILL"), "{record}");
}

#[test]
fn a_key_that_others_may_read_is_refused_and_a_strange_certificate_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["own", "other"] {
        let output = tollgate(&["pki", "init", "--state", &state(name)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    // It ends by itself when it listens nowhere: the port of the admin listener is taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = taken.local_addr().unwrap().to_string();
    let own = state("own");
    let words = ["serve", "inventory", "--profile=S1", "--state", &own, "--listen=127.0.0.1:0"];
    let words = [&words[..], &["--admin", &admin]].concat();
    let serve = |more: &[&str]| {
        let output = tollgate(&[&words[..], more].concat());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let ca = format!("{}/ca/ca.crt", state("other"));
    let said = serve(&["--client-ca", &ca]);
    assert!(said.contains(&format!("not of --client-ca {ca}")), "{said}");
    let said = serve(&[]);
    assert!(!said.contains("--client-ca") && said.contains(&admin), "{said}");
    let key = format!("{own}/certs/inventory.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o604)).unwrap();
    let said = serve(&[]);
    assert!(said.contains(&format!("chmod 600 {key}")), "{said}");
}
