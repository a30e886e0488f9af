//! One executor per core: which cores, which driver, and what belongs to each of them.
//!
//! A core is a thread that is pinned to one processor and runs one monoio executor. What it owns
//! ([`Core`]) never leaves that thread: clock, deadlines, buffers, date. Cores share nothing on
//! the path of a request.
//!
//! The driver is io_uring with COOP_TASKRUN and SINGLE_ISSUER, the only ring flags that were
//! found to matter (DEFER_TASKRUN starves all I/O while any task stays runnable). An older kernel
//! gets a plain ring, one without io_uring gets epoll; whoever must not measure the wrong thing
//! asks for [`DriverChoice::RequireIoUring`]. Pinning never widens the mask the process was given.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use crate::buffer::Buffers;
use crate::clock::Moment;
use crate::deadline::Deadlines;
use crate::stats::{CoreStats, StatsRef};
use crate::sys;

/// How the kernel is asked for I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with COOP_TASKRUN and SINGLE_ISSUER, or DEFER_TASKRUN (Linux 6.0).
    IoUring,
    /// io_uring without flags: correct, but about 1.4 times the processor time.
    IoUringPlain,
    /// epoll.
    Epoll,
}

impl Driver {
    /// The name for labels and results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::IoUringPlain => "io_uring-plain",
            Driver::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which drivers will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The best there is.
    #[default]
    Auto,
    /// io_uring with its flags, or an error that says why not.
    RequireIoUring,
    /// epoll, whatever else there is.
    Epoll,
}

/// Which processors get an executor, and on what driver.
#[derive(Clone, Debug)]
pub struct CorePlan {
    pub(crate) cpus: Vec<usize>,
    pub(crate) choice: DriverChoice,
    pub(crate) stage_timing: bool,
}

/// Executors one process may have; beyond it something was mistyped.
const WORKERS_MAX: usize = 1024;

impl CorePlan {
    /// `workers` executors (by default one per processor) on `cores` (by default all that the
    /// process may use, in ascending order). More workers than processors share them in turn.
    ///
    /// # Errors
    /// When a processor is not allowed to this process, or there would be no worker.
    pub fn new(
        workers: Option<usize>,
        cores: Option<&[usize]>,
        choice: DriverChoice,
    ) -> Result<CorePlan, StartError> {
        let allowed = sys::allowed_cpus().map_err(StartError::Affinity)?;
        let chosen = match cores {
            Some(cores) => {
                if let Some(&cpu) = cores.iter().find(|cpu| !allowed.contains(cpu)) {
                    return Err(StartError::CoreNotAllowed { cpu, allowed });
                }
                cores.to_vec()
            }
            None => allowed,
        };
        let workers = workers.unwrap_or(chosen.len());
        if workers == 0 || workers > WORKERS_MAX || chosen.is_empty() {
            return Err(StartError::Workers(workers));
        }
        let cpus = chosen.iter().copied().cycle().take(workers).collect();
        Ok(CorePlan { cpus, choice, stage_timing: false })
    }

    /// The same, with the steps of requests timed or not: see [`crate::stages`].
    #[must_use]
    pub fn with_stage_timing(self, stage_timing: bool) -> CorePlan {
        CorePlan { stage_timing, ..self }
    }

    /// How many executors there will be.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.cpus.len()
    }
}

/// One core, as services see it; it lives and is cloned on its own thread.
#[derive(Clone)]
pub struct Core {
    /// Its number, from 0.
    pub index: usize,
    /// The processor it is pinned to; `None` if pinning was refused.
    pub cpu: Option<usize>,
    /// The driver it runs on.
    pub driver: Driver,
    pub(crate) local: Rc<Local>,
}

impl Core {
    pub(crate) fn new(
        index: usize,
        cpu: Option<usize>,
        driver: Driver,
        stats: &Arc<[CoreStats]>,
    ) -> Core {
        let stats = StatsRef { all: stats.clone(), index };
        Core { index, cpu, driver, local: Rc::new(Local::new(stats)) }
    }

    /// This core's counters.
    #[must_use]
    pub fn stats(&self) -> &CoreStats {
        &self.local.stats
    }

    /// The counters of all cores of this launch.
    #[must_use]
    pub fn all_stats(&self) -> &Arc<[CoreStats]> {
        &self.local.stats.all
    }

    /// Whether the process has been told to finish: a readiness probe should say so.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.local.draining.get()
    }

    /// Runs `future` beside the connections of this core. It must never wake itself in a circle:
    /// that would starve the core. It is dropped, wherever it stands, when the core ends.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        monoio::spawn(future);
    }

    /// As [`Core::spawn`], for work that must not be lost: a graceful shutdown waits for it within
    /// its deadline, and `cut` is called if it is not done by then. See [`Core::draining`].
    pub fn spawn_owed(
        &self,
        future: impl Future<Output = ()> + 'static,
        cut: impl FnOnce() + 'static,
    ) {
        let local = self.local.clone();
        let number = local.owed_so_far.replace(local.owed_so_far.get() + 1);
        local.owed.borrow_mut().insert(number, Box::new(cut));
        monoio::spawn(async move {
            future.await;
            local.owed.borrow_mut().remove(&number);
        });
    }

    /// Waits for `duration`, to the millisecond.
    pub async fn sleep(&self, duration: Duration) {
        monoio::time::sleep(duration).await;
    }

    /// Waits for `duration`, or until a graceful shutdown begins.
    pub async fn sleep_while_serving(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.draining() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.sleep(left.min(DRAIN_NOTICED_WITHIN)).await;
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("index", &self.index)
            .field("cpu", &self.cpu)
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

/// How soon a task that waits notices that a graceful shutdown began.
const DRAIN_NOTICED_WITHIN: Duration = Duration::from_millis(100);

/// What to call for work that is not done in time, by the number of the work.
type Owed = BTreeMap<u64, Box<dyn FnOnce()>>;

/// What the tasks of one core share.
pub(crate) struct Local {
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Buffers,
    pub(crate) stats: StatsRef,
    pub(crate) draining: Cell<bool>,
    /// Tasks that hold a connection; the executor is not dropped under them.
    pub(crate) tasks: Cell<usize>,
    /// Work that a graceful shutdown waits for, and how much of it there was so far.
    pub(crate) owed: RefCell<Owed>,
    owed_so_far: Cell<u64>,
    /// Whether writes are flushed at once instead of together with those of other connections.
    pub(crate) flush_now: Cell<bool>,
    /// Reads that have ended on this core so far.
    pub(crate) reads: Cell<u64>,
    date: Cell<Date>,
}

/// A request that keeps its core busy for longer than this is CPU-bound, and its response should
/// not wait for the work of others: a small request takes 3 us of user time under TLS, a signature
/// 15 and more.
const CPU_BOUND_NS: u64 = 15_000;

impl Local {
    fn new(stats: StatsRef) -> Local {
        let counted = stats.clone();
        Local {
            deadlines: Deadlines::new(move |kind| counted.deadlines[kind.index()].add(1)),
            buffers: Buffers::new(stats.clone()),
            stats,
            draining: Cell::new(false),
            tasks: Cell::new(0),
            owed: RefCell::default(),
            owed_so_far: Cell::new(0),
            flush_now: Cell::new(false),
            reads: Cell::new(0),
            date: Cell::new(Date::read(Moment::now())),
        }
    }

    /// Notes that a task of this core has read something.
    #[inline]
    pub(crate) fn has_read(&self) {
        self.reads.set(self.reads.get() + 1);
        self.flush_now.set(false);
    }

    /// Decides when the response to a request leaves that took so long: at once if the request was
    /// CPU-bound, together with others if not. It was if nothing was read since its own bytes were,
    /// which was read number `read`; else it may have waited.
    #[inline]
    pub(crate) fn decide_flush(&self, read: u64, elapsed_ns: u64) {
        self.flush_now.set(elapsed_ns > CPU_BOUND_NS && read == self.reads.get());
    }

    /// The date at `now`, read anew at most once a second.
    #[inline]
    pub(crate) fn date(&self, now: Moment) -> Date {
        let date = self.date.get();
        if now < date.valid_until {
            return date;
        }
        let date = Date::read(now);
        self.date.set(date);
        date
    }
}

/// A second of the wall clock.
#[derive(Clone, Copy)]
pub(crate) struct Date {
    pub(crate) unix_s: u64,
    pub(crate) text: [u8; 29],
    valid_until: Moment,
}

impl Date {
    fn read(now: Moment) -> Date {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(since_1970.subsec_nanos()));
        Date {
            unix_s: since_1970.as_secs(),
            text: proto_http::imf_fixdate(since_1970.as_secs()),
            valid_until: now + rest,
        }
    }
}

/// A monoio executor with timers, on whichever driver could be had.
pub(crate) enum Executor {
    Uring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

/// Submissions the ring holds before they must be handed over; one batch of wake-ups is smaller.
const RING_ENTRIES: u32 = 1024;

/// Completions the ring holds. monoio ignores errors of an overflown queue, so there is room for
/// every connection of a large burst to complete at once.
const RING_COMPLETIONS: u32 = 16 * 1024;

impl Executor {
    /// Builds the executor on the thread that will run it (SINGLE_ISSUER asks for that).
    pub(crate) fn new(choice: DriverChoice) -> Result<(Executor, Driver), StartError> {
        if choice == DriverChoice::Epoll {
            return Self::epoll();
        }
        let refused = match Self::ring(true) {
            Ok(ring) => return Ok((Executor::Uring(ring), Driver::IoUring)),
            Err(error) => error,
        };
        if choice == DriverChoice::RequireIoUring {
            return Err(StartError::IoUring(refused));
        }
        match Self::ring(false) {
            Ok(ring) => Ok((Executor::Uring(ring), Driver::IoUringPlain)),
            Err(_) => Self::epoll(),
        }
    }

    /// Runs `future`, and with it all tasks of this thread, until it is done.
    pub(crate) fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Executor::Uring(runtime) => runtime.block_on(future),
            Executor::Epoll(runtime) => runtime.block_on(future),
        }
    }

    fn ring(flags: bool) -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
        let mut ring = io_uring::IoUring::builder();
        ring.setup_cqsize(RING_COMPLETIONS);
        if flags {
            ring.setup_coop_taskrun().setup_single_issuer();
        }
        RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(RING_ENTRIES)
            .uring_builder(ring)
            .enable_timer()
            .build()
    }

    fn epoll() -> Result<(Executor, Driver), StartError> {
        let runtime = RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()
            .map_err(StartError::Epoll)?;
        Ok((Executor::Epoll(runtime), Driver::Epoll))
    }
}

/// Why nothing was started. Each says what to do.
#[derive(Debug)]
pub enum StartError {
    /// Another socket holds the address.
    AddressInUse(SocketAddr),
    /// The address cannot be bound.
    Bind(SocketAddr, io::Error),
    /// The processors this process may use cannot be told.
    Affinity(io::Error),
    /// A processor was named that this process may not use.
    CoreNotAllowed {
        /// The one that was named.
        cpu: usize,
        /// Those that may be used.
        allowed: Vec<usize>,
    },
    /// So many workers make no sense.
    Workers(usize),
    /// io_uring was required and is refused.
    IoUring(io::Error),
    /// Not even epoll can be had.
    Epoll(io::Error),
    /// A thread cannot be started, or ended before it was ready.
    Thread(io::Error),
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Bind(_, error)
            | StartError::Affinity(error)
            | StartError::IoUring(error)
            | StartError::Epoll(error)
            | StartError::Thread(error) => Some(error),
            StartError::AddressInUse(_)
            | StartError::CoreNotAllowed { .. }
            | StartError::Workers(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::AddressInUse(addr) => {
                write!(f, "{addr} is taken by another process; stop it or listen on another port")
            }
            StartError::Bind(addr, error) => write!(f, "cannot listen on {addr}: {error}"),
            StartError::Affinity(error) => {
                write!(f, "the kernel does not tell which processors may be used: {error}")
            }
            StartError::CoreNotAllowed { cpu, allowed } => write!(
                f,
                "processor {cpu} is not one this process may use; choose from {allowed:?}"
            ),
            StartError::Workers(workers) => {
                write!(f, "{workers} workers cannot be had; give 1 to {WORKERS_MAX}")
            }
            StartError::IoUring(error) => write!(
                f,
                "io_uring is required and cannot be used: {error}; it needs Linux 6.0, \
                 sysctl kernel.io_uring_disabled=0, and a container that does not block it \
                 (tollgate doctor tells which it is)"
            ),
            StartError::Epoll(error) => {
                write!(f, "no event queue can be had: {error}; raise the limit of open files")
            }
            StartError::Thread(error) => write!(f, "cannot start a worker thread: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_stays_inside_the_inherited_mask() {
        let allowed = sys::allowed_cpus().unwrap();
        let plan = CorePlan::new(None, None, DriverChoice::Auto).unwrap();
        assert_eq!(plan.cpus, allowed);
        let plan = CorePlan::new(Some(1), Some(&allowed[..1]), DriverChoice::Auto).unwrap();
        assert_eq!(plan.cpus, allowed[..1]);
        let plan = CorePlan::new(Some(3), Some(&allowed[..1]), DriverChoice::Auto).unwrap();
        assert_eq!(plan.workers(), 3);
        let error = CorePlan::new(None, Some(&[9999]), DriverChoice::Auto).unwrap_err();
        assert!(error.to_string().contains("9999"), "{error}");
        assert!(CorePlan::new(Some(0), None, DriverChoice::Auto).is_err());
        assert!(CorePlan::new(None, Some(&[]), DriverChoice::Auto).is_err());
    }

    #[test]
    fn the_date_is_read_once_a_second() {
        let now = Moment::now();
        let date = Date::read(now);
        let left_ns = date.valid_until.ns_since(now);
        assert!((1..=1_000_000_000).contains(&left_ns));
        assert_eq!(date.text, proto_http::imf_fixdate(date.unix_s));
    }
}
