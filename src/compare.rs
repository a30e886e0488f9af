//! `tollgate compare`, and the conditions of `--fail-if` for every command that takes them: reads
//! the records that are named, and turns what holds into an exit code.

use std::io::IsTerminal as _;
use std::path::Path;

use loadgen::compare::{self, Comparison};
use loadgen::report::Paint;
use loadgen::threshold::{Judgement, Named, Threshold, ThresholdError};
use metrics_export::printable::printable;
use metrics_export::run::Run;

use crate::terminal::in_colours;
use crate::{Failure, cli, report, stdout};

/// Carries out `tollgate compare`.
pub(crate) fn command(typed: &cli::Compare) -> Result<u8, Failure> {
    let print: fn(&Comparison) -> Result<String, Failure> = match typed.output_format.as_str() {
        "text" => |comparison| {
            let no_color = std::env::var("NO_COLOR").ok();
            let paint = Paint::choose(std::io::stdout().is_terminal(), no_color.as_deref());
            Ok(in_colours(&compare::text(comparison, paint), paint).into_owned())
        },
        "json" => |comparison| {
            let json = comparison.to_json().map_err(Failure::failed)?;
            Ok(printable(&json).into_owned())
        },
        "markdown" => |comparison| Ok(printable(&compare::markdown(comparison)).into_owned()),
        "quiet" => |_| Ok(String::new()),
        other => {
            return Err(Failure::usage(format!(
                "--output-format takes text, json, markdown or quiet here, not {other:?}."
            )));
        }
    };
    let conditions = Conditions::new(&typed.fail_if, None)?;
    let (mut before, mut after) = (load(&typed.before)?, load(&typed.after)?);
    if typed.output_format == "text" {
        (before, after) = (before.printable(), after.printable());
    }
    let mut comparison = compare::compare(&before, &after);
    let conditions = Conditions { baseline: Some(before), ..conditions };
    conditions.check(&Named::of(&after.plan))?;
    comparison.thresholds = conditions.judge(&after)?;
    stdout::print(&print(&comparison)?)?;
    Ok(comparison.exit_code())
}

/// The conditions of a command line, and the run that `baseline` means.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    thresholds: Vec<Threshold>,
    /// None: no expression may say `baseline`.
    baseline: Option<Run>,
}

impl Conditions {
    /// From what was typed: each `--fail-if`, and the run of `--baseline`, if any.
    pub(crate) fn new(fail_if: &[String], baseline: Option<&str>) -> Result<Conditions, Failure> {
        let parse = |text: &String| {
            Threshold::parse(text).map_err(|error| Failure::usage(located(text, &error)))
        };
        let thresholds = fail_if.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Conditions { thresholds, baseline: baseline.map(load).transpose()? })
    }

    /// Refuses conditions that a run of these variants could not answer, before it is made.
    pub(crate) fn check(&self, known: &[Named<'_>]) -> Result<(), Failure> {
        self.thresholds.iter().try_for_each(|threshold| {
            let checked = threshold.check(known, self.baseline.is_some());
            checked.map_err(|error| Failure::usage(located(threshold.text(), &error)))
        })
    }

    /// What became of each condition, in each cell. `loadgen::threshold::text` prints it, and
    /// `loadgen::threshold::exit_code` says how the command ends.
    pub(crate) fn judge(&self, run: &Run) -> Result<Vec<Judgement>, Failure> {
        let mut all = Vec::new();
        for threshold in &self.thresholds {
            let judged = threshold.judge(run, self.baseline.as_ref());
            all.extend(judged.map_err(|error| Failure::usage(located(threshold.text(), &error)))?);
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

/// The record of a run, by its directory or by its `run.json`.
pub(crate) fn load(path: &str) -> Result<Run, Failure> {
    let named = Path::new(path);
    let file = if named.is_dir() { named.join("run.json") } else { named.to_owned() };
    let shown = file.display();
    let text = report::read(&file, report::RECORD_BYTES_MAX).map_err(|why| {
        Failure::failed(format!(
            "Could not read {shown}: {why}; name the directory of a run, or its run.json."
        ))
    })?;
    Run::from_json(&text).map_err(|sentence| Failure::failed(format!("{shown}: {sentence}.")))
}
