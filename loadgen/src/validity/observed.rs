//! What is known of a slice, or of many, that decides whether it can be believed. Its sources are
//! the row of a record, and what a generator and the kernel counted. It refuses to judge.

use std::collections::BTreeMap;

use metrics_export::run::{Slice, SliceKind};

use crate::machine::cpu::Usage;
use crate::traffic::record::SliceRecord;
use crate::traffic::recorder::is_redirect;

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The open loop; None where requests had no send times of their own.
    pub(super) open_loop: Option<OpenLoop>,
    /// Requests without a good response, by kind.
    pub(super) errors: BTreeMap<String, u64>,
    /// What to do about most of the errors; empty where they do not tell.
    pub(super) error_advice: &'static str,
    /// The measured cores; None where they were not read.
    pub(super) cores: Option<CoreUsage>,
    /// In how many slices the server ran on a core of the generator.
    pub(super) slices_on_shared_core: u64,
    /// Why the CPU of the server is not known, where it was to be read.
    pub(super) cpu_unknown: Option<String>,
    /// The share of its requests' CPU that the server uses while nothing is asked of it.
    pub(super) idle_cpu_share: Option<f64>,
}

/// An open loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OpenLoop {
    /// Requests that became due.
    pub(super) intended: u64,
    /// Those that were sent before the time of their slice was over.
    pub(super) sent_in_window: u64,
    /// Those that found the queue full.
    pub(super) dropped: u64,
    /// Whether any of them waited for a connection.
    pub(super) waited: bool,
    /// Send lateness.
    pub(super) lateness_p99_ns: u64,
    /// Unanswered requests of each slice.
    pub(super) in_flight: Vec<InFlightMeans>,
    /// It was ended before its time.
    pub(super) interrupted: bool,
}

/// Unanswered requests of one slice, means of quarters of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct InFlightMeans {
    /// In its first quarter.
    pub(super) first: f64,
    /// By how many more there were in its last.
    pub(super) growth: f64,
}

/// What happened on the measured cores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CoreUsage {
    /// Time of all of them together; never 0.
    pub(super) time_ns: f64,
    /// Time that the hypervisor took.
    pub(super) steal_ns: u64,
    /// CPU of other programs; None where they cannot be told from the server.
    pub(super) background_ns: Option<u64>,
    /// Times that the control group was throttled.
    pub(super) throttled: u64,
}

impl CoreUsage {
    fn new(wall_ns: u64, cores: usize) -> CoreUsage {
        CoreUsage { time_ns: (wall_ns as f64 * cores as f64).max(1.0), ..CoreUsage::default() }
    }

    /// The share of their time that other programs used.
    pub(super) fn background_share(&self) -> Option<f64> {
        self.background_ns.map(|ns| ns as f64 / self.time_ns)
    }
}

impl Observed {
    /// One slice, from its row in the record. Whether its errors count is up to the caller.
    #[must_use]
    pub fn of_slice(slice: &Slice, measured_cores: usize) -> Observed {
        Observed {
            open_loop: (slice.kind == SliceKind::Open)
                .then(|| OpenLoop { lateness_p99_ns: slice.lateness.p99_ns, ..open_loop(slice) }),
            errors: slice.errors.clone(),
            error_advice: "",
            cores: Some(core_usage(slice, measured_cores)),
            slices_on_shared_core: u64::from(slice.ran_on_generator_core),
            cpu_unknown: slice.cpu_unknown.clone(),
            idle_cpu_share: None,
        }
    }

    /// The open-loop slices of one variant together, without the machine, which all variants have
    /// in common. `errors_of` are all its slices, also those that were taken again.
    pub(super) fn of_variant<'a>(
        counted: &[&Slice],
        errors_of: impl Iterator<Item = &'a Slice>,
        lateness_p99_ns: u64,
    ) -> Observed {
        let start = OpenLoop { lateness_p99_ns, ..OpenLoop::default() };
        let open = counted.iter().filter(|slice| slice.kind == SliceKind::Open);
        let all = open.fold(start, |sum, slice| sum.and(open_loop(slice)));
        let mut errors = BTreeMap::new();
        for (kind, count) in errors_of.flat_map(|slice| &slice.errors) {
            *errors.entry(kind.clone()).or_default() += count;
        }
        let shared = counted.iter().filter(|slice| slice.ran_on_generator_core).count() as u64;
        Observed {
            open_loop: Some(all),
            errors,
            slices_on_shared_core: shared,
            ..Observed::default()
        }
    }

    /// The machine under all slices that count.
    pub(super) fn of_machine(counted: &[&Slice], measured_cores: usize) -> Observed {
        let start = CoreUsage { background_ns: Some(0), ..CoreUsage::default() };
        let telling = counted.iter().filter(|slice| slice.tells_machine());
        let sum = telling.fold(start, |sum, slice| {
            let CoreUsage { time_ns, steal_ns, background_ns, throttled } =
                core_usage(slice, measured_cores);
            CoreUsage {
                time_ns: sum.time_ns + time_ns,
                steal_ns: sum.steal_ns + steal_ns,
                // Slices in which it could not be read are in the notes.
                background_ns: sum.background_ns.map(|ns| ns + background_ns.unwrap_or(0)),
                throttled: sum.throttled + throttled,
            }
        });
        Observed {
            cores: Some(CoreUsage { time_ns: sum.time_ns.max(1.0), ..sum }),
            ..Observed::default()
        }
    }

    /// One slice, from what the generator counted.
    #[must_use]
    pub fn of_record(record: &SliceRecord) -> Observed {
        let in_flight = InFlightMeans {
            first: record.in_flight[0].value().unwrap_or(0.0),
            growth: record.in_flight_growth(),
        };
        let errors = record.errors.iter();
        Observed {
            open_loop: record.open_loop.then(|| OpenLoop {
                intended: record.requests_asked,
                sent_in_window: record.sent_in_window,
                dropped: record.dropped,
                waited: record.queue_high_water > 0,
                lateness_p99_ns: record.lateness.value_at_quantile(0.99),
                in_flight: vec![in_flight],
                interrupted: record.interrupted,
            }),
            errors: errors.map(|(kind, count)| (kind.as_str().to_owned(), count)).collect(),
            error_advice: status_advice(record),
            ..Observed::default()
        }
    }

    /// The same with what the kernel counted on `measured` cores. `background_known` says whether
    /// other programs can be told from the server, `apart` whether the generator was to have its
    /// cores for itself.
    #[must_use]
    pub fn with_usage(
        self,
        usage: &Usage,
        measured: usize,
        background_known: bool,
        apart: bool,
    ) -> Observed {
        Observed {
            cores: Some(CoreUsage {
                steal_ns: usage.machine.steal_ns,
                background_ns: usage.machine.background_ns.filter(|_| background_known),
                throttled: usage.machine.throttled,
                ..CoreUsage::new(usage.machine.wall_ns, measured)
            }),
            slices_on_shared_core: u64::from(apart && usage.servers.ran_on_generator_core),
            ..self
        }
    }

    /// The same without errors: what may be a reason to take a slice again.
    #[must_use]
    pub fn without_errors(self) -> Observed {
        Observed { errors: BTreeMap::new(), ..self }
    }

    /// The share of the measured cores that other programs used, where they can be told apart.
    #[must_use]
    pub fn background_share(&self) -> Option<f64> {
        self.cores.as_ref().and_then(CoreUsage::background_share)
    }
}

impl OpenLoop {
    fn and(mut self, other: OpenLoop) -> OpenLoop {
        self.in_flight.extend(other.in_flight);
        OpenLoop {
            intended: self.intended + other.intended,
            sent_in_window: self.sent_in_window + other.sent_in_window,
            dropped: self.dropped + other.dropped,
            waited: self.waited || other.waited,
            interrupted: self.interrupted || other.interrupted,
            ..self
        }
    }
}

/// The open loop of a slice without its lateness, of which percentiles cannot be added up.
fn open_loop(slice: &Slice) -> OpenLoop {
    let milli = |milli: i64| milli as f64 / 1e3;
    OpenLoop {
        intended: slice.requests_asked,
        sent_in_window: slice.sent_in_window.unwrap_or(slice.requests_sent),
        dropped: slice.dropped,
        waited: slice.queue_high_water.is_some_and(|most| most > 0),
        lateness_p99_ns: 0,
        in_flight: vec![InFlightMeans {
            first: slice.in_flight_first_milli.map_or(0.0, milli),
            growth: milli(slice.in_flight_growth_milli),
        }],
        interrupted: false,
    }
}

fn core_usage(slice: &Slice, measured_cores: usize) -> CoreUsage {
    CoreUsage {
        steal_ns: slice.steal_ns,
        background_ns: slice.background_ns,
        throttled: slice.throttled,
        ..CoreUsage::new(slice.machine_ns(), measured_cores)
    }
}

/// What to do about a wrong status that most responses have.
fn status_advice(record: &SliceRecord) -> &'static str {
    match record.statuses.iter().max_by_key(|(_, count)| **count) {
        Some((401, _)) => {
            " A 401 wants other credentials: give a token (--token-file, --token-url)."
        }
        Some((403, _)) => " A 403 refuses these credentials: check their scopes and the client.",
        Some((404 | 405, _)) => " Check the path and the method (-m).",
        Some((304, _)) => {
            " A 304 answers a condition of the request: leave out If-None-Match and \
             If-Modified-Since (-H), or count it as good (--expect-status 304)."
        }
        Some((status, _)) if is_redirect(*status) => " Give the URL that the redirect leads to.",
        Some((429 | 503, _)) => " The target limits or sheds load: lower the rate.",
        _ => "",
    }
}
