//! The generator's event loop against real sockets: every case on every driver this machine
//! grants, spinning and sleeping. The servers are threads with std's blocking sockets.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::DriverChoice;
use runtime::generator::{
    CloseReason, Counters, Dial, Event, EventLoop, QUEUED_BYTES_MAX, RECEIVED_BYTES_MAX, Token,
    Wait,
};
use runtime::tls::Handshake;
use rustls::{ServerConnection, StreamOwned};

use support::{Pki, localhost};

/// Nothing here takes longer on a machine that works.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs `case` on each driver and in each way of waiting.
fn everywhere(case: impl Fn(&mut Harness)) {
    for choice in [DriverChoice::Epoll, DriverChoice::RequireIoUring] {
        for wait in [Wait::Sleep, Wait::Spin] {
            match EventLoop::new(choice) {
                Ok(inner) => case(&mut Harness { inner, wait, events: Vec::new() }),
                Err(error) => eprintln!("{choice:?} is not to be had here: {error}"),
            }
        }
    }
}

struct Harness {
    inner: EventLoop,
    wait: Wait,
    events: Vec<Event>,
}

impl Harness {
    fn open(&mut self, addr: SocketAddr) -> Token {
        self.inner.open(&Dial { addr, source: None, tls: None }).unwrap()
    }

    /// The next events; panics when none come.
    fn next(&mut self) -> Vec<Event> {
        let until = Instant::now() + TIMEOUT;
        while self.events.is_empty() {
            assert!(Instant::now() < until, "no event came");
            self.inner.poll(self.wait, Some(until), &mut self.events).unwrap();
        }
        std::mem::take(&mut self.events)
    }

    fn expect_connected(&mut self, token: Token) {
        assert_eq!(self.next(), [Event::Connected(token)]);
    }

    /// Polls until `token` has received `count` bytes.
    fn receive(&mut self, token: Token, count: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < count {
            for event in self.next() {
                assert_eq!(event, Event::Received(token));
            }
            received.extend_from_slice(self.inner.received(token));
            self.inner.consume(token, usize::MAX);
        }
        received
    }

    /// Polls until `token` is closed; returns what it received before, and why.
    fn receive_to_end(&mut self, token: Token) -> (Vec<u8>, CloseReason) {
        let mut received = Vec::new();
        loop {
            for event in self.next() {
                received.extend_from_slice(self.inner.received(token));
                self.inner.consume(token, usize::MAX);
                match event {
                    Event::Closed(closed, reason) if closed == token => return (received, reason),
                    Event::Received(_) | Event::Connected(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// One poll of a few milliseconds, in which nothing may be told.
    fn expect_quiet(&mut self) {
        let until = Instant::now() + Duration::from_millis(20);
        self.inner.poll(self.wait, Some(until), &mut self.events).unwrap();
        assert_eq!(self.events, []);
        assert!(Instant::now() >= until, "it came back too early");
    }
}

/// A server of one connection after the other, each handled by `handle`.
fn serve(handle: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            handle(stream);
        }
    });
    addr
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

fn serve_echo() -> SocketAddr {
    serve(|stream| drop(thread::spawn(move || echo(stream))))
}

/// A TLS server of `answer` for each connection that sent anything.
fn serve_tls(
    config: std::sync::Arc<rustls::ServerConfig>,
    close_notify: bool,
    answer: &'static [u8],
) -> SocketAddr {
    serve(move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        if let Ok(1..) = stream.read(&mut [0; 1024]) {
            stream.write_all(answer).unwrap();
            if close_notify {
                stream.conn.send_close_notify();
            }
            stream.flush().unwrap();
            // A close with unread bytes would be a reset.
            stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.sock.read_to_end(&mut Vec::new());
        }
    })
}

#[test]
fn bytes_go_both_ways() {
    let addr = serve_echo();
    everywhere(|l| {
        let token = l.open(addr);
        assert!(!l.inner.send(token, b"early"), "not before it is connected");
        l.expect_connected(token);
        for round in 0..3 {
            let message = format!("message {round}");
            assert!(l.inner.send(token, message.as_bytes()));
            assert_eq!(l.receive(token, message.len()), message.as_bytes());
        }
        let counters = l.inner.counters(token);
        assert_eq!((counters.bytes_in, counters.bytes_out), (27, 27));
        assert!(counters.connect.unwrap() < TIMEOUT && counters.handshake.is_none());
        assert!(l.inner.facts(token).is_none(), "plain TCP");
        l.expect_quiet();
        l.inner.close(token);
        assert_eq!(l.inner.connections(), 0);
        l.expect_quiet();
    });
}

#[test]
fn what_is_not_consumed_stays() {
    let addr = serve_echo();
    everywhere(|l| {
        let token = l.open(addr);
        l.expect_connected(token);
        l.inner.send(token, b"abc");
        l.next();
        l.inner.consume(token, 1);
        l.inner.send(token, b"def");
        l.next();
        assert_eq!(l.inner.received(token), b"bcdef");
        l.inner.consume(token, 5);
        assert_eq!(l.inner.received(token), b"");
    });
}

#[test]
fn many_connections_share_a_loop() {
    let addr = serve_echo();
    everywhere(|l| {
        let tokens: Vec<Token> = (0..200).map(|_| l.open(addr)).collect();
        let (mut connected, mut answered) = (0, 0);
        while answered < tokens.len() {
            for event in l.next() {
                match event {
                    Event::Connected(token) => {
                        connected += 1;
                        assert!(l.inner.send(token, &token.index().to_be_bytes()));
                    }
                    Event::Received(token) => {
                        assert_eq!(l.inner.received(token), token.index().to_be_bytes());
                        l.inner.close(token);
                        answered += 1;
                    }
                    Event::Closed(..) => panic!("{event:?}"),
                }
            }
        }
        assert_eq!((connected, l.inner.connections()), (200, 0));
    });
}

#[test]
fn the_end_comes_after_the_last_bytes() {
    let addr = serve(|mut stream| stream.write_all(&[7; 300_000]).unwrap());
    everywhere(|l| {
        let token = l.open(addr);
        let (received, reason) = l.receive_to_end(token);
        assert_eq!((received.len(), reason), (300_000, CloseReason::Eof));
        assert!(!l.inner.send(token, b"late"));
        assert_eq!(l.inner.counters(token).bytes_in, 300_000, "known until the next poll");
        l.expect_quiet();
        assert_eq!(l.inner.counters(token), Counters::default());
        assert_eq!(l.inner.connections(), 0);
    });
}

#[test]
fn a_refusal_and_a_reset_are_distinguished() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let resetting = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1]);
        let socket = socket2::Socket::from(stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    });
    everywhere(|l| {
        let token = l.open(refusing);
        assert_eq!(l.next(), [Event::Closed(token, CloseReason::Refused)]);
        let token = l.open(resetting);
        l.expect_connected(token);
        l.inner.send(token, b"x");
        assert_eq!(l.next(), [Event::Closed(token, CloseReason::Reset)]);
        l.inner.close(token);
    });
}

#[test]
fn an_answer_before_a_reset_is_not_lost() {
    let (go, gone) = mpsc::channel::<()>();
    let (told, tell) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let addr = serve(move |mut stream| {
        gone.lock().unwrap().recv().unwrap();
        stream.write_all(b"too large").unwrap();
        let socket = socket2::Socket::from(stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(socket);
        told.send(()).unwrap();
    });
    everywhere(|l| {
        let token = l.open(addr);
        l.expect_connected(token);
        go.send(()).unwrap();
        tell.recv().unwrap();
        // The peer is gone by now: the write fails, what it said before is still there.
        l.inner.send(token, b"a request");
        l.inner.send(token, b"another");
        let (received, reason) = l.receive_to_end(token);
        assert_eq!((&received[..], reason), (&b"too large"[..], CloseReason::Reset));
    });
}

#[test]
fn a_peer_that_never_stops_is_paused_and_resumed() {
    let (count, counted) = mpsc::channel();
    let addr = serve(move |mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut total = 0_usize;
        while let Ok(sent @ 1..) = stream.write(&[1; 65536]) {
            total += sent;
            if total > 64 << 20 {
                break;
            }
        }
        count.send(total).unwrap();
    });
    everywhere(|l| {
        let token = l.open(addr);
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            l.inner.poll(l.wait, Some(until), &mut l.events).unwrap();
        }
        l.events.clear();
        let sent = counted.recv_timeout(TIMEOUT).unwrap();
        assert!(sent < 64 << 20, "the peer was held back");
        let kept = l.inner.received(token).len();
        // What the drivers had in hand when the bound was reached comes on top.
        assert!((RECEIVED_BYTES_MAX..RECEIVED_BYTES_MAX + (5 << 20)).contains(&kept), "{kept}");
        l.inner.consume(token, kept);
        let (rest, reason) = l.receive_to_end(token);
        assert_eq!(kept + rest.len(), sent, "nothing was lost");
        assert_eq!(reason, CloseReason::Eof);
    });
}

#[test]
fn a_large_send_waits_for_a_slow_reader() {
    let (count, counted) = mpsc::channel();
    let addr = serve(move |mut stream| {
        thread::sleep(Duration::from_millis(50));
        count.send(stream.read_to_end(&mut Vec::new()).unwrap()).unwrap();
    });
    everywhere(|l| {
        let token = l.open(addr);
        l.expect_connected(token);
        let body = vec![5; 16 << 20];
        assert!(l.inner.send(token, &body), "one send is taken whole");
        assert!(l.inner.queued(token) > QUEUED_BYTES_MAX);
        assert!(!l.inner.send(token, b"no more"));
        while l.inner.queued(token) > 0 {
            let soon = Instant::now() + Duration::from_millis(5);
            l.inner.poll(l.wait, Some(soon), &mut l.events).unwrap();
            assert_eq!(l.events, []);
        }
        assert_eq!(l.inner.counters(token).bytes_out, 16 << 20);
        l.inner.close(token);
        assert_eq!(counted.recv_timeout(TIMEOUT).unwrap(), 16 << 20);
    });
}

#[test]
fn stale_tokens_are_harmless() {
    let addr = serve_echo();
    everywhere(|l| {
        let old = l.open(addr);
        l.expect_connected(old);
        l.inner.send(old, b"for nobody");
        l.inner.close(old);
        // The same slot and, most likely, the same descriptor; nothing was polled between.
        let new = l.open(addr);
        assert_eq!(old.index(), new.index());
        assert!(!l.inner.send(old, b"x"));
        assert_eq!((l.inner.received(old), l.inner.queued(old)), (&b""[..], 0));
        l.inner.consume(old, 1);
        l.inner.close(old);
        l.expect_connected(new);
        l.inner.send(new, b"mine");
        assert_eq!(l.receive(new, 4), b"mine");
        assert!(l.inner.facts(old).is_none());
    });
}

#[test]
fn connections_closed_while_connecting_leave_nothing_behind() {
    let addr = serve_echo();
    everywhere(|l| {
        for _ in 0..100 {
            let token = l.open(addr);
            l.inner.close(token);
        }
        l.expect_quiet();
        assert_eq!(l.inner.connections(), 0);
        let token = l.open(addr);
        l.expect_connected(token);
        l.inner.send(token, b"still works");
        assert_eq!(l.receive(token, 11), b"still works");
        // Dropping the loop with a connection in flight is in order, too.
    });
}

#[test]
fn a_connection_starts_from_the_address_it_is_told_to() {
    let (peer, peers) = mpsc::channel();
    let addr = serve(move |stream| peer.send(stream.peer_addr().unwrap().ip()).unwrap());
    everywhere(|l| {
        let source: IpAddr = [127, 0, 0, 9].into();
        let token = l.inner.open(&Dial { addr, source: Some(source), tls: None }).unwrap();
        assert_eq!(peers.recv_timeout(TIMEOUT).unwrap(), source);
        l.receive_to_end(token);
        l.expect_quiet();
        let foreign = Some([192, 0, 2, 1].into());
        assert!(l.inner.open(&Dial { addr, source: foreign, tls: None }).is_err());
        assert_eq!(l.inner.connections(), 0);
    });
}

#[test]
fn tls_connections_tell_what_was_agreed() {
    let pki = Pki::new();
    for mutual in [false, true] {
        let addr = serve_tls(pki.server(mutual), true, b"answer");
        let config = pki.client(mutual, false);
        everywhere(|l| {
            let tls = Some((config.clone(), localhost()));
            let token = l.inner.open(&Dial { addr, source: None, tls }).unwrap();
            l.expect_connected(token);
            let facts = l.inner.facts(token).unwrap();
            assert_eq!((facts.version, facts.handshake), ("TLSv1.3", Handshake::Full));
            let hello = l.inner.counters(token).bytes_out;
            l.inner.send(token, b"request");
            let (received, reason) = l.receive_to_end(token);
            assert_eq!((&received[..], reason), (&b"answer"[..], CloseReason::Eof));
            let counters = l.inner.counters(token);
            assert!(counters.handshake.unwrap() > Duration::ZERO);
            assert!(counters.bytes_in > 500, "a certificate came in");
            assert_eq!(counters.bytes_out - hello, 7 + 5 + 1 + 16, "one record");
        });
    }
}

#[test]
fn an_end_without_close_notify_is_a_truncation() {
    let pki = Pki::new();
    let addr = serve_tls(pki.server(false), false, b"answer");
    everywhere(|l| {
        let tls = Some((pki.client(false, false), localhost()));
        let token = l.inner.open(&Dial { addr, source: None, tls }).unwrap();
        l.expect_connected(token);
        l.inner.send(token, b"request");
        let (received, reason) = l.receive_to_end(token);
        assert_eq!((&received[..], reason), (&b"answer"[..], CloseReason::Truncated));
    });
}

#[test]
fn tls_failures_name_the_side_and_the_reason() {
    let pki = Pki::new();
    let mutual = serve_tls(pki.server(true), true, b"");
    let other = serve_tls(Pki::new().server(false), true, b"");
    let plain = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for (addr, needle) in [
        (mutual, "certificate_required"),
        (other, "certificate was refused"),
        (plain, "does not speak TLS"),
    ] {
        everywhere(|l| {
            let tls = Some((pki.client(false, false), localhost()));
            let token = l.inner.open(&Dial { addr, source: None, tls }).unwrap();
            let (_, reason) = l.receive_to_end(token);
            assert!(matches!(reason, CloseReason::Tls(_)), "{reason:?}");
            assert!(reason.to_string().contains(needle), "{reason}");
        });
    }
}

#[test]
fn a_large_tls_answer_arrives_whole() {
    const ANSWER: &[u8] = &[42; 3_000_000];
    let pki = Pki::new();
    let addr = serve_tls(pki.server(false), true, ANSWER);
    everywhere(|l| {
        let tls = Some((pki.client(false, false), localhost()));
        let token = l.inner.open(&Dial { addr, source: None, tls }).unwrap();
        l.expect_connected(token);
        l.inner.send(token, b"request");
        let (received, reason) = l.receive_to_end(token);
        assert_eq!(reason, CloseReason::Eof);
        assert!(received == ANSWER);
    });
}

#[test]
fn sleeping_ends_on_time() {
    everywhere(|l| {
        let mut late = Vec::new();
        for _ in 0..50 {
            let until = Instant::now() + Duration::from_micros(300);
            l.inner.poll(l.wait, Some(until), &mut l.events).unwrap();
            late.push(Instant::now().checked_duration_since(until).expect("not early"));
        }
        late.sort_unstable();
        // A millisecond timer would be late by half a millisecond and more, every time.
        assert!(late[10] < Duration::from_micros(400), "{late:?}");
    });
}
