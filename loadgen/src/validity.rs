//! Whether a measurement can be believed: one set of rules for a slice, for a run of many slices
//! and for a point of a capacity search. A rule takes what was observed and gives a [`Breach`]; the
//! sentence of a breach is [`metrics_export::breaches`]'s.
//!
//! Each rule has one meaning, whatever it is applied to. A run differs from a slice in its counts
//! alone, which are sums, and in growth, which more than half of its slices must show. It refuses
//! to excuse: what a target did wrong is a breach, also where the machine was disturbed.

mod observed;
mod run;

use metrics_export::breaches::{self, Flags};
use metrics_export::run::{BoundId, Bounds, Breach, BreachScope, Cause};

use crate::machine::cpu::TICK_NS;

pub use observed::Observed;
pub use run::{Judged, judge_run};

use observed::{CoreUsage, OpenLoop};

/// Time that may belong to a neighbouring slice where figures are kept in clock ticks: one tick at
/// each end.
const TICKS_SLACK_NS: f64 = 2.0 * TICK_NS as f64;

/// What a rule found.
#[derive(Debug)]
struct BrokenBound {
    cause: Cause,
    measured: f64,
    limit: f64,
    detail: Option<String>,
}

impl BrokenBound {
    fn new(cause: Cause, measured: f64, limit: f64) -> Option<BrokenBound> {
        Some(BrokenBound { cause, measured, limit, detail: None })
    }
}

type Rule = fn(&Observed, &Bounds) -> Option<BrokenBound>;

/// Every bound with its rule, the causes before their effects.
const RULES: [(BoundId, Rule); BoundId::ALL.len()] = [
    (BoundId::BackgroundShare, background),
    (BoundId::StealShare, steal),
    (BoundId::Throttled, throttled),
    (BoundId::SharedCore, shared_core),
    (BoundId::ServerCpu, server_cpu),
    (BoundId::IdleCpu, idle_cpu),
    (BoundId::Lateness, lateness),
    (BoundId::AchievedShare, achieved),
    (BoundId::Dropped, dropped),
    (BoundId::InFlightGrowth, growth),
    (BoundId::Errors, errors),
];

/// The bounds that a slice broke, the causes before their effects; empty where it can be believed.
#[must_use]
pub fn judge(observed: &Observed, bounds: &Bounds, flags: Flags) -> Vec<Breach> {
    judge_scope(observed, bounds, &BreachScope::Slice, "", flags)
}

/// The same for a scope, whose variant people call `label`.
fn judge_scope(
    observed: &Observed,
    bounds: &Bounds,
    scope: &BreachScope,
    label: &str,
    flags: Flags,
) -> Vec<Breach> {
    let broken = RULES.iter().filter_map(|(bound, rule)| Some((*bound, rule(observed, bounds)?)));
    let breach = |(bound, found): (BoundId, BrokenBound)| {
        let mut breach = Breach {
            bound: bound.to_string(),
            scope: scope.clone(),
            cause: Some(found.cause),
            measured: Some(found.measured),
            limit: Some(found.limit),
            detail: found.detail,
            sentence: String::new(),
        };
        let more = if bound == BoundId::Errors { observed.error_advice } else { "" };
        breach.sentence = breaches::sentence(&breach, label, flags, more);
        breach
    };
    broken.map(breach).collect()
}

/// What the target did, and what disturbed the measurement: a search for capacity wants to see the
/// first and must not believe the second.
#[must_use]
pub fn by_cause(breaches: Vec<Breach>) -> (Vec<Breach>, Vec<Breach>) {
    breaches.into_iter().partition(|breach| breach.cause == Some(Cause::Target))
}

/// Other programs used more of the measured cores.
fn background(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let share = observed.cores.as_ref()?.background_share()?;
    let limit = bounds.background_share_max;
    (share > limit).then(|| BrokenBound::new(Cause::Machine, share, limit)).flatten()
}

/// The hypervisor took more of the measured cores, by more than the ticks can be wrong.
fn steal(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let CoreUsage { time_ns, steal_ns, .. } = observed.cores.as_ref()?;
    let limit = bounds.steal_share_max;
    let broken = *steal_ns as f64 > (limit * time_ns).max(TICKS_SLACK_NS);
    broken.then(|| BrokenBound::new(Cause::Machine, *steal_ns as f64 / time_ns, limit)).flatten()
}

/// The control group was throttled more often.
fn throttled(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let times = observed.cores.as_ref()?.throttled;
    over(Cause::Machine, times, bounds.throttled_max)
}

/// The server ran on a core of the generator, and each took time from the other.
fn shared_core(observed: &Observed, _: &Bounds) -> Option<BrokenBound> {
    over(Cause::Machine, observed.slices_on_shared_core, 0)
}

/// The CPU of the server could not be read.
fn server_cpu(observed: &Observed, _: &Bounds) -> Option<BrokenBound> {
    let why = observed.cpu_unknown.clone()?;
    Some(BrokenBound { cause: Cause::Machine, measured: 1.0, limit: 0.0, detail: Some(why) })
}

/// Its servers worked while nothing was asked of them.
fn idle_cpu(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let share = observed.idle_cpu_share?;
    let limit = bounds.idle_cpu_share_max?;
    (share > limit).then(|| BrokenBound::new(Cause::Target, share, limit)).flatten()
}

/// The generator itself sent late.
fn lateness(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let p99_ns = observed.open_loop.as_ref()?.lateness_p99_ns;
    over(Cause::Generator, p99_ns, bounds.lateness_p99_ns_max)
}

/// Less was sent within the time of the slice than was intended. Where no request ever waited for a
/// connection the target was not what held them up. The last request of a slice may become due just
/// before its end and be sent just after it, which is no shortfall at a low rate.
fn achieved(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let OpenLoop { intended, sent_in_window, waited, in_flight, interrupted, .. } =
        observed.open_loop.as_ref()?;
    let slices = in_flight.len().max(1) as u64;
    let short = intended.saturating_sub(*sent_in_window) > slices;
    // A whole slice holds a whole number of requests, so that a low rate is not met exactly.
    let share = *sent_in_window as f64 / (*intended).max(1) as f64;
    let limit = bounds.achieved_share_min;
    let broken = share < limit && short && !interrupted;
    let cause = if *waited { Cause::Target } else { Cause::Generator };
    broken.then(|| BrokenBound::new(cause, share, limit)).flatten()
}

/// More requests found the queue full.
fn dropped(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    over(Cause::Target, observed.open_loop.as_ref()?.dropped, bounds.dropped_max)
}

/// Unanswered requests grew by more, and to more than twice as many, in more than half of the
/// slices: a longer slice would show longer times.
fn growth(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let all = &observed.open_loop.as_ref()?.in_flight;
    let limit = bounds.in_flight_growth_max as f64;
    // A few more than many are no trend.
    let grown = || all.iter().filter(|slice| slice.growth > limit && slice.growth > slice.first);
    let count = grown().count();
    let most = grown().max_by(|a, b| a.growth.total_cmp(&b.growth))?;
    let detail = match all.len() {
        1 => format!("from {:.0} to {:.0}", most.first, most.first + most.growth),
        slices => format!("in {count} of {slices} slices"),
    };
    let measured = most.growth;
    let broken = BrokenBound { cause: Cause::Target, measured, limit, detail: Some(detail) };
    (2 * count > all.len()).then_some(broken)
}

/// More requests have no good response.
fn errors(observed: &Observed, bounds: &Bounds) -> Option<BrokenBound> {
    let found = over(Cause::Target, observed.errors.values().sum(), bounds.errors_max)?;
    let kinds: Vec<String> = observed.errors.keys().cloned().collect();
    let counted = observed.errors.iter().map(|(kind, count)| format!("{count} {kind}"));
    // One kind has the count of the breach.
    let detail = if kinds.len() == 1 { kinds } else { counted.collect() };
    Some(BrokenBound { detail: Some(detail.join(", ")), ..found })
}

/// A count that must not be greater.
fn over(cause: Cause, measured: u64, limit: u64) -> Option<BrokenBound> {
    (measured > limit).then(|| BrokenBound::new(cause, measured as f64, limit as f64)).flatten()
}

#[cfg(test)]
mod tests;
