//! The validity of a run of many slices: each variant on its own, and the machine for all of them.

use hdrhistogram::Histogram;
use metrics_export::breaches::MATRIX;
use metrics_export::run::{Bounds, BreachScope, Slice, Validity};

use super::{Observed, judge_scope};
use crate::traffic::record::Connections;

/// A variant that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The variant's id.
    pub variant: &'a str,
    /// Its name for people.
    pub label: &'a str,
    /// Send lateness of all its open-loop slices that count.
    pub lateness: &'a Histogram<u64>,
    /// The share of its requests' CPU that its servers use while nothing is asked of them, where
    /// that was measured.
    pub idle_cpu_share: Option<f64>,
}

/// Judges a run. The slices that count decide; errors count in every slice, also in one that was
/// taken again for another reason, since they are the servers' and never the machine's.
#[must_use]
pub fn judge_run(
    slices: &[Slice],
    judged: &[Judged<'_>],
    bounds: &Bounds,
    measured_cores: usize,
) -> Validity {
    let counted: Vec<&Slice> = slices.iter().filter(|slice| slice.counts).collect();
    let machine = Observed::of_machine(&counted, measured_cores);
    let mut breaches = judge_scope(&machine, bounds, &BreachScope::Run, "", MATRIX);
    for Judged { variant, label, lateness, idle_cpu_share } in judged {
        let own: Vec<&Slice> =
            counted.iter().filter(|slice| slice.variant == *variant).copied().collect();
        let all = slices.iter().filter(|slice| slice.variant == *variant);
        let late_ns = lateness.value_at_quantile(0.99);
        let idle_cpu_share = *idle_cpu_share;
        let observed = Observed { idle_cpu_share, ..Observed::of_variant(&own, all, late_ns) };
        let scope = BreachScope::Variant((*variant).to_owned());
        breaches.extend(judge_scope(&observed, bounds, &scope, label, MATRIX));
    }
    Validity {
        valid: breaches.is_empty(),
        breaches,
        slices_repeated: slices.iter().filter(|slice| slice.attempt > 0).count() as u64,
        notes: notes(slices),
        bounds: bounds.clone(),
    }
}

fn notes(slices: &[Slice]) -> Vec<String> {
    let mut notes = Vec::new();
    if slices.iter().any(|slice| slice.background_ns.is_none()) {
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
    let telling = slices.iter().filter(|slice| slice.tells_machine());
    let again: u64 = telling.filter_map(|slice| slice.retransmits).sum();
    if again > 0 {
        notes.push(format!(
            "This machine sent {again} TCP segments again during the slices: packets were lost, \
             and times are longer for it."
        ));
    }
    notes
}
