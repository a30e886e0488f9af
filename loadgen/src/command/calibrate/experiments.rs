//! Runs the experiments of a series, each as `tollgate matrix` runs its own, and notes what they
//! said beside what was true.
//!
//! An experiment that the bounds of validity refuse is not counted, as nobody would use it, and
//! another one is taken in its place, up to a quarter more than were missing.

use metrics_export::breaches::{self, Among};
use metrics_export::run::{Cost, Verdict};

use crate::experiment::results;
use crate::experiment::{Bench, Experiment, Failure};
use crate::plan::Variant;
use crate::stats::{self, median};
use crate::validity::judge_run;

use super::CalibrationPart;
use super::probe::CountedSlice;
use super::series::{self, ExperimentSeries};
use super::session::{BenchPlan, CalibrationSession, EarlyEnd, cell};
use super::trial::{CONTROL, Trial, TrialCost};
use super::{added, walk};

/// Connections of a slice. Each carries a request every few ms, which keeps it busy for the
/// server with a loop and without.
const CONNECTIONS: usize = 16;

/// Takes the experiments of a part that are missing. Its rows are about all that there are.
pub(super) fn run(
    session: &mut CalibrationSession<'_>,
    part: CalibrationPart,
) -> Result<(), EarlyEnd> {
    let wanted = session.calibration.experiments_of(part);
    let ended = series::of_part(part).try_for_each(|series| take_all(session, series, wanted));
    let of = |series: &ExperimentSeries| -> Vec<&Trial> {
        session.trials.iter().filter(|trial| trial.series == series.name).collect()
    };
    let rounds = session.calibration.rounds;
    let mut rows = Vec::new();
    for series in series::of_part(part) {
        match part {
            CalibrationPart::Walk => rows.extend(walk::setting(series, &of(series), wanted)),
            _ => rows.extend(added::rows(series, &of(series), wanted, rounds)),
        }
    }
    if part == CalibrationPart::Walk {
        let settings: Vec<_> = series::of_part(part).map(of).collect();
        let calibration = session.calibration;
        let (rate_per_s, slice) = (calibration.rate.as_f64(), series::slice(calibration));
        rows.extend(walk::fit(&settings, rate_per_s, slice));
    }
    session.rows.extend(rows);
    ended
}

fn take_all(
    session: &mut CalibrationSession<'_>,
    series: &ExperimentSeries,
    wanted: u32,
) -> Result<(), EarlyEnd> {
    let count = |session: &CalibrationSession<'_>| {
        let own = session.trials.iter().filter(|trial| trial.series == series.name);
        (own.clone().filter(|trial| trial.is_valid()).count() as u32, own.count() as u32)
    };
    let (valid, taken) = count(session);
    let missing = wanted.saturating_sub(valid);
    for number in taken..taken + missing + missing.div_ceil(4) {
        let (valid, _) = count(session);
        if valid >= wanted {
            break;
        }
        session.progress.turn(valid, wanted);
        let trial = take(session, series, number)?;
        session.trials.push(trial);
    }
    Ok(())
}

fn take(
    session: &mut CalibrationSession<'_>,
    series: &ExperimentSeries,
    number: u32,
) -> Result<Trial, EarlyEnd> {
    let calibration = session.calibration;
    let variants = series.variants();
    let protocol = series.protocol(calibration, number);
    let mut cell = cell(CONNECTIONS)?;
    cell.rate = Some(calibration.rate);
    let (cells, bounds, layers) = ([cell], series.bounds(), [series.layers()]);
    let cores = calibration.cores.measured();
    let experiment = Experiment {
        variants: &variants,
        cells: &cells,
        layers: &layers,
        protocol: &protocol,
        bounds: &bounds,
        measured_cores: cores,
    };
    let scene = BenchPlan { variants: &variants, protocol: &protocol, cells: &cells };
    let load = session.load(series.load)?;
    let (findings, counted) = session.bench(&scene, |probe, progress| {
        let findings = experiment.run(probe as &mut dyn Bench, progress)?;
        Ok((findings, std::mem::take(&mut probe.counted)))
    })?;
    if let Some(ended) = load.and_then(|load| load.fallen()) {
        return Err(Failure::new(ended).into());
    }
    if let Some(failure) = findings.failure {
        return Err(failure.into());
    }
    if !findings.complete {
        return Err(EarlyEnd::Interrupted);
    }
    let costs = results::estimates(&findings, &variants, &cells, &layers, protocol.seed).costs;
    let validity =
        judge_run(&findings.slices, &results::judged(&findings, &variants), &bounds, cores);
    let label = |id: &str| {
        let own = variants.iter().find(|variant| variant.id == id);
        own.map_or(id.to_owned(), |variant| variant.label.clone())
    };
    let among =
        Among { total: variants.len(), noun: "variants", label: &label, flags: breaches::MATRIX };
    Ok(Trial {
        series: series.name.into(),
        seed: protocol.seed,
        block_ns: findings.blocks[0].map(|block| block.as_nanos() as u64),
        breaches: breaches::lines(&validity.breaches, &among),
        called: results::control_failed(&costs),
        costs: trial_costs(series, &costs, &variants, &counted)?,
    })
}

/// What was said about each cost beside what it was.
fn trial_costs(
    series: &ExperimentSeries,
    costs: &[Cost],
    variants: &[Variant],
    counted: &[CountedSlice],
) -> Result<Vec<TrialCost>, Failure> {
    let of = |id: &str, found: &str, added_ns: u64, truth: f64| {
        let cost = costs.iter().find(|cost| cost.id == found);
        let cost =
            cost.ok_or_else(|| Failure::new(format!("the experiment has no estimate of {found}")))?;
        Ok(TrialCost {
            id: id.into(),
            added_ns,
            truth_ns: truth.round() as i64,
            estimate_ns: cost.estimate_ns,
            low_ns: cost.low_ns,
            high_ns: cost.high_ns,
            family_low_ns: cost.family_low_ns,
            family_high_ns: cost.family_high_ns,
            reference_ns: cost.reference_ns,
            resolved: cost.verdict == Verdict::Resolved,
        })
    };
    let added = series
        .costs
        .iter()
        .map(|cost| of(cost.role, cost.role, cost.added_ns, truth(cost.role, variants, counted)));
    std::iter::once(of(CONTROL, stats::CONTROL, 0, 0.0)).chain(added).collect()
}

/// The work of a server beside answering, per request: the median of the slices that the estimate
/// is made of, since that is one of medians too.
fn truth(id: &str, variants: &[Variant], counted: &[CountedSlice]) -> f64 {
    let own = || counted.iter().filter(|counted| variants[counted.variant].id == id);
    let interleaved = own().any(|counted| !counted.whole);
    let per_request = own().filter(|counted| counted.whole != interleaved).map(|counted| {
        let counts = counted.counts;
        let work_ns = counts.loop_ns + counts.after_loop_ns + counts.walk_ns;
        work_ns as f64 / counts.requests.max(1) as f64
    });
    median(&per_request.collect::<Vec<f64>>()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::probe::ServerCounts;
    use super::super::servers;
    use super::*;

    #[test]
    fn the_truth_is_that_of_the_slices_that_costs_come_from() {
        let variants = servers::variants(&["base", "busy-2"]);
        let counted = |variant, whole, loop_ns| CountedSlice {
            variant,
            whole,
            counts: ServerCounts { requests: 10, loop_ns, ..ServerCounts::default() },
        };
        let whole = [counted(1, true, 90_000), counted(0, true, 0), counted(1, true, 70_000)];
        assert_eq!(truth("busy-2", &variants, &whole), 8_000.0);
        let both = [&whole[..], &[counted(1, false, 20_000), counted(1, false, 22_000)]].concat();
        assert_eq!(truth("busy-2", &variants, &both), 2_100.0);
        assert_eq!(truth("busy-2", &variants, &[]), 0.0);
    }
}
