//! The end of a server: what is in flight finishes, what hangs is cut, nothing accepted is lost.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runtime::DrainReport;

use crate::peer::{Peer, TIMEOUT};
use crate::shop::{OWED, on_each_driver};
use crate::support::Pki;

#[test]
fn a_request_in_flight_is_answered_with_connection_close() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /sleep?300 HTTP/1.1\r\nHost: a\r\n\r\n");
            up.eventually("requests", 1, |stats| stats.requests.value());
            let start = Instant::now();
            let report = up.drain(TIMEOUT);
            assert!(start.elapsed() < Duration::from_secs(5), "it need not wait longer");
            assert_eq!(report, DrainReport { finished: 1, cut: 0 });
            let response = peer.response().unwrap();
            assert_eq!((response.status, response.text()), (200, "rested"));
            assert_eq!(response.field("connection"), Some("close"));
            assert!(peer.rest().unwrap().is_empty());
        },
    );
}

#[test]
fn owed_work_is_done_before_the_end_or_cut_at_the_deadline() {
    let owed = || [0, 1].map(|at| OWED[at].swap(0, Ordering::Relaxed));
    for (work, limit, expected) in [
        ("/owing?400", TIMEOUT, [1, 0]),
        ("/owing?60000", Duration::from_millis(300), [0, 1]),
        ("/owing?0", TIMEOUT, [1, 0]),
    ] {
        on_each_driver(
            |_| {},
            |up| {
                assert_eq!(Peer::connect(up.addr).get(work).text(), "later");
                let start = Instant::now();
                assert_eq!(up.drain(limit).cut, 0);
                assert!(start.elapsed() < Duration::from_secs(10), "{work}");
                assert_eq!(owed(), expected, "{work}");
            },
        );
    }
}

#[test]
fn who_waits_for_something_that_can_wait_notices_the_end() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /patient?60000 HTTP/1.1\r\nHost: a\r\n\r\n");
            up.eventually("requests", 1, |stats| stats.requests.value());
            assert_eq!(up.drain(TIMEOUT), DrainReport { finished: 1, cut: 0 });
            assert_eq!(peer.response().unwrap().text(), "rested");
        },
    );
}

#[test]
fn what_hangs_is_cut_at_the_deadline() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
            up.eventually("requests", 1, |stats| stats.requests.value());
            let start = Instant::now();
            let report = up.drain(Duration::from_millis(200));
            assert!(start.elapsed() >= Duration::from_millis(200));
            assert!(start.elapsed() < Duration::from_secs(10));
            assert_eq!(report, DrainReport { finished: 0, cut: 1 });
            assert!(peer.rest().unwrap_or_default().is_empty());
        },
    );
}

#[test]
fn idle_connections_are_closed_after_pending_output() {
    on_each_driver(
        |_| {},
        |up| {
            let mut idle = Peer::connect(up.addr);
            assert_eq!(idle.get("/ping").text(), "pong");
            let mut busy = Peer::connect(up.addr);
            for _ in 0..20 {
                assert_eq!(busy.get("/ping").text(), "pong");
            }
            let silent = Peer::connect(up.addr);
            up.eventually("open", 3, |stats| stats.connections_open.value());
            let drain = thread::spawn(move || up.drain(TIMEOUT));
            thread::sleep(Duration::from_millis(50));
            for peer in [&mut idle, &mut busy] {
                let response = peer.get("/ping");
                assert_eq!(response.text(), "pong");
                assert_eq!(response.field("connection"), Some("close"));
            }
            assert!(silent.rest().unwrap().is_empty());
            let report = drain.join().unwrap();
            assert_eq!(report, DrainReport { finished: 3, cut: 0 });
        },
    );
}

#[test]
fn a_handshake_that_does_not_come_does_not_hold_the_drain_up() {
    let config = Pki::new().server(false);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let _silent = Peer::connect(up.addr);
            up.eventually("open", 1, |stats| stats.connections_open.value());
            let start = Instant::now();
            let report = up.drain(TIMEOUT);
            assert!(start.elapsed() < TIMEOUT / 2, "{:?}", start.elapsed());
            assert_eq!(report, DrainReport { finished: 1, cut: 0 });
        },
    );
}

/// One request on a connection of its own. `Ok(false)` if nobody listens any more.
fn visit(addr: SocketAddr) -> io::Result<bool> {
    let Ok(mut stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(300)) else {
        return Ok(false);
    };
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    assert!(answer.ends_with(b"pong"), "{}", String::from_utf8_lossy(&answer));
    Ok(true)
}

#[test]
fn no_connection_that_was_accepted_is_lost() {
    on_each_driver(
        |_| {},
        |up| {
            let addr = up.addr;
            let answered = Arc::new(AtomicU64::new(0));
            let stop = Arc::new(AtomicBool::new(false));
            let visitors: Vec<_> = (0..8)
                .map(|_| {
                    let (answered, stop) = (answered.clone(), stop.clone());
                    thread::spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            match visit(addr) {
                                Ok(true) => answered.fetch_add(1, Ordering::Relaxed),
                                Ok(false) => return,
                                Err(error) => panic!("a request was lost: {error}"),
                            };
                        }
                    })
                })
                .collect();
            while answered.load(Ordering::Relaxed) < 200 {
                thread::sleep(Duration::from_millis(1));
            }
            let report = up.drain(TIMEOUT);
            assert_eq!(report.cut, 0);
            stop.store(true, Ordering::Relaxed);
            for visitor in visitors {
                visitor.join().unwrap();
            }
        },
    );
}
