//! From slices to figures per variant and costs per layer. Pure.
//!
//! Medians over slices for what drifts with the machine; sums over sums for what is counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use metrics_export::run::{
    ClosedLoop, Connecting, Cost, Percentiles, ServiceCost, Slice, SliceKind, VariantResult,
    Verdict,
};

use crate::experiment::{Findings, Kept};
use crate::plan::Variant;
use crate::stats::{self, LayerInput, Per, median};

/// The points of a distribution that results show.
#[must_use]
pub fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    if histogram.is_empty() {
        return Percentiles::default();
    }
    Percentiles {
        count: histogram.len(),
        p50_ns: histogram.value_at_quantile(0.5),
        p90_ns: histogram.value_at_quantile(0.9),
        p99_ns: histogram.value_at_quantile(0.99),
        p999_ns: histogram.value_at_quantile(0.999),
        max_ns: histogram.max(),
    }
}

/// The figures of every variant that has an open-loop slice that counts.
#[must_use]
pub fn variants(findings: &Findings, variants: &[Variant]) -> Vec<VariantResult> {
    let kept = variants.iter().zip(&findings.variants);
    kept.filter_map(|(variant, kept)| result(findings, variant, kept)).collect()
}

/// What each layer costs, and the noise floor as a share of the baseline.
#[must_use]
pub fn costs(findings: &Findings, variants: &[Variant], seed: u64) -> (Vec<Cost>, Option<f64>) {
    let floor_share = stats::noise_floor_share(findings, seed);
    let ids: Vec<&str> = variants.iter().map(|variant| variant.id.as_str()).collect();
    let price = |layer| stats::price(layer, findings, floor_share, seed);
    let costs = stats::layers(&ids).map(price).filter(|cost| cost.rounds > 0);
    (costs.collect(), floor_share)
}

/// Whether the A/A control called a difference.
#[must_use]
pub fn control_failed(costs: &[Cost]) -> bool {
    costs.iter().any(|cost| cost.id == stats::CONTROL && cost.verdict == Verdict::Resolved)
}

fn result(findings: &Findings, variant: &Variant, kept: &Kept) -> Option<VariantResult> {
    let open: Vec<&Slice> = findings.counted(&variant.id, SliceKind::Open).collect();
    let sum = |of: fn(&Slice) -> u64| open.iter().map(|slice| of(slice)).sum::<u64>();
    let answered = sum(|slice| slice.requests_answered);
    let cpu = median_of(&open, Slice::cpu_ns_per_request)?;
    let per_request = |total: u64| (answered > 0).then(|| rounded(total as f64, answered));
    Some(VariantResult {
        variant: variant.id.clone(),
        slices: open.len() as u64,
        requests_asked: sum(|slice| slice.requests_asked),
        requests_answered: answered,
        dropped: sum(|slice| slice.dropped),
        errors: errors(findings, variant),
        cpu_ns_per_request: cpu,
        services: services(&open),
        system_share_milli: system_share(&open),
        busy_ns_per_request: per_request(sum(|slice| slice.busy_ns)),
        client_cpu_ns_per_request: per_request(sum(|slice| slice.client_cpu_ns)),
        response: percentiles(&kept.times.response),
        service: percentiles(&kept.times.service),
        lateness: percentiles(&kept.times.lateness),
        bytes_sent_per_request: per_request(sum(|slice| slice.bytes_sent)).unwrap_or(0),
        bytes_received_per_request: per_request(sum(|slice| slice.bytes_received)).unwrap_or(0),
        closed_loop: closed_loop(findings, variant),
        connecting: connecting(findings, variant),
    })
}

fn errors(findings: &Findings, variant: &Variant) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let own = findings.slices.iter().filter(|slice| slice.variant == variant.id);
    for (kind, count) in own.flat_map(|slice| &slice.errors) {
        *sums.entry(kind.clone()).or_default() += count;
    }
    sums
}

fn services(open: &[&Slice]) -> Vec<ServiceCost> {
    let names = open.first().map_or(&[][..], |slice| &slice.services);
    let cost = |name: &str| {
        median_of(open, |slice| {
            let own = slice.services.iter().find(|cpu| cpu.service == name)?;
            let answered = slice.requests_answered;
            (answered > 0).then(|| own.cpu_ns as f64 / answered as f64)
        })
    };
    let names = names.iter().map(|cpu| cpu.service.clone());
    names
        .map(|service| ServiceCost { cpu_ns_per_request: cost(&service).unwrap_or(0), service })
        .collect()
}

fn system_share(open: &[&Slice]) -> Option<u32> {
    let all = || open.iter().flat_map(|slice| &slice.services);
    let user: u64 = all().map(|cpu| cpu.user_ns).sum();
    let system: u64 = all().map(|cpu| cpu.system_ns).sum();
    (user + system > 0).then(|| rounded(system as f64 * 1000.0, user + system) as u32)
}

fn closed_loop(findings: &Findings, variant: &Variant) -> Option<ClosedLoop> {
    let closed: Vec<&Slice> = findings.counted(&variant.id, SliceKind::Closed).collect();
    let rate = |slice: &Slice| {
        let duration_ns = slice.duration_ns;
        (duration_ns > 0).then(|| slice.requests_answered as f64 * 1e12 / duration_ns as f64)
    };
    Some(ClosedLoop {
        requests_milli_per_s: median_of(&closed, rate)?,
        cpu_ns_per_request: median_of(&closed, Slice::cpu_ns_per_request)?,
    })
}

/// The handshake is what a connection costs more than one without TLS in the same round.
fn connecting(findings: &Findings, variant: &Variant) -> Option<Connecting> {
    let slices: Vec<&Slice> = findings.counted(&variant.id, SliceKind::Connect).collect();
    let sum = |of: fn(&Slice) -> u64| slices.iter().map(|slice| of(slice)).sum::<u64>();
    let in_round = |round: u32| {
        let own = findings.figure(&variant.id, Per::Connection, round)?;
        Some(own - findings.figure("s0", Per::Connection, round)?)
    };
    let handshakes_full = sum(|slice| slice.handshakes_full);
    let handshake =
        (handshakes_full > 0).then(|| median_of(&slices, |slice| in_round(slice.round))).flatten();
    let answered = sum(|slice| slice.requests_answered);
    Some(Connecting {
        connections: sum(|slice| slice.connections_opened),
        handshakes_full,
        handshakes_resumed: sum(|slice| slice.handshakes_resumed),
        cpu_ns_per_connection: median_of(&slices, Slice::cpu_ns_per_request)?,
        cpu_ns_per_handshake: handshake,
        client_cpu_ns_per_connection: (answered > 0)
            .then(|| rounded(sum(|slice| slice.client_cpu_ns) as f64, answered)),
    })
}

fn median_of(slices: &[&Slice], of: impl Fn(&Slice) -> Option<f64>) -> Option<u64> {
    let values: Vec<f64> = slices.iter().filter_map(|slice| of(slice)).collect();
    median(&values).map(|value| value.round().max(0.0) as u64)
}

fn rounded(total: f64, count: u64) -> u64 {
    (total / count as f64).round() as u64
}
