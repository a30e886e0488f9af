//! Starts and stops servers as processes of this same binary, or of another build of it. A child
//! prints one line when it is ready and ends when its standard input closes, so that no child
//! outlives its parent, even one that was killed. `tollgate up` and `tollgate matrix` both stand on
//! this.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use authn::{Profile, Transport};
use serde::Deserialize;
use services::ServiceKind;

use crate::Failure;
use crate::process::held::OwnChild;
use crate::process::state::StateDir;

/// A child that has not said that it is ready after this long is given up.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// How often it is looked whether a start was interrupted.
const READY_POLL: Duration = Duration::from_millis(50);

/// How long a child may take to end beyond its own drain time before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How often a stopping child is looked at.
const STOP_POLL: Duration = Duration::from_millis(5);

/// What a log shows when a child could not start: its last lines.
const LOG_TAIL_LINES: usize = 8;

/// What every service of one stack is started with.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The program of a build of tollgate; None for this one.
    pub(crate) program: Option<PathBuf>,
    /// The security profile that all services run under.
    pub(crate) profile: Profile,
    /// The services to start, in order; a service comes after those that it calls.
    pub(crate) services: &'static [&'static str],
    /// Use any free ports instead of the port table.
    pub(crate) any_port: bool,
    /// The auth server's port where its issuer names another one than the port table's.
    pub(crate) auth_port: Option<u16>,
    /// Who issues tokens, as their `iss` says; all services of the stack agree on it.
    pub(crate) issuer: String,
    /// Options that every service gets, such as `--workers 1`.
    pub(crate) options: Vec<String>,
    /// Options for one service only.
    pub(crate) service_options: Vec<(&'static str, Vec<String>)>,
    /// Put into the log files' names, so that stacks that share a state directory do not mix.
    pub(crate) log_label: String,
    /// How long the services may take to finish what is in flight when they are stopped.
    pub(crate) drain: Duration,
}

/// The mesh: a process a service, in the order in which they need each other.
pub(crate) const MESH: [&str; 4] = ["auth", "inventory", "orders", "gateway"];

/// The single server: everything in one process.
pub(crate) const SINGLE: [&str; 1] = ["all"];

/// Running processes of one stack; dropping it stops them.
#[derive(Debug)]
pub(crate) struct ProcessStack {
    members: Vec<Member>,
    drain: Duration,
}

/// One running service.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name after `tollgate serve`.
    pub(crate) service: &'static str,
    /// Where it serves.
    pub(crate) url: String,
    listen: SocketAddr,
    /// Where its health and metrics are.
    pub(crate) admin: SocketAddr,
    /// The I/O driver that it runs on.
    pub(crate) driver: String,
    /// Its process id.
    pub(crate) pid: u32,
    child: OwnChild,
    /// Open for as long as the child shall live.
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

/// The line that a service prints on standard output when it takes requests.
#[derive(Deserialize)]
struct ReadyLine {
    ready: Ready,
}

#[derive(Deserialize)]
struct Ready {
    listen: SocketAddr,
    admin: SocketAddr,
    driver: String,
}

impl ProcessStack {
    /// Starts the services one after the other. When one fails, those before it are stopped.
    pub(crate) fn start(state: &StateDir, launch: &Launch) -> Result<ProcessStack, Failure> {
        let mut stack = ProcessStack { members: Vec::new(), drain: launch.drain };
        for service in launch.services {
            let member = stack.start_member(state, launch, service, None, &|| false)?;
            stack.members.push(member);
        }
        Ok(stack)
    }

    /// Starts one server alone that is no service of the shop, in plain HTTP: `tollgate` with these
    /// words, which must print the same ready line.
    pub(crate) fn lone(
        name: &'static str,
        words: &[String],
        log: PathBuf,
        drain: Duration,
    ) -> Result<ProcessStack, Failure> {
        let start =
            Start { program: None, service: name, words, log, scheme: "http", again: false };
        let member = Member::start(start, &|| false)?;
        Ok(ProcessStack { members: vec![member], drain })
    }

    /// The running services, in the order in which they were started.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The URL of a service of this stack. The single server serves all of them.
    pub(crate) fn url(&self, service: &str) -> Option<&str> {
        let named = self.members.iter().find(|m| m.service == service);
        named.or_else(|| self.members.iter().find(|m| m.service == "all")).map(|m| m.url.as_str())
    }

    /// The first service that ended by itself, with the end of its log.
    pub(crate) fn fallen(&self) -> Option<String> {
        self.members.iter().find_map(|member| Some(member.obituary(&member.ended()?)))
    }

    /// Starts a service anew, on the ports that it had and with its log continued. It may be given
    /// up by `interrupted`.
    pub(crate) fn restart(
        &mut self,
        state: &StateDir,
        launch: &Launch,
        place: usize,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let old = &self.members[place];
        let ports = (old.listen, old.admin);
        let member = self.start_member(state, launch, old.service, Some(ports), interrupted)?;
        self.members[place] = member;
        Ok(())
    }

    /// Stops all services, those that call first, and waits for them. True when each ended well.
    pub(crate) fn stop(&mut self) -> bool {
        let mut clean = true;
        for member in self.members.iter_mut().rev() {
            // Closing its standard input asks a child to drain; see `serve --exit-with-stdin`.
            drop(member.stdin.take());
            clean &= wait_or_kill(&member.child, self.drain + STOP_GRACE);
        }
        self.members.clear();
        clean
    }

    fn start_member(
        &self,
        state: &StateDir,
        launch: &Launch,
        service: &'static str,
        ports: Option<(SocketAddr, SocketAddr)>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Member, Failure> {
        let log = state.path(format!("logs/{}{service}.log", launch.log_label));
        let words = &self.words(state, launch, service, ports);
        let scheme = if launch.profile.transport == Transport::Plain { "http" } else { "https" };
        let again = ports.is_some();
        let program = launch.program.as_deref();
        Member::start(Start { program, service, words, log, scheme, again }, interrupted)
    }

    /// The command line of one service, on the ports that it had or on those of the plan.
    fn words(
        &self,
        state: &StateDir,
        launch: &Launch,
        service: &'static str,
        ports: Option<(SocketAddr, SocketAddr)>,
    ) -> Vec<String> {
        let mut words: Vec<String> =
            ["serve", service, "--exit-with-stdin"].map(String::from).into();
        let mut option = |name: &str, value: &str| {
            words.push(name.into());
            words.push(value.into());
        };
        option("--state", &state.root().to_string_lossy());
        option("--profile", launch.profile.label());
        option("--issuer", &launch.issuer);
        if !launch.log_label.is_empty() {
            // Several stacks share the state directory.
            let name = format!("logs/{}{service}.audit.jsonl", launch.log_label);
            option("--audit-log", &state.path(name).to_string_lossy());
        }
        let (listen, admin) = ports.unwrap_or_else(|| planned_ports(launch, service));
        option("--listen", &listen.to_string());
        option("--admin", &admin.to_string());
        for upstream in upstreams(service) {
            if let Some(url) = self.url(upstream) {
                option(&format!("--{upstream}"), url);
            }
        }
        words.extend(launch.options.iter().cloned());
        let own = launch.service_options.iter().filter(|(name, _)| *name == service);
        words.extend(own.flat_map(|(_, options)| options.iter().cloned()));
        words
    }
}

/// How one server is started.
struct Start<'a> {
    /// None for this same program.
    program: Option<&'a Path>,
    service: &'static str,
    words: &'a [String],
    log: PathBuf,
    scheme: &'a str,
    /// Whether it ran before, so that its log is continued.
    again: bool,
}

impl Member {
    /// Starts the program with these words and waits until it says that it is ready.
    fn start(start: Start<'_>, interrupted: &dyn Fn() -> bool) -> Result<Member, Failure> {
        let Start { program, service, words, log, scheme, again } = start;
        let log_file = OpenOptions::new()
            .create(true)
            .write(true)
            .append(again)
            .truncate(!again)
            .open(&log)
            .map_err(|e| {
                Failure::failed(format!("Could not write {}: {e}.", log.display())).because(e)
            })?;
        let program = program.map_or_else(std::env::current_exe, |path| Ok(path.to_path_buf()));
        let program = program.map_err(|e| {
            Failure::failed(format!("Could not find the own program: {e}.")).because(e)
        })?;
        let mut command = Command::new(program);
        command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Ctrl-C reaches the parent only, which then stops its children in their order.
            .process_group(0);
        let child = OwnChild::spawn(&mut command)
            .map_err(|e| Failure::failed(format!("Could not start {service}: {e}.")).because(e))?;
        let stdin = child.take_stdin();
        match wait_until_ready(&child, interrupted) {
            Ok(ready) => Ok(Member {
                service,
                // Certificates are made out to loopback addresses too: no name is looked up.
                url: format!("{scheme}://{}", ready.listen),
                listen: ready.listen,
                admin: ready.admin,
                driver: ready.driver,
                pid: child.id(),
                child,
                stdin,
                log,
            }),
            Err(reason) => {
                drop(stdin);
                wait_or_kill(&child, STOP_GRACE);
                let how = child.try_wait().ok().flatten().map(|status| status.to_string());
                Err(Failure::failed(format!(
                    "{service} (process {}) did not start: {reason} It has ended: {}. {}",
                    child.id(),
                    how.unwrap_or_default(),
                    last_words(&log)
                )))
            }
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// That it ended, how, and the end of its log.
    pub(crate) fn obituary(&self, status: &ExitStatus) -> String {
        let Member { service, pid, log, .. } = self;
        format!("{service} (process {pid}) ended: {status}. {}", last_words(log))
    }
}

impl Drop for ProcessStack {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Which services a service calls, as the names of the options that tell it where they are.
fn upstreams(service: &str) -> &'static [&'static str] {
    match service {
        "gateway" => &["auth", "orders", "inventory"],
        "orders" => &["auth", "inventory"],
        "inventory" => &["auth"],
        _ => &[],
    }
}

/// The ports of the plan: any free ones, or the port table's.
fn planned_ports(launch: &Launch, service: &str) -> (SocketAddr, SocketAddr) {
    let kind = ServiceKind::parse(service).filter(|_| !launch.any_port);
    let (port, admin) = kind.map_or((0, 0), |kind| (kind.port(), kind.admin_port()));
    let port = launch.auth_port.filter(|_| service == "auth").unwrap_or(port);
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    (loopback(port), loopback(admin))
}

fn wait_until_ready(child: &OwnChild, interrupted: &dyn Fn() -> bool) -> Result<Ready, String> {
    let Some(stdout) = child.take_stdout() else {
        return Err("its output could not be read.".into());
    };
    let (send, receive) = mpsc::channel();
    // The thread ends with the child's output. It keeps reading so that the child never blocks.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let deadline = Instant::now() + READY_WITHIN;
    let line = loop {
        match receive.recv_timeout(READY_POLL) {
            Ok(line) => break line,
            Err(RecvTimeoutError::Timeout) if interrupted() => {
                return Err("it was interrupted.".into());
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("it was not ready after {} s.", READY_WITHIN.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err("its output ended.".into());
            }
        }
    };
    let parsed: ReadyLine = serde_json::from_str(&line)
        .map_err(|_| format!("it said {line:?} where its ready line was expected."))?;
    Ok(parsed.ready)
}

/// Waits for a child's end; true when it ended by itself and without an error.
fn wait_or_kill(child: &OwnChild, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => thread::sleep(STOP_POLL),
            _ => {
                child.kill();
                return false;
            }
        }
    }
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n") {
        end if end.is_empty() => "Its log says nothing.".to_owned(),
        end => format!("Its log ends with:\n{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_started_after_those_that_it_calls() {
        for (at, service) in MESH.iter().enumerate() {
            for upstream in upstreams(service) {
                assert!(MESH[..at].contains(upstream), "{service} is started before {upstream}");
            }
        }
    }

    #[test]
    fn a_child_without_a_ready_line_is_refused() {
        let spawn = |script: &str| {
            let mut command = Command::new("sh");
            OwnChild::spawn(command.args(["-c", script]).stdout(Stdio::piped())).unwrap()
        };
        let odd = spawn("echo hello");
        assert!(wait_until_ready(&odd, &|| false).err().unwrap().contains("hello"));
        assert!(wait_or_kill(&odd, Duration::from_secs(5)));
        let dead = spawn("exit 3");
        assert!(wait_until_ready(&dead, &|| false).err().unwrap().contains("ended"));
        assert!(!wait_or_kill(&dead, Duration::from_secs(5)));
        let slow = spawn("exec sleep 60");
        assert!(wait_until_ready(&slow, &|| true).err().unwrap().contains("interrupted"));
        slow.kill();
    }
}
