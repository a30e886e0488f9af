//! `tollgate capacity URL`: turns what was typed into a search, and prints what it found.

use loadgen::command::capacity::{CapacityOptions, Settings, capacity as search};
use loadgen::command::run::OutputFormat;
use loadgen::command::single;
use loadgen::traffic::slice::{Arrivals, SliceSpec};

use crate::failure::FailureKind;
use crate::io::output::{OutputFile, rendered};
use crate::io::runs::Runs;
use crate::options::request;
use crate::process::interrupt;
use crate::values::{duration, pattern, percent, slo};
use crate::{Failure, cli};

/// More confirmation slices than this take hours and say nothing more.
const CONFIRM_MAX: u32 = 10_000;

/// Carries out `tollgate capacity`.
pub(crate) fn command(typed: cli::CapacityArgs) -> Result<u8, Failure> {
    let format = request::format(&typed.request)?;
    let settings = settings(&typed)?;
    let pattern = pattern(&typed.request.arrivals)?;
    let generator_share_max = percent("--max-generator", &typed.max_generator)?;
    let slice = SliceSpec::new(Arrivals::Closed, typed.request.connections, settings.slice);
    let place = OutputFile::open(typed.request.output.as_deref())?;
    let quiet = format == OutputFormat::Quiet;
    let runs = Runs::open(typed.request.runs.as_deref(), quiet)?;
    let shutdown = interrupt::begin()?;
    let cli::CapacityArgs { request, annotations, bounds, .. } = typed;
    let run = request::prepare(request, annotations, bounds, slice, &shutdown)?;
    let options = CapacityOptions { run, pattern, settings, generator_share_max };
    let shutdown = shutdown.watch();
    if let Some(sentence) = options.run.announcement().filter(|_| !quiet) {
        eprintln!("{sentence}");
    }
    let interrupted = || shutdown.received().is_some();
    let outcome = search(&options, &interrupted).map_err(Failure::from)?;
    // A result that could not be delivered does not cost the record.
    let delivered = place.deliver(rendered(format, |format| outcome.render(format)).as_bytes());
    let kept = runs.keep(&single::of_capacity(&options, &outcome), None);
    delivered.and(kept)?;
    Ok(match interrupted() {
        true => FailureKind::Interrupted.exit_code(),
        false => outcome.exit_code(),
    })
}

fn settings(typed: &cli::CapacityArgs) -> Result<Settings, Failure> {
    let slo = typed.slo.as_deref().map(slo).transpose()?;
    let resolution = percent("--resolution", &typed.resolution)?;
    if !(0.001..=0.5).contains(&resolution) {
        return Err(Failure::usage("--resolution takes a share from 0.1% to 50%."));
    }
    if !(1..=CONFIRM_MAX).contains(&typed.confirm) {
        return Err(Failure::usage(format!("--confirm takes a number from 1 to {CONFIRM_MAX}.")));
    }
    Ok(Settings {
        resolution,
        confirm: typed.confirm.into(),
        slice: duration("--slice", &typed.slice)?,
        ..Settings::new(slo)
    })
}
