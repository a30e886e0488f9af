//! Are times charged to whom they belong? A delay must show in the response time as it was; a
//! stall must show in the response time, which counts from the intended send, and not in the
//! service time, which knows only of the few requests that were under way.

use std::time::Duration;

use crate::experiment::Failure;
use crate::traffic::schedule::{ArrivalPattern, Rate};

use super::probe::ServerCounts;
use super::report::{CalibrationRow, RowVerdict};
use super::session::{CalibrationSession, EarlyEnd, MeasuredSlice, SlicePlan};
use super::{Calibration, CalibrationPart};

/// How far the rise of the median may be from the delay that the server kept, in ns: its timer has
/// a grain of 1 ms, over which the median of the delays need not be their mean.
const DELAY_P50_TOLERANCE_NS: f64 = 200_000.0;

/// The same for the mean, as a share of the delay.
const DELAY_MEAN_TOLERANCE: f64 = 0.01;

/// The share of its core that a stalling server may use.
pub(super) const USE_MAX: f64 = 0.30;

/// How long a stall lasts, in ms.
const STALL_MS: f64 = 100.0;

/// How far the p99 may be off on either side of what is expected, in ms: wake-ups, and the
/// resolution of histograms.
const STALL_TOLERANCE_MS: f64 = 2.0;

/// A service p99 below shows nothing of a stall of 100 ms, in ms; a p99.9 above shows it.
const SERVICE_P99_MS_MAX: f64 = 10.0;
const SERVICE_P999_MS_MIN: f64 = 50.0;

fn plan(calibration: &Calibration, part: CalibrationPart) -> SlicePlan {
    let quick = calibration.quick;
    match part {
        // Arrivals that know nothing of the timer's ticks find it at any point of one.
        CalibrationPart::Delay => SlicePlan {
            rate: Rate::whole(2_000),
            connections: 64,
            pattern: ArrivalPattern::Poisson,
            slice: Duration::from_secs(if quick { 1 } else { 5 }),
        },
        _ => SlicePlan {
            rate: Rate::whole(10_000),
            connections: 64,
            pattern: ArrivalPattern::Constant,
            slice: Duration::from_secs(if quick { 2 } else { 10 }),
        },
    }
}

pub(super) fn planned(calibration: &Calibration, part: CalibrationPart) -> Duration {
    plan(calibration, part).planned(2)
}

pub(super) fn delay(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    let (base, delayed) = pair(session, CalibrationPart::Delay, "delay")?;
    let verdict = |within| RowVerdict::of(within, base.disturbed || delayed.disturbed);
    let ServerCounts { delays, delayed_ns, .. } = delayed.counted;
    let truth = delayed_ns as f64 / delays.max(1) as f64;
    let ms = |ns: f64| format!("{:.3} ms", ns / 1e6);
    let found = |rise: f64| format!("{}; the server waited {}", ms(rise), ms(truth));

    let rise = delayed.slice.response.p50_ns as f64 - base.slice.response.p50_ns as f64;
    let within = (rise - truth).abs() <= DELAY_P50_TOLERANCE_NS;
    session.rows.push(
        CalibrationRow::new(CalibrationPart::Delay, "response p50 rises by")
            .found(found(rise))
            .judged("within 0.2 ms", verdict(within))
            .figure("rise_ns", rise.round() as i64)
            .figure("truth_ns", truth.round() as i64),
    );
    let rise = delayed.times.response.mean() - base.times.response.mean();
    let within = (rise / truth - 1.0).abs() <= DELAY_MEAN_TOLERANCE;
    session.rows.push(
        CalibrationRow::new(CalibrationPart::Delay, "mean response rises by")
            .found(found(rise))
            .judged("within 1%", verdict(within))
            .figure("rise_ns", rise.round() as i64)
            .figure("truth_ns", truth.round() as i64),
    );
    Ok(())
}

pub(super) fn stall(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    let (base, stalled) = pair(session, CalibrationPart::Stall, "stall")?;
    let verdict = |within| stalled.verdict(within);
    let share = base.cpu_ns("reference").unwrap_or(0) as f64 / base.slice.duration_ns.max(1) as f64;
    session.rows.push(
        CalibrationRow::new(CalibrationPart::Stall, "use of the server's core without stalls")
            .found(format!("{:.0}%", share * 100.0))
            .judged("under 30%", base.verdict(share < USE_MAX))
            .figure("use_milli", (share * 1e3).round() as i64),
    );
    let ServerCounts { stalls, stalled_ns, .. } = stalled.counted;
    let (low, high) = stalled_p99_ms(share);
    let ms = |ns: u64| ns as f64 / 1e6;
    let (response, service) = (&stalled.slice.response, &stalled.slice.service);
    let p99 = ms(response.p99_ns);
    session.rows.push(
        CalibrationRow::new(
            CalibrationPart::Stall,
            format!("response p99 over {stalls} stalls of 100 ms"),
        )
        .found(format!("{p99:.1} ms"))
        .judged(format!("{low:.1} to {high:.1} ms"), verdict((low..=high).contains(&p99)))
        .figure("p50_ns", response.p50_ns)
        .figure("p99_ns", response.p99_ns)
        .figure("stalls", stalls)
        .figure("stalled_ns", stalled_ns),
    );
    let within = ms(service.p99_ns) < SERVICE_P99_MS_MAX;
    session.rows.push(
        CalibrationRow::new(CalibrationPart::Stall, "service p99, which does not show it")
            .found(format!("{:.2} ms", ms(service.p99_ns)))
            .judged("under 10 ms", verdict(within))
            .figure("p50_ns", service.p50_ns)
            .figure("p99_ns", service.p99_ns),
    );
    let within = ms(service.p999_ns) > SERVICE_P999_MS_MIN;
    session.rows.push(
        CalibrationRow::new(CalibrationPart::Stall, "service p99.9, which does")
            .found(format!("{:.1} ms", ms(service.p999_ns)))
            .judged("over 50 ms", verdict(within))
            .figure("p999_ns", service.p999_ns),
    );
    Ok(())
}

/// Between what the p99 must lie in ms, for a server that uses this share of its core. A slice has
/// whole seconds. In each of them the worst hundredth of the requests are those of the first 10 ms
/// of the stall: the p99 is the stall without them, and on top what it takes to work off what came
/// in these 10 ms, which is that share of them at most, for answers in a row cost less.
fn stalled_p99_ms(share: f64) -> (f64, f64) {
    let (least, most) = (STALL_MS - 10.0, STALL_MS - 10.0 + 10.0 * share);
    (least - STALL_TOLERANCE_MS, most + STALL_TOLERANCE_MS)
}

/// A slice of the server that only answers, and one of another.
fn pair(
    session: &mut CalibrationSession<'_>,
    part: CalibrationPart,
    role: &str,
) -> Result<(MeasuredSlice, MeasuredSlice), EarlyEnd> {
    let plan = plan(session.calibration, part);
    let mut taken = session.slices(&["base", role], &plan)?.into_iter();
    match (taken.next(), taken.next()) {
        (Some(base), Some(other)) => Ok((base, other)),
        _ => Err(Failure::new("a slice is missing").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of arrivals every 0.1 ms, of which those in the stall are answered after it, each
    /// taking `share` of that gap.
    #[test]
    fn the_expected_p99_is_that_of_a_simulated_stall() {
        for share in [0.05, 0.1, 0.3] {
            let mut free_at = STALL_MS;
            let mut waits: Vec<f64> = (0..10_000)
                .map(|request| {
                    let arrived = f64::from(request) * 0.1;
                    free_at = f64::max(free_at, arrived) + 0.1 * share;
                    free_at - arrived
                })
                .collect();
            waits.sort_by(f64::total_cmp);
            let (low, high) = stalled_p99_ms(share);
            let p99 = waits[9_900];
            assert!(low < p99 && p99 < high, "{p99} is not in {low} to {high}");
            assert!((p99 - (high - STALL_TOLERANCE_MS)).abs() < 0.2, "{p99} and {high}");
        }
    }
}
