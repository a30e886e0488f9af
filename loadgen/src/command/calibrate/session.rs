//! A calibration under way: what all its parts share, and how they get a slice.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_export::breaches::MATRIX;
use metrics_export::date;
use metrics_export::run::{Bounds, Environment, Slice};

use crate::experiment::bench::{BenchSetup, LiveBench};
use crate::experiment::stack::{RunningServers, Stack};
use crate::experiment::{Bench, Failure, Measured, SliceLoad, SliceRequest, Times};
use crate::machine::environment;
use crate::plan::{Axes, Cores, PlannedCell, Protocol, Variant};
use crate::traffic::generator::{Generator, GeneratorOptions};
use crate::traffic::schedule::{ArrivalPattern, Rate};
use crate::validity::{self, Observed};

use super::load::{BackgroundLoad, CoreLoad};
use super::probe::{PageTracker, Probe, ServerCounts};
use super::progress::{CalibrationProgress, SLICE_EXTRA, START_EXTRA};
use super::report::{CalibrationReport, CalibrationRow, RowVerdict};
use super::resume::EarlierCalibration;
use super::trial::Trial;
use super::{Calibration, CalibrationPart, servers};

/// How often a slice is taken in all as long as the machine disturbs it; less often in a hurry.
const ATTEMPTS: u32 = 4;
const ATTEMPTS_QUICK: u32 = 2;

/// What ends a part before its time.
#[derive(Debug)]
pub(super) enum EarlyEnd {
    /// An end was asked for.
    Interrupted,
    /// It cannot go on.
    Failed(Failure),
}

impl From<Failure> for EarlyEnd {
    fn from(failure: Failure) -> EarlyEnd {
        EarlyEnd::Failed(failure)
    }
}

/// A calibration under way.
pub(super) struct CalibrationSession<'s> {
    pub(super) calibration: &'s Calibration,
    pub(super) progress: CalibrationProgress,
    pub(super) rows: Vec<CalibrationRow>,
    pub(super) trials: Vec<Trial>,
    finished: Vec<CalibrationPart>,
    stack: &'s mut dyn Stack,
    load: &'s mut dyn BackgroundLoad,
    interrupted: &'s dyn Fn() -> bool,
    began: Instant,
    began_at: Duration,
    drivers: (Vec<String>, String),
}

/// What a bench is set up with.
pub(super) struct BenchPlan<'a> {
    pub(super) variants: &'a [Variant],
    pub(super) protocol: &'a Protocol,
    pub(super) cells: &'a [PlannedCell],
}

/// A slice, and what the server counted in it.
pub(super) struct MeasuredSlice {
    pub(super) slice: Slice,
    pub(super) times: Times,
    pub(super) counted: ServerCounts,
    /// What the machine did to it, even the last time that it was taken.
    pub(super) disturbed: bool,
}

impl MeasuredSlice {
    /// The verdict on it: a miss is the meter's unless the machine disturbed the slice.
    pub(super) fn verdict(&self, within: bool) -> RowVerdict {
        RowVerdict::of(within, self.disturbed)
    }

    /// The CPU of everything that was billed under this name.
    pub(super) fn cpu_ns(&self, service: &str) -> Option<u64> {
        let found = self.slice.services.iter().find(|cpu| cpu.service == service);
        found.map(|cpu| cpu.cpu_ns)
    }
}

impl<'s> CalibrationSession<'s> {
    pub(super) fn new(
        calibration: &'s Calibration,
        stack: &'s mut dyn Stack,
        load: &'s mut dyn BackgroundLoad,
        interrupted: &'s dyn Fn() -> bool,
    ) -> CalibrationSession<'s> {
        let mut session = CalibrationSession {
            calibration,
            progress: CalibrationProgress::new(calibration.planned()),
            rows: Vec::new(),
            trials: Vec::new(),
            finished: Vec::new(),
            stack,
            load,
            interrupted,
            began: Instant::now(),
            began_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            drivers: Default::default(),
        };
        if let Some(earlier) = &calibration.earlier {
            let CalibrationReport { rows, trials, finished, environment, .. } = earlier.report();
            (session.rows, session.trials) = (rows.clone(), trials.clone());
            session.finished.clone_from(finished);
            let Environment { server_drivers, generator_driver, .. } = environment;
            session.drivers = (server_drivers.clone(), generator_driver.clone());
        }
        session
    }

    /// Begins a part anew: rows about it of an earlier sitting are made again.
    pub(super) fn begin(&mut self, part: CalibrationPart, planned: Duration) {
        self.rows.retain(|row| row.part != part);
        self.finished.retain(|finished| *finished != part);
        self.progress.begin(part, planned);
    }

    /// Notes that a part was taken to its end.
    pub(super) fn finish(&mut self, part: CalibrationPart) {
        self.finished.push(part);
    }

    /// Starts load on the measured cores; dropping it ends it.
    pub(super) fn load(
        &mut self,
        load: Option<CoreLoad>,
    ) -> Result<Option<Box<dyn RunningServers>>, Failure> {
        let Cores { servers, generator } = &self.calibration.cores;
        let mut cores = [servers.as_slice(), generator].concat();
        cores.sort_unstable();
        cores.dedup();
        load.map(|load| self.load.start(&cores, load)).transpose()
    }

    /// Hands `body` a bench of these variants, none of them started yet, and the progress.
    pub(super) fn bench<T>(
        &mut self,
        scene: &BenchPlan<'_>,
        body: impl FnOnce(&mut Probe<'_>, &mut CalibrationProgress) -> Result<T, EarlyEnd>,
    ) -> Result<T, EarlyEnd> {
        let cores = &self.calibration.cores;
        let on_cores = GeneratorOptions::on_cores(&cores.generator);
        let options = GeneratorOptions { driver: self.calibration.driver, ..on_cores };
        let generator = Generator::start(&options).map_err(Failure::of)?;
        let mut stack = PageTracker::new(&mut *self.stack);
        let pages = stack.pages();
        let live = LiveBench::new(BenchSetup {
            stack: &mut stack,
            generator,
            variants: scene.variants,
            protocol: scene.protocol,
            cells: scene.cells,
            cores,
            interrupted: self.interrupted,
        });
        let mut probe = Probe::new(live, scene.variants, pages);
        let result = body(&mut probe, &mut self.progress);
        let (servers, client) = probe.drivers();
        if client.is_empty() {
            return result;
        }
        let now = (servers, client);
        if !self.drivers.1.is_empty() && self.drivers != now {
            return Err(Failure::new("the earlier calibration had another --driver").into());
        }
        self.drivers = now;
        result
    }

    /// Starts the servers of these roles, warms each up, and takes an open-loop slice of each, one
    /// after the other.
    pub(super) fn slices(
        &mut self,
        roles: &[&str],
        plan: &SlicePlan,
    ) -> Result<Vec<MeasuredSlice>, EarlyEnd> {
        let variants = servers::variants(roles);
        let (protocol, cells) = (plan.protocol(self.calibration), [cell(plan.connections)?]);
        let scene = BenchPlan { variants: &variants, protocol: &protocol, cells: &cells };
        let attempts = if self.calibration.quick { ATTEMPTS_QUICK } else { ATTEMPTS };
        let cores = self.calibration.cores.measured();
        self.bench(&scene, |probe, progress| {
            if probe.interrupted() {
                return Err(EarlyEnd::Interrupted);
            }
            probe.restart(0)?;
            let mut slice = |variant| {
                warm_up(probe, variant)?;
                let taken = take(probe, variant, plan.rate, attempts, cores)?;
                progress.slice(&taken.slice);
                Ok(taken)
            };
            (0..variants.len()).map(&mut slice).collect()
        })
    }

    /// The report of what was found until now.
    pub(super) fn report(mut self, complete: bool) -> CalibrationReport {
        self.progress.end();
        let mut environment = environment::read(self.calibration.commit.as_deref());
        (environment.server_drivers, environment.generator_driver) = self.drivers;
        // Parts of two sittings are in the order of one.
        self.rows.sort_by_key(|row| row.part);
        self.finished.sort_unstable();
        let calibration = self.calibration;
        let earlier = calibration.earlier.as_ref().map(EarlierCalibration::report);
        let began_at = || date::rfc3339(self.began_at.as_secs());
        CalibrationReport {
            started_at: earlier.map_or_else(began_at, |earlier| earlier.started_at.clone()),
            elapsed_ns: self.began.elapsed().as_nanos() as u64
                + earlier.map_or(0, |earlier| earlier.elapsed_ns),
            sittings: 1 + earlier.map_or(0, |earlier| earlier.sittings),
            complete,
            finished: self.finished,
            quick: calibration.quick,
            rounds: calibration.rounds,
            rate_milli_per_s: calibration.rate.as_milli(),
            seed: calibration.seed,
            server_cores: calibration.cores.servers.clone(),
            generator_cores: calibration.cores.generator.clone(),
            environment,
            rows: self.rows,
            trials: self.trials,
        }
    }
}

/// The slices of a part that is no experiment.
pub(super) struct SlicePlan {
    pub(super) rate: Rate,
    pub(super) connections: usize,
    pub(super) pattern: ArrivalPattern,
    pub(super) slice: Duration,
}

impl SlicePlan {
    fn protocol(&self, calibration: &Calibration) -> Protocol {
        let standard = Protocol::standard(calibration.seed);
        Protocol { slice: self.slice, pattern: self.pattern, ..standard }
    }

    /// How long slices of so many servers take, if none is disturbed.
    pub(super) fn planned(&self, servers: u32) -> Duration {
        let closed = Protocol::standard(0).closed_slice;
        servers * (START_EXTRA + closed + self.slice + 2 * SLICE_EXTRA)
    }
}

/// The one setting of a calibration's variants.
pub(super) fn cell(connections: usize) -> Result<PlannedCell, Failure> {
    let axes = Axes { connections: vec![connections], ..Axes::default() };
    let cell = axes.cells(&[])?.into_iter().next();
    let cell = cell.ok_or_else(|| Failure::new("there is no setting to measure in"))?;
    // Each server has a request of its own.
    Ok(PlannedCell { workload: "target".into(), ..cell })
}

/// What disturbs a slice of a server that errs and stalls on purpose: the machine alone.
pub(super) fn machine_bounds() -> Bounds {
    Bounds {
        achieved_share_min: 0.0,
        dropped_max: u64::MAX,
        errors_max: u64::MAX,
        in_flight_growth_max: 1 << 32,
        ..Bounds::default()
    }
}

/// Whether the machine disturbed a slice.
pub(super) fn is_disturbed(slice: &Slice, cores: usize) -> bool {
    let observed = Observed::of_slice(slice, cores).without_errors();
    !validity::judge(&observed, &machine_bounds(), MATRIX).is_empty()
}

fn request(variant: usize, load: SliceLoad) -> SliceRequest {
    SliceRequest { variant, load, instance: 0, round: 0, position: 0, attempt: 0, warmup: false }
}

fn warm_up(probe: &mut Probe<'_>, variant: usize) -> Result<(), EarlyEnd> {
    if probe.interrupted() {
        return Err(EarlyEnd::Interrupted);
    }
    probe.slice(&request(variant, SliceLoad::Closed))?;
    Ok(())
}

/// Takes a slice of a server, again and again while the machine disturbs it.
fn take(
    probe: &mut Probe<'_>,
    variant: usize,
    rate: Rate,
    attempts: u32,
    cores: usize,
) -> Result<MeasuredSlice, EarlyEnd> {
    let mut attempt = 0;
    loop {
        if probe.interrupted() {
            return Err(EarlyEnd::Interrupted);
        }
        let request = SliceRequest { attempt, ..request(variant, SliceLoad::Open(rate)) };
        let measured = probe.slice(&request)?;
        let counted = probe.counted.last().map_or(ServerCounts::default(), |last| last.counts);
        let disturbed = is_disturbed(&measured.slice, cores);
        attempt += 1;
        if !disturbed || attempt >= attempts {
            let Measured { slice, times, .. } = measured;
            return Ok(MeasuredSlice { slice, times, counted, disturbed });
        }
    }
}
