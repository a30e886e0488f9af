//! Connections to upstreams that say more than they are asked: whatever arrives on an idle one, and
//! whenever, no client is given what is not its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustls::{ServerConnection, StreamOwned};

use crate::peer::{Peer, TIMEOUT};
use crate::proxy::{Backend, Proxy};
use crate::shop::{Up, with_each_driver};
use crate::support::{Pki, localhost};

/// A response that nobody asked for.
const UNASKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother";

/// What an upstream says on an idle connection.
const SURPRISES: [&[u8]; 7] = [
    b"",
    UNASKED,
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"\r\n",
    b"body of a HEAD",
];

/// One request and what the upstream does after its response.
#[derive(Clone, Debug)]
struct Turn {
    client: usize,
    request: Request,
    surprise: &'static [u8],
    /// The surprise comes in one segment with the response.
    at_once: bool,
    /// The upstream ends the connection after it.
    ends: bool,
}

#[derive(Clone, Copy, Debug)]
enum Request {
    Get,
    Head,
    Post,
    /// Its body follows once the surprise of the turn before has arrived.
    Slow,
}

fn turn() -> impl Strategy<Value = Turn> {
    use Request::{Get, Head, Post, Slow};
    let request = prop::sample::select(vec![Get, Get, Head, Post, Slow]);
    let surprise = prop::sample::select(SURPRISES.to_vec());
    (0..2_usize, request, surprise, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(client, request, surprise, at_once, ends)| Turn {
            client,
            request,
            surprise,
            at_once,
            ends,
        },
    )
}

/// Reads one request; its target, and its body where that is chunked.
fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut until = |end: &[u8]| {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                _ => return None,
            }
        }
        Some(bytes)
    };
    let head = String::from_utf8(until(b"\r\n\r\n")?).unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { until(b"0\r\n\r\n")? } else { Vec::new() };
    let line = head.lines().next().unwrap();
    let (method, rest) = line.split_once(' ').unwrap();
    Some((format!("{method} {}", rest.split(' ').next().unwrap()), body))
}

/// What belongs to a request: what it was, and its body.
fn own(asked: &str, body: &[u8]) -> Vec<u8> {
    let text = format!("for {asked}: {}", String::from_utf8_lossy(body));
    let length = text.len();
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    if !asked.starts_with("HEAD") {
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// An upstream whose connections say what they are told besides their responses.
struct Confused {
    backend: Backend,
    /// What goes out with the next response.
    extra: Arc<Mutex<&'static [u8]>>,
    /// The connection that answered last.
    last: Arc<Mutex<Option<TcpStream>>>,
}

impl Confused {
    fn start() -> Confused {
        let extra = Arc::new(Mutex::new(&b""[..]));
        let last = Arc::new(Mutex::new(None));
        let (taken, answered) = (extra.clone(), last.clone());
        let backend = Backend::start(move |_, mut stream| {
            stream.set_nodelay(true).unwrap();
            while let Some((asked, body)) = request(&mut stream) {
                *answered.lock().unwrap() = Some(stream.try_clone().unwrap());
                let mut bytes = own(&asked, &body);
                bytes.extend_from_slice(std::mem::take(&mut *taken.lock().unwrap()));
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Confused { backend, extra, last }
    }

    /// Says `bytes` on the connection that answered last, ends it if `ends`, and waits until the
    /// other end's kernel has that.
    fn surprise(&self, bytes: &[u8], ends: bool) {
        let Some(mut stream) = self.last.lock().unwrap().take() else { return };
        let (Ok(from), Ok(to)) = (stream.local_addr(), stream.peer_addr()) else { return };
        // The other end may have closed it by now.
        let _ = stream.write_all(bytes);
        if ends {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        if !bytes.is_empty() || ends {
            await_arrival(from, to);
        }
    }
}

/// Waits until something unread lies at the end `to` of a connection, or that end is closed.
fn await_arrival(from: SocketAddr, to: SocketAddr) {
    let hex = |addr: SocketAddr| {
        let SocketAddr::V4(addr) = addr else { panic!("the tests are on 127.0.0.1") };
        let ip = u32::from_le_bytes(SocketAddrV4::ip(&addr).octets());
        format!("{ip:08X}:{:04X}", addr.port())
    };
    let ends = format!(" {} {} ", hex(to), hex(from));
    let start = Instant::now();
    loop {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let Some((_, row)) = table.split_once(&ends) else { return };
        let (state, queues) = row.split_once(' ').unwrap();
        let unread = &queues[9..17];
        if !matches!(state, "01" | "08") || unread != "00000000" {
            return;
        }
        assert!(start.elapsed() < TIMEOUT, "nothing arrives: {row}");
        thread::yield_now();
    }
}

/// Sends the request of a turn, and checks that its response is its own.
fn ask(clients: &mut [Peer], number: usize, turn: &Turn, surprise: impl FnOnce()) {
    let client = &mut clients[turn.client];
    let (method, target) = match turn.request {
        Request::Get => ("GET", format!("/{number}")),
        Request::Head => ("HEAD", format!("/{number}")),
        Request::Post => ("POST", format!("/{number}")),
        Request::Slow => ("POST", "/stream".to_owned()),
    };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    let expected = match turn.request {
        Request::Slow => {
            client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
            surprise();
            client.send(format!("4\r\n{number:04}\r\n0\r\n\r\n"));
            format!("for POST /stream: 4\r\n{number:04}\r\n0\r\n\r\n")
        }
        _ => {
            surprise();
            client.send(format!("{head}Content-Length: 0\r\n\r\n"));
            format!("for {method} {target}: ")
        }
    };
    let response = client.response().unwrap();
    assert_eq!(response.status, 200, "{turn:?}: {}", response.head);
    match turn.request {
        Request::Head => assert!(response.body.is_empty()),
        _ => assert_eq!(response.text(), expected, "{turn:?}"),
    }
}

fn play(proxy: &Up, upstream: &Confused, turns: &[Turn]) {
    let mut clients = [Peer::connect(proxy.addr), Peer::connect(proxy.addr)];
    let mut left: Option<(&[u8], bool)> = None;
    for (number, turn) in turns.iter().enumerate() {
        if turn.at_once {
            *upstream.extra.lock().unwrap() = turn.surprise;
        }
        ask(&mut clients, number, turn, || {
            if let Some((bytes, ends)) = left.take() {
                upstream.surprise(bytes, ends);
            }
        });
        left = Some((if turn.at_once { b"" } else { turn.surprise }, turn.ends));
    }
}

#[test]
fn no_client_is_given_a_response_that_is_not_its_own() {
    with_each_driver(|choice| {
        let upstream = Confused::start();
        // What is seen on one connection must not save the others from being looked at.
        let proxy = Proxy::start(choice, upstream.backend.addr, |config| {
            config.reuse_pause = Duration::ZERO
        });
        let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
        let script = prop::collection::vec(turn(), 2..8);
        let played = TestRunner::new(config).run(&script, |turns| {
            play(&proxy, &upstream, &turns);
            Ok(())
        });
        played.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn an_upstream_that_is_as_it_should_be_keeps_its_connection() {
    with_each_driver(|choice| {
        let upstream = Confused::start();
        let proxy =
            Proxy::start(choice, upstream.backend.addr, |config| config.connections_max = 1);
        let mut client = [Peer::connect(proxy.addr)];
        for (number, request) in [Request::Get, Request::Slow, Request::Post].iter().enumerate() {
            let turn =
                Turn { client: 0, request: *request, surprise: b"", at_once: false, ends: false };
            ask(&mut client, number, &turn, || {});
        }
        assert_eq!(upstream.backend.connections(), 1);
        assert_eq!(proxy.sum(|stats| stats.upstream_reused.value()), 2);
        // One that has ended leaves its place to the new one.
        upstream.surprise(b"", true);
        assert_eq!(client[0].get("/n").text(), "for GET /n: ");
        assert_eq!(client[0].get("/n").text(), "for GET /n: ");
        assert_eq!(upstream.backend.connections(), 2);
        assert_eq!(proxy.sum(|stats| stats.upstream_open.value()), 1);
    });
}

#[test]
fn an_upstream_that_spoke_unasked_gets_each_request_on_a_connection_of_its_own() {
    for at_once in [false, true] {
        with_each_driver(|choice| {
            let upstream = Confused::start();
            let proxy = Proxy::start(choice, upstream.backend.addr, |_| {});
            let mut peer = Peer::connect(proxy.addr);
            if at_once {
                *upstream.extra.lock().unwrap() = UNASKED;
            }
            assert_eq!(peer.get("/0").text(), "for GET /0: ");
            if !at_once {
                upstream.surprise(UNASKED, false);
            }
            for number in 1..4 {
                assert_eq!(peer.get(&format!("/{number}")).text(), format!("for GET /{number}: "));
                assert_eq!(upstream.backend.connections(), number + 1);
            }
            assert_eq!(proxy.sum(|stats| stats.upstream_unsolicited.value()), 1);
            assert_eq!(proxy.sum(|stats| stats.upstream_reused.value()), 0);
        });
    }
}

#[test]
fn a_connection_whose_response_withholds_a_body_is_not_kept() {
    let cases: [(&str, &'static [u8], u64); 5] = [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 3),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 3),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 3),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 1),
    ];
    for (method, response, connections) in cases {
        with_each_driver(|choice| {
            let backend = Backend::start(move |_, mut stream| {
                while request(&mut stream).is_some() {
                    stream.write_all(response).unwrap();
                }
            });
            let proxy = Proxy::start(choice, backend.addr, |_| {});
            let mut peer = Peer::connect(proxy.addr);
            for _ in 0..3 {
                peer.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
                assert!(peer.response().unwrap().status < 400);
            }
            assert_eq!(backend.connections(), connections, "{method} {response:?}");
        });
    }
}

/// What an upstream does under TLS once its response was passed on.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// A handshake message that needs an answer: not a byte of HTTP.
    KeyUpdate,
    /// The first half of such a record.
    HalfARecord,
    Unasked,
    CloseNotify,
}

type Secured = StreamOwned<ServerConnection, TcpStream>;

fn say(stream: &mut Secured, what: Says) {
    let connection = &mut stream.conn;
    match what {
        Says::KeyUpdate | Says::HalfARecord => connection.refresh_traffic_keys().unwrap(),
        Says::Unasked => connection.writer().write_all(UNASKED).unwrap(),
        Says::CloseNotify => connection.send_close_notify(),
    }
    let mut record = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut record).unwrap();
    }
    let cut = if matches!(what, Says::HalfARecord) { record.len() / 2 } else { record.len() };
    stream.sock.write_all(&record[..cut]).unwrap();
    await_arrival(stream.sock.local_addr().unwrap(), stream.sock.peer_addr().unwrap());
}

#[test]
fn tls_messages_of_an_idle_upstream_are_taken_in_and_all_else_ends_the_connection() {
    let pki = Pki::new();
    let server = pki.server(false);
    for (what, connections) in
        [(Says::KeyUpdate, 1), (Says::HalfARecord, 2), (Says::Unasked, 3), (Says::CloseNotify, 2)]
    {
        with_each_driver(|choice| {
            let (go, gone) = mpsc::channel::<()>();
            let (done, said) = mpsc::channel::<()>();
            let (gone, done) = (Mutex::new(gone), Mutex::new(done));
            let config = server.clone();
            let backend = Backend::start(move |number, tcp| {
                tcp.set_nodelay(true).unwrap();
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, tcp);
                let mut answered = 0;
                while let Some((asked, body)) = request(&mut stream) {
                    stream.write_all(&own(&asked, &body)).unwrap();
                    stream.flush().unwrap();
                    answered += 1;
                    if number == 0 && answered == 1 {
                        gone.lock().unwrap().recv().unwrap();
                        say(&mut stream, what);
                        done.lock().unwrap().send(()).unwrap();
                    }
                }
            });
            let known = pki.client(false, false);
            let proxy = Proxy::start(choice, backend.addr, move |config| {
                config.tls = Some((known.clone(), localhost()));
            });
            let mut peer = Peer::connect(proxy.addr);
            assert_eq!(peer.get("/a").text(), "for GET /a: ");
            go.send(()).unwrap();
            said.recv_timeout(TIMEOUT).unwrap();
            for target in ["/b", "/c"] {
                assert_eq!(peer.get(target).text(), format!("for GET {target}: "), "{what:?}");
            }
            assert_eq!(backend.connections(), connections, "{what:?}");
        });
    }
}
