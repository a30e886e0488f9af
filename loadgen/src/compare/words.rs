//! Verdicts and notes in words. The one rule: a word for a change is used only where its interval
//! leaves zero out, and every verdict says what it rests on.

use metrics_export::run::Run;

use super::{Change, Comparison, Share, Verdict};
use crate::stats::ROUNDS_MIN;

impl Change {
    /// Takes the verdict on the sound one of the two changes: the relative one where there is one.
    pub(super) fn judge(&mut self) {
        let (share, basis) = match (self.relative, &self.reference) {
            (Some(share), Some(reference)) => (Some(share), format!("against {reference}")),
            _ => (self.absolute, "drift not cancelled".to_owned()),
        };
        self.verdict = share.map_or(Verdict::NoInterval, Share::verdict);
        self.words = match share {
            None => "no CPU was read".into(),
            Some(share) => format!("{} ({basis})", share.words()),
        };
    }

    /// The verdict without what it rests on, for tables that have a column for that.
    pub(super) fn verdict_words(&self) -> String {
        let share = if self.reference.is_some() { self.relative } else { self.absolute };
        share.map_or("no CPU was read".into(), Share::words)
    }

    /// The relative change in words; the absolute one where there is no relative one.
    pub(crate) fn relative_words(&self) -> String {
        self.relative.or(self.absolute).map_or_else(String::new, Share::words)
    }
}

impl Share {
    pub(super) fn verdict(self) -> Verdict {
        match (self.low, self.high) {
            (Some(low), _) if low > 0.0 => Verdict::Slower,
            (_, Some(high)) if high < 0.0 => Verdict::Faster,
            (Some(_), Some(_)) => Verdict::NoChange,
            _ => Verdict::NoInterval,
        }
    }

    /// Such as `slower by 4.1% [2.0, 6.3]`.
    pub(super) fn words(self) -> String {
        let percent = |share: f64| share * 100.0;
        let (low, high) = (self.low.map(percent), self.high.map(percent));
        let estimate = percent(self.estimate);
        match (self.verdict(), low, high) {
            (Verdict::Slower, Some(low), Some(high)) => {
                format!("slower by {estimate:.1}% [{low:.1}, {high:.1}]")
            }
            (Verdict::Faster, Some(low), Some(high)) => {
                format!("faster by {:.1}% [{:.1}, {:.1}]", -estimate, -high, -low)
            }
            (Verdict::NoChange, Some(low), Some(high)) => {
                format!("no change that can be told: within [{low:+.1}%, {high:+.1}%]")
            }
            _ => format!("{estimate:+.1}%, without interval: fewer than {ROUNDS_MIN} rounds"),
        }
    }

    /// Such as `+4.1% [+2.0, +6.3]`.
    pub(super) fn figures(self) -> String {
        let estimate = self.estimate * 100.0;
        match (self.low, self.high) {
            (Some(low), Some(high)) => {
                format!("{estimate:+.1}% [{:+.1}, {:+.1}]", low * 100.0, high * 100.0)
            }
            _ => format!("{estimate:+.1}%"),
        }
    }
}

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
    let moved = |share: Option<Share>| {
        share.is_some_and(|share| matches!(share.verdict(), Verdict::Slower | Verdict::Faster))
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
    let judged = changes.iter().filter(|change| change.verdict != Verdict::NoInterval).count();
    if judged > 1 {
        notes.push(format!(
            "{judged} verdicts at 95% each: about {:.1} of them call a change by chance where \
             there is none.",
            judged as f64 * 0.05
        ));
    }
    notes
}
