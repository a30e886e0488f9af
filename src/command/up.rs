//! `tollgate up`: the whole stack, running until Ctrl-C. It makes what is missing, starts the
//! services, writes down where they are, and keeps the header file of the printed curl line fresh.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use authn::{Profile, ScopeSet, TokenCheck, Transport};
use runtime::process::{Shutdown, on_signal_or_end_of_child};
use services::config::audit::AuditLevel;
use services::{ServiceConfig, ServiceKind};
use zeroize::Zeroizing;

use crate::cli::UpArgs;
use crate::command::{pki, token};
use crate::io::stdout;
use crate::process::held;
use crate::process::restarts::{RestartBackoff, STARTS_MAX, lost};
use crate::process::stack::{Launch, MESH, ProcessStack};
use crate::process::state::{StackClient, StackFile, StackService, StateDir};
use crate::{Failure, values};

/// After this long the header file is tried again when no token could be had for it.
const HEADER_RETRY: Duration = Duration::from_secs(1);

/// The share of a token's life after which the header file gets a new one.
const REFRESH_AFTER: f64 = 0.5;

/// Carries out `tollgate up`.
pub(crate) fn command(typed: &UpArgs) -> Result<u8, Failure> {
    let profile = values::profile(typed.profile.as_deref())?;
    let launch = launch(typed, profile)?;
    let shutdown = held::shutdown()?;
    let (tell, events) = mpsc::channel();
    on_signal_or_end_of_child(move || _ = tell.send(())).map_err(Failure::of)?;
    warn(profile);
    let state = StateDir::create(Path::new(&typed.state))?;
    let _lock = state.lock()?;
    pki::ensure(&state)?;
    let stack = ProcessStack::start(&state, &launch)?;
    let tend = || launch.services.iter().map(|_| Tended::default()).collect();
    let tended = (!typed.no_restart).then(tend);
    let mut running =
        RunningStack { state: &state, launch: &launch, stack, tended, shutdown, events };
    let outcome = running.run();
    let _ = fs::remove_file(state.path("stack.json"));
    outcome?;
    match running.stack.stop() {
        true => Ok(0),
        false => Err(Failure::failed(format!(
            "A service had to be killed or ended with an error; see {}.",
            state.path("logs").display()
        ))),
    }
}

fn launch(typed: &UpArgs, profile: Profile) -> Result<Launch, Failure> {
    // What cannot be understood is said here, before a child says it into its log.
    values::driver(&typed.driver, typed.require_io_uring)?;
    values::workers(typed.workers)?;
    values::algorithm(&typed.token_alg)?;
    let audit = typed.audit.as_deref();
    audit.map(|text| values::choice("--audit", text, &AuditLevel::TABLE)).transpose()?;
    typed.cores.as_deref().map(values::cores).transpose()?;
    typed.stock.iter().try_for_each(|text| values::stock(text).map(drop))?;
    let mut options = vec!["--driver".into(), typed.driver.clone()];
    let mut option = |name: &str, value: Option<String>| {
        options.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    option("--workers", typed.workers.map(|n| n.to_string()));
    option("--cores", typed.cores.clone());
    option("--audit", typed.audit.clone());
    option("--drain-ms", typed.drain_ms.map(|n| n.to_string()));
    for (asked, flag) in
        [(typed.require_io_uring, "--require-io-uring"), (typed.stage_timing, "--stage-timing")]
    {
        options.extend(asked.then(|| flag.to_owned()));
    }
    let stock = typed.stock.iter().flat_map(|s| ["--stock".to_owned(), s.clone()]).collect();
    let retained = typed.orders_retained.iter();
    let retained = retained.flat_map(|n| ["--orders-retained".to_owned(), n.to_string()]).collect();
    let scheme = if profile.transport == Transport::Plain { "http" } else { "https" };
    let auth_port = typed.any_port.then(free_port).transpose()?;
    let issuer_port = auth_port.unwrap_or_else(|| ServiceKind::Auth.port());
    Ok(Launch {
        program: None,
        profile,
        services: &MESH,
        any_port: typed.any_port,
        auth_port,
        issuer: format!("{scheme}://localhost:{issuer_port}"),
        options,
        service_options: vec![
            ("auth", vec!["--token-alg".into(), typed.token_alg.clone()]),
            ("inventory", stock),
            ("orders", retained),
        ],
        log_label: String::new(),
        drain: typed.drain_ms.map_or(ServiceConfig::DRAIN, Duration::from_millis),
    })
}

/// The services say it too, but into their logs, where nobody looks in time.
fn warn(profile: Profile) {
    if profile.transport == Transport::Plain {
        eprintln!(
            "WARNING: profile {}: every service speaks PLAIN HTTP; anyone on the path reads and \
             changes everything. It is a baseline for measuring, never for use",
            profile.label()
        );
    }
}

/// A port that is free at this moment. The auth server's must be known before it starts, because
/// its issuer and its metadata name it.
fn free_port() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|addr| addr.port())
        .map_err(|e| Failure::failed(format!("No free port could be found: {e}.")).because(e))
}

fn describe(state: &StateDir, stack: &ProcessStack, profile: Profile) -> StackFile {
    let services = stack.members().iter().map(|member| StackService {
        name: member.service.into(),
        url: member.url.clone(),
        admin_url: format!("http://{}", member.admin),
        pid: member.pid,
    });
    let clients = pki::CLIENTS.iter().map(|name| {
        let secret = state.client(name, "secret");
        StackClient {
            name: (*name).into(),
            cert: state.client(name, "crt"),
            key: state.client(name, "key"),
            secret: secret.exists().then_some(secret),
        }
    });
    StackFile {
        profile: profile.label().into(),
        pid: std::process::id(),
        services: services.collect(),
        ca: state.ca_cert(),
        clients: clients.collect(),
    }
}

/// A running stack.
struct RunningStack<'a> {
    state: &'a StateDir,
    launch: &'a Launch,
    stack: ProcessStack,
    /// What is known of each service's ends; none: they are not started again.
    tended: Option<Vec<Tended>>,
    shutdown: Shutdown,
    /// Tells of signals and of ends of services.
    events: Receiver<()>,
}

/// What is known of the ends of one service.
#[derive(Default)]
struct Tended {
    pace: RestartBackoff,
    /// When it is started again; none as long as it runs.
    due: Option<Instant>,
}

impl RunningStack<'_> {
    /// Prints how to use the stack and watches over it until a signal comes, or until a service
    /// ends that is not to be started again.
    fn run(&mut self) -> Result<(), Failure> {
        let profile = self.launch.profile;
        let mut file = self.publish()?;
        let mut fresh_until = write_header(self.state, &file, profile)?;
        stdout::print(&overview(self.state, &self.stack, &file, profile))?;
        loop {
            if self.shutdown.received().is_some() {
                eprintln!("Stopping: requests in flight are finished first.");
                return Ok(());
            }
            if self.tend()? {
                file = self.publish()?;
            }
            if fresh_until.is_some_and(|until| Instant::now() >= until) {
                fresh_until = write_header(self.state, &file, profile).unwrap_or_else(|failure| {
                    eprintln!("{failure} The header file is written again in a moment.");
                    Some(Instant::now() + HEADER_RETRY)
                });
            }
            self.wait(fresh_until);
        }
    }

    /// Waits for a signal, the end of a service, or the time at which something is due.
    fn wait(&self, fresh_until: Option<Instant>) {
        let starts = self.tended.iter().flatten().filter_map(|tended| tended.due);
        match starts.chain(fresh_until).min() {
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now());
                let _ = self.events.recv_timeout(left);
            }
            None => _ = self.events.recv(),
        }
        // What came together is looked at once.
        self.events.try_iter().for_each(drop);
    }

    /// Writes down where the services are.
    fn publish(&self) -> Result<StackFile, Failure> {
        let file = describe(self.state, &self.stack, self.launch.profile);
        let json = serde_json::to_vec_pretty(&file).map_err(Failure::of)?;
        self.state.write_private("stack.json", &json)?;
        Ok(file)
    }

    /// Starts services again that ended by themselves. True when one was.
    fn tend(&mut self) -> Result<bool, Failure> {
        let mut changed = false;
        for place in 0..self.stack.members().len() {
            let member = &self.stack.members()[place];
            let Some(status) = member.ended() else {
                continue;
            };
            let obituary = member.obituary(&status);
            let Some(tended) = self.tended.as_mut().map(|all| &mut all[place]) else {
                return Err(Failure::failed(obituary));
            };
            let now = Instant::now();
            let due = *tended.due.get_or_insert_with(|| {
                let due = tended.pace.due(now);
                eprintln!("{obituary}\n{}", lost(member.service));
                announce(member.service, due - now);
                due
            });
            if now < due {
                continue;
            }
            tended.pace.started(now);
            changed |= self.start_again(place);
        }
        Ok(changed)
    }

    /// Tries to start a service again; if that fails, it is tried later.
    fn start_again(&mut self, place: usize) -> bool {
        let shutdown = self.shutdown.watch();
        let interrupted = || shutdown.received().is_some();
        let began = Instant::now();
        let started = self.stack.restart(self.state, self.launch, place, &interrupted);
        let Some(tended) = self.tended.as_mut().map(|all| &mut all[place]) else {
            return false;
        };
        let (member, now) = (&self.stack.members()[place], Instant::now());
        match started {
            Ok(()) => {
                tended.due = None;
                let took = (now - began).as_millis();
                let (service, url, pid) = (member.service, &member.url, member.pid);
                eprintln!("{service} serves {url} again, as process {pid}, after {took} ms.");
                true
            }
            Err(_) if interrupted() => false,
            Err(failure) => {
                let due = tended.pace.due(now);
                tended.due = Some(due);
                eprintln!("{failure}");
                announce(member.service, due - now);
                false
            }
        }
    }
}

/// Says when a service is started again.
fn announce(service: &str, wait: Duration) {
    match wait.as_millis() {
        0 => eprintln!("{service} is started again now."),
        wait => eprintln!(
            "{service} is started again in {wait} ms, at most {STARTS_MAX} times a minute."
        ),
    }
}

/// Writes the file that curl takes the token from; secrets never stand in a command line. Returns
/// when it wants to be written again, none where tokens are ignored.
fn write_header(
    state: &StateDir,
    file: &StackFile,
    profile: Profile,
) -> Result<Option<Instant>, Failure> {
    if profile.token == TokenCheck::Ignore {
        return Ok(None);
    }
    let token = token::fetch(file, pki::CLIENTS[0], ScopeSet::EMPTY)?;
    let header = Zeroizing::new(format!("Authorization: Bearer {}\n", *token.value));
    state.write_private(&format!("clients/{}.header", pki::CLIENTS[0]), header.as_bytes())?;
    Ok(Some(Instant::now() + token.life.mul_f64(REFRESH_AFTER)))
}

fn overview(state: &StateDir, stack: &ProcessStack, file: &StackFile, profile: Profile) -> String {
    let root = state.root().display();
    let mut text = format!("Profile {}. State, keys and logs: {root}\n", file.profile);
    for member in stack.members() {
        text += &format!(
            "  {:<10} {}   metrics http://{}/metrics   {}   process {}\n",
            member.service, member.url, member.admin, member.driver, member.pid
        );
    }
    let curl = curl_line(state, file, profile);
    text + &format!("\nCreate an order:\n  {curl}\n\nCtrl-C stops the stack.\n")
}

/// A curl line that works as it is, with every secret in a file.
fn curl_line(state: &StateDir, file: &StackFile, profile: Profile) -> String {
    let client = pki::CLIENTS[0];
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let mut line = String::from("curl -sS");
    if profile.transport != Transport::Plain {
        line += &format!(" --cacert {}", quoted(&file.ca));
    }
    if profile.transport == Transport::Mutual {
        line += &format!(" --cert {}", quoted(&state.client(client, "crt")));
        line += &format!(" --key {}", quoted(&state.client(client, "key")));
    }
    if profile.token != TokenCheck::Ignore {
        let header = state.client(client, "header");
        line += &format!(" -H @{}", quoted(&header));
    }
    let gateway = file.services.iter().find(|s| s.name == "gateway").map_or("", |s| &s.url);
    line += " -H 'Content-Type: application/json'";
    line += r#" -d '{"customerId":"c-1","itemSkus":["SKU-1000"],"totalAmount":19.99}'"#;
    line + &format!(" {gateway}/api/orders")
}
