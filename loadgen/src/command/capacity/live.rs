//! The search over a real target: each step of it is a slice between two readings of the machine's
//! CPU, judged like a run. It refuses to take a slice that was cut short for a result.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use indicatif::{ProgressBar, ProgressStyle};
use metrics_export::breaches::RUN;
use metrics_export::run::{Bounds, LoadPoint};

use super::outcome::{CapacityOptions, Tally};
use super::{CapacityOutcome, Load, Purpose, SearchStep, search};
use crate::command::run::rig::{Drawer, Rig, with_rig};
use crate::command::run::{CpuAccounting, RunError};
use crate::experiment::results::percentiles;
use crate::panics::caught;
use crate::traffic::error::ContextError;
use crate::traffic::random::Random;
use crate::traffic::record::SliceRecord;
use crate::traffic::schedule::Rate;
use crate::traffic::slice::{Arrivals, GeneratorWait, SliceSpec};
use crate::validity;

/// Searches. `interrupted` is asked several times a second, on another thread than the measuring
/// one; once it says so the search ends and what it found until then is the outcome.
///
/// # Errors
/// See [`RunError`]; errors of requests are part of the outcome.
pub fn capacity(
    options: &CapacityOptions,
    interrupted: &(dyn Fn() -> bool + Sync),
) -> Result<CapacityOutcome, RunError> {
    let stage = SearchStatus::default();
    let shown = stage.clone();
    let drawer = |_| options.run.progress.then(|| shown.drawer());
    let began = SystemTime::now();
    let mut failure = None;
    let ((found, slices, first), warnings) = with_rig(&options.run, interrupted, drawer, |rig| {
        let mut slices = Slices::new(options, rig, stage);
        let first = slices.warm_up()?;
        if first.as_ref().is_some_and(|record| record.requests_answered == 0) {
            return Ok((None, slices.tally, first));
        }
        let settings = options.settings.clone();
        let mut measure = |step: &SearchStep| {
            caught(|| slices.measure(step)).map_err(|why| RunError::Fault(why.into())).flatten()
        };
        let (found, ended) = search(settings, &mut measure, interrupted);
        match ended {
            Some(error) if found.closed_loop_milli_per_s == 0 => return Err(error),
            // What was found until the user lost patience is a result.
            Some(RunError::Interrupted) | None => {}
            Some(error) => failure = Some(error.to_string()),
        }
        Ok((Some(found), slices.tally, first))
    })?;
    match found {
        Some(found) if found.closed_loop_milli_per_s == 0 && !found.complete => {
            Err(RunError::Interrupted)
        }
        found => {
            let outcome = CapacityOutcome::new(options, found, slices, first, began, warnings);
            Ok(CapacityOutcome { failure, ..outcome }.with_failure_first())
        }
    }
}

struct Slices<'a, 'r> {
    options: &'a CapacityOptions,
    rig: &'a mut Rig<'r>,
    stage: SearchStatus,
    seeds: Random,
    tally: Tally,
}

impl<'a, 'r> Slices<'a, 'r> {
    fn new(options: &'a CapacityOptions, rig: &'a mut Rig<'r>, stage: SearchStatus) -> Self {
        let seeds = Random::new(options.run.slice.seed);
        Slices { options, rig, stage, seeds, tally: Tally::default() }
    }

    /// What came of the warm-up, unless there is none.
    fn warm_up(&mut self) -> Result<Option<SliceRecord>, RunError> {
        if self.options.run.warmup.is_zero() {
            return Ok(None);
        }
        self.stage.is("warming up".into());
        let mut spec = self.spec(Load::Closed)?;
        spec.duration = self.options.run.warmup;
        let record = self.rig.warm(&spec)?;
        if self.rig.interrupted() {
            return Err(RunError::Interrupted);
        }
        Ok(Some(record))
    }

    fn measure(&mut self, step: &SearchStep) -> Result<LoadPoint, RunError> {
        self.stage.is(describe(step));
        let spec = self.spec(step.load)?;
        let (record, accounting) = self.rig.measure(&spec)?;
        self.tally.slices += 1;
        self.tally.driver = record.driver;
        self.tally.workers = record.workers;
        self.tally.connections.merge(&record.connections);
        self.tally.retransmits += accounting.usage.machine.retransmits.unwrap_or(0);
        if self.tally.unread.is_none() {
            let why = accounting.failed.as_ref().or(accounting.usage.servers.cpu_unknown.as_ref());
            self.tally.unread = why.cloned();
        }
        Ok(point(step.load, &record, &accounting, &self.options.run.bounds))
    }

    fn spec(&mut self, load: Load) -> Result<SliceSpec, RunError> {
        let run = &self.options.run.slice;
        let (arrivals, wait) = match load {
            // A spinning generator could not say whether it was the limit.
            Load::Closed => (Arrivals::Closed, GeneratorWait::Sleep),
            Load::Open(rate) => {
                let rate = Rate::per_second(rate).ok_or_else(|| {
                    RunError::Server(ContextError::new(format!(
                        "{rate} requests a second cannot be asked for: the target is too slow or \
                         too fast for a search"
                    )))
                })?;
                (Arrivals::Open { rate, pattern: self.options.pattern }, run.wait)
            }
        };
        let (duration, seed) = (self.options.settings.slice, self.seeds.next_u64());
        Ok(SliceSpec { arrivals, wait, duration, seed, requests_max: None, ..run.clone() })
    }
}

/// What a slice at this load says: its figures, and how it is judged. For whoever takes the slices
/// of a search in a way of their own.
pub fn point(
    load: Load,
    record: &SliceRecord,
    accounting: &CpuAccounting,
    bounds: &Bounds,
) -> LoadPoint {
    let found = validity::judge(&accounting.observed(record), bounds, RUN);
    let (breaches, disturbances) = validity::by_cause(found);
    let milli = |rate: f64| (rate * 1e3).round() as u64;
    LoadPoint {
        asked_milli_per_s: match load {
            Load::Closed => None,
            Load::Open(rate) => Some(milli(rate)),
        },
        achieved_milli_per_s: milli(record.achieved_per_second()),
        response: percentiles(&record.response),
        service: percentiles(&record.service),
        server_cpu_ns_per_request: accounting
            .server_cpu_ns_per_request(record.requests_sent)
            .map(|ns| ns.round() as u64),
        generator_share_milli: (record.generator_share() * 1e3).round() as u32,
        errors: record.errors.total(),
        dropped: record.dropped,
        kept: None,
        breaches,
        disturbances,
    }
}

fn describe(step: &SearchStep) -> String {
    let mut text = match step.purpose {
        Purpose::Maximum => return "closed loop, for the maximum".into(),
        Purpose::Curve => "curve".to_owned(),
        Purpose::Bracket => "searching".to_owned(),
        Purpose::Confirm(nth, of) => format!("confirming, {nth} of {of}"),
    };
    if let Load::Open(rate) = step.load {
        write!(text, ", at {rate:.0}/s").expect("writing to a String does not fail");
    }
    text
}

/// What the search is doing, for the thread that draws it.
#[derive(Clone, Default)]
struct SearchStatus(Arc<Mutex<String>>);

impl SearchStatus {
    fn is(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn drawer(self) -> Drawer {
        let bar = Cleared(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.0.set_style(style);
        }
        Box::new(move || {
            let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            bar.0.set_message(text);
            bar.0.tick();
        })
    }
}

/// A bar that leaves nothing behind.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
