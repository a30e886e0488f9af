//! What a calibration found, as data: rows with their bound and verdict, and every experiment.
//! Figures are integers with their unit in the name.

use std::collections::BTreeMap;

use metrics_export::run::Environment;
use serde::{Deserialize, Serialize};

use super::CalibrationPart;
use super::trial::Trial;

/// What came of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowVerdict {
    /// Within the bound.
    Pass,
    /// Beyond it.
    Fail,
    /// Beyond it or not known, because the machine was disturbed.
    Disturbed,
    /// It has no bound.
    Reported,
}

impl RowVerdict {
    /// What is within its bound passes, whatever happened beside it.
    #[must_use]
    pub fn of(within: bool, disturbed: bool) -> RowVerdict {
        match (within, disturbed) {
            (true, _) => RowVerdict::Pass,
            (false, true) => RowVerdict::Disturbed,
            (false, false) => RowVerdict::Fail,
        }
    }

    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RowVerdict::Pass => "pass",
            RowVerdict::Fail => "FAIL",
            RowVerdict::Disturbed => "disturbed",
            RowVerdict::Reported => "",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// The part that it belongs to.
    pub part: CalibrationPart,
    /// What was looked at.
    pub what: String,
    /// What was found, for people.
    pub found: String,
    /// Within what it must lie, for people; empty where it has no bound.
    pub bound: String,
    /// What came of it.
    pub verdict: RowVerdict,
    /// The figures behind it.
    pub figures: BTreeMap<String, i64>,
}

impl CalibrationRow {
    /// A row without figures.
    pub(super) fn new(part: CalibrationPart, what: impl Into<String>) -> CalibrationRow {
        CalibrationRow {
            part,
            what: what.into(),
            found: String::new(),
            bound: String::new(),
            verdict: RowVerdict::Reported,
            figures: BTreeMap::new(),
        }
    }

    /// What was found.
    pub(super) fn found(self, found: impl Into<String>) -> CalibrationRow {
        CalibrationRow { found: found.into(), ..self }
    }

    /// The bound, and what came of it.
    pub(super) fn judged(self, bound: impl Into<String>, verdict: RowVerdict) -> CalibrationRow {
        CalibrationRow { bound: bound.into(), verdict, ..self }
    }

    /// One of the figures.
    pub(super) fn figure(mut self, name: &str, value: impl Into<i128>) -> CalibrationRow {
        let value = i64::try_from(value.into()).unwrap_or(i64::MAX);
        self.figures.insert(name.to_owned(), value);
        self
    }
}

/// The whole answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// When it began.
    pub started_at: String,
    /// How long it took, all sittings together.
    pub elapsed_ns: u64,
    /// In how many sittings it was taken.
    pub sittings: u32,
    /// Whether all parts that were asked for were taken to their end.
    pub complete: bool,
    /// The parts that were taken to their end, in this sitting or before.
    pub finished: Vec<CalibrationPart>,
    /// Whether it is the short form.
    pub quick: bool,
    /// Rounds of an experiment.
    pub rounds: u32,
    /// The rate of an experiment, in thousandths of a request per second.
    pub rate_milli_per_s: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// The servers' cores.
    pub server_cores: Vec<usize>,
    /// The generator's cores.
    pub generator_cores: Vec<usize>,
    /// The machine.
    pub environment: Environment,
    /// The table.
    pub rows: Vec<CalibrationRow>,
    /// Every experiment.
    pub trials: Vec<Trial>,
}

impl CalibrationReport {
    /// 130 interrupted, 1 the meter is off, 3 the machine disturbed it, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let any = |verdict| self.rows.iter().any(|row| row.verdict == verdict);
        if !self.complete {
            130
        } else if any(RowVerdict::Fail) {
            1
        } else if any(RowVerdict::Disturbed) {
            3
        } else {
            0
        }
    }

    /// The answer in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = |verdict| self.rows.iter().filter(|row| row.verdict == verdict).count();
        let (passed, failed) = (count(RowVerdict::Pass), count(RowVerdict::Fail));
        let end = match self.exit_code() {
            130 => "interrupted; these are the rows that were finished",
            1 => "the meter is not right here, and its figures are not to be trusted",
            3 => "the machine was busy otherwise; stop that, and repeat",
            _ => "the meter is right",
        };
        let disturbed = count(RowVerdict::Disturbed);
        format!("{passed} passed, {failed} failed, {disturbed} disturbed: {end}.")
    }

    /// The answer as indented JSON, ending in a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("its keys are strings and its numbers finite") + "\n"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report of one row for each of these verdicts.
    pub(in super::super) fn report(verdicts: &[RowVerdict]) -> CalibrationReport {
        let row = |verdict: &RowVerdict| {
            CalibrationRow::new(CalibrationPart::Stall, "response p99")
                .found("93.1 ms")
                .judged("91 to 95 ms", *verdict)
                .figure("p99_ns", 93_100_000_u64)
        };
        CalibrationReport {
            started_at: "2026-01-02T03:04:05Z".into(),
            elapsed_ns: 61_000_000_000,
            sittings: 1,
            complete: true,
            finished: vec![CalibrationPart::Stall],
            quick: false,
            rounds: 12,
            rate_milli_per_s: 8_000_000,
            seed: 7,
            server_cores: vec![0],
            generator_cores: vec![1],
            environment: crate::machine::environment::read(None),
            rows: verdicts.iter().map(row).collect(),
            trials: Vec::new(),
        }
    }

    #[test]
    fn a_miss_outweighs_a_disturbance_and_an_interruption_both() {
        use RowVerdict::{Disturbed, Fail, Pass, Reported};
        assert_eq!(report(&[Pass, Reported]).exit_code(), 0);
        assert_eq!(report(&[Pass, Disturbed]).exit_code(), 3);
        assert_eq!(report(&[Pass, Disturbed, Fail]).exit_code(), 1);
        let cut = CalibrationReport { complete: false, ..report(&[Fail]) };
        assert_eq!(cut.exit_code(), 130);
        let sentence = report(&[Pass, Disturbed]).sentence();
        assert!(sentence.starts_with("1 passed, 0 failed, 1 disturbed: "), "{sentence}");
    }

    #[test]
    fn only_what_is_beyond_its_bound_asks_for_a_reason() {
        assert_eq!(RowVerdict::of(true, true), RowVerdict::Pass);
        assert_eq!(RowVerdict::of(false, true), RowVerdict::Disturbed);
        assert_eq!(RowVerdict::of(false, false), RowVerdict::Fail);
    }

    #[test]
    fn json_is_read_back() {
        let json = report(&[RowVerdict::Disturbed]).to_json();
        let read: CalibrationReport = serde_json::from_str(&json).unwrap();
        assert_eq!(read.to_json(), json);
        assert!(json.contains(r#""part": "stall""#), "{json}");
    }

    #[test]
    fn json_has_the_figures_with_their_units() {
        let json: serde_json::Value =
            serde_json::from_str(&report(&[RowVerdict::Fail]).to_json()).unwrap();
        assert_eq!(json["rows"][0]["verdict"], "fail");
        assert_eq!(json["rows"][0]["figures"]["p99_ns"], 93_100_000);
    }
}
