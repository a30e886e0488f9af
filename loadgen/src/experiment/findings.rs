//! What an experiment found, slice by slice, and its rounds as the statistics want them.

use std::time::Duration;

use metrics_export::hlog::{Interval, Log};
use metrics_export::run::{Proof, Slice, SliceKind};

use super::{Failure, Measured, Times};
use crate::plan::Variant;
use crate::stats::{LayerInput, Per};

/// Everything that was taken, in order.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Whether every planned slice was taken.
    pub complete: bool,
    /// The operating point, once the first instance was warmed up.
    pub rate_per_s: Option<f64>,
    /// Every slice.
    pub slices: Vec<Slice>,
    /// The times of each variant, in the order of the plan.
    pub variants: Vec<Kept>,
    /// What was checked, per variant and claim.
    pub proofs: Vec<Proof>,
}

/// What is kept of a variant's times: a slice's own histograms would fill the memory.
#[derive(Clone, Debug)]
pub struct Kept {
    /// All open-loop slices that count, as one.
    pub times: Times,
    /// The same slice by slice, as a histogram log that begins with the first of them.
    pub log: Option<Log>,
    label: String,
    began: Duration,
}

impl Findings {
    /// Room for these variants.
    pub(super) fn of(variants: &[Variant]) -> Findings {
        let kept = |variant: &Variant| Kept {
            times: Times::empty(),
            log: None,
            label: variant.label.clone(),
            began: Duration::ZERO,
        };
        Findings { variants: variants.iter().map(kept).collect(), ..Findings::default() }
    }

    /// Keeps a slice and adds its checks to the proofs.
    pub(super) fn keep(&mut self, variant: usize, measured: Measured) -> Result<(), Failure> {
        let Measured { slice, times, checks } = measured;
        for check in checks {
            let proofs = &mut self.proofs;
            let known = proofs
                .iter_mut()
                .find(|proof| proof.variant == slice.variant && proof.claim == check.claim);
            match known {
                // The first failure stays in sight; until then the newest figures do.
                Some(proof) => {
                    proof.slices += 1;
                    if proof.holds {
                        proof.holds = check.holds;
                        proof.found = check.found;
                    }
                }
                None => proofs.push(Proof {
                    variant: slice.variant.clone(),
                    claim: check.claim.into(),
                    slices: 1,
                    holds: check.holds,
                    found: check.found,
                }),
            }
        }
        if slice.counts && slice.kind == SliceKind::Open {
            self.variants[variant].add(&slice, &times).map_err(Failure)?;
        }
        self.slices.push(slice);
        Ok(())
    }

    /// The slices of a variant and kind that count.
    pub fn counted<'a>(
        &'a self,
        variant: &'a str,
        kind: SliceKind,
    ) -> impl Iterator<Item = &'a Slice> + Clone {
        let slices = self.slices.iter();
        slices.filter(move |slice| slice.counts && slice.variant == variant && slice.kind == kind)
    }
}

impl Kept {
    fn add(&mut self, slice: &Slice, times: &Times) -> Result<(), String> {
        self.times.add(times);
        let start = Duration::from_nanos(slice.start_unix_ns);
        let log = match &mut self.log {
            Some(log) => log,
            None => {
                self.began = start;
                self.log.insert(Log::new(start, &self.label))
            }
        };
        let histograms = [
            ("response", &times.response),
            ("service", &times.service),
            ("lateness", &times.lateness),
        ];
        for (tag, histogram) in histograms {
            log.push(&Interval {
                tag,
                start: start.saturating_sub(self.began),
                length: Duration::from_nanos(slice.duration_ns),
                histogram,
            })?;
        }
        Ok(())
    }
}

impl LayerInput for Findings {
    fn figure(&self, variant: &str, per: Per, round: u32) -> Option<f64> {
        let kind = match per {
            Per::Request => SliceKind::Open,
            Per::Connection => SliceKind::Connect,
        };
        let mut counted = self.counted(variant, kind);
        counted.find(|slice| slice.round == round)?.cpu_ns_per_request()
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        let open = self.slices.iter().filter(|slice| slice.counts && slice.kind == SliceKind::Open);
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
