//! What `tollgate run` found, and whether it can be believed. It refuses to soften: a breach of a
//! bound is a sentence, and sentences come first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use metrics_export::breaches::RUN;
use metrics_export::hlog::{HistogramLog, Interval, LogWriteError};
use metrics_export::run::Breach;

use crate::command::run::{CpuAccounting, CpuKind, RequestSummary, RunOptions};
use crate::panics::caught;
use crate::traffic::record::SliceRecord;
use crate::traffic::slice::{Arrivals, GeneratorWait, SliceSpec};
use crate::validity::{self, Observed};

/// The share of its core from which on a sleeping generator is taken for the limit.
const BUSY_SHARE_MAX: f64 = 0.95;

/// The step of a published CPU counter: client libraries read it in clock ticks.
const METRICS_STEP_NS: f64 = 1e7;

/// The percentiles of every output, with their names in columns and keys.
pub(super) const PERCENTILES: [(f64, &str, &str); 4] = [
    (0.5, "p50", "p50_ns"),
    (0.9, "p90", "p90_ns"),
    (0.99, "p99", "p99_ns"),
    (0.999, "p99.9", "p999_ns"),
];

/// The result of one run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The name of the run.
    pub label: Option<String>,
    /// What was asked, without a query: it may hold secrets.
    pub url: String,
    /// The method, and how many requests take turns.
    pub summary: RequestSummary,
    /// What was to be done.
    pub spec: SliceSpec,
    /// Unmeasured time before.
    pub warmup: Duration,
    /// What happened.
    pub record: SliceRecord,
    /// What the machine's accounting says; None where only the warm-up was run.
    pub accounting: Option<CpuAccounting>,
    /// When the measured part began.
    pub began: SystemTime,
    /// Why the figures cannot be believed, each with what to do; empty when they can.
    pub breaches: Vec<Breach>,
    /// What a reader should know about valid figures.
    pub notes: Vec<String>,
}

impl RunOutcome {
    pub(super) fn new(
        options: &RunOptions,
        spec: &SliceSpec,
        record: SliceRecord,
        accounting: Option<CpuAccounting>,
        began: SystemTime,
        mut notes: Vec<String>,
    ) -> RunOutcome {
        let breaches = caught(|| {
            let observed = match &accounting {
                Some(accounting) => accounting.observed(&record),
                None => Observed::of_record(&record),
            };
            validity::judge(&observed, &options.bounds, RUN)
        });
        let unjudged = |why| vec![Breach::of_run(&format!("it was not judged: {why}"))];
        let breaches = breaches.unwrap_or_else(unjudged);
        notes.splice(0..0, options.announcement());
        let remarked = caught(|| match &accounting {
            Some(accounting) => {
                [remarks(spec, &record), accounting_remarks(accounting, &record)].concat()
            }
            None => {
                let only = "the warm-up had no good reply: it is what is shown, and nothing was \
                            measured";
                [remarks(spec, &record), vec![only.into()]].concat()
            }
        });
        notes.extend(remarked.unwrap_or_else(|why| vec![why]));
        RunOutcome {
            label: options.annotations.label.clone(),
            url: options.shown_url(),
            summary: options.summary(),
            spec: spec.clone(),
            warmup: options.warmup,
            record,
            accounting,
            began,
            breaches,
            notes,
        }
    }

    /// Why the figures cannot be believed, as sentences.
    pub fn sentences(&self) -> Vec<&str> {
        self.breaches.iter().map(|breach| breach.sentence.as_str()).collect()
    }

    /// Whether the figures can be believed.
    pub fn valid(&self) -> bool {
        self.breaches.is_empty()
    }

    /// 130 when it was interrupted, 1 when no request was answered well, 3 when it is not valid,
    /// else 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if self.record.interrupted => 130,
            _ if self.record.requests_answered == 0 => 1,
            _ if !self.valid() => 3,
            _ => 0,
        }
    }

    /// The interval log that the public HdrHistogram tools read, in one interval.
    ///
    /// # Errors
    /// Why a histogram cannot be packed.
    pub fn hlog(&self) -> Result<Vec<u8>, LogWriteError> {
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let comment = format!("tollgate run {}, values in ns", self.url);
        let mut log = HistogramLog::new(began, &comment);
        let length = Duration::from_nanos(self.record.window_ns);
        let histograms: [(&str, &Histogram<u64>); 3] = [
            ("response", &self.record.response),
            ("service", &self.record.service),
            ("lateness", &self.record.lateness),
        ];
        for (tag, histogram) in histograms {
            log.push(&Interval { tag, start: Duration::ZERO, length, histogram })?;
        }
        Ok(log.as_bytes().to_vec())
    }
}

fn remarks(spec: &SliceSpec, record: &SliceRecord) -> Vec<String> {
    let mut notes = Vec::new();
    let share = record.generator_share();
    if spec.wait == GeneratorWait::Sleep && share > BUSY_SHARE_MAX {
        notes.push(format!(
            "the generator used {:.0}% of its core: it was the limit, and not the target. Use \
             more threads (-t).",
            share * 100.0
        ));
    }
    if spec.arrivals == Arrivals::Closed {
        notes.push(
            "closed loop: each connection waits for its reply, so that times hide every stall. \
             For times that users would see, give a --rate."
                .into(),
        );
    }
    if record.saturated > 0 {
        notes.push(format!("{} times were longer than an hour", record.saturated));
    }
    if record.connections.failed > 0 {
        notes.push(format!("{} connections could not be opened", record.connections.failed));
    }
    notes.extend(record.connections.remarks());
    notes
}

/// What the machine's accounting says beside the server's CPU.
fn accounting_remarks(accounting: &CpuAccounting, record: &SliceRecord) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &accounting.failed {
        notes.push(format!("{why}. Without it nothing is known of other programs either"));
        return notes;
    }
    notes.extend(accounting.usage.servers.cpu_unknown.clone());
    if accounting.source == Some(CpuKind::Metrics) && accounting.server_cpu_ns().is_some() {
        notes.push(format!(
            "the server's CPU is a counter that it publishes itself, usually in steps of 10 ms: \
             one step is {:.2} us a request here. Serving that page is in it",
            METRICS_STEP_NS / 1e3 / record.requests_sent.max(1) as f64,
        ));
    }
    if accounting.source == Some(CpuKind::Processes)
        && !accounting.cores.apart
        && accounting.usage.servers.ran_on_generator_core
    {
        notes.push(
            "generator and server may run on the same cores, where each takes time from the \
             other: pin the generator with --cores and the server with taskset -acp CORES PID"
                .into(),
        );
    }
    if let Some(count) = accounting.usage.machine.retransmits.filter(|count| *count > 0) {
        notes.push(format!(
            "this machine sent {count} TCP segments again meanwhile (all programs together): \
             packets were lost, and the longest times may be the network's"
        ));
    }
    notes
}
