//! The trait through which whoever owns processes starts the servers of a variant.
//!
//! The generator knows no service and starts none: it is handed URLs, key material and process
//! ids, measures, and drops them again.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::plan::Variant;

/// Starts the servers of one variant at a time. Several variants run at once: they are all
/// started before the first slice, and only one of them gets traffic at any time.
pub trait Stack {
    /// Starts new processes for `variant` and returns when all of them are ready. `instance`
    /// counts the restarts of an experiment from 0.
    ///
    /// # Errors
    /// A sentence that says what could not be started, and what to do.
    fn start(&mut self, variant: &Variant, instance: u32) -> Result<Started, StackError>;
}

/// The running servers of one variant. Dropping it stops them.
pub struct Started {
    /// The gateway, such as `https://127.0.0.1:40001`; paths are appended to it.
    pub base_url: String,
    /// PEM file of the certificate authority that the servers are checked against; needed where
    /// the base URL is https.
    pub ca: Option<PathBuf>,
    /// The client certificate, where the profile asks for one.
    pub client: Option<ClientFiles>,
    /// Access tokens as the variant asks for: none, one, or that many different ones, all valid
    /// for longer than the experiment.
    pub tokens: Vec<String>,
    /// Every service process, each pinned to the server cores.
    pub processes: Vec<Process>,
    /// Whatever must live as long as the servers run; its drop stops them.
    pub keep: Box<dyn Any>,
}

/// A client certificate as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// One service process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The service's name: `gateway`, `orders`, `inventory`, `auth`, or `all`.
    pub service: String,
    /// Its process id.
    pub pid: u32,
    /// Where it serves `/metrics`, in plain HTTP.
    pub admin: SocketAddr,
}

/// Why a stack could not be started: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackError(pub String);

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StackError {}

impl fmt::Debug for Started {
    /// Leaves the tokens out: they are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("base_url", &self.base_url)
            .field("ca", &self.ca)
            .field("client", &self.client)
            .field("tokens", &self.tokens.len())
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}
