//! The metrics page: all cores added up, under names of the OpenTelemetry and Prometheus
//! conventions.
//!
//! It owns names, labels and help texts; it measures nothing. Counts with a closed set of label
//! values are rendered even where they are zero, so that a rate is defined from the first scrape
//! on.

use std::sync::{Arc, PoisonError};

use metrics_export::prometheus::{Durations, Page, REQUEST_DURATION_BOUNDS_NS};

use super::{
    CacheUse, ConnectionKind, CoreCounters, DECISIONS, STATUSES, TOKEN_RESULTS, Telemetry, process,
    token_label,
};
use crate::route::{RouteEntry, method_name};

/// Adds requests, token verifications, policy decisions and connections.
pub fn requests(telemetry: &Telemetry, page: &mut Page) {
    let cores = telemetry.cores.lock().unwrap_or_else(PoisonError::into_inner).clone();
    durations(telemetry.routes, &cores, page);
    tokens(&cores, page);
    decisions(&cores, page);
    page.counter("tollgate_ping_body_bytes_total", "Body bytes that ping read.")
        .value(&[], cores.iter().map(|core| core.body_bytes.value()).sum::<u64>());
    connections(&cores, page);
}

fn durations(routes: &[RouteEntry], cores: &[Arc<CoreCounters>], page: &mut Page) {
    let mut family = page.histogram(
        "http_server_request_duration_seconds",
        "Time from a request's arrival to its response, by route and status.",
    );
    for route in 0..=routes.len() {
        // A request that no route took has neither a known method nor a path fit for a label.
        let (method, path) = routes.get(route).map_or(("_OTHER", "unmatched"), |entry| {
            (method_name(entry.method), entry.pattern.text())
        });
        for (slot, status) in STATUSES.iter().enumerate() {
            let mut counts = [0; REQUEST_DURATION_BOUNDS_NS.len() + 1];
            let mut sum_ns = 0u64;
            for series in cores.iter().filter_map(|core| core.routes[route][slot].get()) {
                series.add_to(&mut counts, &mut sum_ns);
            }
            if counts.iter().all(|&count| count == 0) {
                continue;
            }
            let status = if *status == 0 { "other".to_string() } else { status.to_string() };
            let labels = [
                ("http_request_method", method),
                ("http_route", path),
                ("http_response_status_code", status.as_str()),
            ];
            let bounds_ns = &REQUEST_DURATION_BOUNDS_NS;
            family.durations(&labels, &Durations { bounds_ns, counts: &counts, sum_ns });
        }
    }
}

fn tokens(cores: &[Arc<CoreCounters>], page: &mut Page) {
    let mut family = page.counter(
        "tollgate_token_verifications_total",
        "Presented tokens by result, and by whether the cache of verified tokens answered.",
    );
    for (cache, cache_label) in CacheUse::ALL {
        for index in 0..TOKEN_RESULTS {
            let labels = [("result", token_label(index)), ("cache", cache_label)];
            let sum = cores.iter().map(|core| core.tokens[cache as usize][index].value());
            family.value(&labels, sum.sum::<u64>());
        }
    }
}

fn decisions(cores: &[Arc<CoreCounters>], page: &mut Page) {
    let mut family = page.counter(
        "tollgate_policy_decisions_total",
        "Decisions of the policy: how far a permitted request was checked, or why it was refused.",
    );
    for (index, decision) in DECISIONS.iter().enumerate() {
        let sum = cores.iter().map(|core| core.decisions[index].value());
        family.value(&[("decision", *decision)], sum.sum::<u64>());
    }
}

fn connections(cores: &[Arc<CoreCounters>], page: &mut Page) {
    let mut family = page.counter(
        "tollgate_connections_total",
        "Connections ready for requests, by what they negotiated.",
    );
    let of_core = |core: &Arc<CoreCounters>| {
        core.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    };
    for (kind, count) in merged(cores.iter().map(of_core)) {
        let labels = [
            ("tls_version", kind.version),
            ("cipher_suite", kind.suite),
            ("handshake", kind.handshake),
            ("client_certificate", kind.client_certificate),
        ];
        family.value(&labels, count);
    }
}

/// Adds the `process_*` families.
pub fn process_figures(page: &mut Page) {
    process::add(page);
}

fn merged(cores: impl Iterator<Item = Vec<(ConnectionKind, u64)>>) -> Vec<(ConnectionKind, u64)> {
    let mut all: Vec<(ConnectionKind, u64)> = Vec::new();
    for (kind, count) in cores.flatten() {
        match all.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sum)) => *sum += count,
            None => all.push((kind, count)),
        }
    }
    all
}
