//! What a run left, read from its directory: the record, and other texts within a limit. A file
//! that is not there, or is something else, is told with what to name instead.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use metrics_export::run::Run;

use crate::Failure;

/// The largest record that is read, in bytes: tens of thousands of slices.
const RECORD_BYTES_MAX: u64 = 256 << 20;

/// The record of a run, by its directory or by its `run.json`.
pub(crate) fn load(path: &str) -> Result<Run, Failure> {
    let named = Path::new(path);
    let file = if named.is_dir() { named.join("run.json") } else { named.to_owned() };
    let shown = file.display();
    let text = read(&file, RECORD_BYTES_MAX).map_err(|error| {
        Failure::failed(format!(
            "Could not read {shown}: {error}; name the directory of a run, or its run.json."
        ))
        .because(error)
    })?;
    Run::from_json(&text)
        .map_err(|error| Failure::failed(format!("{shown}: {error}.")).because(error))
}

/// The directory of a run and its record, whichever of the two was named.
pub(crate) fn places(named: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let (directory, record) = if named.is_dir() {
        (named.to_path_buf(), named.join("run.json"))
    } else {
        let parent = named.parent().filter(|parent| !parent.as_os_str().is_empty());
        (parent.unwrap_or(Path::new(".")).to_path_buf(), named.to_path_buf())
    };
    if record.is_file() {
        return Ok((directory, record));
    }
    Err(Failure::failed(format!(
        "There is no run at {}: {} is missing. Name the directory that tollgate said it kept the \
         run in, or the run.json in it; runs are below ./runs unless --output or --runs was given.",
        named.display(),
        record.display()
    )))
}

/// The record in a file that is one.
pub(crate) fn record(file: &Path) -> Result<Run, Failure> {
    let shown = file.display();
    let text = read(file, RECORD_BYTES_MAX).map_err(|error| {
        Failure::failed(format!("{shown} cannot be read: {error}.")).because(error)
    })?;
    Run::from_json(&text).map_err(|error| {
        Failure::failed(format!("{shown} cannot be reported: {error}.")).because(error)
    })
}

/// Why a text could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file could not be opened, or is no text.
    Io(io::Error),
    /// It has more bytes than this.
    TooLarge(u64),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => error.fmt(f),
            ReadError::TooLarge(bytes_max) => {
                write!(f, "it is larger than {} MiB", bytes_max >> 20)
            }
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReadError::Io(error) => Some(error),
            ReadError::TooLarge(_) => None,
        }
    }
}

/// A file as text, if it is no larger than this.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<String, ReadError> {
    let mut text = String::new();
    let file = File::open(path).map_err(ReadError::Io)?;
    // One byte more than is allowed tells a file that is too large.
    file.take(bytes_max + 1).read_to_string(&mut text).map_err(ReadError::Io)?;
    if text.len() as u64 > bytes_max {
        return Err(ReadError::TooLarge(bytes_max));
    }
    Ok(text)
}
