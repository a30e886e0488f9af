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

/// One variant in a layer's sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// +1 or -1.
    pub sign: i8,
    /// The variant's role within its cell.
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
    /// The role of the variant that the sum is taken relative to.
    pub reference: String,
}

/// Key, name, what it is counted by, and the roles that are added and taken off.
type Row = (&'static str, &'static str, Per, &'static [(i8, &'static str)]);

const LAYERS: [Row; 10] = [
    ("tls", "TLS", Per::Request, &[(1, "s1"), (-1, "s0")]),
    ("jwt-first", "JWT, first sight", Per::Request, &[(1, "s2-first-sight"), (-1, "s1")]),
    ("jwt-repeat", "JWT, repeat", Per::Request, &[(1, "s2-repeat"), (-1, "s1")]),
    ("certificate", "client certificate", Per::Request, &[(1, "s3"), (-1, "s1")]),
    (
        "policy-first",
        "policy, first sight",
        Per::Request,
        &[(1, "s5-first-sight"), (-1, "s4-first-sight")],
    ),
    ("policy-repeat", "policy, repeat", Per::Request, &[(1, "s5-repeat"), (-1, "s4-repeat")]),
    (
        "interaction-first",
        "interaction, first sight",
        Per::Request,
        &[(1, "s4-first-sight"), (-1, "s2-first-sight"), (-1, "s3"), (1, "s1")],
    ),
    (
        "interaction-repeat",
        "interaction, repeat",
        Per::Request,
        &[(1, "s4-repeat"), (-1, "s2-repeat"), (-1, "s3"), (1, "s1")],
    ),
    ("tls-connection", "TLS", Per::Connection, &[(1, "s1"), (-1, "s0")]),
    ("certificate-connection", "client certificate", Per::Connection, &[(1, "s3"), (-1, "s1")]),
];

/// The layers that can be priced when variants of these roles were run, the A/A control of S0
/// first.
#[must_use]
pub fn layers(roles: &[&str]) -> Vec<Layer> {
    let known = LAYERS.iter().map(|(id, label, per, terms)| sum(id, label, *per, terms));
    let known = std::iter::once(control("s0")).chain(known);
    let has = |term: &Term| roles.contains(&term.variant.as_str());
    known.filter(|layer| layer.terms.iter().all(has)).collect()
}

/// The difference between two variants, taken relative to the second.
#[must_use]
pub fn difference(id: &str, label: &str, minuend: &str, subtrahend: &str, per: Per) -> Layer {
    sum(id, label, per, &[(1, minuend), (-1, subtrahend)])
}

/// The difference between a baseline and itself, which must be none: `ROLE-again` minus `ROLE`.
#[must_use]
pub fn control(baseline: &str) -> Layer {
    difference(CONTROL, "A/A control", &format!("{baseline}-again"), baseline, Per::Request)
}

/// A sum taken relative to its last variant.
pub(super) fn sum(id: &str, label: &str, per: Per, terms: &[(i8, &str)]) -> Layer {
    let mut formula = String::new();
    for (at, (sign, role)) in terms.iter().enumerate() {
        formula.push_str(match (at, sign) {
            (0, 1) => "",
            (_, 1) => " + ",
            _ => " - ",
        });
        formula.push_str(&name(role));
    }
    let term = |&(sign, role): &(i8, &str)| Term { sign, variant: role.into() };
    Layer {
        id: id.into(),
        label: label.into(),
        formula,
        per,
        terms: terms.iter().map(term).collect(),
        reference: terms.last().map(|(_, role)| (*role).into()).unwrap_or_default(),
    }
}

/// How a formula names a role: by its profile where it is one, whatever the form of its tokens,
/// for that is said by the layer's own name.
fn name(role: &str) -> String {
    let (plain, again) = match role.strip_suffix("-again") {
        Some(plain) => (plain, " again"),
        None => (role, ""),
    };
    let forms = ["-first-sight", "-repeat"];
    let stem = forms.iter().find_map(|form| plain.strip_suffix(form)).unwrap_or(plain);
    let name = Profile::parse(&stem.replace('-', "+")).map_or(plain, |profile| profile.label());
    format!("{name}{again}")
}

/// The figures that a layer is priced from, of one cell.
pub trait LayerInput {
    /// The figure of the variant of a role in a round, where it has one; in ns.
    fn figure(&self, role: &str, per: Per, round: u32) -> Option<f64>;
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
/// difference of two the logarithm of their ratio.
#[must_use]
pub fn observations(layer: &Layer, input: &impl LayerInput) -> Vec<Observation> {
    let value = |round: u32| {
        let reference = input.figure(&layer.reference, layer.per, round)?;
        let mut sum = 0.0;
        for term in &layer.terms {
            sum += f64::from(term.sign) * input.figure(&term.variant, layer.per, round)?;
        }
        let share = sum / reference;
        let value = if layer.is_ratio() { share.ln_1p() } else { share };
        value.is_finite().then_some(value)
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
    fn only_layers_whose_variants_were_run_are_priced() {
        let ids = |roles: &[&str]| -> Vec<String> {
            layers(roles).into_iter().map(|layer| layer.id).collect()
        };
        assert_eq!(ids(&["s0", "s0-again"]), [CONTROL]);
        assert_eq!(ids(&["s0", "s1", "s2-repeat"]), ["tls", "jwt-repeat", "tls-connection"]);
        assert!(ids(&["s5-repeat"]).is_empty());
    }

    #[test]
    fn formulas_name_profiles_and_servers() {
        let roles = ["s1", "s2-first-sight", "s3", "s4-first-sight"];
        let found = layers(&roles);
        let interaction = found.iter().find(|layer| layer.id == "interaction-first").unwrap();
        assert_eq!(interaction.formula, "S4 - S2 - S3 + S1");
        assert_eq!(interaction.reference, "s1");
        assert_eq!(control("s0").formula, "S0 again - S0");
        let layer = difference("tls", "TLS", "nginx-tls", "nginx", Per::Connection);
        assert_eq!(
            (layer.formula.as_str(), layer.reference.as_str()),
            ("nginx-tls - nginx", "nginx")
        );
        assert_eq!(name("plain-token-first-sight"), "plain+token");
    }
}
