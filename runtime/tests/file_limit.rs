//! A server that runs out of file descriptors waits for one instead of spinning or dying. It is
//! alone in its process, whose limit it lowers.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use runtime::{
    Broken, CorePlan, DriverChoice, Endpoint, Exchange, Peer, Service, launch, no_admin,
};

struct Ping;

impl Service for Ping {
    type Session = ();

    fn open(&self, _: &Peer<'_>) {}

    async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        exchange.reply().send(200, &[], b"pong");
        Ok(())
    }
}

/// Sets the soft limit; the hard one stays.
fn limit_files(count: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to one live struct, which the call fills in.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = count;
    // SAFETY: the pointer is to one live struct, which the call only reads.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!((got, set), (0, 0));
}

fn ping(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream
}

fn pong(mut stream: &TcpStream) {
    let mut bytes = [0; 1024];
    let count = stream.read(&mut bytes).unwrap();
    assert!(bytes[..count].ends_with(b"pong"));
}

#[test]
fn without_descriptors_the_backlog_waits() {
    for choice in [DriverChoice::Epoll, DriverChoice::Auto] {
        let plan = CorePlan::new(Some(1), None, choice).unwrap();
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        let running = launch(plan, endpoint, None, |_| Ping, no_admin).unwrap();
        // Every connection takes two descriptors here, for both its ends are in this process.
        let first = ping(running.addr);
        pong(&first);
        // The limit is one of numbers, and the lowest free one is given out first.
        let free = File::open("/dev/null").unwrap().as_raw_fd() as u64;
        limit_files(free + 3);
        let waiting: Vec<TcpStream> = (0..2).map(|_| ping(running.addr)).collect();
        let start = Instant::now();
        while running.stats[0].accept_errors.value() < 2 {
            assert!(start.elapsed() < Duration::from_secs(20), "no accept has failed");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(300));
        let errors = running.stats[0].accept_errors.value();
        assert!(errors < 100, "{errors} attempts in a third of a second are a busy loop");
        limit_files(free + 100);
        for stream in &waiting {
            pong(stream);
        }
        let _ = running.drain(Duration::from_secs(5));
    }
}
