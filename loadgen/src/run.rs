//! `tollgate run URL`: one target, one long slice, and a result that says first whether it can be
//! believed. It owns what the flags mean; what was typed is the binary's, and files have been read
//! by the time that this is called. It refuses to follow redirects and to try a request again.

mod credentials;
mod json;
mod outcome;
mod progress;
mod render;
mod trust;

use std::{
    fmt,
    net::SocketAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, SystemTime},
};

use metrics_export::run::Bounds;
use runtime::url::{Url, UrlError};

pub use self::{
    credentials::{ClientCredentials, Credentials},
    outcome::Outcome,
    render::Format,
    trust::Trust,
};
use crate::{
    check::Expect,
    generator::{Generator, GeneratorOptions, Stop},
    run::{credentials::Source as TokenSource, progress::Progress},
    slice::{GeneratorError, SliceSpec},
    target::{Source, Target, TlsTarget},
    workload::Workload,
};

/// How often the watching thread looks whether the run was interrupted, and draws.
const LOOK: Duration = Duration::from_millis(100);

/// What `tollgate run` is to do.
#[derive(Debug)]
pub struct RunOptions {
    /// Where, and what is asked for.
    pub url: Url,
    /// The name of the run in its outputs.
    pub label: Option<String>,
    /// The method; none for GET, or POST with a body.
    pub method: Option<String>,
    /// Fields in the order they were given.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
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
    pub credentials: Credentials,
    /// Where to connect instead of the URL's own addresses.
    pub connect_to: Option<Vec<SocketAddr>>,
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
            label: None,
            method: None,
            fields: Vec::new(),
            body: Vec::new(),
            expect: Expect::success(),
            slice,
            warmup: Duration::from_secs(1),
            generator: GeneratorOptions::unpinned(1),
            trust: Trust::default(),
            credentials: Credentials::None,
            connect_to: None,
            source: Source::Auto,
            bounds: Bounds::default(),
            progress: false,
        }
    }

    fn workload(&self) -> Workload {
        let method = self.method.as_deref();
        let method = method.unwrap_or(if self.body.is_empty() { "GET" } else { "POST" });
        let (fields, body) = (self.fields.clone(), self.body.clone());
        Workload {
            expect: self.expect,
            ..Workload::custom("run", method, &self.url.target, fields, body)
        }
    }

    fn target(&self) -> Result<Target, RunError> {
        let addresses = match &self.connect_to {
            Some(addresses) => addresses.clone(),
            None => self.url.resolve()?,
        };
        let tls = match self.url.is_tls() {
            false => None,
            true => Some(TlsTarget { config: self.trust.config()?, name: self.url.server_name()? }),
        };
        let host = self.url.host_field();
        let name = format!("{}://{host}", self.url.scheme.as_str());
        Ok(Target { name, addresses, host, tls, source: self.source })
    }
}

/// Why there is no result.
#[derive(Debug)]
pub enum RunError {
    /// The URL leads nowhere.
    Url(UrlError),
    /// Trust or client certificate cannot be used; the sentence tells why.
    Trust(String),
    /// No token could be had; the sentence tells why.
    Token(String),
    /// The generator could not do it.
    Generator(GeneratorError),
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
            RunError::Url(error) => error.fmt(out),
            RunError::Trust(sentence) | RunError::Token(sentence) => out.write_str(sentence),
            RunError::Generator(error) => error.fmt(out),
            RunError::Interrupted => out.write_str("interrupted before anything was measured"),
        }
    }
}

impl std::error::Error for RunError {}

impl From<UrlError> for RunError {
    fn from(error: UrlError) -> RunError {
        RunError::Url(error)
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
) -> Result<Outcome, RunError> {
    let target = options.target()?;
    let source = TokenSource::open(&options.credentials, &options.trust)?;
    let mut generator = Generator::start(&options.generator)?;
    let id = generator.attach(target, &options.workload())?;
    let spec = SliceSpec { tokens: source.tokens(), ..options.slice.clone() };
    let progress = options.progress.then(|| Progress::new(options, generator.live()));
    let watch = Watch { stop: generator.stopper(), interrupted, progress };
    thread::scope(|scope| {
        // Both threads end when their sender is dropped, however this scope is left.
        let (over, ended) = channel::<()>();
        let (unneeded, refreshing) = channel::<()>();
        let watching = scope.spawn(move || watch.until(&ended));
        let refresher = &source;
        scope.spawn(move || refresher.keep_fresh(&refreshing));
        let warm = SliceSpec {
            duration: options.warmup,
            requests_max: None,
            seed: spec.seed.wrapping_add(1),
            ..spec.clone()
        };
        if !options.warmup.is_zero() {
            generator.run_slice(id, &warm)?;
        }
        if interrupted() {
            return Err(RunError::Interrupted);
        }
        let began = SystemTime::now();
        let record = generator.run_slice(id, &spec)?;
        drop((over, unneeded));
        // The bar is gone before anything is printed.
        let _ = watching.join();
        Ok(Outcome::new(options, &spec, record, began, source.warnings()))
    })
}

/// What the watching thread does.
struct Watch<'a> {
    stop: Stop,
    interrupted: &'a (dyn Fn() -> bool + Sync),
    progress: Option<Progress>,
}

impl Watch<'_> {
    fn until(mut self, ended: &Receiver<()>) {
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if (self.interrupted)() {
                self.stop.stop();
            }
            if let Some(progress) = &mut self.progress {
                progress.draw();
            }
        }
    }
}
