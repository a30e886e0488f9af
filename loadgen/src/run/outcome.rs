//! What `tollgate run` found, and whether it can be believed. It refuses to soften: a breach of a
//! bound is a sentence, and sentences come first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use metrics_export::{
    hlog::{Interval, Log},
    run::Bounds,
};

use crate::{
    record::SliceRecord,
    run::RunOptions,
    slice::{Arrivals, SliceSpec, Wait},
};

/// The share of its core from which on a sleeping generator is taken for the limit.
const BUSY_SHARE_MAX: f64 = 0.95;

/// More unanswered requests than this many, and twice as many as before, is growth.
const GROWTH_MIN: f64 = 10.0;

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the run.
    pub label: Option<String>,
    /// What was asked, without a query: it may hold secrets.
    pub url: String,
    /// The method.
    pub method: String,
    /// What was to be done.
    pub spec: SliceSpec,
    /// Unmeasured time before.
    pub warmup: Duration,
    /// What happened.
    pub record: SliceRecord,
    /// When the measured part began.
    pub began: SystemTime,
    /// Why the figures cannot be believed, each with what to do; empty when they can.
    pub breaches: Vec<String>,
    /// What a reader should know about valid figures.
    pub notes: Vec<String>,
}

impl Outcome {
    pub(super) fn new(
        options: &RunOptions,
        spec: &SliceSpec,
        record: SliceRecord,
        began: SystemTime,
        mut notes: Vec<String>,
    ) -> Outcome {
        let breaches = breaches(spec, &record, &options.bounds);
        notes.extend(remarks(spec, &record));
        let path = options.url.target.split('?').next().unwrap_or_default();
        let (scheme, host) = (options.url.scheme.as_str(), options.url.host_field());
        Outcome {
            label: options.label.clone(),
            url: format!("{scheme}://{host}{path}"),
            method: options.workload().method,
            spec: spec.clone(),
            warmup: options.warmup,
            record,
            began,
            breaches,
            notes,
        }
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
            _ if self.record.ok == 0 => 1,
            _ if !self.valid() => 3,
            _ => 0,
        }
    }

    /// The interval log that the public HdrHistogram tools read, in one interval.
    ///
    /// # Errors
    /// A sentence, when a histogram cannot be packed.
    pub fn hlog(&self) -> Result<Vec<u8>, String> {
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let comment = format!("tollgate run {}, values in ns", self.url);
        let mut log = Log::new(began, &comment);
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

    /// Share of the workers' cores that the generator used.
    pub(super) fn generator_share(&self) -> f64 {
        generator_share(&self.record)
    }
}

fn generator_share(record: &SliceRecord) -> f64 {
    let available = record.wall_ns as f64 * record.workers.max(1) as f64;
    if available == 0.0 { 0.0 } else { record.generator_cpu_ns as f64 / available }
}

fn breaches(spec: &SliceSpec, record: &SliceRecord, bounds: &Bounds) -> Vec<String> {
    let mut found = Vec::new();
    let late_ns = record.lateness.value_at_quantile(0.99);
    if late_ns > bounds.lateness_p99_ns_max {
        found.push(format!(
            "requests were taken up {:.0} us late at p99 (bound {:.0} us): the generator was \
             disturbed or overloaded. Give it a core of its own, more threads (-t), a lower rate, \
             or --wait spin.",
            late_ns as f64 / 1e3,
            bounds.lateness_p99_ns_max as f64 / 1e3,
        ));
    }
    if let Arrivals::Open { rate, .. } = spec.arrivals
        && !record.interrupted
    {
        let share = record.achieved_per_second() / rate.as_f64();
        // A whole slice holds a whole number of requests, so that a low rate is not met exactly.
        let asked = record.intended.max(1) as f64;
        if record.sent_in_window as f64 / asked < bounds.achieved_share_min {
            found.push(format!(
                "{:.1}/s came about of {rate} that were asked for ({:.1}%): the target cannot \
                 keep up over so many connections. Lower the rate or give more connections (-c).",
                record.achieved_per_second(),
                share * 100.0,
            ));
        }
    }
    if record.dropped > bounds.dropped_max {
        found.push(format!(
            "{} requests found the queue full and were never sent: the target cannot keep up. \
             Lower the rate or give more connections (-c).",
            record.dropped
        ));
    }
    if record.errors.total() > bounds.errors_max {
        found.push(format!(
            "{} of {} requests have no good reply: {}. They are not in the times.",
            record.errors.requests(),
            record.intended,
            record.errors
        ));
    }
    found
}

fn remarks(spec: &SliceSpec, record: &SliceRecord) -> Vec<String> {
    let mut notes = Vec::new();
    let share = generator_share(record);
    if spec.wait == Wait::Sleep && share > BUSY_SHARE_MAX {
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
    let growth = record.in_flight_growth();
    let before = record.in_flight[0].value().unwrap_or(0.0);
    if growth > GROWTH_MIN && growth > before {
        notes.push(format!(
            "unanswered requests grew from {before:.0} to {:.0} on average: the target was \
             falling behind, and a longer run would show longer times.",
            before + growth
        ));
    }
    if record.saturated > 0 {
        notes.push(format!("{} times were longer than an hour", record.saturated));
    }
    if record.connections.failed > 0 {
        notes.push(format!("{} connections could not be opened", record.connections.failed));
    }
    notes
}
