//! `tollgate doctor`: looks at this machine for a second and says what of it is good for
//! measuring, what costs accuracy, what blocks, and how to fix it. Facts are read and tried in one
//! place, judged in another that touches nothing, and printed in a third. It changes nothing.

mod facts;
mod judge;
mod look;
mod print;
mod read;

use std::io::IsTerminal as _;
use std::path::Path;

use loadgen::plan::Cores;
use loadgen::report::Paint;

use crate::failure::FailureKind;
use crate::io::stdout;
use crate::io::terminal::in_colours;
use crate::options::cores;
use crate::{Failure, cli, values};
use facts::Facts;

/// Carries out `tollgate doctor`.
pub(crate) fn command(typed: &cli::DoctorArgs) -> Result<u8, Failure> {
    let json = values::choice(
        "--output-format",
        &typed.output_format,
        &[("text", false), ("json", true)],
    )?;
    let findings = judge::judge(&facts()?);
    let out = if json {
        print::json(&findings).map_err(Failure::of)?
    } else {
        let no_color = std::env::var("NO_COLOR").ok();
        let paint = Paint::choose(std::io::stdout().is_terminal(), no_color.as_deref());
        in_colours(&print::text(&findings, paint), paint).into_owned()
    };
    stdout::print(&out)?;
    Ok(if print::blocked(&findings) { FailureKind::Failed.exit_code() } else { 0 })
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
