//! `tollgate matrix`: every profile under the same traffic, and what each layer of it costs.
//!
//! The flow and nothing else: plan, generator, experiment, results, validity, record, directory.
//! What the parts mean is in their own rooms; starting processes is the caller's.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use authn::Profile;
use indicatif::{ProgressBar, ProgressStyle};
use metrics_export::date;
use metrics_export::run::{self, Bounds, Plan, PlannedVariant, Run, Validity};
use runtime::generator::DriverChoice;

use crate::bench::{LiveBench, Setup};
use crate::experiment::{Experiment, Failure, Findings, Order, Watcher};
use crate::generator::{Generator, GeneratorOptions};
use crate::plan::{Cores, Protocol, Tokens, Topology, Variant};
use crate::stack::Stack;
use crate::validity::{self, Judged};
use crate::workload::Workload;
use crate::{directory, environment, results, stats};

/// Different tokens of a first-sight variant. The cache is off there, so that the number only has
/// to be large enough for nothing else to remember a token.
pub const TOKEN_POOL: u32 = 256;

/// What `tollgate matrix` was asked to do.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// What is compared; see [`Matrix::variants_of`].
    pub variants: Vec<Variant>,
    /// How.
    pub protocol: Protocol,
    /// Beyond which bounds the run is not believed.
    pub bounds: Bounds,
    /// What is asked of the servers.
    pub workload: Workload,
    /// How the services are laid out.
    pub topology: Topology,
    /// On which cores.
    pub cores: Cores,
    /// The directory below which the run gets its own.
    pub runs: PathBuf,
    /// The commit that this program was built from, where known.
    pub commit: Option<String>,
    /// The name of the run in its outputs.
    pub label: Option<String>,
    /// How tokens are signed, such as `es256`; a fact of the stack that is stored with the result.
    pub token_algorithm: String,
    /// What the generator's event loop stands on.
    pub driver: DriverChoice,
    /// Worker threads of each service; a fact of the stack that is stored with the result.
    pub workers: usize,
}

/// A finished or interrupted run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The record.
    pub run: Run,
    /// Where it was written.
    pub directory: PathBuf,
}

impl Outcome {
    /// 130 interrupted, 1 a slice was not what its label says, 3 not valid, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if !self.run.complete {
            130
        } else if self.run.proofs.iter().any(|proof| !proof.holds) {
            1
        } else if !self.run.validity.valid {
            3
        } else {
            0
        }
    }
}

impl Matrix {
    /// The variants that price these profiles: the baseline twice, then each profile in its forms.
    #[must_use]
    pub fn variants_of(profiles: &[Profile]) -> Vec<Variant> {
        let baseline = Variant::baseline(false);
        let mut variants = vec![Variant::baseline(true)];
        let others = profiles.iter().filter(|profile| **profile != baseline.profile);
        variants.extend(others.flat_map(|profile| Variant::of(*profile, TOKEN_POOL)));
        variants.insert(0, baseline);
        variants
    }

    /// The plan as one paragraph, to be printed before the first slice.
    #[must_use]
    pub fn announcement(&self) -> String {
        let protocol = &self.protocol;
        let names: Vec<&str> = self.variants.iter().map(|variant| variant.label.as_str()).collect();
        let mut out = String::new();
        let _ = write!(
            out,
            "{} variants ({}), {} rounds of {} ms slices over {} instances; servers on core {:?}, \
             generator on core {:?}; seed {}",
            names.len(),
            names.join(", "),
            protocol.rounds,
            protocol.slice.as_millis(),
            protocol.instances,
            self.cores.servers,
            self.cores.generator,
            protocol.seed,
        );
        out
    }

    /// Runs it. `interrupted` is asked between slices.
    ///
    /// # Errors
    /// What made the run impossible, as a sentence; then nothing is written.
    pub fn run(
        &self,
        stack: &mut dyn Stack,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Outcome, Failure> {
        self.protocol.check().map_err(Failure)?;
        let began = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut environment = environment::read(self.commit.as_deref());
        let on_cores = GeneratorOptions::on_cores(&self.cores.generator);
        let options = GeneratorOptions { driver: self.driver, ..on_cores };
        let generator = Generator::start(&options).map_err(|error| Failure(error.to_string()))?;
        let mut bench = LiveBench::new(Setup {
            stack,
            generator,
            variants: &self.variants,
            protocol: &self.protocol,
            workload: &self.workload,
            cores: &self.cores,
            interrupted,
        });
        let experiment = Experiment {
            variants: &self.variants,
            protocol: &self.protocol,
            bounds: &self.bounds,
            measured_cores: self.cores.measured(),
        };
        let findings = experiment.run(&mut bench, &mut Bar::new(&self.variants))?;
        environment.server_drivers = bench.server_drivers.iter().cloned().collect();
        environment.client_driver = bench.client_driver.clone();
        // The servers stop before the record is written: nothing of it depends on them any more.
        drop(bench);
        let run = self.record(&findings, environment, now, began.elapsed());
        let logs = self.variants.iter().zip(&findings.variants);
        let logs: Vec<(&str, &[u8])> = logs
            .filter_map(|(variant, kept)| {
                Some((variant.id.as_str(), kept.log.as_ref()?.as_bytes()))
            })
            .collect();
        let directory = directory::write(&self.runs, &run, &logs).map_err(Failure)?;
        Ok(Outcome { run, directory })
    }

    /// The record of what was found.
    #[must_use]
    pub fn record(
        &self,
        findings: &Findings,
        environment: run::Environment,
        now: Duration,
        elapsed: Duration,
    ) -> Run {
        let seed = self.protocol.seed;
        let (costs, noise_floor_share) = results::costs(findings, &self.variants, seed);
        let id = format!("{}-{:04x}", date::compact(now.as_secs()), seed & 0xffff);
        Run {
            schema: run::SCHEMA.into(),
            schema_version: run::SCHEMA_VERSION,
            id,
            command: "matrix".into(),
            started_at: date::rfc3339(now.as_secs()),
            elapsed_ns: elapsed.as_nanos() as u64,
            complete: findings.complete,
            validity: self.validity(findings, &costs),
            plan: self.plan(findings),
            environment,
            proofs: findings.proofs.clone(),
            results: results::variants(findings, &self.variants),
            costs,
            noise_floor_share,
            slices: findings.slices.clone(),
        }
    }

    fn validity(&self, findings: &Findings, costs: &[run::Cost]) -> Validity {
        let kept = self.variants.iter().zip(&findings.variants);
        let judged: Vec<Judged<'_>> = kept
            .map(|(variant, kept)| Judged {
                variant: &variant.id,
                label: &variant.label,
                lateness: &kept.times.lateness,
            })
            .collect();
        let (bounds, cores) = (&self.bounds, self.cores.measured());
        let mut validity = validity::judge(&findings.slices, &judged, bounds, cores);
        if results::control_failed(costs) {
            validity.notes.push(
                "The A/A control called a difference between S0 and itself, which happens by \
                 chance in 5 of 100 runs: repeat the run before you use small differences."
                    .into(),
            );
        }
        if stats::ROUNDS_MIN > self.protocol.rounds as usize {
            validity.notes.push(format!(
                "{} rounds give no interval: use at least {} (--rounds).",
                self.protocol.rounds,
                stats::ROUNDS_MIN
            ));
        }
        validity
    }

    fn plan(&self, findings: &Findings) -> Plan {
        let protocol = &self.protocol;
        let share = protocol.operating_share;
        let rate_source = match protocol.rate_per_s {
            Some(_) => "as asked".into(),
            None => format!("{:.0}% of the slowest variant's closed loop", share * 100.0),
        };
        let tokens = |variant: &Variant| match variant.tokens {
            Tokens::None => "none".into(),
            Tokens::One => "one".into(),
            Tokens::Unique(count) => format!("unique:{count}"),
        };
        let planned = self.variants.iter().map(|variant| PlannedVariant {
            id: variant.id.clone(),
            label: variant.label.clone(),
            profile: variant.profile.label().into(),
            tokens: tokens(variant),
            token_cache: variant.token_cache,
        });
        Plan {
            label: self.label.clone(),
            workload: self.workload.name.clone(),
            token_algorithm: self.token_algorithm.clone(),
            workers: self.workers as u64,
            call_path: "gateway".into(),
            topology: self.topology.as_str().into(),
            protocol: "HTTP/1.1".into(),
            arrivals: protocol.pattern.as_str().into(),
            client_wait: "spin".into(),
            connections: protocol.connections as u64,
            rounds: protocol.rounds,
            instances: protocol.instances,
            slice_ns: protocol.slice.as_nanos() as u64,
            warmup_ns: protocol.warmup.as_nanos() as u64,
            closed_slice_ns: protocol.closed_slice.as_nanos() as u64,
            handshake_slice_ns: protocol.handshake_slice.as_nanos() as u64,
            operating_share_milli: (share * 1000.0).round() as u32,
            rate_milli_per_s: (findings.rate_per_s.unwrap_or(0.0) * 1000.0).round() as u64,
            rate_source,
            seed: protocol.seed,
            quick: protocol.quick,
            server_cores: self.cores.servers.clone(),
            generator_cores: self.cores.generator.clone(),
            variants: planned.collect(),
        }
    }
}

/// A progress bar on the error stream, drawn between slices only; none where that is no terminal.
struct Bar {
    bar: ProgressBar,
    labels: Vec<String>,
}

impl Bar {
    fn new(variants: &[Variant]) -> Bar {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Bar { bar, labels: variants.iter().map(|variant| variant.label.clone()).collect() }
    }
}

impl Watcher for Bar {
    fn taken(&mut self, done: u64, planned: u64, order: &Order) {
        self.bar.set_length(planned);
        self.bar.set_message(format!("{} {}", self.labels[order.variant], order.kind.as_str()));
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests;
