//! The slice engine as others see it: workers on their own threads, targets attached to them with
//! connections that stay open between slices, and one call that runs a slice and hands its record
//! back. It refuses to compare slices, and to know why they are run.

mod commands;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runtime::generator::DriverChoice;
use runtime::process::pin_to;

use self::commands::{WorkerCommand, WorkerReply, follow};
use crate::traffic::error::ContextError;
use crate::traffic::live::Live;
use crate::traffic::pool::Attached;
use crate::traffic::random::Random;
use crate::traffic::record::SliceRecord;
use crate::traffic::schedule::WorkerShare;
use crate::traffic::schedule::blocks::Blocks;
use crate::traffic::slice::{GeneratorError, LaneSpec, PlannedSlice, SliceSpec, StopFlag};
use crate::traffic::target::Target;
use crate::traffic::worker::{Worker, WorkerSetup};
use crate::traffic::workload::Workload;

pub use crate::traffic::slice::TargetId;

/// How long before a slice begins its workers are told: they wake up in far less.
const LEAD: Duration = Duration::from_millis(2);

/// How a generator is set up.
#[derive(Clone, Debug)]
pub struct GeneratorOptions {
    /// One worker for each entry, pinned to that CPU if one is named.
    pub workers: Vec<Option<usize>>,
    /// What the event loops stand on. `Auto` is what costs the generator least.
    pub driver: DriverChoice,
}

impl GeneratorOptions {
    /// One worker on each of these CPUs.
    pub fn on_cores(cpus: &[usize]) -> GeneratorOptions {
        GeneratorOptions {
            workers: cpus.iter().copied().map(Some).collect(),
            driver: DriverChoice::Auto,
        }
    }

    /// So many workers that the kernel places.
    pub fn unpinned(workers: usize) -> GeneratorOptions {
        GeneratorOptions { workers: vec![None; workers], driver: DriverChoice::Auto }
    }
}

/// The load generator: workers that wait for slices.
pub struct Generator {
    workers: Vec<Link>,
    targets: Vec<Option<Arc<Attached>>>,
    stop: StopFlag,
    live: Arc<[Live]>,
    unique: Random,
}

/// One worker, as the generator reaches it.
struct Link {
    commands: Sender<WorkerCommand>,
    answers: Receiver<WorkerReply>,
    thread: Option<JoinHandle<()>>,
}

impl Generator {
    /// Starts the workers. They use no CPU until a slice is run.
    pub fn start(options: &GeneratorOptions) -> Result<Generator, GeneratorError> {
        let count = options.workers.len();
        if count == 0 {
            return Err(GeneratorError::Start("it needs at least one worker".into()));
        }
        let stop = StopFlag::default();
        let live: Arc<[Live]> = options.workers.iter().map(|_| Live::default()).collect();
        let mut workers = Vec::with_capacity(count);
        for (index, cpu) in options.workers.iter().enumerate() {
            let setup = WorkerSetup {
                share: WorkerShare { index, count },
                driver: options.driver,
                stop: stop.clone(),
                live: Arc::clone(&live),
            };
            workers.push(Link::start(setup, *cpu)?);
        }
        let unique = Random::new(nonce());
        Ok(Generator { workers, targets: Vec::new(), stop, live, unique })
    }

    /// Makes a target known. No connection is opened yet.
    pub fn attach(
        &mut self,
        target: Target,
        workload: &Workload,
    ) -> Result<TargetId, GeneratorError> {
        if target.addresses.is_empty() {
            let sentence = format!("{} has no address to connect to", target.name);
            return Err(GeneratorError::Spec(sentence.into()));
        }
        let attached = Arc::new(Attached::new(target, workload)?);
        let index = self.targets.len();
        for worker in &self.workers {
            worker.tell(WorkerCommand::Attach(index, Arc::clone(&attached)))?;
        }
        self.targets.push(Some(attached));
        Ok(TargetId(index))
    }

    /// Closes a target's connections and forgets it.
    pub fn detach(&mut self, target: TargetId) {
        if let Some(slot) = self.targets.get_mut(target.0) {
            *slot = None;
            for worker in &self.workers {
                // A worker that is gone has no connections left.
                let _ = worker.tell(WorkerCommand::Detach(target.0));
            }
        }
    }

    /// Opens the connections that a slice will use, so that it need not: call it before reading
    /// the counters that are compared over the slice.
    ///
    /// # Errors
    /// When not even one connection can be made.
    pub fn prepare(&mut self, target: TargetId, spec: &SliceSpec) -> Result<(), GeneratorError> {
        self.check(target, spec)?;
        self.ready(target, &Arc::new(spec.clone()))
    }

    /// Runs one slice to its end and tells what happened in it. Connections that are missing are
    /// opened before the slice's time begins.
    ///
    /// # Errors
    /// When the slice could not be run; errors of requests are in the record.
    pub fn run_slice(
        &mut self,
        target: TargetId,
        spec: &SliceSpec,
    ) -> Result<SliceRecord, GeneratorError> {
        let own = LaneSpec { target, tokens: spec.tokens.clone(), clocks: Vec::new() };
        let records = self.run_interleaved(&[own], spec, &Blocks::whole(spec.duration))?;
        records.into_iter().next().ok_or(GeneratorError::UnknownTarget)
    }

    /// Runs one slice of several targets, each in its blocks, and tells what happened to each of
    /// them, in the order of `lanes`. The slice lasts as long as its blocks; the rate of `spec` is
    /// that of all lanes together, its limits are each lane's own.
    ///
    /// # Errors
    /// When the slice could not be run; errors of requests are in the records.
    pub fn run_interleaved(
        &mut self,
        lanes: &[LaneSpec],
        spec: &SliceSpec,
        blocks: &Blocks,
    ) -> Result<Vec<SliceRecord>, GeneratorError> {
        if lanes.is_empty() || lanes.len() != blocks.lanes() {
            return Err(GeneratorError::Spec("a slice has a target for each of its lanes".into()));
        }
        let attached: Result<Vec<_>, _> =
            lanes.iter().map(|lane| self.check(lane.target, spec)).collect();
        let attached = attached?;
        let spec = SliceSpec { duration: blocks.duration(), ..spec.clone() };
        let ready = Arc::new(spec.clone());
        for lane in lanes {
            self.ready(lane.target, &ready)?;
        }
        let plan = Arc::new(PlannedSlice { spec, lanes: lanes.to_vec(), blocks: blocks.clone() });
        let mut records = self.run(&plan)?;
        for (record, attached) in records.iter_mut().zip(attached) {
            record.connections.certificates_presented = attached.take_presented();
        }
        Ok(records)
    }

    /// Has all workers run a slice, and adds up what they saw of each lane.
    fn run(&mut self, plan: &Arc<PlannedSlice>) -> Result<Vec<SliceRecord>, GeneratorError> {
        let begin = Instant::now() + LEAD;
        let unique = self.unique.next_u64();
        for worker in &self.workers {
            worker.tell(WorkerCommand::Run(Arc::clone(plan), begin, unique))?;
        }
        let mut all: Vec<SliceRecord> = plan.lanes.iter().map(|_| SliceRecord::empty()).collect();
        let mut failure = None;
        for worker in &self.workers {
            match worker.answer() {
                Ok(WorkerReply::Ran(records)) => {
                    all.iter_mut().zip(&records).for_each(|(all, one)| all.merge_worker(one));
                }
                Ok(WorkerReply::Ready) => {}
                Ok(WorkerReply::Failed(error)) | Err(error) => _ = failure.get_or_insert(error),
            }
        }
        failure.map_or(Ok(all), Err)
    }

    /// Ends slices from another thread.
    pub fn stopper(&self) -> StopFlag {
        self.stop.clone()
    }

    /// What a progress bar may look at.
    pub fn live(&self) -> Arc<[Live]> {
        Arc::clone(&self.live)
    }

    fn ready(&self, target: TargetId, spec: &Arc<SliceSpec>) -> Result<(), GeneratorError> {
        for worker in &self.workers {
            worker.tell(WorkerCommand::Prepare(target.0, Arc::clone(spec)))?;
        }
        // Every answer is awaited, or the next command would be answered by a stale one.
        let answers: Vec<_> = self.workers.iter().map(Link::answer).collect();
        for answer in answers {
            if let WorkerReply::Failed(error) = answer? {
                return Err(error);
            }
        }
        Ok(())
    }

    fn check(&self, target: TargetId, spec: &SliceSpec) -> Result<Arc<Attached>, GeneratorError> {
        let attached = self.targets.get(target.0).and_then(Option::as_ref);
        let attached = attached.ok_or(GeneratorError::UnknownTarget)?;
        spec.check(self.workers.len()).map_err(GeneratorError::Spec)?;
        Ok(Arc::clone(attached))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop.stop();
        for worker in self.workers.drain(..) {
            worker.end();
        }
    }
}

impl Link {
    fn start(setup: WorkerSetup, cpu: Option<usize>) -> Result<Link, GeneratorError> {
        let (commands, inbox) = channel();
        let (outbox, answers) = channel();
        let name = format!("generator-{}", setup.share.index);
        let body = move || match cpu.map_or(Ok(()), pin).and_then(|()| Worker::new(setup)) {
            Ok(worker) => {
                if outbox.send(WorkerReply::Ready).is_ok() {
                    follow(worker, &inbox, &outbox);
                }
            }
            // If nobody waits for the reason, nobody misses it.
            Err(error) => _ = outbox.send(WorkerReply::Failed(error)),
        };
        let thread = thread::Builder::new()
            .name(name)
            .spawn(body)
            .map_err(|error| GeneratorError::Start(ContextError::at("no thread", error)))?;
        let link = Link { commands, answers, thread: Some(thread) };
        match link.answer()? {
            WorkerReply::Failed(error) => Err(error),
            _ => Ok(link),
        }
    }

    fn tell(&self, command: WorkerCommand) -> Result<(), GeneratorError> {
        self.commands.send(command).map_err(|_| gone())
    }

    fn answer(&self) -> Result<WorkerReply, GeneratorError> {
        self.answers.recv().map_err(|_| gone())
    }

    /// Waits for the thread, which ends when it can be told nothing any more.
    fn end(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread {
            // A worker that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn gone() -> GeneratorError {
    GeneratorError::Worker("its thread ended".into())
}

fn pin(cpu: usize) -> Result<(), GeneratorError> {
    pin_to(cpu).map_err(|error| {
        let step = format!("it cannot run on processor {cpu}");
        GeneratorError::Start(ContextError::at(step, error))
    })
}

/// A number that no other run has, for ids that must not repeat.
fn nonce() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since_1970.as_nanos() as u64) ^ (u64::from(std::process::id()) << 40)
}
