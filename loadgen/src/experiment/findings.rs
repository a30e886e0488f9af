//! What an experiment found, slice by slice, and its rounds as the statistics want them.

use std::collections::BTreeSet;
use std::time::Duration;

use hdrhistogram::Histogram;
use metrics_export::hlog::{HistogramLog, Interval, LogWriteError};
use metrics_export::run::{Capacity, CpuSourceKind, Proof, Slice, SliceKind, cpu_slices};

use super::{Failure, Measured, Times};
use crate::plan::{Role, Variant};
use crate::stats::pairs::cpu_figures;
use crate::stats::{LayerInput, Per};
use crate::traffic::schedule::Rate;

/// Everything that was taken, in order.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Whether every planned slice was taken.
    pub complete: bool,
    /// What ended it before its time, where that was no wish.
    pub failure: Option<Failure>,
    /// The operating point of each cell, once the first instance was warmed up.
    pub rates: Vec<Option<Rate>>,
    /// The length of a block in each cell; None where slices are whole.
    pub blocks: Vec<Option<Duration>>,
    /// What readers must know of how it was measured, as sentences.
    pub notes: Vec<String>,
    /// Every slice.
    pub slices: Vec<Slice>,
    /// The times of each variant, in the order of the plan.
    pub variants: Vec<VariantSamples>,
    /// What was checked, per variant and claim.
    pub proofs: Vec<Proof>,
    /// The kind of the slices whose times are kept.
    pub headline: SliceKind,
}

/// What is kept of a variant's times: a slice's own histograms would fill the memory.
#[derive(Clone, Debug)]
pub struct VariantSamples {
    /// All slices of the headline that count, as one: response and service of whole ones, lateness
    /// of all; connects and handshakes of slices of connections.
    pub times: Times,
    /// The most memory that any service process ever had resident.
    pub memory_peak_bytes: Option<u64>,
    /// CPU in ns a second while nothing was asked of its servers, one value for each instance.
    pub idle_ns_per_s: Vec<f64>,
    /// What a search for its capacity found.
    pub capacity: Option<Capacity>,
    /// What a server that is not ours was asked, without a query.
    pub request: Option<String>,
    /// Where the CPU of its servers was read: `processes`, `control-group`, `metrics` or `none`.
    pub cpu_source: CpuSourceKind,
    /// The same slice by slice, as a histogram log that begins with the first of them.
    pub log: Option<HistogramLog>,
    label: String,
    began: Duration,
}

impl Findings {
    /// Room for these variants.
    pub(crate) fn of(variants: &[Variant], cells: usize) -> Findings {
        let kept = |variant: &Variant| VariantSamples {
            times: Times::empty(),
            memory_peak_bytes: None,
            idle_ns_per_s: Vec::new(),
            capacity: None,
            request: None,
            cpu_source: CpuSourceKind::None,
            log: None,
            label: variant.label.clone(),
            began: Duration::ZERO,
        };
        Findings {
            variants: variants.iter().map(kept).collect(),
            rates: vec![None; cells],
            blocks: vec![None; cells],
            ..Findings::default()
        }
    }

    /// Notes what ended the experiment.
    pub fn fail(&mut self, failure: Failure) {
        (self.complete, self.failure) = (false, Some(failure));
    }

    /// Keeps a slice and adds what was verified to the proofs.
    pub(crate) fn keep(&mut self, variant: usize, measured: Measured) -> Result<(), Failure> {
        let Measured { slice, times, memory_peak_bytes, asked, proofs, .. } = measured;
        for verified in proofs {
            let proofs = &mut self.proofs;
            let known = proofs
                .iter_mut()
                .find(|proof| proof.variant == slice.variant && proof.claim == verified.claim);
            match known {
                // The first failure stays in sight; until then the newest figures do.
                Some(proof) => {
                    proof.slices += 1;
                    if proof.holds {
                        proof.holds = verified.holds;
                        proof.found = verified.found;
                    }
                }
                None => proofs.push(Proof {
                    variant: slice.variant.clone(),
                    claim: verified.claim.into(),
                    slices: 1,
                    holds: verified.holds,
                    found: verified.found,
                }),
            }
        }
        let kept = &mut self.variants[variant];
        (kept.request, kept.cpu_source) = (asked.request, asked.cpu_source);
        kept.memory_peak_bytes = kept.memory_peak_bytes.max(memory_peak_bytes);
        match slice.kind {
            _ if !slice.counts => {}
            kind if kind == self.headline => {
                add(&mut kept.times.lateness, &times.lateness);
                if slice.is_whole() {
                    kept.add(&slice, &times).map_err(Failure::of)?;
                }
            }
            SliceKind::Connect => kept.add_connections(&times),
            SliceKind::Open | SliceKind::Closed => {}
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

impl VariantSamples {
    fn add_connections(&mut self, times: &Times) {
        add(&mut self.times.connect, &times.connect);
        add(&mut self.times.handshake, &times.handshake);
    }

    fn add(&mut self, slice: &Slice, times: &Times) -> Result<(), LogWriteError> {
        add(&mut self.times.response, &times.response);
        add(&mut self.times.service, &times.service);
        let start = Duration::from_nanos(slice.start_unix_ns);
        let log = match &mut self.log {
            Some(log) => log,
            None => {
                self.began = start;
                self.log.insert(HistogramLog::new(start, &self.label))
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

fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    sum.add(other).expect("all histograms have the same bounds");
}

/// The figures of one cell, found by what each variant is within it.
#[derive(Clone, Copy, Debug)]
pub struct CellView<'a> {
    /// All that was found.
    pub findings: &'a Findings,
    /// All that was planned.
    pub variants: &'a [Variant],
    /// The place of the cell.
    pub cell: usize,
}

impl CellView<'_> {
    /// The variants of the cell.
    pub fn variants(&self) -> impl Iterator<Item = &Variant> + Clone {
        self.variants.iter().filter(|variant| variant.cell == self.cell)
    }

    /// The variant that is this within the cell.
    #[must_use]
    pub fn variant(&self, role: &Role) -> Option<&Variant> {
        self.variants().find(|variant| variant.role == *role)
    }
}

impl CellView<'_> {
    /// Whether its variants take turns.
    pub(crate) fn is_interleaved(&self) -> bool {
        self.findings.blocks.get(self.cell).is_some_and(Option::is_some)
    }

    /// The slices of a round that are of the kind from which a variant's figures are taken:
    /// interleaved, or whole where it has no others.
    fn in_round(&self, variant: &Variant, kind: SliceKind, round: u32) -> Vec<&Slice> {
        let counted = |slice: &&Slice| slice.counts && slice.kind == kind;
        let mut all = self.findings.slices.iter().filter(counted);
        let whole = !all.any(|slice| !slice.is_whole() && slice.variant == variant.id);
        // The round is compared first: this is asked for every round of every layer.
        let all = self.findings.slices.iter().filter(|slice| slice.round == round);
        all.filter(counted).filter(|slice| slice.is_whole() == whole).collect()
    }

    /// The slices of the variant of a role from which its CPU is taken.
    fn cpu_slices(&self, role: &Role, kind: SliceKind) -> Vec<&Slice> {
        let variant = self.variant(role);
        variant.map_or_else(Vec::new, |own| cpu_slices(&self.findings.slices, &own.id, kind))
    }
}

impl LayerInput for CellView<'_> {
    fn figures(&self, role: &Role, per: Per, round: u32) -> Vec<f64> {
        let kind = match per {
            Per::Request => SliceKind::Open,
            Per::Connection => SliceKind::Connect,
        };
        let Some(variant) = self.variant(role) else { return Vec::new() };
        let in_round = self.in_round(variant, kind, round);
        let own = in_round.iter().find(|slice| slice.variant == variant.id);
        let Some(slice) = own else { return Vec::new() };
        let pairs = cpu_figures(slice);
        // A figure for each pair is of use where every variant of the cell has one.
        let in_cell = |slice: &&&Slice| self.variants().any(|other| other.id == slice.variant);
        let mut others = in_round.iter().filter(in_cell).map(|slice| cpu_figures(slice).len());
        match others.all(|count| count == pairs.len()) {
            true => pairs,
            false => slice.cpu_ns_per_request().into_iter().collect(),
        }
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        let roles = self.variants().map(|variant| &variant.role);
        rounds_of(roles.flat_map(|role| self.cpu_slices(role, SliceKind::Open)))
    }
}

/// The rounds of these slices with their instances, in order.
pub(super) fn rounds_of<'a>(slices: impl Iterator<Item = &'a Slice>) -> Vec<(u32, u32)> {
    let rounds: BTreeSet<_> = slices.map(|slice| (slice.round, slice.instance)).collect();
    rounds.into_iter().collect()
}

/// The median service times of a cell, one for each variant and round.
pub(crate) struct ServiceTimes<'a>(pub CellView<'a>);

impl LayerInput for ServiceTimes<'_> {
    fn figures(&self, role: &Role, per: Per, round: u32) -> Vec<f64> {
        let variant = self.0.variant(role).filter(|_| per == Per::Request);
        let own = variant.and_then(|variant| {
            let mut in_round = self.0.in_round(variant, SliceKind::Open, round).into_iter();
            in_round.find(|slice| slice.variant == variant.id)
        });
        let median = own.and_then(|slice| slice.service.known(slice.service.p50_ns));
        median.map(|ns| ns as f64).into_iter().collect()
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        self.0.rounds()
    }
}
