//! The points of a distribution of times that a record keeps. What nothing was recorded of has no
//! points, and it refuses to show a zero in their place.

use serde::{Deserialize, Serialize};

/// Points of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Points", into = "Points")]
pub struct Percentiles {
    /// Values recorded.
    pub count: u64,
    /// Half are at most this.
    pub p50_ns: u64,
    /// 90% are at most this.
    pub p90_ns: u64,
    /// 99% are at most this.
    pub p99_ns: u64,
    /// 99.9% are at most this.
    pub p999_ns: u64,
    /// The largest.
    pub max_ns: u64,
}

impl Percentiles {
    /// One of its points, unless nothing was recorded: a percentile of nothing is no time.
    #[must_use]
    pub fn known(&self, ns: u64) -> Option<u64> {
        (self.count > 0).then_some(ns)
    }
}

/// The same as it is written: what nothing was recorded of has no points. Older records have zeros
/// there.
#[derive(Serialize, Deserialize)]
struct Points {
    count: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p999_ns: Option<u64>,
    max_ns: Option<u64>,
}

impl From<Percentiles> for Points {
    fn from(found: Percentiles) -> Points {
        Points {
            count: found.count,
            p50_ns: found.known(found.p50_ns),
            p90_ns: found.known(found.p90_ns),
            p99_ns: found.known(found.p99_ns),
            p999_ns: found.known(found.p999_ns),
            max_ns: found.known(found.max_ns),
        }
    }
}

impl From<Points> for Percentiles {
    fn from(read: Points) -> Percentiles {
        Percentiles {
            count: read.count,
            p50_ns: read.p50_ns.unwrap_or(0),
            p90_ns: read.p90_ns.unwrap_or(0),
            p99_ns: read.p99_ns.unwrap_or(0),
            p999_ns: read.p999_ns.unwrap_or(0),
            max_ns: read.max_ns.unwrap_or(0),
        }
    }
}
