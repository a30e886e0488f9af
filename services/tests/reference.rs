//! The server of known cost, on both drivers: what it does is what it was told, and what it counts
//! is what it did.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use metrics_export::prometheus::Scrape;
use runtime::DriverChoice;
use runtime::blocking::{self, Response};
use runtime::url::Url;
use services::RunningService;
use services::reference::{Behaviour, ReferenceConfig, RequestShare, start};

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
        assert_eq!(server.counted_ns("loop"), 0);
        for idle in ["delays", "stalls", "resets", "wrong"] {
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
fn delayed_responses_block_no_other_request() {
    let behaviour = Behaviour { delay: Duration::from_millis(200), ..Behaviour::default() };
    on_each_driver(behaviour, |server| {
        let start = Instant::now();
        std::thread::scope(|scope| {
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
    let behaviour = Behaviour { stall: true, ..Behaviour::default() };
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
