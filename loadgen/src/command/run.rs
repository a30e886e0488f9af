//! `tollgate run URL`: one target, one long slice, and a result that says first whether it can be
//! believed. It owns what the flags mean; what was typed is the binary's, and files have been read
//! by the time that this is called. It refuses to follow redirects and to try a request again.

mod budget;
mod credentials;
mod json;
mod machine;
pub(crate) mod outcome;
mod progress;
pub(crate) mod render;
pub(crate) mod rig;
mod token_response;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use metrics_export::run::Bounds;
use runtime::blocking;
use runtime::url::Url;
use rustls::pki_types::ServerName;

pub use self::credentials::{AuthorizationSource, ClientCredentials, KeptToken};
pub use self::machine::{CpuAccounting, CpuKind, MeasuredCores};
pub use self::outcome::RunOutcome;
pub use self::render::OutputFormat;
use crate::command::run::progress::RunProgress;
use crate::command::run::rig::with_rig;
use crate::machine::process::Process;
use crate::plan::Annotations;
use crate::traffic::check::Expect;
use crate::traffic::error::ContextError;
use crate::traffic::generator::GeneratorOptions;
use crate::traffic::slice::{GeneratorError, SliceSpec};
use crate::traffic::target::{Source, Target, TlsTarget};
use crate::traffic::trust::{Trust, TrustError};
use crate::traffic::workload::Workload;

/// What to do about a host without an address.
const CHECK_HOST: &str = "check the name, or say where to go with --connect-to HOST:PORT";

/// What `tollgate run` is to do.
#[derive(Debug)]
pub struct RunOptions {
    /// Where, and what is asked for.
    pub url: Url,
    /// What the user and the build say about it.
    pub annotations: Annotations,
    /// The method; none for GET, or POST with a body.
    pub method: Option<String>,
    /// Fields in the order they were given.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Requests that are sent in turn, in place of the one of method, URL, fields and body.
    pub requests: Vec<Workload>,
    /// What a good reply is; any 2xx by default.
    pub expect: Expect,
    /// Arrivals, connections, duration and the rest. Its tokens are not looked at.
    pub slice: SliceSpec,
    /// Unmeasured time before, with the same traffic.
    pub warmup: Duration,
    /// Threads, where they run, and on what driver.
    pub generator: GeneratorOptions,
    /// Trust and client certificate, for https.
    pub trust: Trust,
    /// What goes into Authorization.
    pub credentials: AuthorizationSource,
    /// Where to connect instead of the URL's own addresses.
    pub connect_to: Option<Vec<SocketAddr>>,
    /// The name that is sent as SNI and must be in the server's certificate, instead of the URL's.
    pub server_name: Option<ServerName<'static>>,
    /// What accounts for the server's CPU; none when it is not asked for.
    pub servers: Vec<Process>,
    /// Where connections come from.
    pub source: Source,
    /// Within these the run is valid.
    pub bounds: Bounds,
    /// Draw a progress bar on standard error. Only for a terminal.
    pub progress: bool,
}

impl RunOptions {
    /// A run of this URL with the usual settings.
    pub fn new(url: Url, slice: SliceSpec) -> RunOptions {
        RunOptions {
            url,
            annotations: Annotations::default(),
            method: None,
            fields: Vec::new(),
            body: Vec::new(),
            requests: Vec::new(),
            expect: Expect::success(),
            slice,
            warmup: Duration::from_secs(1),
            generator: GeneratorOptions::unpinned(1),
            trust: Trust::default(),
            credentials: AuthorizationSource::None,
            connect_to: None,
            server_name: None,
            servers: Vec::new(),
            source: Source::Auto,
            bounds: Bounds::default(),
            progress: false,
        }
    }

    /// What is asked: the one request of method, URL, fields and body, or those of the file.
    pub fn workload(&self) -> Workload {
        if let Some((first, others)) = self.requests.split_first() {
            return Workload { others: others.to_vec(), ..first.clone() };
        }
        let method = self.method.as_deref();
        let method = method.unwrap_or(if self.body.is_empty() { "GET" } else { "POST" });
        let (fields, body) = (self.fields.clone(), self.body.clone());
        Workload {
            expect: self.expect,
            ..Workload::custom("run", method, &self.url.target, fields, body)
        }
    }

    /// What a user should know before anything is sent: how many new connections there can be.
    pub fn announcement(&self) -> Option<String> {
        budget::of(self)
    }

    /// What goes over a network in clear text and should not, as sentences.
    pub fn clear_text_warnings(&self) -> Vec<String> {
        self.credentials.clear_text_warning().into_iter().collect()
    }

    fn target(&self) -> Result<Target, RunError> {
        let addresses = match &self.connect_to {
            Some(addresses) => addresses.clone(),
            None => blocking::resolve(&self.url, self.slice.timeout).map_err(|error| {
                let message = format!("{error}; {CHECK_HOST}");
                RunError::Url(ContextError::new(message).because(error))
            })?,
        };
        let name = || match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => self.url.server_name().map_err(|error| RunError::Url(ContextError::of(error))),
        };
        let tls = match self.url.is_tls() {
            false => None,
            true => Some(TlsTarget { config: self.trust.config()?, name: name()? }),
        };
        let host = self.url.host_field();
        let name = format!("{}://{host}", self.url.scheme.as_str());
        Ok(Target { name, addresses, host, tls, source: self.source })
    }

    /// What results call the target: without a query, which may hold secrets.
    pub(crate) fn shown_url(&self) -> String {
        let path = self.url.target.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.url.scheme.as_str(), self.url.host_field())
    }

    /// What is asked, for people.
    pub(crate) fn summary(&self) -> RequestSummary {
        RequestSummary { method: self.workload().method, in_turn: self.requests.len().max(1) }
    }
}

/// What is asked, as results tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSummary {
    /// The method; the first one's where several requests take turns.
    pub method: String,
    /// How many requests take turns.
    pub in_turn: usize,
}

impl fmt::Display for RequestSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.in_turn {
            1 => out.write_str(&self.method),
            several => write!(out, "{several} requests in turn, from"),
        }
    }
}

/// Why there is no result.
#[derive(Debug)]
pub enum RunError {
    /// The URL leads nowhere.
    Url(ContextError),
    /// Trust or client certificate cannot be used.
    Trust(TrustError),
    /// No token could be had.
    Token(ContextError),
    /// The server's CPU cannot be read.
    Server(ContextError),
    /// The generator could not do it.
    Generator(GeneratorError),
    /// A fault of this program.
    Fault(ContextError),
    /// It was interrupted before anything was measured.
    Interrupted,
}

impl RunError {
    /// 2 where the options make no sense, 130 when interrupted, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Generator(GeneratorError::Spec(_) | GeneratorError::Workload(_)) => 2,
            RunError::Interrupted => 130,
            _ => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Url(sentence)
            | RunError::Token(sentence)
            | RunError::Server(sentence)
            | RunError::Fault(sentence) => sentence.fmt(out),
            RunError::Trust(error) => error.fmt(out),
            RunError::Generator(error) => error.fmt(out),
            RunError::Interrupted => out.write_str("interrupted before anything was measured"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Trust(error) => Some(error),
            RunError::Generator(error) => Some(error),
            RunError::Url(error)
            | RunError::Token(error)
            | RunError::Server(error)
            | RunError::Fault(error) => error.source(),
            RunError::Interrupted => None,
        }
    }
}

impl From<TrustError> for RunError {
    fn from(error: TrustError) -> RunError {
        RunError::Trust(error)
    }
}

impl From<GeneratorError> for RunError {
    fn from(error: GeneratorError) -> RunError {
        RunError::Generator(error)
    }
}

/// Runs it. `interrupted` is asked several times a second, on another thread than the measuring
/// one; once it says so the run ends and reports what it has.
///
/// # Errors
/// See [`RunError`]; errors of requests are part of the outcome.
pub fn run(
    options: &RunOptions,
    interrupted: &(dyn Fn() -> bool + Sync),
) -> Result<RunOutcome, RunError> {
    let spec = &options.slice;
    let drawer = |live| options.progress.then(|| RunProgress::new(options, live).drawer());
    let ((ran, record, accounting, began), warnings) =
        with_rig(options, interrupted, drawer, |rig| {
            let warm = SliceSpec {
                duration: options.warmup,
                requests_max: None,
                seed: spec.seed.wrapping_add(1),
                ..spec.clone()
            };
            let mut began = SystemTime::now();
            if !options.warmup.is_zero() {
                let record = rig.warm(&warm)?;
                // A target that gives no good reply is not asked for more of the same.
                if record.requests_answered == 0 && record.requests_asked > 0 && !rig.interrupted()
                {
                    return Ok((warm, record, None, began));
                }
                began = SystemTime::now();
            }
            if rig.interrupted() {
                return Err(RunError::Interrupted);
            }
            let (record, accounting) = rig.measure(spec)?;
            Ok((spec.clone(), record, Some(accounting), began))
        })?;
    Ok(RunOutcome::new(options, &ran, record, accounting, began, warnings))
}
