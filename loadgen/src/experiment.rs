//! The experiment: restarts, warm-up, rounds of slices in random order, and repeats.
//!
//! ```text
//! for each instance:  restart every variant -> warm up; the first time find capacity
//!     whole open-loop slice of each variant: its percentiles, and how long a block must be
//!         (where percentiles are not wanted, in the first instance alone)
//!     for each of its rounds, cells in a new random order:
//!         interleaved open-loop slice of all variants   (disturbed? once more, and said so)
//!         interleaved slice of new connections, where planned
//!     enough? (all rounds; or from 12 on, all intervals narrow; or the time is over)
//! ```
//! Where a cell is not interleaved, each of its variants has whole slices in every round instead.
//!
//! The engine decides order and repetition; it opens no socket and reads no clock. What runs a
//! slice stands behind [`Bench`], so that the whole experiment is tested with simulated slices.

pub mod bench;
mod blocks;
mod course;
mod findings;
mod interleaving;
pub(crate) mod proof;
pub(crate) mod results;
pub mod stack;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use hdrhistogram::Histogram;
use metrics_export::run::{Bounds, CpuSourceKind, Slice, SliceKind};

use crate::panics::caught;
use crate::plan::{PlannedCell, Protocol, Variant};
use crate::stats::Layer;
use crate::traffic::error::ContextError;
use crate::traffic::record::{self, SliceRecord};
use crate::traffic::schedule::Rate;

use course::Course;
pub use findings::{CellView, Findings, VariantSamples};

/// What runs slices: real servers and a generator, or a simulation of both.
pub trait Bench {
    /// Stops all servers and starts every variant's anew.
    ///
    /// # Errors
    /// What could not be started, as a sentence.
    fn restart(&mut self, instance: u32) -> Result<(), Failure>;

    /// Runs one slice.
    ///
    /// # Errors
    /// What made it impossible. Failed requests are no error here: they are counted in the slice.
    fn slice(&mut self, request: &SliceRequest) -> Result<Measured, Failure>;

    /// Runs one slice of all variants of a cell, in blocks, and tells what it was for each of them.
    ///
    /// # Errors
    /// What made it impossible.
    fn interleaved(&mut self, request: &InterleavedRequest) -> Result<Vec<Measured>, Failure>;

    /// Why the variants of a cell cannot take turns in one slice, as a sentence; None where they
    /// can.
    fn inseparable(&self, cell: usize) -> Option<String>;

    /// Asks nothing of anybody for so long, and tells the CPU in ns a second that the servers of
    /// each variant used meanwhile; None where it is not known.
    ///
    /// # Errors
    /// A server that ended.
    fn idle(&mut self, pause: Duration) -> Result<Vec<Option<u64>>, Failure>;

    /// How long it has been going on.
    fn elapsed(&self) -> Duration;

    /// Whether an end was asked for.
    fn interrupted(&self) -> bool;
}

/// What a slice is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceLoad {
    /// Requests at their intended times, at this rate.
    Open(Rate),
    /// Each connection sends again as soon as it is answered.
    Closed,
    /// A new connection for each request.
    Connect,
}

/// One slice to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceRequest {
    /// The variant's place in the plan.
    pub variant: usize,
    /// What to do.
    pub load: SliceLoad,
    /// Which start of the processes.
    pub instance: u32,
    /// The round.
    pub round: u32,
    /// The place in the round's order.
    pub position: u32,
    /// 1 when the slice is taken once more.
    pub attempt: u32,
    /// Whether it only warms up: shorter, and counted for nothing.
    pub warmup: bool,
}

impl SliceRequest {
    /// What kind of slice it is.
    #[must_use]
    pub fn kind(&self) -> SliceKind {
        match self.load {
            SliceLoad::Open(_) => SliceKind::Open,
            SliceLoad::Closed => SliceKind::Closed,
            SliceLoad::Connect => SliceKind::Connect,
        }
    }
}

/// One slice of all variants of a cell that take part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterleavedRequest {
    /// The cell's place in the plan.
    pub cell: usize,
    /// What to do.
    pub load: SliceLoad,
    /// The length of a block.
    pub block: Duration,
    /// Pairs of passes through all variants.
    pub pairs: u32,
    /// Which start of the processes.
    pub instance: u32,
    /// The round.
    pub round: u32,
    /// 1 when the slice is taken once more.
    pub attempt: u32,
    /// Whether it only warms up, and is counted for nothing.
    pub warmup: bool,
}

impl InterleavedRequest {
    /// The part of each variant that takes part, in the order of the plan.
    #[must_use]
    pub fn slices(&self, variants: &[Variant]) -> Vec<SliceRequest> {
        let InterleavedRequest { cell, load, instance, round, attempt, warmup, .. } = *self;
        let takes_part = |variant: &Variant| {
            variant.cell == cell && (load != SliceLoad::Connect || variant.connects)
        };
        let own = variants.iter().enumerate().filter(|(_, variant)| takes_part(variant));
        own.zip(0..)
            .map(|((variant, _), position)| SliceRequest {
                variant,
                load,
                instance,
                round,
                position,
                attempt,
                warmup,
            })
            .collect()
    }
}

/// What a slice was.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its row.
    pub slice: Slice,
    /// Response, service and lateness times in ns.
    pub times: Times,
    /// The most memory that any service process had resident, where it is known.
    pub memory_peak_bytes: Option<u64>,
    /// The errors with an example of each kind, as a sentence; empty when there were none.
    pub errors: String,
    /// Of whom.
    pub asked: Asked,
    /// What was checked to prove that it was what its label says.
    pub proofs: Vec<SliceProof>,
}

/// Of whom a slice was, as results name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request of a server that is not ours, without a query.
    pub request: Option<String>,
    /// Where the CPU was read: `processes`, `control-group`, `metrics` or `none`.
    pub cpu_source: CpuSourceKind,
}

/// The times of a slice in ns.
#[derive(Clone, Debug)]
pub struct Times {
    /// From the intended send time.
    pub response: Histogram<u64>,
    /// From the actual send time.
    pub service: Histogram<u64>,
    /// How late the generator sent.
    pub lateness: Histogram<u64>,
    /// TCP connects.
    pub connect: Histogram<u64>,
    /// TLS handshakes after them.
    pub handshake: Histogram<u64>,
}

impl From<SliceRecord> for Times {
    fn from(record: SliceRecord) -> Times {
        let SliceRecord { response, service, lateness, connect, handshake, .. } = record;
        Times { response, service, lateness, connect, handshake }
    }
}

impl Times {
    /// No times, with the bounds that all histograms share.
    #[must_use]
    pub fn empty() -> Times {
        let empty = record::histogram;
        Times {
            response: empty(),
            service: empty(),
            lateness: empty(),
            connect: empty(),
            handshake: empty(),
        }
    }
}

/// One checked claim about a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceProof {
    /// What was claimed.
    pub claim: &'static str,
    /// Whether it held.
    pub holds: bool,
    /// The figures.
    pub found: String,
}

/// What ended an experiment before its time: what happened and what to do.
pub type Failure = ContextError;

/// Learns of progress between slices.
pub trait Watcher {
    /// So many of the planned slices are done; the last one was this.
    fn taken(&mut self, done: u64, planned: u64, slice: &Slice);
}

/// An experiment to run.
#[derive(Clone, Copy, Debug)]
pub struct Experiment<'a> {
    /// What is compared.
    pub variants: &'a [Variant],
    /// The settings that variants name by place.
    pub cells: &'a [PlannedCell],
    /// What is estimated in each cell, for the stop rule.
    pub layers: &'a [Vec<Layer>],
    /// How.
    pub protocol: &'a Protocol,
    /// The bounds beyond which a slice counts as disturbed.
    pub bounds: &'a Bounds,
    /// How many cores are measured, the generator's included.
    pub measured_cores: usize,
}

impl Experiment<'_> {
    /// Runs it to its end, or until an end is asked for.
    ///
    /// # Errors
    /// What failed before there was a slice that counts. Later failures are in the findings, with
    /// the slices until then. Interruption is none.
    pub fn run(
        &self,
        bench: &mut dyn Bench,
        watcher: &mut dyn Watcher,
    ) -> Result<Findings, Failure> {
        let mut course = Course::new(self, bench, watcher);
        let ended = caught(|| course.instances()).map_err(Failure::from).flatten();
        let (mut findings, interrupted) = course.end();
        match ended {
            Ok(complete) => findings.complete = complete,
            // What fails once the end was asked for is no failure: what there is is kept.
            Err(_) if interrupted => findings.complete = false,
            Err(failure) if findings.slices.iter().any(|slice| slice.counts) => {
                findings.fail(failure);
            }
            Err(failure) => return Err(failure),
        }
        Ok(findings)
    }
}
