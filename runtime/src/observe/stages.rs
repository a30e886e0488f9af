//! How long the steps of a request take: a histogram of each step on each core.
//!
//! Off, as it is unless asked for, a core has no [`Stages`] and a [`Lap`] is empty: no clock is
//! read, nothing is stored. On, each step costs a reading of the clock, which is as long as a short
//! step is; [`overhead`] says what a whole request pays for being timed. The steps do not overlap:
//! a handler's time is without the encoding of its answer, though with its waits for a body or an
//! upstream. Formats and pages are made elsewhere.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::observe::histogram::Histogram;

/// A step of a request, by its place. The server has two of its own; what a service's steps are
/// called is the service's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage(usize);

/// Steps that a service may number.
const SERVICE_STAGES_MAX: usize = 6;

impl Stage {
    /// From bytes to a request's head. Of a head that came in pieces, the last attempt.
    pub const PARSE: Stage = Stage(0);

    /// Status line, fields and, of a response that is not streamed, the body.
    pub const ENCODE: Stage = Stage(1);

    /// A service's own step, by a number from 0 to 5.
    ///
    /// # Panics
    /// With a larger number.
    #[must_use]
    pub const fn of_service(number: usize) -> Stage {
        assert!(number < SERVICE_STAGES_MAX, "a service has six steps at most");
        Stage(2 + number)
    }
}

/// Upper bounds of the histograms' cells in nanoseconds, inclusive: from two readings of a clock to
/// what no step takes that does not wait.
pub const STAGE_BOUNDS_NS: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// How often the clock is read for a request that passes the server's steps and so many of its
/// service, which follow each other.
#[must_use]
pub const fn clock_reads(service_stages: u32) -> u32 {
    2 + (1 + service_stages) + 2
}

/// Times of one step; the bounds are [`STAGE_BOUNDS_NS`].
pub type StageTimes = Histogram<{ STAGE_BOUNDS_NS.len() + 1 }>;

/// One core's histograms; that core alone writes them.
#[derive(Debug, Default)]
pub struct Stages([StageTimes; 2 + SERVICE_STAGES_MAX]);

impl Stages {
    /// The times of a step.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &StageTimes {
        &self.0[stage.0]
    }

    fn add(&self, stage: Stage, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.of(stage).add(&STAGE_BOUNDS_NS, ns);
    }
}

/// A watch over steps that follow each other; an empty one where nothing is timed.
#[derive(Debug)]
pub struct Lap<'a>(Option<(&'a Stages, Instant)>);

impl<'a> Lap<'a> {
    /// Starts the first step.
    #[inline]
    pub(crate) fn start(stages: Option<&'a Stages>) -> Lap<'a> {
        Lap(stages.map(|stages| (stages, Instant::now())))
    }

    /// Ends a step and starts the next one. Returns how long it took; zero where nothing is timed.
    #[inline]
    pub fn end(&mut self, stage: Stage) -> Duration {
        self.end_without(stage, Duration::ZERO)
    }

    /// Ends a step of which a part belongs to another.
    #[inline]
    pub fn end_without(&mut self, stage: Stage, part: Duration) -> Duration {
        match &mut self.0 {
            None => Duration::ZERO,
            Some((stages, since)) => end(stages, since, stage, part),
        }
    }
}

fn end(stages: &Stages, since: &mut Instant, stage: Stage, part: Duration) -> Duration {
    let now = Instant::now();
    let took = now.saturating_duration_since(*since);
    stages.add(stage, took.saturating_sub(part));
    *since = now;
    took
}

/// What being timed costs a request that passes the server's steps and those of its service, which
/// has at least one, measured now on this thread: the median of several runs of that very code.
/// With everything in the caches it is the least that it costs.
#[must_use]
pub fn overhead(service_stages: &[Stage]) -> Duration {
    const RUNS: usize = 15;
    const REQUESTS: u32 = 1_000;
    let stages = Stages::default();
    let mut runs = [(); RUNS].map(|()| {
        let began = Instant::now();
        for _ in 0..REQUESTS {
            time_nothing(black_box(&stages), black_box(service_stages));
        }
        began.elapsed() / REQUESTS
    });
    runs.sort_unstable();
    runs[RUNS / 2]
}

/// Every step of a request, without the request.
fn time_nothing(stages: &Stages, service_stages: &[Stage]) {
    Lap::start(Some(stages)).end(Stage::PARSE);
    let mut lap = Lap::start(Some(stages));
    let Some((handler, before)) = service_stages.split_last() else { return };
    for stage in before {
        lap.end(*stage);
    }
    let encoded = Lap::start(Some(stages)).end(Stage::ENCODE);
    lap.end_without(*handler, encoded);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLER: Stage = Stage::of_service(5);

    fn count_and_sum_ns(stages: &Stages, stage: Stage) -> (u64, u64) {
        let (mut counts, mut sum_ns) = ([0; STAGE_BOUNDS_NS.len() + 1], 0);
        stages.of(stage).add_to(&mut counts, &mut sum_ns);
        (counts.iter().sum(), sum_ns)
    }

    #[test]
    fn a_part_that_belongs_to_another_step_is_taken_off() {
        let stages = Stages::default();
        let mut lap = Lap::start(Some(&stages));
        let took = lap.end_without(HANDLER, Duration::from_secs(3_600));
        assert!(took < Duration::from_secs(3_600));
        assert_eq!(count_and_sum_ns(&stages, HANDLER), (1, 0));
    }

    #[test]
    fn an_empty_stopwatch_records_nothing() {
        let mut lap = Lap::start(None);
        assert_eq!(lap.end(Stage::PARSE), Duration::ZERO);
    }

    #[test]
    fn the_own_cost_is_a_request_that_passes_every_step() {
        let stages = Stages::default();
        let service = [Stage::of_service(0), HANDLER];
        time_nothing(&stages, &service);
        let all = [Stage::PARSE, service[0], service[1], Stage::ENCODE];
        assert!(all.into_iter().all(|stage| count_and_sum_ns(&stages, stage).0 == 1));
        assert!(overhead(&service) > Duration::ZERO);
        assert_eq!(clock_reads(2), 7);
    }
}
