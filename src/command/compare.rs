//! `tollgate compare`: reads the records that are named, says what changed, and turns the
//! conditions that hold into an exit code.

use std::io::IsTerminal as _;

use loadgen::report::Paint;
use loadgen::verdict::compare::{self, Comparison};
use loadgen::verdict::threshold::Named;
use metrics_export::printable::printable;

use crate::io::terminal::in_colours;
use crate::io::{record, stdout};
use crate::options::conditions::Conditions;
use crate::{Failure, cli, values};

/// Makes a text of a comparison.
type Print = fn(&Comparison) -> Result<String, Failure>;

/// Carries out `tollgate compare`.
pub(crate) fn command(typed: &cli::CompareArgs) -> Result<u8, Failure> {
    let formats: [(&str, Print); 4] =
        [("text", text), ("json", json), ("markdown", markdown), ("quiet", quiet)];
    let print = values::choice("--output-format", &typed.output_format, &formats)?;
    let (mut before, mut after) = (record::load(&typed.before)?, record::load(&typed.after)?);
    if typed.output_format == "text" {
        (before, after) = (before.printable(), after.printable());
    }
    let mut comparison = compare::compare(&before, &after);
    let conditions = Conditions::new(&typed.fail_if, Some(before))?;
    conditions.check(&Named::of(&after.plan))?;
    comparison.thresholds = conditions.judge(&after)?;
    stdout::print(&print(&comparison)?)?;
    Ok(comparison.exit_code())
}

fn text(comparison: &Comparison) -> Result<String, Failure> {
    let no_color = std::env::var("NO_COLOR").ok();
    let paint = Paint::choose(std::io::stdout().is_terminal(), no_color.as_deref());
    Ok(in_colours(&compare::text(comparison, paint), paint).into_owned())
}

fn json(comparison: &Comparison) -> Result<String, Failure> {
    Ok(printable(&comparison.to_json().map_err(Failure::of)?).into_owned())
}

fn markdown(comparison: &Comparison) -> Result<String, Failure> {
    Ok(printable(&compare::markdown(comparison)).into_owned())
}

fn quiet(_: &Comparison) -> Result<String, Failure> {
    Ok(String::new())
}
