//! What a search found, and whether it can be believed. Sentences about what disturbed come first;
//! it refuses to blame the target for what the generator or the machine did.

use std::time::{Duration, SystemTime};

use metrics_export::breaches::{self, Among, RUN};
use metrics_export::run::{Breach, Capacity, LoadPoint};

use super::Settings;
use crate::command::run::{CpuKind, RequestSummary, RunOptions};
use crate::machine::process::{CpuSource, Process};
use crate::traffic::record::{Connections, SliceRecord};
use crate::traffic::schedule::ArrivalPattern;
use crate::traffic::slice::{GeneratorWait, SliceSpec};

/// What `tollgate capacity` is to do.
#[derive(Debug)]
pub struct CapacityOptions {
    /// The target, and how slices of it are run. Arrivals and duration of its slice are not looked
    /// at.
    pub run: RunOptions,
    /// How arrivals of the open loop are spread.
    pub pattern: ArrivalPattern,
    /// What is searched for.
    pub settings: Settings,
    /// The share of its cores from which on the generator is taken for the limit of the maximum.
    pub generator_share_max: f64,
}

/// What all slices of a search have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) slices: u64,
    pub(super) driver: &'static str,
    pub(super) workers: usize,
    pub(super) retransmits: u64,
    pub(super) connections: Connections,
    /// Why the server's CPU is not known of a slice, the first time.
    pub(super) unread: Option<String>,
}

/// The result of `tollgate capacity`.
#[derive(Clone, Debug)]
pub struct CapacityOutcome {
    /// The name of the search.
    pub label: Option<String>,
    /// What was asked, without a query: it may hold secrets.
    pub url: String,
    /// The method, and how many requests take turns.
    pub summary: RequestSummary,
    /// How slices were run; their arrivals and durations are their own.
    pub spec: SliceSpec,
    /// How open-loop arrivals were spread.
    pub pattern: ArrivalPattern,
    /// What was searched for.
    pub settings: Settings,
    /// Unmeasured time before.
    pub warmup: Duration,
    /// What was found; nothing where the target gave no good reply in the warm-up.
    pub capacity: Capacity,
    /// When it began.
    pub began: SystemTime,
    /// Slices that were taken, those that were measured again included.
    pub slices: u64,
    /// What the generator stood on: `io_uring` or `epoll`.
    pub driver: &'static str,
    /// Where the server's CPU was read.
    pub cpu_source: Option<CpuKind>,
    /// Why the figures cannot be believed, each with what to do; empty when they can.
    pub breaches: Vec<String>,
    /// What a reader should know about valid figures.
    pub notes: Vec<String>,
    /// What ended the search before its time, where that was no wish.
    pub failure: Option<String>,
}

impl CapacityOutcome {
    pub(super) fn new(
        options: &CapacityOptions,
        found: Option<Capacity>,
        tally: Tally,
        warmed: Option<SliceRecord>,
        began: SystemTime,
        mut notes: Vec<String>,
    ) -> CapacityOutcome {
        let breaches = match (&found, &warmed) {
            (Some(found), _) => broken(found, options, tally.workers),
            (None, Some(record)) => vec![format!(
                "the warm-up had no good reply ({}), so that nothing was measured. See whether \
                 `tollgate run` or curl can use this URL.",
                record.errors
            )],
            (None, None) => Vec::new(),
        };
        notes.splice(0..0, options.run.announcement());
        notes.extend(remarks(options, found.as_ref(), &tally));
        let servers = &options.run.servers;
        let published = |server: &Process| matches!(server.cpu, CpuSource::Metrics(_));
        let source =
            if servers.iter().any(published) { CpuKind::Metrics } else { CpuKind::Processes };
        CapacityOutcome {
            label: options.run.annotations.label.clone(),
            url: options.run.shown_url(),
            summary: options.run.summary(),
            spec: options.run.slice.clone(),
            pattern: options.pattern,
            settings: options.settings.clone(),
            warmup: options.run.warmup,
            capacity: found.unwrap_or(Capacity { complete: true, ..Capacity::default() }),
            began,
            slices: tally.slices,
            driver: tally.driver,
            cpu_source: (!servers.is_empty()).then_some(source),
            breaches,
            notes,
            failure: None,
        }
    }

    /// Puts what ended the search before everything else that is wrong with it.
    pub(super) fn with_failure_first(mut self) -> CapacityOutcome {
        let early = |why: &String| format!("the search ended before its time: {why}");
        self.breaches.splice(0..0, self.failure.iter().map(early));
        self
    }

    /// Whether the figures can be believed.
    pub fn valid(&self) -> bool {
        self.breaches.is_empty()
    }

    /// 1 when it failed before its time, 130 when it was interrupted, 1 when no request was
    /// answered well, 3 when it is not valid, 99 when no rate kept the limit, else 0.
    pub fn exit_code(&self) -> u8 {
        let unkept = |slo: &metrics_export::run::SloResult| slo.rate_milli_per_s.is_none();
        match &self.capacity {
            _ if self.failure.is_some() => 1,
            capacity if !capacity.complete => 130,
            capacity if capacity.closed_loop_milli_per_s == 0 => 1,
            _ if !self.valid() => 3,
            capacity if capacity.slo.as_ref().is_some_and(unkept) => 99,
            _ => 0,
        }
    }
}

/// The slices that an answer stands on, in the order of the search.
fn all(found: &Capacity) -> impl Iterator<Item = &LoadPoint> {
    let confirmations = found.slo.iter().flat_map(|slo| &slo.confirmations);
    found.curve.iter().chain(confirmations)
}

fn broken(found: &Capacity, options: &CapacityOptions, workers: usize) -> Vec<String> {
    let mut broken = Vec::new();
    let closed = || found.curve.iter().filter(|point| point.asked_milli_per_s.is_none());
    let share_milli = closed().map(|point| point.generator_share_milli).max().unwrap_or(0);
    if f64::from(share_milli) > options.generator_share_max * 1e3 {
        broken.push(format!(
            "the generator was the limit of the closed loop: it used {:.0}% of {} (bound {:.0}%), \
             and the target can do more. Give it more threads (-t) or cores of its own (--cores).",
            f64::from(share_milli) / 10.0,
            if workers == 1 { "one core".into() } else { format!("{workers} cores") },
            options.generator_share_max * 100.0,
        ));
    }
    for breach in closed().flat_map(|point| &point.breaches).take(1) {
        broken.push(format!("closed loop: {}", breach.sentence));
    }
    // A target that falls behind makes everything late; that is no disturbance of an answer.
    let disturbed =
        || all(found).filter(|point| !point.disturbances.is_empty() && point.breaches.is_empty());
    let (count, total) = (disturbed().count(), all(found).count());
    if let Some(first) = disturbed().next() {
        let place = match first.asked_milli_per_s {
            Some(milli) => format!("first at {:.0}/s", milli as f64 / 1e3),
            None => "first in the closed loop".into(),
        };
        let of_all: Vec<Breach> =
            disturbed().flat_map(|point| &point.disturbances).cloned().collect();
        let among = Among { total, noun: "slices", label: &str::to_owned, flags: RUN };
        broken.push(format!(
            "{count} of {total} slices were disturbed, also when they were measured again, \
             {place}: {}",
            breaches::lines(&of_all, &among).join(" "),
        ));
    }
    broken
}

fn remarks(options: &CapacityOptions, found: Option<&Capacity>, tally: &Tally) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(slo) = found.and_then(|found| found.slo.as_ref())
        && slo.rate_milli_per_s.is_some()
        && slo.next_failed_milli_per_s.is_none()
    {
        notes.push(format!(
            "no rate failed: {} connections can ask for no more. Give more connections (-c) to \
             find the target's own limit",
            options.run.slice.connections
        ));
    }
    if let Some(why) = &tally.unread {
        notes.push(why.clone());
    }
    if options.run.slice.wait == GeneratorWait::Sleep
        && options.run.generator.workers.contains(&None)
    {
        notes.push(
            "the generator has no core of its own: with --cores and --wait spin its own delays \
             are smaller"
                .into(),
        );
    }
    notes.extend(tally.connections.remarks());
    if tally.retransmits > 0 {
        notes.push(format!(
            "this machine sent {} TCP segments again meanwhile (all programs together): packets \
             were lost, and the longest times may be the network's",
            tally.retransmits
        ));
    }
    notes
}
