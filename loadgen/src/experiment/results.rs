//! From slices to figures per variant and costs per layer. Pure.
//!
//! Medians over slices for what drifts with the machine; sums over sums for what is counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use metrics_export::run::{
    Additivity, ClosedLoop, Connecting, ConnectionKind, Cost, Floor, Interleaving, Percentiles,
    ServiceCost, Slice, SliceKind, VariantResult, Verdict, cpu_slices,
};

use crate::experiment::findings::ServiceTimes;
use crate::experiment::interleaving::{WholeSlices, interleaving};
use crate::experiment::{CellView, Findings, VariantSamples};
use crate::plan::{PlannedCell, Variant};
use crate::stats::{self, Family, Layer, LayerInput as _, median};
use crate::validity::Judged;

/// The share of its core from which on the generator is taken for the limit of connections.
const GENERATOR_LIMIT_MILLI: u32 = 950;

/// The points of a distribution that results show.
#[must_use]
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
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

/// The figures of every variant that has a slice of the headline that counts, or a capacity.
#[must_use]
pub(crate) fn variants(findings: &Findings, variants: &[Variant]) -> Vec<VariantResult> {
    let kept = variants.iter().zip(&findings.variants);
    let view = |variant: &Variant| CellView { findings, variants, cell: variant.cell };
    kept.filter_map(|(variant, kept)| result(view(variant), variant, kept)).collect()
}

/// What an experiment says about its cells together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimates {
    /// What each layer costs in each cell.
    pub costs: Vec<Cost>,
    /// What each layer adds to the median service time in each cell.
    pub service_times: Vec<Cost>,
    /// What the A/A control of each cell says.
    pub floors: Vec<Floor>,
    /// What interleaving did to the cells that were interleaved.
    pub interleaving: Vec<Interleaving>,
    /// Whether layers add up, where all combinations were run.
    pub additivity: Vec<Additivity>,
}

/// Estimates the layers of every cell; `layers` has a list for each.
#[must_use]
pub(crate) fn estimates(
    findings: &Findings,
    variants: &[Variant],
    cells: &[PlannedCell],
    layers: &[Vec<Layer>],
    seed: u64,
) -> Estimates {
    let mut estimates = Estimates::default();
    for (place, (cell, layers)) in cells.iter().zip(layers).enumerate() {
        let view = CellView { findings, variants, cell: place };
        let Family { mut costs, service_times, floor } = family(view, layers, &cell.id, seed);
        if view.is_interleaved() {
            let whole = WholeSlices(view);
            let undisturbed = stats::estimate_family(layers, &cell.id, &whole, seed).costs;
            let found = interleaving(&whole, cell, layers, &costs, &undisturbed, seed);
            estimates.interleaving.extend(found);
            for (cost, undisturbed) in costs.iter_mut().zip(undisturbed) {
                cost.undisturbed_ns = undisturbed.estimate_ns;
            }
        }
        let known = |costs: Vec<Cost>| costs.into_iter().filter(|cost| cost.rounds > 0);
        estimates.costs.extend(known(costs));
        estimates.service_times.extend(known(service_times));
        estimates.floors.extend(floor);
        estimates.additivity.extend(stats::additivity(&cell.id, &view, seed));
    }
    estimates
}

fn family(view: CellView<'_>, layers: &[Layer], cell: &str, seed: u64) -> Family {
    stats::estimate_family_with_times(layers, cell, &view, &ServiceTimes(view), seed)
}

/// Whether every interval of every cell is within this share of its baseline.
#[must_use]
pub(crate) fn settled(
    findings: &Findings,
    variants: &[Variant],
    layers: &[Vec<Layer>],
    share: f64,
    seed: u64,
) -> bool {
    layers.iter().enumerate().all(|(cell, layers)| {
        let view = CellView { findings, variants, cell };
        stats::settled(view.rounds().len(), share, || family(view, layers, "", seed))
    })
}

/// Whether the A/A control called a difference.
#[must_use]
pub(crate) fn control_failed(costs: &[Cost]) -> bool {
    costs.iter().any(|cost| cost.id == stats::CONTROL && cost.verdict == Verdict::Resolved)
}

fn result(view: CellView<'_>, variant: &Variant, kept: &VariantSamples) -> Option<VariantResult> {
    let findings = view.findings;
    let open: Vec<&Slice> = findings.counted(&variant.id, findings.headline).collect();
    let billed = cpu_slices(&findings.slices, &variant.id, findings.headline);
    let sum = |of: fn(&Slice) -> u64| open.iter().map(|slice| of(slice)).sum::<u64>();
    let answered = sum(|slice| slice.requests_answered);
    // What a core was busy with is known of slices that a variant had for itself.
    let whole = || open.iter().filter(|slice| slice.is_whole());
    let busy = whole().map(|slice| slice.busy_ns).sum::<u64>();
    let whole_answered = whole().map(|slice| slice.requests_answered).sum::<u64>();
    let cpu = cpu_of(&billed).or(kept.capacity.is_some().then_some(0))?;
    let per_request = |total: u64| (answered > 0).then(|| rounded(total as f64, answered));
    Some(VariantResult {
        variant: variant.id.clone(),
        slices: open.len() as u64,
        requests_asked: sum(|slice| slice.requests_asked),
        requests_answered: answered,
        dropped: sum(|slice| slice.dropped),
        errors: errors(findings, variant),
        cpu_ns_per_request: cpu,
        services: services(&billed),
        system_share_milli: system_share(&billed),
        busy_ns_per_request: (whole_answered > 0).then(|| rounded(busy as f64, whole_answered)),
        undisturbed_cpu_ns_per_request: undisturbed(view, variant),
        idle_cpu_ns_per_s: median(&kept.idle_ns_per_s).map(|ns| ns.round() as u64),
        generator_cpu_ns_per_request: per_request(sum(|slice| slice.generator_cpu_ns)),
        response: percentiles(&kept.times.response),
        service: percentiles(&kept.times.service),
        lateness: percentiles(&kept.times.lateness),
        bytes_sent_per_request: per_request(sum(|slice| slice.bytes_sent)).unwrap_or(0),
        bytes_received_per_request: per_request(sum(|slice| slice.bytes_received)).unwrap_or(0),
        closed_loop: closed_loop(findings, variant),
        connecting: connecting(view, variant, kept),
        capacity: kept.capacity.clone(),
        memory_peak_bytes: kept.memory_peak_bytes,
        retransmits: whole().filter_map(|slice| slice.retransmits).reduce(|a, b| a + b),
    })
}

/// CPU per request in slices that a variant had for itself, where others were interleaved.
fn undisturbed(view: CellView<'_>, variant: &Variant) -> Option<u64> {
    let whole = view.is_interleaved().then_some(WholeSlices(view))?;
    median(&whole.costs(&variant.role)).map(|ns| ns.round() as u64)
}

/// What decides whether each variant can be believed, beside its slices.
#[must_use]
pub(crate) fn judged<'a>(findings: &'a Findings, variants: &'a [Variant]) -> Vec<Judged<'a>> {
    let kept = variants.iter().zip(&findings.variants);
    kept.map(|(variant, kept)| Judged {
        variant: &variant.id,
        label: &variant.label,
        lateness: &kept.times.lateness,
        idle_cpu_share: idle_cpu_share(findings, variants, variant),
    })
    .collect()
}

/// The CPU that the servers of a variant use while nothing is asked of them, as a share of that of
/// the requests that it gets meanwhile in interleaved slices.
#[must_use]
pub(crate) fn idle_cpu_share(
    findings: &Findings,
    variants: &[Variant],
    variant: &Variant,
) -> Option<f64> {
    let place = variants.iter().position(|other| other.id == variant.id)?;
    let idle_ns_per_s = median(&findings.variants.get(place)?.idle_ns_per_s)?;
    let own_rate =
        (*findings.rates.get(variant.cell)?)?.as_f64() / turns(findings, variants, variant);
    let slices = cpu_slices(&findings.slices, &variant.id, SliceKind::Open);
    let costs: Vec<f64> = slices.into_iter().filter_map(Slice::cpu_ns_per_request).collect();
    let busy_ns_per_s = median(&costs)? * own_rate;
    (busy_ns_per_s > 0.0).then(|| idle_ns_per_s / busy_ns_per_s)
}

/// How many turns a pass of a variant's cell has: lanes to one server share theirs.
fn turns(findings: &Findings, variants: &[Variant], variant: &Variant) -> f64 {
    let own = variants.iter().filter(|other| other.cell == variant.cell);
    let times = own.map(|own| {
        let mut slices = findings.counted(&own.id, SliceKind::Open);
        slices.find(|slice| !slice.is_whole()).map_or(0, |slice| slice.duration_ns)
    });
    let (all, longest) = times.fold((0, 0), |(all, longest), ns| (all + ns, longest.max(ns)));
    if longest > 0 { all as f64 / longest as f64 } else { 1.0 }
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
    let read = open.iter().find(|slice| slice.cpu_unknown.is_none());
    let names = read.map_or(&[][..], |slice| &slice.services);
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
    Some(ClosedLoop {
        requests_milli_per_s: median_of(&closed, Slice::answered_milli_per_s)?,
        cpu_ns_per_request: cpu_of(&closed)?,
    })
}

/// The handshake is what a connection costs more than one without TLS in the same round.
fn connecting(view: CellView<'_>, variant: &Variant, kept: &VariantSamples) -> Option<Connecting> {
    let slices = cpu_slices(&view.findings.slices, &variant.id, SliceKind::Connect);
    let sum = |of: fn(&Slice) -> u64| slices.iter().map(|slice| of(slice)).sum::<u64>();
    let seen = |of: fn(&metrics_export::run::Handshakes) -> u64| {
        let counts = slices.iter().filter_map(|slice| slice.server_handshakes.as_ref());
        counts.map(of).reduce(|a, b| a + b)
    };
    let (full, resumed) =
        (sum(|slice| slice.handshakes_full), sum(|slice| slice.handshakes_resumed));
    let plain = view.variants().find(|other| {
        let same_build = other.role.build() == variant.role.build();
        other.subject.is_plain() && other.connects && same_build
    });
    // What a connection costs beyond one without TLS in the same round.
    let beyond = |of: fn(&Slice) -> Option<f64>| {
        let plain = plain.filter(|_| full + resumed > 0)?;
        median_of(&slices, |slice| {
            let mut others = view.findings.counted(&plain.id, SliceKind::Connect);
            Some(of(slice)? - of(others.find(|other| other.round == slice.round)?)?)
        })
    };
    let share = median_of(&slices, |slice| Some(f64::from(slice.generator_share_milli)))?;
    Some(Connecting {
        handshake: match (variant.subject.is_plain(), resumed > full) {
            (true, _) => ConnectionKind::Tcp,
            (false, true) => ConnectionKind::Resumed,
            (false, false) => ConnectionKind::Full,
        },
        client_certificate: variant.subject.has_certificate(),
        connections: sum(|slice| slice.connections_opened),
        handshakes_full: full,
        handshakes_resumed: resumed,
        server_handshakes_full: seen(|seen| seen.full),
        server_handshakes_resumed: seen(|seen| seen.resumed),
        connections_milli_per_s: median_of(&slices, Slice::answered_milli_per_s)?,
        generator_limited: share >= u64::from(GENERATOR_LIMIT_MILLI),
        cpu_ns_per_connection: cpu_of(&slices)?,
        cpu_ns_per_handshake: beyond(Slice::cpu_ns_per_request),
        generator_cpu_ns_per_connection: median_of(&slices, generator_cpu_ns_per_request),
        generator_cpu_ns_per_handshake: beyond(generator_cpu_ns_per_request),
        connect: percentiles(&kept.times.connect),
        tls: percentiles(&kept.times.handshake),
    })
}

fn generator_cpu_ns_per_request(slice: &Slice) -> Option<f64> {
    (slice.requests_answered > 0)
        .then(|| slice.generator_cpu_ns as f64 / slice.requests_answered as f64)
}

/// CPU per request; 0, which is no figure, where it is known of none.
fn cpu_of(slices: &[&Slice]) -> Option<u64> {
    let unknown = slices.iter().any(|slice| slice.cpu_unknown.is_some());
    median_of(slices, Slice::cpu_ns_per_request).or(unknown.then_some(0))
}

fn median_of(slices: &[&Slice], of: impl Fn(&Slice) -> Option<f64>) -> Option<u64> {
    let values: Vec<f64> = slices.iter().filter_map(|slice| of(slice)).collect();
    median(&values).map(|value| value.round().max(0.0) as u64)
}

fn rounded(total: f64, count: u64) -> u64 {
    (total / count as f64).round() as u64
}
