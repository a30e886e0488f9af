//! `tollgate calibrate`: is the meter right? Servers whose added cost is known are measured by the
//! very path that `tollgate matrix` takes (experiment, live bench, generator, estimates), and what
//! it says is held against what they did.
//!
//! It owns what is checked, the bounds, and the verdicts. It refuses to measure in a way of its
//! own, to forgive a miss, and to call one that the machine disturbed a miss.

mod accounting;
mod added;
pub mod coverage;
mod experiments;
mod faults;
pub mod gaps;
mod load;
mod pause;
mod probe;
mod progress;
mod render;
mod report;
mod resume;
mod schedules;
mod series;
pub mod servers;
mod session;
mod times;
mod trial;
mod walk;

use std::time::Duration;

use runtime::generator::DriverChoice;
use serde::{Deserialize, Serialize};

use crate::experiment::Failure;
use crate::experiment::stack::Stack;
use crate::panics::caught;
use crate::plan::Cores;
use crate::report::cores;
use crate::stats::ROUNDS_MIN;
use crate::traffic::schedule::Rate;

pub use accounting::{GROUP, THREADS};
pub use load::{BackgroundLoad, CoreLoad};
pub use render::{markdown, text};
pub use report::{CalibrationReport, CalibrationRow, RowVerdict};
pub use resume::EarlierCalibration;
pub use trial::{Trial, TrialCost};

use session::{CalibrationSession, EarlyEnd};

/// What can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum CalibrationPart {
    /// Wrong answers and resets are counted exactly.
    Faults,
    /// Requests are sent when they are meant to be.
    Schedules,
    /// A delay is found in response times.
    Delay,
    /// A stall is charged to response times.
    Stall,
    /// Pauses of one server are not in the percentiles of its neighbours.
    Pause,
    /// The kernel's accounts of CPU agree with each other.
    Accounting,
    /// Work after the response is charged to the server that does it, and to no other.
    After,
    /// What colder caches add in blocks.
    Walk,
    /// Added processor time lies in its intervals, and none is found where there is none.
    Added,
    /// The same in blocks of 1 ms.
    AddedShort,
    /// The same in blocks of 25 ms.
    AddedLong,
    /// The same in whole slices.
    AddedWhole,
    /// The same beside background load.
    Loaded,
}

/// Every part with its name in flags and results.
const NAMES: [(CalibrationPart, &str); 13] = [
    (CalibrationPart::Faults, "faults"),
    (CalibrationPart::Schedules, "schedules"),
    (CalibrationPart::Delay, "delay"),
    (CalibrationPart::Stall, "stall"),
    (CalibrationPart::Pause, "pause"),
    (CalibrationPart::Accounting, "books"),
    (CalibrationPart::After, "after"),
    (CalibrationPart::Walk, "walk"),
    (CalibrationPart::Added, "added"),
    (CalibrationPart::AddedShort, "added-short"),
    (CalibrationPart::AddedLong, "added-long"),
    (CalibrationPart::AddedWhole, "added-whole"),
    (CalibrationPart::Loaded, "loaded"),
];

impl CalibrationPart {
    /// Every part, the shortest first, so that an interrupted calibration has as many as it can.
    pub const ALL: [CalibrationPart; NAMES.len()] = {
        let mut all = [CalibrationPart::Faults; NAMES.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = NAMES[at].0;
            at += 1;
        }
        all
    };

    /// The name in flags and results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// The part of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<CalibrationPart> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(part, _)| *part)
    }
}

impl From<CalibrationPart> for &'static str {
    fn from(part: CalibrationPart) -> &'static str {
        part.as_str()
    }
}

impl TryFrom<String> for CalibrationPart {
    type Error = Failure;

    fn try_from(name: String) -> Result<CalibrationPart, Failure> {
        let part = CalibrationPart::parse(&name);
        part.ok_or_else(|| Failure::new(format!("a calibration has no part {name:?}")))
    }
}

/// What `tollgate calibrate` was asked to do.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The parts, in the order in which they are taken.
    pub parts: Vec<CalibrationPart>,
    /// Experiments of each series whose intervals are counted, instead of the default.
    pub experiments: Option<u32>,
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
    /// What an earlier sitting found.
    pub earlier: Option<EarlierCalibration>,
}

impl Calibration {
    /// Default for [`Calibration::rounds`], which is that of `tollgate matrix`; the short form has
    /// as few as give an interval.
    pub const ROUNDS: u32 = 12;
    /// See above.
    pub const ROUNDS_QUICK: u32 = ROUNDS_MIN as u32;
    /// Default for [`Calibration::rate`]: the longest loop then uses half of a core, and
    /// every request finds the server asleep, with a loop and without.
    pub const RATE: Rate = Rate::whole(8_000);

    /// Experiments of each series of a part.
    #[must_use]
    pub fn experiments_of(&self, part: CalibrationPart) -> u32 {
        let (full, quick) = match part {
            CalibrationPart::Added => (100, 10),
            // Its figures are shown and not counted.
            CalibrationPart::Walk => (10, 1),
            _ => (30, 3),
        };
        self.experiments.unwrap_or(if self.quick { quick } else { full })
    }

    /// How long it takes, as far as that can be said before.
    #[must_use]
    pub fn planned(&self) -> Duration {
        self.parts.iter().map(|part| self.planned_of(*part)).sum()
    }

    /// Whether an earlier sitting took all of a part.
    fn has(&self, part: CalibrationPart) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| earlier.has(part))
    }

    fn planned_of(&self, part: CalibrationPart) -> Duration {
        match part {
            part if self.has(part) => Duration::ZERO,
            CalibrationPart::Faults => faults::planned(self),
            CalibrationPart::Schedules => schedules::planned(self),
            CalibrationPart::Delay | CalibrationPart::Stall => times::planned(self, part),
            CalibrationPart::Accounting => accounting::planned(self),
            CalibrationPart::Pause => pause::planned(self),
            part => series::planned(self, part),
        }
    }

    /// What is about to be done, as one paragraph.
    #[must_use]
    pub fn announcement(&self) -> String {
        let names: Vec<&str> = self.parts.iter().map(|part| part.as_str()).collect();
        let series = self.parts.iter().flat_map(|part| series::of_part(*part));
        let experiments: u32 = series.map(|series| series.missing(self)).sum();
        let minutes = self.planned().as_secs_f64() / 60.0;
        format!(
            "{} ({experiments} experiments of {} rounds); servers on {}, generator on {}; \
             seed {}; about {:.0} min",
            names.join(", "),
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
        load: &mut dyn BackgroundLoad,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(CalibrationReport, Option<Failure>), Failure> {
        let mut session = CalibrationSession::new(self, stack, load, interrupted);
        for part in &self.parts {
            if self.has(*part) {
                continue;
            }
            session.begin(*part, self.planned_of(*part));
            let mut take = || match part {
                CalibrationPart::Faults => faults::run(&mut session),
                CalibrationPart::Schedules => schedules::run(&mut session),
                CalibrationPart::Delay => times::delay(&mut session),
                CalibrationPart::Stall => times::stall(&mut session),
                CalibrationPart::Accounting => accounting::run(&mut session),
                CalibrationPart::Pause => pause::run(&mut session),
                part => experiments::run(&mut session, *part),
            };
            match caught(&mut take).map_err(|why| Failure::new(why).into()).flatten() {
                Ok(()) => session.finish(*part),
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

    /// A full one.
    pub(super) fn calibration() -> Calibration {
        Calibration {
            parts: CalibrationPart::ALL.to_vec(),
            experiments: None,
            rounds: Calibration::ROUNDS,
            rate: Calibration::RATE,
            quick: false,
            seed: 1,
            cores: Cores { servers: vec![0], generator: vec![1] },
            driver: DriverChoice::Auto,
            commit: None,
            earlier: None,
        }
    }

    #[test]
    fn a_full_calibration_is_planned_within_two_hours_and_a_quick_one_within_minutes() {
        let full = calibration();
        assert!(full.planned() < Duration::from_secs(7_200), "{:?}", full.planned());
        let added = Calibration { parts: vec![CalibrationPart::Added], ..full.clone() };
        assert!(added.planned() < Duration::from_secs(2_400), "{:?}", added.planned());
        assert!(added.announcement().contains("100 experiments"), "{}", added.announcement());
        let rounds = Calibration::ROUNDS_QUICK;
        let quick = Calibration { rounds, quick: true, ..full };
        assert!(quick.planned() < Duration::from_secs(300), "{:?}", quick.planned());
        assert!(quick.announcement().contains("31 experiments"), "{}", quick.announcement());
    }

    #[test]
    fn parts_are_found_by_their_names() {
        for (at, (part, name)) in NAMES.into_iter().enumerate() {
            assert_eq!((part as usize, part.as_str()), (at, name));
            assert_eq!(CalibrationPart::parse(name), Some(part));
        }
        assert_eq!(CalibrationPart::parse("all"), None);
    }
}
