//! What a slice proves about its TLS connections: versions, full and resumed handshakes, client
//! certificates, and what it says when a handshake fails. The server is rustls over blocking
//! sockets; keys and certificates are made on the spot.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use authn::Transport;
use authn::material::{CertifiedKey, ClientMaterial, ServerMaterial, certificates};
use authn::pki::{Authority, CertificateRequest};
use authn::tls::{ServerTrust, TlsOptions, client_config, server_config};
use loadgen::traffic::check::ErrorKind;
use loadgen::traffic::generator::{Generator, GeneratorOptions, TargetId};
use loadgen::traffic::record::SliceRecord;
use loadgen::traffic::schedule::{ArrivalPattern, Rate};
use loadgen::traffic::slice::{Arrivals, SliceSpec};
use loadgen::traffic::target::{Source, Target, TlsTarget};
use loadgen::traffic::workload::Workload;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ServerConnection, StreamOwned};

struct Shop {
    authority: Authority,
    now: UnixTime,
}

impl Shop {
    fn new() -> Shop {
        let now = UnixTime::now();
        Shop { authority: Authority::create("test CA", now).unwrap(), now }
    }

    fn key(&self, name: &str, server: bool) -> CertifiedKey {
        let request = CertificateRequest {
            name,
            dns: &["localhost"],
            ips: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            spiffe: !server,
            server,
            client: !server,
            days: 1,
        };
        let issued = self.authority.issue(&request, self.now).unwrap();
        CertifiedKey::from_pem(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes()).unwrap()
    }

    fn roots(&self) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        certificates(self.authority.cert_pem().as_bytes()).unwrap()
    }

    fn serve(&self, transport: Transport, resumption: bool) -> SocketAddr {
        let material = ServerMaterial {
            identity: self.key("server", true),
            client_ca: self.roots(),
            crls: Vec::new(),
        };
        let options = TlsOptions { resumption };
        let config = server_config(Some(&material), transport, &options).unwrap().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                thread::spawn(move || converse(StreamOwned::new(connection, socket)));
            }
        });
        addr
    }

    fn generator(
        &self,
        addr: SocketAddr,
        identity: Option<CertifiedKey>,
        resumption: bool,
    ) -> (Generator, TargetId) {
        let transport = if identity.is_some() { Transport::Mutual } else { Transport::Tls };
        let material = ClientMaterial { roots: self.roots(), identity };
        let options = TlsOptions { resumption };
        let config =
            client_config(&material, transport, &options, &ServerTrust::Path).unwrap().unwrap();
        let target = Target {
            name: format!("https://{addr}"),
            addresses: vec![addr],
            host: addr.to_string(),
            tls: Some(TlsTarget { config, name: ServerName::try_from("localhost").unwrap() }),
            source: Source::Auto,
        };
        let mut generator = Generator::start(&GeneratorOptions::unpinned(2)).unwrap();
        let workload = Workload::custom("test", "GET", "/", Vec::new(), Vec::new());
        let target = generator.attach(target, &workload).unwrap();
        (generator, target)
    }
}

/// Answers request after request; none has a body.
fn converse(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>) {
    let mut input = Vec::new();
    let mut piece = [0; 4096];
    loop {
        while let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = input.drain(..end + 4).collect();
            let last = head.windows(17).any(|text| text == b"Connection: close");
            let fate = if last { "Connection: close\r\n" } else { "" };
            let reply = format!("HTTP/1.1 200 OK\r\n{fate}Content-Length: 2\r\n\r\nok");
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
            if last {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
}

fn spec(requests: u64, per_connection: Option<u32>) -> SliceSpec {
    let mut spec = SliceSpec::new(Arrivals::Closed, 4, Duration::from_secs(10));
    spec.requests_max = Some(requests);
    spec.requests_per_connection = per_connection.and_then(NonZeroU32::new);
    spec
}

fn sound(record: &SliceRecord, requests: u64) {
    assert_eq!(
        (record.requests_answered, record.errors.total()),
        (requests, 0),
        "{}",
        record.errors
    );
    assert!(record.accounted());
    assert!(record.tls.iter().all(|proof| proof.version == "TLSv1.3"), "{:?}", record.tls);
}

#[test]
fn kept_connections_are_proved_in_every_slice() {
    let shop = Shop::new();
    let addr = shop.serve(Transport::Tls, false);
    let (mut generator, target) = shop.generator(addr, None, false);
    for round in 0..2 {
        let record = generator.run_slice(target, &spec(100, None)).unwrap();
        sound(&record, 100);
        assert_eq!(record.tls.len(), 1);
        assert_eq!((record.tls[0].connections, record.tls[0].resumed), (4, false));
        let fresh = if round == 0 { 4 } else { 0 };
        assert_eq!(record.connections.handshakes_full, fresh);
        assert_eq!(record.handshake.len(), fresh);
        assert_eq!(record.connections.certificates_presented, 0);
        // A record adds 22 bytes to each request; the handshake is in the first slice's bytes.
        assert!(record.wire.sent > 100 * 60, "{:?}", record.wire);
    }
}

#[test]
fn client_certificates_are_counted_as_the_server_asked_for_them() {
    let shop = Shop::new();
    let key = shop.key("bench-runner", false);
    let addr = shop.serve(Transport::Mutual, false);
    let (mut generator, target) = shop.generator(addr, Some(key), false);
    let record = generator.run_slice(target, &spec(60, Some(1))).unwrap();
    sound(&record, 60);
    let connections = record.connections;
    assert!((60..64).contains(&connections.opened), "{connections:?}");
    assert_eq!(connections.handshakes_full, connections.opened);
    assert_eq!(connections.certificates_presented, connections.opened);
    assert_eq!(record.handshake.len(), connections.opened);
    assert!(record.handshake.value_at_quantile(0.5) > record.connect.value_at_quantile(0.5));
    // The same key towards a server that does not ask for it is not presented.
    let addr = shop.serve(Transport::Tls, false);
    let key = shop.key("bench-runner", false);
    let (mut generator, target) = shop.generator(addr, Some(key), false);
    let record = generator.run_slice(target, &spec(60, Some(1))).unwrap();
    sound(&record, 60);
    assert_eq!(record.connections.certificates_presented, 0);
}

#[test]
fn sessions_are_resumed_only_when_both_sides_were_asked_to() {
    let shop = Shop::new();
    for (server, client) in [(true, true), (true, false), (false, true)] {
        let addr = shop.serve(Transport::Tls, server);
        let (mut generator, target) = shop.generator(addr, None, client);
        let record = generator.run_slice(target, &spec(60, Some(1))).unwrap();
        sound(&record, 60);
        let resumed = record.connections.handshakes_resumed;
        assert_eq!(resumed > 0, server && client, "{:?}", record.connections);
        assert_eq!(record.connections.handshakes_full + resumed, record.connections.opened);
        let proved = record.tls.iter().filter(|proof| proof.resumed).map(|p| p.connections);
        assert_eq!(proved.sum::<u64>(), resumed);
    }
}

#[test]
fn a_stranger_is_refused_before_anything_is_sent() {
    let (shop, stranger) = (Shop::new(), Shop::new());
    let addr = stranger.serve(Transport::Tls, false);
    let (mut generator, target) = shop.generator(addr, None, false);
    let error = generator.run_slice(target, &spec(10, None)).unwrap_err();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
}

#[test]
fn a_server_that_wants_a_certificate_names_its_alert() {
    let shop = Shop::new();
    let addr = shop.serve(Transport::Mutual, false);
    let (mut generator, target) = shop.generator(addr, None, false);
    // Under TLS 1.3 the client believes in its connection until it hears the alert.
    match generator.run_slice(target, &spec(20, None)) {
        Ok(record) => {
            assert_eq!(
                (record.requests_answered, record.errors.requests()),
                (0, 20),
                "{}",
                record.errors
            );
            let example = record.errors.example(ErrorKind::Tls).unwrap_or_default();
            assert!(example.contains("certificate"), "{}", record.errors);
        }
        Err(error) => assert!(error.to_string().contains("certificate"), "{error}"),
    }
}

/// TLS 1.3 is done for the client before the server has looked for its certificate.
#[test]
fn a_server_that_wants_a_certificate_is_not_hammered() {
    let shop = Shop::new();
    let addr = shop.serve(Transport::Mutual, false);
    let closed = SliceSpec::new(Arrivals::Closed, 2, Duration::from_millis(500));
    let rate = Rate::per_second(10.0).unwrap();
    let arrivals = Arrivals::Open { rate, pattern: ArrivalPattern::Constant };
    for spec in [closed.clone(), SliceSpec { arrivals, ..closed }] {
        let (mut generator, target) = shop.generator(addr, None, false);
        let record = generator.run_slice(target, &spec).unwrap();
        assert!((2..=30).contains(&record.connections.opened), "{:?}", record.connections);
        assert!(record.requests_answered == 0 && record.errors.total() > 0, "{}", record.errors);
        let told = record.errors.example(ErrorKind::Tls).unwrap_or_default();
        assert!(told.contains("certificate"), "{}", record.errors);
    }
}
