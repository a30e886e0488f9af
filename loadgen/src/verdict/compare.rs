//! Two runs beside each other: what each variant and each layer costs now and cost before, and
//! whether the change is distinguishable from noise.
//!
//! A machine drifts between two runs by more than most changes, so that a figure of one run minus
//! a figure of the other is no verdict. Where both runs have the baseline of the cell, the verdict
//! rests on the ratio to it within the same round, in which drift cancels; the baseline itself
//! has only the plain change, and the verdict says so. Pure: records in, a comparison out. It
//! refuses to put one number to runs that differ in what they measured without saying that first.

mod costs;
mod differences;
mod markdown;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod text;
mod words;

use metrics_export::run::{Per, Percentiles, Run, SliceKind};
use serde::Serialize;

use crate::stats::{cpu_change, pairing};
use crate::verdict::threshold::{self, Judgement};

pub use crate::stats::{Change, ChangeVerdict, RelativeChange};
pub use markdown::markdown;
pub use text::text;

/// Two runs beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The run before.
    pub a: ComparedRun,
    /// The run after.
    pub b: ComparedRun,
    /// What the two runs did not do alike, as sentences: it goes before every figure.
    pub differences: Vec<String>,
    /// Variants that both have.
    pub variants: Vec<VariantChange>,
    /// Costs of layers that both have.
    pub costs: Vec<CostChange>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Thresholds on the run after, with the run before as `baseline`.
    pub thresholds: Vec<Judgement>,
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedRun {
    /// The name of its directory.
    pub id: String,
    /// The name that the user gave it.
    pub label: Option<String>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// The version of tollgate, with the commit where it is known.
    pub version: String,
    /// Whether it can be believed.
    pub valid: bool,
    /// Whether every planned slice was taken.
    pub complete: bool,
    /// What broke validity, as sentences.
    pub breaches: Vec<String>,
}

/// One variant in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariantChange {
    /// The cell's label; empty where there is only one.
    pub cell: String,
    /// The variant's label.
    pub variant: String,
    /// Server CPU per request.
    pub cpu_per_request: Change,
    /// Server CPU per new connection, where both measured it.
    pub cpu_per_connection: Option<Change>,
    /// Half of the response times are at most this.
    pub response_p50: Ratio,
    /// 99% of the response times are at most this.
    pub response_p99: Ratio,
    /// Requests per second of the closed loop, in thousandths, where both ran it.
    pub closed_loop: Option<Ratio>,
}

/// Two figures and their ratio, without an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Before; absent where nothing was recorded, as in what follows.
    pub a: Option<u64>,
    /// After.
    pub b: Option<u64>,
    /// After over before; absent when one of them is.
    pub ratio: Option<f64>,
}

/// The cost of one layer in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostChange {
    /// The cell's label; empty where there is only one.
    pub cell: String,
    /// The layer's key.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// `request` or `connection`.
    pub per: Per,
    /// Before.
    pub a: CostFigure,
    /// After.
    pub b: CostFigure,
    /// After minus before; absent where one has no estimate.
    pub change_ns: Option<i64>,
    /// Whether the two intervals overlap; absent where one has none.
    pub overlap: Option<bool>,
    /// The same of the costs as shares of what they are taken to, in which drift cancels.
    pub shares_overlap: Option<bool>,
    /// In one phrase what that means.
    pub words: String,
}

/// What a layer costs in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CostFigure {
    /// The estimate.
    pub estimate_ns: Option<i64>,
    /// The lower end of its own interval.
    pub low_ns: Option<i64>,
    /// The upper end.
    pub high_ns: Option<i64>,
}

/// Compares a run with an earlier one. Thresholds are added by whoever has them.
#[must_use]
pub fn compare(a: &Run, b: &Run) -> Comparison {
    let variants: Vec<VariantChange> =
        pairing::pairs(a, b).filter_map(|pair| variant_change(a, b, &pair)).collect();
    let costs = costs::changes(a, b);
    let mut comparison = Comparison {
        a: side(a),
        b: side(b),
        differences: differences::sentences(a, b),
        variants,
        costs,
        notes: Vec::new(),
        thresholds: Vec::new(),
    };
    comparison.notes = words::notes(a, b, &comparison);
    comparison
}

impl Comparison {
    /// 3 when one of the runs cannot be believed, 99 when a threshold holds, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let own = if self.a.valid && self.b.valid { 0 } else { 3 };
        threshold::exit_code(own, &self.thresholds)
    }

    /// The comparison as indented JSON, ending in a line feed.
    ///
    /// # Errors
    /// None that this structure can cause.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

fn variant_change(a: &Run, b: &Run, pair: &pairing::Pair<'_>) -> Option<VariantChange> {
    let (before, now) = (a.result(&pair.a.id)?, b.result(&pair.b.id)?);
    let change = |kind| cpu_change(a, &pair.a.id, b, &pair.b.id, kind);
    let connects = before.connecting.is_some() && now.connecting.is_some();
    let closed = before.closed_loop.zip(now.closed_loop);
    let point = |of: fn(&Percentiles) -> u64| {
        let known = |points: &Percentiles| points.known(of(points));
        Ratio::of(known(&before.response), known(&now.response))
    };
    Some(VariantChange {
        cell: pair.cell.to_owned(),
        variant: pair.b.label.clone(),
        cpu_per_request: change(SliceKind::Open),
        cpu_per_connection: connects.then(|| change(SliceKind::Connect)),
        response_p50: point(|points| points.p50_ns),
        response_p99: point(|points| points.p99_ns),
        closed_loop: closed
            .map(|(a, b)| Ratio::of(Some(a.requests_milli_per_s), Some(b.requests_milli_per_s))),
    })
}

impl Ratio {
    fn of(a: Option<u64>, b: Option<u64>) -> Ratio {
        let both = a.filter(|a| *a > 0).zip(b);
        Ratio { a, b, ratio: both.map(|(a, b)| b as f64 / a as f64) }
    }
}

fn side(run: &Run) -> ComparedRun {
    let environment = &run.environment;
    let commit = environment.commit.as_ref().map_or(String::new(), |id| format!(" ({id})"));
    ComparedRun {
        id: run.id.clone(),
        label: run.plan.label.clone(),
        started_at: run.started_at.clone(),
        version: format!("{}{commit}", environment.version),
        valid: run.validity.valid && run.proofs.iter().all(|proof| proof.holds),
        complete: run.complete,
        breaches: breaches(run),
    }
}

/// What broke validity; a slice that was not what its label says does so as well.
fn breaches(run: &Run) -> Vec<String> {
    let bounds = metrics_export::breaches::of_run(run).into_iter();
    let proofs = run.proofs.iter().filter(|proof| !proof.holds).map(|proof| {
        let label = run.label(&proof.variant);
        format!("unverified: {label}: {} - found {}", proof.claim, proof.found)
    });
    bounds.chain(proofs).collect()
}
