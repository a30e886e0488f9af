//! What one target can do: its closed-loop maximum, its times at shares of that, and the highest
//! rate that kept a limit, with how sure that is. Whole numbers with the unit in the key.

use serde::{Deserialize, Serialize};

use super::breach::{Breach, sentences};
use super::percentiles::Percentiles;
use super::terms::Quantile;

/// What a search for capacity found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Good replies per second of the closed loop, in thousandths: the median of its slices. 0
    /// when there was none.
    pub closed_loop_milli_per_s: u64,
    /// Whether every step was taken; false after an interruption.
    pub complete: bool,
    /// The search for the highest rate that keeps a limit, where one was asked for.
    pub slo: Option<SloResult>,
    /// Slices of the closed loop, then open-loop slices by their rate. A rate that was measured
    /// again is in here once.
    pub curve: Vec<LoadPoint>,
}

/// The highest rate that keeps a limit of response time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloResult {
    /// Which response time is limited: `p50`, `p90`, `p99`, `p99.9` or `max`.
    pub quantile: Quantile,
    /// The limit.
    pub limit_ns: u64,
    /// The highest rate at which every confirmation slice kept it, in thousandths of a request
    /// per second. Absent when no rate was confirmed.
    pub rate_milli_per_s: Option<u64>,
    /// Confirmation slices at the last rate that was tried.
    pub confirmation_slices: u64,
    /// Those that kept the limit.
    pub kept_slices: u64,
    /// Length of a slice.
    pub slice_ns: u64,
    /// How many rates confirmation was tried at, from above.
    pub attempts: u32,
    /// With this confidence, in thousandths, ..
    pub confidence_milli: u32,
    /// .. at least this share of such slices keeps the limit at that rate, in thousandths
    /// (Clopper-Pearson, the error shared out over the attempts).
    pub kept_share_min_milli: u32,
    /// The lowest rate above the confirmed one that did not keep it. Absent when none was found.
    pub next_failed_milli_per_s: Option<u64>,
    /// The confirmation slices at the last rate that was tried.
    pub confirmations: Vec<LoadPoint>,
}

/// One slice at one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadPoint {
    /// The rate that was asked for, in thousandths of a request per second; absent in the closed
    /// loop.
    pub asked_milli_per_s: Option<u64>,
    /// The achieved rate, in thousandths of a request per second.
    pub achieved_milli_per_s: u64,
    /// From the intended send time.
    pub response: Percentiles,
    /// From the actual send time.
    pub service: Percentiles,
    /// Server CPU per request, where it was read.
    pub server_cpu_ns_per_request: Option<u64>,
    /// The share of its cores' time that the generator used, in thousandths; 1000 when it spins.
    pub generator_share_milli: u32,
    /// Requests without a good reply.
    pub errors: u64,
    /// Requests that found the queue full.
    pub dropped: u64,
    /// Whether it kept the limit; absent without one, and in the closed loop.
    pub kept: Option<bool>,
    /// How the target failed to keep up; sentences in the record.
    #[serde(with = "sentences")]
    pub breaches: Vec<Breach>,
    /// What disturbed the measuring; sentences in the record.
    #[serde(with = "sentences")]
    pub disturbances: Vec<Breach>,
}
