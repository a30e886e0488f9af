//! Are the longest times those of the server that made them? A server that pauses is interleaved
//! with servers that do not. Whole slices tell its pauses, and no pauses of its neighbours. Blocks
//! show why percentiles come from whole slices: there whoever has requests in a pause waits for the
//! core.

use std::time::Duration;

use metrics_export::run::SliceKind;

use crate::experiment::{Bench, Experiment, Findings};
use crate::plan::{BlockChoice, Protocol, Variant};
use crate::stats::median;
use crate::traffic::schedule::{ArrivalPattern, Rate};

use super::progress::{SLICE_EXTRA, START_EXTRA};
use super::report::{CalibrationRow, RowVerdict};
use super::session::{BenchPlan, CalibrationSession, EarlyEnd, cell, is_disturbed, machine_bounds};
use super::times::USE_MAX;
use super::{Calibration, CalibrationPart, servers};

/// How long a pause lasts and how often one begins, in ms, as the role of the server says.
const PAUSE_MS: f64 = 50.0;
const EVERY_MS: f64 = 500.0;
const PAUSED: &str = "pause-50-of-500";

/// Every slice has whole periods of the pauses.
const SLICE: Duration = Duration::from_secs(1);

/// How far the p99 may be off on either side of what is expected, in ms.
const TOLERANCE_MS: f64 = 2.0;

/// A p99 below shows nothing of a pause, in ms.
const NEIGHBOUR_P99_MS_MAX: f64 = 10.0;

const RATE: Rate = Rate::whole(8_000);
const CONNECTIONS: usize = 64;

fn protocol(calibration: &Calibration) -> Protocol {
    let standard = Protocol::standard(calibration.seed);
    let instances = if calibration.quick { 1 } else { 3 };
    Protocol {
        rounds: instances,
        instances,
        slice: SLICE,
        block: BlockChoice::Length(Duration::from_millis(2)),
        pattern: ArrivalPattern::Constant,
        ..standard
    }
}

fn variants() -> Vec<Variant> {
    servers::with_control(&["base", PAUSED])
}

pub(super) fn planned(calibration: &Calibration) -> Duration {
    let Protocol { instances, warmup, slice, .. } = protocol(calibration);
    let each = START_EXTRA + 2 * (warmup + slice) + 4 * SLICE_EXTRA;
    instances * 3 * each
}

pub(super) fn run(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    let (variants, protocol) = (variants(), protocol(session.calibration));
    let mut cell = cell(CONNECTIONS)?;
    cell.rate = Some(RATE);
    // A server that pauses on purpose keeps no bound that is not the machine's own.
    let (cells, bounds) = ([cell], machine_bounds());
    let measured_cores = session.calibration.cores.measured();
    let experiment = Experiment {
        variants: &variants,
        cells: &cells,
        layers: &[Vec::new()],
        protocol: &protocol,
        bounds: &bounds,
        measured_cores,
    };
    let scene = BenchPlan { variants: &variants, protocol: &protocol, cells: &cells };
    session.progress.turn(0, 1);
    let findings = session
        .bench(&scene, |probe, progress| Ok(experiment.run(probe as &mut dyn Bench, progress)?))?;
    let disturbed = disturbed(&findings, measured_cores);
    session.rows.extend(rows(&findings, &variants, disturbed));
    match findings.failure {
        Some(failure) => Err(failure.into()),
        None if findings.complete => Ok(()),
        None => Err(EarlyEnd::Interrupted),
    }
}

/// Whether the machine disturbed a whole slice that counts.
fn disturbed(findings: &Findings, cores: usize) -> bool {
    let counted = findings
        .slices
        .iter()
        .filter(|slice| slice.counts && slice.kind == SliceKind::Open && slice.is_whole());
    counted.into_iter().any(|slice| is_disturbed(slice, cores))
}

fn rows(findings: &Findings, variants: &[Variant], disturbed: bool) -> Vec<CalibrationRow> {
    let mut rows = Vec::new();
    let (low, high) = paused_p99_ms();
    for (variant, kept) in variants.iter().zip(&findings.variants) {
        let row = |what: &str| {
            CalibrationRow::new(CalibrationPart::Pause, format!("{}: {what}", variant.role))
        };
        let whole_ms = kept.times.response.value_at_quantile(0.99) as f64 / 1e6;
        let pauses = variant.role == PAUSED.into();
        let (bound, within) = match pauses {
            true => (format!("{low:.1} to {high:.1} ms"), (low..=high).contains(&whole_ms)),
            false => ("under 10 ms".into(), whole_ms < NEIGHBOUR_P99_MS_MAX),
        };
        let within = within && !kept.times.response.is_empty();
        rows.push(
            row("response p99 of whole slices")
                .found(format!("{whole_ms:.2} ms"))
                .judged(bound, RowVerdict::of(within, disturbed))
                .figure("p99_ns", kept.times.response.value_at_quantile(0.99)),
        );
        let blocks = findings.counted(&variant.id, SliceKind::Open).filter(|one| !one.is_whole());
        let p99: Vec<f64> = blocks.map(|slice| slice.response.p99_ns as f64).collect();
        rows.extend(median(&p99).map(|p99_ns| {
            row("response p99 of blocks of 2 ms, which is not used")
                .found(format!("{:.2} ms", p99_ns / 1e6))
                .figure("p99_ns", p99_ns.round() as i64)
        }));
    }
    rows
}

/// Between what the p99 of the server that pauses must lie in ms. A hundredth of the requests are
/// those of the first 5 ms of each pause; working off what came in a pause takes at most the share
/// of its core that the server may use.
fn paused_p99_ms() -> (f64, f64) {
    let first = EVERY_MS / 100.0;
    let least = PAUSE_MS - first;
    (least - TOLERANCE_MS, least + first * USE_MAX + TOLERANCE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_says_when_its_server_pauses() {
        assert_eq!(PAUSED, format!("pause-{PAUSE_MS}-of-{EVERY_MS}"));
        assert_eq!(SLICE.as_millis() as f64 % EVERY_MS, 0.0);
        let roles: Vec<String> = variants().iter().map(|own| own.role.to_string()).collect();
        assert_eq!(roles, ["base", "base-control", PAUSED]);
        assert_eq!(paused_p99_ms(), (43.0, 48.5));
    }

    #[test]
    fn a_neighbour_that_shows_the_pause_fails() {
        let variants = variants();
        let mut findings = Findings::of(&variants, 1);
        for (kept, ms) in findings.variants.iter_mut().zip([1, 45, 45]) {
            kept.times.response.record(ms * 1_000_000).unwrap();
        }
        let verdicts = |disturbed| {
            let rows = rows(&findings, &variants, disturbed);
            rows.iter().map(|row| row.verdict).collect::<Vec<RowVerdict>>()
        };
        assert_eq!(verdicts(false), [RowVerdict::Pass, RowVerdict::Fail, RowVerdict::Pass]);
        assert_eq!(verdicts(true), [RowVerdict::Pass, RowVerdict::Disturbed, RowVerdict::Pass]);
    }
}
