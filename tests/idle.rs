//! What a stack costs that has kept connections and no traffic: its processes wake up for deadlines
//! that expire, and for nothing else.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::{DRIVERS, Up};

const CONNECTIONS: usize = 32;

/// Enough for a connection to count as busy, so that it holds a buffer for a while afterwards.
const REQUESTS: usize = 8;

/// How long after its last request a connection may have something that is looked after.
const SETTLE: Duration = Duration::from_secs(3);

/// How long the stack is watched. No deadline of an idle connection expires in this time.
const WATCHED: Duration = Duration::from_secs(5);

/// A process may wake up once in that time. The executor's timers make up to three switches of it.
/// A process that looked after its deadlines four times a second made 40.
const SWITCHES_MAX: u64 = 6;

#[test]
fn an_idle_stack_with_kept_connections_sleeps() {
    let stacks = DRIVERS.map(|driver| thread::spawn(move || watch(driver)));
    for (driver, stack) in DRIVERS.into_iter().zip(stacks) {
        for (service, switches) in stack.join().unwrap() {
            assert!(switches <= SWITCHES_MAX, "{service} on {driver}: {switches} in {WATCHED:?}");
        }
    }
}

/// How often the threads of each process of an idle stack went to sleep.
fn watch(driver: &str) -> Vec<(&'static str, u64)> {
    let up = Up::start("S0", &["--driver", driver]);
    let url = up.url("gateway");
    let mut connections: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap())
        .collect();
    for _ in 0..REQUESTS {
        order_on_each(&mut connections);
    }
    thread::sleep(SETTLE);
    let services = ["auth", "inventory", "orders", "gateway"];
    let mut processes: Vec<(&str, u32)> =
        services.iter().map(|service| (*service, up.pid(service))).collect();
    processes.push(("up", up.child.id()));
    let before: Vec<u64> = processes.iter().map(|(_, pid)| switches(*pid)).collect();
    thread::sleep(WATCHED);
    let after = processes.iter().zip(before);
    let found = after.map(|((name, pid), before)| (*name, switches(*pid) - before)).collect();
    order_on_each(&mut connections);
    found
}

/// Makes an order on each connection, all at the same time, so that the gateway has as many to
/// orders, and orders to inventory.
fn order_on_each(connections: &mut [TcpStream]) {
    let body = r#"{"customerId":"c-1","itemSkus":["SKU-1000"],"totalAmount":19.99}"#;
    let request = format!(
        "POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for connection in &mut *connections {
        connection.write_all(request.as_bytes()).unwrap();
    }
    for connection in connections {
        let mut answer = [0; 4096];
        let length = connection.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 201 ") && answer.ends_with('}'), "{answer}");
    }
}

/// How often the threads of a process went to sleep so far.
fn switches(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    threads.map_while(Result::ok).filter_map(of_thread).sum()
}
