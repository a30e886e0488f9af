//! Whether a difference that a threshold asks about is more than noise.
//!
//! For figures that have a value in every round the comparison is made in every round: within one
//! run drift cancels. Against another run the two sides are two sets of rounds, and what drifted
//! between the runs stays in. For the cost of a layer its own interval is taken. For anything
//! else, such as a percentile, nothing is known and nothing is said.

use std::collections::BTreeMap;

use metrics_export::run::SliceKind;

use super::metric::{Dimension, Of, find};
use super::scene::{CellScope, Referent};
use super::tree::{Expr, Figure, Relation};
use crate::stats::{ConfidenceInterval, Observation, change, cpu_change, estimate, observe};

/// What is known of the noise of a comparison, in words; None where nothing is.
pub(super) fn words(
    scene: &CellScope<'_>,
    order: Relation,
    parts: &[Expr; 2],
    dimension: Dimension,
) -> Option<String> {
    let figures: Vec<&Figure> =
        parts.iter().flat_map(Expr::figures).map(|(_, figure)| figure).collect();
    match figures.as_slice() {
        [] => None,
        [only] if matches!(only.metric.of, Of::Layer(_)) => of_layer(scene, only, parts),
        _ if figures.iter().any(|figure| figure.of_baseline) => {
            let drift = drift(scene, &figures);
            between_runs(scene, order, parts).map(|words| words + &drift)
        }
        _ => within_run(scene, parts, dimension),
    }
}

fn of_layer(scene: &CellScope<'_>, figure: &Figure, parts: &[Expr; 2]) -> Option<String> {
    if figure.of_baseline || figure.metric != find("cost_us")? {
        return None;
    }
    let Referent::Layer(cost) = scene.find(figure).ok()? else { return None };
    let (Some(low), Some(high)) = (cost.low_ns, cost.high_ns) else {
        return Some("too few rounds to tell it from noise".into());
    };
    let (low, high) = (low as f64 / 1000.0, high as f64 / 1000.0);
    let gap = |cost: f64| Some(parts[0].value(&|_| Some(cost))? - parts[1].value(&|_| Some(cost))?);
    let crosses = (gap(low)? > 0.0) != (gap(high)? > 0.0);
    let interval = format!("[{low:.2}, {high:.2}] us");
    Some(if crosses {
        format!("within noise: the limit lies in the cost's interval {interval}")
    } else {
        format!("more than noise: the cost's interval is {interval}")
    })
}

/// Both sides in each round of one run.
fn within_run(scene: &CellScope<'_>, parts: &[Expr; 2], dimension: Dimension) -> Option<String> {
    let left = in_rounds(scene, &parts[0])?;
    let right = in_rounds(scene, &parts[1])?;
    let gap = |left: &Side, right: &Side| match (left, right) {
        (Side::Rounds(left), Side::Rounds(right)) => pairs(left, right, |a, b| a - b),
        (Side::Rounds(left), Side::Constant(right)) => mapped(left, |value| value - right),
        (Side::Constant(left), Side::Rounds(right)) => mapped(right, |value| left - value),
        (Side::Constant(_), Side::Constant(_)) => Vec::new(),
    };
    let observations = gap(&left, &right);
    let found = estimate(&observations, scene.run.plan.seed)?;
    let Some(ConfidenceInterval { low, high, .. }) = found.interval else {
        return Some(too_few(observations.len()));
    };
    let crosses = low <= 0.0 && high >= 0.0;
    let shown = format!("{} [{}]", dimension.show(found.centre), range(dimension, low, high));
    Some(if crosses {
        format!("within noise: the difference is {shown}")
    } else {
        format!("more than noise: the difference is {shown}")
    })
}

fn range(dimension: Dimension, low: f64, high: f64) -> String {
    let low = dimension.show(low);
    let low = low.split(' ').next().unwrap_or_default();
    format!("{low}, {}", dimension.show(high))
}

/// One side in this run's rounds, the other in the baseline run's.
fn between_runs(scene: &CellScope<'_>, order: Relation, parts: &[Expr; 2]) -> Option<String> {
    let sides = parts.each_ref().map(|part| in_rounds(scene, part));
    let [Some(Side::Rounds(left)), Some(Side::Rounds(right))] = sides else { return None };
    let logarithms = |rounds: &Rounds| mapped(rounds, f64::ln);
    let (left, right) = (logarithms(&left), logarithms(&right));
    let rounds = left.len().min(right.len());
    let found = change(&right, &left)?;
    let Some(ConfidenceInterval { low, high, .. }) = found.interval else {
        return Some(too_few(rounds));
    };
    let percent = |value: f64| format!("{:+.1}%", value.exp_m1() * 100.0);
    let shown = format!(
        "the left side is {} [{}, {}] from the right one",
        percent(found.centre),
        percent(low),
        percent(high)
    );
    let over = matches!(order, Relation::More | Relation::MoreOrEqual);
    let beyond = if over { low > 0.0 } else { high < 0.0 };
    let kept = if over { high < 0.0 } else { low > 0.0 };
    Some(match beyond || kept {
        true => format!("more than the noise within the runs: {shown}"),
        false => format!("within noise: {shown}"),
    })
}

/// What is known of drift between the runs, which a comparison with another run has in it.
fn drift(scene: &CellScope<'_>, figures: &[&Figure]) -> String {
    let none = "; drift of the machine between the runs is in these figures".to_owned();
    let Some(figure) = figures.iter().find(|figure| figure.of_baseline) else { return none };
    let Of::Slices(kind, ..) = figure.metric.of else { return none };
    let Ok(Referent::Variant(before, planned)) = scene.find(figure) else { return none };
    let own = Figure { of_baseline: false, ..(*figure).clone() };
    let Ok(Referent::Variant(after, now)) = scene.find(&own) else { return none };
    let change = cpu_change(before, &planned.id, after, &now.id, kind);
    match (&change.relative, &change.reference) {
        (Some(_), Some(reference)) => format!(
            "{none}, and taken to {reference} of the same run, where it cancels: {}",
            change.relative_words()
        ),
        _ => none,
    }
}

type Rounds = BTreeMap<u32, Observation>;

/// A side of a comparison, round by round.
enum Side {
    Constant(f64),
    Rounds(Rounds),
}

/// A side in each round that has all of its figures; None where a figure has none in a round, or
/// where figures of both runs are mixed, whose rounds are not the same.
fn in_rounds(scene: &CellScope<'_>, side: &Expr) -> Option<Side> {
    let figures = side.figures();
    let Some((_, first)) = figures.first() else {
        return side.value(&|_| None).map(Side::Constant);
    };
    if figures.iter().any(|(_, figure)| figure.of_baseline != first.of_baseline) {
        return None;
    }
    let mut known: Vec<(&Figure, Rounds)> = Vec::new();
    for (_, figure) in &figures {
        let Of::Slices(kind, ..) = figure.metric.of else { return None };
        let Referent::Variant(run, planned) = scene.find(figure).ok()? else { return None };
        known.push((figure, per_round(run, &planned.id, kind)));
    }
    let rounds = &known.first()?.1;
    let value = |round: u32| {
        side.value(&|wanted| {
            let found = known.iter().find(|(figure, _)| *figure == wanted);
            found.and_then(|(_, rounds)| rounds.get(&round)).map(|seen| seen.value)
        })
    };
    let observed = rounds
        .iter()
        .filter_map(|(round, seen)| Some((*round, Observation { value: value(*round)?, ..*seen })));
    Some(Side::Rounds(observed.collect()))
}

/// CPU per request of a variant in us in each round.
fn per_round(run: &metrics_export::run::Run, variant: &str, kind: SliceKind) -> Rounds {
    let mut rounds = observe::rounds(run, variant, kind);
    rounds.values_mut().for_each(|seen| seen.value /= 1000.0);
    rounds
}

fn mapped(rounds: &Rounds, of: impl Fn(f64) -> f64) -> Vec<Observation> {
    let seen = rounds.values().map(|seen| Observation { value: of(seen.value), ..*seen });
    seen.filter(|seen| seen.value.is_finite()).collect()
}

fn pairs(left: &Rounds, right: &Rounds, of: impl Fn(f64, f64) -> f64) -> Vec<Observation> {
    let both = left.iter().filter_map(|(round, seen)| Some((seen, right.get(round)?)));
    both.map(|(a, b)| Observation { value: of(a.value, b.value), ..*a }).collect()
}

fn too_few(rounds: usize) -> String {
    let needed = crate::stats::ROUNDS_MIN;
    format!("{rounds} rounds cannot tell it from noise, {needed} can")
}
