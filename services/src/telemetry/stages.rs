//! How long the steps of requests took, as the runtime timed them, added up over the cores and
//! named; and what the timing itself costs.

use std::time::Duration;

use metrics_export::prometheus::{Durations, Page};
use runtime::stages::{STAGE_BOUNDS_NS, Stage};
use runtime::stats::CoreStats;

/// Finding out what the token says: from the cache, or by verifying it.
pub const TOKEN: Stage = Stage::of_service(0);

/// The decision of the policy.
pub const POLICY: Stage = Stage::of_service(1);

/// The handler, with its waits, without the encoding of its response.
pub const HANDLER: Stage = Stage::of_service(2);

/// A service's own steps, in the order in which a request passes them.
pub const OWN: [Stage; 3] = [TOKEN, POLICY, HANDLER];

/// All steps with their names for labels, in the order in which a request passes them.
const ALL: [(Stage, &str); 5] = [
    (Stage::PARSE, "parse"),
    (TOKEN, "token"),
    (POLICY, "policy"),
    (HANDLER, "handler"),
    (Stage::ENCODE, "encode"),
];

/// Adds a histogram for each step, and what being timed costs a request.
pub fn add(page: &mut Page, cores: &[CoreStats], overhead: Duration) {
    let mut family = page.histogram(
        "tollgate_stage_duration_seconds",
        "Time of each step of a request: parse, token, policy, handler without encode, encode.",
    );
    for (stage, name) in ALL {
        let mut counts = [0; STAGE_BOUNDS_NS.len() + 1];
        let mut sum_ns = 0u64;
        for times in cores.iter().filter_map(|core| core.stages.as_ref()).map(|s| s.of(stage)) {
            times.add_to(&mut counts, &mut sum_ns);
        }
        let durations = Durations { bounds_ns: &STAGE_BOUNDS_NS, counts: &counts, sum_ns };
        family.durations(&[("stage", name)], &durations);
    }
    page.gauge(
        "tollgate_stage_timing_overhead_seconds",
        "What timing all steps costs a request at least, measured when the service started.",
    )
    .value(&[], overhead.as_secs_f64());
}
