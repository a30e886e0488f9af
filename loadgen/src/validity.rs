//! Whether a run can be believed: bounds as data, and for each breach a sentence that says what
//! happened and what to do.
//!
//! A slice is judged alone, to be repeated once if something from outside disturbed it; the run
//! is judged on the slices that count. Errors never excuse a repeat: they are the servers' or the
//! set-up's, not the machine's.

use hdrhistogram::Histogram;
use metrics_export::run::{Bounds, Breach, Slice, SliceKind, Validity};

use crate::machine::cpu::TICK_NS;
use crate::traffic::record::Connections;

/// What was wrong with a slice, as sentences; empty when nothing was.
#[must_use]
pub fn disturbances(slice: &Slice, bounds: &Bounds, measured_cores: usize) -> Vec<String> {
    let mut found = machine_disturbances(slice, bounds, measured_cores);
    found.extend(fallen_behind(slice, bounds));
    found
}

/// How the servers did not keep up with an open loop.
#[must_use]
pub fn fallen_behind(slice: &Slice, bounds: &Bounds) -> Vec<String> {
    let mut found = Vec::new();
    if slice.kind != SliceKind::Open {
        return found;
    }
    if slice.dropped > bounds.dropped_max {
        found.push(format!("{} requests found the queue full", slice.dropped));
    }
    let share = share(slice.requests_answered + slice.errors_total(), slice.requests_asked);
    if share < bounds.achieved_share_min {
        found.push(format!("answered {} of what was asked", percent(share)));
    }
    if grows(slice, bounds) {
        let growth = slice.in_flight_growth_milli / 1000;
        found.push(format!("unanswered requests grew by {growth}"));
    }
    found
}

/// What disturbed the measuring itself.
#[must_use]
pub fn machine_disturbances(slice: &Slice, bounds: &Bounds, measured_cores: usize) -> Vec<String> {
    let mut found = Vec::new();
    let core_time_ns = slice.duration_ns.saturating_mul(measured_cores as u64) as f64;
    if slice.kind == SliceKind::Open && slice.lateness.p99_ns > bounds.lateness_p99_ns_max {
        found.push(format!("sent {} late at p99", us(slice.lateness.p99_ns)));
    }
    // Ticks are coarse: one or two may belong to the neighbouring slice.
    let steal_ns_max = (bounds.steal_share_max * core_time_ns).max(2.0 * TICK_NS as f64);
    if slice.steal_ns as f64 > steal_ns_max {
        found.push(format!("the hypervisor took {}", us(slice.steal_ns)));
    }
    let foreign_ns = slice.foreign_ns.unwrap_or(0) as f64;
    if foreign_ns > bounds.foreign_share_max * core_time_ns {
        found.push(format!("other programs used {}", percent(foreign_ns / core_time_ns)));
    }
    if slice.throttled > bounds.throttled_max {
        found.push(format!("throttled {} times", slice.throttled));
    }
    if slice.strayed {
        found.push("the server ran on a core of the generator".into());
    }
    found.extend(slice.cpu_unknown.clone());
    found
}

/// Whether the servers fell behind within a slice.
fn grows(slice: &Slice, bounds: &Bounds) -> bool {
    slice.in_flight_growth_milli > bounds.in_flight_growth_max as i64 * 1000
}

/// One variant's part in the judgement.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The variant's id.
    pub variant: &'a str,
    /// Its name for people.
    pub label: &'a str,
    /// Lateness of all its open-loop slices that count.
    pub lateness: &'a Histogram<u64>,
}

/// Judges the slices that count.
#[must_use]
pub fn judge(
    slices: &[Slice],
    judged: &[Judged<'_>],
    bounds: &Bounds,
    measured_cores: usize,
) -> Validity {
    let mut breaches = Vec::new();
    for variant in judged {
        breaches.extend(variant_breaches(slices, variant, bounds));
    }
    breaches.extend(machine_breaches(slices, bounds, measured_cores));
    Validity {
        valid: breaches.is_empty(),
        breaches,
        slices_repeated: slices.iter().filter(|slice| slice.attempt > 0).count() as u64,
        notes: notes(slices),
        bounds: bounds.clone(),
    }
}

fn variant_breaches(slices: &[Slice], judged: &Judged<'_>, bounds: &Bounds) -> Vec<Breach> {
    let own: Vec<&Slice> = slices.iter().filter(|slice| slice.variant == judged.variant).collect();
    let open = own.iter().filter(|slice| slice.counts && slice.kind == SliceKind::Open);
    let open: Vec<&Slice> = open.copied().collect();
    let mut found = generator_breaches(&own, judged, bounds);
    found.extend(server_breaches(&own, &open, judged.label, bounds));
    let variant = Some(judged.variant.to_owned());
    let breach = |(bound, sentence): (&str, String)| Breach {
        bound: bound.into(),
        variant: variant.clone(),
        sentence,
    };
    found.into_iter().map(breach).collect()
}

/// What keeps the generator from sending in time.
fn generator_breaches(
    own: &[&Slice],
    judged: &Judged<'_>,
    bounds: &Bounds,
) -> Vec<(&'static str, String)> {
    let label = judged.label;
    let mut found = Vec::new();
    let late_ns = judged.lateness.value_at_quantile(0.99);
    if late_ns > bounds.lateness_p99_ns_max {
        found.push((
            "lateness_p99_ns_max",
            format!(
                "{label}: the generator sent {} late at p99 (bound {}). Give it a core of its own, \
                 lower --rates, or stop what else runs.",
                us(late_ns),
                us(bounds.lateness_p99_ns_max),
            ),
        ));
    }
    let strayed = own.iter().filter(|slice| slice.counts && slice.strayed).count();
    if strayed > 0 {
        found.push((
            "shared_core",
            format!(
                "{label}: in {strayed} slices the server ran on a core of the generator, and each \
                 paid for the other. Pin the server to other cores (taskset -pc), or name others \
                 with --generator-cores.",
            ),
        ));
    }
    found
}

/// What the servers did not do.
fn server_breaches(
    own: &[&Slice],
    open: &[&Slice],
    label: &str,
    bounds: &Bounds,
) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let asked: u64 = open.iter().map(|slice| slice.requests_asked).sum();
    let answered: u64 = open.iter().map(|slice| slice.requests_answered).sum();
    let achieved = share(answered, asked);
    if achieved < bounds.achieved_share_min {
        found.push((
            "achieved_share_min",
            format!(
                "{label}: {} of the asked requests were answered (bound {}). The servers \
                 do not keep up: lower --rates.",
                percent(achieved),
                percent(bounds.achieved_share_min),
            ),
        ));
    }
    let dropped: u64 = open.iter().map(|slice| slice.dropped).sum();
    if dropped > bounds.dropped_max {
        found.push((
            "dropped_max",
            format!(
                "{label}: {dropped} requests found the queue full. Lower --rates or give more \
             --connections.",
            ),
        ));
    }
    let growing = open.iter().filter(|slice| grows(slice, bounds)).count();
    if 2 * growing > open.len() {
        found.push((
            "in_flight_growth_max",
            format!(
                "{label}: unanswered requests grew in {growing} of {} slices (bound {} more at \
                 the end than at the start): the servers fall behind. Lower --rates.",
                open.len(),
                bounds.in_flight_growth_max,
            ),
        ));
    }
    // Errors count in every slice, also in one that was repeated for another reason.
    let errors: u64 = own.iter().map(|slice| slice.errors_total()).sum();
    if errors > bounds.errors_max {
        found.push((
            "errors_max",
            format!(
                "{label}: {errors} requests failed ({}). A wrong reply is no sample: see \
                 the logs of the servers.",
                kinds(own),
            ),
        ));
    }
    found
}

fn machine_breaches(slices: &[Slice], bounds: &Bounds, measured_cores: usize) -> Vec<Breach> {
    let counted = || slices.iter().filter(|slice| slice.counts);
    let core_time_ns = counted()
        .map(|slice| slice.duration_ns as f64 * measured_cores as f64)
        .sum::<f64>()
        .max(1.0);
    let mut breaches = Vec::new();
    let mut breach = |bound: &str, sentence: String| {
        breaches.push(Breach { bound: bound.into(), variant: None, sentence });
    };
    let steal = counted().map(|slice| slice.steal_ns).sum::<u64>() as f64 / core_time_ns;
    if steal > bounds.steal_share_max {
        breach(
            "steal_share_max",
            format!(
                "The hypervisor took {} of the measured cores (bound {}). Use a machine \
                 with cores of its own, or measure when its neighbours are quiet (see tollgate \
                 doctor).",
                percent(steal),
                percent(bounds.steal_share_max),
            ),
        );
    }
    let foreign_ns: u64 = counted().filter_map(|slice| slice.foreign_ns).sum();
    let foreign = foreign_ns as f64 / core_time_ns;
    if foreign > bounds.foreign_share_max {
        breach(
            "foreign_share_max",
            format!(
                "Other programs used {} of the measured cores (bound {}). Stop them, or \
                 keep them off these cores (see tollgate doctor).",
                percent(foreign),
                percent(bounds.foreign_share_max),
            ),
        );
    }
    let throttled: u64 = counted().map(|slice| slice.throttled).sum();
    if throttled > bounds.throttled_max {
        breach(
            "throttled_max",
            format!(
                "The control group was throttled {throttled} times. Raise its CPU limit (see \
                 tollgate doctor).",
            ),
        );
    }
    breaches
}

fn notes(slices: &[Slice]) -> Vec<String> {
    let mut notes = Vec::new();
    if slices.iter().any(|slice| slice.foreign_ns.is_none()) {
        notes.push("Too many threads run here to read what other programs used.".into());
    }
    let unknown = || slices.iter().filter_map(|slice| slice.cpu_unknown.as_ref());
    if let Some(first) = unknown().next() {
        notes.push(format!("In {} slices {first}.", unknown().count()));
    }
    let sum = |of: fn(&Slice) -> u64| slices.iter().map(of).sum();
    let idle = Connections {
        closed_idle: sum(|slice| slice.closed_idle),
        unsolicited: sum(|slice| slice.closed_unsolicited),
        ..Connections::default()
    };
    notes.extend(idle.remarks().iter().map(|note| format!("Over all slices {note}.")));
    let again: u64 = slices.iter().filter_map(|slice| slice.retransmits).sum();
    if again > 0 {
        notes.push(format!(
            "This machine sent {again} TCP segments again during the slices: packets were lost, \
             and times are longer for it."
        ));
    }
    notes
}

/// The kinds of errors with their counts.
fn kinds(slices: &[&Slice]) -> String {
    let mut sums = std::collections::BTreeMap::<&str, u64>::new();
    for (kind, count) in slices.iter().flat_map(|slice| &slice.errors) {
        *sums.entry(kind).or_default() += count;
    }
    let texts: Vec<String> = sums.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    texts.join(", ")
}

/// A part of a whole; a whole of nothing is all there.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn us(ns: u64) -> String {
    format!("{:.0} us", ns as f64 / 1000.0)
}

#[cfg(test)]
mod tests;
