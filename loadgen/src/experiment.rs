//! The experiment: restarts, warm-up, rounds of slices in random order, and repeats.
//!
//! ```text
//! for each instance:  restart every variant -> warm up and find capacity
//!     for each of its rounds, variants of all cells in a new random order:
//!         open-loop slice at the operating point   (disturbed? once more, and said so)
//!         slice of new connections, where planned
//!     enough? (all rounds; or from 12 on, all intervals narrow; or the time is over)
//! ```
//! The engine decides order and repetition; it opens no socket and reads no clock. What runs a
//! slice stands behind [`Bench`], so that the whole experiment is tested with simulated slices.

pub mod bench;
mod findings;
mod order;
pub(crate) mod proof;
pub(crate) mod results;
pub mod stack;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::time::Duration;

use hdrhistogram::Histogram;
use metrics_export::breaches::{MATRIX, fact};
use metrics_export::run::{Bounds, CpuSourceKind, Slice, SliceKind};

use crate::panics::caught;
use crate::plan::{PlannedCell, Protocol, Variant};
use crate::stats::Layer;
use crate::traffic::error::ContextError;
use crate::traffic::record::{self, SliceRecord};
use crate::traffic::schedule::Rate;
use crate::validity::{self, Observed};

pub use findings::{CellView, Findings, VariantSamples};
pub use order::shuffled;

/// One in so many slices may be repeated.
const REPEATS_PER_PLANNED: u64 = 5;

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
        let mut course = Course {
            experiment: self,
            bench,
            watcher,
            findings: Findings::of(self.variants, self.cells.len()),
            planned: self.slices_planned(),
            done: 0,
            repeats: 0,
        };
        let ended = caught(|| course.instances()).map_err(Failure::from).flatten();
        let interrupted = course.bench.interrupted();
        let mut findings = course.findings;
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

    /// How many slices are planned, warm-ups included and repeats not.
    #[must_use]
    pub fn slices_planned(&self) -> u64 {
        let variants = self.variants.len() as u64;
        let connecting = self.variants.iter().filter(|variant| variant.connects).count() as u64;
        let (rounds, instances) = (self.protocol.rounds, self.protocol.instances);
        u64::from(instances) * variants * 2 + u64::from(rounds) * (variants + connecting)
    }
}

/// Rounds `first..end` of an instance, so that all of them are shared out evenly.
fn rounds_of(instance: u32, protocol: &Protocol) -> std::ops::Range<u32> {
    let at = |instance: u32| {
        (u64::from(protocol.rounds) * u64::from(instance) / u64::from(protocol.instances)) as u32
    };
    at(instance)..at(instance + 1)
}

/// A running experiment.
struct Course<'a, 'e> {
    experiment: &'a Experiment<'e>,
    bench: &'a mut dyn Bench,
    watcher: &'a mut dyn Watcher,
    findings: Findings,
    planned: u64,
    done: u64,
    repeats: u64,
}

impl Course<'_, '_> {
    /// True when every planned slice was taken.
    fn instances(&mut self) -> Result<bool, Failure> {
        for instance in 0..self.experiment.protocol.instances {
            if self.bench.interrupted() {
                return Ok(false);
            }
            let rounds = rounds_of(instance, self.experiment.protocol);
            if self.enough(rounds.start) {
                break;
            }
            self.bench.restart(instance)?;
            if !self.warm_up(instance, rounds.start)? {
                return Ok(false);
            }
            for round in rounds {
                if !self.round(instance, round)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether the rounds that were taken are enough, by the stop rule.
    fn enough(&self, rounds: u32) -> bool {
        let protocol = self.experiment.protocol;
        let stop = &protocol.stop;
        if rounds > 0 && stop.max_duration.is_some_and(|most| self.bench.elapsed() >= most) {
            return true;
        }
        let Experiment { variants, layers, .. } = *self.experiment;
        let findings = &self.findings;
        let settled = |share| results::settled(findings, variants, layers, share, protocol.seed);
        stop.until_ci_share.is_some_and(settled)
    }

    /// Warms every variant up, then takes its closed-loop slice. The slowest variant of the first
    /// instance decides the rate, unless the plan names one.
    fn warm_up(&mut self, instance: u32, round: u32) -> Result<bool, Failure> {
        for (position, variant) in self.order(u64::from(instance) << 32).into_iter().enumerate() {
            for warmup in [true, false] {
                if self.bench.interrupted() {
                    return Ok(false);
                }
                let request = SliceRequest {
                    variant,
                    load: SliceLoad::Closed,
                    instance,
                    round,
                    position: position as u32,
                    attempt: 0,
                    warmup,
                };
                let mut measured = self.measure(&request)?;
                if measured.slice.requests_answered == 0 && !self.bench.interrupted() {
                    return Err(self.unanswered(variant, &measured.errors));
                }
                measured.slice.counts = !warmup;
                self.findings.keep(variant, measured)?;
            }
        }
        for cell in 0..self.experiment.cells.len() {
            if self.findings.rates[cell].is_none() {
                self.findings.rates[cell] = Some(self.operating_rate(cell)?);
            }
        }
        Ok(true)
    }

    fn unanswered(&self, variant: usize, errors: &str) -> Failure {
        let label = &self.experiment.variants[variant].label;
        let why = if errors.is_empty() { "nothing came back" } else { errors };
        Failure::new(format!(
            "{label}: no request was answered as it should be in the warm-up: {why}; see what the \
             same request gets from curl, and the server's log"
        ))
    }

    /// The rate of a cell: as asked, or a share of the slowest variant's capacity among all cells
    /// that ask the same of the same services, since the rate moves the cost of a request.
    fn operating_rate(&self, cell: usize) -> Result<Rate, Failure> {
        let Experiment { cells, protocol, variants, .. } = *self.experiment;
        if let Some(rate) = cells[cell].rate {
            return Ok(rate);
        }
        let alike = |other: &PlannedCell| {
            other.rate.is_none()
                && other.workload == cells[cell].workload
                && other.call_path == cells[cell].call_path
        };
        let same: HashSet<&str> = variants
            .iter()
            .filter(|variant| alike(&cells[variant.cell]))
            .map(|variant| variant.id.as_str())
            .collect();
        let capacities = self
            .findings
            .slices
            .iter()
            .filter(|slice| slice.counts && same.contains(slice.variant.as_str()))
            .map(|slice| slice.requests_answered as f64 * 1e9 / slice.duration_ns.max(1) as f64);
        let slowest = capacities.fold(f64::INFINITY, f64::min);
        // A round number reads better, and a thousandth of the capacity decides nothing.
        let share = (slowest * protocol.operating_share).floor().max(1.0);
        let rate = if slowest > 0.0 { Rate::per_second(share) } else { None };
        rate.ok_or_else(|| {
            Failure::new(
                "no request was answered in the warm-up, so there is no operating point; see the \
                 servers' logs",
            )
        })
    }

    fn round(&mut self, instance: u32, round: u32) -> Result<bool, Failure> {
        for (position, variant) in self.order(u64::from(round) + 1).into_iter().enumerate() {
            let Variant { connects, cell, .. } = self.experiment.variants[variant];
            let open = self.findings.rates[cell].map(SliceLoad::Open);
            for load in open.into_iter().chain(connects.then_some(SliceLoad::Connect)) {
                if self.bench.interrupted() {
                    return Ok(false);
                }
                let position = position as u32;
                let (attempt, warmup) = (0, false);
                self.slice(SliceRequest {
                    variant,
                    load,
                    instance,
                    round,
                    position,
                    attempt,
                    warmup,
                })?;
            }
        }
        Ok(true)
    }

    /// Takes a slice, and takes it once more if it was disturbed; the second one counts, whatever
    /// became of it. On a machine that disturbs every slice, repeating helps nobody, and the run
    /// must end within its time: then the first one counts, with its disturbances.
    fn slice(&mut self, request: SliceRequest) -> Result<(), Failure> {
        let mut measured = self.measure(&request)?;
        let again = !measured.slice.disturbances.is_empty()
            && self.repeats < self.planned / REPEATS_PER_PLANNED
            && !self.bench.interrupted();
        measured.slice.counts = !again;
        self.findings.keep(request.variant, measured)?;
        if again {
            self.repeats += 1;
            self.done -= 1;
            let mut measured = self.measure(&SliceRequest { attempt: 1, ..request })?;
            measured.slice.counts = true;
            self.findings.keep(request.variant, measured)?;
        }
        Ok(())
    }

    fn measure(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let mut measured = self.bench.slice(request)?;
        let (bounds, cores) = (self.experiment.bounds, self.experiment.measured_cores);
        let observed = Observed::of_slice(&measured.slice, cores).without_errors();
        let breaches = validity::judge(&observed, bounds, MATRIX);
        measured.slice.disturbances = breaches.iter().map(fact).collect();
        self.done += 1;
        self.watcher.taken(self.done, self.planned, &measured.slice);
        Ok(measured)
    }

    fn order(&self, part: u64) -> Vec<usize> {
        shuffled(self.experiment.variants.len(), self.experiment.protocol.seed, part)
    }
}
