//! The estimates of a cell's layers, as one family.
//!
//! Whoever reads ten intervals of 95% must expect one of them to be wrong now and then. All layers
//! of a cell, in CPU per request and per connection and in service time, are therefore one family:
//! what is said about the cell holds as a whole with 95%. A family per kind would let a reader of
//! all be wrong as many times more often, and its intervals would hardly be narrower.
//!
//! The simultaneous intervals are max-t intervals (Westfall and Young, Resampling-Based Multiple
//! Testing, 1993; Romano and Wolf, Econometrica 73, 2005):
//!
//! - The studentised statistic of a layer is its error over its standard error, where the
//!   standard error is half the length of the layer's own interval over Student's t of that
//!   confidence. From a signed-rank interval that is the classic distribution-free standard error
//!   of a Hodges-Lehmann estimate (Lehmann, Annals of Mathematical Statistics 34, 1963): a wild
//!   round hardly moves it.
//! - The joint distribution comes from resampling that gives each instance one random weight for
//!   all layers (a multiplier bootstrap of the signed-rank scores; Chernozhukov, Chetverikov and
//!   Kato, Annals of Statistics 41, 2013), so that layers which share variants stay correlated.
//!   Its 95% quantile of the maximum over the layers says which confidence each layer must have
//!   alone. That is never less than 95%, nor more than what independent layers would need (Sidak,
//!   1967).
//! - What that confidence takes is asked of Student's t with one degree less than there are
//!   instances, so that few of them widen the interval as much as they must. A layer's
//!   simultaneous interval is its own, stretched about its middle by the ratio of the two
//!   critical values; it is never narrower.

use std::collections::BTreeSet;

use metrics_export::run::{Cost, Floor, IntervalMethod, Per, Verdict};

use crate::traffic::random::Random;

use super::layers::{Layer, LayerInput, observations};
use super::{
    CONTROL, ConfidenceInterval, EXACT_MIN, Estimate, Key, LEVEL, ROUNDS_MIN, Unit, beta,
    bootstrap, estimate_units, median, rank, units, values,
};

/// Before this many rounds no interval may end an experiment: to end when it happens to look
/// narrow costs coverage where the spread is known from little.
pub const STOP_ROUNDS_MIN: usize = 12;

/// The estimates of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// One for each layer, in their order: what it costs in CPU.
    pub costs: Vec<Cost>,
    /// One for each layer per request: what it adds to the median service time.
    pub service_times: Vec<Cost>,
    /// What the A/A control says, where it has an interval.
    pub floor: Option<Floor>,
}

/// A layer with what its rounds say.
pub(super) struct Estimated<'a> {
    layer: &'a Layer,
    rounds: usize,
    units: Vec<Unit>,
    reference_ns: f64,
    pub(super) found: Option<Estimate>,
    /// The simultaneous interval, on the scale of the observations.
    pub(super) family: Option<ConfidenceInterval>,
    /// What its studentised statistic must stay within.
    pub(super) critical: f64,
}

/// Estimates the layers of a cell. The A/A control is estimated by its own interval, which is not
/// stretched, and gives the noise floor that the other verdicts are taken on. `seed` drives
/// resampling.
#[must_use]
pub fn estimate_family(layers: &[Layer], cell: &str, cpu: &impl LayerInput, seed: u64) -> Family {
    family_of(layers.iter().map(|layer| (layer, cpu as &dyn LayerInput)), layers.len(), cell, seed)
}

/// The same with the layers' differences in service time, whose figures are those of `times`.
#[must_use]
pub fn estimate_family_with_times(
    layers: &[Layer],
    cell: &str,
    cpu: &impl LayerInput,
    times: &impl LayerInput,
    seed: u64,
) -> Family {
    let in_cpu = layers.iter().map(|layer| (layer, cpu as &dyn LayerInput));
    let per_request = layers.iter().filter(|layer| layer.per == Per::Request);
    let in_time = per_request.map(|layer| (layer, times as &dyn LayerInput));
    family_of(in_cpu.chain(in_time), layers.len(), cell, seed)
}

/// The estimates of these layers, of which the first so many are costs in CPU.
fn family_of<'a>(
    layers: impl Iterator<Item = (&'a Layer, &'a dyn LayerInput)>,
    in_cpu: usize,
    cell: &str,
    seed: u64,
) -> Family {
    let mut costs = estimate_all(layers, seed);
    let service_times = costs.split_off(in_cpu);
    let floor = |kind: &[Estimated<'_>]| {
        kind.iter().find(|estimated| estimated.is_control()).and_then(|control| control.floor(cell))
    };
    let all = |kind: &[Estimated<'_>], floor: Option<&Floor>| {
        let share = floor.map(|floor| floor.share);
        kind.iter().map(|estimated| estimated.cost(cell, share)).collect()
    };
    let (cpu_floor, time_floor) = (floor(&costs), floor(&service_times));
    Family {
        costs: all(&costs, cpu_floor.as_ref()),
        service_times: all(&service_times, time_floor.as_ref()),
        floor: cpu_floor,
    }
}

pub(super) fn estimate_all<'a>(
    layers: impl Iterator<Item = (&'a Layer, &'a dyn LayerInput)>,
    seed: u64,
) -> Vec<Estimated<'a>> {
    let mut estimated: Vec<Estimated> =
        layers.map(|(layer, input)| Estimated::new(layer, input, seed)).collect();
    let in_family =
        |estimated: &&Estimated| !estimated.is_control() && estimated.interval().is_some();
    let family: Vec<&[Unit]> =
        estimated.iter().filter(in_family).map(|estimated| estimated.units.as_slice()).collect();
    let joint = joint_level(&family, seed);
    for estimated in &mut estimated {
        estimated.widen(joint);
    }
    estimated
}

/// Half the length of the widest simultaneous interval, as a share of the baseline of its kind,
/// which is what the first cost of that kind is taken relative to. None while a cost that was
/// measured has no interval. Costs of one cell.
#[must_use]
pub fn widest_share(costs: &[Cost]) -> Option<f64> {
    let measured = || costs.iter().filter(|cost| cost.rounds > 0);
    let mut widest = None;
    for cost in measured() {
        let baseline = measured().find(|first| first.per == cost.per)?.reference_ns;
        let half = (cost.family_high_ns? - cost.family_low_ns?) as f64 / 2.0;
        widest = Some(f64::max(widest.unwrap_or(0.0), half / baseline as f64));
    }
    widest
}

/// Whether the rounds of a cell may end: there are [`STOP_ROUNDS_MIN`] or more, and
/// [`widest_share`] of what they say is at most `target_share`. It may be asked after every round:
/// simulated experiments that end by it keep their coverage, because an interval is as wide as its
/// few instances ask for.
#[must_use]
pub fn settled(rounds: usize, target_share: f64, estimate: impl FnOnce() -> Family) -> bool {
    let widest = || widest_share(&estimate().costs);
    rounds >= STOP_ROUNDS_MIN && widest().is_some_and(|widest| widest <= target_share)
}

impl<'a> Estimated<'a> {
    fn new(layer: &'a Layer, input: &dyn LayerInput, seed: u64) -> Estimated<'a> {
        let observations = observations(layer, input);
        let units = units(&observations);
        let rounds = input.rounds().into_iter();
        let references: Vec<f64> = rounds
            .filter_map(|(round, _)| median(&input.figures(&layer.reference, layer.per, round)))
            .collect();
        let enough = observations.len() >= ROUNDS_MIN;
        Estimated {
            layer,
            rounds: observations.len(),
            reference_ns: median(&references).unwrap_or(0.0),
            found: estimate_units(&values(&units), enough, seed),
            units,
            family: None,
            critical: f64::INFINITY,
        }
    }

    fn is_control(&self) -> bool {
        self.layer.id == CONTROL
    }

    fn interval(&self) -> Option<ConfidenceInterval> {
        self.found.and_then(|found| found.interval)
    }

    fn widen(&mut self, joint: f64) {
        let Some(interval) = self.interval() else { return };
        let degrees = self.units.len() as f64 - 1.0;
        let own = beta::student(LEVEL, degrees);
        self.critical = if self.is_control() { own } else { beta::student(joint, degrees) };
        let middle = f64::midpoint(interval.low, interval.high);
        self.family = Some(interval.stretched(middle, self.critical / own));
    }

    /// How far the estimate is from zero, in standard errors of that side: above the critical value
    /// where the simultaneous interval excludes zero.
    pub(super) fn statistic(&self) -> Option<f64> {
        let (centre, family) = (self.found?.centre, self.family?);
        let half = match centre {
            0.0 => return Some(0.0),
            _ if centre > 0.0 => centre - family.low,
            _ => family.high - centre,
        };
        Some(centre.abs() / half * self.critical)
    }

    /// The larger end of the interval, as a share of the reference.
    fn floor(&self, cell: &str) -> Option<Floor> {
        let interval = self.interval()?;
        let end = |value: f64| self.layer.share(value).abs();
        let share = end(interval.low).max(end(interval.high));
        Some(Floor { cell: cell.into(), share, ns: (share * self.reference_ns).round() as u64 })
    }

    pub(super) fn cost(&self, cell: &str, floor_share: Option<f64>) -> Cost {
        let in_ns = |value: f64| (self.layer.share(value) * self.reference_ns).round() as i64;
        let interval = self.interval();
        let verdict = self.verdict(if self.is_control() { None } else { floor_share });
        Cost {
            id: self.layer.id.clone(),
            cell: cell.into(),
            label: self.layer.label.clone(),
            formula: self.layer.formula.clone(),
            per: self.layer.per,
            rounds: self.rounds as u64,
            estimate_ns: self.found.map(|found| in_ns(found.centre)),
            low_ns: interval.map(|interval| in_ns(interval.low)),
            high_ns: interval.map(|interval| in_ns(interval.high)),
            family_low_ns: self.family.map(|family| in_ns(family.low)),
            family_high_ns: self.family.map(|family| in_ns(family.high)),
            level: LEVEL,
            method: interval.map_or(IntervalMethod::None, |interval| interval.method),
            reference_ns: self.reference_ns.round() as u64,
            verdict,
            words: words(verdict, self.is_control(), self.rounds),
            undisturbed_ns: None,
            counted: None,
        }
    }

    fn verdict(&self, floor_share: Option<f64>) -> Verdict {
        let (Some(found), Some(family)) = (self.found, self.family) else {
            return Verdict::TooFewRounds;
        };
        let includes_zero = family.low <= 0.0 && family.high >= 0.0;
        let share = self.layer.share(found.centre).abs();
        let below_floor = floor_share.is_some_and(|floor| share <= floor);
        if includes_zero || below_floor { Verdict::WithinNoise } else { Verdict::Resolved }
    }
}

fn words(verdict: Verdict, is_control: bool, rounds: usize) -> String {
    match (verdict, is_control) {
        (Verdict::Resolved, false) => "resolved".into(),
        (Verdict::WithinNoise, false) => "not resolved: within the noise floor".into(),
        (Verdict::WithinNoise, true) => "no difference, as it must be".into(),
        (Verdict::Resolved, true) => {
            "a difference that is not there: the rest is in doubt too".into()
        }
        (Verdict::TooFewRounds, _) => {
            format!("no interval: {rounds} rounds, and {ROUNDS_MIN} are needed")
        }
    }
}

/// The confidence that each layer must have alone so that all hold together with [`LEVEL`].
fn joint_level(family: &[&[Unit]], seed: u64) -> f64 {
    let independent = LEVEL.powf(1.0 / family.len().max(1) as f64);
    // Correlations between layers that are known from few instances are themselves luck.
    if family.len() < 2 || family.iter().any(|units| units.len() < EXACT_MIN) {
        return independent;
    }
    let keys: BTreeSet<Key> = family.iter().flat_map(|units| keys(units)).collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let scores: Vec<Vec<f64>> = family.iter().map(|units| scores(units, &keys)).collect();
    let mut random = Random::new(seed);
    let (mut all, mut largest) = (Vec::new(), Vec::new());
    for _ in 0..bootstrap::RESAMPLES {
        let weights: Vec<f64> = keys.iter().map(|_| bootstrap::normal(&mut random)).collect();
        let before = all.len();
        all.extend(scores.iter().map(|scores| product(scores, &weights).abs()));
        largest.push(all[before..].iter().copied().fold(0.0, f64::max));
    }
    largest.sort_by(f64::total_cmp);
    let bound = largest[(LEVEL * largest.len() as f64) as usize];
    // Each statistic alone is a standard normal variable: all of them say what it stays within.
    let within = all.iter().filter(|statistic| **statistic <= bound).count();
    (within as f64 / all.len() as f64).clamp(LEVEL, independent)
}

fn keys(units: &[Unit]) -> impl Iterator<Item = Key> {
    units.iter().map(|unit| unit.key)
}

fn product(scores: &[f64], weights: &[f64]) -> f64 {
    scores.iter().zip(weights).map(|(score, weight)| score * weight).sum()
}

/// The signed ranks of the units about their centre, as a vector of length 1 with a place for
/// each key; 0 where the layer has no unit.
fn scores(units: &[Unit], places: &[Key]) -> Vec<f64> {
    let values = values(units);
    let centre = rank::hodges_lehmann(&values).unwrap_or(0.0);
    let mut sizes: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = |error: f64| sizes.partition_point(|size| *size <= error.abs()) as f64;
    let mut scores = vec![0.0; places.len()];
    for (key, value) in keys(units).zip(values) {
        let error = value - centre;
        scores[places.partition_point(|place| *place < key)] = rank(error) * error.signum();
    }
    let length = product(&scores, &scores).sqrt();
    scores.iter().map(|score| score / length).collect()
}
