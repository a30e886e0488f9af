//! `tollgate run URL`: turns what was typed into a run, and prints what came of it.

use loadgen::command::run::{OutputFormat, run as run_url};
use loadgen::command::single;
use loadgen::traffic::slice::{Arrivals, SliceSpec};

use crate::failure::FailureKind;
use crate::io::output::{OutputFile, rendered};
use crate::io::runs::Runs;
use crate::options::request;
use crate::process::interrupt;
use crate::values::{self, duration, pattern};
use crate::{Failure, cli};

/// Carries out `tollgate run`.
pub(crate) fn command(typed: cli::RunArgs) -> Result<u8, Failure> {
    let format = request::format(&typed.request)?;
    let slice = slice(&typed)?;
    if typed.hlog.is_some() && typed.hlog == typed.request.output {
        return Err(Failure::usage("--hlog and --output name the same file: give each its own."));
    }
    let place = OutputFile::open(typed.request.output.as_deref())?;
    let log = OutputFile::open(typed.hlog.as_deref())?;
    let quiet = format == OutputFormat::Quiet;
    let runs = Runs::open(typed.request.runs.as_deref(), quiet)?;
    let shutdown = interrupt::begin()?;
    let cli::RunArgs { request, annotations, bounds, .. } = typed;
    let options = request::prepare(request, annotations, bounds, slice, &shutdown)?;
    if let Some(sentence) = options.announcement().filter(|_| !quiet) {
        eprintln!("{sentence}");
    }
    let shutdown = shutdown.watch();
    let interrupted = || shutdown.received().is_some();
    let outcome = run_url(&options, &interrupted).map_err(Failure::from)?;
    // A result that could not be delivered costs neither the log nor the record.
    let delivered = place.deliver(rendered(format, |format| outcome.render(format)).as_bytes());
    let logged = match log.is_named() {
        true => {
            outcome.hlog().map_err(Failure::sentence).and_then(|log_of| log.deliver_beside(&log_of))
        }
        false => Ok(()),
    };
    let recorded = single::of_run(&options, &outcome).map_err(Failure::sentence);
    let kept = recorded.and_then(|(record, log)| runs.keep(&record, log.as_deref()));
    delivered.and(logged).and(kept)?;
    Ok(match interrupted() {
        true => FailureKind::Interrupted.exit_code(),
        false => outcome.exit_code(),
    })
}

fn slice(typed: &cli::RunArgs) -> Result<SliceSpec, Failure> {
    let rate = match (typed.rate, typed.qps) {
        (Some(_), Some(_)) => return Err(Failure::usage("--rate and --qps mean the same.")),
        (rate, qps) => rate.or(qps),
    };
    let pattern = pattern(&typed.request.arrivals)?;
    let arrivals = match rate {
        None => Arrivals::Closed,
        Some(rate) => Arrivals::Open { rate: values::rate("--rate", rate)?, pattern },
    };
    if typed.requests == Some(0) {
        return Err(Failure::usage(
            "--requests takes 1 or more: without a request there is nothing \
                                   to measure.",
        ));
    }
    let length = duration("--duration", &typed.duration)?;
    Ok(SliceSpec {
        requests_max: typed.requests,
        ..SliceSpec::new(arrivals, typed.request.connections, length)
    })
}
