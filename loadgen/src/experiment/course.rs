//! An experiment under way: which slice comes next, and which one counts. It refuses to know how a
//! slice is run.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use metrics_export::breaches::{MATRIX, fact};
use metrics_export::run::{Slice, SliceKind};

use super::blocks;
use super::{
    Bench, Experiment, Failure, Findings, InterleavedRequest, Measured, SliceLoad, SliceRequest,
    Watcher, results,
};
use crate::plan::{BlockChoice, PlannedCell, Protocol, Variant};
use crate::traffic::random::Random;
use crate::traffic::schedule::Rate;
use crate::validity::{self, Observed};

/// One in so many slices may be repeated.
const REPEATS_PER_PLANNED: u64 = 5;

/// Pairs of passes in an interleaved slice of new connections, whose blocks must be long enough for
/// many handshakes.
const CONNECT_PAIRS: u32 = 2;

/// How long nothing is asked to see what idle servers do; and for how long before, in which they
/// give back what their last requests had, such as buffers.
const PAUSE: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_secs(2);

/// In so many of the first instances: what an idle server does is no matter of luck.
const PAUSED_INSTANCES: u32 = 3;

/// A running experiment.
pub(super) struct Course<'a, 'e> {
    experiment: &'a Experiment<'e>,
    bench: &'a mut dyn Bench,
    watcher: &'a mut dyn Watcher,
    findings: Findings,
    done: u64,
    repeats: u64,
    /// Whether it is known which cells are interleaved.
    blocks_known: bool,
}

/// One step of a round.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The variants of a cell, interleaved.
    Cell(usize),
    /// One variant.
    Whole(usize),
}

/// Where a slice stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    instance: u32,
    round: u32,
    position: u32,
}

/// Rounds `first..end` of an instance, so that all of them are shared out evenly.
fn rounds_of(instance: u32, protocol: &Protocol) -> Range<u32> {
    let at = |instance: u32| {
        (u64::from(protocol.rounds) * u64::from(instance) / u64::from(protocol.instances)) as u32
    };
    at(instance)..at(instance + 1)
}

impl<'a, 'e> Course<'a, 'e> {
    pub(super) fn new(
        experiment: &'a Experiment<'e>,
        bench: &'a mut dyn Bench,
        watcher: &'a mut dyn Watcher,
    ) -> Course<'a, 'e> {
        let findings = Findings::of(experiment.variants, experiment.cells.len());
        Course { experiment, bench, watcher, findings, done: 0, repeats: 0, blocks_known: false }
    }

    /// What was found, and whether an end was asked for.
    pub(super) fn end(self) -> (Findings, bool) {
        (self.findings, self.bench.interrupted())
    }

    /// True when every planned slice was taken.
    pub(super) fn instances(&mut self) -> Result<bool, Failure> {
        for instance in 0..self.experiment.protocol.instances {
            if self.bench.interrupted() {
                return Ok(false);
            }
            let rounds = rounds_of(instance, self.experiment.protocol);
            if self.enough(rounds.start) {
                break;
            }
            self.bench.restart(instance)?;
            if !self.warm_up(instance, rounds.start)? || !self.alone(instance, rounds.start)? {
                return Ok(false);
            }
            let paused = self.experiment.protocol.instances_with_whole_slices();
            if instance < paused.min(PAUSED_INSTANCES) {
                self.pause()?;
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

    /// How many slices are planned, warm-ups included and repeats not, as far as it is known which
    /// cells are interleaved.
    pub(super) fn planned(&self) -> u64 {
        let Experiment { variants, protocol, .. } = *self.experiment;
        let of = |variant: &Variant| {
            let (instances, rounds) = (u64::from(protocol.instances), u64::from(protocol.rounds));
            let alone = match self.may_interleave(variant.cell) {
                true => u64::from(protocol.instances_with_whole_slices()),
                false => 0,
            };
            instances + 1 + alone + rounds * (1 + u64::from(variant.connects))
        };
        variants.iter().map(of).sum()
    }

    /// Whether a cell is interleaved, or may be for all that is known.
    fn may_interleave(&self, cell: usize) -> bool {
        self.experiment.protocol.block != BlockChoice::Whole
            && (!self.blocks_known || self.findings.blocks[cell].is_some())
    }

    /// Warms every variant up. In the first instance a closed-loop slice follows, and the slowest
    /// variant decides the rate, unless the plan names one.
    fn warm_up(&mut self, instance: u32, round: u32) -> Result<bool, Failure> {
        for (position, step) in self.steps(u64::from(instance) << 32).into_iter().enumerate() {
            if self.bench.interrupted() {
                return Ok(false);
            }
            match step {
                Step::Cell(cell) => {
                    let slice = self.experiment.protocol.warmup;
                    let request = self.interleaved(cell, slice, instance, round);
                    let request =
                        request.map(|request| InterleavedRequest { warmup: true, ..request });
                    self.take_all(request)?;
                }
                Step::Whole(variant) => {
                    let warmup = SliceRequest {
                        variant,
                        load: SliceLoad::Closed,
                        instance,
                        round,
                        position: position as u32,
                        attempt: 0,
                        warmup: true,
                    };
                    self.warm(warmup)?;
                    if instance == 0 && !self.bench.interrupted() {
                        self.warm(SliceRequest { warmup: false, ..warmup })?;
                    }
                }
            }
        }
        for cell in 0..self.experiment.cells.len() {
            if self.findings.rates[cell].is_none() {
                self.findings.rates[cell] = Some(self.operating_rate(cell)?);
            }
        }
        Ok(true)
    }

    /// Takes a closed-loop slice. One that warms up counts for nothing.
    fn warm(&mut self, request: SliceRequest) -> Result<(), Failure> {
        let mut measured = self.measure(&request)?;
        if measured.slice.requests_answered == 0 && !self.bench.interrupted() {
            return Err(self.unanswered(request.variant, &measured.errors));
        }
        measured.slice.counts = !request.warmup;
        self.findings.keep(request.variant, measured)
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
            .filter_map(|slice| slice.answered_milli_per_s())
            .map(|milli_per_s| milli_per_s / 1e3);
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

    /// Takes a whole slice of each variant of the cells that may be interleaved: the longest times
    /// are its own in these alone. Then it is known how long a block must be.
    fn alone(&mut self, instance: u32, round: u32) -> Result<bool, Failure> {
        let taken = instance < self.experiment.protocol.instances_with_whole_slices();
        let order = if taken { self.order((u64::from(instance) << 32) + 1) } else { Vec::new() };
        for (position, variant) in order.into_iter().enumerate() {
            let cell = self.experiment.variants[variant].cell;
            if !self.may_interleave(cell) {
                continue;
            }
            let place = Place { instance, round, position: position as u32 };
            if !self.whole(variant, SliceLoad::Open(self.rate(cell)?), place)? {
                return Ok(false);
            }
        }
        if !self.blocks_known {
            for cell in 0..self.experiment.cells.len() {
                self.findings.blocks[cell] = self.block(cell)?;
            }
            self.blocks_known = true;
        }
        Ok(true)
    }

    /// Measures what the servers do while nothing is asked of them: in interleaved slices that is
    /// most of the time.
    fn pause(&mut self) -> Result<(), Failure> {
        if self.findings.blocks.iter().any(Option::is_some) && !self.bench.interrupted() {
            self.bench.idle(QUIET)?;
            let used = self.bench.idle(PAUSE)?;
            for (kept, ns_per_s) in self.findings.variants.iter_mut().zip(used) {
                kept.idle_ns_per_s.extend(ns_per_s.map(|ns| ns as f64));
            }
        }
        Ok(())
    }

    /// The length of a block of a cell, from the whole slices that were taken until now. Variants
    /// whose CPU cannot be told apart in one slice have whole ones.
    fn block(&mut self, cell: usize) -> Result<Option<Duration>, Failure> {
        let Experiment { variants, protocol, .. } = *self.experiment;
        match (self.bench.inseparable(cell), protocol.block) {
            (Some(why), BlockChoice::Length(_)) => {
                return Err(Failure::new(format!("{why}; measure with --block whole")));
            }
            (Some(why), BlockChoice::Auto) => {
                let note = format!("Variants had whole slices, one after the other: {why}.");
                if !self.findings.notes.contains(&note) {
                    self.findings.notes.push(note);
                }
                return Ok(None);
            }
            (None, _) | (_, BlockChoice::Whole) => {}
        }
        let own = variants.iter().filter(|variant| variant.cell == cell);
        let slices = own.flat_map(|own| self.findings.counted(&own.id, SliceKind::Open));
        let slowest = slices.map(|slice| slice.response.p50_ns).max().unwrap_or(0);
        Ok(blocks::length(protocol, self.rate(cell)?, Duration::from_nanos(slowest)))
    }

    fn round(&mut self, instance: u32, round: u32) -> Result<bool, Failure> {
        for (position, step) in self.steps(u64::from(round) + 1).into_iter().enumerate() {
            let place = Place { instance, round, position: position as u32 };
            let whole = match step {
                Step::Cell(cell) => self.round_of_cell(cell, place)?,
                Step::Whole(variant) => self.round_of_variant(variant, place)?,
            };
            if !whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The slices of one variant in a round.
    fn round_of_variant(&mut self, variant: usize, place: Place) -> Result<bool, Failure> {
        let Variant { connects, cell, .. } = self.experiment.variants[variant];
        let open = SliceLoad::Open(self.rate(cell)?);
        Ok(self.whole(variant, open, place)?
            && (!connects || self.whole(variant, SliceLoad::Connect, place)?))
    }

    /// The interleaved slices of a cell in a round.
    fn round_of_cell(&mut self, cell: usize, place: Place) -> Result<bool, Failure> {
        let Experiment { variants, protocol, .. } = *self.experiment;
        let Place { instance, round, .. } = place;
        let open = self.interleaved(cell, protocol.slice, instance, round);
        if self.bench.interrupted() {
            return Ok(false);
        }
        self.take_all(open)?;
        let connecting = |variant: &Variant| variant.cell == cell && variant.connects;
        if !variants.iter().any(connecting) {
            return Ok(true);
        }
        if self.bench.interrupted() {
            return Ok(false);
        }
        let block = protocol.handshake_slice / (2 * CONNECT_PAIRS);
        self.take_all(open.map(|open| InterleavedRequest {
            load: SliceLoad::Connect,
            block,
            pairs: CONNECT_PAIRS,
            ..open
        }))?;
        Ok(true)
    }

    /// An interleaved slice with so much time for each variant; None where the cell has whole ones.
    fn interleaved(
        &self,
        cell: usize,
        slice: Duration,
        instance: u32,
        round: u32,
    ) -> Option<InterleavedRequest> {
        let block = self.findings.blocks[cell]?;
        let load = SliceLoad::Open(self.findings.rates[cell]?);
        let pairs = blocks::pairs(slice, block);
        let (attempt, warmup) = (0, false);
        Some(InterleavedRequest { cell, load, block, pairs, instance, round, attempt, warmup })
    }

    fn rate(&self, cell: usize) -> Result<Rate, Failure> {
        let rate = self.findings.rates[cell];
        rate.ok_or_else(|| Failure::new("there is no operating point before the warm-up"))
    }

    /// Takes a whole slice; false where an end was asked for before.
    fn whole(&mut self, variant: usize, load: SliceLoad, place: Place) -> Result<bool, Failure> {
        if self.bench.interrupted() {
            return Ok(false);
        }
        let Place { instance, round, position } = place;
        let (attempt, warmup) = (0, false);
        self.slice(SliceRequest { variant, load, instance, round, position, attempt, warmup })?;
        Ok(true)
    }

    /// Takes a slice, and takes it once more if it was disturbed; the second one counts, whatever
    /// became of it. On a machine that disturbs every slice, repeating helps nobody, and the run
    /// must end within its time: then the first one counts, with its disturbances.
    fn slice(&mut self, request: SliceRequest) -> Result<(), Failure> {
        let mut measured = self.measure(&request)?;
        let again = self.again(1, !measured.slice.disturbances.is_empty());
        measured.slice.counts = !again;
        self.findings.keep(request.variant, measured)?;
        if again {
            let measured = self.measure(&SliceRequest { attempt: 1, ..request })?;
            self.findings.keep(request.variant, measured)?;
        }
        Ok(())
    }

    /// The same for an interleaved slice: what disturbed it disturbed all its variants.
    fn take_all(&mut self, request: Option<InterleavedRequest>) -> Result<(), Failure> {
        let Some(request) = request else { return Ok(()) };
        let all = self.measure_all(&request)?;
        let disturbed = all.iter().any(|(_, measured)| !measured.slice.disturbances.is_empty());
        let again = self.again(all.len() as u64, disturbed && !request.warmup);
        self.keep_all(all, !again && !request.warmup)?;
        if again {
            let all = self.measure_all(&InterleavedRequest { attempt: 1, ..request })?;
            self.keep_all(all, true)?;
        }
        Ok(())
    }

    fn keep_all(&mut self, all: Vec<(usize, Measured)>, counts: bool) -> Result<(), Failure> {
        for (variant, mut measured) in all {
            measured.slice.counts = counts;
            self.findings.keep(variant, measured)?;
        }
        Ok(())
    }

    /// Whether so many slices are taken once more; then they are not done yet.
    fn again(&mut self, slices: u64, disturbed: bool) -> bool {
        let room = self.repeats + slices <= self.planned() / REPEATS_PER_PLANNED;
        let again = disturbed && room && !self.bench.interrupted();
        if again {
            self.repeats += slices;
            self.done -= slices;
        }
        again
    }

    fn measure(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let mut measured = self.bench.slice(request)?;
        self.judge(&mut measured.slice);
        Ok(measured)
    }

    fn measure_all(
        &mut self,
        request: &InterleavedRequest,
    ) -> Result<Vec<(usize, Measured)>, Failure> {
        let mut all = self.bench.interleaved(request)?;
        all.iter_mut().for_each(|measured| self.judge(&mut measured.slice));
        let own = request.slices(self.experiment.variants).into_iter();
        Ok(own.map(|slice| slice.variant).zip(all).collect())
    }

    fn judge(&mut self, slice: &mut Slice) {
        let (bounds, cores) = (self.experiment.bounds, self.experiment.measured_cores);
        let observed = Observed::of_slice(slice, cores).without_errors();
        let breaches = validity::judge(&observed, bounds, MATRIX);
        slice.disturbances = breaches.iter().map(fact).collect();
        self.done += 1;
        self.watcher.taken(self.done, self.planned(), slice);
    }

    /// The steps of a round in a random order: a cell where it is interleaved, else its variants.
    fn steps(&self, part: u64) -> Vec<Step> {
        let Experiment { variants, cells, protocol, .. } = *self.experiment;
        let is_interleaved = |cell: usize| self.findings.blocks[cell].is_some();
        let whole = (0..variants.len()).filter(|place| !is_interleaved(variants[*place].cell));
        let cells = (0..cells.len()).filter(|cell| is_interleaved(*cell));
        let steps: Vec<Step> = cells.map(Step::Cell).chain(whole.map(Step::Whole)).collect();
        let order = Random::stream(protocol.seed, part).order(steps.len());
        order.into_iter().map(|place| steps[place]).collect()
    }

    fn order(&self, part: u64) -> Vec<usize> {
        let seed = self.experiment.protocol.seed;
        Random::stream(seed, part).order(self.experiment.variants.len())
    }
}
