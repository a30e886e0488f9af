//! A calibration in several sittings: what an earlier one found is taken over, and only what is
//! missing is taken.
//!
//! It owns which earlier report may be gone on from. It refuses one of another machine, another
//! build or another protocol: figures of two of them make no one count.

use metrics_export::run::Environment;

use crate::experiment::Failure;
use crate::machine::environment;

use super::report::{CalibrationReport, RowVerdict};
use super::{Calibration, CalibrationPart, series};

/// An earlier calibration to go on from.
#[derive(Clone, Debug)]
pub struct EarlierCalibration(CalibrationReport);

impl EarlierCalibration {
    /// Reads the JSON of a report.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<EarlierCalibration, Failure> {
        let report = serde_json::from_str(text).map_err(|error| {
            Failure::new(format!("this is no JSON of a calibration by this build: {error}"))
        })?;
        Ok(EarlierCalibration(report))
    }

    /// Its seed, its rounds, and its rate in thousandths of a request per second: what is gone on
    /// with unless something else is asked for.
    #[must_use]
    pub fn settings(&self) -> (u64, u32, u64) {
        (self.0.seed, self.0.rounds, self.0.rate_milli_per_s)
    }

    /// What it found.
    pub(super) fn report(&self) -> &CalibrationReport {
        &self.0
    }

    /// Checks that `calibration` is the same one on the same machine.
    ///
    /// # Errors
    /// The first thing that differs.
    pub fn check(&self, calibration: &Calibration) -> Result<(), Failure> {
        let here = environment::read(calibration.commit.as_deref());
        let there = &self.0;
        let cores = &calibration.cores;
        let same = [
            ("machine", machine(&here) == machine(&there.environment)),
            ("build", build(&here) == build(&there.environment)),
            ("--server-cores", cores.servers == there.server_cores),
            ("--generator-cores", cores.generator == there.generator_cores),
            ("--quick", calibration.quick == there.quick),
            ("--seed", calibration.seed == there.seed),
            ("--rounds", calibration.rounds == there.rounds),
            ("--rate", calibration.rate.as_milli() == there.rate_milli_per_s),
        ];
        match same.iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => Err(Failure::new(format!(
                "the earlier calibration had another {what}: leave --resume out, or go on as it \
                 began"
            ))),
        }
    }

    /// How many experiments of a series count.
    pub(super) fn valid(&self, series: &str) -> u32 {
        let own = self.0.trials.iter().filter(|trial| trial.series == series);
        own.filter(|trial| trial.is_valid()).count() as u32
    }

    /// Whether a part without experiments has all its rows, and none that the machine disturbed.
    pub(super) fn has(&self, part: CalibrationPart) -> bool {
        let mut rows = self.0.rows.iter().filter(|row| row.part == part);
        series::of_part(part).next().is_none()
            && self.0.finished.contains(&part)
            && rows.all(|row| row.verdict != RowVerdict::Disturbed)
    }
}

fn machine(of: &Environment) -> (&str, u64, &str) {
    (&of.cpu_model, of.cpus, &of.kernel)
}

fn build(of: &Environment) -> (&str, Option<&str>, bool) {
    (&of.version, of.commit.as_deref(), of.optimised)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::super::tests::calibration;
    use super::super::trial::Trial;
    use super::*;
    use crate::traffic::schedule::Rate;

    fn earlier(verdicts: &[RowVerdict]) -> EarlierCalibration {
        EarlierCalibration::from_json(&report(verdicts).to_json()).unwrap()
    }

    #[test]
    fn only_the_same_calibration_is_gone_on_with() {
        let earlier = earlier(&[RowVerdict::Pass]);
        let (seed, rounds, rate) = earlier.settings();
        let same = Calibration { seed, rounds, ..calibration() };
        assert_eq!(rate, same.rate.as_milli());
        earlier.check(&same).unwrap();
        for (other, what) in [
            (Calibration { seed: seed + 1, ..same.clone() }, "--seed"),
            (Calibration { rounds: rounds + 1, ..same.clone() }, "--rounds"),
            (Calibration { rate: Rate::whole(7), ..same.clone() }, "--rate"),
            (Calibration { quick: true, ..same.clone() }, "--quick"),
            (Calibration { commit: Some("another".into()), ..same.clone() }, "build"),
        ] {
            let failure = earlier.check(&other).unwrap_err().to_string();
            assert!(failure.contains(what), "{failure}");
        }
        let failure = EarlierCalibration::from_json("{}").unwrap_err();
        assert!(failure.to_string().contains("no JSON of a calibration"), "{failure}");
    }

    #[test]
    fn what_was_taken_is_not_planned_again() {
        let mut report = report(&[RowVerdict::Pass]);
        let (seed, rounds) = (report.seed, report.rounds);
        for breaches in [Vec::new(), vec!["The hypervisor took 3%.".to_owned()]] {
            report.trials.push(Trial {
                series: "added".into(),
                seed: 1,
                block_ns: None,
                breaches,
                called: false,
                costs: Vec::new(),
            });
        }
        let parts = vec![CalibrationPart::Stall, CalibrationPart::Added];
        let anew = Calibration { parts, seed, rounds, ..calibration() };
        let earlier = Some(EarlierCalibration(report));
        let resumed = Calibration { earlier, experiments: Some(2), ..anew.clone() };
        let one = Calibration { experiments: Some(1), ..anew };
        let stall = Calibration { parts: vec![CalibrationPart::Stall], ..one.clone() };
        assert_eq!(resumed.planned(), one.planned() - stall.planned());
        assert!(resumed.announcement().contains("(1 experiments"), "{}", resumed.announcement());
    }

    #[test]
    fn a_part_is_taken_again_unless_it_is_whole() {
        for (verdict, has) in [
            (RowVerdict::Pass, true),
            (RowVerdict::Fail, true),
            (RowVerdict::Reported, true),
            (RowVerdict::Disturbed, false),
        ] {
            assert_eq!(earlier(&[verdict]).has(CalibrationPart::Stall), has, "{verdict:?}");
        }
        assert!(!earlier(&[RowVerdict::Pass]).has(CalibrationPart::Faults), "it was not taken");
        // Experiments are counted one by one.
        let mut report = report(&[RowVerdict::Pass]);
        report.finished.push(CalibrationPart::Added);
        assert!(!EarlierCalibration(report).has(CalibrationPart::Added));
    }
}
