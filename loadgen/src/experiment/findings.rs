//! What an experiment found, slice by slice, and its rounds as the statistics want them.

use hdrhistogram::Histogram;
use metrics_export::run::{Proof, Slice, SliceKind};

use super::{Measured, Times};
use crate::plan::Variant;
use crate::record;
use crate::stats::{LayerInput, Per};

/// Everything that was taken, in order.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Whether every planned slice was taken.
    pub complete: bool,
    /// The operating point, once the first instance was warmed up.
    pub rate_per_s: Option<f64>,
    /// The slices with their times.
    pub taken: Vec<Taken>,
    /// What was checked, per variant and claim.
    pub proofs: Vec<Proof>,
}

/// A slice that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its row.
    pub slice: Slice,
    /// Its times.
    pub times: Times,
}

impl Findings {
    /// Keeps a slice and adds its checks to the proofs.
    pub(super) fn keep(&mut self, _variant: usize, measured: Measured) {
        for check in measured.checks {
            let variant = &measured.slice.variant;
            let known = self
                .proofs
                .iter_mut()
                .find(|proof| proof.variant == *variant && proof.claim == check.claim);
            match known {
                // The first failure stays in sight; until then the newest figures do.
                Some(proof) => {
                    proof.slices += 1;
                    if proof.holds {
                        proof.holds = check.holds;
                        proof.found = check.found;
                    }
                }
                None => self.proofs.push(Proof {
                    variant: variant.clone(),
                    claim: check.claim.into(),
                    slices: 1,
                    holds: check.holds,
                    found: check.found,
                }),
            }
        }
        self.taken.push(Taken {
            slice: measured.slice,
            times: measured.times,
        });
    }

    /// All slices.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.taken.iter().map(|taken| &taken.slice)
    }

    /// The slices of a variant and kind that count.
    pub fn counted<'a>(
        &'a self,
        variant: &'a str,
        kind: SliceKind,
    ) -> impl Iterator<Item = &'a Taken> + Clone {
        self.taken.iter().filter(move |taken| {
            taken.slice.counts && taken.slice.variant == variant && taken.slice.kind == kind
        })
    }

    /// One distribution over all open-loop slices of a variant that count.
    pub fn merged(&self, variant: &str, of: impl Fn(&Times) -> &Histogram<u64>) -> Histogram<u64> {
        let mut sum = record::histogram();
        for taken in self.counted(variant, SliceKind::Open) {
            sum.add(of(&taken.times))
                .expect("all histograms have the same bounds");
        }
        sum
    }
}

impl LayerInput for Findings {
    fn figure(&self, variant: &str, per: Per, round: u32) -> Option<f64> {
        let kind = match per {
            Per::Request => SliceKind::Open,
            Per::Connection => SliceKind::Connect,
        };
        let mut counted = self.counted(variant, kind);
        counted
            .find(|taken| taken.slice.round == round)?
            .slice
            .cpu_ns_per_request()
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        let open = self
            .slices()
            .filter(|slice| slice.counts && slice.kind == SliceKind::Open);
        let mut rounds: Vec<(u32, u32)> = open.map(|slice| (slice.round, slice.instance)).collect();
        rounds.sort_unstable();
        rounds.dedup();
        rounds
    }
}

impl Variant {
    /// Whether new connections are measured on this variant. Where tokens are seen for the first
    /// time their verification would hide in the figure, and the handshake is that of the repeat
    /// form; the A/A control has no handshake.
    #[must_use]
    pub fn connects(&self) -> bool {
        self.token_cache && self.id != "s0-again"
    }
}
