//! Measures the event loop alone: processor time per request of a closed loop of GETs.
//!
//! `closed_loop PORT CONNECTIONS SECONDS epoll|io_uring spin|sleep plain|tls`. It parses next to
//! nothing (the end of the head and Content-Length), keeps no histogram and checks no certificate
//! name but `localhost`: what a whole load generator costs comes on top. Not to be compared with
//! a generator that ran beside another server.

#![expect(clippy::unwrap_used, reason = "an example stops at the first error")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::DriverChoice;
use runtime::generator::{Dial, Event, EventLoop, Wait};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

const REQUEST: &[u8] = b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, connections, seconds, driver, wait, transport] = &arguments[..] else {
        eprintln!("usage: closed_loop PORT CONNECTIONS SECONDS DRIVER WAIT TRANSPORT");
        std::process::exit(2);
    };
    let choice = match driver.as_str() {
        "epoll" => DriverChoice::Epoll,
        _ => DriverChoice::RequireIoUring,
    };
    let wait = if wait == "spin" { Wait::Spin } else { Wait::Sleep };
    let name = ServerName::try_from("localhost").unwrap();
    let dial = Dial {
        addr: (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into(),
        source: None,
        tls: (transport == "tls").then(|| (unchecked_client(), name)),
    };
    let mut event_loop = EventLoop::new(choice).unwrap();
    for _ in 0..connections.parse::<usize>().unwrap() {
        event_loop.open(&dial).unwrap();
    }
    drive(&mut event_loop, wait, Duration::from_millis(500));
    let (began, before) = (Instant::now(), processor_seconds());
    let length = Duration::from_secs_f64(seconds.parse::<f64>().unwrap().min(10.0));
    let requests = drive(&mut event_loop, wait, length);
    let (wall, busy) = (began.elapsed().as_secs_f64(), processor_seconds() - before);
    println!(
        "{driver} {transport} rps={:.0} cli_us={:.2} busy={:.0}%",
        requests as f64 / wall,
        busy * 1e6 / requests as f64,
        busy / wall * 100.0
    );
}

fn drive(event_loop: &mut EventLoop, wait: Wait, length: Duration) -> u64 {
    let end = Instant::now() + length;
    let mut events = Vec::new();
    let mut done = 0;
    while Instant::now() < end {
        event_loop.poll(wait, Some(end), &mut events).unwrap();
        for event in &events {
            match event {
                Event::Connected(token) => assert!(event_loop.send(*token, REQUEST)),
                Event::Received(token) => {
                    if let Some(count) = answer_length(event_loop.received(*token)) {
                        event_loop.consume(*token, count);
                        done += 1;
                        assert!(event_loop.send(*token, REQUEST));
                    }
                }
                Event::Closed(_, reason) => panic!("{reason}"),
            }
        }
    }
    done
}

/// How long the answer is, once all of it is here.
fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let name = b"content-length:";
    let at = bytes[..head].windows(name.len()).position(|w| w.eq_ignore_ascii_case(name))?;
    let digits = bytes[at + name.len()..].iter().skip_while(|byte| **byte == b' ');
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    let body = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    (bytes.len() >= head + body).then_some(head + body)
}

/// User and system time of this thread, from the kernel's own account in ns.
fn processor_seconds() -> f64 {
    let account = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    account.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn unchecked_client() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked))
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct Unchecked;

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}
