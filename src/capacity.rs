//! `tollgate capacity URL`: turns what was typed into a search, and prints what it found.

use std::time::Duration;

use loadgen::capacity::{CapacityOptions, Quantile, Settings, Slo, capacity as search};
use loadgen::run::Format;
use loadgen::slice::{Arrivals, SliceSpec};

use crate::bounds::percent;
use crate::matrix::{self, duration, pattern};
use crate::output::{Place, rendered};
use crate::{Failure, cli, request};

/// More confirmation slices than this take hours and say nothing more.
const CONFIRM_MAX: u32 = 10_000;

/// Carries out `tollgate capacity`.
pub(crate) fn command(typed: cli::Capacity) -> Result<u8, Failure> {
    let words = typed.request();
    let format = request::format(&words)?;
    let settings = settings(&typed)?;
    let pattern = pattern(&typed.arrivals)?;
    let generator_share_max = percent("--max-generator", &typed.max_generator)?;
    let slice = SliceSpec::new(Arrivals::Closed, typed.connections, settings.slice);
    let place = Place::open(words.output.as_deref())?;
    let shutdown = matrix::begin()?;
    let run = request::prepare(&words, slice, &shutdown)?;
    let options = CapacityOptions { run, pattern, settings, generator_share_max };
    let shutdown = shutdown.watch();
    if let Some(sentence) = options.run.announcement().filter(|_| format != Format::Quiet) {
        eprintln!("{sentence}");
    }
    let interrupted = || shutdown.received().is_some();
    let outcome = search(&options, &interrupted)
        .map_err(|error| Failure { code: error.exit_code(), message: format!("{error}.") })?;
    place.deliver(rendered(format, |format| outcome.render(format)).as_bytes())?;
    Ok(if interrupted() { matrix::interrupted().code } else { outcome.exit_code() })
}

fn settings(typed: &cli::Capacity) -> Result<Settings, Failure> {
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

/// A limit as people write it: `p99=2ms`.
pub(crate) fn slo(text: &str) -> Result<Slo, Failure> {
    let (name, limit) = text.split_once('=').unwrap_or((text, ""));
    let wrong = || {
        Failure::usage(format!(
            "--slo takes p50, p90, p99, p99.9 or max with a time, such as p99=2ms, not {text:?}."
        ))
    };
    let quantile = Quantile::parse(name).ok_or_else(wrong)?;
    let limit: Duration = duration("--slo", limit).map_err(|_| wrong())?;
    Ok(Slo { quantile, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_a_quantile_and_a_time() {
        let two_ms = Duration::from_millis(2);
        assert_eq!(slo("p99=2ms").unwrap(), Slo { quantile: Quantile::P99, limit: two_ms });
        assert_eq!(slo("p99.9=2ms").unwrap().quantile, Quantile::P999);
        assert_eq!(slo("max=1.5s").unwrap().limit, Duration::from_millis(1_500));
        for wrong in ["", "p99", "p99=", "p99=2", "p98=2ms", "=2ms", "p99=0ms", "2ms"] {
            assert!(slo(wrong).unwrap_err().message.contains("p99=2ms"), "{wrong}");
        }
    }
}
