//! What a peer may take, and what it is told when it takes more.

use std::io::Write;
use std::net::TcpStream;

use proto_http::Limits;
use runtime::{CorePlan, DriverChoice, Endpoint, StartError, launch, no_admin};

use crate::peer::Peer;
use crate::shop::{Shop, Up, on_each_driver, with_each_driver};

#[test]
fn what_breaks_the_protocol_is_refused_with_its_status() {
    let long = "x".repeat(9000);
    let cases = [
        ("GET /ping HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /ping HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n".to_owned(), 400),
        ("GET /ping HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}{long}\r\n\r\n"), 431),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n".to_owned(), 413),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n".to_owned(), 413),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
            501,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n".to_owned(),
            400,
        ),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n".to_owned(), 417),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 501),
    ];
    on_each_driver(
        |_| {},
        |up| {
            for (bytes, status) in &cases {
                let mut peer = Peer::connect(up.addr);
                peer.send(bytes);
                let response = peer.response().unwrap();
                let shown = &bytes[..bytes.len().min(80)];
                assert_eq!(response.status, *status, "{shown:?}");
                assert_eq!(response.field("connection"), Some("close"), "{shown:?}");
                let kind = response.field("content-type");
                assert_eq!(kind, Some("application/problem+json"), "{shown:?}");
                assert!(peer.rest().unwrap().is_empty(), "{shown:?}");
            }
        },
    );
}

/// The first bytes of a request come with the one before it. The rest is no request, and shorter
/// than the head before: it is refused, and the server lives.
#[test]
fn a_request_that_is_refused_may_be_shorter_than_the_one_before_it() {
    let first = "GET /ping HTTP/1.1\r\nHost: a\r\nX-Long: xxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n";
    on_each_driver(
        |_| {},
        |up| {
            for refused in ["G\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\r\nhello\r\n0\r\n\r\n"] {
                for cut in 1..refused.len() {
                    let mut peer = Peer::connect(up.addr);
                    peer.send(format!("{first}{}", &refused[..cut]));
                    assert_eq!(peer.response().unwrap().status, 200);
                    peer.send(&refused[cut..]);
                    assert_eq!(peer.response().unwrap().status, 400, "{refused:?} cut at {cut}");
                }
            }
        },
    );
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    on_each_driver(
        |endpoint| {
            endpoint.limits.http = Limits { body_bytes_max: 1000, ..Limits::default() };
        },
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
            peer.send(vec![b'x'; 100_000]);
            assert_eq!(peer.response().unwrap().status, 413);
        },
    );
}

#[test]
fn connections_over_the_limit_are_closed_at_once() {
    on_each_driver(
        |endpoint| endpoint.limits.connections_max = 2,
        |up| {
            let mut first = Peer::connect(up.addr);
            let mut second = Peer::connect(up.addr);
            assert_eq!(first.get("/ping").text(), "pong");
            assert_eq!(second.get("/ping").text(), "pong");
            let third = Peer::connect(up.addr);
            assert!(third.rest().unwrap_or_default().is_empty());
            assert_eq!(up.sum(|stats| stats.connections_refused.value()), 1);
            drop(first);
            up.eventually("open", 1, |stats| stats.connections_open.value());
            assert_eq!(Peer::connect(up.addr).get("/ping").text(), "pong");
        },
    );
}

#[test]
fn a_taken_port_is_refused_with_a_clear_sentence() {
    with_each_driver(|choice| {
        let start = |addr| Up::start(choice, Endpoint::new(addr, None), |core| Shop(core.clone()));
        let first = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let Err(error) = start(first.addr) else {
            panic!("a second server took the port of the first");
        };
        assert!(matches!(error, StartError::AddressInUse(addr) if addr == first.addr));
        assert!(error.to_string().contains("another port"), "{error}");
        let addr = first.addr;
        let _ = first.drain(std::time::Duration::ZERO);
        // The port is free again at once, TIME_WAIT or not.
        drop(start(addr).unwrap());
    });
}

#[test]
fn the_driver_in_use_is_reported() {
    with_each_driver(|choice| {
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        let up = Up::start(choice, endpoint, |core| Shop(core.clone())).unwrap();
        let expected = match choice {
            DriverChoice::Epoll => "epoll",
            DriverChoice::RequireIoUring | DriverChoice::Auto => "io_uring",
        };
        assert_eq!(up.running().driver.as_str(), expected);
    });
}

#[test]
fn a_server_that_is_dropped_stops() {
    with_each_driver(|choice| {
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        let up = Up::start(choice, endpoint, |core| Shop(core.clone())).unwrap();
        let addr = up.addr;
        let mut peer = Peer::connect(addr);
        assert_eq!(peer.get("/ping").text(), "pong");
        drop(up);
        assert!(peer.rest().unwrap_or_default().is_empty());
        let start = std::time::Instant::now();
        while TcpStream::connect(addr).is_ok() {
            assert!(start.elapsed() < crate::peer::TIMEOUT, "it still listens");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
}

#[test]
fn bodies_take_no_more_memory_than_all_may() {
    on_each_driver(
        |endpoint| endpoint.limits.body_memory_bytes_max = 100_000,
        |up| {
            let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
            // One has room on each of the two cores, so that of three there is one that has none.
            let mut uploads: Vec<Peer> = (0..3).map(|_| Peer::connect(up.addr)).collect();
            for upload in &mut uploads {
                upload.send([head.as_bytes(), &[b'x'; 59_000]].concat());
            }
            up.eventually("judged", 3, |stats| {
                stats.body_bytes_held.value() / 59_000 + stats.bodies_refused.value()
            });
            // Those that have only begun, or fit a page, are welcome all the same.
            for _ in 0..4 {
                let mut small = Peer::connect(up.addr);
                assert_eq!(small.post("/echo", &[b'x'; 3000]).status, 200);
                small.send([head.as_bytes(), b"x"].concat());
            }
            let refused = up.sum(|stats| stats.bodies_refused.value());
            let mut told = 0;
            for upload in &mut uploads {
                let _ = upload.stream.write_all(&[b'x'; 1000]);
                let response = upload.response().unwrap();
                if response.status == 503 {
                    assert_eq!(response.field("retry-after"), Some("1"));
                    told += 1;
                } else {
                    assert_eq!(response.body.len(), 60_000);
                }
            }
            assert_eq!(told, refused);
            // The memory is free before the connections end.
            up.eventually("held", 0, |stats| stats.body_bytes_held.value());
            assert_eq!(Peer::connect(up.addr).post("/echo", &[b'x'; 60_000]).status, 200);
        },
    );
}

#[test]
fn an_address_has_as_many_connections_and_requests_as_it_may() {
    on_each_driver(
        |endpoint| {
            endpoint.limits.address_connections_max = Some(3);
            endpoint.limits.address_requests_max = Some(1);
        },
        |up| {
            let mut first = Peer::connect(up.addr);
            let mut second = Peer::connect(up.addr);
            let third = Peer::connect(up.addr);
            up.eventually("open", 3, |stats| stats.connections_open.value());
            assert!(Peer::connect(up.addr).rest().unwrap_or_default().is_empty());
            assert_eq!(up.sum(|stats| stats.address_connections_refused.value()), 1);
            drop(third);
            up.eventually("open", 2, |stats| stats.connections_open.value());
            assert_eq!(Peer::connect(up.addr).get("/ping").status, 200);

            first.send("GET /sleep?600 HTTP/1.1\r\nHost: a\r\n\r\n");
            up.eventually("requests", 2, |stats| stats.requests.value());
            let refused = second.post("/echo", b"the body is read off");
            assert_eq!((refused.status, refused.field("retry-after")), (429, Some("1")));
            assert_eq!(first.response().unwrap().text(), "rested");
            assert_eq!(second.get("/ping").text(), "pong", "the connection goes on");
            assert_eq!(up.sum(|stats| stats.address_requests_refused.value()), 1);
        },
    );
}

/// More than a few turns accept.
const BURST: usize = 300;

#[test]
fn a_burst_of_connections_lets_others_have_their_turn() {
    with_each_driver(|choice| {
        let plan = CorePlan::new(Some(1), None, choice).unwrap();
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        let running = launch(plan, endpoint, None, |core| Shop(core.clone()), no_admin).unwrap();
        let (mut blocker, mut asker) = (Peer::connect(running.addr), Peer::connect(running.addr));
        assert_eq!(asker.get("/accepted").text(), "2");
        blocker.send("GET /block?300 HTTP/1.1\r\nHost: a\r\n\r\n");
        while running.stats[0].requests.value() < 2 {
            std::thread::yield_now();
        }
        // Both wait for the core when it comes back: a request and the burst.
        asker.send("GET /accepted HTTP/1.1\r\nHost: a\r\n\r\n");
        let burst: Vec<Peer> = (0..BURST).map(|_| Peer::connect(running.addr)).collect();
        let accepted: usize = asker.response().unwrap().text().parse().unwrap();
        assert!(accepted < BURST / 2, "{accepted} were accepted first");
        for mut peer in burst {
            assert_eq!(peer.get("/ping").text(), "pong", "all of the burst is served");
        }
        drop(running);
    });
}
