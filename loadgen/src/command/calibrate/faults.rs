//! Are failures counted exactly? A server that answers wrongly and resets connections on purpose
//! counts them where it does so; the generator must have the same counts, by kind.

use std::time::Duration;

use crate::experiment::Failure;
use crate::traffic::check::ErrorKind;
use crate::traffic::schedule::{ArrivalPattern, Rate};

use super::report::{CalibrationRow, RowVerdict};
use super::session::{CalibrationSession, EarlyEnd, MeasuredSlice, SlicePlan};
use super::{Calibration, CalibrationPart};

fn plan(calibration: &Calibration) -> SlicePlan {
    SlicePlan {
        rate: Rate::whole(4_000),
        connections: 32,
        pattern: ArrivalPattern::Constant,
        slice: Duration::from_secs(if calibration.quick { 1 } else { 5 }),
    }
}

pub(super) fn planned(calibration: &Calibration) -> Duration {
    plan(calibration).planned(1)
}

pub(super) fn run(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    let plan = plan(session.calibration);
    let taken = session.slices(&["faulty"], &plan)?;
    let taken = taken.first().ok_or_else(|| Failure::new("no slice was taken"))?;
    session.rows.extend(rows(taken));
    Ok(())
}

fn rows(taken: &MeasuredSlice) -> Vec<CalibrationRow> {
    let (slice, counted) = (&taken.slice, &taken.counted);
    let of = |kind: ErrorKind| slice.errors.get(kind.as_str()).copied().unwrap_or(0);
    let known = [ErrorKind::Status, ErrorKind::ShortBody, ErrorKind::Reset];
    let others = slice.errors_total() - known.iter().map(|kind| of(*kind)).sum::<u64>();
    vec![
        row("requests sent", slice.requests_sent, counted.requests),
        row("answers with a wrong status", of(ErrorKind::Status), counted.wrong_status),
        row("answers that are too short", of(ErrorKind::ShortBody), counted.wrong_body),
        row("connections that were reset", of(ErrorKind::Reset), counted.resets),
        row("errors of any other kind", others, 0),
    ]
}

/// A count is right or wrong, on any machine.
fn row(what: &str, client: u64, server: u64) -> CalibrationRow {
    CalibrationRow::new(CalibrationPart::Faults, what)
        .found(format!("client {client}, server {server}"))
        .judged("equal", RowVerdict::of(client == server, false))
        .figure("client", client)
        .figure("server", server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_few_is_a_miss() {
        assert_eq!(row("resets", 40, 40).verdict, RowVerdict::Pass);
        assert_eq!(row("resets", 39, 40).verdict, RowVerdict::Fail);
    }
}
