//! How the CPU of a variant changed from one run to another, with its verdict in words. The one
//! rule: a word for a change is used only where its interval leaves zero out, and every verdict
//! says what it rests on.

use metrics_export::run::{Run, SliceKind, VariantResult};
use serde::Serialize;

use super::{Estimate, ROUNDS_MIN, observe, pairing};

/// A change of CPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Before: the median over the slices.
    pub a_ns: u64,
    /// After.
    pub b_ns: u64,
    /// The change of the figure itself, as a share; what the machine drifted is in it.
    pub absolute: Option<RelativeChange>,
    /// The change of its ratio to the reference of the same round, as a share: drift cancels.
    pub relative: Option<RelativeChange>,
    /// The label of that reference.
    pub reference: Option<String>,
    /// In one word what it means.
    pub verdict: ChangeVerdict,
    /// In one phrase what it means, with the interval, and on what it rests.
    pub words: String,
}

/// A share with its interval: 0.05 is 5% more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RelativeChange {
    /// The estimate.
    pub estimate: f64,
    /// The lower end of the interval; absent when there were too few rounds.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeVerdict {
    /// The interval lies above zero.
    Slower,
    /// The interval lies below zero.
    Faster,
    /// The interval has zero in it.
    NoChange,
    /// There is no interval: too few rounds, or no CPU was read.
    NoInterval,
}

/// How the CPU of a variant changed, per request (open loop) or per new connection.
pub(crate) fn cpu_change(a: &Run, a_id: &str, b: &Run, b_id: &str, kind: SliceKind) -> Change {
    let absolute =
        super::change(&observe::logarithms(a, a_id, kind), &observe::logarithms(b, b_id, kind));
    let references = pairing::reference(a, a_id).zip(pairing::reference(b, b_id));
    let shared =
        references.filter(|(before, now)| pairing::role_of(before) == pairing::role_of(now));
    let relative = shared.and_then(|(before, now)| {
        super::change(
            &observe::log_ratios(a, a_id, &before.id, kind),
            &observe::log_ratios(b, b_id, &now.id, kind),
        )
    });
    let ns = |run: &Run, id: &str| run.result(id).map_or(0, |result| cpu_ns(result, kind));
    let mut change = Change {
        a_ns: ns(a, a_id),
        b_ns: ns(b, b_id),
        absolute: absolute.map(RelativeChange::of),
        relative: relative.map(RelativeChange::of),
        reference: shared.filter(|_| relative.is_some()).map(|(_, now)| now.label.clone()),
        verdict: ChangeVerdict::NoInterval,
        words: String::new(),
    };
    change.judge();
    change
}

impl RelativeChange {
    /// From an estimate on logarithms.
    fn of(estimate: Estimate) -> RelativeChange {
        RelativeChange {
            estimate: estimate.centre.exp_m1(),
            low: estimate.interval.map(|interval| interval.low.exp_m1()),
            high: estimate.interval.map(|interval| interval.high.exp_m1()),
        }
    }
}

fn cpu_ns(result: &VariantResult, kind: SliceKind) -> u64 {
    match kind {
        SliceKind::Open => result.cpu_ns_per_request,
        SliceKind::Connect => {
            result.connecting.as_ref().map_or(0, |found| found.cpu_ns_per_connection)
        }
        SliceKind::Closed => result.closed_loop.map_or(0, |found| found.cpu_ns_per_request),
    }
}

impl Change {
    /// Takes the verdict on the sound one of the two changes: the relative one where there is one.
    pub(crate) fn judge(&mut self) {
        let (share, basis) = match (self.relative, &self.reference) {
            (Some(share), Some(reference)) => (Some(share), format!("against {reference}")),
            _ => (self.absolute, "drift not cancelled".to_owned()),
        };
        self.verdict = share.map_or(ChangeVerdict::NoInterval, RelativeChange::verdict);
        self.words = match share {
            None => "no CPU was read".into(),
            Some(share) => format!("{} ({basis})", share.words()),
        };
    }

    /// The verdict without what it rests on, for tables that have a column for that.
    pub(crate) fn verdict_words(&self) -> String {
        let share = if self.reference.is_some() { self.relative } else { self.absolute };
        share.map_or("no CPU was read".into(), RelativeChange::words)
    }

    /// The relative change in words; the absolute one where there is no relative one.
    pub(crate) fn relative_words(&self) -> String {
        self.relative.or(self.absolute).map_or_else(String::new, RelativeChange::words)
    }
}

impl RelativeChange {
    pub(crate) fn verdict(self) -> ChangeVerdict {
        match (self.low, self.high) {
            (Some(low), _) if low > 0.0 => ChangeVerdict::Slower,
            (_, Some(high)) if high < 0.0 => ChangeVerdict::Faster,
            (Some(_), Some(_)) => ChangeVerdict::NoChange,
            _ => ChangeVerdict::NoInterval,
        }
    }

    /// Such as `slower by 4.1% [2.0, 6.3]`.
    pub(crate) fn words(self) -> String {
        let percent = |share: f64| share * 100.0;
        let (low, high) = (self.low.map(percent), self.high.map(percent));
        let estimate = percent(self.estimate);
        match (self.verdict(), low, high) {
            (ChangeVerdict::Slower, Some(low), Some(high)) => {
                format!("slower by {estimate:.1}% [{low:.1}, {high:.1}]")
            }
            (ChangeVerdict::Faster, Some(low), Some(high)) => {
                format!("faster by {:.1}% [{:.1}, {:.1}]", -estimate, -high, -low)
            }
            (ChangeVerdict::NoChange, Some(low), Some(high)) => {
                format!("no change that can be told: within [{low:+.1}%, {high:+.1}%]")
            }
            _ => format!("{estimate:+.1}%, without interval: fewer than {ROUNDS_MIN} rounds"),
        }
    }

    /// Such as `+4.1% [+2.0, +6.3]`.
    pub(crate) fn figures(self) -> String {
        let estimate = self.estimate * 100.0;
        match (self.low, self.high) {
            (Some(low), Some(high)) => {
                format!("{estimate:+.1}% [{:+.1}, {:+.1}]", low * 100.0, high * 100.0)
            }
            _ => format!("{estimate:+.1}%"),
        }
    }
}
