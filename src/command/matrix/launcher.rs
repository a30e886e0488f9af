//! Starts the servers of a variant for the experiment: every variant is a stack of its own on free
//! ports, and all of them share one temporary state directory, so that keys and certificates are
//! the same everywhere. A build of tollgate that is compared with others has a copy of it: what one
//! build writes there is not what another reads.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use authn::jwt::new_token_id;
use authn::{Algorithm, NewClaims, Profile, ScopeSet, Signer, Transport};
use loadgen::experiment::stack::{Requests, RunningServers, Started};
use loadgen::machine::process::{CpuSource, Process};
use loadgen::plan::{self, CallPath, HandshakeKind, PlannedCell, Topology, Variant};
use loadgen::traffic::error::ContextError;
use loadgen::traffic::tokens::Tokens;
use loadgen::traffic::trust::Trust;
use runtime::blocking;
use runtime::url::Url;
use rustls::pki_types::UnixTime;
use services::ServiceConfig;
use zeroize::Zeroizing;

use super::builds::NamedBuild;
use crate::Failure;
use crate::command::pki;
use crate::process::stack::{Launch, MESH, ProcessStack, SINGLE};
use crate::process::state::StateDir;

/// Who issues the tokens of the experiment. It is a name only: keys come from the variant's own
/// auth server, whose port differs from start to start.
const ISSUER: &str = "https://auth.tollgate.invalid";

/// Life of a token, longer than any experiment.
const TOKEN_TTL_S: u64 = 6 * 60 * 60;

/// Services that are not ready after this long are given up.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// How often a service is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(5);

/// The generator has closed its connections before the servers are stopped, so that little is left
/// to finish.
const DRAIN: Duration = Duration::from_millis(200);

/// The client that the generator is.
const CLIENT: &str = pki::CLIENTS[0];

/// The scopes of the generator's tokens: what orders-create and the refilling of stock ask for.
const SCOPES: &str = "orders.read orders.write inventory.read inventory.write";

/// Starts stacks for the experiment.
pub(crate) struct StackLauncher {
    /// The state that all stacks share.
    pub(crate) state: StateDir,
    /// One process a service, or all in one.
    pub(crate) topology: Topology,
    /// Options of every service: cores, driver.
    pub(crate) options: Vec<String>,
    /// The builds whose servers are compared; none where all servers are of this one.
    pub(super) builds: Vec<LaunchedBuild>,
}

/// A build of tollgate whose servers are started.
pub(super) struct LaunchedBuild {
    name: String,
    program: PathBuf,
    /// The state of its servers, with the keys of the shared one.
    state: StateDir,
}

impl loadgen::experiment::stack::Stack for StackLauncher {
    fn start(
        &mut self,
        variant: &Variant,
        cell: &PlannedCell,
        instance: u32,
    ) -> Result<Started, ContextError> {
        let started = self.start_stack(variant, cell, instance);
        // Which build's servers did not start is worth knowing.
        let about = |failure: Failure| match variant.role.build() {
            Some(_) => failure.about(&variant.label),
            None => failure,
        };
        started.map_err(|failure| ContextError::of(about(failure)))
    }
}

impl RunningServers for ProcessStack {
    fn fallen(&self) -> Option<String> {
        ProcessStack::fallen(self)
    }
}

impl StackLauncher {
    /// The same with servers of these builds. All keys are made here, before a build is started.
    pub(super) fn of_builds(self, builds: Vec<NamedBuild>) -> Result<StackLauncher, Failure> {
        if !builds.is_empty() {
            services::auth::signers(self.state.root(), Algorithm::Es256).map_err(Failure::of)?;
        }
        let launched = builds.into_iter().map(|NamedBuild { build, program }| {
            let state = self.state.copy(&self.state.path(format!("builds/{}", build.name)))?;
            Ok(LaunchedBuild { name: build.name, program, state })
        });
        let builds = launched.collect::<Result<_, Failure>>()?;
        Ok(StackLauncher { builds, ..self })
    }

    /// The build whose servers a variant is to have; None for this one.
    fn build(&self, variant: &Variant) -> Option<&LaunchedBuild> {
        self.builds.iter().find(|build| variant.role.build() == Some(&build.name))
    }

    fn start_stack(
        &self,
        variant: &Variant,
        cell: &PlannedCell,
        instance: u32,
    ) -> Result<Started, Failure> {
        let profile = variant.subject.profile().ok_or_else(|| {
            Failure::failed(format!("{} is no profile of the stack.", variant.label))
        })?;
        let state = self.build(variant).map_or(&self.state, |build| &build.state);
        let stack = ProcessStack::start(state, &self.launch(profile, variant, cell, instance))?;
        let mut processes = Vec::new();
        for member in stack.members() {
            wait_until_ready(&stack, member.service, &member.admin.to_string())?;
            processes.push(Process {
                service: member.service.into(),
                cpu: CpuSource::Pid(member.pid),
                admin: Some(member.admin),
            });
        }
        let path = self.path(cell);
        let url = |service: &str| {
            let url = stack.url(service);
            let url = url.ok_or_else(|| Failure::failed(format!("The stack has no {service}.")))?;
            Url::parse(url).map_err(Failure::of)
        };
        // Behind the gateway everything is found; a service alone knows its own routes only.
        let beside = path[0] != "gateway" && self.topology == Topology::Mesh;
        Ok(Started {
            url: url(path[0])?,
            stock_url: beside.then(|| url("inventory")).transpose()?,
            connect_to: None,
            server_name: None,
            trust: self.trust(profile.transport, cell.handshake)?,
            tokens: Tokens::pool(self.tokens(variant.tokens, cell.token_algorithm)?),
            processes,
            requests: Requests::Shop { path },
            keep: Box::new(stack),
        })
    }

    /// The services that a request of the cell's workload passes once, in order.
    fn path(&self, cell: &PlannedCell) -> Vec<&'static str> {
        if self.topology == Topology::Single {
            return vec!["all"];
        }
        let mut path = match cell.workload.as_str() {
            "orders-create" => vec!["gateway", "orders", "inventory"],
            "orders-read" => vec!["gateway", "orders"],
            "inventory-reserve" => vec!["gateway", "inventory"],
            _ => vec!["gateway"],
        };
        if cell.call_path == CallPath::Direct {
            path.remove(0);
        }
        path
    }

    fn trust(&self, transport: Transport, handshake: HandshakeKind) -> Result<Trust, Failure> {
        let read = |path: PathBuf| {
            std::fs::read(&path).map_err(|error| {
                Failure::failed(format!("Could not read {}: {error}.", path.display()))
                    .because(error)
            })
        };
        let identity_pem = match transport {
            Transport::Plain | Transport::Tls => None,
            Transport::Mutual => {
                let [chain, key] = ["crt", "key"].map(|end| read(self.state.client(CLIENT, end)));
                Some((chain?, Zeroizing::new(key?)))
            }
        };
        Ok(Trust {
            authorities_pem: Some(read(self.state.ca_cert())?),
            identity_pem,
            insecure: false,
            resumption: handshake == HandshakeKind::Resumed,
        })
    }

    fn launch(
        &self,
        profile: Profile,
        variant: &Variant,
        cell: &PlannedCell,
        instance: u32,
    ) -> Launch {
        let mut options = self.options.clone();
        let cache = if variant.token_cache { "on" } else { "off" };
        let (workers, drain) = (cell.workers.to_string(), DRAIN.as_millis().to_string());
        let each = ["--workers", &workers, "--token-cache", cache, "--drain-ms", &drain];
        options.extend(each.map(String::from));
        if cell.handshake == HandshakeKind::Resumed {
            options.push("--resumption".into());
        }
        let algorithm = cell.token_algorithm.as_str().to_ascii_lowercase();
        let signing: Vec<String> =
            ["--token-alg", &algorithm, "--token-ttl-s", &TOKEN_TTL_S.to_string()]
                .map(String::from)
                .into();
        Launch {
            program: self.build(variant).map(|build| build.program.clone()),
            profile,
            services: match self.topology {
                Topology::Mesh => &MESH,
                Topology::Single => &SINGLE,
            },
            any_port: true,
            auth_port: None,
            issuer: ISSUER.into(),
            options,
            service_options: vec![("auth", signing.clone()), ("all", signing)],
            log_label: format!("{}-{instance}-", variant.id),
            drain: DRAIN,
        }
    }

    /// Tokens as the auth server would issue them, signed here with its own key: asking for
    /// thousands of them would take longer than the experiment.
    fn tokens(
        &self,
        tokens: plan::TokenSupply,
        algorithm: Algorithm,
    ) -> Result<Vec<Box<str>>, Failure> {
        let count = match tokens {
            plan::TokenSupply::None => return Ok(Vec::new()),
            plan::TokenSupply::One => 1,
            plan::TokenSupply::Unique(count) => count,
        };
        let signer = signer(self.state.root(), algorithm)?;
        let now = UnixTime::now().as_secs();
        (0..count)
            .map(|_| {
                let claims = NewClaims {
                    issuer: ISSUER,
                    audience: ServiceConfig::AUDIENCE,
                    subject: CLIENT,
                    client_id: CLIENT,
                    scopes: ScopeSet::parse(SCOPES).map_err(Failure::of)?,
                    issued_at: now,
                    expires_at: now + TOKEN_TTL_S,
                    token_id: &new_token_id().map_err(Failure::of)?,
                };
                Ok(signer.sign(&claims).map_err(Failure::of)?.into())
            })
            .collect()
    }
}

/// The key with which the auth servers of this state directory sign.
fn signer(state: &Path, algorithm: Algorithm) -> Result<Signer, Failure> {
    let signers = services::auth::signers(state, algorithm).map_err(Failure::of)?;
    signers
        .into_iter()
        .find(|signer| signer.algorithm() == algorithm)
        .ok_or_else(|| Failure::failed("The auth server has no signing key."))
}

fn wait_until_ready(stack: &ProcessStack, service: &str, admin: &str) -> Result<(), Failure> {
    let url = Url::parse(&format!("http://{admin}/readyz")).map_err(Failure::of)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let said = match blocking::request(&url, None, "GET", &[], b"", left, 64 * 1024) {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(error @ blocking::Error::Interrupted(_)) => return Err(Failure::of(error)),
            Err(error) => error.to_string(),
        };
        if let Some(fallen) = stack.fallen() {
            return Err(Failure::failed(fallen));
        }
        if Instant::now() >= deadline {
            return Err(Failure::failed(format!(
                "{service} was not ready after {} s: {said}",
                READY_WITHIN.as_secs()
            )));
        }
        thread::sleep(READY_POLL);
    }
}
