//! Servers that do what HTTP allows and few clients expect, played by hand: interim replies, ends
//! of connections in every way, bodies in every framing, what browsers forgive, addresses that lead
//! nowhere, servers that close what is idle. On every driver of the generator.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::traffic::check::{ErrorKind, Expect, Statuses};
use loadgen::traffic::generator::{Generator, GeneratorOptions};
use loadgen::traffic::record::SliceRecord;
use loadgen::traffic::schedule::{ArrivalPattern, Rate};
use loadgen::traffic::slice::{Arrivals, GeneratorError, SliceSpec};
use loadgen::traffic::target::{Source, Target};
use loadgen::traffic::workload::Workload;
use runtime::generator::DriverChoice;
use socket2::{Domain, Socket, Type};

/// The drivers of this machine: io_uring may be switched off.
fn drivers() -> impl Iterator<Item = DriverChoice> {
    [DriverChoice::Epoll, DriverChoice::RequireIoUring].into_iter().filter(|driver| {
        let options = GeneratorOptions { driver: *driver, ..GeneratorOptions::unpinned(1) };
        *driver == DriverChoice::Epoll || Generator::start(&options).is_ok()
    })
}

/// Requests of each play.
const REQUESTS: u64 = 12;

/// What a server does with the `nth` request of a connection, counted from 1. False ends it.
type Play = fn(&mut TcpStream, u64) -> bool;

struct Played {
    addr: SocketAddr,
    connections: Arc<AtomicU64>,
}

fn play(play: Play) -> Played {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || serve(stream, play));
        }
    });
    Played { addr, connections }
}

fn serve(mut stream: TcpStream, play: Play) {
    stream.set_nodelay(true).unwrap();
    for nth in 1.. {
        if !read_head(&mut stream) || !play(&mut stream, nth) {
            return;
        }
    }
}

/// Reads a request without a body to its end; false when there is none.
fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

fn target(addresses: Vec<SocketAddr>) -> Target {
    let host = addresses[0].to_string();
    Target { name: format!("http://{host}"), addresses, host, tls: None, source: Source::Auto }
}

fn spec(timeout_ms: u64) -> SliceSpec {
    SliceSpec {
        requests_max: Some(REQUESTS),
        timeout: Duration::from_millis(timeout_ms),
        ..SliceSpec::new(Arrivals::Closed, 2, Duration::from_secs(20))
    }
}

fn run(
    driver: DriverChoice,
    addresses: Vec<SocketAddr>,
    method: &str,
    spec: &SliceSpec,
) -> Result<SliceRecord, GeneratorError> {
    let options = GeneratorOptions { driver, ..GeneratorOptions::unpinned(1) };
    let mut generator = Generator::start(&options).unwrap();
    let workload = Workload::custom("test", method, "/", Vec::new(), Vec::new());
    let target = generator.attach(target(addresses), &workload).unwrap();
    let record = generator.run_slice(target, spec)?;
    assert!(record.accounted(), "{:?} of {}", record.errors, record.requests_asked);
    Ok(record)
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What is allowed, by its name, and how many connections it takes at least.
const ALLOWED: [(&str, Play, u64); 9] = [
    ("one interim reply", |s, _| send(s, b"HTTP/1.1 100 Continue\r\n\r\n") && send(s, OK), 1),
    (
        "several interim replies, apart",
        |s, _| {
            let first = send(s, b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hi");
            thread::sleep(Duration::from_millis(2));
            first && send(s, b"nts\r\nLink: </a.css>\r\n\r\n") && send(s, OK)
        },
        1,
    ),
    (
        "closed after each reply, and said so",
        |s, _| {
            send(s, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            false
        },
        REQUESTS,
    ),
    (
        "said to be closed, and kept open",
        |s, _| send(s, b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"),
        REQUESTS,
    ),
    (
        "half closed where that ends the body",
        |s, _| {
            send(s, b"HTTP/1.1 200 OK\r\n\r\nuntil the end");
            s.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            let _ = s.read_to_end(&mut rest);
            false
        },
        REQUESTS,
    ),
    ("byte by byte", |s, _| OK.iter().all(|byte| send(s, std::slice::from_ref(byte))), 1),
    (
        "large, in chunks, with trailers",
        |s, _| {
            let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            send(s, head) && (0..48).all(|_| send(s, &chunk)) && send(s, b"0\r\nX-Sum: 1\r\n\r\n")
        },
        1,
    ),
    ("more than was asked for", |s, _| send(s, &[OK, OK].concat()), REQUESTS),
    ("nothing but a status", |s, _| send(s, b"HTTP/1.1 204 No Content\r\n\r\n"), 1),
];

#[test]
fn what_is_allowed_is_understood() {
    for driver in drivers() {
        for (name, does, connections) in ALLOWED {
            let server = play(does);
            let record = run(driver, vec![server.addr], "GET", &spec(10_000)).unwrap();
            assert_eq!(record.requests_answered, REQUESTS, "{driver:?}, {name}: {}", record.errors);
            assert_eq!(record.errors.total(), 0, "{driver:?}, {name}: {}", record.errors);
            let opened = server.connections.load(Ordering::Relaxed);
            assert!(opened >= connections, "{driver:?}, {name}: {opened} connections");
        }
    }
}

/// What browsers forgive, by its name. No reply of it costs a connection.
const FORGIVEN: [(&str, Play); 10] = [
    ("a folded line", |s, _| {
        send(s, b"HTTP/1.1 200 OK\r\nA: one\r\n two\r\nContent-Length: 2\r\n\r\nok")
    }),
    ("LF alone", |s, _| send(s, b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")),
    ("no reason", |s, _| send(s, b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")),
    ("a space before the colon", |s, _| {
        send(s, b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok")
    }),
    ("empty lines before it", |s, _| send(s, b"\r\n\r\n") && send(s, OK)),
    ("one length several times", |s, _| {
        send(s, b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok")
    }),
    ("HTTP/1.0 that stays", |s, _| {
        send(s, b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok")
    }),
    ("1,000 fields and a long one", |s, _| {
        let fields = [&"Set-Cookie: a=b\r\n".repeat(1_000), "A: ", &"x".repeat(100_000)];
        send(s, b"HTTP/1.1 200 OK\r\n")
            && send(s, fields.concat().as_bytes())
            && send(s, b"\r\nContent-Length: 2\r\n\r\nok")
    }),
    ("1,000 interim replies", |s, _| {
        send(s, &b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000)) && send(s, OK)
    }),
    ("chunks with long extensions, padded sizes and codings", |s, _| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
        let chunk = format!("2  ;{}\r\nok\r\n", "a=\"b\";".repeat(200));
        send(s, head) && send(s, &chunk.as_bytes().repeat(20)) && send(s, b"0 \r\n\r\n")
    }),
];

#[test]
fn what_browsers_forgive_is_forgiven() {
    for driver in drivers() {
        for (name, does) in FORGIVEN {
            let server = play(does);
            let record = run(driver, vec![server.addr], "GET", &spec(10_000)).unwrap();
            assert_eq!(record.requests_answered, REQUESTS, "{driver:?}, {name}: {}", record.errors);
            assert_eq!(record.errors.total(), 0, "{driver:?}, {name}: {}", record.errors);
            assert_eq!(server.connections.load(Ordering::Relaxed), 2, "{driver:?}, {name}");
        }
    }
}

#[test]
fn a_status_of_three_digits_is_counted_under_its_number() {
    for driver in drivers() {
        let server = play(|s, nth| {
            let status = [299, 600, 999][(nth % 3) as usize];
            send(s, format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n").as_bytes())
        });
        let options = GeneratorOptions { driver, ..GeneratorOptions::unpinned(1) };
        let mut generator = Generator::start(&options).unwrap();
        let workload = Workload {
            expect: Expect { statuses: Statuses::range(200, 699), body_bytes_min: 0 },
            ..Workload::custom("test", "GET", "/", Vec::new(), Vec::new())
        };
        let target = generator.attach(target(vec![server.addr]), &workload).unwrap();
        let record = generator.run_slice(target, &spec(10_000)).unwrap();
        let counts: Vec<(u16, u64)> = record.statuses.into_iter().collect();
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), REQUESTS);
        assert_eq!(counts.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [299, 600, 999]);
        assert_eq!(record.errors.example(ErrorKind::Status), Some("status 999"));
    }
}

/// Requests of an open loop, one connection.
fn open(rate: f64, ms: u64) -> SliceSpec {
    let rate = Rate::per_second(rate).unwrap();
    let arrivals = Arrivals::Open { rate, pattern: ArrivalPattern::Constant };
    SliceSpec::new(arrivals, 1, Duration::from_millis(ms))
}

/// A port behind which each connection is handed to `does`, with its number from 1.
fn listening(does: fn(TcpStream, u64)) -> Played {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let nth = count.fetch_add(1, Ordering::Relaxed) + 1;
            thread::spawn(move || does(stream, nth));
        }
    });
    Played { addr, connections }
}

/// In half a second a pause that doubles from 10 ms leaves room for six attempts; each request of
/// an open loop may have one of its own.
#[test]
fn a_target_that_closes_every_connection_is_not_hammered() {
    let closed = SliceSpec::new(Arrivals::Closed, 1, Duration::from_millis(500));
    let each = SliceSpec { requests_per_connection: NonZeroU32::new(1), ..closed.clone() };
    for driver in drivers() {
        for spec in [open(10.0, 500), closed.clone(), each.clone()] {
            let server = listening(|stream, _| drop(stream));
            let record = run(driver, vec![server.addr], "GET", &spec).unwrap();
            let tried = server.connections.load(Ordering::Relaxed);
            assert!((2..=20).contains(&tried), "{driver:?}: {tried} connections for {spec:?}");
            assert!(
                record.requests_answered == 0 && record.errors.total() > 0,
                "{}",
                record.errors
            );
            let open_loop = matches!(spec.arrivals, Arrivals::Open { .. });
            assert!(record.connections.closed_idle > 0 || !open_loop, "{:?}", record.connections);
        }
    }
}

#[test]
fn a_target_that_begins_to_refuse_is_not_hammered() {
    for driver in drivers() {
        for each in [None, NonZeroU32::new(1)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            // The first connection is closed, and then nobody listens any more.
            let server = thread::spawn(move || drop(listener.accept()));
            let closed = SliceSpec::new(Arrivals::Closed, 1, Duration::from_millis(500));
            let spec = SliceSpec { requests_per_connection: each, ..closed };
            let record = run(driver, vec![addr], "GET", &spec).unwrap();
            server.join().unwrap();
            let refused = record.errors.of(ErrorKind::Refused);
            assert!((1..=8).contains(&refused), "{driver:?}: {}", record.errors);
        }
    }
}

/// The first four connections are closed before the slice begins, but after they were made ready:
/// if that is too late on a busy machine, they have carried their request.
#[test]
fn no_request_is_sent_on_a_connection_whose_end_has_come() {
    let server = |stream: TcpStream, nth: u64| {
        stream.set_nonblocking(true).unwrap();
        let begun = Instant::now();
        let mut asked = nth > 4;
        while !asked && begun.elapsed() < Duration::from_millis(1) {
            asked = matches!(stream.peek(&mut [0]), Ok(1));
        }
        stream.set_nonblocking(false).unwrap();
        if asked {
            serve(stream, |s, _| send(s, OK));
        }
    };
    for driver in drivers() {
        for arrivals in [Arrivals::Closed, open(200.0, 1).arrivals] {
            let spec = SliceSpec::new(arrivals, 4, Duration::from_millis(100));
            // A request may cross the end on its way, which is an error: often where threads of a
            // busy machine wait for their turn, and so it is tried until it comes out.
            let shown = (0..50).any(|_| {
                let server = listening(server);
                let record = run(driver, vec![server.addr], "GET", &spec).unwrap();
                record.errors.total() == 0
                    && record.requests_answered > 10
                    && record.connections.closed_idle > 0
            });
            assert!(shown, "{driver:?}, {arrivals:?}");
        }
    }
}

#[test]
fn bytes_after_a_whole_reply_cost_the_connection_alone_however_they_come() {
    for driver in drivers() {
        let plays: [Play; 2] = [
            |s, _| send(s, &[OK, b"\r\n"].concat()),
            |s, _| {
                send(s, OK);
                thread::sleep(Duration::from_millis(2));
                send(s, b"\r\n")
            },
        ];
        for does in plays {
            let server = play(does);
            let record = run(driver, vec![server.addr], "GET", &open(20.0, 300)).unwrap();
            assert_eq!(
                (record.requests_answered, record.errors.total()),
                (6, 0),
                "{}",
                record.errors
            );
            assert!(record.connections.unsolicited >= 5, "{:?}", record.connections);
            assert_eq!(record.connections.closed_by_target, 0, "{:?}", record.connections);
        }
    }
}

/// A server that ends its half after a reply without having said so may have the next request on
/// its way already: that one is lost and told, never asked again, and nothing waits for it.
#[test]
fn a_half_that_is_closed_unannounced_costs_at_most_the_request_under_way() {
    for driver in drivers() {
        let server = play(|s, _| {
            send(s, OK);
            s.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            let _ = s.read_to_end(&mut rest);
            false
        });
        let begun = Instant::now();
        let record = run(driver, vec![server.addr], "GET", &spec(10_000)).unwrap();
        let lost = record.errors.of(ErrorKind::Closed);
        assert_eq!(record.requests_answered + lost, REQUESTS, "{driver:?}: {}", record.errors);
        assert!(record.requests_answered >= REQUESTS / 2, "{driver:?}: {}", record.errors);
        assert!(begun.elapsed() < Duration::from_secs(9), "{driver:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_reply_to_head_has_no_body() {
    for driver in drivers() {
        let server = play(|s, _| send(s, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"));
        let record = run(driver, vec![server.addr], "HEAD", &spec(10_000)).unwrap();
        assert_eq!(
            (record.requests_answered, record.errors.total()),
            (REQUESTS, 0),
            "{}",
            record.errors
        );
    }
}

/// What is wrong, by its name, the kind it counts as, and what the first sentence says of it.
const WRONG: [(&str, Play, ErrorKind, &str); 8] = [
    (
        "a redirect",
        |s, _| {
            send(
                s,
                b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            )
        },
        ErrorKind::Status,
        "redirects are not followed",
    ),
    ("garbage", |s, _| send(s, b"220 mail.example ESMTP\r\n\r\n"), ErrorKind::Malformed, ""),
    (
        "endless headers",
        |s, _| {
            send(s, b"HTTP/1.1 200 OK\r\n");
            while send(s, b"X-Padding: 0123456789012345678901234567890123456789\r\n") {}
            false
        },
        ErrorKind::Malformed,
        "",
    ),
    (
        "endless interim replies",
        |s, _| {
            while send(s, b"HTTP/1.1 100 Continue\r\n\r\n") {}
            false
        },
        ErrorKind::Timeout,
        "no reply within",
    ),
    (
        "an endless body",
        |s, _| {
            send(s, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while send(s, b"4\r\nmore\r\n") {
                thread::sleep(Duration::from_millis(1));
            }
            false
        },
        ErrorKind::Timeout,
        "no reply within",
    ),
    (
        "a body that is cut",
        |s, _| {
            send(s, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
            s.shutdown(Shutdown::Write).unwrap();
            thread::sleep(Duration::from_millis(20));
            false
        },
        ErrorKind::Closed,
        "closed",
    ),
    ("closed without a word", |_, _| false, ErrorKind::Closed, "closed"),
    (
        "two lengths",
        |s, _| send(s, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
        ErrorKind::Malformed,
        "",
    ),
];

#[test]
fn what_is_wrong_is_an_error_with_its_kind() {
    for driver in drivers() {
        for (name, does, kind, part) in WRONG {
            let server = play(does);
            let begun = Instant::now();
            // What ends by itself has all the time that a busy machine takes.
            let timeout_ms = if kind == ErrorKind::Timeout { 200 } else { 10_000 };
            let record = run(driver, vec![server.addr], "GET", &spec(timeout_ms)).unwrap();
            assert_eq!(record.requests_answered, 0, "{driver:?}, {name}");
            assert_eq!(record.errors.of(kind), REQUESTS, "{driver:?}, {name}: {}", record.errors);
            let said = record.errors.example(kind).unwrap_or_default();
            assert!(!said.is_empty() && said.contains(part), "{driver:?}, {name}: {said}");
            assert!(begun.elapsed() < Duration::from_secs(9), "{driver:?}, {name}");
        }
    }
}

/// A listener whose queue is full: the kernel leaves further connections without an answer.
fn black_hole() -> (Socket, SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    // What is in the queue stays there, because nobody accepts it.
    while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
        filling.push(stream);
    }
    (socket, addr, filling)
}

fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn every_address_is_tried_until_one_accepts() {
    let (_socket, silent, _filling) = black_hole();
    for driver in drivers() {
        let server = play(|s, _| send(s, OK));
        for before in [vec![refusing()], vec![silent], vec![refusing(), silent, refusing()]] {
            let addresses = [before.as_slice(), &[server.addr]].concat();
            let record = run(driver, addresses, "GET", &spec(3_000)).unwrap();
            assert_eq!(
                (record.requests_answered, record.errors.total()),
                (REQUESTS, 0),
                "{before:?}"
            );
        }
        // Where none answers the time-out holds for all of them together.
        let begun = Instant::now();
        let error = run(driver, vec![silent, silent, silent], "GET", &spec(900)).unwrap_err();
        assert!(error.to_string().contains("did not answer in time"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[test]
fn ipv6_is_spoken_where_there_is_any() {
    // Not every machine has it: then there is nobody to speak it to.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, |s, _| send(s, OK)));
        }
    });
    for driver in drivers() {
        let dead = format!("[::1]:{}", refusing().port()).parse().unwrap();
        let record = run(driver, vec![dead, addr], "GET", &spec(10_000)).unwrap();
        assert_eq!(
            (record.requests_answered, record.errors.total()),
            (REQUESTS, 0),
            "{}",
            record.errors
        );
    }
}
