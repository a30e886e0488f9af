//! Requests and answers: keep-alive, pipelining, bodies of every framing, any cut of the bytes.

use std::io::Read;
use std::time::Duration;

use crate::peer::Peer;
use crate::shop::{BIG_BYTES, on_each_driver};

#[test]
fn a_connection_carries_one_request_after_another() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            for _ in 0..10 {
                let response = peer.get("/ping");
                assert_eq!((response.status, response.text()), (200, "pong"));
                assert_eq!(response.field("connection"), None);
                assert!(response.field("date").unwrap().ends_with(" GMT"));
            }
            assert_eq!(peer.get("/nowhere").status, 404);
            assert_eq!(up.sum(|stats| stats.requests.value()), 11);
            assert_eq!(up.sum(|stats| stats.connections_accepted.value()), 1);
            assert_eq!(up.sum(|stats| stats.responses[1].value()), 10);
            assert_eq!(up.sum(|stats| stats.responses[3].value()), 1);
            drop(peer);
            up.eventually("open", 0, |stats| stats.connections_open.value());
        },
    );
}

#[test]
fn pipelined_requests_are_answered_with_one_write() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            let request = "GET /ping HTTP/1.1\r\nHost: shop\r\n\r\n";
            peer.send(request.repeat(16));
            let mut block = [0; 16 * 1024];
            let count = peer.stream.read(&mut block).unwrap();
            let text = String::from_utf8_lossy(&block[..count]);
            assert_eq!(text.matches("pong").count(), 16, "{text}");
        },
    );
}

#[test]
fn every_cut_of_the_bytes_gives_the_same_answers() {
    let bytes = b"POST /echo HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n\
                  POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nxyz";
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            for cut in 1..bytes.len() {
                peer.send(&bytes[..cut]);
                // Now and then the first part is read before the second is there.
                if cut % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
                peer.send(&bytes[cut..]);
                for expected in ["abcdefg", "xyz"] {
                    let response = peer.response().unwrap();
                    assert_eq!((response.status, response.text()), (200, expected));
                }
            }
        },
    );
}

#[test]
fn a_body_larger_than_any_buffer_is_collected() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            let body: Vec<u8> = (0..60_000_u32).map(|n| n as u8).collect();
            for _ in 0..3 {
                assert_eq!(peer.post("/echo", &body).body, body);
                assert_eq!(peer.get("/ping").text(), "pong");
            }
        },
    );
}

#[test]
fn bodies_are_streamed_both_ways() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            let body: Vec<u8> = (0..300_000_u32).map(|n| (n / 7) as u8).collect();
            // An answer that begins before a long body was read ends the connection.
            let response = peer.post("/stream", &body);
            assert_eq!(response.field("connection"), Some("close"));
            assert_eq!(response.body, body);
            let mut peer = Peer::connect(up.addr);
            assert_eq!(peer.post("/stream", &body[..5000]).body, &body[..5000]);
            let response = peer.get("/big");
            assert_eq!(response.body.len(), BIG_BYTES);
            assert_eq!(peer.get("/ping").text(), "pong");
        },
    );
}

#[test]
fn a_client_that_expects_100_is_told_to_continue() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send(
                "POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\
                 Expect: 100-continue\r\n\r\n",
            );
            assert_eq!(peer.response().unwrap().status, 100);
            peer.send("hello");
            assert_eq!(peer.response().unwrap().text(), "hello");
        },
    );
}

#[test]
fn a_body_nobody_read_does_not_spoil_the_next_request() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            for length in [0, 1, 5000, 60_000] {
                assert_eq!(peer.post("/ping", &vec![b'x'; length]).text(), "pong");
            }
            assert_eq!(peer.get("/ping").text(), "pong");
        },
    );
}

#[test]
fn a_service_without_an_answer_is_answered_for() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            let response = peer.get("/silent");
            assert_eq!(response.status, 500);
            assert_eq!(response.field("content-type"), Some("application/problem+json"));
            assert_eq!(response.field("connection"), Some("close"));
        },
    );
}

#[test]
fn an_answer_given_up_half_way_is_not_ended() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /abandoned HTTP/1.1\r\nHost: shop\r\n\r\n");
            let rest = String::from_utf8(peer.rest().unwrap()).unwrap();
            assert!(rest.contains("half of"), "{rest}");
            assert!(!rest.contains("\r\n0\r\n"), "{rest}");
        },
    );
}

#[test]
fn close_is_honoured_and_http_1_0_is_spoken() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /ping HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
            let rest = String::from_utf8(peer.rest().unwrap()).unwrap();
            assert!(rest.contains("Connection: close") && rest.ends_with("pong"), "{rest}");
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /ping HTTP/1.0\r\n\r\n");
            assert!(peer.rest().unwrap().ends_with(b"pong"));
        },
    );
}

#[test]
fn connections_may_pause_and_come_back() {
    on_each_driver(
        |_| {},
        |up| {
            let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(up.addr)).collect();
            for round in 0..3 {
                for peer in &mut peers {
                    // Enough in a row to be taken for busy, then a pause that makes it idle.
                    for _ in 0..round * 4 + 1 {
                        assert_eq!(peer.get("/ping").text(), "pong");
                    }
                }
                std::thread::sleep(Duration::from_millis(40));
            }
        },
    );
}

#[test]
fn no_request_is_lost_while_buffers_are_cancelled() {
    on_each_driver(
        |_| {},
        |up| {
            // The first 256 of a core keep their buffers, as many others are cancelled.
            let mut peers: Vec<Peer> = (0..256 + 150).map(|_| Peer::connect(up.addr)).collect();
            for peer in &mut peers {
                for _ in 0..8 {
                    assert_eq!(peer.get("/ping").text(), "pong");
                }
            }
            // Their buffers are cancelled after one to two seconds: requests arrive before,
            // after and meanwhile.
            std::thread::sleep(Duration::from_millis(800));
            for peer in &mut peers[256..] {
                std::thread::sleep(Duration::from_millis(10));
                assert_eq!(peer.get("/ping").text(), "pong");
            }
            for peer in &mut peers[..256] {
                assert_eq!(peer.get("/ping").text(), "pong");
            }
            let requests = up.sum(|stats| stats.requests.value());
            assert_eq!(requests, (256 + 150) * 9);
        },
    );
}

#[test]
fn a_service_can_reset_a_connection_and_only_that() {
    on_each_driver(
        |_| {},
        |up| {
            let mut bystander = Peer::connect(up.addr);
            let mut peer = Peer::connect(up.addr);
            assert_eq!(peer.get("/ping").status, 200);
            peer.send("GET /reset HTTP/1.1\r\nHost: shop\r\n\r\n");
            let error = peer.stream.read(&mut [0; 16]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            assert_eq!(bystander.get("/ping").status, 200);
            up.eventually("open", 1, |stats| stats.connections_open.value());
        },
    );
}
