//! Are requests sent when they are meant to be? The achieved rate and how late requests
//! were sent, under both kinds of arrivals, and whether Poisson gaps are exponential.
//!
//! The gaps that are tested are the intended ones. Single send times are not kept, for that would
//! cost every slice memory; what an actual gap can differ from the intended one is the lateness.

use std::time::Duration;

use crate::experiment::Failure;
use crate::traffic::schedule::{ArrivalPattern, Rate};

use super::gaps::{self, Fit};
use super::report::{CalibrationRow, RowVerdict};
use super::session::{CalibrationSession, EarlyEnd, MeasuredSlice, SlicePlan};
use super::{Calibration, CalibrationPart};

/// Requests per second.
const RATE: Rate = Rate::whole(20_000);

/// How far the achieved rate may be from the asked one.
const RATE_ERROR_MAX: f64 = 0.001;

/// How late requests may be sent.
const LATENESS_P99_NS_MAX: u64 = 50_000;

/// True exponential gaps are refused once in so many calibrations.
const PROBABILITY_MIN: f64 = 0.001;

fn plan(calibration: &Calibration, pattern: ArrivalPattern) -> SlicePlan {
    SlicePlan {
        rate: RATE,
        connections: 64,
        pattern,
        slice: Duration::from_secs(if calibration.quick { 1 } else { 10 }),
    }
}

pub(super) fn planned(calibration: &Calibration) -> Duration {
    2 * plan(calibration, ArrivalPattern::Constant).planned(1)
}

pub(super) fn run(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    for pattern in [ArrivalPattern::Constant, ArrivalPattern::Poisson] {
        let plan = plan(session.calibration, pattern);
        let taken = session.slices(&["base"], &plan)?;
        let taken = taken.first().ok_or_else(|| Failure::new("no slice was taken"))?;
        session.rows.extend([rate(taken, pattern), lateness(taken, pattern)]);
    }
    let plan = plan(session.calibration, ArrivalPattern::Poisson);
    let intended = gaps::intended(plan.pattern, RATE, plan.slice, session.calibration.seed);
    session.rows.push(fit(gaps::exponential(intended, 1e9 / RATE.as_f64())));
    Ok(())
}

fn rate(taken: &MeasuredSlice, pattern: ArrivalPattern) -> CalibrationRow {
    let slice = &taken.slice;
    let achieved = slice.requests_answered as f64 * 1e9 / slice.duration_ns.max(1) as f64;
    let error = achieved / RATE.as_f64() - 1.0;
    CalibrationRow::new(
        CalibrationPart::Schedules,
        format!("{} arrivals, achieved rate", pattern.as_str()),
    )
    .found(format!("{achieved:.1}/s of {:.0} ({:+.3}%)", RATE.as_f64(), error * 100.0))
    .judged("within 0.1%", taken.verdict(error.abs() <= RATE_ERROR_MAX))
    .figure("achieved_milli_per_s", (achieved * 1e3).round() as i64)
}

fn lateness(taken: &MeasuredSlice, pattern: ArrivalPattern) -> CalibrationRow {
    let late = &taken.slice.lateness;
    let us = |ns: u64| ns as f64 / 1e3;
    CalibrationRow::new(
        CalibrationPart::Schedules,
        format!("{} arrivals, lateness p99", pattern.as_str()),
    )
    .found(format!("{:.1} us (longest {:.0} us)", us(late.p99_ns), us(late.max_ns)))
    .judged("under 50 us", taken.verdict(late.p99_ns < LATENESS_P99_NS_MAX))
    .figure("lateness_p99_ns", late.p99_ns)
    .figure("lateness_max_ns", late.max_ns)
}

fn fit(fit: Fit) -> CalibrationRow {
    let Fit { gaps, distance, probability } = fit;
    CalibrationRow::new(
        CalibrationPart::Schedules,
        "poisson gaps beside the exponential (Kolmogorov-Smirnov)",
    )
    .found(format!("{gaps} gaps, distance {distance:.4}, p = {probability:.2}"))
    .judged("p at least 0.001", RowVerdict::of(probability >= PROBABILITY_MIN, false))
    .figure("gaps", gaps as u64)
    .figure("probability_millionths", (probability * 1e6).round() as i64)
}
