//! Which series of experiments there are, as data: what is added, in what blocks, beside what load.
//!
//! It owns their protocol and how long they take. It refuses to run them.

use std::time::Duration;

use metrics_export::run::Bounds;

use crate::plan::{BlockChoice, Protocol, Variant};
use crate::stats::{self, Layer, Per};
use crate::traffic::random::Random;
use crate::traffic::schedule::ArrivalPattern;

use super::load::CoreLoad;
use super::progress::{SLICE_EXTRA, START_EXTRA};
use super::{Calibration, CalibrationPart, servers};

/// The length of a slice of each variant, and of each of the two that warm an instance up.
const SLICE: Duration = Duration::from_millis(100);
const WARMUP: Duration = Duration::from_millis(50);

/// The same in the short form.
const SLICE_QUICK: Duration = Duration::from_millis(50);
const WARMUP_QUICK: Duration = Duration::from_millis(40);

/// The role whose cost is zero, and that all others are compared with.
const BASE: &str = "base";

/// A cost that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddedCost {
    /// The role of the server that has it.
    pub role: &'static str,
    /// What it is, for people.
    pub label: &'static str,
    /// How much was asked for, per request; 0 where only the server can tell.
    pub added_ns: u64,
}

const LOOPS: [AddedCost; 4] = [
    AddedCost { role: "busy-0.5", label: "loop of 0.5 us", added_ns: 500 },
    AddedCost { role: "busy-2", label: "loop of 2 us", added_ns: 2_000 },
    AddedCost { role: "busy-10", label: "loop of 10 us", added_ns: 10_000 },
    AddedCost { role: "busy-50", label: "loop of 50 us", added_ns: 50_000 },
];

const AFTER: [AddedCost; 1] =
    [AddedCost { role: "after-20", label: "loop of 20 us after the response", added_ns: 20_000 }];

const WALK: [AddedCost; 1] =
    [AddedCost { role: "walk-256", label: "walk of 256 KiB", added_ns: 0 }];

/// A series of experiments with one setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExperimentSeries {
    /// The part that it belongs to.
    pub part: CalibrationPart,
    /// Its name in results.
    pub name: &'static str,
    /// How its rows begin, where a part has several.
    pub setting: &'static str,
    /// What is looked for.
    pub costs: &'static [AddedCost],
    /// How slices are interleaved.
    pub block: BlockChoice,
    /// The load beside it.
    pub load: Option<CoreLoad>,
}

/// What most series are.
const ADDED: ExperimentSeries = ExperimentSeries {
    part: CalibrationPart::Added,
    name: "added",
    setting: "",
    costs: &LOOPS,
    block: BlockChoice::Auto,
    load: None,
};

/// Load makes responses slow, and must not decide how long a block is.
const LOADED: ExperimentSeries =
    ExperimentSeries { part: CalibrationPart::Loaded, block: ms(2), ..ADDED };

const WALKED: ExperimentSeries =
    ExperimentSeries { part: CalibrationPart::Walk, costs: &WALK, ..ADDED };

const fn ms(ms: u64) -> BlockChoice {
    BlockChoice::Length(Duration::from_millis(ms))
}

const fn load(busy_ms: u32) -> Option<CoreLoad> {
    Some(CoreLoad { busy_ms, every_ms: 20 })
}

/// Every series. Its place decides the seeds of its experiments, so that new ones come last.
const ALL: [ExperimentSeries; 10] = [
    ADDED,
    ExperimentSeries {
        part: CalibrationPart::AddedShort,
        name: "added-short",
        block: ms(1),
        ..ADDED
    },
    ExperimentSeries {
        part: CalibrationPart::AddedLong,
        name: "added-long",
        block: ms(25),
        ..ADDED
    },
    ExperimentSeries {
        part: CalibrationPart::AddedWhole,
        name: "added-whole",
        block: BlockChoice::Whole,
        ..ADDED
    },
    ExperimentSeries {
        part: CalibrationPart::After,
        name: "after",
        costs: &AFTER,
        block: ms(2),
        ..ADDED
    },
    ExperimentSeries { name: "walk-2ms", setting: "blocks of 2 ms: ", block: ms(2), ..WALKED },
    ExperimentSeries { name: "walk-10ms", setting: "blocks of 10 ms: ", block: ms(10), ..WALKED },
    ExperimentSeries {
        name: "walk-whole",
        setting: "whole slices: ",
        block: BlockChoice::Whole,
        ..WALKED
    },
    ExperimentSeries { name: "loaded-5", setting: "5% load: ", load: load(1), ..LOADED },
    ExperimentSeries { name: "loaded-20", setting: "20% load: ", load: load(4), ..LOADED },
];

/// The series of a part; none where it has no experiments.
pub(super) fn of_part(part: CalibrationPart) -> impl Iterator<Item = &'static ExperimentSeries> {
    ALL.iter().filter(move |series| series.part == part)
}

/// How long a slice of each variant is.
pub(super) fn slice(calibration: &Calibration) -> Duration {
    if calibration.quick { SLICE_QUICK } else { SLICE }
}

fn warmup(calibration: &Calibration) -> Duration {
    if calibration.quick { WARMUP_QUICK } else { WARMUP }
}

/// How long the experiments of a part take that are missing, if none is refused.
pub(super) fn planned(calibration: &Calibration, part: CalibrationPart) -> Duration {
    of_part(part).map(|series| series.missing(calibration) * series.planned(calibration)).sum()
}

impl ExperimentSeries {
    /// The protocol of one of its experiments. No percentiles are asked for.
    pub(super) fn protocol(&self, calibration: &Calibration, number: u32) -> Protocol {
        let place = ALL.iter().position(|series| series.name == self.name).unwrap_or(0) as u64;
        let stream = (place << 32) + u64::from(number);
        let seed = Random::stream(calibration.seed, stream).next_u64();
        Protocol {
            rounds: calibration.rounds,
            instances: calibration.rounds,
            slice: slice(calibration),
            block: self.block,
            percentiles: false,
            warmup: warmup(calibration),
            closed_slice: warmup(calibration),
            pattern: ArrivalPattern::Constant,
            ..Protocol::standard(seed)
        }
    }

    /// The bounds of validity.
    pub(super) fn bounds(&self) -> Bounds {
        self.load.map_or_else(Bounds::default, CoreLoad::bounds)
    }

    /// The server that only answers, the same as its control, and one for each cost.
    pub(super) fn variants(&self) -> Vec<Variant> {
        let roles: Vec<&str> =
            std::iter::once(BASE).chain(self.costs.iter().map(|cost| cost.role)).collect();
        servers::with_control(&roles)
    }

    /// What is estimated: the control and every cost.
    pub(super) fn layers(&self) -> Vec<Layer> {
        let difference = |cost: &AddedCost| {
            stats::difference(cost.role, cost.label, cost.role, BASE, Per::Request)
        };
        std::iter::once(stats::control(BASE)).chain(self.costs.iter().map(difference)).collect()
    }

    /// How many of its experiments an earlier sitting has left to be taken.
    pub(super) fn missing(&self, calibration: &Calibration) -> u32 {
        let earlier = calibration.earlier.as_ref();
        let valid = earlier.map_or(0, |earlier| earlier.valid(self.name));
        calibration.experiments_of(self.part).saturating_sub(valid)
    }

    /// How long an experiment takes: in a round every server is started, warmed up and measured,
    /// all of them in one slice where slices are interleaved.
    fn planned(&self, calibration: &Calibration) -> Duration {
        let variants = 2 + self.costs.len() as u32;
        let slices = if self.block == BlockChoice::Whole { variants } else { 1 };
        let each = START_EXTRA + warmup(calibration) + slice(calibration);
        let round = variants * each + 2 * slices * SLICE_EXTRA;
        calibration.rounds * round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_is_the_base_once_more() {
        let variants = ADDED.variants();
        let roles: Vec<String> = variants.iter().map(|variant| variant.role.to_string()).collect();
        assert_eq!(roles, ["base", "base-control", "busy-0.5", "busy-2", "busy-10", "busy-50"]);
        assert_eq!(variants[0].subject, variants[1].subject);
        assert!(variants.iter().all(|variant| !variant.connects));
    }

    #[test]
    fn every_series_has_a_name_and_servers_of_its_own() {
        for (at, series) in ALL.iter().enumerate() {
            let first = ALL.iter().position(|other| other.name == series.name);
            assert_eq!(first, Some(at), "{} stands for two", series.name);
            assert_eq!(series.variants().len(), 2 + series.costs.len(), "{}", series.name);
            assert_eq!(series.layers().len(), 1 + series.costs.len(), "{}", series.name);
        }
    }

    #[test]
    fn servers_burn_what_their_cost_says() {
        for cost in LOOPS.iter().chain(&AFTER) {
            let server = servers::SERVERS.iter().find(|server| server.role == cost.role).unwrap();
            let burnt_us = server.busy_us + server.after_us;
            assert_eq!((burnt_us * 1e3) as u64, cost.added_ns, "{}", cost.role);
        }
    }
}
