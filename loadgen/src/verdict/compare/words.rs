//! What a reader of a comparison should know beside its figures, in sentences.

use metrics_export::run::Run;

use super::{Change, ChangeVerdict, Comparison, RelativeChange};

/// What a reader should know, as sentences.
pub(super) fn notes(a: &Run, b: &Run, comparison: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    for (run, name) in [(a, "before"), (b, "after")] {
        if !run.complete {
            notes.push(format!("The run {name} was interrupted: it has what was finished."));
        }
    }
    let variants = &comparison.variants;
    if variants.is_empty() {
        notes.push("The two runs have no variant in common: there is nothing to compare.".into());
    }
    let changes: Vec<&Change> = variants
        .iter()
        .flat_map(|variant| [Some(&variant.cpu_per_request), variant.cpu_per_connection.as_ref()])
        .flatten()
        .collect();
    if changes.iter().any(|change| change.reference.is_some()) {
        notes.push(
            "Verdicts against a baseline compare ratios within a round: drift of the machine \
             cancels, and so does what changed for the baseline too."
                .into(),
        );
    }
    let moved = |share: Option<RelativeChange>| {
        share.is_some_and(|share| {
            matches!(share.verdict(), ChangeVerdict::Slower | ChangeVerdict::Faster)
        })
    };
    for variant in variants.iter().filter(|variant| variant.cpu_per_request.reference.is_none()) {
        if let Some(share) =
            variant.cpu_per_request.absolute.filter(|_| moved(variant.cpu_per_request.absolute))
        {
            notes.push(format!(
                "{} itself is {}: the machine was in another state, or what all variants share \
                 has changed. This comparison cannot tell which; measure both builds again, in \
                 turns.",
                variant.variant,
                share.words()
            ));
        }
    }
    let judged =
        changes.iter().filter(|change| change.verdict != ChangeVerdict::NoInterval).count();
    if judged > 1 {
        notes.push(format!(
            "{judged} verdicts at 95% each: about {:.1} of them call a change by chance where \
             there is none.",
            judged as f64 * 0.05
        ));
    }
    notes
}
