//! The load under which servers are recorded: the very bench that `matrix` uses, with slices that
//! are recorded between slices that are not.
//!
//! Sampling costs the servers something, so what a request costs is measured without it, in a
//! slice of the same length right before the recorded one. Two profiles take turns, the first once
//! more at the end (A B B A), so that a machine that drifts drifts for both. It opens no report.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use loadgen::command::matrix::Matrix;
use loadgen::experiment::bench::{BenchSetup, LiveBench};
use loadgen::experiment::stack::{Stack, Started};
use loadgen::experiment::{Bench as _, Measured, SliceLoad, SliceRequest};
use loadgen::machine::process::CpuSource;
use loadgen::plan::{PlannedCell, Variant};
use loadgen::traffic::error::ContextError;
use loadgen::traffic::generator::{Generator, GeneratorOptions};
use loadgen::traffic::slice::StopFlag;
use loadgen::validity::{self, Observed};
use metrics_export::breaches::MATRIX;
use metrics_export::run::{Breach, SliceKind};
use runtime::process::ShutdownWatch;

use super::fold::Folded;
use super::perf::{self, Recording, Sampling};
use crate::Failure;
use crate::command::matrix::StackLauncher;

/// How often the watching thread looks whether the end was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is to be recorded.
pub(super) struct FlameSession<'a> {
    /// Variants, the one that another is compared with first; cores, protocol, cell.
    pub(super) matrix: &'a Matrix,
    pub(super) sampling: &'a Sampling,
    /// What slices are.
    pub(super) kind: SliceKind,
    /// Where recordings are kept until they are read.
    pub(super) folder: &'a Path,
    pub(super) shutdown: ShutdownWatch,
}

/// What was found of one variant.
#[derive(Debug, Default)]
pub(super) struct VariantRecording {
    pub(super) folded: Folded,
    /// Server CPU and answers of the slices without `perf`, and of those with it.
    pub(super) plain: Sum,
    pub(super) sampled: Sum,
    /// What disturbed its slices without `perf`.
    pub(super) disturbances: Vec<Breach>,
    /// How many slices without `perf` there were.
    pub(super) plain_slices: usize,
}

/// CPU and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) cpu_ns: u64,
    pub(super) requests: u64,
}

impl Sum {
    fn add(&mut self, measured: &Measured) {
        self.cpu_ns += measured.slice.cpu_ns();
        self.requests += measured.slice.requests_answered;
    }

    /// CPU of a request in microseconds.
    pub(super) fn us(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.requests.max(1) as f64
    }
}

/// What was found of every variant, and what ended the recording before its time.
pub(super) type Recorded = (Vec<VariantRecording>, Option<Failure>);

/// The processes of each variant, by its id, as they were started.
type Processes = Rc<RefCell<Vec<(String, u32, String)>>>;

/// A stack that remembers which processes it started.
struct ProcessTracker {
    launcher: StackLauncher,
    processes: Processes,
}

impl Stack for ProcessTracker {
    fn start(
        &mut self,
        variant: &Variant,
        cell: &PlannedCell,
        instance: u32,
    ) -> Result<Started, ContextError> {
        let started = self.launcher.start(variant, cell, instance)?;
        for process in &started.processes {
            if let CpuSource::Pid(pid) = process.cpu {
                let noted = (variant.id.clone(), pid, process.service.clone());
                self.processes.borrow_mut().push(noted);
            }
        }
        Ok(started)
    }
}

impl FlameSession<'_> {
    /// Starts the servers, and records each variant; none when the end was asked for before.
    ///
    /// A failure after every variant was recorded once comes with what was recorded.
    pub(super) fn run(&self, launcher: StackLauncher) -> Result<Option<Recorded>, Failure> {
        let processes = Processes::default();
        let mut stack = ProcessTracker { launcher, processes: Rc::clone(&processes) };
        let matrix = self.matrix;
        let on_cores = GeneratorOptions::on_cores(&matrix.cores.generator);
        let options = GeneratorOptions { driver: matrix.driver, ..on_cores };
        let generator = Generator::start(&options).map_err(Failure::sentence)?;
        let _watching = self.watch(generator.stopper());
        let interrupted = || self.interrupted();
        let mut bench = LiveBench::new(BenchSetup {
            stack: &mut stack,
            generator,
            variants: &matrix.variants,
            cells: &matrix.cells,
            protocol: &matrix.protocol,
            cores: &matrix.cores,
            interrupted: &interrupted,
        });
        bench.restart(0).map_err(Failure::sentence)?;
        let mut taken: Vec<VariantRecording> =
            matrix.variants.iter().map(|_| VariantRecording::default()).collect();
        for variant in 0..taken.len() {
            self.slice(&mut bench, variant, SliceKind::Closed, true)?;
        }
        let turns: Vec<usize> = (0..taken.len()).chain((0..taken.len()).rev()).collect();
        let mut failure = None;
        for (done, variant) in turns.into_iter().enumerate() {
            if self.interrupted() || failure.is_some() {
                break;
            }
            match self.turn(&mut bench, variant, &processes, &mut taken[variant]) {
                Err(ended) if done >= taken.len() => failure = Some(ended),
                turned => turned?,
            }
        }
        Ok((!self.interrupted()).then_some((taken, failure)))
    }

    /// One slice without `perf` and one with it.
    fn turn(
        &self,
        bench: &mut LiveBench<'_>,
        variant: usize,
        processes: &Processes,
        taken: &mut VariantRecording,
    ) -> Result<(), Failure> {
        let Matrix { variants, bounds, cores, .. } = self.matrix;
        let plain = self.slice(bench, variant, self.kind, false)?;
        taken.plain.add(&plain);
        let observed = Observed::of_slice(&plain.slice, cores.measured());
        let (_, disturbances) = validity::by_cause(validity::judge(&observed, bounds, MATRIX));
        taken.disturbances.extend(disturbances);
        taken.plain_slices += 1;

        let services: Vec<(u32, String)> = processes
            .borrow()
            .iter()
            .filter(|(id, ..)| *id == variants[variant].id)
            .map(|(_, pid, service)| (*pid, service.clone()))
            .collect();
        let pids: Vec<u32> = services.iter().map(|(pid, _)| *pid).collect();
        let data = self.folder.join("perf.data");
        let recording = Recording::start(self.sampling, &pids, &data)?;
        let sampled = self.slice(bench, variant, self.kind, false)?;
        recording.finish()?;
        taken.sampled.add(&sampled);
        if let Some(script) = perf::script(&data, &|| self.interrupted())? {
            taken.folded.add(&script, &services, &program()?);
        }
        fs::remove_file(&data)
            .map_err(|error| Failure::failed(format!("perf.data: {error}.")).because(error))
    }

    /// Runs a slice and sees to it that it was what it is called.
    fn slice(
        &self,
        bench: &mut LiveBench<'_>,
        variant: usize,
        kind: SliceKind,
        warmup: bool,
    ) -> Result<Measured, Failure> {
        let Variant { cell, label, .. } = &self.matrix.variants[variant];
        let open = || self.matrix.cells[*cell].rate.map(SliceLoad::Open);
        let load = match kind {
            SliceKind::Open => open().ok_or_else(|| Failure::usage("--rate takes a rate."))?,
            SliceKind::Closed => SliceLoad::Closed,
            SliceKind::Connect => SliceLoad::Connect,
        };
        let (instance, round, position, attempt) = (0, 0, 0, 0);
        let request = SliceRequest { variant, load, instance, round, position, attempt, warmup };
        let measured = bench.slice(&request).map_err(Failure::sentence)?;
        if self.interrupted() {
            return Ok(measured);
        }
        if let Some(proof) = measured.proofs.iter().find(|proof| !proof.holds) {
            let (claim, found) = (proof.claim, &proof.found);
            return Err(Failure::failed(format!("{label}: {claim} does not hold: {found}.")));
        }
        if measured.slice.requests_answered == 0 {
            let errors = &measured.errors;
            return Err(Failure::failed(format!("{label}: no request was answered: {errors}.")));
        }
        Ok(measured)
    }

    fn interrupted(&self) -> bool {
        self.shutdown.received().is_some()
    }

    /// Ends a running slice when the end was asked for. The thread ends with what is returned.
    fn watch(&self, stop: StopFlag) -> Sender<()> {
        let (over, ended) = mpsc::channel();
        let shutdown = self.shutdown.clone();
        thread::spawn(move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if shutdown.received().is_some() {
                    stop.stop();
                }
            }
        });
        over
    }
}

/// The path of this very program, as `perf` names it: it is the servers' too.
fn program() -> Result<String, Failure> {
    let path = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("Could not find the own program: {error}.")).because(error)
    })?;
    Ok(path.to_string_lossy().into_owned())
}
