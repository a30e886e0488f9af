//! A plain HTTP server of a few lines for the tests of the slice engine: blocking, one thread per
//! connection, and as ill-behaved as its path says. It shares no code with what it tests.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::traffic::generator::{Generator, GeneratorOptions, TargetId};
use loadgen::traffic::target::{Source, Target};
use loadgen::traffic::workload::Workload;

/// What the server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub connections: AtomicU64,
    pub requests: AtomicU64,
    pub peers: Mutex<Vec<SocketAddr>>,
    pub heads: Mutex<Vec<String>>,
}

/// A server that lasts as long as the test program.
pub(crate) struct Server {
    pub addr: SocketAddr,
    pub seen: Arc<Seen>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let begun = Instant::now();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                seen.connections.fetch_add(1, Ordering::Relaxed);
                seen.peers.lock().unwrap().push(stream.peer_addr().unwrap());
                thread::spawn(move || serve(stream, &seen, begun));
            }
        });
        Server { addr, seen }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            name: format!("http://{}", self.addr),
            addresses: vec![self.addr],
            host: self.addr.to_string(),
            tls: None,
            source: Source::Auto,
        }
    }
}

/// One worker with one target: this server under `path`.
pub(crate) fn attached(server: &Server, path: &str) -> (Generator, TargetId) {
    attach_with(server, &Workload::custom("test", "GET", path, Vec::new(), Vec::new()), 1)
}

pub(crate) fn attach_with(
    server: &Server,
    workload: &Workload,
    workers: usize,
) -> (Generator, TargetId) {
    let mut generator = Generator::start(&GeneratorOptions::unpinned(workers)).unwrap();
    let target = generator.attach(server.target(), workload).unwrap();
    (generator, target)
}

fn serve(stream: TcpStream, seen: &Seen, begun: Instant) {
    stream.set_nodelay(true).unwrap();
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut output = stream;
    let mut nth = 0;
    while let Some((head, closing)) = read_request(&mut input) {
        nth += 1;
        let count = seen.requests.fetch_add(1, Ordering::Relaxed);
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        if count < 100 {
            seen.heads.lock().unwrap().push(head);
        }
        if answer(&mut output, &path, (nth, count), begun).is_none() || closing {
            return;
        }
    }
}

fn read_request(input: &mut BufReader<TcpStream>) -> Option<(String, bool)> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    let closing = head.contains("Connection: close\r\n");
    Some((head, closing))
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers as the path says; `None` ends the connection.
fn answer(
    output: &mut TcpStream,
    path: &str,
    (nth, count): (u64, u64),
    begun: Instant,
) -> Option<()> {
    match path {
        // Nothing is answered in the first 100 ms of each second.
        "/stall" => {
            let phase = begun.elapsed().as_millis() as u64 % 1000;
            if phase < 100 {
                thread::sleep(Duration::from_millis(100 - phase));
            }
            output.write_all(OK).ok()
        }
        "/delay" => {
            thread::sleep(Duration::from_millis(20));
            output.write_all(OK).ok()
        }
        "/hang" => {
            thread::sleep(Duration::from_secs(5));
            None
        }
        "/third-503" if count % 3 == 2 => {
            let reply = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            output.write_all(reply).ok()
        }
        "/third-cut" if nth % 3 == 0 => {
            output.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").ok()?;
            None
        }
        "/third-reset" if nth % 3 == 0 => {
            let socket = socket2::SockRef::from(&*output);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            None
        }
        "/garbage" => output.write_all(b"220 mail.example ESMTP\r\n").ok(),
        "/chunked" => {
            output
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok")
                .ok()?;
            thread::sleep(Duration::from_millis(1));
            output.write_all(b"\r\n0\r\n\r\n").ok()
        }
        "/large" => {
            let body = vec![b'x'; 3 << 20];
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            output.write_all(head.as_bytes()).ok()?;
            output.write_all(&body).ok()
        }
        "/until-close" => {
            output.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").ok()?;
            None
        }
        "/last-of-four" if nth == 4 => {
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            output.write_all(reply).ok()?;
            None
        }
        _ => output.write_all(OK).ok(),
    }
}
