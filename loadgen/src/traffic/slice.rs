//! What one slice is to do, as data, and why it could not be done. A slice is a short stretch of
//! traffic to one target; experiments are made of them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runtime::CpuClock;

use crate::traffic::error::ContextError;
use crate::traffic::schedule::blocks::Blocks;
use crate::traffic::schedule::{ArrivalPattern, Rate};
use crate::traffic::tokens::Tokens;
use crate::traffic::workload::WorkloadError;

pub use metrics_export::run::GeneratorWait;

/// The fewest and the most requests that an open loop's queue holds per worker: a second's worth
/// of arrivals between these. A stall of a tenth of a second must fit; memory must stay bounded.
const QUEUE_MIN: u64 = 1024;
const QUEUE_MAX: u64 = 1 << 20;

/// Connections of one slice: the most that one address of each end allows, many times over.
const CONNECTIONS_MAX: usize = 1 << 20;

/// Times are kept in ns, and nobody waits longer.
const DURATION_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The histograms' bound.
const TIMEOUT_MAX: Duration = Duration::from_nanos(crate::traffic::record::LATENCY_NS_MAX);

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// At their own times, whatever became of the ones before: what many users are.
    Open {
        /// Requests per second of all workers together.
        rate: Rate,
        /// How they are spread.
        pattern: ArrivalPattern,
    },
    /// Each connection sends its next request when it has the reply to the one before: what finds
    /// the highest throughput. Its times hide every stall.
    Closed,
}

/// One slice.
#[derive(Clone, Debug)]
pub struct SliceSpec {
    /// When requests are sent.
    pub arrivals: Arrivals,
    /// Connections of all workers together; at least one for each worker.
    pub connections: usize,
    /// How long requests are sent. Waiting for the last replies comes on top, at most `timeout`.
    pub duration: Duration,
    /// Ends the slice after so many requests of all workers together, if that is sooner.
    pub requests_max: Option<u64>,
    /// A new connection after so many requests; then connections are opened when a request needs
    /// one and closed at the slice's end. None keeps them open, also between slices.
    pub requests_per_connection: Option<NonZeroU32>,
    /// The longest wait for a connection, and for a reply.
    pub timeout: Duration,
    /// What to do while there is nothing to do.
    pub wait: GeneratorWait,
    /// Makes Poisson arrivals, choices and unique ids. Ids repeat if it does.
    pub seed: u64,
    /// What requests carry in Authorization, unless the workload has such a field of its own.
    pub tokens: Tokens,
    /// Requests that may wait for a connection, per worker; more are dropped and counted. None
    /// for a second's worth of arrivals.
    pub queue_max: Option<usize>,
}

impl SliceSpec {
    /// A slice with the usual settings: a sleeping generator, connections kept, 10 s time-out.
    pub fn new(arrivals: Arrivals, connections: usize, duration: Duration) -> SliceSpec {
        SliceSpec {
            arrivals,
            connections,
            duration,
            requests_max: None,
            requests_per_connection: None,
            timeout: Duration::from_secs(10),
            wait: GeneratorWait::Sleep,
            seed: 1,
            tokens: Tokens::none(),
            queue_max: None,
        }
    }

    /// Tells what makes no sense in it, as a sentence.
    pub(crate) fn check(&self, workers: usize) -> Result<(), ContextError> {
        if self.connections < workers {
            return Err(format!(
                "{} connections cannot be spread over {workers} workers: give at least {workers}, \
                 or use fewer workers",
                self.connections
            )
            .into());
        }
        if self.connections > CONNECTIONS_MAX {
            return Err(format!("at most {CONNECTIONS_MAX} connections can be used").into());
        }
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            return Err("a slice lasts longer than nothing and at most 30 days".into());
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return Err("the time-out must be longer than nothing and at most an hour".into());
        }
        Ok(())
    }

    /// Room in one worker's queue.
    pub(crate) fn queue_room(&self, workers: usize) -> usize {
        let Arrivals::Open { rate, .. } = self.arrivals else {
            return 0;
        };
        let second = rate.requests_in(Duration::from_secs(1)) / workers.max(1) as u64;
        self.queue_max.unwrap_or(second.clamp(QUEUE_MIN, QUEUE_MAX) as usize)
    }
}

/// One lane of a slice: a target that gets traffic in some of the slice's blocks.
#[derive(Clone, Debug)]
pub struct LaneSpec {
    /// Whom.
    pub target: TargetId,
    /// What its requests carry in Authorization.
    pub tokens: Tokens,
    /// The clocks of its servers, read between blocks. Lanes may have some in common.
    pub clocks: Vec<CpuClock>,
}

/// A slice as workers are told it.
#[derive(Debug)]
pub(crate) struct PlannedSlice {
    pub(crate) spec: SliceSpec,
    pub(crate) lanes: Vec<LaneSpec>,
    pub(crate) blocks: Blocks,
}

/// A target with its workload, attached to a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetId(pub(crate) usize);

/// Ends slices before their time, from another thread: what was sent is still waited for, within
/// the time-out, and reported.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks for the end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why the generator could not do what it was asked to.
#[derive(Debug)]
pub enum GeneratorError {
    /// A worker could not be started or set up.
    Start(ContextError),
    /// The workload cannot be sent.
    Workload(WorkloadError),
    /// There is no such target.
    UnknownTarget,
    /// The slice makes no sense.
    Spec(ContextError),
    /// No connection to the target could be made.
    Connect {
        /// The target's name.
        target: String,
        /// What the first attempt met with.
        reason: String,
    },
    /// A worker ended unexpectedly.
    Worker(ContextError),
}

impl fmt::Display for GeneratorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GeneratorError::Start(reason) => {
                write!(out, "the load generator could not be started: {reason}")
            }
            GeneratorError::Workload(error) => error.fmt(out),
            GeneratorError::UnknownTarget => {
                out.write_str("a slice was asked for a target that is not attached")
            }
            GeneratorError::Spec(reason) => reason.fmt(out),
            GeneratorError::Connect { target, reason } => {
                write!(out, "no connection to {target} could be made: {reason}")
            }
            GeneratorError::Worker(reason) => {
                write!(out, "a worker of the load generator failed: {reason}")
            }
        }
    }
}

impl std::error::Error for GeneratorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            GeneratorError::Workload(error) => Some(error),
            // What they add stands in the message; what they hold is the cause.
            GeneratorError::Start(error)
            | GeneratorError::Spec(error)
            | GeneratorError::Worker(error) => error.source(),
            GeneratorError::UnknownTarget | GeneratorError::Connect { .. } => None,
        }
    }
}

impl From<WorkloadError> for GeneratorError {
    fn from(error: WorkloadError) -> GeneratorError {
        GeneratorError::Workload(error)
    }
}
