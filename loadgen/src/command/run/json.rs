//! The result of `tollgate run` as JSON: integers in ns or bytes with the unit in the key, asked
//! and achieved rates always, validity first. It refuses to carry a secret: the URL has lost its
//! query.

use std::time::UNIX_EPOCH;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::command::run::outcome::PERCENTILES;
use crate::command::run::{CpuAccounting, RunOutcome};
use crate::traffic::record::SliceRecord;
use crate::traffic::slice::{Arrivals, GeneratorWait};

/// The result as one object.
pub(super) fn to_json(outcome: &RunOutcome) -> Value {
    let record = &outcome.record;
    let (spec, accounting) = (&outcome.spec, outcome.accounting.as_ref());
    let began = outcome.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let errors: serde_json::Map<String, Value> = record
        .errors
        .iter()
        .map(|(kind, count)| {
            let example = record.errors.example(kind);
            (kind.as_str().to_owned(), json!({ "count": count, "example": example }))
        })
        .collect();
    let times: serde_json::Map<String, Value> = outcome
        .times()
        .into_iter()
        .map(|(_, key, times)| (key.to_owned(), times_json(times)))
        .collect();
    json!({
        "schema": "tollgate.single",
        "schema_version": 1,
        "valid": outcome.valid(),
        "breaches": outcome.sentences(),
        "notes": outcome.notes,
        "interrupted": record.interrupted,
        "label": outcome.label,
        "began_unix_ms": began.as_millis() as u64,
        "plan": plan_json(outcome),
        "achieved_per_s": record.achieved_per_second(),
        "window_ns": record.window_ns,
        "wall_ns": record.wall_ns,
        "requests": {
            "intended": record.requests_asked,
            "sent": record.requests_sent,
            "ok": record.requests_answered,
            "errors": record.errors.total(),
            "dropped": record.dropped,
            "queue_high_water": record.queue_high_water,
            "in_flight_growth": record.in_flight_growth(),
        },
        "errors": errors,
        "statuses": record.statuses,
        "times": times,
        "wire": { "sent_bytes": record.wire.sent, "received_bytes": record.wire.received },
        "connections": connections_json(outcome),
        "generator": {
            "cpu_ns": record.generator_cpu_ns,
            "workers": record.workers,
            "driver": record.driver,
            "busy": spec.wait == GeneratorWait::Spin,
        },
        "server": accounting.and_then(|cpu| server_json(cpu, record.requests_sent)),
        "machine": accounting.map(|cpu| machine_json(cpu, record)),
    })
}

/// The server's CPU; absent where it was not read.
pub(crate) fn server_json(accounting: &CpuAccounting, requests: u64) -> Option<Value> {
    let services: Vec<Value> = accounting
        .services()
        .iter()
        .map(|service| {
            json!({
                "name": service.service,
                "cpu_ns": service.cpu_ns,
                "user_ns": service.user_ns,
                "system_ns": service.system_ns,
            })
        })
        .collect();
    Some(json!({
        "cpu_ns": accounting.server_cpu_ns()?,
        "cpu_ns_per_request": accounting
            .server_cpu_ns_per_request(requests)
            .map(|ns| ns.round() as u64),
        "cpu_source": accounting.source.map(|source| source.as_str()),
        "processes": services,
    }))
}

fn machine_json(accounting: &CpuAccounting, record: &SliceRecord) -> Value {
    json!({
        "measured_cores": accounting.cores.measured,
        "wall_ns": accounting.usage.machine.wall_ns,
        "steal_ns": accounting.usage.machine.steal_ns,
        "foreign_share": accounting.observed(record).background_share(),
        "throttled": accounting.usage.machine.throttled,
        "retransmits": accounting.usage.machine.retransmits,
    })
}

fn plan_json(outcome: &RunOutcome) -> Value {
    let spec = &outcome.spec;
    let (open, pattern) = match spec.arrivals {
        Arrivals::Open { pattern, .. } => (true, Some(pattern.as_str())),
        Arrivals::Closed => (false, None),
    };
    json!({
        "url": outcome.url,
        "method": outcome.summary.method,
        "requests_in_turn": outcome.summary.in_turn,
        "loop": if open { "open" } else { "closed" },
        "arrivals": pattern,
        "asked_per_s": outcome.asked_per_second(),
        "connections": spec.connections,
        "duration_ns": spec.duration.as_nanos() as u64,
        "warmup_ns": outcome.warmup.as_nanos() as u64,
        "requests_max": spec.requests_max,
        "requests_per_connection": spec.requests_per_connection,
        "timeout_ns": spec.timeout.as_nanos() as u64,
        "client_wait": spec.wait.as_str(),
        "seed": spec.seed,
    })
}

fn times_json(times: &Histogram<u64>) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("count".into(), json!(times.len()));
    for (quantile, _, key) in PERCENTILES {
        object.insert(key.into(), json!(times.value_at_quantile(quantile)));
    }
    object.insert("max_ns".into(), json!(times.max()));
    object.insert("mean_ns".into(), json!(times.mean() as u64));
    Value::Object(object)
}

fn connections_json(outcome: &RunOutcome) -> Value {
    let connections = &outcome.record.connections;
    let tls: Vec<Value> = outcome
        .record
        .tls
        .iter()
        .map(|proof| {
            json!({
                "version": proof.version,
                "suite": proof.suite,
                "group": proof.group,
                "resumed": proof.resumed,
                "extended_master_secret": proof.extended_master_secret,
                "connections": proof.connections,
            })
        })
        .collect();
    json!({
        "kept": connections.kept,
        "opened": connections.opened,
        "opened_in_window": connections.opened_in_slice,
        "failed": connections.failed,
        "closed_by_target": connections.closed_by_target,
        "closed_idle": connections.closed_idle,
        "closed_unsolicited": connections.unsolicited,
        "handshakes_full": connections.handshakes_full,
        "handshakes_resumed": connections.handshakes_resumed,
        "certificates_presented": connections.certificates_presented,
        "tls": tls,
    })
}
