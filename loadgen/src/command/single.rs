//! The record of a measurement of one URL, as `run` and `capacity` leave it: one cell, one variant,
//! and figures derived from slices as those of `matrix` are. It refuses to print: what is shown
//! while a command runs is the command's.

use std::slice;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_export::date;
use metrics_export::run::{
    self, ArrivalPattern, Breach, CallPath, HandshakeKind, Plan, PlannedVariant, Run, RunCommand,
    SubjectKind, TokenSupply, Validity,
};

use crate::command::capacity::{CapacityOptions, CapacityOutcome};
use crate::command::run::{AuthorizationSource, CpuAccounting, RunOptions, RunOutcome};
use crate::directory::new_id;
use crate::experiment::bench::row;
use crate::experiment::results;
use crate::experiment::{Asked, Failure, Findings, Measured, SliceLoad, SliceRequest};
use crate::machine::environment;
use crate::machine::process;
use crate::panics::caught;
use crate::plan::{ExternalTarget, PROTOCOL, Variant};
use crate::traffic::record::SliceRecord;
use crate::traffic::schedule::Rate;
use crate::traffic::slice::Arrivals;

/// The id of the only variant, and the name of its histogram log.
pub const TARGET: &str = "target";

/// The record of a run, and its histogram log.
///
/// # Errors
/// Why a histogram cannot be packed.
pub fn of_run(
    options: &RunOptions,
    outcome: &RunOutcome,
) -> Result<(Run, Option<Vec<u8>>), Failure> {
    let RunOutcome { spec, record, accounting, began, .. } = outcome;
    let (pattern, rate, load) = match spec.arrivals {
        Arrivals::Open { rate, pattern } => (Some(pattern), Some(rate), SliceLoad::Open(rate)),
        Arrivals::Closed => (None, None, SliceLoad::Closed),
    };
    let variant = variant(options);
    let measured = measured(options, &variant, load, *began, record, accounting.as_ref());
    let mut findings = Findings::of(slice::from_ref(&variant), 1);
    (findings.complete, findings.headline) = (!record.interrupted, measured.slice.kind);
    findings.keep(0, measured)?;
    let of_kind = |is: bool| if is { spec.duration } else { Duration::ZERO };
    let single = Single {
        command: RunCommand::Run,
        options,
        variant,
        pattern,
        rate,
        slice: of_kind(rate.is_some()),
        closed_slice: of_kind(rate.is_none()),
        stop_rule: match spec.requests_max {
            Some(requests) => format!("{requests} requests"),
            None => "duration".into(),
        },
        findings,
        driver: record.driver,
        breaches: outcome.breaches.clone(),
        notes: outcome.notes.clone(),
        began: *began,
    };
    Ok(single.record())
}

/// The record of a search. It has no slices: what was measured at each load stands in its capacity.
#[must_use]
pub fn of_capacity(options: &CapacityOptions, outcome: &CapacityOutcome) -> Run {
    let run = &options.run;
    let variant = variant(run);
    let mut findings = Findings::of(slice::from_ref(&variant), 1);
    findings.complete = outcome.capacity.complete;
    findings.variants[0].capacity = Some(outcome.capacity.clone());
    let slice = outcome.settings.slice;
    let single = Single {
        command: RunCommand::Capacity,
        options: run,
        variant,
        pattern: Some(outcome.pattern),
        rate: None,
        slice,
        closed_slice: slice,
        stop_rule: format!("confirmed by {} slices", outcome.settings.confirm),
        findings,
        driver: outcome.driver,
        breaches: outcome.breaches.iter().map(|why| Breach::of_run(why)).collect(),
        notes: outcome.notes.clone(),
        began: outcome.began,
    };
    single.record().0
}

/// What a command measured of its URL.
struct Single<'a> {
    /// Which command.
    command: RunCommand,
    /// What it was asked to do.
    options: &'a RunOptions,
    /// The URL as the only variant.
    variant: Variant,
    /// The spread of the open loop; None without one.
    pattern: Option<ArrivalPattern>,
    /// The rate of all open-loop slices, where they have one.
    rate: Option<Rate>,
    /// The length of open-loop slices; zero without any.
    slice: Duration,
    /// The length of closed-loop slices; zero without any.
    closed_slice: Duration,
    /// When it ends.
    stop_rule: String,
    /// What was measured.
    findings: Findings,
    /// What the generator stood on.
    driver: &'static str,
    /// Why it cannot be believed.
    breaches: Vec<Breach>,
    /// What a reader should know.
    notes: Vec<String>,
    /// When it began.
    began: SystemTime,
}

/// The variant: the URL under its label, or under its own name.
fn variant(options: &RunOptions) -> Variant {
    let external = ExternalTarget {
        index: 0,
        tls: options.url.is_tls(),
        certificate: options.trust.identity_pem.is_some(),
        resumption: options.trust.resumption,
    };
    let tokens = match options.credentials {
        AuthorizationSource::None => TokenSupply::None,
        AuthorizationSource::Token(_) | AuthorizationSource::Client(_) => TokenSupply::One,
    };
    let label = options.annotations.label.clone().unwrap_or_else(|| options.url.host_field());
    Variant::external(&label, TARGET, external, tokens)
}

/// What one slice measured, in the form that experiments have.
fn measured(
    options: &RunOptions,
    variant: &Variant,
    load: SliceLoad,
    began: SystemTime,
    record: &SliceRecord,
    accounting: Option<&CpuAccounting>,
) -> Measured {
    let request = SliceRequest {
        variant: 0,
        load,
        instance: 0,
        round: 0,
        position: 0,
        attempt: 0,
        warmup: false,
    };
    let mut usage = accounting.map(|accounting| accounting.usage.clone()).unwrap_or_default();
    if let Some(why) = accounting.and_then(|accounting| accounting.failed.clone()) {
        usage.servers.cpu_unknown = Some(why);
    }
    let start = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let memory_peak_bytes = usage.servers.memory_peak_bytes;
    Measured {
        slice: row(variant, &request, start, record, usage),
        times: record.clone().into(),
        memory_peak_bytes,
        errors: record.errors.to_string(),
        asked: asked(options),
        proofs: Vec::new(),
    }
}

fn asked(options: &RunOptions) -> Asked {
    let request = format!("{} {}", options.workload().method, options.shown_url());
    Asked { request: Some(request), cpu_source: process::cpu_source_kind(&options.servers) }
}

impl Single<'_> {
    /// The record, and the histogram log of the slices where they have one.
    fn record(self) -> (Run, Option<Vec<u8>>) {
        let variants = slice::from_ref(&self.variant);
        let results = caught(|| results::variants(&self.findings, variants));
        let mut notes = self.notes.clone();
        let missing = |why: &String| format!("Figures are missing: {why}.");
        notes.extend(results.as_ref().err().map(missing));
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let plan = self.plan();
        let environment = run::Environment {
            generator_driver: self.driver.into(),
            ..environment::read(self.options.annotations.commit.as_deref())
        };
        let run = Run {
            schema: run::SCHEMA.into(),
            schema_version: run::SCHEMA_VERSION,
            id: new_id(began),
            command: self.command,
            started_at: date::rfc3339(began.as_secs()),
            elapsed_ns: self.began.elapsed().unwrap_or_default().as_nanos() as u64,
            complete: self.findings.complete,
            validity: Validity {
                valid: self.breaches.is_empty(),
                breaches: self.breaches,
                slices_repeated: 0,
                notes,
                bounds: self.options.bounds.clone(),
            },
            plan,
            environment,
            proofs: Vec::new(),
            results: results.unwrap_or_default(),
            costs: Vec::new(),
            floors: Vec::new(),
            service_times: Vec::new(),
            interleaving: Vec::new(),
            additivity: Vec::new(),
            slices: self.findings.slices.clone(),
            fleet: None,
            network: None,
        };
        let log = self.findings.variants.first().and_then(|samples| samples.log.as_ref());
        (run, log.map(|log| log.as_bytes().to_vec()))
    }

    fn plan(&self) -> Plan {
        let options = self.options;
        let annotations = &options.annotations;
        let Variant { id, label, role, tokens, .. } = self.variant.clone();
        let asked = asked(options);
        Plan {
            label: annotations.label.clone(),
            environment: annotations.environment.clone(),
            tags: annotations.tags.clone(),
            protocols: vec![PROTOCOL.into()],
            subject: SubjectKind::Targets,
            topology: None,
            arrivals: self.pattern,
            generator_wait: options.slice.wait,
            rounds: 1,
            instances: 0,
            stop_rule: self.stop_rule.clone(),
            slice_ns: self.slice.as_nanos() as u64,
            warmup_ns: options.warmup.as_nanos() as u64,
            closed_slice_ns: self.closed_slice.as_nanos() as u64,
            handshake_slice_ns: 0,
            operating_share_milli: 0,
            seed: options.slice.seed,
            quick: false,
            server_cores: Vec::new(),
            generator_cores: options.generator.workers.iter().flatten().copied().collect(),
            cells: vec![self.cell()],
            variants: vec![PlannedVariant {
                id,
                label,
                cell: String::new(),
                role: role.to_string(),
                profile: None,
                tokens,
                token_cache: None,
                request: asked.request,
                cpu_source: asked.cpu_source,
            }],
            builds: Vec::new(),
        }
    }

    fn cell(&self) -> run::Cell {
        let slice = &self.options.slice;
        run::Cell {
            id: String::new(),
            label: String::new(),
            workload: TARGET.into(),
            call_path: CallPath::Direct,
            protocol: PROTOCOL.into(),
            rate_milli_per_s: self.rate.map_or(0, Rate::as_milli),
            rate_source: match (self.command, self.rate) {
                (RunCommand::Capacity, _) => "rates that are searched".into(),
                (_, Some(_)) => "as asked".into(),
                (_, None) => "closed loop".into(),
            },
            connections: slice.connections as u64,
            requests_per_connection: slice.requests_per_connection.map(u32::from),
            handshake: match self.options.trust.resumption {
                true => HandshakeKind::Resumed,
                false => HandshakeKind::Full,
            },
            token_algorithm: String::new(),
            workers: 0,
            block_ns: None,
        }
    }
}
