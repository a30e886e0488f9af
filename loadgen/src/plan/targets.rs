//! `targets.toml`: the user's own servers as a list of named variants. `docs/targets.md` has every
//! key.
//!
//! Owns what the file may say and what it means. Pure: text in, a structure out; the files that it
//! names are read by whoever carries the list out. It refuses what could be measured as something
//! else than was meant: an unknown key, a key that has no effect, two keys that exclude each
//! other; and secrets, which belong in files of their own.

mod keys;
mod names;
mod read;
mod spec;
#[cfg(test)]
mod tests;
mod token_params;

use std::fmt;
use std::path::{Path, PathBuf};

use runtime::url::Url;
use rustls::pki_types::ServerName;

pub use self::keys::in_place_of_secret;
pub use self::token_params::check_token_params;
use crate::traffic::check::Expect;

/// The largest file that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The most targets: each is measured in every round.
pub const TARGETS_MAX: usize = 64;

/// What the user's servers are.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// The name of the run in its outputs.
    pub label: Option<String>,
    /// The place of the target that is measured twice and that others are taken to by default.
    pub baseline: usize,
    /// Every target, in the order of the file; at least one.
    pub targets: Vec<TargetSpec>,
}

/// One server with what is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSpec {
    /// Its name for people.
    pub name: String,
    /// The same in letters that a file name may have; unique in the list.
    pub id: String,
    /// The line of the file where it begins.
    pub line: usize,
    /// Where, and what is asked for.
    pub url: Url,
    /// The method; None for GET, or POST with a body.
    pub method: Option<String>,
    /// Fields that are no secrets.
    pub headers: Vec<(String, Vec<u8>)>,
    /// A file of further fields, one `Name: value` a line.
    pub header_file: Option<PathBuf>,
    /// What is sent.
    pub body: TargetBody,
    /// What a good reply is.
    pub expect: Expect,
    /// Where to connect instead of the URL's own addresses: only host and port are looked at.
    pub connect_to: Option<Url>,
    /// The name that the server's certificate must have, also sent as SNI; None for the URL's.
    pub server_name: Option<ServerName<'static>>,
    /// The authorities of the server, a PEM file.
    pub cacert: Option<PathBuf>,
    /// The client's certificate chain and its key, PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Any server certificate will do.
    pub insecure: bool,
    /// TLS sessions may be resumed.
    pub resumption: bool,
    /// What goes into Authorization.
    pub token: TargetToken,
    /// Where its CPU is read.
    pub cpu: Cpu,
    /// The place of the target that its cost is taken to; None for the baseline.
    pub against: Option<usize>,
}

/// What a target is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetBody {
    /// A head alone.
    None,
    /// This text.
    Text(String),
    /// What is in this file.
    File(PathBuf),
    /// The requests of this file in turn; see [`crate::traffic::requests`].
    Requests(PathBuf),
}

/// What goes into Authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetToken {
    /// Nothing.
    None,
    /// The token in this file.
    File(PathBuf),
    /// A token from an OAuth2 token endpoint, renewed before it ends.
    Client {
        /// The token endpoint.
        token_url: Url,
        /// The client.
        client_id: String,
        /// The file with its secret.
        client_secret_file: PathBuf,
        /// Scopes separated by blanks.
        scope: Option<String>,
        /// Further parameters of the request.
        params: Vec<(String, String)>,
    },
}

/// Where a target's CPU is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// Nowhere: only times are measured.
    None,
    /// The processes with these ids.
    Pids(Vec<u32>),
    /// The processes whose ids are in this file.
    PidFile(PathBuf),
    /// `process_cpu_seconds_total` of this page.
    Metrics(Url),
    /// The control group in this directory.
    ControlGroup(PathBuf),
}

/// What is wrong with a list of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl fmt::Display for TargetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.sentence)
    }
}

impl std::error::Error for TargetsError {}

impl Targets {
    /// Reads a list. Paths in it are relative to `folder`, that of the file.
    ///
    /// # Errors
    /// The line and what is wrong there, with the key where there is one.
    pub fn parse(text: &str, folder: &Path) -> Result<Targets, TargetsError> {
        if text.len() > TEXT_BYTES_MAX {
            let sentence = format!("the file is larger than {} KiB", TEXT_BYTES_MAX / 1024);
            return Err(TargetsError { line: 1, sentence });
        }
        let document = read::Document::parse(text)?;
        let specs = document.targets.iter().map(|table| spec::build(table, folder));
        let specs = specs.collect::<Result<Vec<_>, _>>()?;
        names::resolve(&document, specs)
    }
}
