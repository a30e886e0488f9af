//! The instructions of a request under each profile, as they were counted when this release was
//! made (`benches/instructions.py`): the judge of layers that are too small for CPU time.
//!
//! It owns reading what was stored, and for which layers it stands. It counts nothing itself, and
//! refuses layers of uncached tokens: a signature's instructions differ from token to token by more
//! than a small layer has.

use std::collections::BTreeMap;

use metrics_export::run::{Cost, InstructionEvidence};
use serde::Deserialize;

use crate::plan::{Role, RoleSubject, TokenForm};
use crate::stats::{CONTROL, Layer, Per};

/// Below this share of what it is added to a cost is small: CPU time hardly resolves it.
pub(crate) const SMALL: f64 = 0.05;

/// The request whose way was counted.
const REQUEST: &str = "ping";

/// What was stored.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stored {
    release: String,
    /// By profile and request, such as `S4 ping`.
    instructions: BTreeMap<String, u64>,
}

impl Stored {
    /// The counts that this program was built with.
    ///
    /// # Panics
    /// Never in a program that passed its tests: the text is part of it.
    #[must_use]
    pub(crate) fn built_in() -> Stored {
        Stored::read(include_str!("../../../benches/instructions.json"))
    }

    pub(crate) fn read(text: &str) -> Stored {
        serde_json::from_str(text).expect("the stored counts are read by a test")
    }

    /// Puts beside each small cost per request what its layer is in instructions.
    pub(crate) fn judge(&self, costs: &mut [Cost], layers: &[Layer]) {
        let small = costs.iter_mut().filter(|cost| is_small(cost));
        for cost in small {
            let layer = layers.iter().find(|layer| layer.id == cost.id);
            cost.counted = layer.and_then(|layer| self.counted(layer));
        }
    }

    fn counted(&self, layer: &Layer) -> Option<InstructionEvidence> {
        if layer.per != Per::Request {
            return None;
        }
        let mut sum = 0;
        for term in &layer.terms {
            sum += i64::from(term.sign) * i64::try_from(self.of(&term.variant)?).ok()?;
        }
        Some(InstructionEvidence {
            instructions: sum,
            reference_instructions: self.of(&layer.reference)?,
            request: REQUEST.into(),
            release: self.release.clone(),
        })
    }

    /// Of the variant of this role: a profile without tokens, or with a cached one.
    fn of(&self, role: &Role) -> Option<u64> {
        let RoleSubject::Profile(profile) = role.subject else { return None };
        let counted = [None, Some(TokenForm::Cached)].map(|token| Role::profile(profile, token));
        if !counted.contains(role) {
            return None;
        }
        self.instructions.get(&format!("{} {REQUEST}", profile.label())).copied()
    }
}

fn is_small(cost: &Cost) -> bool {
    let size = cost.estimate_ns.map_or(0, i64::unsigned_abs);
    cost.id != CONTROL
        && cost.estimate_ns.is_some()
        && (size as f64) < SMALL * cost.reference_ns as f64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::stats;

    pub(crate) const TEXT: &str = r#"{"release": "0.1.0", "made_with": {"rustc": "any"},
        "instructions": {
        "S1 ping": 9000, "S2 ping": 9300, "S3 ping": 9010, "S4 ping": 9310, "S5 ping": 9443,
        "S2 ping, uncached": 200000, "http": 1200}}"#;

    fn counted(id: &str) -> Option<(i64, u64)> {
        let roles =
            ["s0", "s0-control", "s1", "s2-uncached", "s2-cached", "s3", "s4-cached", "s5-cached"];
        let layers = stats::layers(&roles.map(Role::from));
        let layer = layers.iter().find(|layer| layer.id == id).unwrap();
        let found = Stored::read(TEXT).counted(layer)?;
        Some((found.instructions, found.reference_instructions))
    }

    #[test]
    fn a_layer_is_the_sum_of_its_profiles() {
        assert_eq!(counted("certificate"), Some((10, 9000)));
        assert_eq!(counted("policy-cached"), Some((133, 9310)));
        assert_eq!(counted("interaction-cached"), Some((0, 9000)));
    }

    #[test]
    fn uncounted_layers_have_no_instruction_evidence() {
        for id in ["tls", "jwt-uncached", "certificate-connection", CONTROL] {
            assert_eq!(counted(id), None, "{id}");
        }
    }

    #[test]
    fn every_named_profile_is_built_in() {
        let stored = Stored::built_in();
        for (label, profile) in authn::Profile::NAMED {
            assert!(
                stored.of(&Role::profile(profile, None)).is_some_and(|count| count > 500),
                "{label}"
            );
        }
        assert!(!stored.release.is_empty());
    }
}
