//! Why a service did not start or ended badly: a sentence that says what to do, and whose fault it
//! is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why [`serve`](crate::serve) failed.
#[derive(Debug)]
pub enum ServeError {
    /// The settings contradict each other or lack something; the text says what to change.
    Config(String),
    /// A file cannot be used.
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, as the end of the sentence "cannot use FILE: ...".
        problem: String,
    },
    /// The service could not be started on this machine.
    Start(String),
}

impl ServeError {
    /// An error of the operating system about `path`.
    #[must_use]
    pub fn io(path: &Path, error: &io::Error) -> ServeError {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => {
                "it does not exist (`tollgate pki init` makes a state directory)".to_string()
            }
            io::ErrorKind::PermissionDenied => "this user may not read or write it".to_string(),
            _ => error.to_string(),
        };
        ServeError::File { path: path.to_path_buf(), problem }
    }

    /// A fault in the content of `path`.
    #[must_use]
    pub fn content(path: &Path, problem: impl fmt::Display) -> ServeError {
        ServeError::File { path: path.to_path_buf(), problem: problem.to_string() }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Config(text) | ServeError::Start(text) => f.write_str(text),
            ServeError::File { path, problem } => {
                write!(f, "cannot use {}: {problem}", path.display())
            }
        }
    }
}

impl std::error::Error for ServeError {}
