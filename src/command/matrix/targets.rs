//! The user's own servers as the experiment wants them: the files that `targets.toml` names are
//! read, tokens fetched, addresses and processes looked up, all before the first slice. Nothing is
//! started and nothing is stopped here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loadgen::command::matrix::Against;
use loadgen::command::run::{AuthorizationSource, ClientCredentials, KeptToken, RunOptions};
use loadgen::experiment::bench::REMOTE_CONNECTIONS_MAX;
use loadgen::experiment::stack::{Requests, Stack, Started};
use loadgen::machine::cpu::with_descendants;
use loadgen::machine::process::{CpuSource, Process};
use loadgen::plan::targets::{Cpu, TargetBody, TargetSpec, TargetToken, Targets};
use loadgen::plan::{ExternalTarget, PlannedCell, Role, Subject, TokenSupply, Variant};
use loadgen::traffic::error::ContextError;
use loadgen::traffic::requests;
use loadgen::traffic::slice::{Arrivals, SliceSpec};
use loadgen::traffic::trust::Trust;
use loadgen::traffic::workload::Workload;
use runtime::blocking;
use runtime::url::Url;
use zeroize::Zeroizing;

use crate::io::inputs::{fields, read, read_secret, secret, text, token};
use crate::{Failure, cli};

/// The longest wait for an address or a token.
const WITHIN: Duration = Duration::from_secs(10);

/// Options that say how our own stack is to be, and mean nothing to servers that are not ours.
fn stack_options(typed: &cli::MatrixArgs) -> [(&'static str, bool); 12] {
    [
        ("--builds", typed.builds.is_some()),
        ("--profiles", typed.profiles.is_some()),
        ("--factorial", typed.factorial),
        ("--workloads", typed.workloads.is_some()),
        ("--call-path", typed.call_path.is_some()),
        ("--handshake", typed.handshake.is_some()),
        ("--tokens", typed.tokens.is_some()),
        ("--token-cache", typed.token_cache.is_some()),
        ("--token-alg", typed.token_alg.is_some()),
        ("--workers", typed.workers.is_some()),
        ("--instances", typed.instances.is_some()),
        ("--topology", typed.topology.is_some()),
    ]
}

/// Reads the list.
pub(super) fn list(typed: &cli::MatrixArgs, file: &str) -> Result<Targets, Failure> {
    if let Some((option, _)) = stack_options(typed).iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!(
            "{option} is about tollgate's own stack: leave it out with --targets."
        )));
    }
    let text = text(file)?;
    let folder = Path::new(file).parent().unwrap_or(Path::new("."));
    Targets::parse(&text, folder)
        .map_err(|error| Failure::usage(format!("{file}, {error}.")).because(error))
}

/// Every target in every cell, the baseline first and once more as the A/A control.
pub(super) fn variants(targets: &Targets, cells: &[PlannedCell]) -> Vec<Variant> {
    let mut variants = Vec::new();
    for (place, cell) in cells.iter().enumerate() {
        let variant = |index: usize, spec: &TargetSpec| {
            let external = ExternalTarget {
                index,
                tls: spec.url.is_tls(),
                certificate: spec.identity.is_some(),
                resumption: spec.resumption,
            };
            let tokens =
                if spec.token == TargetToken::None { TokenSupply::None } else { TokenSupply::One };
            let variant = Variant::external(&spec.name, &spec.id, external, tokens);
            Variant { id: cell.prefixed(&variant.role), cell: place, ..variant }
        };
        let own = targets.targets.iter().enumerate();
        let own: Vec<Variant> = own.map(|(index, spec)| variant(index, spec)).collect();
        let baseline = &own[targets.baseline];
        variants.push(baseline.clone());
        variants.push(baseline.control());
        variants.extend(own.iter().filter(|variant| variant.id != baseline.id).cloned());
    }
    variants
}

/// What each target's cost is taken to.
pub(super) fn pairs(targets: &Targets) -> Vec<Against> {
    let specs = targets.targets.iter().enumerate();
    specs
        .filter(|(index, _)| *index != targets.baseline)
        .map(|(_, spec)| Against {
            role: Role::target(&spec.id),
            reference: Role::target(&targets.targets[spec.against.unwrap_or(targets.baseline)].id),
        })
        .collect()
}

/// Targets with everything that their servers are reached with.
pub(super) struct TargetStack {
    reached: Vec<Reached>,
}

struct Reached {
    options: RunOptions,
    workload: Workload,
    token: KeptToken,
    processes: Vec<Process>,
}

impl TargetStack {
    /// Reads every file and gets every token.
    pub(super) fn open(targets: &Targets) -> Result<TargetStack, Failure> {
        let reached = targets
            .targets
            .iter()
            .map(|spec| Reached::open(spec).map_err(|failure| failure.about(&spec.name)));
        Ok(TargetStack { reached: reached.collect::<Result<_, _>>()? })
    }

    /// What a user should know before anything is sent: where new connections are limited.
    pub(super) fn warnings(&self) -> Vec<String> {
        let clear = self.reached.iter().flat_map(|reached| reached.options.clear_text_warnings());
        let mut warnings: Vec<String> = clear.collect();
        let remote = self.reached.iter().filter(|reached| {
            let addresses = reached.options.connect_to.iter().flatten();
            addresses.into_iter().any(|address| !address.ip().is_loopback())
        });
        let hosts: Vec<String> = remote.map(|reached| reached.options.url.host_field()).collect();
        if hosts.is_empty() {
            return warnings;
        }
        warnings.push(format!(
            "Connection budget: {} is not on loopback, where source addresses go round; a slice of \
             new connections there ends after {REMOTE_CONNECTIONS_MAX} of them, since each takes a \
             port of this machine for a minute.",
            hosts.join(", ")
        ));
        warnings
    }

    /// Whether any of the servers' CPU is read from processes or control groups of this machine.
    pub(super) fn is_local(&self) -> bool {
        let sources = self.reached.iter().flat_map(|reached| &reached.processes);
        sources.into_iter().any(|process| !matches!(process.cpu, CpuSource::Metrics(_)))
    }
}

impl Stack for TargetStack {
    fn start(
        &mut self,
        variant: &Variant,
        _cell: &PlannedCell,
        _instance: u32,
    ) -> Result<Started, ContextError> {
        let Subject::External(external) = variant.subject else {
            return Err(ContextError::new(format!("{} is no target", variant.label)));
        };
        let reached = &self.reached[external.index];
        let options = &reached.options;
        Ok(Started {
            url: options.url.clone(),
            stock_url: None,
            connect_to: options.connect_to.clone(),
            server_name: options.server_name.clone(),
            trust: options.trust.clone(),
            tokens: reached.token.tokens(),
            processes: reached.processes.clone(),
            requests: Requests::Own(Box::new(reached.workload.clone())),
            keep: Box::new(()),
        })
    }
}

impl Reached {
    fn open(spec: &TargetSpec) -> Result<Reached, Failure> {
        // Of the slice only its time-out is looked at.
        let slice = SliceSpec::new(Arrivals::Closed, 1, WITHIN);
        let mut options = RunOptions::new(spec.url.clone(), slice);
        options.method = spec.method.clone();
        options.fields = spec.headers.clone();
        if let Some(file) = &spec.header_file {
            options.fields.extend(fields(&[format!("@{}", file.display())])?);
        }
        options.expect = spec.expect;
        match &spec.body {
            TargetBody::None => {}
            TargetBody::Text(text) => options.body = text.clone().into_bytes(),
            TargetBody::File(file) => options.body = file_bytes(file)?,
            TargetBody::Requests(file) => {
                let name = file.display();
                options.requests =
                    requests::parse(&text(&file.to_string_lossy())?, &options.workload()).map_err(
                        |error| Failure::failed(format!("{name}, {error}.")).because(error),
                    )?;
            }
        }
        options.trust = trust(spec)?;
        options.server_name = spec.server_name.clone();
        let resolve = |url: &Url| blocking::resolve(url, WITHIN).map_err(Failure::sentence);
        // Looked up once: a name that moves in the middle would make two servers one.
        options.connect_to = Some(resolve(spec.connect_to.as_ref().unwrap_or(&spec.url))?);
        options.credentials = credentials(spec)?;
        let token = KeptToken::open(&options.credentials, &options.trust, WITHIN)
            .map_err(Failure::sentence)?;
        for sentence in options.trust.warnings() {
            eprintln!("{}: {sentence}.", spec.name);
        }
        let workload = options.workload();
        Ok(Reached { options, workload, token, processes: processes(spec)? })
    }
}

fn file_bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    read(&file.to_string_lossy())
}

fn trust(spec: &TargetSpec) -> Result<Trust, Failure> {
    let identity_pem = match &spec.identity {
        Some((chain, key)) => {
            Some((file_bytes(chain)?, Zeroizing::new(read_secret(&key.to_string_lossy())?)))
        }
        None => None,
    };
    // Of a plain target nothing is checked, and a default for all targets must not need a file.
    let cacert = spec.cacert.as_deref().filter(|_| spec.url.is_tls());
    Ok(Trust {
        authorities_pem: cacert.map(file_bytes).transpose()?,
        identity_pem,
        insecure: spec.insecure,
        resumption: spec.resumption,
    })
}

fn credentials(spec: &TargetSpec) -> Result<AuthorizationSource, Failure> {
    let secret_of = |file: &Path| secret(&file.to_string_lossy());
    Ok(match &spec.token {
        TargetToken::None => AuthorizationSource::None,
        TargetToken::File(file) => AuthorizationSource::Token(token(&file.to_string_lossy())?),
        TargetToken::Client { token_url, client_id, client_secret_file, scope, params } => {
            AuthorizationSource::Client(Arc::new(ClientCredentials {
                token_url: token_url.clone(),
                client_id: client_id.clone(),
                secret: secret_of(client_secret_file)?,
                scope: scope.clone(),
                params: params.clone(),
            }))
        }
    })
}

/// What accounts for the CPU of a target. Workers that a named process started belong to it.
fn processes(spec: &TargetSpec) -> Result<Vec<Process>, Failure> {
    let sources = match &spec.cpu {
        Cpu::None => Vec::new(),
        Cpu::Pids(pids) => with_workers(pids),
        Cpu::PidFile(file) => {
            let name = file.display();
            let text = String::from_utf8_lossy(&file_bytes(file)?).into_owned();
            let pids: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
            let pids = pids.ok().filter(|pids| !pids.is_empty()).ok_or_else(|| {
                Failure::failed(format!("{name} holds no process id: is the server running?"))
            })?;
            with_workers(&pids)
        }
        Cpu::Metrics(url) => vec![CpuSource::Metrics(url.clone())],
        Cpu::ControlGroup(folder) => vec![CpuSource::ControlGroup(folder.clone())],
    };
    let name = |place: usize| match sources.len() {
        1 => "server".to_owned(),
        _ => format!("server {}", place + 1),
    };
    let named = sources.iter().enumerate();
    Ok(named
        .map(|(place, cpu)| Process { service: name(place), cpu: cpu.clone(), admin: None })
        .collect())
}

fn with_workers(pids: &[u32]) -> Vec<CpuSource> {
    let mut all: Vec<u32> = pids.iter().flat_map(|pid| with_descendants(*pid)).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(CpuSource::Pid).collect()
}
