//! Starts the servers of a variant for the experiment: every variant is a stack of its own on free
//! ports, and all of them share one temporary state directory, so that keys and certificates are
//! the same everywhere.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use authn::jwt::new_token_id;
use authn::{Algorithm, NewClaims, ScopeSet, Signer, Transport};
use loadgen::plan::{Tokens, Topology, Variant};
use loadgen::stack::{ClientFiles, Process, StackError, Started};
use runtime::blocking;
use runtime::url::Url;
use services::ServiceConfig;

use crate::stack::{Launch, MESH, SINGLE, Stack};
use crate::state::StateDir;
use crate::{Failure, pki};

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
pub(crate) struct Launcher {
    /// The state that all stacks share.
    pub(crate) state: StateDir,
    /// One process a service, or all in one.
    pub(crate) topology: Topology,
    /// Options of every service: workers, cores, driver.
    pub(crate) options: Vec<String>,
    /// The signature of tokens.
    pub(crate) algorithm: Algorithm,
}

impl loadgen::stack::Stack for Launcher {
    fn start(&mut self, variant: &Variant, instance: u32) -> Result<Started, StackError> {
        self.start_stack(variant, instance).map_err(|failure| StackError(failure.message))
    }
}

impl Launcher {
    fn start_stack(&self, variant: &Variant, instance: u32) -> Result<Started, Failure> {
        let stack = Stack::start(&self.state, &self.launch(variant, instance))?;
        let base_url = stack
            .url("gateway")
            .ok_or_else(|| Failure::failed("The stack has no gateway."))?
            .to_owned();
        let mut processes = Vec::new();
        for member in stack.members() {
            wait_until_ready(member.service, &member.admin.to_string())?;
            processes.push(Process {
                service: member.service.into(),
                pid: member.pid,
                admin: member.admin,
            });
        }
        let mutual = variant.profile.transport == Transport::Mutual;
        let encrypted = variant.profile.transport != Transport::Plain;
        Ok(Started {
            base_url,
            ca: encrypted.then(|| self.state.ca_cert()),
            client: mutual.then(|| ClientFiles {
                certificate: self.state.client(CLIENT, "crt"),
                key: self.state.client(CLIENT, "key"),
            }),
            tokens: self.tokens(variant.tokens)?,
            processes,
            keep: Box::new(stack),
        })
    }

    fn launch(&self, variant: &Variant, instance: u32) -> Launch {
        let mut options = self.options.clone();
        let cache = if variant.token_cache { "on" } else { "off" };
        options.extend(["--token-cache", cache, "--drain-ms"].map(String::from));
        options.push(DRAIN.as_millis().to_string());
        let signing: Vec<String> =
            ["--token-alg", self.algorithm.as_str(), "--token-ttl-s", &TOKEN_TTL_S.to_string()]
                .map(String::from)
                .into();
        Launch {
            profile: variant.profile,
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
    fn tokens(&self, tokens: Tokens) -> Result<Vec<String>, Failure> {
        let count = match tokens {
            Tokens::None => return Ok(Vec::new()),
            Tokens::One => 1,
            Tokens::Unique(count) => count,
        };
        let signer = signer(self.state.root(), self.algorithm)?;
        let now = pki::now_s();
        (0..count)
            .map(|_| {
                let claims = NewClaims {
                    issuer: ISSUER,
                    audience: ServiceConfig::AUDIENCE,
                    subject: CLIENT,
                    client_id: CLIENT,
                    scopes: ScopeSet::parse(SCOPES).map_err(Failure::failed)?,
                    issued_at: now,
                    expires_at: now + TOKEN_TTL_S,
                    token_id: &new_token_id().map_err(Failure::failed)?,
                };
                signer.sign(&claims).map_err(Failure::failed)
            })
            .collect()
    }
}

/// The key with which the auth servers of this state directory sign.
fn signer(state: &Path, algorithm: Algorithm) -> Result<Signer, Failure> {
    let signers = services::auth::signers(state, algorithm).map_err(Failure::failed)?;
    signers
        .into_iter()
        .find(|signer| signer.algorithm() == algorithm)
        .ok_or_else(|| Failure::failed("The auth server has no signing key."))
}

fn wait_until_ready(service: &str, admin: &str) -> Result<(), Failure> {
    let url = Url::parse(&format!("http://{admin}/readyz")).map_err(Failure::failed)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let said = match blocking::request(&url, None, "GET", &[], b"", left, 64 * 1024) {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(Failure::failed(format!(
                "{service} was not ready after {} s: {said}",
                READY_WITHIN.as_secs()
            )));
        }
        thread::sleep(READY_POLL);
    }
}
