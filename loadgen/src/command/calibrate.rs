//! `tollgate calibrate`: is the meter right? Servers whose added cost is known are measured by the
//! very path that `tollgate matrix` takes (experiment, live bench, generator, estimates), and what
//! it says is held against what they did.
//!
//! It owns what is checked, the bounds, and the verdicts. It refuses to measure in a way of its
//! own, to forgive a miss, and to call one that the machine disturbed a miss.

mod accounting;
mod added;
pub mod coverage;
mod faults;
pub mod gaps;
mod probe;
mod progress;
mod render;
mod report;
mod schedules;
pub mod servers;
mod session;
mod times;

use std::time::Duration;

use runtime::generator::DriverChoice;

use crate::experiment::Failure;
use crate::experiment::stack::Stack;
use crate::panics::caught;
use crate::plan::Cores;
use crate::report::cores;
use crate::traffic::schedule::Rate;

pub use accounting::{GROUP, THREADS};
pub use render::{markdown, text};
pub use report::{CalibrationReport, CalibrationRow, RowVerdict, Trial, TrialCost};

use session::{CalibrationSession, EarlyEnd};

/// What can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CalibrationPart {
    /// Wrong answers and resets are counted exactly.
    Faults,
    /// Requests are sent when they are meant to be.
    Schedules,
    /// A delay is found in response times.
    Delay,
    /// A stall is charged to response times.
    Stall,
    /// The kernel's accounts of CPU agree with each other.
    Accounting,
    /// Added processor time lies in its intervals, and none is found where there is none.
    Added,
}

impl CalibrationPart {
    /// Every part, the shortest first, so that an interrupted calibration has as many as it can.
    pub const ALL: [CalibrationPart; 6] = [
        CalibrationPart::Faults,
        CalibrationPart::Schedules,
        CalibrationPart::Delay,
        CalibrationPart::Stall,
        CalibrationPart::Accounting,
        CalibrationPart::Added,
    ];

    /// The name in flags and results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CalibrationPart::Faults => "faults",
            CalibrationPart::Schedules => "schedules",
            CalibrationPart::Delay => "delay",
            CalibrationPart::Stall => "stall",
            CalibrationPart::Accounting => "books",
            CalibrationPart::Added => "added",
        }
    }
}

/// What `tollgate calibrate` was asked to do.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The parts, in the order in which they are taken.
    pub parts: Vec<CalibrationPart>,
    /// Experiments whose intervals are counted.
    pub experiments: u32,
    /// Rounds of an experiment, each with processes of its own.
    pub rounds: u32,
    /// The rate of an experiment.
    pub rate: Rate,
    /// Shorter slices in the parts that are no experiments.
    pub quick: bool,
    /// Seed of everything random.
    pub seed: u64,
    /// On which cores.
    pub cores: Cores,
    /// What the generator's event loop stands on.
    pub driver: DriverChoice,
    /// The commit that this program was built from, where known.
    pub commit: Option<String>,
}

impl Calibration {
    /// Default for [`Calibration::experiments`]; `--quick` takes a tenth.
    pub const EXPERIMENTS: u32 = 100;
    /// Default for [`Calibration::rounds`], which is that of `tollgate matrix`.
    pub const ROUNDS: u32 = 12;
    /// Default for [`Calibration::rate`]: the longest loop then uses half of a core, and
    /// every request finds the server asleep, with a loop and without.
    pub const RATE: Rate = Rate::whole(8_000);

    /// How long it takes, as far as that can be said before.
    #[must_use]
    pub fn planned(&self) -> Duration {
        self.parts.iter().map(|part| self.planned_of(*part)).sum()
    }

    fn planned_of(&self, part: CalibrationPart) -> Duration {
        match part {
            CalibrationPart::Faults => faults::planned(self),
            CalibrationPart::Schedules => schedules::planned(self),
            CalibrationPart::Delay | CalibrationPart::Stall => times::planned(self, part),
            CalibrationPart::Accounting => accounting::planned(self),
            CalibrationPart::Added => added::planned(self),
        }
    }

    /// What is about to be done, as one paragraph.
    #[must_use]
    pub fn announcement(&self) -> String {
        let names: Vec<&str> = self.parts.iter().map(|part| part.as_str()).collect();
        let minutes = self.planned().as_secs_f64() / 60.0;
        format!(
            "{} ({} experiments of {} rounds); servers on {}, generator on {}; \
             seed {}; about {:.0} min",
            names.join(", "),
            self.experiments,
            self.rounds,
            cores(&self.cores.servers),
            cores(&self.cores.generator),
            self.seed,
            minutes.ceil(),
        )
    }

    /// Runs it. `interrupted` is asked between slices; what was found until then is reported, also
    /// when a failure ends it, which comes with the report.
    ///
    /// # Errors
    /// What made it impossible before anything was found, as a sentence.
    pub fn run(
        &self,
        stack: &mut dyn Stack,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(CalibrationReport, Option<Failure>), Failure> {
        let mut session = CalibrationSession::new(self, stack, interrupted);
        for part in &self.parts {
            session.progress.begin(*part, self.planned_of(*part));
            let mut take = || match part {
                CalibrationPart::Faults => faults::run(&mut session),
                CalibrationPart::Schedules => schedules::run(&mut session),
                CalibrationPart::Delay => times::delay(&mut session),
                CalibrationPart::Stall => times::stall(&mut session),
                CalibrationPart::Accounting => accounting::run(&mut session),
                CalibrationPart::Added => added::run(&mut session),
            };
            match caught(&mut take).map_err(|why| Failure::new(why).into()).flatten() {
                Ok(()) => {}
                Err(EarlyEnd::Interrupted) => return Ok((session.report(false), None)),
                Err(EarlyEnd::Failed(failure))
                    if session.rows.is_empty() && session.trials.is_empty() =>
                {
                    return Err(failure);
                }
                Err(EarlyEnd::Failed(failure)) => {
                    return Ok((session.report(false), Some(failure)));
                }
            }
        }
        Ok((session.report(true), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_calibration_is_planned_within_the_hour_and_a_quick_one_within_minutes() {
        let full = Calibration {
            parts: CalibrationPart::ALL.to_vec(),
            experiments: Calibration::EXPERIMENTS,
            rounds: Calibration::ROUNDS,
            rate: Calibration::RATE,
            quick: false,
            seed: 1,
            cores: Cores { servers: vec![0], generator: vec![1] },
            driver: DriverChoice::Auto,
            commit: None,
        };
        assert!(full.planned() < Duration::from_secs(3_600), "{:?}", full.planned());
        let quick = Calibration { experiments: 10, quick: true, ..full };
        assert!(quick.planned() < Duration::from_secs(360), "{:?}", quick.planned());
        assert!(quick.announcement().contains("10 experiments"), "{}", quick.announcement());
    }
}
