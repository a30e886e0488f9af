//! The slice engine as others see it: workers on their own threads, targets attached to them with
//! connections that stay open between slices, and one call that runs a slice and hands its record
//! back. It refuses to compare slices, and to know why they are run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    record::SliceRecord,
    slice::{GeneratorError, SliceSpec},
    target::Target,
    workload::{Template, Workload},
};

/// How a generator is set up.
#[derive(Clone, Debug)]
pub struct GeneratorOptions {
    /// One worker for each entry, pinned to that CPU if one is named.
    pub workers: Vec<Option<usize>>,
}

impl GeneratorOptions {
    /// One worker on each of these CPUs.
    pub fn on_cores(cpus: &[usize]) -> GeneratorOptions {
        GeneratorOptions {
            workers: cpus.iter().copied().map(Some).collect(),
        }
    }

    /// So many workers that the kernel places.
    pub fn unpinned(workers: usize) -> GeneratorOptions {
        GeneratorOptions {
            workers: vec![None; workers],
        }
    }
}

/// A target with its workload, attached to a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetId(usize);

/// Ends slices before their time, from another thread: what was sent is still waited for, within
/// the time-out, and reported.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a progress bar may look at while a slice runs. Each worker writes its own, now and then.
#[derive(Debug, Default)]
pub struct Live {
    /// Good replies since the generator was started.
    pub ok: AtomicU64,
    /// Errors since the generator was started.
    pub errors: AtomicU64,
}

/// The load generator: workers that wait for slices.
pub struct Generator {
    targets: Vec<Option<(Target, Template)>>,
    stop: Stop,
    live: Arc<[Live]>,
}

impl Generator {
    /// Starts the workers. They use no CPU until a slice is run.
    pub fn start(options: &GeneratorOptions) -> Result<Generator, GeneratorError> {
        if options.workers.is_empty() {
            return Err(GeneratorError::Start("it needs at least one worker".into()));
        }
        let live = options.workers.iter().map(|_| Live::default()).collect();
        Ok(Generator {
            targets: Vec::new(),
            stop: Stop::default(),
            live,
        })
    }

    /// Makes a target known. No connection is opened yet.
    pub fn attach(
        &mut self,
        target: Target,
        workload: &Workload,
    ) -> Result<TargetId, GeneratorError> {
        let template = Template::new(workload, &target.host)?;
        self.targets.push(Some((target, template)));
        Ok(TargetId(self.targets.len() - 1))
    }

    /// Closes a target's connections and forgets it.
    pub fn detach(&mut self, target: TargetId) {
        if let Some(slot) = self.targets.get_mut(target.0) {
            *slot = None;
        }
    }

    /// Opens the connections that a slice will use, so that it need not: call it before reading
    /// the counters that are compared over the slice.
    pub fn prepare(&mut self, target: TargetId, spec: &SliceSpec) -> Result<(), GeneratorError> {
        let _ = (target, spec);
        Err(GeneratorError::Start(
            "its workers are not built yet".into(),
        ))
    }

    /// Runs one slice to its end and tells what happened in it.
    pub fn run_slice(
        &mut self,
        target: TargetId,
        spec: &SliceSpec,
    ) -> Result<SliceRecord, GeneratorError> {
        let _ = (target, spec);
        Err(GeneratorError::Start(
            "its workers are not built yet".into(),
        ))
    }

    /// Ends slices from another thread.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// What a progress bar may look at.
    pub fn live(&self) -> Arc<[Live]> {
        Arc::clone(&self.live)
    }
}
