//! The gateway as a proxy, against upstreams that the test itself plays byte by byte: what goes
//! through, what ends there, and how each kind of failure is told.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod gateway_uploads;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use authn::Profile;
use runtime::DriverChoice;
use services::{GatewayConfig, OrdersConfig, OutboundConfig, ServiceConfig};

use support::{DRIVERS, Lab, NOWHERE, SOON, Server, before_orders, raw, start, until_closed};

/// An upstream: `play` gets each connection that comes.
fn upstream(play: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            play(stream);
        }
    });
    addr
}

/// An upstream that reads one head per connection, tells the test, and answers with `answer`.
fn canned(answer: &'static [u8]) -> (SocketAddr, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let addr = upstream(move |mut stream| {
        while let Some(head) = read_head(&mut stream) {
            let length = field(&head, "content-length").map_or(0, |value| value.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            tell.send(head + &String::from_utf8(body).unwrap()).unwrap();
            stream.write_all(answer).unwrap();
            if answer.windows(17).any(|part| part == b"connection: close") {
                return;
            }
        }
    });
    (addr, told)
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn gateway(lab: &Lab, driver: DriverChoice, orders: Option<SocketAddr>) -> Server {
    let settings = GatewayConfig {
        orders: orders.map(|addr| addr.to_string()),
        inventory: Some(NOWHERE.to_string()),
        ..GatewayConfig::default()
    };
    let mut config = lab.config(settings, Profile::parse("S0").unwrap());
    config.driver = driver;
    start(config)
}

/// One whose uploads go to `results`, the service that streams them.
fn streaming(lab: &Lab, driver: DriverChoice, results: SocketAddr) -> ServiceConfig {
    let settings = GatewayConfig { results: Some(results.to_string()), ..GatewayConfig::default() };
    let mut config = lab.config(settings, Profile::parse("S0").unwrap());
    config.driver = driver;
    config
}

#[test]
fn fields_of_one_connection_end_at_the_gateway() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let (addr, told) = canned(
            b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nConnection: keep-alive, X-Up\r\n\
              X-Up: secret\r\nKeep-Alive: timeout=5\r\nLocation: /api/orders/7\r\n\
              Proxy-Authenticate: Basic\r\nX-Kept: yes\r\n\r\nok",
        );
        let server = gateway(&lab, driver, Some(addr));
        let answer = raw(
            &server,
            b"POST /api/orders?q=1%2f2 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\
              Authorization: Bearer abc\r\nConnection: close, X-Hop\r\nX-Hop: secret\r\n\
              TE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\n\
              X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
              Via: 1.1 elsewhere\r\nIdempotency-Key: k\r\nExpect: 100-continue\r\n\r\nhello",
            until_closed,
        );
        let request = told.recv_timeout(SOON).unwrap();
        assert!(request.starts_with("POST /api/orders?q=1%2f2 HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\nhello"), "{request}");
        assert_eq!(field(&request, "host"), Some(addr.to_string().as_str()));
        assert_eq!(field(&request, "authorization"), Some("Bearer abc"));
        assert_eq!(field(&request, "idempotency-key"), Some("k"));
        assert_eq!(field(&request, "content-length"), Some("5"));
        assert_eq!(field(&request, "forwarded"), Some("for=127.0.0.1;proto=http"));
        assert!(request.contains("1.1 elsewhere") && request.contains("1.1 tollgate"));
        for gone in ["secret", "6.6.6.6", "h2c", "Basic", "trailers", "100-continue"] {
            assert!(!request.contains(gone), "{gone} in {request}");
        }
        assert!(answer.contains("HTTP/1.1 201 Created\r\n"), "{answer}");
        assert_eq!(field(&answer, "location"), Some("/api/orders/7"));
        assert_eq!(field(&answer, "x-kept"), Some("yes"));
        assert!(answer.ends_with("\r\n\r\nok"));
        for gone in ["secret", "timeout=5", "Basic"] {
            assert!(!answer.contains(gone), "{gone} in {answer}");
        }
    }
}

/// A request of its own connection with further field lines, and what the upstream saw of it.
fn seen_upstream(server: &Server, told: &Receiver<String>, lines: &str) -> String {
    let request =
        format!("GET /api/orders/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
    let answer = raw(server, request.as_bytes(), until_closed);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    told.recv_timeout(SOON).unwrap().to_ascii_lowercase()
}

#[test]
fn claims_of_clients_end_at_the_gateway_unless_they_are_let_through() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let (addr, told) = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let lines = "Client-Cert: claim\r\nX-Forwarded-User: claim\r\nX-Original-URL: claim\r\n\
                     X-HTTP-Method-Override: claim\r\nTrue-Client-IP: claim\r\n\
                     X-Tollgate-Client: claim\r\nX_Forwarded_For: claim\r\n\
                     Content_Length: claim\r\nX-Trace: kept\r\nApp_Id: app\r\n";
        let strict = gateway(&lab, driver, Some(addr));
        let request = seen_upstream(&strict, &told, lines);
        assert!(!request.contains("claim") && !request.contains("app_id"), "{request}");
        assert_eq!(field(&request, "x-trace"), Some("kept"));
        // The upstream serves one connection after the other.
        drop(strict);
        let mut settings = before_orders(addr);
        settings.forward_fields = vec!["True-Client-IP".to_string(), "app_id".to_string()];
        let mut config = lab.config(settings, Profile::parse("S0").unwrap());
        config.driver = driver;
        let open = start(config);
        let request = seen_upstream(&open, &told, lines);
        assert_eq!(request.matches("claim").count(), 1, "{request}");
        assert_eq!(field(&request, "true-client-ip"), Some("claim"));
        assert_eq!(field(&request, "app_id"), Some("app"));
    }
}

#[test]
fn too_many_connection_options_are_refused_from_either_side() {
    let lab = Lab::new();
    let (addr, told) = canned(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
          Connection: a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q\r\n\r\n",
    );
    let server = gateway(&lab, DriverChoice::Auto, Some(addr));
    let ask = |options: &str| {
        let request =
            format!("GET /api/orders/1 HTTP/1.1\r\nHost: a\r\nConnection: {options}close\r\n\r\n");
        raw(&server, request.as_bytes(), until_closed)
    };
    assert!(ask(&"x-hop, ".repeat(15)).starts_with("HTTP/1.1 502"), "16, and 17 in the response");
    assert!(told.recv_timeout(SOON).unwrap().starts_with("GET /api/orders/1 "));
    assert!(ask(&"x-hop, ".repeat(16)).starts_with("HTTP/1.1 400"));
    assert!(told.try_recv().is_err(), "nothing arrived at the upstream");
}

#[test]
fn a_head_that_the_gateway_takes_fits_the_services_behind_it() {
    let lab = Lab::new();
    let profile = Profile::parse("S0").unwrap();
    let orders = start(lab.config(OrdersConfig::new(NOWHERE), profile));
    // A host name that is longer than the one the client sent.
    let long = format!("localhost:{}", orders.addr().port());
    let server = start(lab.config(before_orders(long), profile));
    let ask = |version: &str, lines: &str| {
        let request = format!("POST /api/orders HTTP/{version}\r\n{lines}\r\n");
        raw(&server, request.as_bytes(), until_closed)
    };
    let full = |count: usize| (0..count).map(|n| format!("a{n}: 1\r\n")).collect::<String>();
    // Without a length the gateway adds one, and to HTTP/1.0 without Host that as well.
    let close = "Host: a\r\nConnection: close\r\n";
    assert!(ask("1.0", &full(100)).starts_with("HTTP/1.1 4"), "{}", ask("1.0", &full(100)));
    for (version, lines) in [("1.0", full(100)), ("1.1", format!("{close}{}", full(98)))] {
        let answer = ask(version, &lines);
        assert!(answer.contains("problem+json") && !answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert!(ask("1.0", &full(101)).starts_with("HTTP/1.1 431"), "one too many at the gateway");
    let room = 16 * 1024 - "POST /api/orders HTTP/1.1\r\n\r\n".len() - close.len();
    let value = |room: usize| format!("{close}A: {}\r\n", "x".repeat(room - "A: \r\n".len()));
    let answer = ask("1.1", &value(room));
    assert!(!answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(ask("1.1", &value(room + 1)).starts_with("HTTP/1.1 431"));
}

#[test]
fn a_response_that_was_cut_off_ends_with_a_reset_where_its_end_is_the_framing() {
    for driver in DRIVERS {
        for label in ["S0", "S1"] {
            let lab = Lab::new();
            let addr = upstream(|mut stream| {
                read_head(&mut stream).unwrap();
                let half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
                stream.write_all(half).unwrap();
                // The rest never comes: the first client hangs up before the upstream does.
                let _ = stream.read(&mut [0]);
            });
            let profile = Profile::parse(label).unwrap();
            let outbound = OutboundConfig {
                profile: Some(Profile::parse("S0").unwrap()),
                response_timeout: Some(Duration::from_millis(50)),
                ..OutboundConfig::default()
            };
            let settings = GatewayConfig { outbound, ..before_orders(format!("http://{addr}")) };
            let mut config = lab.config(settings, profile);
            config.driver = driver;
            let server = start(config);
            let tcp = TcpStream::connect(server.addr()).unwrap();
            tcp.set_read_timeout(Some(SOON)).unwrap();
            let request = b"GET /api/orders/1 HTTP/1.0\r\n\r\n";
            let mut all = Vec::new();
            let ended = match lab.client(profile.transport, None).tls {
                None => {
                    (&tcp).write_all(request).unwrap();
                    (&tcp).read_to_end(&mut all)
                }
                Some(tls) => {
                    let name = "localhost".try_into().unwrap();
                    let client = rustls::ClientConnection::new(tls, name).unwrap();
                    let mut stream = rustls::StreamOwned::new(client, tcp);
                    stream.write_all(request).unwrap();
                    stream.read_to_end(&mut all)
                }
            };
            let kind = ended.unwrap_err().kind();
            assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{label} {driver:?}");
        }
    }
}

#[test]
fn unmatched_paths_never_reach_an_upstream() {
    let lab = Lab::new();
    let (addr, told) = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = gateway(&lab, DriverChoice::Auto, Some(addr));
    for path in [
        "/api/orders/",
        "/api/orders//1",
        "/api/orders/%2e%2e",
        "/api/orders/..",
        "/api/orders/1%2f..%2f",
        "/api/orders/1/../2",
        "/api/orders/1;x",
        "/api//orders/1",
        "/api/orders/1\\2",
        "/livez",
        "/metrics",
        "/",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes(), until_closed);
        let status = &answer[9..12];
        assert!(status == "404" || status == "400", "{path}: {answer}");
    }
    assert!(told.try_recv().is_err(), "nothing arrived at the upstream");
    // A target in absolute form names the gateway, not the upstream.
    let absolute = b"GET http://shop/api/orders/7?a=b HTTP/1.1\r\nHost: shop\r\n\
                     Connection: close\r\n\r\n";
    assert!(raw(&server, absolute, until_closed).starts_with("HTTP/1.1 200"));
    let request = told.recv_timeout(SOON).unwrap();
    assert!(request.starts_with("GET /api/orders/7?a=b HTTP/1.1\r\n"), "{request}");
}

#[test]
fn large_bodies_are_streamed_both_ways() {
    const SIZE: usize = 5 * 1024 * 1024;
    for driver in DRIVERS {
        let lab = Lab::new();
        // Echoes what comes, chunked: it must see the first byte before it gets the last.
        let addr = upstream(|mut stream| {
            let head = read_head(&mut stream).unwrap();
            assert_eq!(field(&head, "content-length"), Some(SIZE.to_string().as_str()));
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            let (mut left, mut buffer) = (SIZE, vec![0; 40_000]);
            while left > 0 {
                let count = stream.read(&mut buffer).unwrap();
                left -= count;
                write!(stream, "{count:x}\r\n").unwrap();
                stream.write_all(&buffer[..count]).unwrap();
                stream.write_all(b"\r\n").unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        });
        let server = start(streaming(&lab, driver, addr));
        let body: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        let mut writer = TcpStream::connect(server.addr()).unwrap();
        writer.set_read_timeout(Some(SOON)).unwrap();
        let mut reader = writer.try_clone().unwrap();
        let sent = body.clone();
        let sending = thread::spawn(move || {
            write!(writer, "POST /api/runs HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")
                .unwrap();
            writer.write_all(&sent).unwrap();
        });
        let mut answer = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            let count = reader.read(&mut buffer).unwrap();
            assert!(count > 0, "the gateway closed after {} bytes", answer.len());
            answer.extend_from_slice(&buffer[..count]);
        }
        sending.join().unwrap();
        let start = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(unchunk(&answer[start..]), body);
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|part| part == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

#[test]
fn heads_keep_their_length_and_have_no_body() {
    let lab = Lab::new();
    let (addr, told) = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let server = gateway(&lab, DriverChoice::Auto, Some(addr));
    let twice = b"HEAD /api/orders/1 HTTP/1.1\r\nHost: a\r\n\r\n\
                  HEAD /api/orders/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, twice, until_closed);
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert_eq!(answer.to_lowercase().matches("content-length: 1234").count(), 2, "{answer}");
    assert!(told.recv_timeout(SOON).unwrap().starts_with("HEAD /api/orders/1 "));
}

#[test]
fn an_unsolicited_response_is_discarded_and_counted() {
    for driver in DRIVERS {
        let lab = Lab::new();
        // Each connection says one response too many, in one segment with the first.
        let (addr, _told) = canned(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown\
              HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother",
        );
        let server = gateway(&lab, driver, Some(addr));
        for _ in 0..3 {
            let get = b"GET /api/orders/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let answer = raw(&server, get, until_closed);
            assert!(answer.ends_with("\r\n\r\nown"), "{answer}");
        }
        assert_eq!(server.metric("tollgate_upstream_unsolicited_total", &[]), 3);
    }
}

#[test]
fn upstream_failures_have_distinct_statuses() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let get = |server: &Server, path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            raw(server, request.as_bytes(), until_closed)
        };
        let none = gateway(&lab, driver, None);
        let answer = get(&none, "/api/orders/1");
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(answer.contains("started without the orders service"), "{answer}");
        let answer = get(&none, "/api/runs");
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        // Port 1 is nobody's.
        let answer = get(&none, "/api/inventory/SKU-1");
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("cannot be reached"));
        assert!(answer.contains("application/problem+json"), "{answer}");

        let silent = upstream(|mut stream| while read_head(&mut stream).is_some() {});
        let mut settings = before_orders(silent);
        settings.outbound.response_timeout = Some(Duration::from_millis(100));
        let mut config = lab.config(settings, Profile::parse("S0").unwrap());
        config.driver = driver;
        let late = start(config);
        let answer = get(&late, "/api/orders/1");
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");

        let (garbage, _told) = canned(b"SSH-2.0-nothing\r\n\r\nconnection: close");
        let answer = get(&gateway(&lab, driver, Some(garbage)), "/api/orders/1");
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        let (closing, _told) = canned(b"connection: close");
        let answer = get(&gateway(&lab, driver, Some(closing)), "/api/orders/1");
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        let (cut, _told) =
            canned(b"HTTP/1.1 200 OK\r\nconnection: close\r\nContent-Length: 100000\r\n\r\nabc");
        let answer = get(&gateway(&lab, driver, Some(cut)), "/api/orders/1");
        assert!(answer.ends_with("\r\n\r\nabc") || answer.is_empty(), "cut, not made up: {answer}");
    }
}

#[test]
fn a_busy_upstream_is_503_and_loops_are_508() {
    let lab = Lab::new();
    let silent = upstream(|mut stream| {
        thread::spawn(move || while read_head(&mut stream).is_some() {});
    });
    let mut settings = before_orders(silent);
    settings.outbound.connections_max = Some(1);
    let server = start(lab.config(settings, Profile::parse("S0").unwrap()));
    let mut first = TcpStream::connect(server.addr()).unwrap();
    first.write_all(b"GET /api/orders/1 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    while server.metric("tollgate_upstream_connections_open", &[]) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let second = b"GET /api/orders/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, second, until_closed);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(field(&answer, "retry-after"), Some("1"));
    let circle = b"GET /api/orders/2 HTTP/1.1\r\nHost: a\r\nVia: 1.1 tollgate\r\n\
                   Connection: close\r\n\r\n";
    assert!(raw(&server, circle, until_closed).starts_with("HTTP/1.1 508"));
}

#[test]
fn an_upstream_is_closed_when_its_client_goes() {
    let lab = Lab::new();
    let (tell, told) = mpsc::channel();
    let addr = upstream(move |mut stream| {
        read_head(&mut stream).unwrap();
        let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(endless).unwrap();
        let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
        while stream.write_all(&chunk).is_ok() {}
        tell.send(()).unwrap();
    });
    let server = gateway(&lab, DriverChoice::Auto, Some(addr));
    let mut client = TcpStream::connect(server.addr()).unwrap();
    client.write_all(b"GET /api/orders/1 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 10_000]).unwrap();
    drop(client);
    told.recv_timeout(SOON).unwrap();
}

#[test]
fn graceful_shutdown_finishes_requests_in_flight() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let (tell, told) = mpsc::channel();
        let addr = upstream(move |mut stream| {
            read_head(&mut stream).unwrap();
            tell.send(()).unwrap();
            thread::sleep(Duration::from_millis(300));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").unwrap();
        });
        let server = gateway(&lab, driver, Some(addr));
        let admin = server.admin_url("/readyz");
        let mut client = TcpStream::connect(server.addr()).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client.write_all(b"GET /api/orders/1 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        told.recv_timeout(SOON).unwrap();
        let probe = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            support::Client { tls: None }.get(&admin, &[]).unwrap()
        });
        let report = server.drain();
        assert_eq!(report.cut, 0);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
        assert_eq!(field(&answer, "connection"), Some("close"));
        let probed = probe.join().unwrap();
        assert_eq!(probed.status, 503);
        assert!(String::from_utf8(probed.body).unwrap().contains("draining"));
    }
}
