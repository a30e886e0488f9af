//! Responses that have no other end than that of the connection, as streamed ones have for clients
//! of HTTP/1.0: one that was cut off ends with a reset, a whole one does not.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use runtime::WaitKind;

use crate::peer::{Peer, TIMEOUT};
use crate::shop::on_each_driver;
use crate::support::Pki;
use crate::tls::connect;

/// Everything until the connection ends, and how it ends.
fn end(stream: &mut impl Read) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    let ended = stream.read_to_end(&mut all).map(|_| ());
    (all, ended)
}

fn assert_reset(ended: io::Result<()>) {
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

fn ask(addr: std::net::SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "GET {target} HTTP/1.0\r\n\r\n").unwrap();
    stream
}

#[test]
fn a_response_that_is_given_up_ends_with_a_reset() {
    let pki = Pki::new();
    let secured = pki.server(false);
    on_each_driver(|_| {}, |up| assert_reset(end(&mut ask(up.addr, "/abandoned")).1));
    on_each_driver(
        |endpoint| endpoint.tls = Some(secured.clone()),
        |up| {
            let mut peer = connect(up.addr, pki.client(false, false));
            peer.send("GET /abandoned HTTP/1.0\r\n\r\n");
            // Without close_notify even an orderly end would be an error here: it must not be one.
            assert_reset(end(&mut peer.stream).1);
        },
    );
}

#[test]
fn a_whole_response_ends_in_good_order() {
    let pki = Pki::new();
    let secured = pki.server(false);
    let request = "POST /stream HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello";
    let assert_whole = |(all, ended): (Vec<u8>, io::Result<()>)| {
        ended.unwrap();
        assert!(all.ends_with(b"\r\n\r\nhello"), "{}", String::from_utf8_lossy(&all));
    };
    on_each_driver(
        |_| {},
        |up| {
            let mut peer = Peer::connect(up.addr);
            peer.send(request);
            assert_whole(end(&mut peer.stream));
        },
    );
    on_each_driver(
        |endpoint| endpoint.tls = Some(secured.clone()),
        |up| {
            let mut peer = connect(up.addr, pki.client(false, false));
            peer.send(request);
            assert_whole(end(&mut peer.stream));
        },
    );
}

#[test]
fn a_response_that_is_cut_by_a_shutdown_ends_with_a_reset() {
    on_each_driver(
        |_| {},
        |up| {
            let mut stream = ask(up.addr, "/half");
            let mut all = Vec::new();
            while !all.ends_with(b"half of") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                all.push(byte[0]);
            }
            assert_eq!(up.drain(Duration::from_millis(20)).cut, 1);
            assert_reset(end(&mut stream).1);
        },
    );
}

#[test]
fn a_response_that_is_not_read_in_time_ends_with_a_reset() {
    on_each_driver(
        |endpoint| endpoint.limits.write_timeout = Duration::from_millis(50),
        |up| {
            let mut stream = ask(up.addr, "/unread");
            up.eventually("deadlines", 1, |stats| stats.deadlines[WaitKind::Write.index()].value());
            up.eventually("open", 0, |stats| stats.connections_open.value());
            assert_reset(end(&mut stream).1);
        },
    );
}
