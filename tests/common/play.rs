//! A plain HTTP server that is played by hand: it reads requests without bodies, and does with each
//! what the test says.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A good reply.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a server does with each request; false ends the connection.
pub(crate) type Play = fn(&mut TcpStream) -> bool;

/// Starts a server that lasts as long as the test program, and returns its URL.
pub(crate) fn play(play: Play) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || while read_request(&mut stream) && play(&mut stream) {});
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) -> bool {
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
