//! Is added processor time found, and none where there is none? Many whole experiments, each as
//! `tollgate matrix` runs them: a server that only answers, the same once more, and the same with
//! loops of known cost. Counted is how often the interval of a cost holds the loop's own figure.
//!
//! An experiment that the bounds of validity refuse is not counted, as nobody would use it, and
//! another one is taken in its place, up to a quarter more.

use std::time::Duration;

use metrics_export::breaches::{self, Among};
use metrics_export::run::{Bounds, Cost};

use crate::experiment::results;
use crate::experiment::{Bench, Experiment, Failure, Findings};
use crate::plan::{Protocol, Variant};
use crate::stats::{self, LEVEL, Layer, Per, clopper_pearson, median};
use crate::traffic::random::Random;
use crate::traffic::schedule;
use crate::validity::{Judged, judge_run};

use super::coverage::{CostEstimate, least, misses_max};
use super::probe::ServerCounts;
use super::progress::{SLICE_EXTRA, START_EXTRA};
use super::report::{CalibrationRow, RowVerdict, Trial, TrialCost};
use super::servers::{self, BUSY_US};
use super::session::{BenchPlan, CalibrationSession, EarlyEnd, cell};
use super::{Calibration, CalibrationPart};

/// Connections of a slice. Each carries a request every few ms, which keeps it busy for the
/// server with a loop and without.
const CONNECTIONS: usize = 16;

/// From this loop on the median error is bounded.
const ERROR_FROM_US: u32 = 10;

/// The most that the median estimate may be off, as a share of the loop.
const ERROR_MAX: f64 = 0.05;

/// The length of a slice, and of each of the two that warm an instance up.
const SLICE: Duration = Duration::from_millis(100);
const WARMUP: Duration = Duration::from_millis(50);

fn protocol(calibration: &Calibration, number: u32) -> Protocol {
    let seed = Random::stream(calibration.seed, u64::from(number)).next_u64();
    Protocol {
        rounds: calibration.rounds,
        instances: calibration.rounds,
        slice: SLICE,
        warmup: WARMUP,
        closed_slice: WARMUP,
        pattern: schedule::ArrivalPattern::Constant,
        ..Protocol::standard(seed)
    }
}

pub(super) fn planned(calibration: &Calibration) -> Duration {
    let variants = 2 + BUSY_US.len() as u32;
    let round = START_EXTRA + 2 * (WARMUP + SLICE_EXTRA) + SLICE + SLICE_EXTRA;
    calibration.experiments * calibration.rounds * variants * round
}

pub(super) fn run(session: &mut CalibrationSession<'_>) -> Result<(), EarlyEnd> {
    let (wanted, rounds) = (session.calibration.experiments, session.calibration.rounds);
    let most = wanted + wanted.div_ceil(4);
    let mut ended = Ok(());
    for number in 0..most {
        let valid = session.trials.iter().filter(|trial| trial.breaches.is_empty()).count() as u32;
        if valid == wanted {
            break;
        }
        session.progress.turn(valid, wanted);
        match experiment(session, number) {
            Ok(trial) => session.trials.push(trial),
            Err(stop) => {
                ended = Err(stop);
                break;
            }
        }
    }
    session.rows.extend(rows(&session.trials, wanted, rounds));
    ended
}

fn experiment(session: &mut CalibrationSession<'_>, number: u32) -> Result<Trial, EarlyEnd> {
    let calibration = session.calibration;
    let variants = variants();
    let protocol = protocol(calibration, number);
    let mut cell = cell(CONNECTIONS)?;
    cell.rate = Some(calibration.rate);
    let (cells, bounds, layers) = ([cell], Bounds::default(), [layers()]);
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
    let (findings, counted) = session.bench(&scene, |probe, progress| {
        let findings = experiment.run(probe as &mut dyn Bench, progress)?;
        Ok((findings, std::mem::take(&mut probe.counted)))
    })?;
    if let Some(failure) = findings.failure {
        return Err(failure.into());
    }
    if !findings.complete {
        return Err(EarlyEnd::Interrupted);
    }
    let costs = results::estimates(&findings, &variants, &cells, &layers, protocol.seed).costs;
    let validity = judge_run(&findings.slices, &judged(&variants, &findings), &bounds, cores);
    let label = |id: &str| {
        let own = variants.iter().find(|variant| variant.id == id);
        own.map_or(id.to_owned(), |variant| variant.label.clone())
    };
    let among =
        Among { total: variants.len(), noun: "variants", label: &label, flags: breaches::MATRIX };
    Ok(Trial {
        seed: protocol.seed,
        breaches: breaches::lines(&validity.breaches, &among),
        called: results::control_failed(&costs),
        costs: trial_costs(&costs, &variants, &counted)?,
    })
}

/// The server that only answers, the same as its control, and one for each loop.
fn variants() -> Vec<Variant> {
    let roles: Vec<String> = BUSY_US.iter().map(|us| role(*us)).collect();
    let mut names = vec!["base"];
    names.extend(roles.iter().map(String::as_str));
    let mut variants = servers::variants(&names);
    let control = variants.first().map(Variant::control);
    variants.splice(1..1, control);
    variants
}

fn role(busy_us: u32) -> String {
    format!("busy-{busy_us}")
}

fn layers() -> Vec<Layer> {
    let difference = |busy_us: &u32| {
        let role = role(*busy_us);
        stats::difference(&role, &format!("loop of {busy_us} us"), &role, "base", Per::Request)
    };
    std::iter::once(stats::control("base")).chain(BUSY_US.iter().map(difference)).collect()
}

fn judged<'a>(variants: &'a [Variant], findings: &'a Findings) -> Vec<Judged<'a>> {
    let kept = variants.iter().zip(&findings.variants);
    kept.map(|(variant, kept)| Judged {
        idle_cpu_share: None,
        variant: &variant.id,
        label: &variant.label,
        lateness: &kept.times.lateness,
    })
    .collect()
}

/// What was said about each loop beside what it was: the median of its slices, since the estimate
/// is one of medians too.
fn trial_costs(
    costs: &[Cost],
    variants: &[Variant],
    counted: &[(usize, ServerCounts)],
) -> Result<Vec<TrialCost>, Failure> {
    let truth = |id: &str| {
        let own = counted.iter().filter(|(variant, _)| variants[*variant].id == id);
        let per_request =
            own.map(|(_, counted)| counted.loop_ns as f64 / counted.requests.max(1) as f64);
        median(&per_request.collect::<Vec<f64>>()).unwrap_or(0.0)
    };
    let cost = |id: &str| {
        let found = costs.iter().find(|cost| cost.id == id);
        found.ok_or_else(|| Failure::new(format!("the experiment has no estimate of {id}")))
    };
    let of = |busy_us: u32, id: &str, truth: f64| {
        cost(id).map(|cost| TrialCost {
            busy_us,
            truth_ns: truth.round() as i64,
            estimate_ns: cost.estimate_ns,
            low_ns: cost.low_ns,
            high_ns: cost.high_ns,
        })
    };
    let loops = BUSY_US.iter().map(|us| of(*us, &role(*us), truth(&role(*us))));
    std::iter::once(of(0, stats::CONTROL, 0.0)).chain(loops).collect()
}

fn rows(trials: &[Trial], wanted: u32, rounds: u32) -> Vec<CalibrationRow> {
    let valid: Vec<&Trial> = trials.iter().filter(|trial| trial.breaches.is_empty()).collect();
    let count = valid.len() as u64;
    // Of fewer than were asked for nothing can be said for certain, whatever they say.
    let enough = count >= u64::from(wanted);
    let verdict =
        |within| if enough { RowVerdict::of(within, false) } else { RowVerdict::Disturbed };
    let mut rows = vec![
        CalibrationRow::new(
            CalibrationPart::Added,
            format!("experiments of {rounds} rounds that count"),
        )
        .found(format!("{count} of {}", trials.len()))
        .judged(format!("at least {wanted}"), verdict(true))
        .figure("valid", count)
        .figure("taken", trials.len() as u64),
    ];
    let called = valid.iter().filter(|trial| trial.called).count() as u64;
    let most = misses_max(count, 1.0 - LEVEL);
    rows.push(
        CalibrationRow::new(CalibrationPart::Added, "A/A calls a difference")
            .found(share(called, count))
            .judged(format!("at most {most}"), verdict(called <= most))
            .figure("called", called)
            .figure("experiments", count),
    );
    for busy_us in std::iter::once(0).chain(BUSY_US) {
        let findings: Vec<CostEstimate> =
            valid.iter().filter_map(|trial| finding(trial, busy_us)).collect();
        rows.push(coverage(busy_us, &findings, &verdict));
        if busy_us > 0 {
            rows.push(error(busy_us, &findings, &verdict));
            rows.extend(beside(busy_us, &findings));
        }
    }
    rows
}

fn finding(trial: &Trial, busy_us: u32) -> Option<CostEstimate> {
    let cost = trial.costs.iter().find(|cost| cost.busy_us == busy_us)?;
    Some(CostEstimate {
        truth_ns: cost.truth_ns as f64,
        estimate_ns: cost.estimate_ns? as f64,
        interval_ns: cost.low_ns.zip(cost.high_ns).map(|(low, high)| (low as f64, high as f64)),
    })
}

fn coverage(
    busy_us: u32,
    findings: &[CostEstimate],
    verdict: &impl Fn(bool) -> RowVerdict,
) -> CalibrationRow {
    let count = findings.len() as u64;
    let held = findings.iter().filter(|finding| finding.holds()).count() as u64;
    let least = least(count, LEVEL);
    let what = match busy_us {
        0 => "no loop: intervals that hold zero".into(),
        _ => format!("loop of {busy_us} us: intervals that hold it"),
    };
    CalibrationRow::new(CalibrationPart::Added, what)
        .found(share(held, count))
        .judged(format!("at least {least}"), verdict(held >= least))
        .figure("busy_us", busy_us)
        .figure("held", held)
        .figure("experiments", count)
}

fn error(
    busy_us: u32,
    findings: &[CostEstimate],
    verdict: &impl Fn(bool) -> RowVerdict,
) -> CalibrationRow {
    let errors: Vec<f64> = findings.iter().map(CostEstimate::error_share).collect();
    let row =
        CalibrationRow::new(CalibrationPart::Added, format!("loop of {busy_us} us: median error"));
    let Some(error) = median(&errors) else {
        return row.found("none that count").judged("", verdict(false));
    };
    let row = row
        .found(format!("{:.1}%", error * 100.0))
        .figure("busy_us", busy_us)
        .figure("error_millionths", (error * 1e6).round() as i64);
    if busy_us < ERROR_FROM_US {
        return row;
    }
    row.judged("under 5%", verdict(error < ERROR_MAX))
}

/// What comes with a loop beside its own time: another pattern of sleep, colder caches.
fn beside(busy_us: u32, findings: &[CostEstimate]) -> Option<CalibrationRow> {
    let of = |figure: &dyn Fn(&CostEstimate) -> f64| {
        median(&findings.iter().map(figure).collect::<Vec<f64>>())
    };
    let truth = of(&|finding| finding.truth_ns)?;
    let beside = of(&|finding| finding.estimate_ns - finding.truth_ns)?;
    let half = of(&|finding| finding.interval_ns.map_or(0.0, |(low, high)| (high - low) / 2.0))?;
    let row = CalibrationRow::new(
        CalibrationPart::Added,
        format!("loop of {busy_us} us: what comes beside it"),
    )
    .found(format!(
        "{:+.2} us beside {:.2} us; intervals of ±{:.2} us",
        beside / 1e3,
        truth / 1e3,
        half / 1e3
    ))
    .figure("busy_us", busy_us)
    .figure("truth_ns", truth.round() as i64)
    .figure("beside_ns", beside.round() as i64)
    .figure("half_width_ns", half.round() as i64);
    Some(row)
}

/// A count with the interval of the share that it stands for.
fn share(count: u64, of: u64) -> String {
    let (low, high) = clopper_pearson(count, of, LEVEL);
    format!("{count} of {of} [{:.0}%, {:.0}%]", low * 100.0, high * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An experiment whose estimates are off by `off_ns` and whose intervals reach 300 ns.
    fn trial(off_ns: i64, breaches: &[&str]) -> Trial {
        let cost = |busy_us: u32| {
            let truth_ns = i64::from(busy_us) * 1_100;
            let estimate = truth_ns + off_ns;
            TrialCost {
                busy_us,
                truth_ns,
                estimate_ns: Some(estimate),
                low_ns: Some(estimate - 300),
                high_ns: Some(estimate + 300),
            }
        };
        Trial {
            seed: 1,
            breaches: breaches.iter().map(|sentence| (*sentence).to_owned()).collect(),
            called: off_ns.abs() > 300,
            costs: [0, 2, 10, 50].map(cost).to_vec(),
        }
    }

    fn verdicts(trials: &[Trial], wanted: u32) -> Vec<(String, RowVerdict)> {
        let rows = rows(trials, wanted, 12).into_iter();
        rows.filter(|row| !row.bound.is_empty()).map(|row| (row.what, row.verdict)).collect()
    }

    fn many(off: usize, count: usize) -> Vec<Trial> {
        (0..count).map(|at| trial(if at < off { 400 } else { 100 }, &[])).collect()
    }

    #[test]
    fn as_many_misses_as_chance_makes_are_forgiven() {
        for (off, verdict) in
            [(0, RowVerdict::Pass), (11, RowVerdict::Pass), (12, RowVerdict::Fail)]
        {
            let verdicts = verdicts(&many(off, 100), 100);
            assert_eq!(verdicts.len(), 8, "{verdicts:?}");
            let counted = verdicts.iter().filter(|(what, _)| what.contains("hold"));
            assert!(counted.clone().all(|(_, found)| *found == verdict), "{off}: {verdicts:?}");
            assert_eq!(verdicts[1], ("A/A calls a difference".into(), verdict), "{off}");
        }
    }

    #[test]
    fn estimates_that_are_off_on_the_average_fail_though_intervals_hold() {
        let far = trial(-600, &[]);
        let wide = Trial {
            costs: far.costs.iter().map(|c| TrialCost { high_ns: Some(1 << 40), ..*c }).collect(),
            ..far
        };
        let verdicts = verdicts(&vec![wide; 10], 10);
        let of = |what: &str| verdicts.iter().find(|(name, _)| name.contains(what)).unwrap().1;
        assert_eq!(of("10 us: median error"), RowVerdict::Fail);
        assert_eq!(of("50 us: median error"), RowVerdict::Pass);
        assert_eq!(of("10 us: intervals"), RowVerdict::Pass);
    }

    #[test]
    fn too_few_experiments_give_no_coverage() {
        let mut trials = many(0, 9);
        trials.push(trial(5_000, &["The hypervisor took 3%."]));
        assert!(verdicts(&trials, 10).iter().all(|(_, verdict)| *verdict == RowVerdict::Disturbed));
        assert!(verdicts(&trials, 9).iter().all(|(_, verdict)| *verdict == RowVerdict::Pass));
    }

    #[test]
    fn the_control_is_the_base_once_more() {
        let variants = variants();
        let roles: Vec<String> = variants.iter().map(|variant| variant.role.to_string()).collect();
        assert_eq!(roles, ["base", "base-control", "busy-2", "busy-10", "busy-50"]);
        assert_eq!(variants[0].subject, variants[1].subject);
        assert!(variants.iter().all(|variant| !variant.connects));
    }
}
