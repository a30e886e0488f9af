//! `tollgate matrix`: every profile under the same traffic, and what each layer of it costs.
//!
//! The flow and nothing else: plan, generator, experiment, results, validity, record, directory.
//! The same flow measures the user's own servers and the server of known cost. What the parts mean
//! is in their own rooms; starting processes is the caller's.

mod bar;
mod builds;
mod capacity;
mod forecast;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use authn::Profile;
use metrics_export::date;
use metrics_export::run::{
    self, Bounds, Build, CpuSourceKind, GeneratorWait, Plan, PlannedVariant, Run, RunCommand,
    SubjectKind, Validity,
};
use runtime::generator::DriverChoice;

use crate::command::capacity::Settings;
use crate::command::run::rig::watched;
use crate::experiment::bench::{BenchSetup, LiveBench};
use crate::experiment::results;
use crate::experiment::results::Estimates;
use crate::experiment::stack::Stack;
use crate::experiment::{CellView, Experiment, Failure, Findings};
use crate::machine::environment;
use crate::panics::caught;
use crate::plan::{
    Annotations, Cores, PROTOCOL, PlannedCell, Protocol, Role, StopRule, Topology, Variant,
};
use crate::report::cores;
use crate::stats::{Layer, LayerInput as _, Per};
use crate::traffic::generator::{Generator, GeneratorOptions};
use crate::traffic::schedule::Rate;
use crate::validity::judge_run;
use crate::verdict::instructions::Stored;
use crate::{directory, stats};

use bar::SliceBar;
pub use forecast::{Forecast, ForecastLength};

/// What is measured: whose servers, and what is compared with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Our own stack under security profiles; the layers are known.
    Stack(Topology),
    /// The user's servers; each is compared with another: pairs of roles.
    Targets(Vec<Against>),
    /// The server of known cost; pairs of roles.
    Reference(Vec<Against>),
}

/// A difference that the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    /// The role whose cost is asked.
    pub role: Role,
    /// The role that it is taken to.
    pub reference: Role,
}

/// What `tollgate matrix` was asked to do.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Whose servers.
    pub subjects: Subjects,
    /// Settings of everything but the profile.
    pub cells: Vec<PlannedCell>,
    /// What is compared; see [`Matrix::variants_of`].
    pub variants: Vec<Variant>,
    /// The builds of tollgate that are compared, the reference first; none where the servers are of
    /// one build.
    pub builds: Vec<Build>,
    /// How.
    pub protocol: Protocol,
    /// Beyond which bounds the run is not believed.
    pub bounds: Bounds,
    /// On which cores.
    pub cores: Cores,
    /// The directory below which the run gets its own.
    pub runs: PathBuf,
    /// What the user and the build say about it.
    pub annotations: Annotations,
    /// What the generator's event loop stands on.
    pub driver: DriverChoice,
    /// A search for the capacity of every variant after the rounds, where it is asked for.
    pub capacity: Option<Settings>,
}

/// A finished or interrupted run.
#[derive(Clone, Debug)]
pub struct MatrixOutcome {
    /// The record.
    pub run: Run,
    /// Where it was written.
    pub directory: PathBuf,
    /// What ended it before its time, where that was no wish, as a sentence.
    pub failure: Option<String>,
    /// Why it was not written where it should have been, as a sentence.
    pub misplaced: Option<String>,
}

impl MatrixOutcome {
    /// 1 it failed before its time or could not be written where it should have been, 130
    /// interrupted, 1 a slice was not what its label says, 3 not valid, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.failure.is_some() || self.misplaced.is_some() {
            1
        } else if !self.run.complete {
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
    /// The variants from which the cost of these profiles is estimated in every cell: the baseline
    /// twice, then each profile in its forms, each of them with the servers of each build. The
    /// baseline is S0, or the first profile where S0 is not among them, of the first build.
    #[must_use]
    pub fn variants_of(
        profiles: &[Profile],
        builds: &[Build],
        cells: &[PlannedCell],
    ) -> Vec<Variant> {
        let mut variants = Vec::new();
        for (place, cell) in cells.iter().enumerate() {
            let own = profiles.iter().flat_map(|profile| Variant::of(*profile, place, cell));
            let mut own: Vec<Variant> =
                own.flat_map(|variant| builds::variants(variant, builds, cell)).collect();
            let s0 = Role::profile(Profile::NAMED[0].1, None);
            let is_s0 = |variant: &Variant| variant.role.of_any_build() == s0;
            let baseline = own.iter().position(is_s0).unwrap_or(0);
            if let Some(control) = own.get(baseline).map(Variant::control) {
                own.insert(baseline + 1, control);
            }
            variants.extend(own);
        }
        variants
    }

    /// What is estimated in each cell.
    #[must_use]
    pub fn layers(&self) -> Vec<Vec<Layer>> {
        (0..self.cells.len()).map(|cell| self.layers_of(cell)).collect()
    }

    fn layers_of(&self, cell: usize) -> Vec<Layer> {
        let own = || self.variants.iter().filter(|variant| variant.cell == cell);
        let roles: Vec<Role> = own().map(|variant| variant.role.clone()).collect();
        let mut layers = stats::layers(&roles);
        match &self.subjects {
            Subjects::Stack(_) => layers.extend(builds::layers(&self.builds, own())),
            Subjects::Targets(pairs) | Subjects::Reference(pairs) => {
                for per in [Per::Request, Per::Connection] {
                    layers.extend(pairs.iter().map(|pair| self.difference(pair, per)));
                }
            }
        }
        layers
    }

    fn difference(&self, pair: &Against, per: Per) -> Layer {
        let suffix = if per == Per::Connection { "-connection" } else { "" };
        let id = format!("{}{suffix}", pair.role);
        let label = |role: &Role| {
            let found = self.variants.iter().find(|variant| variant.role == *role);
            found.map_or(role.to_string(), |variant| variant.label.clone())
        };
        let (own, reference) = (label(&pair.role), label(&pair.reference));
        let layer = stats::difference(&id, &own, &pair.role, &pair.reference, per);
        Layer { formula: format!("{own} - {reference}"), ..layer }
    }

    /// The plan as one paragraph, to be printed before the first slice.
    #[must_use]
    pub fn announcement(&self) -> String {
        let protocol = &self.protocol;
        let first = || self.variants.iter().filter(|variant| variant.cell == 0);
        let names: Vec<&str> = first().map(|variant| variant.label.as_str()).collect();
        let mut out = String::new();
        let _ = write!(out, "{} variants ({})", self.variants.len(), names.join(", "));
        if self.cells.len() > 1 {
            let cells: Vec<&str> = self.cells.iter().map(|cell| cell.label.as_str()).collect();
            let _ = write!(out, " in {} settings ({})", cells.len(), cells.join("; "));
        }
        let _ =
            write!(out, ", {} rounds of {} ms slices", protocol.rounds, protocol.slice.as_millis());
        if matches!(self.subjects, Subjects::Stack(_) | Subjects::Reference(_)) {
            let _ = write!(out, " over {} instances", protocol.instances);
        }
        if protocol.stop != StopRule::default() {
            let _ = write!(out, " at most ({})", protocol.stop.name());
        }
        if !self.builds.is_empty() {
            let builds: Vec<String> = self.builds.iter().map(ToString::to_string).collect();
            let _ = write!(out, "; builds {}", builds.join(", "));
        }
        let _ = write!(
            out,
            "; servers on {}, generator on {}; seed {}",
            cores(&self.cores.servers),
            cores(&self.cores.generator),
            protocol.seed,
        );
        out
    }

    /// Runs it. `interrupted` is asked between slices.
    ///
    /// # Errors
    /// What made the run impossible before a slice was finished, as a sentence; then nothing is
    /// written. What happens later is in the outcome.
    pub fn run(
        &self,
        stack: &mut dyn Stack,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<MatrixOutcome, Failure> {
        self.protocol.check()?;
        let began = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut environment = environment::read(self.annotations.commit.as_deref());
        let (findings, drivers) = self.measure(&self.protocol, stack, interrupted)?;
        (environment.server_drivers, environment.generator_driver) = drivers;
        let mut run = self.record(&findings, environment, now, began.elapsed());
        let counted = caught(|| self.judge_by_counts(&mut run, &Stored::built_in()));
        run.validity.notes.extend(counted.err().map(|why| format!("Instructions: {why}.")));
        let logs = self.variants.iter().zip(&findings.variants);
        let logs: Vec<(&str, &[u8])> = logs
            .filter_map(|(variant, kept)| {
                Some((variant.id.as_str(), kept.log.as_ref()?.as_bytes()))
            })
            .collect();
        let (directory, misplaced) = directory::write_somewhere(&self.runs, &run, &logs);
        let failure = findings.failure.map(|failure| failure.to_string());
        Ok(MatrixOutcome { run, directory, failure, misplaced })
    }

    /// Measures for half a minute, and tells how narrow the intervals of longer runs will be. No
    /// record is left.
    ///
    /// # Errors
    /// What made it impossible, or an end that was asked for.
    pub fn forecast(
        &self,
        stack: &mut dyn Stack,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Forecast, Failure> {
        self.protocol.check()?;
        let began = Instant::now();
        let short = Matrix { capacity: None, ..self.clone() };
        let (findings, _) = short.measure(&forecast::protocol(self), stack, interrupted)?;
        if let Some(failure) = findings.failure {
            return Err(failure);
        }
        if !findings.complete {
            return Err(Failure::new("the forecast was interrupted"));
        }
        let layers = self.layers_of(0);
        let view = CellView { findings: &findings, variants: &self.variants, cell: 0 };
        let reference = layers.first().map(|layer| layer.reference.clone());
        let rounds = view.rounds().into_iter();
        let costs: Vec<f64> = rounds
            .flat_map(|(round, _)| match &reference {
                Some(role) => view.figures(role, Per::Request, round),
                None => Vec::new(),
            })
            .collect();
        let baseline_ns = stats::median(&costs).unwrap_or(0.0);
        let observe = |layer: &Layer| stats::observations(layer, &view);
        forecast::of(&findings, &layers, observe, baseline_ns, began.elapsed())
    }

    /// Runs the experiment with real servers, and tells the drivers of servers and generator.
    fn measure(
        &self,
        protocol: &Protocol,
        stack: &mut dyn Stack,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Findings, (Vec<String>, String)), Failure> {
        let on_cores = GeneratorOptions::on_cores(&self.cores.generator);
        let options = GeneratorOptions { driver: self.driver, ..on_cores };
        let generator = Generator::start(&options).map_err(Failure::of)?;
        let stop = generator.stopper();
        let mut bench = LiveBench::new(BenchSetup {
            stack,
            generator,
            variants: &self.variants,
            cells: &self.cells,
            protocol,
            cores: &self.cores,
            interrupted,
        });
        let layers = self.layers();
        let experiment = Experiment {
            variants: &self.variants,
            cells: &self.cells,
            layers: &layers,
            protocol,
            bounds: &self.bounds,
            measured_cores: self.cores.measured(),
        };
        let mut bar = SliceBar::new(&self.variants, &self.cells);
        let findings = watched(&stop, interrupted, || {
            let mut findings = experiment.run(&mut bench, &mut bar)?;
            if let Some(settings) = self.capacity.as_ref().filter(|_| findings.failure.is_none()) {
                let search = || {
                    capacity::search_all(&experiment, settings, &mut bench, &mut bar, &mut findings)
                };
                match caught(search).map_err(Failure::from).flatten() {
                    Ok(()) => {}
                    // What fails once the end was asked for is no failure.
                    Err(_) if interrupted() => findings.complete = false,
                    Err(failure) => findings.fail(failure),
                }
            }
            Ok::<_, Failure>(findings)
        })?;
        let servers = bench.server_drivers.iter().cloned().collect();
        // The servers stop before the record is written: nothing of it depends on them any more.
        Ok((findings, (servers, bench.generator_driver.clone())))
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
        let (variants, cells) = (&self.variants, &self.cells);
        // The slices are worth keeping without what is made of them.
        let estimated =
            caught(|| results::estimates(findings, variants, cells, &self.layers(), seed));
        let results = caught(|| results::variants(findings, variants));
        let faults: Vec<String> =
            estimated.as_ref().err().into_iter().chain(results.as_ref().err()).cloned().collect();
        let Estimates { costs, service_times, floors, interleaving, additivity } =
            estimated.unwrap_or_default();
        let mut validity = self.validity(findings, &costs);
        validity.notes.extend(faults.iter().map(|why| format!("Figures are missing: {why}.")));
        let ended = findings.failure.iter().map(|why| format!("It ended before its time: {why}."));
        validity.notes.extend(ended);
        Run {
            schema: run::SCHEMA.into(),
            schema_version: run::SCHEMA_VERSION,
            id: directory::new_id(now),
            command: RunCommand::Matrix,
            started_at: date::rfc3339(now.as_secs()),
            elapsed_ns: elapsed.as_nanos() as u64,
            complete: findings.complete,
            validity,
            plan: self.plan(findings),
            environment,
            proofs: findings.proofs.clone(),
            results: results.unwrap_or_default(),
            costs,
            service_times,
            floors,
            interleaving,
            additivity,
            slices: findings.slices.clone(),
            fleet: None,
            network: None,
        }
    }

    /// Small layers of our own stack are judged by instructions too.
    fn judge_by_counts(&self, run: &mut Run, stored: &Stored) {
        if matches!(self.subjects, Subjects::Stack(_)) {
            let layers: Vec<Layer> = self.layers().into_iter().flatten().collect();
            stored.judge(&mut run.costs, &layers);
        }
    }

    fn validity(&self, findings: &Findings, costs: &[run::Cost]) -> Validity {
        let judged = results::judged(findings, &self.variants);
        let (bounds, cores) = (&self.bounds, self.cores.measured());
        let mut validity = judge_run(&findings.slices, &judged, bounds, cores);
        validity.notes.extend(findings.notes.iter().cloned());
        if results::control_failed(costs) {
            validity.notes.push(
                "The A/A control called a difference between the baseline and itself, which \
                 happens by chance in 5 of 100 runs: repeat the run before you use small \
                 differences."
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
        let Matrix { protocol, annotations, .. } = self;
        let (subject, topology) = match &self.subjects {
            Subjects::Stack(topology) => (SubjectKind::Stack, Some(*topology)),
            Subjects::Targets(_) => (SubjectKind::Targets, None),
            Subjects::Reference(_) => (SubjectKind::Reference, None),
        };
        let ours = subject != SubjectKind::Targets;
        Plan {
            label: annotations.label.clone(),
            environment: annotations.environment.clone(),
            tags: annotations.tags.clone(),
            protocols: vec![PROTOCOL.into()],
            subject,
            topology,
            arrivals: Some(protocol.pattern),
            generator_wait: GeneratorWait::Spin,
            rounds: protocol.rounds,
            instances: if ours { protocol.instances } else { 0 },
            stop_rule: protocol.stop.name(),
            slice_ns: protocol.slice.as_nanos() as u64,
            warmup_ns: protocol.warmup.as_nanos() as u64,
            closed_slice_ns: protocol.closed_slice.as_nanos() as u64,
            handshake_slice_ns: protocol.handshake_slice.as_nanos() as u64,
            operating_share_milli: (protocol.operating_share * 1000.0).round() as u32,
            seed: protocol.seed,
            quick: protocol.quick,
            server_cores: self.cores.servers.clone(),
            generator_cores: self.cores.generator.clone(),
            cells: self
                .cells
                .iter()
                .zip(findings.rates.iter().zip(&findings.blocks))
                .map(|(cell, (rate, block))| self.cell(cell, *rate, *block))
                .collect(),
            variants: self.variants.iter().map(|variant| self.planned(variant, findings)).collect(),
            builds: self.builds.clone(),
        }
    }

    fn cell(&self, cell: &PlannedCell, rate: Option<Rate>, block: Option<Duration>) -> run::Cell {
        let ours = matches!(self.subjects, Subjects::Stack(_));
        let share = self.protocol.operating_share * 100.0;
        run::Cell {
            id: cell.id.clone(),
            label: cell.label.clone(),
            workload: cell.workload.clone(),
            call_path: cell.call_path,
            protocol: PROTOCOL.into(),
            rate_milli_per_s: rate.map_or(0, Rate::as_milli),
            rate_source: match cell.rate {
                Some(_) => "as asked".into(),
                None => format!("{share:.0}% of the slowest variant's closed loop"),
            },
            connections: cell.connections as u64,
            requests_per_connection: cell.requests_per_connection.map(u32::from),
            handshake: cell.handshake,
            token_algorithm: cell.token_algorithm.as_str().to_ascii_lowercase(),
            workers: if ours { cell.workers as u64 } else { 0 },
            block_ns: block.map(|block| block.as_nanos() as u64),
        }
    }

    fn planned(&self, variant: &Variant, findings: &Findings) -> PlannedVariant {
        let profile = variant.subject.profile();
        let place = self.variants.iter().position(|other| other.id == variant.id);
        let kept = place.and_then(|place| findings.variants.get(place));
        PlannedVariant {
            id: variant.id.clone(),
            label: variant.label.clone(),
            cell: self.cells[variant.cell].id.clone(),
            role: variant.role.to_string(),
            profile: profile.map(|profile| profile.label().into()),
            tokens: variant.tokens,
            token_cache: profile.map(|_| variant.token_cache),
            request: kept.and_then(|kept| kept.request.clone()),
            cpu_source: kept.map_or(CpuSourceKind::Processes, |kept| kept.cpu_source),
        }
    }
}

#[cfg(test)]
mod tests;
