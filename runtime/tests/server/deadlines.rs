//! Every wait has an end, and the peer is told where HTTP has words for it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use runtime::tls::HandshakeFailure;
use runtime::{CoreStats, Endpoint, WaitKind};

use crate::peer::Peer;
use crate::shop::{Up, on_each_driver};
use crate::support::Pki;

/// The limit under test; the others stay far away.
const LIMIT: Duration = Duration::from_millis(100);

/// How long the limit may take to expire on a busy machine.
const LATE: Duration = Duration::from_secs(10);

fn expires(up: &Up, kind: WaitKind, start: Instant) {
    let elapsed = start.elapsed();
    assert!(elapsed >= LIMIT, "{elapsed:?} is too early");
    assert!(elapsed < LATE, "{elapsed:?} is too late");
    assert_eq!(up.expired(kind), 1, "{kind:?}");
}

#[test]
fn a_head_that_does_not_end_is_answered_with_408() {
    on_each_driver(
        |endpoint| endpoint.limits.head_timeout = LIMIT,
        |up| {
            let mut peer = Peer::connect(up.addr);
            let start = Instant::now();
            peer.send("GET /ping HTTP/1.1\r\nHos");
            let response = peer.response().unwrap();
            assert_eq!(response.status, 408);
            assert_eq!(response.field("connection"), Some("close"));
            expires(&up, WaitKind::Head, start);
            assert!(peer.rest().unwrap().is_empty());
        },
    );
}

#[test]
fn dripping_a_head_does_not_extend_its_time() {
    on_each_driver(
        |endpoint| endpoint.limits.head_timeout = LIMIT,
        |up| {
            let mut peer = Peer::connect(up.addr);
            assert_eq!(peer.get("/ping").text(), "pong");
            peer.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let start = Instant::now();
            let mut answer = [0; 12];
            while peer.stream.write_all(b"G").is_ok() {
                assert!(start.elapsed() < LATE, "it drips for ever");
                if peer.stream.read(&mut answer).is_ok() {
                    break;
                }
            }
            assert_eq!(&answer, b"HTTP/1.1 408");
            expires(&up, WaitKind::Head, start);
        },
    );
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    on_each_driver(
        |endpoint| endpoint.limits.body_timeout = LIMIT,
        |up| {
            for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
                let mut peer = Peer::connect(up.addr);
                peer.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n2\r\n"));
                let response = peer.response().unwrap();
                assert_eq!(response.status, 408);
                assert_eq!(response.field("connection"), Some("close"));
            }
            assert_eq!(up.expired(WaitKind::Body), 2);
        },
    );
}

/// A rate that nobody keeps who drips, over a window that a test has time for.
fn demand_rate(endpoint: &mut Endpoint) {
    endpoint.limits.bytes_per_s_min = 100_000;
    endpoint.limits.rate_window = Duration::from_millis(300);
}

#[test]
fn a_body_that_drips_is_answered_with_408() {
    on_each_driver(demand_rate, |up| {
        for head in ["Content-Length: 60000", "Transfer-Encoding: chunked"] {
            let mut peer = Peer::connect(up.addr);
            let start = Instant::now();
            peer.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\nea60\r\n"));
            peer.stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            let mut answer = [0; 12];
            while peer.stream.write_all(b"x").is_ok() {
                assert!(start.elapsed() < LATE, "it drips for ever");
                if peer.stream.read(&mut answer).is_ok() {
                    break;
                }
            }
            assert_eq!(&answer, b"HTTP/1.1 408", "{head}");
            assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
        }
        assert_eq!((up.expired(WaitKind::Rate), up.expired(WaitKind::Body)), (2, 0));
    });
}

#[test]
fn a_peer_whose_body_waits_for_us_is_not_slow() {
    on_each_driver(demand_rate, |up| {
        let mut peer = Peer::connect(up.addr);
        // All of it is with the kernel at once; what takes longer than a window is our own reading.
        let pieces = peer.post("/sip?200", &[b'x'; 200_000]);
        assert_eq!(pieces.status, 200);
        assert!(pieces.text().parse::<u64>().unwrap() >= 3, "{}", pieces.text());
        // A handler that takes its time is none of the peer's doing, nor is an idle connection.
        assert_eq!(peer.get("/sleep?700").text(), "rested");
        assert_eq!(up.expired(WaitKind::Rate), 0);
    });
}

#[test]
fn without_a_rate_a_body_has_its_time_in_all() {
    on_each_driver(
        |endpoint| {
            endpoint.limits.bytes_per_s_min = 0;
            endpoint.limits.body_timeout = LIMIT;
        },
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let start = Instant::now();
            peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
            let mut answer = [0; 12];
            while peer.stream.write_all(b"x").is_ok() {
                assert!(start.elapsed() < LATE, "it drips for ever");
                if peer.stream.read(&mut answer).is_ok() {
                    break;
                }
            }
            assert_eq!(&answer, b"HTTP/1.1 408");
            expires(&up, WaitKind::Body, start);
        },
    );
}

#[test]
fn an_idle_connection_is_closed_without_a_response() {
    on_each_driver(
        |endpoint| endpoint.limits.idle_timeout = LIMIT,
        |up| {
            // Idle, and busy a moment ago: both ways of waiting for a request.
            for requests in [0, 1, 20] {
                let expired = up.expired(WaitKind::Idle);
                let mut peer = Peer::connect(up.addr);
                for _ in 0..requests {
                    assert_eq!(peer.get("/ping").text(), "pong");
                }
                let start = Instant::now();
                assert!(peer.rest().unwrap().is_empty());
                assert!(start.elapsed() < LATE);
                assert_eq!(up.expired(WaitKind::Idle), expired + 1);
            }
            up.eventually("open", 0, |stats| stats.connections_open.value());
        },
    );
}

#[test]
fn a_peer_that_does_not_read_is_cut() {
    on_each_driver(
        |endpoint| endpoint.limits.write_timeout = LIMIT,
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
            up.eventually("requests", 1, |stats| stats.requests.value());
            up.eventually("open", 0, |stats| stats.connections_open.value());
            assert_eq!(up.expired(WaitKind::Write), 1);
        },
    );
}

#[test]
fn a_handshake_that_does_not_come_is_cut() {
    let config = Pki::new().server(false);
    on_each_driver(
        |endpoint| {
            endpoint.tls = Some(config.clone());
            endpoint.limits.handshake_timeout = LIMIT;
        },
        |up| {
            let peer = Peer::connect(up.addr);
            let start = Instant::now();
            assert!(peer.rest().unwrap_or_default().is_empty());
            expires(&up, WaitKind::Handshake, start);
            let timed_out = |stats: &CoreStats| {
                stats.handshakes_failed[HandshakeFailure::TimedOut.index()].value()
            };
            up.eventually("failed", 1, timed_out);
        },
    );
}
