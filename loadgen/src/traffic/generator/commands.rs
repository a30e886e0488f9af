//! What a worker's thread is told, and how it follows: one command after the other until there is
//! nobody left to give any. Between commands it waits and uses no CPU. It refuses to decide what a
//! slice is.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use crate::traffic::drive::Drive;
use crate::traffic::pool::Attached;
use crate::traffic::record::SliceRecord;
use crate::traffic::slice::{GeneratorError, PlannedSlice, SliceSpec};
use crate::traffic::worker::{Worker, wait_refused};

/// What a worker is told.
pub(crate) enum WorkerCommand {
    /// A target, under the number that later commands use.
    Attach(usize, Arc<Attached>),
    /// Close the target's connections and forget it.
    Detach(usize),
    /// Open the connections that a slice will use.
    Prepare(usize, Arc<SliceSpec>),
    /// Run a slice that begins then. The last number makes its unique ids unlike all others.
    Run(Arc<PlannedSlice>, Instant, u64),
}

/// What a worker answers to `Prepare` and `Run`.
pub(crate) enum WorkerReply {
    /// It is ready.
    Ready,
    /// What it saw of each lane.
    Ran(Vec<SliceRecord>),
    /// It could not.
    Failed(GeneratorError),
}

/// Takes commands until there is nobody left to give any.
pub(crate) fn follow(
    mut worker: Worker,
    commands: &Receiver<WorkerCommand>,
    answers: &Sender<WorkerReply>,
) {
    while let Ok(command) = commands.recv() {
        let answer = match command {
            WorkerCommand::Attach(index, attached) => {
                worker.attach(index, attached);
                continue;
            }
            WorkerCommand::Detach(index) => {
                worker.detach(index);
                continue;
            }
            WorkerCommand::Prepare(index, spec) => match worker.prepare(index, &spec) {
                Ok(()) => WorkerReply::Ready,
                Err(error) => WorkerReply::Failed(error),
            },
            WorkerCommand::Run(plan, epoch, unique) => {
                match Drive::new(&mut worker, &plan, epoch, unique).map(Drive::run) {
                    Some(Ok(records)) => WorkerReply::Ran(records),
                    Some(Err(error)) => WorkerReply::Failed(wait_refused(error)),
                    None => WorkerReply::Failed(GeneratorError::UnknownTarget),
                }
            }
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}
