//! How the result of `tollgate run` is written: for people, for programs, for a pull request.
//! Integers are ns with the unit in the key; validity comes first everywhere. It refuses to leave
//! out what makes a result doubtful, in any format but `quiet`.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use metrics_export::csv;
use metrics_export::figures::plain::us_significant;

use crate::command::run::json::to_json;
use crate::command::run::outcome::PERCENTILES;
use crate::command::run::{CpuAccounting, RunOutcome};
use crate::traffic::slice::Arrivals;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For a terminal.
    Text,
    /// One object.
    Json,
    /// A line of names and a line of values.
    Csv,
    /// A table for a comment.
    Markdown,
    /// Nothing but the exit code, and why if it is not 0.
    Quiet,
}

impl OutputFormat {
    /// The format of that name.
    pub fn parse(name: &str) -> Option<OutputFormat> {
        match name {
            "text" => Some(OutputFormat::Text),
            "json" => Some(OutputFormat::Json),
            "csv" => Some(OutputFormat::Csv),
            "markdown" => Some(OutputFormat::Markdown),
            "quiet" => Some(OutputFormat::Quiet),
            _ => None,
        }
    }
}

impl RunOutcome {
    /// The result in that format, ending in a line feed unless it is empty.
    pub fn render(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Text => text(self),
            OutputFormat::Json => format!("{:#}\n", to_json(self)),
            OutputFormat::Csv => csv(self),
            OutputFormat::Markdown => markdown(self),
            OutputFormat::Quiet => verdict(self),
        }
    }

    /// The names of the distributions that there are, with their values.
    pub(super) fn times(&self) -> Vec<(&'static str, &'static str, &Histogram<u64>)> {
        let record = &self.record;
        let all = [
            ("response time", "response", &record.response),
            ("service time", "service", &record.service),
            ("send lateness", "lateness", &record.lateness),
            ("TCP connect", "connect", &record.connect),
            ("TLS handshake", "handshake", &record.handshake),
        ];
        all.into_iter().filter(|(.., times)| !times.is_empty()).collect()
    }

    fn load(&self) -> String {
        match self.spec.arrivals {
            Arrivals::Open { rate, pattern } => {
                format!("open loop at {rate} ({})", pattern.as_str())
            }
            Arrivals::Closed => "closed loop".into(),
        }
    }

    pub(super) fn asked_per_second(&self) -> Option<f64> {
        match self.spec.arrivals {
            Arrivals::Open { rate, .. } => Some(rate.as_f64()),
            Arrivals::Closed => None,
        }
    }
}

/// What must be read before any figure.
fn verdict(outcome: &RunOutcome) -> String {
    let mut out = String::new();
    let interrupted =
        if outcome.record.interrupted { "Interrupted: a part of the run.\n" } else { "" };
    out.push_str(interrupted);
    for breach in outcome.sentences() {
        writeln!(out, "INVALID: {breach}").expect("writing to a String does not fail");
    }
    out
}

fn text(outcome: &RunOutcome) -> String {
    let record = &outcome.record;
    let mut lines = vec![verdict(outcome).trim_end().to_owned()];
    lines.retain(|line| !line.is_empty());
    lines.push(heading(outcome));
    lines.push(String::new());
    lines.push(format!(
        "{:<16}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "us", "p50", "p90", "p99", "p99.9", "max", "mean"
    ));
    for (name, _, times) in outcome.times() {
        let mut line = format!("{name:<16}");
        for (quantile, ..) in PERCENTILES {
            write!(line, "{:>10}", us_significant(times.value_at_quantile(quantile)))
                .expect("writing to a String does not fail");
        }
        lines.push(format!(
            "{line}{:>10}{:>10}",
            us_significant(times.max()),
            us_significant(times.mean() as u64)
        ));
    }
    lines.push(String::new());
    let asked = outcome.asked_per_second();
    let asked = asked.map_or(String::new(), |rate| format!(" of {rate}/s asked"));
    lines.push(format!("rate        {:.1}/s{asked}", record.achieved_per_second()));
    lines.push(format!(
        "requests    {} sent, {} good replies, {} errors, {} dropped",
        record.requests_sent,
        record.requests_answered,
        record.errors.total(),
        record.dropped
    ));
    let statuses: Vec<String> =
        record.statuses.iter().map(|(status, count)| format!("{count} x {status}")).collect();
    lines.push(format!("statuses    {}", or_none(&statuses.join(", "))));
    if record.errors.total() > 0 {
        lines.push(format!("errors      {}", record.errors));
    }
    lines.extend(connection_lines(outcome));
    lines.extend(server_line(outcome));
    lines.push(format!(
        "generator   {:.2} us CPU a request, {:.0}% of {} ({}, {}s)",
        per_request(record.generator_cpu_ns, outcome) / 1e3,
        outcome.record.generator_share() * 100.0,
        if record.workers == 1 { "one core".into() } else { format!("{} cores", record.workers) },
        record.driver,
        outcome.spec.wait.as_str(),
    ));
    for note in &outcome.notes {
        lines.push(format!("note        {note}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What a request cost the server, where its CPU was read.
fn server_line(outcome: &RunOutcome) -> Option<String> {
    let accounting = outcome.accounting.as_ref()?;
    let each_ns = accounting.server_cpu_ns_per_request(outcome.record.requests_sent)?;
    let parts: Vec<String> = match accounting.services() {
        [] | [_] => Vec::new(),
        several => several
            .iter()
            .map(|one| {
                let us = per_request(one.cpu_ns, outcome) / 1e3;
                format!("{} {us:.2}", one.service)
            })
            .collect(),
    };
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    Some(format!("server CPU  {:.2} us a request{parts}", each_ns / 1e3))
}

fn heading(outcome: &RunOutcome) -> String {
    let label = outcome.label.as_ref().map_or(String::new(), |label| format!("{label}: "));
    let spec = &outcome.spec;
    let kept = match spec.requests_per_connection {
        Some(most) => format!(", {most} requests each"),
        None => String::new(),
    };
    format!(
        "{label}{} {}\n{}, {} connections{kept}, {:.2} s after {:.2} s warm-up, seed {}",
        outcome.summary,
        outcome.url,
        outcome.load(),
        spec.connections,
        outcome.record.window_ns as f64 / 1e9,
        outcome.warmup.as_secs_f64(),
        spec.seed,
    )
}

fn connection_lines(outcome: &RunOutcome) -> Vec<String> {
    let record = &outcome.record;
    let connections = &record.connections;
    let mut lines = vec![format!(
        "connections {} kept from the warm-up, {} opened, {} closed by the target, {} failed",
        connections.kept, connections.opened, connections.closed_by_target, connections.failed
    )];
    for proof in &record.tls {
        let resumed = if proof.resumed { ", resumed" } else { "" };
        lines.push(format!(
            "TLS         {} {} {}{resumed}: {} connections",
            proof.version, proof.suite, proof.group, proof.connections
        ));
    }
    if connections.certificates_presented > 0 {
        let times = connections.certificates_presented;
        lines.push(format!("certificate presented {times} times since the run began"));
    }
    lines.push(format!(
        "wire        {:.1} bytes out, {:.1} bytes in a request",
        per_request(record.wire.sent, outcome),
        per_request(record.wire.received, outcome),
    ));
    lines
}

fn markdown(outcome: &RunOutcome) -> String {
    let mut out = String::new();
    for breach in outcome.sentences() {
        writeln!(out, "**INVALID:** {breach}\n").expect("writing to a String does not fail");
    }
    let record = &outcome.record;
    let heading = heading(outcome).replace('\n', ", ");
    write!(
        out,
        "{heading}: {:.1}/s, {} good replies, {} errors, {} dropped\n\n\
         | us | p50 | p90 | p99 | p99.9 | max |\n|---|---:|---:|---:|---:|---:|\n",
        record.achieved_per_second(),
        record.requests_answered,
        record.errors.total(),
        record.dropped,
    )
    .expect("writing to a String does not fail");
    for (name, _, times) in outcome.times() {
        let cells =
            PERCENTILES.map(|(quantile, ..)| us_significant(times.value_at_quantile(quantile)));
        writeln!(out, "| {name} | {} | {} |", cells.join(" | "), us_significant(times.max()))
            .expect("writing to a String does not fail");
    }
    if let Some(line) = server_line(outcome) {
        writeln!(out, "\n{}", line.replace("  ", ": ")).expect("writing to a String does not fail");
    }
    for note in &outcome.notes {
        write!(out, "\nNote: {note}\n").expect("writing to a String does not fail");
    }
    out
}

fn csv(outcome: &RunOutcome) -> String {
    let record = &outcome.record;
    let mut columns: Vec<(String, String)> = vec![
        ("label".into(), csv::named(outcome.label.as_deref().unwrap_or_default())),
        ("url".into(), csv::named(&outcome.url)),
        ("valid".into(), outcome.valid().to_string()),
        ("asked_per_s".into(), outcome.asked_per_second().map_or("".into(), |r| r.to_string())),
        ("achieved_per_s".into(), format!("{:.3}", record.achieved_per_second())),
        ("connections".into(), outcome.spec.connections.to_string()),
        ("window_ns".into(), record.window_ns.to_string()),
        ("intended".into(), record.requests_asked.to_string()),
        ("ok".into(), record.requests_answered.to_string()),
        ("errors".into(), record.errors.total().to_string()),
        ("dropped".into(), record.dropped.to_string()),
    ];
    let times = [
        ("response", &record.response),
        ("service", &record.service),
        ("lateness", &record.lateness),
    ];
    for (name, times) in times {
        for (quantile, _, key) in PERCENTILES {
            let value = known(times, times.value_at_quantile(quantile));
            columns.push((format!("{name}_{key}"), value));
        }
        columns.push((format!("{name}_max_ns"), known(times, times.max())));
    }
    columns.push(("generator_cpu_ns".into(), record.generator_cpu_ns.to_string()));
    let server = outcome.accounting.as_ref().and_then(CpuAccounting::server_cpu_ns);
    columns.push(("server_cpu_ns".into(), server.map_or("".into(), |ns| ns.to_string())));
    let each = |ns: u64| (ns as f64 / record.requests_sent.max(1) as f64).round().to_string();
    columns.push(("server_cpu_ns_per_request".into(), server.map_or("".into(), each)));
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    format!("{}\n{}\n", names.join(","), values.join(","))
}

/// A point of a distribution as a cell, which is empty where nothing was recorded.
fn known(times: &Histogram<u64>, ns: u64) -> String {
    if times.is_empty() { String::new() } else { ns.to_string() }
}

fn per_request(total: u64, outcome: &RunOutcome) -> f64 {
    total as f64 / outcome.record.requests_sent.max(1) as f64
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
