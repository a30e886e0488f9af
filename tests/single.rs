//! `tollgate run` and `tollgate capacity` of one URL: what they read beside the traffic, what they
//! send, and how they end.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::play::{OK, play};
use common::{json, send_signal, tollgate, wait};

/// Generous: a machine may be busy. A command that did not end would go on for minutes.
const WITHIN: Duration = Duration::from_secs(30);

/// Half a second on an idle machine; a wait that is not cut takes 5 s or more.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn the_servers_cpu_is_read_from_its_process_and_from_its_page() {
    let served = common::Served::start("inventory", &[]);
    let url = format!("http://{}/api/ping", served.listen);
    let metrics = format!("http://{}/metrics", served.admin);
    let pid = served.child.id().to_string();
    let run = |words: &[&str]| {
        let words = [&["run", &url, "-d", "500ms", "-c", "2", "--output-format", "json"], words];
        json(&tollgate(&words.concat()))
    };
    // The path is not one of the service's: replies are wrong, and cost CPU all the same.
    let read = run(&["--server-pid", &pid, "--warmup", "0"]);
    assert_eq!(read["server"]["cpu_source"], "processes", "{read}");
    assert!(read["server"]["cpu_ns_per_request"].as_u64().unwrap() > 100, "{read}");
    assert_eq!(run(&["--warmup", "0"])["server"], serde_json::Value::Null);
    let page = run(&["--metrics-url", &metrics, "--warmup", "0"]);
    assert_eq!(page["server"]["cpu_source"], "metrics", "{page}");
    let notes = page["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().contains("steps of 10 ms")), "{page}");
}

#[test]
fn requests_of_a_file_are_sent_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests");
    let lines = "{}\n{\"path\": \"/b\"}\n{\"method\": \"DELETE\", \"headers\": {\"X\": \"1\"}}\n";
    fs::write(&file, lines).unwrap();
    let there = play(|s| s.write_all(OK).is_ok());
    let file = file.to_str().unwrap();
    let words = ["run", &there, "--requests-file", file, "-n", "9", "-d", "20s", "-c", "1"];
    let output = tollgate(&[&words[..], &["--warmup", "0", "--output-format", "json"]].concat());
    let result = json(&output);
    assert_eq!(result["requests"]["ok"], 9, "{result}");
    assert_eq!(result["plan"]["requests_in_turn"], 3, "{result}");
}

/// Requests that [`ctrl_c_ends_both_commands_with_what_there_is`] has answered.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

#[test]
fn ctrl_c_ends_both_commands_with_what_there_is() {
    let url = play(|s| {
        ANSWERED.fetch_add(1, Ordering::Relaxed);
        s.write_all(OK).is_ok()
    });
    let folder = tempfile::tempdir().unwrap();
    let capacity = ["capacity", "--slo=max=10s", "--slice=200ms", "--confirm=9999"];
    for words in [&["run", "-d", "60s"][..], &capacity] {
        let result = folder.path().join(words[0]);
        let mut command = common::command(&[]);
        command.args(words).args([&url, "-c", "2", "--warmup", "100ms"]);
        command.args(["--output-format", "json", "-o"]).arg(&result);
        ANSWERED.store(0, Ordering::Relaxed);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        interrupted_when_under_way(child, &result);
    }
}

fn interrupted_when_under_way(mut child: std::process::Child, result: &Path) {
    let begun = Instant::now();
    while ANSWERED.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < WITHIN, "nothing was asked");
        thread::sleep(Duration::from_millis(10));
    }
    // Long enough for the slices of the closed loop; both would go on for minutes.
    thread::sleep(Duration::from_secs(3));
    send_signal(child.id(), "INT");
    let status = wait(&mut child, WITHIN).expect("it did not end");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    let result = fs::read_to_string(result).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["interrupted"], true, "{result}");
    let ok = result["requests"]["ok"].as_u64();
    let maximum = result["capacity"]["closed_loop_milli_per_s"].as_u64();
    assert!(ok.or(maximum).unwrap() > 0, "{result}");
}

/// A server that takes connections and says nothing; each is told of.
fn silent() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (taken, told) = channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().flatten() {
            held.push(stream);
            let _ = taken.send(());
        }
    });
    (address, told)
}

/// Sends SIGINT and returns the exit code and what was printed, if the end comes soon.
fn interrupted_soon(child: std::process::Child, what: &str) -> (Option<i32>, String) {
    let begun = Instant::now();
    send_signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn ctrl_c_ends_every_wait_before_the_measurement_at_once() {
    let url = play(|s| s.write_all(OK).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "x\n").unwrap();
    let secret = secret.to_str().unwrap();
    let client = ["--client-id", "a", "--client-secret-file", secret, "--token-url"];
    for (command, what) in
        [("run", "token"), ("capacity", "token"), ("run", "tls"), ("run", "reply"), ("run", "page")]
    {
        let (address, taken) = silent();
        let (plain, tls) = (format!("http://{address}/"), format!("https://{address}/"));
        let words = match what {
            "token" => [&[&url[..]], &client[..], &[&plain]].concat(),
            "tls" => vec![&tls[..], "-k"],
            "reply" => vec![&plain[..], "--warmup", "60s"],
            _ => vec![&url[..], "--warmup", "0", "--metrics-url", &plain],
        };
        let mut started = common::command(&[]);
        started.arg(command).args(words).args(["-c", "1", "--timeout", "60s"]);
        let child = started.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        taken.recv_timeout(WITHIN).expect("nobody was asked");
        let (code, _) = interrupted_soon(child, what);
        assert_eq!(code, Some(130), "{command}, {what}");
    }
}

#[test]
fn ctrl_c_ends_a_matrix_of_silent_targets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "x\n").unwrap();
    let client = "client_id = \"a\"\nclient_secret_file = \"secret\"\ntoken_url = ";
    for (what, is_token) in [("token", true), ("reply", false)] {
        let (address, taken) = silent();
        let mut text = format!("[[target]]\nname = \"a\"\nurl = \"http://{address}/\"\n");
        if is_token {
            text += &format!("{client}\"http://{address}/\"\n");
        }
        let list = folder.path().join(what);
        fs::write(&list, text).unwrap();
        let mut command = common::command(&[]);
        command.args(["matrix", "-c", "1", "--output-format", "json", "--targets"]).arg(list);
        command.arg("--output").arg(folder.path().join("runs"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        taken.recv_timeout(WITHIN).expect("nobody was asked");
        assert_eq!(interrupted_soon(child, what).0, Some(130), "{what}");
    }
}

#[test]
fn ctrl_c_ends_a_wait_for_standard_input() {
    let words = ["run", "http://127.0.0.1:1/", "--token-file", "-"];
    let mut command = common::command(&[]);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take();
    // Whoever has this thread has taken the signals over.
    let is_preparing = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
        let mut names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.any(|name| name.trim() == "prepare")
    };
    let begun = Instant::now();
    while !is_preparing() {
        assert!(begun.elapsed() < WITHIN, "it never came to its standard input");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(interrupted_soon(child, "standard input").0, Some(130));
    drop(input);
}

#[test]
fn ctrl_c_while_the_last_page_is_awaited_keeps_the_result() {
    static PAGES: AtomicU64 = AtomicU64::new(0);
    let url = play(|s| s.write_all(OK).is_ok());
    let page = play(|s| {
        if PAGES.fetch_add(1, Ordering::Relaxed) > 0 {
            thread::sleep(4 * WITHIN);
        }
        let page = "process_cpu_seconds_total 1\n";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
        s.write_all(format!("{head}{page}").as_bytes()).is_ok()
    });
    let mut command = common::command(&[]);
    command.args(["run", &url, "-c", "1", "-n", "5", "--warmup", "0", "--metrics-url", &page]);
    command.args(["--output-format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while PAGES.load(Ordering::Relaxed) < 2 {
        assert!(begun.elapsed() < WITHIN, "the page was not asked for again");
        thread::sleep(Duration::from_millis(5));
    }
    let (code, printed) = interrupted_soon(child, "the last page");
    assert_eq!(code, Some(130));
    let result: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(result["requests"]["ok"], 5, "{result}");
}

/// Figures are not looked at: the machine is busy, and that is what bounds are wide for here.
#[test]
fn a_capacity_is_found_and_told_in_every_format() {
    let url = play(|s| s.write_all(OK).is_ok());
    let common = ["capacity", &url, "-c", "2", "--slice", "60ms", "--warmup", "50ms"];
    let wide = ["--max-lateness-p99=1s", "--max-steal=100%", "--max-generator=100%"];
    let wide = [&wide[..], &["--max-throttled=1000000"]].concat();
    let slo = ["--slo=max=9s", "--confirm=3", "--min-achieved=10%", "--max-dropped=1000000"];
    let slo = [&slo[..], &["--max-in-flight-growth=1000000"]].concat();
    for (format, part) in [
        ("text", "p99.9 us"),
        ("json", "\"closed_loop_milli_per_s\""),
        ("csv", "response_p99_ns"),
        ("markdown", "| asked/s |"),
    ] {
        let format = ["--output-format", format];
        let output = tollgate(&[&common[..], &wide, &slo, &format].concat());
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{shown}");
        assert!(shown.contains(part), "{shown}");
    }
    let quiet = tollgate(&[&common[..], &wide, &slo, &["--output-format", "quiet"]].concat());
    assert!(quiet.stdout.is_empty(), "{quiet:?}");
    // No reply takes less than a microsecond.
    let never = ["--slo", "p50=1us", "--output-format", "json"];
    let output = tollgate(&[&common[..], &wide, &never].concat());
    assert_eq!(output.status.code(), Some(99), "{output:?}");
    assert_eq!(json(&output)["capacity"]["slo"]["rate_milli_per_s"], serde_json::Value::Null);
}

#[test]
fn the_connection_budget_comes_first() {
    for command in ["run", "capacity"] {
        let words = [command, "http://[::1]:1/", "--requests-per-connection", "1"];
        let output = tollgate(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("Connection budget: "), "{said}");
        let quiet = tollgate(&[&words[..], &["--output-format", "quiet"]].concat());
        assert!(!String::from_utf8_lossy(&quiet.stderr).contains("budget"));
    }
}
