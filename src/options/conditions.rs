//! The conditions of `--fail-if`, for every command that takes them: they are checked before
//! anything is measured, and judged on the record. A mistake is shown where it stands in the text.

use loadgen::verdict::threshold::{Judgement, Named, Threshold, ThresholdError};
use metrics_export::run::Run;

use crate::Failure;

/// The conditions of a command line, and the run that `baseline` means.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    thresholds: Vec<Threshold>,
    /// None: no expression may say `baseline`.
    baseline: Option<Run>,
}

impl Conditions {
    /// From each `--fail-if` that was typed, and the run that `baseline` means, if any.
    pub(crate) fn new(fail_if: &[String], baseline: Option<Run>) -> Result<Conditions, Failure> {
        let parse = |text: &String| {
            Threshold::parse(text)
                .map_err(|error| Failure::usage(located(text, &error)).because(error))
        };
        let thresholds = fail_if.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Conditions { thresholds, baseline })
    }

    /// Refuses conditions that a run of these variants could not answer, before it is made.
    pub(crate) fn check(&self, known: &[Named<'_>]) -> Result<(), Failure> {
        self.thresholds.iter().try_for_each(|threshold| {
            let checked = threshold.check(known, self.baseline.is_some());
            checked
                .map_err(|error| Failure::usage(located(threshold.text(), &error)).because(error))
        })
    }

    /// What became of each condition, in each cell. `threshold::text` prints it, and
    /// `threshold::exit_code` says how the command ends.
    pub(crate) fn judge(&self, run: &Run) -> Result<Vec<Judgement>, Failure> {
        let mut all = Vec::new();
        for threshold in &self.thresholds {
            let judged = threshold.judge(run, self.baseline.as_ref());
            all.extend(judged.map_err(|error| {
                Failure::usage(located(threshold.text(), &error)).because(error)
            })?);
        }
        Ok(all)
    }
}

/// The expression with a mark below the place that is wrong.
fn located(text: &str, error: &ThresholdError) -> String {
    let line = text.replace(|c: char| c.is_control(), " ");
    let mark = " ".repeat(error.column.saturating_sub(1));
    format!("--fail-if, {error}.\n  {line}\n  {mark}^")
}
