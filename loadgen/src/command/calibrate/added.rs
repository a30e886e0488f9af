//! Is an added cost found, and none where there is none? The rows about a series of experiments:
//! how often the interval of a cost holds the server's own figure, and what was resolved. Pure.

use crate::stats::{LEVEL, clopper_pearson, median};

use super::coverage::{CostEstimate, least, misses_max};
use super::report::{CalibrationRow, RowVerdict};
use super::series::{AddedCost, ExperimentSeries};
use super::trial::{CONTROL, Trial, TrialCost};

/// From this cost on the median error is bounded.
const ERROR_FROM_NS: u64 = 10_000;

/// The most that the median estimate may be off, as a share of the cost.
const ERROR_MAX: f64 = 0.05;

/// The share of experiments that must resolve a cost before the meter is said to resolve it.
const RESOLVED_SHARE: f64 = 0.9;

/// The experiments of a series that count, and how they are judged.
struct Judging<'a> {
    series: &'a ExperimentSeries,
    valid: Vec<&'a Trial>,
    /// Of fewer than were asked for nothing can be said for certain, whatever they say.
    enough: bool,
}

/// The rows about these experiments, of which `wanted` should count.
pub(super) fn rows(
    series: &ExperimentSeries,
    trials: &[&Trial],
    wanted: u32,
    rounds: u32,
) -> Vec<CalibrationRow> {
    let valid: Vec<&Trial> = trials.iter().copied().filter(|trial| trial.is_valid()).collect();
    let enough = valid.len() >= wanted as usize;
    let judging = Judging { series, valid, enough };
    let mut rows = vec![judging.counted(trials.len(), wanted, rounds), judging.called()];
    rows.push(judging.coverage(None));
    rows.extend(judging.half_width(None));
    for cost in series.costs {
        rows.push(judging.coverage(Some(cost)));
        rows.push(judging.error(cost));
        rows.extend(judging.beside(cost));
        rows.push(judging.resolved(cost));
        rows.extend(judging.half_width(Some(cost)));
    }
    if series.costs.len() > 1 {
        rows.push(judging.smallest());
    }
    rows
}

impl Judging<'_> {
    fn verdict(&self, within: bool) -> RowVerdict {
        if self.enough { RowVerdict::of(within, false) } else { RowVerdict::Disturbed }
    }

    fn row(&self, what: &str) -> CalibrationRow {
        CalibrationRow::new(self.series.part, format!("{}{what}", self.series.setting))
    }

    fn row_of(&self, cost: Option<&AddedCost>, what: &str) -> CalibrationRow {
        let (label, added_ns) = cost.map_or(("no loop", 0), |cost| (cost.label, cost.added_ns));
        self.row(&format!("{label}: {what}")).figure("added_ns", added_ns)
    }

    fn costs(&self, cost: Option<&AddedCost>) -> Vec<&TrialCost> {
        let id = cost.map_or(CONTROL, |cost| cost.role);
        self.valid.iter().filter_map(|trial| trial.cost(id)).collect()
    }

    fn counted(&self, taken: usize, wanted: u32, rounds: u32) -> CalibrationRow {
        let flags = self.series.load.map(|load| format!(" with {}", load.flags()));
        let flags = flags.unwrap_or_default();
        self.row(&format!("experiments of {rounds} rounds that count{flags}"))
            .found(format!("{} of {taken}{}", self.valid.len(), self.blocks()))
            .judged(format!("at least {wanted}"), self.verdict(true))
            .figure("valid", self.valid.len() as u64)
            .figure("taken", taken as u64)
    }

    /// What the slices of the experiments that count were made of.
    fn blocks(&self) -> String {
        let mut lengths: Vec<Option<u64>> = self.valid.iter().map(|trial| trial.block_ns).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let name = |length: &Option<u64>| match length {
            Some(ns) => format!(", blocks of {} ms", *ns as f64 / 1e6),
            None => ", whole slices".to_owned(),
        };
        lengths.iter().map(name).collect()
    }

    fn called(&self) -> CalibrationRow {
        let count = self.valid.len() as u64;
        let called = self.valid.iter().filter(|trial| trial.called).count() as u64;
        let most = misses_max(count, 1.0 - LEVEL);
        self.row("A/A calls a difference")
            .found(share(called, count))
            .judged(format!("at most {most}"), self.verdict(called <= most))
            .figure("called", called)
            .figure("experiments", count)
    }

    fn coverage(&self, cost: Option<&AddedCost>) -> CalibrationRow {
        let what = cost.map_or("intervals that hold zero", |_| "intervals that hold it");
        let estimates: Vec<CostEstimate> =
            self.costs(cost).into_iter().filter_map(estimate).collect();
        let count = estimates.len() as u64;
        let held = estimates.iter().filter(|estimate| estimate.holds()).count() as u64;
        let least = least(count, LEVEL);
        self.row_of(cost, what)
            .found(share(held, count))
            .judged(format!("at least {least}"), self.verdict(held >= least))
            .figure("held", held)
            .figure("experiments", count)
    }

    /// Beside load intervals must hold, and may be wide: how far off the estimates are is shown.
    fn error(&self, cost: &AddedCost) -> CalibrationRow {
        let row = self.row_of(Some(cost), "median error");
        let judged = cost.added_ns >= ERROR_FROM_NS && self.series.load.is_none();
        let error = |cost: &TrialCost| estimate(cost).map(|estimate| estimate.error_share());
        let Some(error) = middle(&self.costs(Some(cost)), error) else {
            let row = row.found("none that count");
            return if judged { row.judged("under 5%", self.verdict(false)) } else { row };
        };
        let row = row
            .found(format!("{:.1}%", error * 100.0))
            .figure("error_millionths", (error * 1e6).round() as i64);
        if judged { row.judged("under 5%", self.verdict(error < ERROR_MAX)) } else { row }
    }

    /// What comes with a cost beside its own time: another pattern of sleep, colder caches.
    fn beside(&self, cost: &AddedCost) -> Option<CalibrationRow> {
        let costs = self.costs(Some(cost));
        let truth = middle(&costs, |cost| Some(cost.truth_ns as f64))?;
        let beside = middle(&costs, |cost| Some((cost.estimate_ns? - cost.truth_ns) as f64))?;
        let row = self
            .row_of(Some(cost), "what comes beside it")
            .found(format!("{:+.2} us beside {:.2} us", beside / 1e3, truth / 1e3))
            .figure("truth_ns", truth.round() as i64)
            .figure("beside_ns", beside.round() as i64);
        Some(row)
    }

    fn resolved(&self, cost: &AddedCost) -> CalibrationRow {
        let (resolved, count) = self.times_resolved(cost);
        self.row_of(Some(cost), "experiments that resolve it")
            .found(share(resolved, count))
            .figure("resolved", resolved)
            .figure("experiments", count)
    }

    fn times_resolved(&self, cost: &AddedCost) -> (u64, u64) {
        let costs = self.costs(Some(cost));
        (costs.iter().filter(|cost| cost.resolved).count() as u64, costs.len() as u64)
    }

    /// What the meter can still tell from nothing. The interval of the control is its own alone.
    fn half_width(&self, cost: Option<&AddedCost>) -> Option<CalibrationRow> {
        let what = match cost {
            None => "half-width of its interval",
            Some(_) => "half-width of its simultaneous interval",
        };
        let costs = self.costs(cost);
        let half = middle(&costs, TrialCost::family_half_ns)?;
        let relative =
            |cost: &TrialCost| Some(cost.family_half_ns()? / cost.reference_ns.max(1) as f64);
        let relative = middle(&costs, relative)?;
        let row = self
            .row_of(cost, what)
            .found(format!("{:.2} us, {:.1}% of a request", half / 1e3, relative * 100.0))
            .figure("half_width_ns", half.round() as i64)
            .figure("half_width_millionths", (relative * 1e6).round() as i64);
        Some(row)
    }

    /// The smallest cost that is resolved, and all larger ones too, by nine of ten experiments.
    fn smallest(&self) -> CalibrationRow {
        let row = self.row("smallest added cost that 90 of 100 experiments resolve");
        let resolves = |cost: &&AddedCost| {
            let (resolved, count) = self.times_resolved(cost);
            count > 0 && resolved as f64 >= RESOLVED_SHARE * count as f64
        };
        match self.series.costs.iter().rev().take_while(resolves).last() {
            None => row.found("none of them"),
            Some(smallest) => {
                let us = smallest.added_ns as f64 / 1e3;
                row.found(format!("{us} us")).figure("added_ns", smallest.added_ns)
            }
        }
    }
}

fn estimate(cost: &TrialCost) -> Option<CostEstimate> {
    Some(CostEstimate {
        truth_ns: cost.truth_ns as f64,
        estimate_ns: cost.estimate_ns? as f64,
        interval_ns: cost.low_ns.zip(cost.high_ns).map(|(low, high)| (low as f64, high as f64)),
    })
}

/// The median of a figure over the experiments that have it.
pub(super) fn middle(
    costs: &[&TrialCost],
    figure: impl Fn(&TrialCost) -> Option<f64>,
) -> Option<f64> {
    median(&costs.iter().filter_map(|cost| figure(cost)).collect::<Vec<f64>>())
}

/// A count with the interval of the share that it stands for.
pub(super) fn share(count: u64, of: u64) -> String {
    let (low, high) = clopper_pearson(count, of, LEVEL);
    format!("{count} of {of} [{:.0}%, {:.0}%]", low * 100.0, high * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::CalibrationPart;
    use super::super::series::of_part;
    use super::*;

    fn series() -> &'static ExperimentSeries {
        of_part(CalibrationPart::Added).next().unwrap()
    }

    /// An experiment whose estimates are off by `off_ns` and whose intervals reach 300 ns.
    fn trial(off_ns: i64, breaches: &[&str]) -> Trial {
        let cost = |(id, added_ns): (&str, u64)| {
            let truth_ns = (added_ns + added_ns / 10) as i64;
            let estimate = truth_ns + off_ns;
            TrialCost {
                id: id.into(),
                added_ns,
                truth_ns,
                estimate_ns: Some(estimate),
                low_ns: Some(estimate - 300),
                high_ns: Some(estimate + 300),
                family_low_ns: Some(estimate - 400),
                family_high_ns: Some(estimate + 400),
                reference_ns: 8_000,
                resolved: estimate > 400,
            }
        };
        let costs = series().costs.iter().map(|cost| (cost.role, cost.added_ns));
        Trial {
            series: "added".into(),
            seed: 1,
            block_ns: Some(2_000_000),
            breaches: breaches.iter().map(|sentence| (*sentence).to_owned()).collect(),
            called: off_ns.abs() > 300,
            costs: std::iter::once((CONTROL, 0)).chain(costs).map(cost).collect(),
        }
    }

    fn rows_of(series: &ExperimentSeries, trials: &[Trial], wanted: u32) -> Vec<CalibrationRow> {
        rows(series, &trials.iter().collect::<Vec<&Trial>>(), wanted, 12)
    }

    fn verdicts(trials: &[Trial], wanted: u32) -> Vec<(String, RowVerdict)> {
        let rows = rows_of(series(), trials, wanted).into_iter();
        rows.filter(|row| !row.bound.is_empty()).map(|row| (row.what, row.verdict)).collect()
    }

    fn found<'a>(rows: &'a [CalibrationRow], what: &str) -> &'a str {
        let row = rows.iter().find(|row| row.what.contains(what));
        &row.unwrap_or_else(|| panic!("no row {what}")).found
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
            assert_eq!(verdicts.len(), 9, "{verdicts:?}");
            let counted = verdicts.iter().filter(|(what, _)| what.contains("that hold"));
            assert!(counted.clone().all(|(_, found)| *found == verdict), "{off}: {verdicts:?}");
            assert_eq!(counted.count(), 5);
            assert_eq!(verdicts[1], ("A/A calls a difference".into(), verdict), "{off}");
        }
    }

    #[test]
    fn estimates_that_are_off_on_the_average_fail_though_intervals_hold() {
        let far = trial(-600, &[]);
        let wide = |cost: TrialCost| TrialCost { high_ns: Some(1 << 40), ..cost };
        let wide = Trial { costs: far.costs.into_iter().map(wide).collect(), ..far };
        let trials = vec![wide; 10];
        let verdicts = verdicts(&trials, 10);
        let of = |what: &str| verdicts.iter().find(|(name, _)| name.contains(what)).unwrap().1;
        assert_eq!(of("10 us: median error"), RowVerdict::Fail);
        assert_eq!(of("50 us: median error"), RowVerdict::Pass);
        assert_eq!(of("10 us: intervals"), RowVerdict::Pass);
        // Beside load only intervals are judged.
        let loaded = of_part(CalibrationPart::Loaded).next().unwrap();
        let rows = rows_of(loaded, &trials, 10);
        let error = rows.iter().find(|row| row.what.contains("10 us: median error")).unwrap();
        assert_eq!(error.verdict, RowVerdict::Reported);
        assert!(rows[0].what.starts_with("5% load: experiments"), "{}", rows[0].what);
        assert!(rows[0].what.ends_with("--min-achieved 90%"), "{}", rows[0].what);
    }

    #[test]
    fn too_few_experiments_give_no_coverage() {
        let mut trials = many(0, 9);
        trials.push(trial(5_000, &["The hypervisor took 3%."]));
        assert!(verdicts(&trials, 10).iter().all(|(_, verdict)| *verdict == RowVerdict::Disturbed));
        assert!(verdicts(&trials, 9).iter().all(|(_, verdict)| *verdict == RowVerdict::Pass));
        assert!(rows_of(series(), &[], 0).iter().any(|row| row.found == "none that count"));
    }

    #[test]
    fn what_is_resolved_is_counted() {
        // A loop of 0.5 us is 550 ns, and 650 are resolved; 350 are not.
        for (low, smallest) in [(10, "0.5 us"), (11, "2 us")] {
            let mut trials = many(0, 100 - low);
            trials.extend(vec![trial(-200, &[]); low]);
            let rows = rows_of(series(), &trials, 100);
            assert_eq!(found(&rows, "smallest"), smallest, "{low}");
            assert_eq!(found(&rows, "that count"), "100 of 100, blocks of 2 ms");
            assert!(found(&rows, "0.5 us: experiments").starts_with(&format!("{} of", 100 - low)));
            assert_eq!(found(&rows, "2 us: half-width"), "0.40 us, 5.0% of a request");
        }
        let mut none = trial(0, &[]);
        none.costs.iter_mut().for_each(|cost| cost.resolved = false);
        assert_eq!(found(&rows_of(series(), &[none], 1), "smallest"), "none of them");
    }
}
