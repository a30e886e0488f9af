//! How a search's result is written: for people, for programs, for a pull request. Validity comes
//! first everywhere; times are us for people and ns for programs. It refuses to show a rate
//! without how sure it is.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use metrics_export::csv;
use metrics_export::figures::plain::us_significant;
use metrics_export::run::{LoadPoint, Percentiles, SloResult};
use serde_json::json;

use super::{CapacityOutcome, Quantile};
use crate::command::run::OutputFormat;

/// The widest bar of the drawn curve.
const BAR_CHARS: usize = 10;

impl CapacityOutcome {
    /// The result in that format, ending in a line feed unless it is empty.
    pub fn render(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Text => text(self),
            OutputFormat::Json => json(self),
            OutputFormat::Csv => csv(self),
            OutputFormat::Markdown => markdown(self),
            OutputFormat::Quiet => verdict(self),
        }
    }

    /// What the bars and the limit are about.
    fn quantile(&self) -> Quantile {
        self.settings.slo.map_or(Quantile::P99, |slo| slo.quantile)
    }

    fn closed(&self) -> impl Iterator<Item = &LoadPoint> {
        self.capacity.curve.iter().filter(|point| point.asked_milli_per_s.is_none())
    }

    fn open(&self) -> impl Iterator<Item = &LoadPoint> {
        self.capacity.curve.iter().filter(|point| point.asked_milli_per_s.is_some())
    }
}

/// What must be read before any figure.
fn verdict(outcome: &CapacityOutcome) -> String {
    let mut out = String::new();
    if !outcome.capacity.complete {
        out.push_str("Interrupted: a part of the search.\n");
    }
    for breach in &outcome.breaches {
        writeln!(out, "INVALID: {breach}").expect("writing to a String does not fail");
    }
    out
}

fn text(outcome: &CapacityOutcome) -> String {
    let mut lines: Vec<String> = verdict(outcome).lines().map(str::to_owned).collect();
    lines.push(heading(outcome));
    lines.push(String::new());
    lines.push(maximum(outcome));
    lines.extend(slo_lines(outcome));
    if outcome.open().next().is_some() {
        lines.push(String::new());
        lines.extend(table(outcome));
    }
    lines.push(String::new());
    for note in &outcome.notes {
        lines.push(format!("note        {note}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn heading(outcome: &CapacityOutcome) -> String {
    let label = outcome.label.as_ref().map_or(String::new(), |label| format!("{label}: "));
    let spec = &outcome.spec;
    let kept = match spec.requests_per_connection {
        Some(most) => format!(", {most} requests each"),
        None => String::new(),
    };
    format!(
        "{label}{} {}\n{} connections{kept}, {} slices of {:?}, {} arrivals, seed {}",
        outcome.summary,
        outcome.url,
        spec.connections,
        outcome.slices,
        outcome.settings.slice,
        outcome.pattern.as_str(),
        spec.seed,
    )
}

fn maximum(outcome: &CapacityOutcome) -> String {
    let rates: Vec<u64> = outcome.closed().map(|point| point.achieved_milli_per_s).collect();
    let range = match (rates.iter().min(), rates.iter().max()) {
        (Some(least), Some(most)) => {
            format!(" ({} slices: {} to {})", rates.len(), rate(*least), rate(*most))
        }
        _ => String::new(),
    };
    let share = outcome.closed().map(|point| point.generator_share_milli).max().unwrap_or(0);
    format!(
        "closed-loop maximum  {}/s{range}, generator {:.0}% of its cores",
        rate(outcome.capacity.closed_loop_milli_per_s),
        f64::from(share) / 10.0,
    )
}

fn slo_lines(outcome: &CapacityOutcome) -> Vec<String> {
    let Some(slo) = &outcome.capacity.slo else { return Vec::new() };
    let limit = format!("{} within {}", slo.quantile, limit(slo));
    let mut lines = Vec::new();
    match slo.rate_milli_per_s {
        Some(found) => {
            lines.push(format!("{limit:<19}  {}/s", rate(found)));
            lines.push(format!("{:21}{}", "", confidence(slo)));
        }
        None if !outcome.capacity.complete => lines.push(format!("{limit:<19}  not known yet")),
        None if slo.attempts == 0 => lines.push(format!("{limit:<19}  no rate kept it")),
        None => {
            lines.push(format!("{limit:<19}  no rate was confirmed"));
            lines.push(format!(
                "{:21}{} of {} slices kept it at the lowest rate that was tried",
                "", slo.kept_slices, slo.confirmation_slices
            ));
        }
    }
    if let Some(failed) = slo.next_failed_milli_per_s {
        lines.push(format!("{:21}{}/s did not keep it", "", rate(failed)));
    }
    lines
}

/// How sure the rate is.
fn confidence(slo: &SloResult) -> String {
    format!(
        "kept in {} of {} slices: with {:.0}% confidence in at least {:.1}% of them",
        slo.kept_slices,
        slo.confirmation_slices,
        f64::from(slo.confidence_milli) / 10.0,
        f64::from(slo.kept_share_min_milli) / 10.0,
    )
}

/// Times against load, with a bar for the limited one.
fn table(outcome: &CapacityOutcome) -> Vec<String> {
    let quantile = outcome.quantile();
    let cpu = outcome.open().any(|point| point.server_cpu_ns_per_request.is_some());
    let cpu_head = if cpu { "  CPU us" } else { "" };
    let mut lines = vec![format!(
        "{:>10} {:>10} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8}{cpu_head}  {}",
        "asked/s",
        "came/s",
        "of",
        "p50 us",
        "p90 us",
        "p99 us",
        "p99.9 us",
        "svc p99",
        quantile.as_str(),
    )];
    let times: Vec<u64> = outcome
        .open()
        .filter_map(|point| point.response.known(quantile.of(&point.response)))
        .collect();
    for point in outcome.open() {
        let times_ns = &point.response;
        let cpu_cell = match point.server_cpu_ns_per_request {
            Some(ns) => format!("{:>8}", us_significant(ns)),
            None if cpu => format!("{:>8}", "-"),
            None => String::new(),
        };
        let asked = point.asked_milli_per_s.unwrap_or(0);
        let mark = match point {
            _ if !point.disturbances.is_empty() => " ?",
            _ if !point.breaches.is_empty() => " behind",
            _ if point.kept == Some(false) => " over",
            _ => "",
        };
        lines.push(format!(
            "{:>10} {:>10} {:>4.0}% {:>8} {:>8} {:>8} {:>8} {:>8}{cpu_cell}  {}{mark}",
            rate(asked),
            rate(point.achieved_milli_per_s),
            share(outcome, asked),
            us_or_dash(times_ns, times_ns.p50_ns),
            us_or_dash(times_ns, times_ns.p90_ns),
            us_or_dash(times_ns, times_ns.p99_ns),
            us_or_dash(times_ns, times_ns.p999_ns),
            us_or_dash(&point.service, point.service.p99_ns),
            times_ns.known(quantile.of(times_ns)).map_or("-".into(), |ns| bar(ns, &times)),
        ));
    }
    lines
}

/// A point of a distribution for people.
fn us_or_dash(times: &Percentiles, ns: u64) -> String {
    times.known(ns).map_or("-".into(), us_significant)
}

/// A share of the maximum, in percent.
fn share(outcome: &CapacityOutcome, milli: u64) -> f64 {
    let maximum = outcome.capacity.closed_loop_milli_per_s.max(1);
    milli as f64 / maximum as f64 * 100.0
}

/// A bar on a logarithmic scale between the least and the most of all.
fn bar(ns: u64, all: &[u64]) -> String {
    let log = |ns: u64| (ns.max(1) as f64).ln();
    let least = all.iter().copied().min().unwrap_or(1);
    let most = all.iter().copied().max().unwrap_or(1);
    let room = (log(most) - log(least)).max(0.1);
    let part = ((log(ns) - log(least)) / room).clamp(0.0, 1.0);
    "#".repeat(1 + (part * (BAR_CHARS - 1) as f64).round() as usize)
}

fn markdown(outcome: &CapacityOutcome) -> String {
    let mut out = String::new();
    for line in verdict(outcome).lines() {
        let line = line.replacen("INVALID:", "**INVALID:**", 1);
        writeln!(out, "{line}\n").expect("writing to a String does not fail");
    }
    let heading = heading(outcome).replace('\n', ", ");
    let found: Vec<String> = std::iter::once(maximum(outcome))
        .chain(slo_lines(outcome))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    write!(
        out,
        "{heading}: {}.\n\n| asked/s | achieved/s | p50 us | p90 us | p99 us | p99.9 us | \
         server CPU us | kept |\n|---:|---:|---:|---:|---:|---:|---:|---|\n",
        found.join("; ")
    )
    .expect("writing to a String does not fail");
    for point in outcome.open() {
        let times = &point.response;
        let cpu = point.server_cpu_ns_per_request.map_or("-".into(), us_significant);
        let kept = match (point.kept, point.disturbances.is_empty()) {
            (_, false) => "disturbed",
            (Some(true), _) => "yes",
            (Some(false), _) => "no",
            (None, _) => "-",
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {cpu} | {kept} |",
            rate(point.asked_milli_per_s.unwrap_or(0)),
            rate(point.achieved_milli_per_s),
            us_or_dash(times, times.p50_ns),
            us_or_dash(times, times.p90_ns),
            us_or_dash(times, times.p99_ns),
            us_or_dash(times, times.p999_ns),
        )
        .expect("writing to a String does not fail");
    }
    for note in &outcome.notes {
        write!(out, "\nNote: {note}\n").expect("writing to a String does not fail");
    }
    out
}

fn csv(outcome: &CapacityOutcome) -> String {
    let mut out = String::from(
        "label,url,valid,loop,purpose,asked_per_s,achieved_per_s,response_p50_ns,\
         response_p90_ns,response_p99_ns,response_p999_ns,response_max_ns,service_p99_ns,\
         server_cpu_ns_per_request,errors,dropped,kept,disturbed\n",
    );
    let confirmations = outcome.capacity.slo.iter().flat_map(|slo| &slo.confirmations);
    let points = outcome.capacity.curve.iter().map(|point| ("curve", point));
    for (purpose, point) in points.chain(confirmations.map(|point| ("confirm", point))) {
        let times = &point.response;
        let open = point.asked_milli_per_s.is_some();
        let cell = |ns: Option<u64>| ns.map_or(String::new(), |ns| ns.to_string());
        let milli = |milli: u64| format!("{:.3}", milli as f64 / 1e3);
        let cells = [
            csv::named(outcome.label.as_deref().unwrap_or_default()),
            csv::named(&outcome.url),
            outcome.valid().to_string(),
            if open { "open" } else { "closed" }.into(),
            if open { purpose } else { "maximum" }.into(),
            point.asked_milli_per_s.map_or(String::new(), milli),
            milli(point.achieved_milli_per_s),
            cell(times.known(times.p50_ns)),
            cell(times.known(times.p90_ns)),
            cell(times.known(times.p99_ns)),
            cell(times.known(times.p999_ns)),
            cell(times.known(times.max_ns)),
            cell(point.service.known(point.service.p99_ns)),
            cell(point.server_cpu_ns_per_request),
            point.errors.to_string(),
            point.dropped.to_string(),
            point.kept.map_or(String::new(), |kept| kept.to_string()),
            (!point.disturbances.is_empty()).to_string(),
        ];
        writeln!(out, "{}", cells.join(",")).expect("writing to a String does not fail");
    }
    out
}

fn json(outcome: &CapacityOutcome) -> String {
    let began = outcome.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let spec = &outcome.spec;
    let settings = &outcome.settings;
    let value = json!({
        "schema": "tollgate.capacity",
        "schema_version": 1,
        "valid": outcome.valid(),
        "breaches": outcome.breaches,
        "notes": outcome.notes,
        "interrupted": !outcome.capacity.complete,
        "label": outcome.label,
        "began_unix_ms": began.as_millis() as u64,
        "plan": {
            "url": outcome.url,
            "method": outcome.summary.method,
            "requests_in_turn": outcome.summary.in_turn,
            "arrivals": outcome.pattern.as_str(),
            "connections": spec.connections,
            "requests_per_connection": spec.requests_per_connection,
            "slice_ns": settings.slice.as_nanos() as u64,
            "warmup_ns": outcome.warmup.as_nanos() as u64,
            "timeout_ns": spec.timeout.as_nanos() as u64,
            "client_wait": spec.wait.as_str(),
            "resolution": settings.resolution,
            "seed": spec.seed,
        },
        "slices": outcome.slices,
        "client_driver": outcome.driver,
        "cpu_source": outcome.cpu_source.map(|source| source.as_str()),
        "capacity": outcome.capacity,
    });
    format!("{value:#}\n")
}

/// Requests per second, whole ones where that is exact enough.
fn rate(milli: u64) -> String {
    let rate = milli as f64 / 1e3;
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn limit(slo: &SloResult) -> String {
    format!("{:?}", std::time::Duration::from_nanos(slo.limit_ns))
}

#[cfg(test)]
mod tests;
