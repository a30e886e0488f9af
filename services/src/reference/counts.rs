//! What the reference server did, counted where it was done: one set for each core, added up on
//! the metrics page. Counts are exact; times are kept in ns and published in seconds.

use std::sync::{Arc, Mutex, PoisonError};

use metrics_export::prometheus::Page;
use runtime::stats::Counter;

/// The counts of one core, which is their only writer.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counts {
    pub(super) requests: Counter,
    pub(super) loop_ns: Counter,
    pub(super) after_loops: Counter,
    pub(super) after_loop_ns: Counter,
    pub(super) walk_ns: Counter,
    pub(super) delays: Counter,
    pub(super) delayed_ns: Counter,
    pub(super) stalls: Counter,
    pub(super) stalled_ns: Counter,
    pub(super) wrong_status: Counter,
    pub(super) wrong_body: Counter,
    pub(super) resets: Counter,
}

/// The counts of all cores.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Vec<Arc<Counts>>>);

impl Ledger {
    /// The counts for one more core.
    pub(super) fn core(&self) -> Arc<Counts> {
        let counts = Arc::new(Counts::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counts));
        counts
    }

    /// Adds the families `reference_*`.
    pub(super) fn add(&self, page: &mut Page) {
        let cores = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sum = |of: fn(&Counts) -> &Counter| -> u64 {
            cores.iter().map(|counts| of(counts).value()).sum()
        };
        let mut counter = |name: &'static str, help: &'static str, of: fn(&Counts) -> &Counter| {
            page.counter(name, help).value(&[], sum(of));
        };
        counter("reference_requests_total", "Requests, whatever they were answered.", |counts| {
            &counts.requests
        });
        counter("reference_after_loops_total", "Loops after a response was written.", |counts| {
            &counts.after_loops
        });
        counter("reference_delays_total", "Responses that were delayed.", |counts| &counts.delays);
        counter("reference_stalls_total", "Times that a core stood still.", |counts| {
            &counts.stalls
        });
        counter("reference_resets_total", "Connections reset instead of a response.", |counts| {
            &counts.resets
        });
        let mut time = |name: &'static str, help: &'static str, of: fn(&Counts) -> &Counter| {
            page.counter(name, help).value(&[], sum(of) as f64 / 1e9);
        };
        time(
            "reference_loop_seconds_total",
            "Processor time of the loops by the clock of their thread, its readings included.",
            |counts| &counts.loop_ns,
        );
        time(
            "reference_after_loop_seconds_total",
            "Processor time of the loops after a response, by the same clock.",
            |counts| &counts.after_loop_ns,
        );
        time(
            "reference_walk_seconds_total",
            "Processor time of the walks through memory, by the same clock.",
            |counts| &counts.walk_ns,
        );
        time("reference_delayed_seconds_total", "Time that responses were delayed.", |counts| {
            &counts.delayed_ns
        });
        time("reference_stalled_seconds_total", "Time that cores stood still.", |counts| {
            &counts.stalled_ns
        });
        page.counter("reference_wrong_total", "Responses that were wrong on purpose.")
            .value(&[("kind", "status")], sum(|counts| &counts.wrong_status))
            .value(&[("kind", "short_body")], sum(|counts| &counts.wrong_body));
    }
}
