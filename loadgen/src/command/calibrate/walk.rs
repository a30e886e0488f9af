//! What colder caches add: a server that walks memory finds the caches of its core full of other
//! servers' data at the beginning of each block. Its cost in a block of n requests should be
//! c + k/n. Pure; nothing here is judged.

use std::time::Duration;

use super::CalibrationPart;
use super::added::middle;
use super::report::{CalibrationRow, RowVerdict};
use super::series::ExperimentSeries;
use super::trial::{Trial, TrialCost};

/// What walks have in one setting.
#[derive(Clone, Copy, Debug)]
struct WalkCost {
    /// The length of a block; None where slices were whole.
    block_ns: Option<u64>,
    estimate_ns: f64,
    low_ns: f64,
    high_ns: f64,
    truth_ns: f64,
}

/// The rows about one length of blocks: how many experiments count, and what they say.
pub(super) fn setting(
    series: &ExperimentSeries,
    trials: &[&Trial],
    wanted: u32,
) -> Vec<CalibrationRow> {
    let row = |what: &str| CalibrationRow::new(series.part, format!("{}{what}", series.setting));
    let valid = trials.iter().filter(|trial| trial.is_valid()).count();
    let enough = valid >= wanted as usize;
    let counted = row("experiments that count")
        .found(format!("{valid} of {}", trials.len()))
        .judged(
            format!("at least {wanted}"),
            if enough { RowVerdict::Pass } else { RowVerdict::Disturbed },
        )
        .figure("valid", valid as u64)
        .figure("taken", trials.len() as u64);
    let said = cost(trials).map(|cost| {
        let us = |ns: f64| ns / 1e3;
        row("what a walk of 256 KiB costs")
            .found(format!(
                "{:.2} us [{:.2}, {:.2}]; the server walked for {:.2} us",
                us(cost.estimate_ns),
                us(cost.low_ns),
                us(cost.high_ns),
                us(cost.truth_ns)
            ))
            .figure("estimate_ns", cost.estimate_ns.round() as i64)
            .figure("low_ns", cost.low_ns.round() as i64)
            .figure("high_ns", cost.high_ns.round() as i64)
            .figure("truth_ns", cost.truth_ns.round() as i64)
    });
    std::iter::once(counted).chain(said).collect()
}

/// The row about c + k/n: fitted to two lengths of blocks, and held against whole slices. None
/// where one of the three is not known.
pub(super) fn fit(
    settings: &[Vec<&Trial>],
    rate_per_s: f64,
    slice: Duration,
) -> Option<CalibrationRow> {
    let costs: Vec<WalkCost> = settings.iter().filter_map(|trials| cost(trials)).collect();
    let [short, long, whole] = costs.as_slice() else { return None };
    let requests = |cost: &WalkCost| {
        cost.block_ns.map_or(slice, Duration::from_nanos).as_secs_f64() * rate_per_s
    };
    let (c, k) = fitted((requests(short), short.estimate_ns), (requests(long), long.estimate_ns))?;
    let predicted = c + k / requests(whole);
    let within = (whole.low_ns..=whole.high_ns).contains(&predicted);
    let is = if within { "within" } else { "outside of" };
    let row = CalibrationRow::new(CalibrationPart::Walk, "whole slices, by c + k/n of both blocks")
        .found(format!(
            "{:.2} us, {is} the interval of whole slices; c = {:.2} us, k = {:.2} us",
            predicted / 1e3,
            c / 1e3,
            k / 1e3
        ))
        .figure("predicted_ns", predicted.round() as i64)
        .figure("c_ns", c.round() as i64)
        .figure("k_ns", k.round() as i64)
        .figure("within", i64::from(within));
    Some(row)
}

/// c and k of c + k/n through two points of n and cost; None where both have one n.
fn fitted(short: (f64, f64), long: (f64, f64)) -> Option<(f64, f64)> {
    let k = (short.1 - long.1) / (1.0 / short.0 - 1.0 / long.0);
    k.is_finite().then(|| (short.1 - k / short.0, k))
}

/// The medians of what the experiments that count say.
fn cost(trials: &[&Trial]) -> Option<WalkCost> {
    let valid = || trials.iter().filter(|trial| trial.is_valid());
    let costs: Vec<&TrialCost> = valid().filter_map(|trial| trial.costs.last()).collect();
    let ns =
        |of: fn(&TrialCost) -> Option<i64>| middle(&costs, |cost| of(cost).map(|ns| ns as f64));
    Some(WalkCost {
        block_ns: valid().next()?.block_ns,
        estimate_ns: ns(|cost| cost.estimate_ns)?,
        low_ns: ns(|cost| cost.low_ns)?,
        high_ns: ns(|cost| cost.high_ns)?,
        truth_ns: ns(|cost| Some(cost.truth_ns))?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::series::of_part;
    use super::*;

    const SLICE: Duration = Duration::from_millis(100);

    fn trial(block_ms: Option<u64>, estimate_ns: i64) -> Trial {
        let cost = TrialCost {
            id: "walk-256".into(),
            added_ns: 0,
            truth_ns: estimate_ns,
            estimate_ns: Some(estimate_ns),
            low_ns: Some(estimate_ns - 100),
            high_ns: Some(estimate_ns + 100),
            family_low_ns: None,
            family_high_ns: None,
            reference_ns: 8_000,
            resolved: true,
        };
        Trial {
            series: String::new(),
            seed: 1,
            block_ns: block_ms.map(|ms| ms * 1_000_000),
            breaches: Vec::new(),
            called: false,
            costs: vec![cost],
        }
    }

    /// 5 us and once a block 16 more: 16 requests in 2 ms, 80 in 10 ms, 800 in a whole slice.
    #[test]
    fn the_fit_finds_what_was_put_in() {
        let (short, long) = (trial(Some(2), 6_000), trial(Some(10), 5_200));
        for (whole, within) in [(5_020, "within"), (5_200, "outside of")] {
            let whole = trial(None, whole);
            let settings = [vec![&short], vec![&long], vec![&whole]];
            let row = fit(&settings, 8_000.0, SLICE).unwrap();
            let told = format!("5.02 us, {within} the interval of whole slices");
            assert!(row.found.starts_with(&told), "{}", row.found);
            assert!(row.found.ends_with("c = 5.00 us, k = 16.00 us"), "{}", row.found);
            assert_eq!(row.verdict, RowVerdict::Reported);
        }
        assert!(fit(&[vec![&short], vec![&long], Vec::new()], 8_000.0, SLICE).is_none());
        assert!(fit(&[vec![&short], vec![&short], vec![&long]], 8_000.0, SLICE).is_none());
    }

    #[test]
    fn a_setting_without_experiments_is_disturbed() {
        let series = of_part(CalibrationPart::Walk).next().unwrap();
        let rows = setting(series, &[], 2);
        assert_eq!((rows.len(), rows[0].verdict), (1, RowVerdict::Disturbed));
        let trial = trial(Some(2), 6_000);
        let rows = setting(series, &[&trial, &trial], 2);
        assert_eq!((rows.len(), rows[0].verdict), (2, RowVerdict::Pass));
        assert!(rows[1].what.starts_with("blocks of 2 ms: "), "{}", rows[1].what);
    }
}
