//! The blocking client against servers that behave, and against those that do not.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::blocking::{Error, Response, request, request_leniently};
use runtime::url::Url;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use support::{Pki, localhost};

const DEADLINE: Duration = Duration::from_secs(10);

/// Reads one request, sends `answer`, closes.
fn serve(answer: &'static [u8]) -> SocketAddr {
    serve_with(move |mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(answer);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

fn serve_with(handle: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| handle(stream.unwrap())));
    addr
}

fn read_request(stream: &mut impl Read) -> Vec<u8> {
    let mut request = Vec::new();
    let mut byte = [0; 1];
    while !request.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        request.push(byte[0]);
    }
    request
}

fn serve_tls(config: Arc<ServerConfig>, answer: &'static [u8], close_notify: bool) -> SocketAddr {
    serve_with(move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        if read_request(&mut stream).is_empty() {
            return;
        }
        stream.write_all(answer).unwrap();
        if close_notify {
            stream.conn.send_close_notify();
        }
        stream.flush().unwrap();
        let _ = stream.sock.shutdown(Shutdown::Write);
        let _ = stream.sock.read_to_end(&mut Vec::new());
    })
}

fn get(addr: SocketAddr) -> Result<Response, Error> {
    get_within(addr, DEADLINE)
}

fn get_within(addr: SocketAddr, deadline: Duration) -> Result<Response, Error> {
    let url = Url::parse(&format!("http://{addr}/metrics?a=b")).unwrap();
    request(&url, None, "GET", &[("Accept", b"*/*")], b"", deadline, 1000)
}

#[test]
fn answers_of_every_framing_are_read() {
    for (answer, status, body) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], 200, &b"hello"[..]),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            200,
            b"abcde",
        ),
    ] {
        let response = get(serve(answer)).unwrap();
        assert_eq!((response.status, &response.body[..]), (status, body));
    }
}

#[test]
fn fields_are_found_in_any_case() {
    let answer = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 0\r\nx-one: 2\r\n\r\n";
    let response = get(serve(answer)).unwrap();
    assert_eq!(response.field("x-ONE"), Some(&b"1"[..]));
    assert_eq!(response.field("none"), None);
    assert_eq!(response.fields.len(), 3);
}

#[test]
fn the_request_is_sent_as_asked() {
    let (told, tell) = std::sync::mpsc::channel();
    let addr = serve_with(move |mut stream| {
        let mut request = read_request(&mut stream);
        let mut body = [0; 9];
        stream.read_exact(&mut body).unwrap();
        request.extend_from_slice(&body);
        told.send(String::from_utf8(request).unwrap()).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let url = Url::parse(&format!("http://{addr}/oauth2/token")).unwrap();
    let fields: &[(&str, &[u8])] = &[("Authorization", b"Basic eA==")];
    request(&url, None, "POST", fields, b"grant=one", DEADLINE, 0).unwrap();
    let sent = tell.recv().unwrap();
    assert!(sent.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(&format!("\r\nHost: {addr}\r\n")), "{sent}");
    assert!(sent.contains("\r\nAuthorization: Basic eA==\r\n"), "{sent}");
    assert!(sent.contains("\r\nContent-Length: 9\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\ngrant=one"), "{sent}");
}

#[test]
fn answers_that_are_cut_off_or_wrong_are_errors() {
    for (answer, needle) in [
        (&b""[..], "before its answer ended"),
        (b"HTTP/1.1 200 OK\r\n", "before its answer ended"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "before its answer ended"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "before its answer ended",
        ),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no valid HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "larger than was allowed"),
    ] {
        let error = get(serve(answer)).unwrap_err().to_string();
        assert!(error.contains(needle), "{}: {error}", String::from_utf8_lossy(answer));
    }
}

#[test]
fn anybodys_response_is_read_leniently_only_where_that_is_asked_for() {
    let early = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20);
    let fields = "X-Many: 1\r\n".repeat(200);
    for head in [
        "HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
        &format!("{early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        &format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\n"),
    ] {
        let answer: &[u8] = format!("{head}ok").leak().as_bytes();
        let url = Url::parse(&format!("http://{}/", serve(answer))).unwrap();
        let read = request_leniently(&url, None, "GET", &[], b"", DEADLINE, 10);
        assert_eq!(read.unwrap().body, b"ok", "{head:?}");
        assert!(request(&url, None, "GET", &[], b"", DEADLINE, 10).is_err(), "{head:?}");
    }
}

#[test]
fn an_endless_body_stops_at_its_bound() {
    let addr = serve_with(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(get(addr), Err(Error::TooLarge));
}

#[test]
fn a_refusal_names_the_address() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(get(addr), Err(Error::Refused(addr)));
}

#[test]
fn every_address_of_a_name_is_tried() {
    // `localhost` is ::1 as well on many machines; the server listens on one of them only.
    let addr = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let url = Url::parse(&format!("http://localhost:{}/", addr.port())).unwrap();
    assert_eq!(request(&url, None, "GET", &[], b"", DEADLINE, 10).unwrap().body, b"ok");
}

#[test]
fn one_deadline_bounds_a_server_that_dawdles() {
    // A byte now and then would reset a time-out per read; it does not move the deadline.
    let addr = serve_with(|mut stream| {
        read_request(&mut stream);
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = serve_with(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    for addr in [addr, silent] {
        let began = Instant::now();
        let error = get_within(addr, Duration::from_millis(300)).unwrap_err();
        let took = began.elapsed();
        // The dawdler's letters may be told from a status line before the time is over.
        let known = matches!(error, Error::Timeout(_) | Error::Protocol(_));
        assert!(known, "{error}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert!(matches!(get_within(silent, Duration::ZERO), Err(Error::Timeout(_))));
}

#[test]
fn tls_is_spoken_where_the_url_says_so() {
    let pki = Pki::new();
    let answer = b"HTTP/1.1 200 OK\r\n\r\nto the end";
    for (close_notify, expected) in [(true, Ok(200)), (false, Err(Error::Closed))] {
        let addr = serve_tls(pki.server(false), answer, close_notify);
        let url = Url::parse(&format!("https://localhost:{}/", addr.port())).unwrap();
        assert_eq!(url.server_name(), Ok(localhost()));
        let tls = Some(pki.client(false, false));
        let answer = request(&url, tls, "GET", &[], b"", DEADLINE, 100);
        assert_eq!(answer.map(|answer| answer.status), expected, "close_notify: {close_notify}");
        let without = request(&url, None, "GET", &[], b"", DEADLINE, 100);
        assert_eq!(without, Err(Error::NoTls));
    }
}

#[test]
fn tls_refusals_are_named() {
    let pki = Pki::new();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mutual = serve_tls(pki.server(true), answer, true);
    let foreign = serve_tls(Pki::new().server(false), answer, true);
    let plain = serve_with(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for (addr, needle) in [
        (mutual, "certificate_required"),
        (foreign, "certificate was refused"),
        (plain, "does not speak TLS"),
    ] {
        let url = Url::parse(&format!("https://localhost:{}/", addr.port())).unwrap();
        let tls = Some(pki.client(false, false));
        let error = request(&url, tls, "GET", &[], b"", Duration::from_secs(2), 10).unwrap_err();
        assert!(error.to_string().contains(needle), "{needle}: {error}");
    }
}
