//! `tollgate run` as a function: what it finds, how it says it, and when it refuses.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::Server;
use loadgen::command::run::{
    AuthorizationSource, ClientCredentials, OutputFormat, RunOptions, RunOutcome, run,
};
use loadgen::machine::process::{CpuSource, Process};
use loadgen::traffic::schedule::{ArrivalPattern, Rate};
use loadgen::traffic::slice::{Arrivals, SliceSpec};
use runtime::url::Url;

fn options(server: &Server, path: &str, rate: Option<f64>) -> RunOptions {
    let url = Url::parse(&format!("http://{}{path}", server.addr)).unwrap();
    let arrivals = rate.map_or(Arrivals::Closed, |rate| Arrivals::Open {
        rate: Rate::per_second(rate).unwrap(),
        pattern: ArrivalPattern::Constant,
    });
    let mut options = RunOptions::new(url, SliceSpec::new(arrivals, 4, Duration::from_millis(300)));
    options.warmup = Duration::from_millis(100);
    // These tests are about other things than the machine's quiet.
    options.bounds.lateness_p99_ns_max = u64::MAX;
    options.bounds.achieved_share_min = 0.5;
    options.bounds.steal_share_max = 1.0;
    options.bounds.in_flight_growth_max = 1_000;
    options
}

fn done(options: &RunOptions) -> RunOutcome {
    run(options, &|| false).unwrap()
}

#[test]
fn a_valid_run_is_printed_in_every_format() {
    let server = Server::start();
    let mut options = options(&server, "/ok?secret=1", Some(1000.0));
    options.annotations.label = Some("a, \"b\"".into());
    let outcome = done(&options);
    assert_eq!(outcome.exit_code(), 0, "{:?}", outcome.breaches);
    assert_eq!(outcome.record.requests_answered, 300);
    assert_eq!(outcome.record.connections.kept, 4, "those of the warm-up");

    let text = outcome.render(OutputFormat::Text);
    for part in ["open loop at 1000/s (constant)", "response time", "service time", "300 x 200"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&outcome.render(OutputFormat::Json)).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(json["requests"]["ok"], 300);
    assert_eq!(json["plan"]["asked_per_s"], 1000.0);
    assert!(json["times"]["response"]["p99_ns"].as_u64().unwrap() > 1000);
    let csv = outcome.render(OutputFormat::Csv);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[1].starts_with("\"a, \"\"b\"\"\","), "{csv}");
    assert_eq!(lines.len(), 2);
    assert!(outcome.render(OutputFormat::Markdown).contains("| response time |"));
    assert_eq!(outcome.render(OutputFormat::Quiet), "");
    let hlog = String::from_utf8(outcome.hlog().unwrap()).unwrap();
    assert!(hlog.contains("Tag=response,"), "{hlog}");
    for written in [text, csv, json.to_string(), hlog] {
        assert!(!written.contains("secret"), "a query may hold a secret:\n{written}");
    }
}

#[test]
fn a_closed_loop_says_what_it_hides() {
    let server = Server::start();
    let outcome = done(&options(&server, "/ok", None));
    assert_eq!(outcome.exit_code(), 0, "{:?}", outcome.breaches);
    assert!(outcome.notes.iter().any(|note| note.contains("closed loop")));
    assert!(outcome.render(OutputFormat::Json).contains("\"loop\": \"closed\""));
}

#[test]
fn errors_and_overload_come_first() {
    let server = Server::start();
    let outcome = done(&options(&server, "/third-503", Some(900.0)));
    assert_eq!(outcome.exit_code(), 3);
    let text = outcome.render(OutputFormat::Text);
    assert!(
        text.starts_with("INVALID: 90 requests have no good response (status), limit 0."),
        "{text}"
    );
    assert!(outcome.render(OutputFormat::Quiet).starts_with("INVALID"));

    // Four connections of 20 ms each answer 200 a second.
    let mut slow = options(&server, "/delay", Some(2000.0));
    slow.slice.queue_max = Some(10);
    let outcome = done(&slow);
    assert_eq!(outcome.exit_code(), 3);
    assert_eq!(outcome.breaches.len(), 2, "{:?}", outcome.breaches);
    assert!(outcome.breaches[1].sentence.contains("found the queue full"));

    let outcome = done(&options(&server, "/garbage", Some(100.0)));
    assert_eq!(outcome.exit_code(), 1, "no good reply at all");
}

#[test]
fn a_percentile_of_nothing_is_no_number() {
    let server = Server::start();
    let outcome = done(&options(&server, "/garbage", Some(100.0)));
    let csv = outcome.render(OutputFormat::Csv);
    let (names, cells) = csv.trim_end().split_once('\n').unwrap();
    let mut row = names.split(',').zip(cells.split(','));
    assert!(row.all(|(name, cell)| !name.starts_with("response_") || cell.is_empty()), "{csv}");
    let json: serde_json::Value =
        serde_json::from_str(&outcome.render(OutputFormat::Json)).unwrap();
    assert!(json["times"].get("response").is_none(), "{json:#}");
    for format in [OutputFormat::Text, OutputFormat::Markdown] {
        assert!(!outcome.render(format).contains("response time"));
    }
}

#[test]
fn a_cpu_counter_that_is_no_counter_gives_no_figure_and_a_sentence() {
    let server = Server::start();
    type Page = fn(u64) -> String;
    let pages: [(Page, &str); 3] = [
        (|nth| format!("{}.5", 90 - nth), "fell from"),
        (|nth| if nth == 0 { "1.5".into() } else { "NaN".into() }, "is NaN"),
        (|_| "-Inf".into(), "is -inf"),
    ];
    for (value, part) in pages {
        let mut options = options(&server, "/ok", Some(100.0));
        let cpu = CpuSource::Metrics(Url::parse(&metrics_page(value)).unwrap());
        options.servers = vec![Process { service: "server".into(), cpu, admin: None }];
        let outcome = done(&options);
        let json: serde_json::Value =
            serde_json::from_str(&outcome.render(OutputFormat::Json)).unwrap();
        assert_eq!(json["server"], serde_json::Value::Null, "{json:#}");
        assert!(outcome.notes.iter().any(|note| note.contains(part)), "{:?}", outcome.notes);
        assert!(!outcome.render(OutputFormat::Text).contains("server CPU"));
    }
}

/// Publishes a CPU counter, a value for each time it is asked.
fn metrics_page(value: fn(u64) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (nth, mut stream) in (0..).zip(listener.incoming().flatten()) {
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let body = format!("process_cpu_seconds_total {}\n", value(nth));
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let server = Server::start();
    let mut options = options(&server, "/ok", Some(1000.0));
    options.slice.duration = Duration::from_secs(30);
    let stop = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&stop);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(600));
        later.store(true, Ordering::Relaxed);
    });
    let outcome = run(&options, &|| stop.load(Ordering::Relaxed)).unwrap();
    assert_eq!(outcome.exit_code(), 130);
    assert!(outcome.record.requests_answered > 100);
    assert!(outcome.render(OutputFormat::Text).starts_with("Interrupted"));
    let error = run(&options, &|| true).unwrap_err();
    assert_eq!(error.exit_code(), 130);
}

#[test]
fn what_cannot_be_run_is_a_sentence() {
    let server = Server::start();
    let mut refused = options(&server, "/ok", None);
    refused.url = Url::parse("http://127.0.0.1:1/").unwrap();
    let error = run(&refused, &|| false).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("no connection to http://127.0.0.1:1"), "{error}");

    let mut method = options(&server, "/ok", None);
    method.method = Some("GE T".into());
    let error = run(&method, &|| false).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("GE T"), "{error}");
}

#[test]
fn a_token_is_fetched_before_and_renewed_while_it_runs() {
    let server = Server::start();
    let asked = Arc::new(AtomicU64::new(0));
    let endpoint = token_endpoint(Arc::clone(&asked));
    let mut options = options(&server, "/ok", Some(50.0));
    options.slice.duration = Duration::from_millis(1700);
    options.credentials = AuthorizationSource::Client(Arc::new(ClientCredentials {
        token_url: Url::parse(&endpoint).unwrap(),
        client_id: "bench".into(),
        secret: String::from("s3cret").into(),
        scope: Some("orders.read".into()),
        params: Vec::new(),
    }));
    let outcome = done(&options);
    assert_eq!(outcome.exit_code(), 0, "{:?}", outcome.breaches);
    assert!(asked.load(Ordering::Relaxed) >= 2, "asked once only");
    let heads = server.seen.heads.lock().unwrap();
    let carry = |token: &str| {
        let field = format!("Authorization: Bearer {token}\r\n");
        heads.iter().filter(|head| head.contains(&field)).count()
    };
    assert!(carry("token-0") > 10 && carry("token-1") > 5, "{:?}", heads.last());
    assert!(!format!("{:?}", options).contains("s3cret"));
}

#[test]
fn a_refused_client_certificate_is_reported() {
    let server = Server::start();
    let mut options = options(&server, "/ok", Some(50.0));
    options.credentials = AuthorizationSource::Client(Arc::new(ClientCredentials {
        token_url: options.url.clone(),
        client_id: "bench".into(),
        secret: String::from("s3cret").into(),
        scope: None,
        params: Vec::new(),
    }));
    let error = run(&options, &|| false).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().starts_with("no token from http://"), "{error}");
}

/// Answers every request with another token of one second's life.
fn token_endpoint(asked: Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/oauth2/token", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"POST /oauth2/token HTTP/1.1\r\n"));
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            let body = format!(
                "{{\"access_token\":\"token-{nth}\",\"token_type\":\"Bearer\",\"expires_in\":1}}"
            );
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    url
}
