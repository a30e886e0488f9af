//! Signals and standard input, each in a child process: this test binary run again with a role.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use runtime::process::{Shutdown, raise_file_limit, terminate_when_stdin_closes};

const ROLE: &str = "TOLLGATE_TEST_ROLE";

/// What a child that was asked to stop ends with.
const IN_ORDER: i32 = 7;

/// What the child does; as a test of its own it does nothing.
#[test]
fn child() {
    match std::env::var(ROLE).as_deref() {
        Ok("signals") => {
            let mut shutdown = Shutdown::install().unwrap();
            let watch = shutdown.watch();
            assert_eq!(watch.received(), None);
            println!("ready");
            let signal = shutdown.wait();
            assert_eq!(watch.received(), Some(signal));
            println!("first {signal}");
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok("stdin") => {
            let mut shutdown = Shutdown::install().unwrap();
            terminate_when_stdin_closes().unwrap();
            println!("ready");
            shutdown.wait();
            std::process::exit(IN_ORDER);
        }
        _ => {}
    }
}

fn start(role: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    expect_line(&mut lines, "ready");
    (child, lines)
}

/// Reads up to a line that ends in `end`: the test runner prints before it.
fn expect_line(lines: &mut BufReader<ChildStdout>, end: &str) {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the child ended before {end:?}");
        if line.trim_end().ends_with(end) {
            return;
        }
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(sent.unwrap().success());
}

fn expect_exit(mut child: Child, code: i32) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return assert_eq!(status.code(), Some(code));
        }
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("the child did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_first_signal_is_reported_and_the_second_kills() {
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let (child, mut lines) = start("signals");
        signal(&child, name);
        expect_line(&mut lines, &format!("first SIG{name}"));
        signal(&child, name);
        expect_exit(child, 128 + number);
    }
}

#[test]
fn a_child_ends_when_its_standard_input_does() {
    let (mut child, _lines) = start("stdin");
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    expect_exit(child, IN_ORDER);
}

#[test]
fn the_file_limit_is_raised_to_its_bound() {
    let limit = raise_file_limit().unwrap();
    assert!(limit > 0);
    assert_eq!(raise_file_limit().unwrap(), limit, "a second time changes nothing");
}
