//! How long the steps of a request take: a histogram of each step on each core.
//!
//! Off, as it is unless asked for, a core has no [`Stages`] and a [`Lap`] is empty: no clock is
//! read, nothing is stored. On, each step costs a reading of the clock, which is as long as a short
//! step is; [`overhead`] says what a whole request pays for being timed. The steps do not overlap:
//! a handler's time is without the encoding of its answer, though with its waits for a body or an
//! upstream. Formats and pages are not this room's.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// A step of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From bytes to a request's head. Of a head that came in pieces, the last attempt.
    Parse,
    /// Finding out what the token says: from the cache, or by verifying it.
    Token,
    /// The decision of the policy.
    Policy,
    /// The handler, with its waits, without the encoding of its answer.
    Handler,
    /// Status line, fields and, of an answer that is not streamed, the body.
    Encode,
}

impl Stage {
    /// All of them, in the order in which a request passes them; the position is the index.
    pub const ALL: [Stage; 5] =
        [Stage::Parse, Stage::Token, Stage::Policy, Stage::Handler, Stage::Encode];

    /// The name for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Parse => "parse",
            Stage::Token => "token",
            Stage::Policy => "policy",
            Stage::Handler => "handler",
            Stage::Encode => "encode",
        }
    }
}

/// Upper bounds of the histograms' cells in nanoseconds, inclusive: from two readings of a clock to
/// what no step takes that does not wait.
pub const STAGE_BOUNDS_NS: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// How often the clock is read for a request that passes every step.
pub const CLOCK_READS: u32 = 8;

/// Times of one step; the bounds are [`STAGE_BOUNDS_NS`].
pub type StageTimes = Histogram<{ STAGE_BOUNDS_NS.len() + 1 }>;

/// One core's histograms; that core alone writes them.
#[derive(Debug, Default)]
pub struct Stages([StageTimes; Stage::ALL.len()]);

impl Stages {
    /// The times of a step.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &StageTimes {
        &self.0[stage as usize]
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

/// What being timed costs a request that passes every step, measured now on this thread: the median
/// of several runs of that very code. With everything in the caches it is the least that it costs.
#[must_use]
pub fn overhead() -> Duration {
    const RUNS: usize = 15;
    const REQUESTS: u32 = 1_000;
    let stages = Stages::default();
    let mut runs = [(); RUNS].map(|()| {
        let began = Instant::now();
        for _ in 0..REQUESTS {
            time_nothing(black_box(&stages));
        }
        began.elapsed() / REQUESTS
    });
    runs.sort_unstable();
    runs[RUNS / 2]
}

/// Every step of a request, without the request.
fn time_nothing(stages: &Stages) {
    Lap::start(Some(stages)).end(Stage::Parse);
    let mut lap = Lap::start(Some(stages));
    lap.end(Stage::Token);
    lap.end(Stage::Policy);
    let encoded = Lap::start(Some(stages)).end(Stage::Encode);
    lap.end_without(Stage::Handler, encoded);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_and_sum_ns(stages: &Stages, stage: Stage) -> (u64, u64) {
        let (mut counts, mut sum_ns) = ([0; STAGE_BOUNDS_NS.len() + 1], 0);
        stages.of(stage).add_to(&mut counts, &mut sum_ns);
        (counts.iter().sum(), sum_ns)
    }

    #[test]
    fn every_step_has_a_place_and_a_name_of_its_own() {
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index);
            assert!(Stage::ALL[..index].iter().all(|other| other.as_str() != stage.as_str()));
        }
    }

    #[test]
    fn a_part_that_belongs_to_another_step_is_taken_off() {
        let stages = Stages::default();
        let mut lap = Lap::start(Some(&stages));
        let took = lap.end_without(Stage::Handler, Duration::from_secs(3_600));
        assert!(took < Duration::from_secs(3_600));
        assert_eq!(count_and_sum_ns(&stages, Stage::Handler), (1, 0));
    }

    #[test]
    fn an_empty_watch_says_nothing() {
        let mut lap = Lap::start(None);
        assert_eq!(lap.end(Stage::Parse), Duration::ZERO);
    }

    #[test]
    fn the_own_cost_is_a_request_that_passes_every_step() {
        let stages = Stages::default();
        time_nothing(&stages);
        assert!(Stage::ALL.iter().all(|stage| count_and_sum_ns(&stages, *stage).0 == 1));
        assert!(overhead() > Duration::ZERO);
    }
}
