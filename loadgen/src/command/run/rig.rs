//! One target with everything that is needed to measure it: the generator, the tokens that are
//! kept fresh, the machine's accounting, and a thread that watches for the wish to end. `run` takes
//! one slice from it, `capacity` many. It refuses to decide which.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::command::run::machine::Machine;
use crate::command::run::{CpuAccounting, KeptToken, RunError, RunOptions};
use crate::panics::{self, caught};
use crate::traffic::generator::{Generator, TargetId};
use crate::traffic::live::Live;
use crate::traffic::record::SliceRecord;
use crate::traffic::slice::{SliceSpec, StopFlag};
use crate::traffic::tokens::Tokens;

/// How often the watching thread looks whether the run was interrupted, and draws.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What a reader must know of a target that none of our servers would talk to.
const WEAK_SESSIONS: &str = "\
    the target speaks TLS 1.2 without the extended master secret (RFC 7627): it is measured as it \
    is, and a service of tollgate would refuse it";

/// Draws progress; called several times a second, and dropped before anything is printed.
pub(crate) type Drawer = Box<dyn FnMut() + Send>;

/// A target that is ready to be measured.
pub(crate) struct Rig<'a> {
    generator: Generator,
    target: TargetId,
    machine: Machine,
    tokens: Tokens,
    /// Connections of the target had no extended master secret.
    weak_sessions: bool,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

impl Rig<'_> {
    /// Runs a slice that only gets everything going.
    pub(crate) fn warm(&mut self, spec: &SliceSpec) -> Result<SliceRecord, RunError> {
        let spec = SliceSpec { tokens: self.tokens.clone(), ..spec.clone() };
        let ran = self.generator.run_slice(self.target, &spec);
        let record = ran.map_err(|error| self.failed(error.into()))?;
        self.note_sessions(&record);
        Ok(record)
    }

    /// Runs a slice between two readings of the machine's accounting.
    pub(crate) fn measure(
        &mut self,
        spec: &SliceSpec,
    ) -> Result<(SliceRecord, CpuAccounting), RunError> {
        let spec = SliceSpec { tokens: self.tokens.clone(), ..spec.clone() };
        let prepared = self.generator.prepare(self.target, &spec);
        prepared.map_err(|error| self.failed(error.into()))?;
        let before = self.machine.read().map_err(|error| self.failed(error))?;
        let record = self.generator.run_slice(self.target, &spec);
        let record = record.map_err(|error| self.failed(error.into()))?;
        self.note_sessions(&record);
        let accounting = caught(|| self.machine.since(&before));
        Ok((record, accounting.unwrap_or_else(|why| self.machine.unread(why))))
    }

    fn note_sessions(&mut self, record: &SliceRecord) {
        self.weak_sessions |= record.tls.iter().any(|proof| !proof.extended_master_secret);
    }

    /// Whether the end was asked for.
    pub(crate) fn interrupted(&self) -> bool {
        (self.interrupted)()
    }

    /// A target that was not reached because the user lost patience has not failed.
    fn failed(&self, error: RunError) -> RunError {
        if self.interrupted() { RunError::Interrupted } else { error }
    }
}

/// Makes a rig and lends it to `work`. Returns what that returns, with what went wrong beside the
/// traffic, as sentences.
pub(crate) fn with_rig<T>(
    options: &RunOptions,
    interrupted: &(dyn Fn() -> bool + Sync),
    drawer: impl FnOnce(Arc<[Live]>) -> Option<Drawer>,
    work: impl FnOnce(&mut Rig<'_>) -> Result<T, RunError>,
) -> Result<(T, Vec<String>), RunError> {
    // What was not there because the user lost patience has not failed.
    let patient = |error| if interrupted() { RunError::Interrupted } else { error };
    let target = options.target().map_err(patient)?;
    let token = KeptToken::open(&options.credentials, &options.trust, options.slice.timeout)
        .map_err(patient)?;
    let machine = Machine::new(options);
    let mut generator = Generator::start(&options.generator)?;
    let target = generator.attach(target, &options.workload())?;
    let (stop, draw) = (generator.stopper(), drawer(generator.live()));
    let tokens = token.tokens();
    let mut rig = Rig { generator, target, machine, tokens, weak_sessions: false, interrupted };
    let watching = |ended: &Receiver<()>| watch(&stop, interrupted, draw, ended);
    let (done, fault) = beside(watching, || work(&mut rig));
    let mut warnings = options.trust.warnings();
    warnings.extend(rig.weak_sessions.then(|| WEAK_SESSIONS.into()));
    warnings.extend(token.warnings());
    warnings.extend(fault);
    Ok((done?, warnings))
}

/// Does work of which slices end once somebody asks for the end.
pub(crate) fn watched<T>(
    stop: &StopFlag,
    interrupted: &(dyn Fn() -> bool + Sync),
    work: impl FnOnce() -> T,
) -> T {
    // A fault of the watching thread was reported by the hook of panics.
    beside(|ended| watch(stop, interrupted, None, ended), work).0
}

/// Does work with a thread beside it that is told of the end of the work, and ends before this
/// returns: a bar is gone before anything is printed. A thread that panicked takes no result away;
/// its sentence is returned.
fn beside<T>(
    watching: impl FnOnce(&Receiver<()>) + Send,
    work: impl FnOnce() -> T,
) -> (T, Option<String>) {
    thread::scope(|scope| {
        // The thread ends when its sender is dropped, however this scope is left.
        let (over, ended) = channel::<()>();
        let watching = scope.spawn(move || watching(&ended));
        let done = work();
        drop(over);
        (done, watching.join().err().map(|panic| panics::sentence(&*panic)))
    })
}

fn watch(
    stop: &StopFlag,
    interrupted: &(dyn Fn() -> bool + Sync),
    mut draw: Option<Drawer>,
    ended: &Receiver<()>,
) {
    while ended.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if interrupted() {
            stop.stop();
        }
        if let Some(draw) = &mut draw {
            draw();
        }
    }
}
