//! The upstream client: what it keeps, what it repeats, and what it calls an error.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use runtime::{Addresses, Endpoint};

use crate::peer::{Peer, TIMEOUT};
use crate::proxy::{Backend, Proxy};
use crate::shop::{Shop, Up, with_each_driver};
use crate::support::{Pki, localhost};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads one request without a body; false at the end.
fn request(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return false,
        }
    }
    true
}

#[test]
fn connections_are_kept_and_used_again() {
    with_each_driver(|choice| {
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        let shop = Up::start(choice, endpoint, |core| Shop(core.clone())).unwrap();
        let proxy = Proxy::start(choice, shop.addr, |_| {});
        let mut peer = Peer::connect(proxy.addr);
        for _ in 0..5 {
            assert_eq!(peer.get("/ping").text(), "pong");
            assert_eq!(peer.post("/echo", b"hello").text(), "hello");
        }
        thread::sleep(Duration::from_millis(60));
        assert_eq!(peer.get("/ping").text(), "pong");
        assert_eq!(shop.sum(|stats| stats.connections_accepted.value()), 1);
        assert_eq!(proxy.sum(|stats| stats.upstream_opened.value()), 1);
        assert_eq!(proxy.sum(|stats| stats.upstream_reused.value()), 10);
        drop(peer);
        assert_eq!(proxy.drain(TIMEOUT).cut, 0);
        shop.eventually("open", 0, |stats| stats.connections_open.value());
    });
}

#[test]
fn bodies_are_streamed_through() {
    with_each_driver(|choice| {
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        let shop = Up::start(choice, endpoint, |core| Shop(core.clone())).unwrap();
        let proxy = Proxy::start(choice, shop.addr, |_| {});
        let mut peer = Peer::connect(proxy.addr);
        let body: Vec<u8> = (0..200_000_u32).map(|n| (n / 3) as u8).collect();
        for _ in 0..2 {
            assert_eq!(peer.post("/stream", &body).body, body);
        }
        assert_eq!(shop.sum(|stats| stats.connections_accepted.value()), 1);
    });
}

#[test]
fn a_stale_connection_is_noticed_before_it_is_used() {
    with_each_driver(|choice| {
        let backend = Backend::start(|_, mut stream| {
            request(&mut stream);
            stream.write_all(OK).unwrap();
        });
        let proxy = Proxy::start(choice, backend.addr, |_| {});
        let mut peer = Peer::connect(proxy.addr);
        for _ in 0..3 {
            assert_eq!(peer.post("/", b"").text(), "ok");
            // Long enough for the close to arrive and for the connection to be unsolicited.
            thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(backend.connections(), 3);
        assert_eq!(proxy.sum(|stats| stats.upstream_retried.value()), 0);
    });
}

#[test]
fn only_what_may_be_repeated_is_repeated() {
    for (method, status, asked) in [("GET", 200, 3), ("POST", 502, 2)] {
        with_each_driver(|choice| {
            let seen = Arc::new(AtomicU64::new(0));
            let count = seen.clone();
            // The first connection takes a second request and closes without a word.
            let backend = Backend::start(move |number, mut stream| {
                while request(&mut stream) {
                    count.fetch_add(1, Ordering::SeqCst);
                    if number == 0 && count.load(Ordering::SeqCst) == 2 {
                        return;
                    }
                    stream.write_all(OK).unwrap();
                }
            });
            let proxy = Proxy::start(choice, backend.addr, |_| {});
            let mut peer = Peer::connect(proxy.addr);
            assert_eq!(peer.get("/").text(), "ok");
            let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            peer.send(bytes);
            assert_eq!(peer.response().unwrap().status, status, "{method}");
            assert_eq!(seen.load(Ordering::SeqCst), asked, "{method}");
            let retried = proxy.sum(|stats| stats.upstream_retried.value());
            assert_eq!(retried, u64::from(method == "GET"));
        });
    }
}

#[test]
fn failures_are_distinguished() {
    let cases: [(&'static [u8], u16, &str); 5] = [
        (b"", 502, "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 502, "before its response was whole"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502, "breaks HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n", 502, "too large"),
        (b"ICY 200 OK\r\n\r\n", 502, "breaks HTTP"),
    ];
    for (bytes, status, text) in cases {
        with_each_driver(|choice| {
            let backend = Backend::start(move |_, mut stream| {
                request(&mut stream);
                let _ = stream.write_all(bytes);
            });
            let proxy = Proxy::start(choice, backend.addr, |_| {});
            let response = Peer::connect(proxy.addr).get("/");
            assert_eq!(response.status, status);
            assert!(response.text().contains(text), "{}", response.text());
            assert_eq!(proxy.sum(|stats| stats.upstream_open.value()), 0);
        });
    }
}

#[test]
fn an_upstream_that_is_not_there_is_502() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    with_each_driver(|choice| {
        let proxy = Proxy::start(choice, addr, |_| {});
        let response = Peer::connect(proxy.addr).get("/");
        assert_eq!(response.status, 502);
        assert!(response.text().contains("cannot be reached"), "{}", response.text());
    });
}

#[test]
fn a_silent_upstream_is_504() {
    with_each_driver(|choice| {
        let backend = Backend::start(|_, mut stream| {
            request(&mut stream);
            // Until the client gives up.
            let _ = stream.read(&mut [0]);
        });
        let proxy = Proxy::start(choice, backend.addr, |config| {
            config.response_timeout = Duration::from_millis(100)
        });
        let mut peer = Peer::connect(proxy.addr);
        for _ in 0..2 {
            assert_eq!(peer.get("/").status, 504);
        }
        assert_eq!(backend.connections(), 2, "a late connection is not used again");
    });
}

#[test]
fn an_upstream_that_takes_no_connection_is_504() {
    // A backlog that is full drops further SYNs.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = listener.unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let _full: Vec<_> =
        (0..2).map(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(200))).collect();
    with_each_driver(|choice| {
        let proxy = Proxy::start(choice, addr, |config| {
            config.connect_timeout = Duration::from_millis(100)
        });
        assert_eq!(Peer::connect(proxy.addr).get("/").status, 504);
    });
}

#[test]
fn too_many_calls_at_once_are_503() {
    with_each_driver(|choice| {
        let backend = Backend::start(|_, mut stream| {
            while request(&mut stream) {
                thread::sleep(Duration::from_millis(300));
                if stream.write_all(OK).is_err() {
                    return;
                }
            }
        });
        let proxy = Proxy::start(choice, backend.addr, |config| config.connections_max = 1);
        // Three on two cores: two of them meet on one.
        let visits: Vec<_> = (0..3)
            .map(|_| {
                let addr = proxy.addr;
                thread::spawn(move || Peer::connect(addr).get("/").status)
            })
            .collect();
        let mut statuses: Vec<u16> = visits.into_iter().map(|t| t.join().unwrap()).collect();
        statuses.sort_unstable();
        assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
        // A moment later there is room again.
        assert_eq!(Peer::connect(proxy.addr).get("/").status, 200);
    });
}

#[test]
fn a_call_dropped_early_cannot_mix_up_responses() {
    with_each_driver(|choice| {
        let backend = Backend::start(|number, mut stream| {
            while request(&mut stream) {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(20));
                // The reader may be gone by now; that is the point.
                if stream.write_all(format!("conn {number}").as_bytes()).is_err() {
                    return;
                }
            }
        });
        let proxy = Proxy::start(choice, backend.addr, |_| {});
        let mut peer = Peer::connect(proxy.addr);
        for number in 0..3 {
            assert_eq!(peer.get("/drop/it").status, 200);
            let response = peer.get("/read/it");
            // Every dropped call costs its connection, and every read one keeps its own.
            assert!(response.text().starts_with("conn "), "{}", response.text());
            assert!(backend.connections() > number, "{number}");
        }
        assert_eq!(backend.connections(), 4);
    });
}

#[test]
fn upstreams_are_spoken_to_under_mutual_tls() {
    let pki = Pki::new();
    let server = pki.server(true);
    with_each_driver(|choice| {
        let mut endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        endpoint.tls = Some(server.clone());
        let shop = Up::start(choice, endpoint, |core| Shop(core.clone())).unwrap();
        let known = pki.client(true, false);
        let proxy = Proxy::start(choice, shop.addr, move |config| {
            config.tls = Some((known.clone(), localhost()));
        });
        let mut peer = Peer::connect(proxy.addr);
        for _ in 0..3 {
            let response = peer.get("/facts");
            assert!(response.text().ends_with("Full 1"), "{}", response.text());
        }
        assert_eq!(shop.sum(|stats| stats.handshakes_full.value()), 1);
        assert_eq!(proxy.sum(|stats| stats.upstream_handshakes.value()), 1);
        let body = vec![b'z'; 300_000];
        assert_eq!(peer.post("/stream", &body).body, body);
        let stranger = Pki::new().client(true, false);
        let proxy = Proxy::start(choice, shop.addr, move |config| {
            config.tls = Some((stranger.clone(), localhost()));
        });
        let response = Peer::connect(proxy.addr).get("/ping");
        assert_eq!(response.status, 502);
        assert!(response.text().contains("TLS"), "{}", response.text());
    });
}

/// A list of addresses that the test changes, and how often a connection failed.
#[derive(Debug)]
struct Book {
    list: Mutex<Arc<Vec<SocketAddr>>>,
    version: AtomicU64,
    failed: AtomicU64,
}

impl Book {
    fn new(addr: SocketAddr) -> Arc<Book> {
        let list = Mutex::new(Arc::new(vec![addr]));
        Arc::new(Book { list, version: AtomicU64::new(1), failed: AtomicU64::new(0) })
    }

    fn change(&self, addrs: Vec<SocketAddr>) {
        *self.list.lock().unwrap() = Arc::new(addrs);
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Shared(Arc<Book>);

impl Addresses for Shared {
    fn version(&self) -> u64 {
        self.0.version.load(Ordering::SeqCst)
    }

    fn list(&self) -> Arc<Vec<SocketAddr>> {
        self.0.list.lock().unwrap().clone()
    }

    fn failed(&self) {
        self.0.failed.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_upstream_that_moves_is_followed_and_a_failure_is_reported() {
    with_each_driver(|choice| {
        let serve = |_, mut stream: TcpStream| {
            while request(&mut stream) {
                stream.write_all(OK).unwrap();
            }
        };
        let (old, new) = (Backend::start(serve), Backend::start(serve));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let book = Book::new(old.addr);
        let shared = book.clone();
        let proxy = Proxy::start(choice, old.addr, move |config| {
            config.addrs = Arc::new(Shared(shared.clone()));
        });
        let mut peer = Peer::connect(proxy.addr);
        // Still one of its addresses: the connection is kept.
        for addrs in [vec![old.addr], vec![new.addr, old.addr], vec![old.addr]] {
            book.change(addrs);
            assert_eq!(peer.get("/").status, 200);
        }
        assert_eq!((old.connections(), new.connections()), (1, 0));
        book.change(vec![new.addr]);
        assert_eq!(peer.get("/").status, 200);
        assert_eq!((old.connections(), new.connections()), (1, 1));
        assert_eq!(proxy.sum(|stats| stats.upstream_open.value()), 1, "the old one is closed");
        book.change(vec![nobody]);
        assert_eq!(peer.get("/").status, 502);
        assert_eq!(book.failed.load(Ordering::SeqCst), 1);
    });
}
