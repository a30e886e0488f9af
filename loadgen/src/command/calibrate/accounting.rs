//! Do the kernel's accounts of CPU agree? The run time of threads, which all CPU figures rest on,
//! is held against what a control group and the core itself are billed over the same slice.

use std::time::Duration;

use crate::traffic::schedule::{ArrivalPattern, Rate};

use super::report::{CalibrationRow, RowVerdict};
use super::session::{CalibrationSession, EarlyEnd, MeasuredSlice, SlicePlan};
use super::{Calibration, CalibrationPart};

/// How far two readings may be apart.
const ERROR_MAX: f64 = 0.05;

/// The names under which a reference server's CPU is billed: by its threads, and by its group.
pub const THREADS: &str = "reference";
/// See above.
pub const GROUP: &str = "control-group";

fn plan(calibration: &Calibration) -> SlicePlan {
    SlicePlan {
        rate: Rate::whole(8_000),
        connections: 16,
        // Even gaps could keep step with the kernel's ticks.
        pattern: ArrivalPattern::Poisson,
        slice: Duration::from_secs(if calibration.quick { 2 } else { 10 }),
    }
}

pub(super) fn planned(calibration: &Calibration) -> Duration {
    plan(calibration).planned(2)
}

pub(super) fn run(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    let plan = plan(session.calibration);
    let taken = session.slices(&["group", "group-busy"], &plan)?;
    for (taken, what) in taken.iter().zip(["no loop", "a loop of 50 us"]) {
        session.rows.push(group(taken, what));
        session.rows.push(core(taken, what));
    }
    Ok(())
}

fn group(taken: &MeasuredSlice, what: &str) -> CalibrationRow {
    let row = CalibrationRow::new(
        CalibrationPart::Accounting,
        format!("control group beside threads, {what}"),
    );
    match taken.cpu_ns(GROUP) {
        Some(group_ns) => {
            let (row, error) = compared(row, taken, group_ns);
            row.judged("within 5%", taken.verdict(error.abs() <= ERROR_MAX))
        }
        None => row.found(
            "not checked: no control group can be made here (a writable one of version 2, or of \
             version 1 with cpuacct)",
        ),
    }
}

/// A core that the server uses little is billed in ticks that are too coarse to judge by, and what
/// else runs there weighs too much.
fn core(taken: &MeasuredSlice, what: &str) -> CalibrationRow {
    let row = CalibrationRow::new(
        CalibrationPart::Accounting,
        format!("busy time of the core beside threads, {what}"),
    );
    let (row, error) = compared(row, taken, taken.slice.busy_ns);
    let threads_ns = taken.cpu_ns(THREADS).unwrap_or(0);
    if threads_ns < taken.slice.duration_ns / 4 {
        return row;
    }
    row.judged("within 5%", RowVerdict::of(error.abs() <= ERROR_MAX, taken.disturbed))
}

fn compared(row: CalibrationRow, taken: &MeasuredSlice, other_ns: u64) -> (CalibrationRow, f64) {
    let threads_ns = taken.cpu_ns(THREADS).unwrap_or(0);
    let error = other_ns as f64 / threads_ns.max(1) as f64 - 1.0;
    let ms = |ns: u64| ns as f64 / 1e6;
    let found = format!(
        "{:.1} ms, threads {:.1} ms ({:+.2}%)",
        ms(other_ns),
        ms(threads_ns),
        error * 100.0
    );
    (row.found(found).figure("other_ns", other_ns).figure("threads_ns", threads_ns), error)
}
