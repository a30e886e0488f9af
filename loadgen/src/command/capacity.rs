//! `tollgate capacity`: how much a target can do, how its times grow with its load, and the highest
//! rate at which it keeps a limit. The search is a state machine that holds no socket
//! ([`Search`]); whoever has slices to offer can drive it with [`search()`]. It refuses to
//! call a rate kept because one slice was lucky: the answer is confirmed, and says how sure it is.

pub mod confidence;
mod live;
mod outcome;
mod render;
pub mod search;

use std::time::Duration;

use metrics_export::run::{Capacity, LoadPoint};

pub use metrics_export::run::Quantile;

pub use self::live::{capacity, point};
pub use self::outcome::{CapacityOptions, CapacityOutcome};
pub use self::search::{Load, Purpose, Search, SearchStep};

/// The error that is allowed for the statement about the confirmed rate.
pub const ERROR_SHARE: f64 = 0.05;

/// A limit of response time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slo {
    /// Which time is limited.
    pub quantile: Quantile,
    /// The limit.
    pub limit: Duration,
}

/// What is searched for, and how thoroughly.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The limit to keep; None for the maximum and the curve alone.
    pub slo: Option<Slo>,
    /// The closed-loop maximum in requests per second, where it is known already.
    pub maximum_per_s: Option<f64>,
    /// Closed-loop slices; the maximum is their median.
    pub closed_slices: usize,
    /// The shares of the maximum that the curve is taken at, rising.
    pub shares: Vec<f64>,
    /// The search ends when the rates that kept and did not keep the limit are this close, as a
    /// share of the latter.
    pub resolution: f64,
    /// Slices that must all keep the limit at the rate that is found.
    pub confirm: u64,
    /// Length of a slice.
    pub slice: Duration,
}

impl Settings {
    /// The usual search: 3 closed-loop slices, a curve of ten rates, 2%, 20 confirmations of 1 s.
    pub fn new(slo: Option<Slo>) -> Settings {
        Settings {
            slo,
            maximum_per_s: None,
            closed_slices: 3,
            shares: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95],
            resolution: 0.02,
            confirm: 20,
            slice: Duration::from_secs(1),
        }
    }
}

/// Searches: asks `measure` for one slice after the other until the answer is known. Once
/// `interrupted` says so it ends with what there is; a slice during which that happened is left
/// out. The first error of `measure` ends it too, and comes with what there is.
pub fn search<E>(
    settings: Settings,
    measure: &mut dyn FnMut(&SearchStep) -> Result<LoadPoint, E>,
    interrupted: &dyn Fn() -> bool,
) -> (Capacity, Option<E>) {
    let mut search = Search::new(settings);
    let mut failure = None;
    while let Some(step) = search.next_step() {
        if interrupted() {
            break;
        }
        match measure(&step) {
            Ok(_) if interrupted() => break,
            Ok(point) => search.take(point),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    (search.finish(), failure)
}
