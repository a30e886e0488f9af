//! From the rows of a run to one observation for each round. Only slices that count are seen, and
//! only those in which CPU was read.

use std::collections::BTreeMap;

use metrics_export::run::{Run, Slice, SliceKind};

use super::Observation;

/// Server CPU in ns per answered request (per connection, where each request has its own) in each
/// round, with the instance of the processes.
pub(crate) fn rounds(run: &Run, variant: &str, kind: SliceKind) -> BTreeMap<u32, Observation> {
    let own = run.slices.iter().filter(|slice| slice.counts && slice.kind == kind);
    own.filter(|slice| slice.variant == variant)
        .filter_map(|slice| {
            let value = slice.cpu_ns_per_request().filter(|ns| *ns > 0.0)?;
            let Slice { round, instance, .. } = *slice;
            Some((round, Observation { round, instance, value }))
        })
        .collect()
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
    let references = rounds(run, reference, kind);
    let own = rounds(run, variant, kind);
    own.iter()
        .filter_map(|(round, seen)| {
            let value = (seen.value / references.get(round)?.value).ln();
            Some(Observation { value, ..*seen })
        })
        .collect()
}
