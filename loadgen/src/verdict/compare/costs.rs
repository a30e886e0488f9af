//! The costs of layers in two runs: whether their intervals overlap is what a second run confirms
//! or does not. Microseconds are in-round ratios times the reference's median, so that a machine
//! that drifted between the runs moves them all; as shares of the reference they stay.

use metrics_export::run::{Cost, Run};

use super::{CostChange, CostFigure};
use crate::stats::{CONTROL, current_key, pairing};

/// Every cost that both runs have; the A/A control is none.
pub(super) fn changes(a: &Run, b: &Run) -> Vec<CostChange> {
    let layers = b.costs.iter().filter(|cost| cost.id != CONTROL);
    layers
        .filter_map(|now| {
            let cell = pairing::cell(b, &now.cell, a)?;
            let mut earlier = a.costs.iter();
            let same = |cost: &&Cost| current_key(&cost.id) == current_key(&now.id);
            let before = earlier.find(|cost| cost.cell == cell && same(cost))?;
            Some(change(b, before, now))
        })
        .collect()
}

fn change(run: &Run, before: &Cost, now: &Cost) -> CostChange {
    let (a, b) = (figure(before), figure(now));
    let overlap = overlap(ends(before, 1.0), ends(now, 1.0));
    let share = |cost: &Cost| ends(cost, cost.reference_ns as f64);
    let shares_overlap = self::overlap(share(before), share(now));
    let cell = run.plan.cells.iter().find(|cell| cell.id == now.cell);
    CostChange {
        cell: cell.map_or_else(String::new, |cell| cell.label.clone()),
        id: now.id.clone(),
        label: now.label.clone(),
        per: now.per,
        a,
        b,
        change_ns: b.estimate_ns.zip(a.estimate_ns).map(|(b, a)| b - a),
        overlap,
        shares_overlap,
        words: match (overlap, shares_overlap) {
            (Some(true), _) => "intervals overlap: no change that can be told",
            (_, Some(true)) => "apart in us, not as shares: what it is taken to has changed",
            (Some(false), _) if b.estimate_ns > a.estimate_ns => "costs more: intervals are apart",
            (Some(false), _) => "costs less: intervals are apart",
            (None, _) => "no interval: too few rounds",
        }
        .into(),
    }
}

fn figure(cost: &Cost) -> CostFigure {
    CostFigure { estimate_ns: cost.estimate_ns, low_ns: cost.low_ns, high_ns: cost.high_ns }
}

/// The ends of its interval, in these.
fn ends(cost: &Cost, unit: f64) -> Option<[f64; 2]> {
    (unit > 0.0).then_some([cost.low_ns? as f64 / unit, cost.high_ns? as f64 / unit])
}

fn overlap(a: Option<[f64; 2]>, b: Option<[f64; 2]>) -> Option<bool> {
    let ([a_low, a_high], [b_low, b_high]) = (a?, b?);
    Some(a_low <= b_high && b_low <= a_high)
}
