//! The audit log of live services: what is recorded of hostile requests, and that a log which
//! cannot be written costs lines and no response. On both drivers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use common::{Curl, DRIVERS, Served, TOLLGATE, Up, send_signal, wait};

/// What has been recorded may be a moment in coming.
const SOON: Duration = Duration::from_secs(20);

/// One service, all of the shop in one process, that checks tokens over plain HTTP.
fn start(driver: &str, words: &[&str]) -> Served {
    let all = ["serve", "all", "--profile", "plain+token", "--driver", driver];
    Served::run(Command::new(TOLLGATE).args(all).args(words).stderr(Stdio::piped()))
}

impl Served {
    /// Sends these bytes on a connection of their own and returns the whole response.
    fn ask(&self, request: &[u8]) -> String {
        let mut tcp = TcpStream::connect(&self.listen).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        tcp.write_all(request).unwrap();
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).unwrap();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Sends a request with this field, which is refused with this status.
    fn refused(&self, status: u16, field: &[u8]) {
        let head = b"GET /api/orders/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        let response = self.ask(&[head, field, b"\r\n"].concat());
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }

    /// Asks for a token as this client, whose credentials are wrong.
    fn wrong_secret(&self, credentials: &str) -> Curl {
        let url = format!("http://{}/oauth2/token", self.listen);
        let mut curl = Curl::new(&url);
        for word in ["--data", "grant_type=client_credentials", "--user", credentials] {
            curl.arg(word);
        }
        curl
    }

    fn dropped(&self) -> f64 {
        let page = Curl::new(&format!("http://{}/metrics", self.admin)).run().body;
        let line = page.lines().find(|line| line.starts_with("tollgate_audit_dropped_total "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Ends the service in order and returns what it said on standard error.
    fn stop(mut self) -> String {
        send_signal(self.child.id(), "TERM");
        let mut stderr = self.child.stderr.take().unwrap();
        let said = thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            said
        });
        assert!(wait(&mut self.child, SOON).unwrap().success());
        said.join().unwrap()
    }
}

/// The lines of a log; each must be a whole line of JSON in printable ASCII.
fn lines(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).unwrap_or_default();
    assert!(bytes.last().is_none_or(|last| *last == b'\n'), "half a line");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)), "{line:?}");
            serde_json::from_slice(line).unwrap()
        })
        .collect()
}

/// The first line with these members, which comes within a while.
fn awaited(path: &Path, members: &[(&str, &str)]) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        // A line that is being written is read again whole.
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .find(|line| members.iter().all(|(name, text)| line[*name] == *text));
        if let Some(found) = found {
            return found;
        }
        assert!(Instant::now() < deadline, "no {members:?} in\n{text}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn hostile_words_are_recorded_as_harmless_text() {
    for driver in DRIVERS {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_str().unwrap();
        let served = start(driver, &["--state", state]);
        served.refused(401, b"");
        served.refused(401, b"Authorization: Bearer \xff\x80\"}\\ \xc2\x9b[2J.x.y\r\n");
        let hostile = "a\"}\\\u{1b}[31m\u{202e}%0a{\"forged\"}";
        assert_eq!(served.wrong_secret(&format!("{hostile}:letmein")).run().status, 401);
        let long = "n".repeat(600);
        assert_eq!(served.wrong_secret(&format!("{long}:letmein")).run().status, 401);
        served.ask(b"GET /api/orders/x?access_token=letmein HTTP/1.1\r\nHost: a\r\n\r\n\x16");
        served.stop();

        let path = folder.path().join("logs/all.audit.jsonl");
        let all = lines(&path);
        let decisions: Vec<(&str, &str)> = all
            .iter()
            .map(|line| (line["event"].as_str().unwrap(), line["decision"].as_str().unwrap()))
            .collect();
        let (request, token) = (("request", "refused"), ("token", "refused"));
        let expected =
            [("service", "configured"), ("service", "started"), request, request, token, token];
        assert_eq!(decisions[..6], expected);
        assert_eq!(decisions[6..], [request, ("service", "ended")]);
        assert_eq!(
            (&all[2]["reason"], &all[2]["route"]),
            (&"token_missing".into(), &"orders.read".into())
        );
        assert_eq!(all[3]["reason"], "token_malformed");
        assert_eq!(all[4]["reason"], "invalid_client");
        assert_eq!(all[4]["client"], "a\"}\\\u{1b}[31m\u{202e}\n{\"forged\"}");
        assert_eq!(all[5]["client"].as_str().unwrap().len(), 256 + "...".len());
        assert_eq!(all[6]["reason"], "token_in_query");
        for line in &all[2..7] {
            assert!(line["source"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
            assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("letmein"), "a secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn who_was_refused_at_which_hop_is_recorded_and_permitted_requests_when_asked_for() {
    for (driver, audit) in DRIVERS.into_iter().zip(["all", "refusals"]) {
        let up = Up::start("S5", &["--driver", driver, "--audit", audit]);
        let token = up.token(Some("orders.read"));
        let ask = |path: &str, token: &str| {
            up.with_certificate(up.curl("gateway", path), "bench-runner").bearer(token).run().status
        };
        assert_eq!(up.curl("gateway", "/api/ping").run().status, 0, "no certificate, no TLS");
        assert_eq!(ask("/api/orders/0000000000000000", &token), 404);
        assert_eq!(ask("/api/inventory/SKU-1", &token), 403);

        let log = |service: &str| up.state().join(format!("logs/{service}.audit.jsonl"));
        let handshake = [("event", "handshake"), ("reason", "certificate_missing")];
        awaited(&log("gateway"), &handshake);
        let failed = ["side=\"server\"", "reason=\"certificate_missing\""];
        let name = "tollgate_tls_handshakes_failed_total";
        assert_eq!(up.metric("gateway", name, &failed), 1.0);
        let refused = awaited(&log("gateway"), &[("reason", "scope_missing")]);
        assert_eq!(refused["peer"], "spiffe://tollgate/bench-runner");
        assert_eq!(
            (&refused["client"], &refused["event"]),
            (&"bench-runner".into(), &"request".into())
        );
        let members = [("decision", "issued"), ("scope", "orders.read")];
        let issued = awaited(&log("auth"), &members);
        assert_eq!(issued["jti_sha256"], refused["jti_sha256"]);
        assert_eq!(issued["jti_sha256"].as_str().unwrap().len(), 22);
        let permitted = [("decision", "permitted"), ("reason", "enforced")];
        if audit == "all" {
            awaited(&log("gateway"), &permitted);
            let behind = awaited(&log("orders"), &permitted);
            assert_eq!(behind["peer"], "spiffe://tollgate/gateway");
            assert_eq!(behind["client"], "bench-runner");
        } else {
            let all = lines(&log("gateway"));
            assert!(all.iter().all(|line| line["decision"] != "permitted"), "{all:?}");
        }
        let text = fs::read_to_string(log("gateway")).unwrap();
        assert!(!text.contains(token.split('.').next_back().unwrap()), "the token's signature");
        ends_are_known(&up);
    }
}

/// The metrics page says when what the gateway stands on ends.
fn ends_are_known(up: &Up) {
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    for used_as in ["server", "client", "client_ca"] {
        let label = format!("use=\"{used_as}\"");
        let end = up.metric("gateway", "tollgate_certificate_not_after_seconds", &[&label]);
        assert!(end > now_s, "{used_as}: {end}");
    }
    let age = up.metric("gateway", "tollgate_keys_age_seconds", &[]);
    assert!(age > 0.0 && age < 3600.0, "{age}");
    assert_eq!(up.metric("gateway", "tollgate_audit_dropped_total", &[]), 0.0);
}

#[test]
fn files_are_rotated_by_size_and_opened_anew_on_sighup() {
    for driver in DRIVERS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let state = folder.path().join("state");
        let words = [
            ["--state", state.to_str().unwrap()],
            ["--audit-log", path.to_str().unwrap()],
            ["--audit-log-size", "64KiB"],
            ["--audit-log-files", "2"],
            ["--audit-rate", "1000000"],
        ];
        let served = start(driver, words.as_flattened());
        let numbered = folder.path().join("audit.jsonl.1");
        // A batch fits the queue, and is written before the next one begins.
        for batch in 0.. {
            assert!(batch < 100, "no rotation");
            let request = b"GET /api/orders/x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
            let last = b"GET /api/orders/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            served.ask(&[&request[..], last].concat());
            // The second time shows that the older file goes.
            if fs::read_dir(folder.path()).unwrap().count() == 3 && batch >= 10 {
                break;
            }
        }
        assert!(fs::metadata(&numbered).unwrap().len() <= 64 * 1024);
        assert!(!lines(&numbered).is_empty());

        let moved = folder.path().join("moved.jsonl");
        fs::rename(&path, &moved).unwrap();
        send_signal(served.child.id(), "HUP");
        let deadline = Instant::now() + SOON;
        while !path.exists() {
            assert!(Instant::now() < deadline, "not opened anew");
            thread::sleep(Duration::from_millis(5));
        }
        served.refused(401, b"Authorization: Bearer x\r\n");
        awaited(&path, &[("reason", "token_malformed")]);
        assert!(lines(&moved).iter().all(|line| line["reason"] != "token_malformed"));
        served.stop();
        assert_eq!(lines(&path).last().unwrap()["decision"], "ended");
    }
}

#[test]
fn a_full_disk_costs_lines_and_no_response() {
    for driver in DRIVERS {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_str().unwrap();
        let served = start(driver, &["--state", state, "--audit-log", "/dev/full"]);
        for _ in 0..5 {
            served.refused(401, b"");
        }
        let deadline = Instant::now() + SOON;
        // The service's own two lines are lost as well.
        while served.dropped() < 7.0 {
            assert!(Instant::now() < deadline, "{}", served.dropped());
        }
        let said = served.stop();
        assert_eq!(said.matches("the audit log cannot be written").count(), 1, "{said}");
    }
}

#[test]
fn a_flood_is_cut_and_the_log_says_by_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let served = start("auto", &["--state", state, "--audit-rate", "10"]);
    for _ in 0..100 {
        served.refused(401, b"");
    }
    let dropped = served.dropped();
    assert!(dropped > 0.0);
    served.stop();
    let all = lines(&folder.path().join("logs/all.audit.jsonl"));
    let told: u64 = all.iter().filter_map(|line| line["count"].as_u64()).sum();
    assert_eq!(told as f64, dropped);
    let written = all.iter().filter(|line| line["event"] == "request").count();
    assert_eq!(written as u64 + told, 100);
}

#[test]
fn without_a_state_directory_the_log_is_standard_error_and_off_means_none() {
    for (level, expected) in [("refusals", 4), ("off", 0)] {
        let inventory = ["serve", "inventory", "--profile", "S0", "--audit", level];
        let served = Served::run(Command::new(TOLLGATE).args(inventory).stderr(Stdio::piped()));
        served.ask(b"GET /x?access_token=y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let said = served.stop();
        let recorded = said.lines().filter(|line| line.starts_with("{\"time\":\""));
        assert_eq!(recorded.count(), expected, "{said}");
    }
}
