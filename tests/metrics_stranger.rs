//! The metrics pages are read by strangers: Prometheus's own promtool accepts them in text format
//! 0.0.4 without a complaint about any name, the public Python client reads them as OpenMetrics,
//! and our own reader finds the same series in both. The Python package comes from PyPI into a
//! virtual environment below `target/`, once; where it or promtool cannot be had the test fails,
//! for nothing was proved then.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/python.rs"]
mod python;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use metrics_export::prometheus::{ACCEPT, Scrape};
use runtime::blocking::{self, Response};
use runtime::url::Url;

use common::{DRIVERS, TOLLGATE, Up};

const PACKAGE: &str = "prometheus-client==0.21.1";

/// Prints the type of every family and the number of its samples; a page that is no OpenMetrics
/// raises an exception.
const READ: &str = "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
for family in families(sys.stdin.read()): print(family.type, len(family.samples))";

/// Runs a program on a page and returns what it printed; it must end well and complain of nothing.
fn judged(program: &Path, words: &[&str], page: &str) -> String {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{} could not be started: {error}; install prometheus", program.display())
    });
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let ended_well = output.status.success() && complaints.is_empty();
    assert!(ended_well, "{} complains: {complaints}\n{page}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// The interpreter that reads pages; made once for all tests.
static PYTHON: LazyLock<PathBuf> =
    LazyLock::new(|| python::interpreter(&[PACKAGE], "prometheus_client.openmetrics.parser"));

fn scraped(url: &str, accept: &[&str]) -> Response {
    let fields: Vec<(&str, &[u8])> =
        accept.iter().map(|value| ("Accept", value.as_bytes())).collect();
    let url = Url::parse(url).unwrap();
    let within = Duration::from_secs(10);
    let answer = blocking::request(&url, None, "GET", &fields, b"", within, 1 << 20).unwrap();
    assert_eq!(answer.status, 200);
    answer
}

/// Names and labels of every sample of a page.
fn series(page: &str) -> BTreeSet<String> {
    let samples = Scrape::parse(page).unwrap().samples;
    samples.iter().map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
}

/// Checks both forms of a page.
fn check(url: &str) {
    let [text, open] = [&["*/*;q=0.5"][..], &["text/plain;q=0.4", ACCEPT]].map(|accept| {
        let answer = scraped(url, accept);
        let kind = String::from_utf8(answer.field("content-type").unwrap().to_vec()).unwrap();
        assert_eq!(answer.field("vary"), Some(&b"accept"[..]));
        (kind, String::from_utf8(answer.body).unwrap())
    });
    assert_eq!(text.0, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(open.0, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(judged(Path::new("promtool"), &["check", "metrics"], &text.1), "");
    let families = judged(&PYTHON, &["-c", READ], &open.1);
    for kind in ["counter ", "gauge ", "info "] {
        assert!(families.lines().any(|line| line.starts_with(kind)), "{kind}: {families}");
    }
    assert!(open.1.ends_with("# EOF\n") && !text.1.contains("# EOF"));
    let found = series(&text.1);
    assert!(
        found.len() > 20 && found.iter().any(|name| name.starts_with("process_cpu_seconds_total"))
    );
    assert_eq!(found, series(&open.1), "{url}");
}

#[test]
fn every_page_of_a_stack_is_read_by_strangers() {
    let up = Up::start("S5", &["--stage-timing"]);
    let line = up.printed.lines().find(|line| line.trim_start().starts_with("curl ")).unwrap();
    let ordered = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(String::from_utf8_lossy(&ordered.stdout).contains("\"accepted\":true"), "{ordered:?}");
    for service in ["auth", "inventory", "orders", "gateway"] {
        check(&format!("{}/metrics", up.admin_url(service)));
    }
}

/// Stops with its standard input.
struct Reference(Child);

impl Drop for Reference {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn the_page_of_the_reference_server_is_read_by_strangers() {
    for driver in DRIVERS {
        let mut command = Command::new(TOLLGATE);
        command.args(["reference", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(["--exit-with-stdin", "--driver", driver]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Reference(command.spawn().unwrap());
        let mut ready = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        let address = |key: &str| ready["ready"][key].as_str().unwrap().to_owned();
        scraped(&format!("http://{}/api/ping", address("listen")), &[]);
        check(&format!("http://{}/metrics", address("admin")));
    }
}
