//! What one experiment of a calibration said about each cost, beside what that cost was. Data.

use serde::{Deserialize, Serialize};

/// The name under which a trial keeps the A/A control.
pub(super) const CONTROL: &str = "control";

/// One experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// The series that it belongs to.
    pub series: String,
    /// Its seed.
    pub seed: u64,
    /// The length of a block in ns; absent where slices were whole.
    pub block_ns: Option<u64>,
    /// What made it invalid, as sentences; an invalid one is not counted.
    pub breaches: Vec<String>,
    /// Whether the A/A control called a difference.
    pub called: bool,
    /// What it said, the control first.
    pub costs: Vec<TrialCost>,
}

/// What one experiment said about one cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialCost {
    /// The role of the server that has it, or `control` of the A/A control.
    pub id: String,
    /// What was asked for, per request; 0 for the A/A control and for work of unknown cost.
    pub added_ns: u64,
    /// What it was, per request, by the clock of the server's own thread.
    pub truth_ns: i64,
    /// The estimate.
    pub estimate_ns: Option<i64>,
    /// The lower end of its own interval.
    pub low_ns: Option<i64>,
    /// The upper end.
    pub high_ns: Option<i64>,
    /// The lower end of its simultaneous interval.
    pub family_low_ns: Option<i64>,
    /// The upper end.
    pub family_high_ns: Option<i64>,
    /// What a request of the server without the cost takes.
    pub reference_ns: u64,
    /// Whether the simultaneous interval lies beyond zero and the estimate above the noise floor.
    pub resolved: bool,
}

impl Trial {
    /// Whether it counts.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.breaches.is_empty()
    }

    /// What it said about this cost.
    #[must_use]
    pub fn cost(&self, id: &str) -> Option<&TrialCost> {
        self.costs.iter().find(|cost| cost.id == id)
    }
}

impl TrialCost {
    /// Half the length of the simultaneous interval.
    #[must_use]
    pub fn family_half_ns(&self) -> Option<f64> {
        Some((self.family_high_ns? - self.family_low_ns?) as f64 / 2.0)
    }
}
