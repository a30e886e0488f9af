//! The layers of security as differences between variants, and their price.
//!
//! A layer is a sum of variants with signs. Its price in a round is that sum, taken relative to a
//! reference variant of the same round; what is shown is that share times the reference's median.
//! For a plain difference the share is the in-round ratio minus one, and the centre is taken on
//! its logarithm; an interaction of four variants has no one ratio and is taken as it is.

use metrics_export::run::{Cost, Verdict};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// +1 or -1.
    pub sign: i8,
    /// The variant's id.
    pub variant: &'static str,
}

/// A layer of security, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its key.
    pub id: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// The difference as a formula.
    pub formula: &'static str,
    /// What it is counted by.
    pub per: Per,
    /// The sum. In a difference of two the second is the reference.
    pub terms: &'static [Term],
    /// The id of the variant that the sum is taken relative to.
    pub reference: &'static str,
}

const fn plus(variant: &'static str) -> Term {
    Term { sign: 1, variant }
}

const fn minus(variant: &'static str) -> Term {
    Term { sign: -1, variant }
}

const fn difference(
    id: &'static str,
    label: &'static str,
    formula: &'static str,
    per: Per,
    terms: &'static [Term; 2],
) -> Layer {
    Layer { id, label, formula, per, reference: terms[1].variant, terms }
}

/// The key of the A/A control among the layers.
pub const CONTROL: &str = "a-a";

const LAYERS: [Layer; 11] = [
    difference(
        CONTROL,
        "A/A control",
        "S0 again - S0",
        Per::Request,
        &[plus("s0-again"), minus("s0")],
    ),
    difference("tls", "TLS", "S1 - S0", Per::Request, &[plus("s1"), minus("s0")]),
    difference(
        "jwt-first",
        "JWT, first sight",
        "S2 - S1",
        Per::Request,
        &[plus("s2-first-sight"), minus("s1")],
    ),
    difference(
        "jwt-repeat",
        "JWT, repeat",
        "S2 - S1",
        Per::Request,
        &[plus("s2-repeat"), minus("s1")],
    ),
    difference(
        "certificate",
        "client certificate",
        "S3 - S1",
        Per::Request,
        &[plus("s3"), minus("s1")],
    ),
    difference(
        "policy-first",
        "policy, first sight",
        "S5 - S4",
        Per::Request,
        &[plus("s5-first-sight"), minus("s4-first-sight")],
    ),
    difference(
        "policy-repeat",
        "policy, repeat",
        "S5 - S4",
        Per::Request,
        &[plus("s5-repeat"), minus("s4-repeat")],
    ),
    Layer {
        id: "interaction-first",
        label: "interaction, first sight",
        formula: "S4 - S2 - S3 + S1",
        per: Per::Request,
        terms: &[plus("s4-first-sight"), minus("s2-first-sight"), minus("s3"), plus("s1")],
        reference: "s1",
    },
    Layer {
        id: "interaction-repeat",
        label: "interaction, repeat",
        formula: "S4 - S2 - S3 + S1",
        per: Per::Request,
        terms: &[plus("s4-repeat"), minus("s2-repeat"), minus("s3"), plus("s1")],
        reference: "s1",
    },
    difference("tls-connection", "TLS", "S1 - S0", Per::Connection, &[plus("s1"), minus("s0")]),
    difference(
        "certificate-connection",
        "client certificate",
        "S3 - S1",
        Per::Connection,
        &[plus("s3"), minus("s1")],
    ),
];

/// The layers that can be priced when these variants were run.
pub fn layers(variants: &[&str]) -> impl Iterator<Item = &'static Layer> {
    let has = |term: &Term| variants.contains(&term.variant);
    LAYERS.iter().filter(move |layer| layer.terms.iter().all(has))
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
        .filter_map(|&(round, _)| input.figure(layer.reference, layer.per, round))
        .collect();
    let reference = median(&references).unwrap_or(0.0);
    let is_ratio = layer.terms.len() == 2;
    let share = |value: f64| if is_ratio { value.exp_m1() } else { value };
    let in_ns = |value: f64| (share(value) * reference).round() as i64;
    let interval = found.and_then(|found| found.interval);
    let is_control = layer.id == CONTROL;
    let verdict = verdict(found, share, if is_control { None } else { floor_share });
    Cost {
        id: layer.id.into(),
        label: layer.label.into(),
        formula: layer.formula.into(),
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

/// The larger end of the interval of the A/A difference, as a share of the baseline.
#[must_use]
pub fn noise_floor_share(input: &impl LayerInput, seed: u64) -> Option<f64> {
    let control = LAYERS.iter().find(|layer| layer.id == CONTROL)?;
    let interval = estimate(&shares(control, input), seed)?.interval?;
    Some(interval.low.exp_m1().abs().max(interval.high.exp_m1().abs()))
}

/// The layer's sum in each whole round, relative to the reference: for a difference of two the
/// logarithm of their ratio.
pub(super) fn shares(layer: &Layer, input: &impl LayerInput) -> Vec<Observation> {
    let share = |round: u32| {
        let reference = input.figure(layer.reference, layer.per, round)?;
        let mut sum = 0.0;
        for term in layer.terms {
            sum += f64::from(term.sign) * input.figure(term.variant, layer.per, round)?;
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
