//! How the gateway takes bodies in: collected before an upstream is asked, or streamed within
//! bounds, and how it treats those that come slowly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use authn::Profile;
use runtime::DriverChoice;
use services::{GatewayConfig, ServiceConfig};

use crate::support::{DRIVERS, Lab, SOON, Server, before_orders, start};

/// What the routes of orders collect.
const COLLECTED_BYTES_MAX: usize = 64 * 1024;

/// An upstream that answers each request with the request's own head, once `wait` has passed and
/// its body was read.
fn upstream(wait: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer_all(stream, wait));
        }
    });
    addr
}

fn answer_all(mut stream: TcpStream, wait: Duration) -> Option<()> {
    loop {
        let (head, rest) = read_head(&mut stream)?;
        thread::sleep(wait);
        let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length - rest.len()];
        stream.read_exact(&mut body).ok()?;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// A head, and what came behind it.
fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(at + 4);
            return Some((String::from_utf8(bytes).unwrap(), rest));
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn config(lab: &Lab, driver: DriverChoice, upstream: SocketAddr) -> ServiceConfig {
    bounded(lab, driver, upstream, None)
}

/// With so many connections to the upstream.
fn bounded(
    lab: &Lab,
    driver: DriverChoice,
    upstream: SocketAddr,
    connections_max: Option<usize>,
) -> ServiceConfig {
    let mut settings =
        GatewayConfig { results: Some(upstream.to_string()), ..before_orders(upstream) };
    settings.outbound.connections_max = connections_max;
    let mut config = lab.config(settings, Profile::parse("S0").unwrap());
    config.driver = driver;
    config
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("{head}\r\nHost: a\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
}

/// The status, the head, and the body of the next response.
fn response(stream: &mut TcpStream) -> (u16, String, String) {
    let (head, mut body) = read_head(stream).expect("no response");
    let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
    let got = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[got..]).unwrap();
    (head[9..12].parse().unwrap(), head, String::from_utf8(body).unwrap())
}

fn upstream_connections(server: &Server) -> u64 {
    server.metric("tollgate_upstream_connections_open", &[])
}

#[test]
fn a_stalled_upload_holds_no_upstream_connection() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let server = start(bounded(&lab, driver, upstream(Duration::ZERO), Some(1)));
        let exact = format!("POST /api/orders HTTP/1.1\r\nContent-Length: {COLLECTED_BYTES_MAX}");
        let chunked = "POST /api/orders HTTP/1.1\r\nTransfer-Encoding: chunked";
        let (mut one, mut other) = (connect(&server), connect(&server));
        send(&mut one, &exact, b"{");
        send(&mut other, chunked, b"1\r\n{\r\n");
        while server.metric("tollgate_requests_total", &[]) < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(upstream_connections(&server), 0);
        let mut client = connect(&server);
        send(&mut client, "GET /api/orders/1 HTTP/1.1", b"");
        assert_eq!(response(&mut client).0, 200);
        // Each goes on whole, with its length.
        one.write_all(&[b'x'; COLLECTED_BYTES_MAX - 1]).unwrap();
        let (status, _, seen) = response(&mut one);
        let length = COLLECTED_BYTES_MAX.to_string();
        assert_eq!((status, field(&seen, "content-length")), (200, Some(length.as_str())));
        other.write_all(b"2\r\n }\r\n0\r\n\r\n").unwrap();
        let (status, _, seen) = response(&mut other);
        assert_eq!((status, field(&seen, "content-length")), (200, Some("3")));
        assert_eq!(field(&seen, "transfer-encoding"), None);
    }
}

#[test]
fn a_body_over_its_routes_limit_is_refused_before_any_upstream_is_asked() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let server = start(config(&lab, driver, upstream(Duration::ZERO)));
        let over = COLLECTED_BYTES_MAX + 1;
        for route in ["POST /api/orders", "GET /api/orders/1"] {
            let mut exact = connect(&server);
            send(&mut exact, &format!("{route} HTTP/1.1\r\nContent-Length: {over}"), b"");
            assert_eq!(response(&mut exact).0, 413, "{route}");
            let mut chunked = connect(&server);
            let body = [format!("{over:x}\r\n").as_bytes(), &vec![b'x'; over], b"\r\n"].concat();
            send(&mut chunked, &format!("{route} HTTP/1.1\r\nTransfer-Encoding: chunked"), &body);
            assert_eq!(response(&mut chunked).0, 413, "{route}");
        }
        assert_eq!(server.metric("tollgate_upstream_connections_total", &[]), 0);
    }
}

#[test]
fn uploads_that_are_streamed_leave_half_of_the_connections_to_others() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let server = start(bounded(&lab, driver, upstream(Duration::ZERO), Some(2)));
        let upload = "POST /api/runs HTTP/1.1\r\nContent-Length: 100000";
        let mut first = connect(&server);
        send(&mut first, upload, b"x");
        while upstream_connections(&server) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let mut second = connect(&server);
        send(&mut second, upload, b"x");
        let (status, head, body) = response(&mut second);
        assert_eq!((status, field(&head, "retry-after")), (503, Some("1")), "{body}");
        assert!(body.contains("too many uploads"), "{body}");
        let mut client = connect(&server);
        send(&mut client, "GET /api/runs HTTP/1.1", b"");
        assert_eq!(response(&mut client).0, 200);
        first.write_all(&[b'x'; 99_999]).unwrap();
        assert_eq!(response(&mut first).0, 200);
        let mut third = connect(&server);
        send(&mut third, upload, &[b'x'; 100_000]);
        assert_eq!(response(&mut third).0, 200, "its place was given back");
    }
}

/// A smallest rate that whoever stops for a moment is below.
fn strict(mut config: ServiceConfig) -> ServiceConfig {
    config.limits.bytes_per_s_min = Some(200_000);
    config.limits.rate_window = Some(Duration::from_millis(300));
    config
}

#[test]
fn only_time_spent_waiting_counts_against_a_slow_peer() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let late = start(strict(config(&lab, driver, upstream(Duration::from_millis(800)))));
        let streaming = start(strict(config(&lab, driver, events(Duration::from_millis(800)))));
        thread::scope(|scope| {
            // A handler that waits, a body that was sent at once to an upstream that does not read
            // it yet, and a response that comes in events with long pauses.
            scope.spawn(|| {
                let mut client = connect(&late);
                send(&mut client, "GET /api/orders/1 HTTP/1.1", b"");
                assert_eq!(response(&mut client).0, 200);
            });
            scope.spawn(|| {
                let mut client = connect(&late);
                let length = COLLECTED_BYTES_MAX + 1;
                let head = format!("POST /api/runs HTTP/1.1\r\nContent-Length: {length}");
                send(&mut client, &head, &vec![b'x'; length]);
                assert_eq!(response(&mut client).0, 200);
            });
            let mut client = connect(&streaming);
            send(&mut client, "GET /api/runs HTTP/1.1\r\nConnection: close", b"");
            let mut all = String::new();
            client.read_to_string(&mut all).unwrap();
            assert!(all.ends_with("0\r\n\r\n") && all.matches("data: tick").count() == 2, "{all}");
        });
        for server in [&late, &streaming] {
            assert_eq!(server.metric("tollgate_deadlines_total", &[]), 0, "{driver:?}");
        }
    }
}

/// An upstream that sends two events with a pause before each and before the end.
fn events(pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream).unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                     Transfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).unwrap();
        for _ in 0..2 {
            thread::sleep(pause);
            stream.write_all(b"c\r\ndata: tick\n\n\r\n").unwrap();
        }
        thread::sleep(pause);
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    addr
}

#[test]
fn an_upload_that_drips_is_cut_and_its_place_is_free() {
    for driver in DRIVERS {
        let lab = Lab::new();
        let server = start(strict(config(&lab, driver, upstream(Duration::ZERO))));
        for route in ["/api/runs", "/api/orders"] {
            let mut client = connect(&server);
            let begun = Instant::now();
            let length = if route == "/api/runs" { 1_000_000 } else { 60_000 };
            let head = format!("POST {route} HTTP/1.1\r\nContent-Length: {length}");
            send(&mut client, &head, &[b'x'; 20_000]);
            assert_eq!(response(&mut client).0, 408, "{route}");
            assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
        }
        assert_eq!(server.metric("tollgate_deadlines_total", &[("kind", "rate")]), 2);
        while upstream_connections(&server) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
