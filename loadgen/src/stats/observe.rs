//! From the rows of a run to one observation for each round. Only slices that count are seen, and
//! only those in which CPU was read.

use std::collections::BTreeMap;

use metrics_export::run::{Run, Slice, SliceKind, cpu_slices};

use super::Observation;
use super::pairs::{cpu_figures, trimmed_mean};

/// Server CPU in ns per answered request (per connection, where each request has its own) in each
/// round, with the instance of the processes.
pub(crate) fn rounds(run: &Run, variant: &str, kind: SliceKind) -> BTreeMap<u32, Observation> {
    let own = by_round(run, variant, kind);
    let observed = own.into_iter().filter_map(|(round, slice)| {
        let value = slice.cpu_ns_per_request().filter(|ns| *ns > 0.0)?;
        Some((round, Observation { round, instance: slice.instance, value }))
    });
    observed.collect()
}

fn by_round<'a>(run: &'a Run, variant: &str, kind: SliceKind) -> BTreeMap<u32, &'a Slice> {
    cpu_slices(&run.slices, variant, kind).into_iter().map(|slice| (slice.round, slice)).collect()
}

/// The logarithm of the same.
pub(crate) fn logarithms(run: &Run, variant: &str, kind: SliceKind) -> Vec<Observation> {
    let rounds = rounds(run, variant, kind);
    rounds.values().map(|seen| Observation { value: seen.value.ln(), ..*seen }).collect()
}

/// The logarithm of the ratio to another variant of the same round.
pub(crate) fn log_ratios(
    run: &Run,
    variant: &str,
    reference: &str,
    kind: SliceKind,
) -> Vec<Observation> {
    let references = by_round(run, reference, kind);
    let own = by_round(run, variant, kind);
    own.into_iter()
        .filter_map(|(round, slice)| {
            let value = log_ratio(slice, references.get(&round)?)?;
            Some(Observation { round, instance: slice.instance, value })
        })
        .collect()
}

/// The logarithm of the ratio of two slices of one round, by their pairs where both have them.
fn log_ratio(own: &Slice, reference: &Slice) -> Option<f64> {
    let pairs = (cpu_figures(own), cpu_figures(reference));
    let (own, reference) = match pairs.0.len() == pairs.1.len() {
        true => pairs,
        false => (vec![own.cpu_ns_per_request()?], vec![reference.cpu_ns_per_request()?]),
    };
    let ratios = own.iter().zip(&reference).map(|(own, reference)| (own / reference).ln());
    trimmed_mean(ratios.collect()).filter(|value| value.is_finite())
}
