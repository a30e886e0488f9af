//! The capacity of every variant, searched after the rounds on the servers of the last instance:
//! one variant after the other, each on its own search. It decides no load: that is
//! [`crate::command::capacity`]'s.

use metrics_export::breaches::MATRIX;
use metrics_export::run::{LoadPoint, Slice, SliceKind};

use crate::command::capacity::{Load, SearchStep, Settings, search};
use crate::experiment::{Bench, Experiment, Failure, Findings, SliceLoad, SliceRequest, Watcher};
use crate::traffic::schedule::Rate;
use crate::validity::{self, Observed};

/// Searches the capacity of every variant but the control, whose servers are its baseline's
/// likeness. Ended early, what was found until then is kept.
///
/// # Errors
/// What made a slice impossible.
pub(super) fn search_all(
    experiment: &Experiment<'_>,
    settings: &Settings,
    bench: &mut dyn Bench,
    watcher: &mut dyn Watcher,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let instance = findings.slices.iter().map(|slice| slice.instance).max().unwrap_or(0);
    for (place, variant) in experiment.variants.iter().enumerate() {
        if variant.role.control || bench.interrupted() || !findings.complete {
            continue;
        }
        let settings =
            Settings { maximum_per_s: maximum(findings, &variant.id), ..settings.clone() };
        // The search is told of an end through the slice that it came in.
        let ended = std::cell::Cell::new(false);
        let mut measure = |step: &SearchStep| {
            let measured = bench.slice(&request(place, instance, step)?)?;
            ended.set(bench.interrupted());
            watcher.taken(1, 1, &measured.slice);
            Ok::<_, Failure>(point(step, &measured.slice, experiment))
        };
        let (found, failure) = search(settings, &mut measure, &|| ended.get());
        findings.complete &= found.complete;
        findings.variants[place].capacity = Some(found);
        failure.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// The median of the closed-loop slices that were taken already, in requests per second.
fn maximum(findings: &Findings, variant: &str) -> Option<f64> {
    let closed = findings.counted(variant, SliceKind::Closed);
    let rates: Vec<f64> = closed.filter_map(Slice::answered_milli_per_s).collect();
    crate::stats::median(&rates).map(|milli| milli / 1e3).filter(|rate| *rate > 0.0)
}

fn request(variant: usize, instance: u32, step: &SearchStep) -> Result<SliceRequest, Failure> {
    let unsendable = |rate| Failure::new(format!("{rate} requests per second cannot be sent"));
    let load = match step.load {
        Load::Closed => SliceLoad::Closed,
        Load::Open(rate) => {
            SliceLoad::Open(Rate::per_second(rate).ok_or_else(|| unsendable(rate))?)
        }
    };
    let (round, position, attempt, warmup) = (0, 0, 0, false);
    Ok(SliceRequest { variant, load, instance, round, position, attempt, warmup })
}

fn point(step: &SearchStep, slice: &Slice, experiment: &Experiment<'_>) -> LoadPoint {
    let milli = |rate: f64| (rate * 1e3).round() as u64;
    let (bounds, cores) = (experiment.bounds, experiment.measured_cores);
    let observed = Observed::of_slice(slice, cores);
    let (breaches, disturbances) = validity::by_cause(validity::judge(&observed, bounds, MATRIX));
    LoadPoint {
        asked_milli_per_s: match step.load {
            Load::Closed => None,
            Load::Open(rate) => Some(milli(rate)),
        },
        achieved_milli_per_s: slice.answered_milli_per_s().unwrap_or(0.0).round() as u64,
        response: slice.response,
        service: slice.service,
        server_cpu_ns_per_request: slice.cpu_ns_per_request().map(|ns| ns.round() as u64),
        generator_share_milli: slice.generator_share_milli,
        errors: slice.errors_total(),
        dropped: slice.dropped,
        kept: None,
        breaches,
        disturbances,
    }
}
