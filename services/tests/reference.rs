//! The server of known cost, on both drivers: what it does is what it was told, and what it counts
//! is what it did.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use metrics_export::prometheus::Scrape;
use runtime::DriverChoice;
use runtime::blocking::{self, Response};
use runtime::url::Url;
use services::RunningService;
use services::reference::{Behaviour, ReferenceConfig, RequestShare, Stall, start};

const SOON: Duration = Duration::from_secs(20);

struct Server(RunningService);

impl Server {
    fn get(&self, path: &str) -> Result<Response, blocking::Error> {
        ask(&format!("http://{}{path}", self.0.addr()))
    }

    fn ping(&self) -> Result<Response, blocking::Error> {
        self.get("/api/ping")
    }

    fn counted(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let answer = ask(&format!("http://{}/metrics", self.0.admin().unwrap())).unwrap();
        let page = Scrape::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap();
        page.sum(&format!("reference_{name}_total"), labels).unwrap() as u64
    }

    fn counted_ns(&self, name: &str) -> u64 {
        let answer = ask(&format!("http://{}/metrics", self.0.admin().unwrap())).unwrap();
        let page = Scrape::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap();
        let seconds = page.sum(&format!("reference_{name}_seconds_total"), &[]).unwrap();
        (seconds * 1e9).round() as u64
    }
}

/// One connection that stays open.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(server: &Server) -> Client {
        let tcp = TcpStream::connect(server.0.addr()).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        Client(BufReader::new(tcp))
    }

    /// Sends so many requests with one write.
    fn send(&mut self, count: usize) {
        let request = "GET /api/ping HTTP/1.1\r\nHost: reference\r\n\r\n";
        self.0.get_mut().write_all(request.repeat(count).as_bytes()).unwrap();
    }

    /// Reads one response to its end.
    fn receive(&mut self) {
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{status:?}");
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            match line.strip_prefix("content-length:") {
                Some(value) => length = value.trim().parse().unwrap(),
                None if line.is_empty() => break,
                None => {}
            }
        }
        assert!(length > 0, "no response without a body");
        self.0.read_exact(&mut vec![0; length]).unwrap();
    }

    /// How long one request takes.
    fn ping(&mut self) -> Duration {
        let start = Instant::now();
        self.send(1);
        self.receive();
        start.elapsed()
    }
}

fn ask(url: &str) -> Result<Response, blocking::Error> {
    blocking::request(&Url::parse(url).unwrap(), None, "GET", &[], b"", SOON, 1 << 20)
}

/// Runs `case` with a server of one worker on each driver.
fn on_each_driver(behaviour: Behaviour, case: impl Fn(Server)) {
    for driver in [DriverChoice::Auto, DriverChoice::Epoll] {
        let any = "127.0.0.1:0".parse().unwrap();
        let cores = runtime::process::allowed_cpus().unwrap()[..1].to_vec();
        let config = ReferenceConfig {
            listen: any,
            admin: any,
            cores: Some(cores),
            driver,
            exit_with_stdin: false,
            drain: SOON,
            behaviour,
            load: None,
        };
        case(Server(start(&config).unwrap()));
    }
}

#[test]
fn without_options_it_responds_as_the_gateway_does() {
    on_each_driver(Behaviour::default(), |server| {
        for _ in 0..10 {
            let answer = server.ping().unwrap();
            assert_eq!(answer.status, 200);
            assert!((90..=110).contains(&answer.body.len()), "{}", answer.body.len());
        }
        assert_eq!(server.get("/elsewhere").unwrap().status, 404);
        let admin = server.0.admin().unwrap();
        assert_eq!(ask(&format!("http://{admin}/readyz")).unwrap().status, 200);
        assert_eq!(server.counted("requests", &[]), 10);
        for idle in ["loop", "after_loop", "walk"] {
            assert_eq!(server.counted_ns(idle), 0, "{idle}");
        }
        for idle in ["after_loops", "delays", "stalls", "resets", "wrong"] {
            assert_eq!(server.counted(idle, &[]), 0, "{idle}");
        }
    });
}

#[test]
fn every_request_burns_the_configured_time_and_counts_it() {
    let behaviour = Behaviour { busy: Duration::from_micros(500), ..Behaviour::default() };
    on_each_driver(behaviour, |server| {
        for _ in 0..20 {
            server.ping().unwrap();
        }
        let ns = server.counted_ns("loop");
        // A loop ends with the first reading that is late enough, and the last of two is added:
        // on a busy machine that is a tick more now and then.
        assert!((10_000_000..200_000_000).contains(&ns), "{ns}");
    });
}

#[test]
fn half_a_us_can_be_burnt() {
    let behaviour = Behaviour { busy: Duration::from_nanos(500), ..Behaviour::default() };
    on_each_driver(behaviour, |server| {
        let mut client = Client::of(&server);
        for _ in 0..200 {
            client.ping();
        }
        let ns = server.counted_ns("loop") / 200;
        assert!((500..20_000).contains(&ns), "{ns}");
    });
}

#[test]
fn every_request_walks_the_configured_memory_and_counts_its_time() {
    let walk = |walk_kib| {
        let told = std::cell::Cell::new(u64::MAX);
        on_each_driver(Behaviour { walk_kib, ..Behaviour::default() }, |server| {
            let mut client = Client::of(&server);
            for _ in 0..50 {
                client.ping();
            }
            assert_eq!(server.counted("requests", &[]), 50);
            told.set(told.get().min(server.counted_ns("walk") / 50));
        });
        told.get()
    };
    // 4,096 times as many lines; the readings of the clock are in both.
    let (short, long) = (walk(1), walk(4_096));
    assert!(short > 0 && long > 10 * short, "{short} ns and {long} ns");
}

#[test]
fn a_response_is_there_before_the_work_that_follows_it() {
    let (work, half) = (Duration::from_millis(50), Duration::from_millis(25));
    on_each_driver(Behaviour { after: work, ..Behaviour::default() }, |server| {
        let mut client = Client::of(&server);
        let (mut alone, mut behind, mut between) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            alone.push(client.ping());
            // The core still works for the one before.
            behind.push(client.ping());
            thread::sleep(3 * work);
            // Of two that came together, the first does not wait for the second.
            client.send(2);
            client.receive();
            let first = Instant::now();
            client.receive();
            between.push(first.elapsed());
            thread::sleep(3 * work);
        }
        // A busy machine delays some of them, a server that works first all of them.
        assert!(alone.iter().min().unwrap() < &half, "{alone:?}");
        assert!(behind.iter().max().unwrap() > &half, "{behind:?}");
        assert!(between.iter().max().unwrap() > &half, "{between:?}");

        let start = Instant::now();
        while server.counted("after_loops", &[]) < 12 {
            assert!(start.elapsed() < SOON, "a loop is missing");
        }
        assert_eq!(server.counted("requests", &[]), 12);
        assert_eq!(server.counted_ns("loop"), 0);
        let ns = server.counted_ns("after_loop");
        assert!((600_000_000..1_200_000_000).contains(&ns), "{ns}");
    });
}

#[test]
fn a_request_without_a_response_has_no_work_after_it() {
    let behaviour = Behaviour {
        after: Duration::from_micros(100),
        reset: RequestShare::percent(50.0).unwrap(),
        ..Behaviour::default()
    };
    on_each_driver(behaviour, |server| {
        let answered = (0..10).filter(|_| server.ping().is_ok()).count();
        assert_eq!(answered, 5);
        assert_eq!(server.counted("requests", &[]), 10);
        assert_eq!(server.counted("after_loops", &[]), 5);
    });
}

#[test]
fn delayed_responses_block_no_other_request() {
    let behaviour = Behaviour { delay: Duration::from_millis(200), ..Behaviour::default() };
    on_each_driver(behaviour, |server| {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let start = Instant::now();
                    assert_eq!(server.ping().unwrap().status, 200);
                    assert!(start.elapsed() >= behaviour.delay);
                });
            }
        });
        assert!(start.elapsed() < 10 * behaviour.delay, "they waited for each other");
        assert_eq!(server.counted("delays", &[]), 20);
        assert!(server.counted_ns("delayed") >= 20 * 200_000_000);
    });
}

#[test]
fn the_core_stands_still_once_a_second() {
    let behaviour = Behaviour { stall: Some(Stall::ONCE_A_SECOND), ..Behaviour::default() };
    on_each_driver(behaviour, |server| {
        let start = Instant::now();
        while server.counted("stalls", &[]) < 2 {
            assert!(start.elapsed() < SOON, "it never stood still");
            server.ping().unwrap();
        }
        assert!(start.elapsed() > Duration::from_millis(1_500));
        let (stalls, ns) = (server.counted("stalls", &[]), server.counted_ns("stalled"));
        assert!(ns > 0 && ns / stalls < 5_000_000_000, "{ns} ns in {stalls}");
    });
}

#[test]
fn pauses_are_as_long_and_as_frequent_as_configured() {
    let (length, every) = (Duration::from_millis(20), Duration::from_millis(100));
    let stall = Some(Stall { length, every });
    on_each_driver(Behaviour { stall, ..Behaviour::default() }, |server| {
        let mut client = Client::of(&server);
        let (start, mut longest) = (Instant::now(), Duration::ZERO);
        while start.elapsed() < 10 * every {
            longest = longest.max(client.ping());
        }
        assert!(longest > length / 2, "{longest:?}");
        let (stalls, ns) = (server.counted("stalls", &[]), server.counted_ns("stalled"));
        // The server began a little earlier, and a busy machine does not ask in every period.
        let most = start.elapsed().as_millis() as u64 / 100 + 1;
        assert!((3..=most).contains(&stalls), "{stalls} of {most}");
        assert!((10_000_000..60_000_000).contains(&(ns / stalls)), "{ns} ns in {stalls}");
    });
}

#[test]
fn wrong_answers_and_resets_are_counted_exactly() {
    let behaviour = Behaviour {
        wrong: RequestShare::percent(20.0).unwrap(),
        reset: RequestShare::percent(10.0).unwrap(),
        ..Behaviour::default()
    };
    on_each_driver(behaviour, |server| {
        let (mut by_status, mut by_body, mut resets) = (0, 0, 0);
        for _ in 0..100 {
            match server.ping() {
                Ok(answer) if answer.status == 500 => by_status += 1,
                Ok(answer) if answer.body.len() < 90 => by_body += 1,
                Ok(answer) => assert_eq!(answer.status, 200),
                Err(error) => {
                    assert_eq!(error, blocking::Error::Reset);
                    resets += 1;
                }
            }
        }
        assert_eq!((resets, by_status, by_body), (10, 9, 9));
        assert_eq!(server.counted("resets", &[]), 10);
        assert_eq!(server.counted("wrong", &[("kind", "status")]), 9);
        assert_eq!(server.counted("wrong", &[("kind", "short_body")]), 9);
        assert_eq!(server.counted("requests", &[]), 100);
    });
}
