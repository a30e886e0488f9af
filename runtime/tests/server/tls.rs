//! Servers under TLS: what a service learns of the handshake, and what refusals are counted as.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use runtime::CoreStats;
use runtime::tls::HandshakeFailure;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::peer::{Peer, TIMEOUT};
use crate::shop::{Up, on_each_driver};
use crate::support::{Pki, localhost};

type Secured = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn connect(addr: SocketAddr, config: Arc<ClientConfig>) -> Peer<Secured> {
    let tcp = TcpStream::connect(addr).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(TIMEOUT)).unwrap();
    let client = ClientConnection::new(config, localhost()).unwrap();
    Peer::over(StreamOwned::new(client, tcp))
}

#[test]
fn a_service_learns_what_was_agreed_on() {
    let pki = Pki::new();
    for mutual in [false, true] {
        let config = pki.server(mutual);
        on_each_driver(
            |endpoint| endpoint.tls = Some(config.clone()),
            |up| {
                let mut peer = connect(up.addr, pki.client(mutual, false));
                let expected =
                    format!("TLSv1.3 TLS_AES_256_GCM_SHA384 X25519 Full {}", u8::from(mutual));
                assert_eq!(peer.get("/facts").text(), expected);
                assert_eq!(peer.get("/ping").text(), "pong");
                assert_eq!(up.sum(|stats| stats.handshakes_full.value()), 1);
                let certified = up.sum(|stats| stats.handshakes_client_certificate.value());
                assert_eq!(certified, u64::from(mutual));
                assert!(up.sum(|stats| stats.bytes_out.value()) > 1000, "with the certificate");
            },
        );
    }
}

#[test]
fn a_resumed_session_is_reported() {
    let pki = Pki::new();
    let config = pki.server(false);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let client = pki.client(false, true);
            for expected in ["Full", "Resumed"] {
                let mut peer = connect(up.addr, client.clone());
                let response = peer.get("/facts");
                assert!(response.text().contains(expected), "{}", response.text());
            }
            assert_eq!(up.sum(|stats| stats.handshakes_resumed.value()), 1);
        },
    );
}

#[test]
fn bodies_of_any_size_pass() {
    let pki = Pki::new();
    let config = pki.server(false);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let mut peer = connect(up.addr, pki.client(false, false));
            for length in [0, 1, 4000, 17_000, 60_000] {
                let body: Vec<u8> = (0..length).map(|n| n as u8).collect();
                assert_eq!(peer.post("/echo", &body).body, body);
            }
            let body = vec![b'y'; 1_000_000];
            assert_eq!(peer.post("/ping", b"").text(), "pong");
            assert_eq!(peer.get("/big").body.len(), crate::shop::BIG_BYTES);
            // Larger than the sockets' buffers would deadlock a peer that only writes.
            assert_eq!(peer.post("/stream", &body[..100_000]).body, &body[..100_000]);
        },
    );
}

#[test]
fn half_a_record_may_wake_an_idle_connection() {
    let pki = Pki::new();
    let config = pki.server(false);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let tcp = TcpStream::connect(up.addr).unwrap();
            tcp.set_nodelay(true).unwrap();
            tcp.set_read_timeout(Some(TIMEOUT)).unwrap();
            let client = ClientConnection::new(pki.client(false, false), localhost()).unwrap();
            let mut stream = StreamOwned::new(client, tcp);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            // The connection is idle by now, and stays half awake longer than buffers are held.
            std::thread::sleep(Duration::from_millis(300));
            stream.conn.writer().write_all(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut record = Vec::new();
            stream.conn.write_tls(&mut record).unwrap();
            let (first, rest) = record.split_at(record.len() / 2);
            stream.sock.write_all(first).unwrap();
            std::thread::sleep(Duration::from_millis(2500));
            stream.sock.write_all(rest).unwrap();
            assert_eq!(Peer::over(stream).response().unwrap().text(), "pong");
        },
    );
}

#[test]
fn pipelined_requests_come_back_in_one_record() {
    let pki = Pki::new();
    let config = pki.server(false);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let mut peer = connect(up.addr, pki.client(false, false));
            assert_eq!(peer.get("/ping").text(), "pong");
            // Counted a moment after the client has read them.
            let sent = || {
                std::thread::sleep(Duration::from_millis(50));
                up.sum(|stats| stats.bytes_out.value())
            };
            let before = sent();
            let one = peer.get("/ping");
            let between = sent();
            peer.send("GET /ping HTTP/1.1\r\nHost: shop\r\n\r\n".repeat(8));
            for _ in 0..8 {
                assert_eq!(peer.response().unwrap().text(), "pong");
            }
            let (single, together) = (between - before, sent() - between);
            let plain = (one.head.len() + one.body.len()) as u64;
            let record = single - plain;
            assert_eq!(together, 8 * plain + record, "one record's cost, not eight");
        },
    );
}

/// One handshake failed, for this reason and no other.
fn failed_once(up: &Up, failure: HandshakeFailure) {
    up.eventually("failed", 1, |stats| stats.handshakes_failed[failure.index()].value());
    assert_eq!(up.sum(CoreStats::all_handshakes_failed), 1);
}

#[test]
fn a_client_without_a_certificate_is_refused_and_counted() {
    let pki = Pki::new();
    let config = pki.server(true);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let mut peer = connect(up.addr, pki.client(false, false));
            peer.send("GET /ping HTTP/1.1\r\nHost: shop\r\n\r\n");
            let error = peer.response().unwrap_err();
            assert!(error.to_string().contains("CertificateRequired"), "{error}");
            failed_once(&up, HandshakeFailure::CertificateMissing);
            assert_eq!(up.sum(|stats| stats.requests.value()), 0);
        },
    );
}

#[test]
fn plain_http_to_a_tls_port_is_no_request() {
    let config = Pki::new().server(false);
    on_each_driver(
        |endpoint| endpoint.tls = Some(config.clone()),
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send("GET /ping HTTP/1.1\r\nHost: shop\r\n\r\n");
            let rest = peer.rest().unwrap_or_default();
            assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
            failed_once(&up, HandshakeFailure::NotTls);
        },
    );
}
