//! The layers of security as differences between variants, and their price.
//!
//! A layer is a sum of variants with signs. Its price in a round is that sum, taken relative to a
//! reference variant of the same round; what is shown is that share times the reference's median.
//! For a plain difference the share is the in-round ratio minus one, and the centre is taken on
//! its logarithm; an interaction of four variants has no one ratio and is taken as it is.

use metrics_export::run::{Additivity, Cost, Floor, Verdict};

use super::{Estimate, LEVEL, Observation, ROUNDS_MIN, estimate, median};

/// What the price of a layer is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// A request over a kept connection.
    Request,
    /// A new connection.
    Connection,
}

impl Per {
    /// The name used in results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Per::Request => "request",
            Per::Connection => "connection",
        }
    }
}

/// One variant in a layer's sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// +1 or -1.
    pub sign: i8,
    /// The variant's role.
    pub variant: String,
}

/// A layer of security, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its key.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// The difference as a formula.
    pub formula: String,
    /// What it is counted by.
    pub per: Per,
    /// The sum. In a difference of two the second is the reference.
    pub terms: Vec<Term>,
    /// The id of the variant that the sum is taken relative to.
    pub reference: String,
}

fn plus(variant: &str) -> Term {
    Term { sign: 1, variant: variant.into() }
}

fn minus(variant: &str) -> Term {
    Term { sign: -1, variant: variant.into() }
}

fn diff(id: &str, label: &str, formula: &str, per: Per, terms: [Term; 2]) -> Layer {
    Layer {
        id: id.into(),
        label: label.into(),
        formula: formula.into(),
        per,
        reference: terms[1].variant.clone(),
        terms: terms.into(),
    }
}

/// A difference of two.
#[must_use]
pub fn difference(id: &str, label: &str, minuend: &str, subtrahend: &str, per: Per) -> Layer {
    let formula = format!("{minuend} - {subtrahend}");
    diff(id, label, &formula, per, [plus(minuend), minus(subtrahend)])
}

/// The control of a baseline.
#[must_use]
pub fn control(role: &str) -> Layer {
    let again = format!("{role}-again");
    difference(CONTROL, "A/A control", &again, role, Per::Request)
}

/// What a family of layers costs.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// The costs.
    pub costs: Vec<Cost>,
    /// The floor.
    pub floor: Option<Floor>,
}

/// Prices a family.
#[must_use]
pub fn price_family(layers: &[Layer], cell: &str, input: &impl LayerInput, seed: u64) -> Family {
    let control = layers.iter().find(|layer| layer.id == CONTROL);
    let share = control.and_then(|control| {
        let interval = estimate(&shares(control, input), seed)?.interval?;
        Some(interval.low.exp_m1().abs().max(interval.high.exp_m1().abs()))
    });
    let costs: Vec<Cost> = layers
        .iter()
        .map(|layer| {
            let cost = price(layer, input, share, seed);
            Cost {
                cell: cell.into(),
                family_low_ns: cost.low_ns,
                family_high_ns: cost.high_ns,
                ..cost
            }
        })
        .collect();
    let reference =
        costs.iter().find(|cost| cost.id == CONTROL).map_or(0, |cost| cost.reference_ns);
    let floor = share.map(|share| Floor {
        cell: cell.into(),
        share,
        ns: (share * reference as f64) as u64,
    });
    Family { costs, floor }
}

/// Additivity.
#[must_use]
pub fn additivity(_cell: &str, _input: &impl LayerInput, _seed: u64) -> Vec<Additivity> {
    Vec::new()
}

/// Settled.
#[must_use]
pub fn settled(_layers: &[Layer], _input: &impl LayerInput, _seed: u64, _share: f64) -> bool {
    false
}

/// The key of the A/A control among the layers.
pub const CONTROL: &str = "a-a";

fn all() -> Vec<Layer> {
    vec![
        diff(
            CONTROL,
            "A/A control",
            "S0 again - S0",
            Per::Request,
            [plus("s0-again"), minus("s0")],
        ),
        diff("tls", "TLS", "S1 - S0", Per::Request, [plus("s1"), minus("s0")]),
        diff(
            "jwt-first",
            "JWT, first sight",
            "S2 - S1",
            Per::Request,
            [plus("s2-first-sight"), minus("s1")],
        ),
        diff(
            "jwt-repeat",
            "JWT, repeat",
            "S2 - S1",
            Per::Request,
            [plus("s2-repeat"), minus("s1")],
        ),
        diff(
            "certificate",
            "client certificate",
            "S3 - S1",
            Per::Request,
            [plus("s3"), minus("s1")],
        ),
        diff(
            "policy-first",
            "policy, first sight",
            "S5 - S4",
            Per::Request,
            [plus("s5-first-sight"), minus("s4-first-sight")],
        ),
        diff(
            "policy-repeat",
            "policy, repeat",
            "S5 - S4",
            Per::Request,
            [plus("s5-repeat"), minus("s4-repeat")],
        ),
        Layer {
            id: "interaction-first".into(),
            label: "interaction, first sight".into(),
            formula: "S4 - S2 - S3 + S1".into(),
            per: Per::Request,
            terms: vec![plus("s4-first-sight"), minus("s2-first-sight"), minus("s3"), plus("s1")],
            reference: "s1".into(),
        },
        Layer {
            id: "interaction-repeat".into(),
            label: "interaction, repeat".into(),
            formula: "S4 - S2 - S3 + S1".into(),
            per: Per::Request,
            terms: vec![plus("s4-repeat"), minus("s2-repeat"), minus("s3"), plus("s1")],
            reference: "s1".into(),
        },
        diff("tls-connection", "TLS", "S1 - S0", Per::Connection, [plus("s1"), minus("s0")]),
        diff(
            "certificate-connection",
            "client certificate",
            "S3 - S1",
            Per::Connection,
            [plus("s3"), minus("s1")],
        ),
    ]
}

/// The layers that can be priced when these roles were run.
#[must_use]
pub fn layers(variants: &[&str]) -> Vec<Layer> {
    let has = |term: &Term| variants.contains(&term.variant.as_str());
    all().into_iter().filter(|layer| layer.terms.iter().all(has)).collect()
}

/// The figures that a layer is priced from.
pub trait LayerInput {
    /// The figure of a variant in each round that has one, with the round's instance; in ns.
    fn figure(&self, variant: &str, per: Per, round: u32) -> Option<f64>;
    /// The rounds, each with its instance.
    fn rounds(&self) -> Vec<(u32, u32)>;
}

/// Prices a layer. `floor_share` is the noise floor as a share of the reference, where known.
#[must_use]
pub fn price(layer: &Layer, input: &impl LayerInput, floor_share: Option<f64>, seed: u64) -> Cost {
    let observations = shares(layer, input);
    let found = estimate(&observations, seed);
    let references: Vec<f64> = input
        .rounds()
        .iter()
        .filter_map(|&(round, _)| input.figure(&layer.reference, layer.per, round))
        .collect();
    let reference = median(&references).unwrap_or(0.0);
    let is_ratio = layer.terms.len() == 2;
    let share = |value: f64| if is_ratio { value.exp_m1() } else { value };
    let in_ns = |value: f64| (share(value) * reference).round() as i64;
    let interval = found.and_then(|found| found.interval);
    let is_control = layer.id == CONTROL;
    let verdict = verdict(found, share, if is_control { None } else { floor_share });
    Cost {
        id: layer.id.clone(),
        cell: String::new(),
        family_low_ns: None,
        family_high_ns: None,
        label: layer.label.clone(),
        formula: layer.formula.clone(),
        per: layer.per.as_str().into(),
        rounds: observations.len() as u64,
        estimate_ns: found.map(|found| in_ns(found.centre)),
        low_ns: interval.map(|interval| in_ns(interval.low)),
        high_ns: interval.map(|interval| in_ns(interval.high)),
        level: LEVEL,
        method: interval.map_or("none", |interval| interval.method.as_str()).into(),
        reference_ns: reference.round() as u64,
        verdict,
        words: words(verdict, is_control, observations.len()),
    }
}

/// The layer's sum in each whole round, relative to the reference: for a difference of two the
/// logarithm of their ratio.
pub(super) fn shares(layer: &Layer, input: &impl LayerInput) -> Vec<Observation> {
    let share = |round: u32| {
        let reference = input.figure(&layer.reference, layer.per, round)?;
        let mut sum = 0.0;
        for term in &layer.terms {
            sum += f64::from(term.sign) * input.figure(&term.variant, layer.per, round)?;
        }
        let share = sum / reference;
        let value = if layer.terms.len() == 2 { share.ln_1p() } else { share };
        value.is_finite().then_some(value)
    };
    let rounds = input.rounds().into_iter();
    rounds
        .filter_map(|(round, instance)| Some(Observation { instance, value: share(round)? }))
        .collect()
}

fn verdict(
    found: Option<Estimate>,
    share: impl Fn(f64) -> f64,
    floor_share: Option<f64>,
) -> Verdict {
    let Some(Estimate { centre, interval: Some(interval) }) = found else {
        return Verdict::TooFewRounds;
    };
    let includes_zero = interval.low <= 0.0 && interval.high >= 0.0;
    let below_floor = floor_share.is_some_and(|floor| share(centre).abs() <= floor);
    if includes_zero || below_floor { Verdict::WithinNoise } else { Verdict::Resolved }
}

fn words(verdict: Verdict, is_control: bool, rounds: usize) -> String {
    match (verdict, is_control) {
        (Verdict::Resolved, false) => "resolved".into(),
        (Verdict::WithinNoise, false) => "not resolved: within the noise floor".into(),
        (Verdict::WithinNoise, true) => "no difference, as it must be".into(),
        (Verdict::Resolved, true) => "a difference that is not there: distrust the rest".into(),
        (Verdict::TooFewRounds, _) => {
            format!("no interval: {rounds} rounds, and {ROUNDS_MIN} are needed")
        }
    }
}
