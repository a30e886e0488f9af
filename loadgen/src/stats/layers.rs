//! The layers of security as differences between variants.
//!
//! A layer is a sum of variants with signs, named by their roles within a cell. In a round it is
//! that sum, taken relative to a reference variant of the same round. For a plain difference the
//! share is the in-round ratio minus one, and it is kept as the ratio's logarithm; an interaction
//! of four variants has no one ratio and is kept as it is. Which layers of our own profiles there
//! are is a table; a user's servers make theirs with [`difference`].

use authn::profile::Profile;
pub use metrics_export::answer::CONTROL;
use metrics_export::run::Per;

use super::Observation;
use super::pairs::trimmed_mean;
use crate::plan::{Role, TokenForm};

/// One variant in a layer's sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// +1 or -1.
    pub sign: i8,
    /// The variant's role within its cell.
    pub variant: Role,
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
    /// The role of the variant that the sum is taken relative to.
    pub reference: Role,
}

/// Key, name, what it is counted by, and the roles that are added and taken off.
type Row = (&'static str, &'static str, Per, &'static [(i8, Role)]);

const S0: Role = named(0, None);
const S1: Role = named(1, None);
const S2_UNCACHED: Role = named(2, Some(TokenForm::Uncached));
const S2_CACHED: Role = named(2, Some(TokenForm::Cached));
const S3: Role = named(3, None);
const S4_UNCACHED: Role = named(4, Some(TokenForm::Uncached));
const S4_CACHED: Role = named(4, Some(TokenForm::Cached));
const S5_UNCACHED: Role = named(5, Some(TokenForm::Uncached));
const S5_CACHED: Role = named(5, Some(TokenForm::Cached));

/// One of S0 to S5.
const fn named(place: usize, token: Option<TokenForm>) -> Role {
    Role::profile(Profile::NAMED[place].1, token)
}

static LAYERS: [Row; 10] = [
    ("tls", "TLS", Per::Request, &[(1, S1), (-1, S0)]),
    ("jwt-uncached", "JWT, uncached", Per::Request, &[(1, S2_UNCACHED), (-1, S1)]),
    ("jwt-cached", "JWT, cached", Per::Request, &[(1, S2_CACHED), (-1, S1)]),
    ("certificate", "client certificate", Per::Request, &[(1, S3), (-1, S1)]),
    ("policy-uncached", "policy, uncached", Per::Request, &[(1, S5_UNCACHED), (-1, S4_UNCACHED)]),
    ("policy-cached", "policy, cached", Per::Request, &[(1, S5_CACHED), (-1, S4_CACHED)]),
    (
        "interaction-uncached",
        "interaction, uncached",
        Per::Request,
        &[(1, S4_UNCACHED), (-1, S2_UNCACHED), (-1, S3), (1, S1)],
    ),
    (
        "interaction-cached",
        "interaction, cached",
        Per::Request,
        &[(1, S4_CACHED), (-1, S2_CACHED), (-1, S3), (1, S1)],
    ),
    ("tls-connection", "TLS", Per::Connection, &[(1, S1), (-1, S0)]),
    ("certificate-connection", "client certificate", Per::Connection, &[(1, S3), (-1, S1)]),
];

/// Keys and names of layers in older records, which are read for ever, and their keys now.
const FORMER: [(&str, &str, &str); 6] = [
    ("jwt-first", "JWT, first sight", "jwt-uncached"),
    ("jwt-repeat", "JWT, repeat", "jwt-cached"),
    ("policy-first", "policy, first sight", "policy-uncached"),
    ("policy-repeat", "policy, repeat", "policy-cached"),
    ("interaction-first", "interaction, first sight", "interaction-uncached"),
    ("interaction-repeat", "interaction, repeat", "interaction-cached"),
];

/// The key of a layer now, whichever key or name of it this is, in any case.
#[must_use]
pub fn current_key(name: &str) -> &str {
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    let former = FORMER.iter().find(|(key, label, _)| same(key) || same(label));
    former.map_or(name, |(.., now)| now)
}

/// The layers that can be estimated when variants of these roles were run, the A/A controls first.
#[must_use]
pub fn layers(roles: &[Role]) -> Vec<Layer> {
    let controls = roles.iter().filter(|role| role.control).map(|role| control(role.baseline()));
    let known = LAYERS.iter().map(|(key, label, per, terms)| sum(key, label, *per, terms));
    let has = |term: &Term| roles.contains(&term.variant);
    controls.chain(known).filter(|layer| layer.terms.iter().all(has)).collect()
}

/// The difference between two variants, taken relative to the second.
#[must_use]
pub fn difference(
    id: &str,
    label: &str,
    minuend: impl Into<Role>,
    subtrahend: impl Into<Role>,
    per: Per,
) -> Layer {
    sum(id, label, per, &[(1, minuend.into()), (-1, subtrahend.into())])
}

/// The difference between a baseline and its A/A control, which must be none.
#[must_use]
pub fn control(baseline: impl Into<Role>) -> Layer {
    let baseline = baseline.into();
    difference(CONTROL, "A/A control", baseline.as_control(), baseline, Per::Request)
}

/// A sum taken relative to its last variant. A formula names a profile whatever the form of its
/// tokens, for that is in the layer's own name.
pub(super) fn sum(id: &str, label: &str, per: Per, terms: &[(i8, Role)]) -> Layer {
    let mut formula = String::new();
    for (at, (sign, role)) in terms.iter().enumerate() {
        formula.push_str(match (at, sign) {
            (0, 1) => "",
            (_, 1) => " + ",
            _ => " - ",
        });
        formula.push_str(&role.term());
    }
    let reference = terms.last().expect("a layer is a sum of variants").1.clone();
    let term = |(sign, role): &(i8, Role)| Term { sign: *sign, variant: role.clone() };
    let terms = terms.iter().map(term).collect();
    Layer { id: id.into(), label: label.into(), formula, per, terms, reference }
}

/// The figures that a layer is estimated from, of one cell.
pub trait LayerInput {
    /// The figures of the variant of a role in a round, in ns: one for each pair of passes of an
    /// interleaved slice, or one; none where it has none.
    fn figures(&self, role: &Role, per: Per, round: u32) -> Vec<f64>;
    /// The rounds, each with its instance.
    fn rounds(&self) -> Vec<(u32, u32)>;
}

impl Layer {
    /// Whether it is a plain difference, so that its observations are logarithms of a ratio.
    pub(super) fn is_ratio(&self) -> bool {
        self.terms.len() == 2
    }

    /// An observation, or anything on its scale, as a share of the reference.
    pub(super) fn share(&self, value: f64) -> f64 {
        if self.is_ratio() { value.exp_m1() } else { value }
    }
}

/// The layer's sum in each round that has all of its variants, relative to the reference: for a
/// difference of two the logarithm of their ratio. It is taken in each pair of passes, and a round
/// is the trimmed mean of its pairs.
#[must_use]
pub fn observations(layer: &Layer, input: &(impl LayerInput + ?Sized)) -> Vec<Observation> {
    let value = |round: u32| {
        let figures = |role: &Role| input.figures(role, layer.per, round);
        let reference = figures(&layer.reference);
        let terms: Vec<(f64, Vec<f64>)> =
            layer.terms.iter().map(|term| (f64::from(term.sign), figures(&term.variant))).collect();
        // The values of one pair, or of one round, belong together.
        if terms.iter().any(|(_, figures)| figures.len() != reference.len()) {
            return None;
        }
        let of_pair = |(pair, reference): (usize, &f64)| {
            let sum: f64 = terms.iter().map(|(sign, figures)| sign * figures[pair]).sum();
            let share = sum / reference;
            if layer.is_ratio() { share.ln_1p() } else { share }
        };
        let values = reference.iter().enumerate().map(of_pair).collect();
        trimmed_mean(values).filter(|value| value.is_finite())
    };
    let rounds = input.rounds().into_iter();
    rounds
        .filter_map(|(round, instance)| Some(Observation { round, instance, value: value(round)? }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_layers_whose_variants_were_run_are_estimated() {
        let ids = |roles: &[&str]| -> Vec<String> {
            let roles: Vec<Role> = roles.iter().map(|role| Role::from(*role)).collect();
            layers(&roles).into_iter().map(|layer| layer.id).collect()
        };
        assert_eq!(ids(&["s0", "s0-control"]), [CONTROL]);
        assert_eq!(ids(&["s0", "s1", "s2-cached"]), ["tls", "jwt-cached", "tls-connection"]);
        assert!(ids(&["s5-cached"]).is_empty());
    }

    #[test]
    fn formulas_name_profiles_and_servers() {
        let roles = ["s1", "s2-uncached", "s3", "s4-uncached"].map(Role::from);
        let found = layers(&roles);
        let interaction = found.iter().find(|layer| layer.id == "interaction-uncached").unwrap();
        assert_eq!(interaction.formula, "S4 - S2 - S3 + S1");
        assert_eq!(interaction.reference, S1);
        assert_eq!(control("s0").formula, "S0 control - S0");
        let layer = difference("tls", "TLS", "nginx-tls", "nginx", Per::Connection);
        assert_eq!(
            (layer.formula.as_str(), layer.reference),
            ("nginx-tls - nginx", "nginx".into())
        );
    }

    #[test]
    fn former_keys_lead_to_layers_of_today() {
        for (key, _, now) in FORMER {
            assert!(LAYERS.iter().any(|(known, ..)| *known == now), "{key}");
        }
        assert_eq!(current_key("Policy, Repeat"), "policy-cached");
        assert_eq!(current_key("tls"), "tls");
    }
}
