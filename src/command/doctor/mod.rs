//! `tollgate doctor`: looks at this machine for a second and says what of it is good for
//! measuring, what costs accuracy, what blocks, and how to fix it. Facts are read and tried in one
//! place, judged in another that touches nothing, and printed in a third. Then it measures for some
//! seconds how the cost of equal work drifts. It changes nothing.

mod drift;
mod facts;
mod judge;
mod look;
mod print;
mod read;

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use loadgen::machine::drift::measure;
use loadgen::plan::Cores;
use loadgen::report::Paint;

use crate::failure::FailureKind;
use crate::io::stdout;
use crate::io::terminal::in_colours;
use crate::options::cores;
use crate::{Failure, cli, values};
use drift::DriftTable;
use facts::Facts;

/// The longest measurement of drift, since all its samples are kept in memory.
const DRIFT_MAX: Duration = Duration::from_secs(600);

/// Carries out `tollgate doctor`.
pub(crate) fn command(typed: &cli::DoctorArgs) -> Result<u8, Failure> {
    let json = values::choice(
        "--output-format",
        &typed.output_format,
        &[("text", false), ("json", true)],
    )?;
    let drift = drift_length(&typed.drift)?;
    let facts = facts()?;
    let findings = judge::judge(&facts);
    if json {
        let drift = measure_drift(&facts, drift);
        stdout::print(&print::json(&findings, drift.as_ref()).map_err(Failure::of)?)?;
    } else {
        let no_color = std::env::var("NO_COLOR").ok();
        let paint = Paint::choose(std::io::stdout().is_terminal(), no_color.as_deref());
        // Findings are read while drift is measured.
        stdout::print(&in_colours(&print::text(&findings, paint), paint))?;
        if let Some(table) = measure_drift(&facts, drift) {
            stdout::print(&in_colours(&table.text(paint), paint))?;
        }
    }
    Ok(if print::blocked(&findings) { FailureKind::Failed.exit_code() } else { 0 })
}

/// How long drift is measured; zero for not at all.
fn drift_length(text: &str) -> Result<Duration, Failure> {
    let length = values::duration_or_zero("--drift", text)?;
    if length > DRIFT_MAX {
        return Err(Failure::usage(format!("--drift takes at most 10m, not {text:?}.")));
    }
    Ok(length)
}

/// The drift of the first core that servers would use; None when it was not asked for. That it
/// cannot be measured is told, and is no failure: measuring may work all the same.
fn measure_drift(facts: &Facts, length: Duration) -> Option<DriftTable> {
    if length.is_zero() {
        return None;
    }
    let servers = facts.cores.as_ref().map_or(&[][..], |cores| &cores.servers);
    let core = servers.first().or(facts.system.cores_allowed.first()).copied().unwrap_or(0);
    match measure(core, length) {
        Ok(samples) => Some(DriftTable::of(core, &samples)),
        Err(error) => {
            eprintln!("tollgate: The drift of core {core} could not be measured: {error}.");
            None
        }
    }
}

fn facts() -> Result<Facts, Failure> {
    let path = std::env::var("PATH").unwrap_or_default();
    let system = read::system(Path::new("/"), &path);
    // Where there is one core only, that is looked at, and the judgement says so.
    let cores = cores::split(None, None).ok();
    let only = || {
        let core = system.cores_allowed.first().copied().into_iter().collect::<Vec<_>>();
        Cores { servers: core.clone(), generator: core }
    };
    let look = look::look(&cores.clone().unwrap_or_else(only))?;
    Ok(Facts { system, tried: look::tried(), cores, look, optimised: !cfg!(debug_assertions) })
}
