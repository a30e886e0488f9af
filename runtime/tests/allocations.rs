//! A busy connection allocates nothing per request: counted on the core's own thread by an
//! allocator that counts, told by the service itself. Under TLS rustls allocates for each record
//! it reads or writes; that is its own and is bounded here so that ours would show.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use proto_http::Method;
use runtime::allocations::{self, Counting};
use runtime::{
    Broken, CorePlan, DriverChoice, Endpoint, Exchange, Peer, Service, launch, no_admin,
};
use rustls::{ClientConnection, StreamOwned};

use support::{Pki, localhost};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers with the number of allocations so far, as eight bytes; reads the body of a POST.
struct Told;

impl Service for Told {
    type Session = ();

    fn open(&self, _: &Peer<'_>) {}

    async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        if exchange.request().method() == Method::Post && exchange.body(4096).await.is_err() {
            return Ok(());
        }
        let count = allocations::so_far().to_be_bytes();
        let fields: [(&str, &[u8]); 1] = [("Content-Type", b"application/octet-stream")];
        exchange.reply().send(200, &fields, &count);
        Ok(())
    }
}

fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> u64 {
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        let read = stream.read(&mut block).unwrap();
        assert!(read > 0, "the server closed");
        bytes.extend_from_slice(&block[..read]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
            && bytes.len() == at + 4 + 8
        {
            return u64::from_be_bytes(bytes[at + 4..].try_into().unwrap());
        }
    }
}

/// Allocations per request once the connection is warm.
fn per_request(stream: &mut (impl Read + Write), request: &[u8]) -> f64 {
    const REQUESTS: u64 = 200;
    for _ in 0..50 {
        ask(stream, request);
    }
    let before = ask(stream, request);
    for _ in 1..REQUESTS {
        ask(stream, request);
    }
    (ask(stream, request) - before) as f64 / REQUESTS as f64
}

#[test]
fn a_warm_connection_allocates_nothing_of_ours() {
    let pki = Pki::new();
    let get = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".to_vec();
    let mut post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n".to_vec();
    post.extend_from_slice(&[b'x'; 1024]);
    for choice in [DriverChoice::Epoll, DriverChoice::Auto] {
        for tls in [false, true] {
            let plan = CorePlan::new(Some(1), None, choice).unwrap();
            let config = tls.then(|| pki.server(false));
            let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), config);
            let running = launch(plan, endpoint, None, |_| Told, no_admin).unwrap();
            let mut tcp = TcpStream::connect(running.addr).unwrap();
            tcp.set_nodelay(true).unwrap();
            tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            for request in [&get, &post] {
                let driver = running.driver;
                if tls {
                    let client = ClientConnection::new(pki.client(false, false), localhost());
                    let tcp = TcpStream::connect(running.addr).unwrap();
                    let mut stream = StreamOwned::new(client.unwrap(), tcp);
                    let each = per_request(&mut stream, request);
                    assert!(each < 2.1, "{driver}: {each} of rustls");
                    println!("{driver}, TLS: {each} allocations per request");
                } else {
                    let each = per_request(&mut tcp, request);
                    // A pause of the machine may make the connection idle, which costs one.
                    assert!(each < 0.1, "{driver}: {each}");
                }
            }
            let _ = running.drain(Duration::from_secs(5));
        }
    }
}
