//! The directory that a run leaves behind: `run.json`, one `.hlog` per variant, `slices.csv`.
//!
//! It appears whole or not at all: files are written into a hidden neighbour, and one rename makes
//! them visible. An existing run is never overwritten.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use metrics_export::run::Run;
use metrics_export::{csv, date};
use runtime::files::{private_folder, random_name};

/// Why a run cannot be written.
#[derive(Debug)]
pub struct DirectoryError {
    place: PathBuf,
    cause: io::Error,
}

impl DirectoryError {
    fn at(place: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
        let place = place.to_path_buf();
        move |cause| DirectoryError { place, cause }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "the run cannot be written to {}: {}; choose another directory with --output or --runs",
            self.place.display(),
            self.cause
        )
    }
}

impl std::error::Error for DirectoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Finds out whether a run can be written below `runs`, before it is made. Nothing is left there;
/// where the directory is missing, the nearest one above it tells.
///
/// # Errors
/// Why not.
pub fn check(runs: &Path) -> Result<(), DirectoryError> {
    let there = runs.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    private_folder(there.unwrap_or(Path::new(".")), ".tollgate-")
        .and_then(fs::remove_dir)
        .map_err(DirectoryError::at(runs))
}

/// The id of a run that began so long after 1970: the second, which sorts, and 64 random bits.
#[must_use]
pub fn new_id(began: Duration) -> String {
    format!("{}-{}", date::compact(began.as_secs()), random_name())
}

/// Writes a run below `runs` and returns its directory. `logs` are variant ids with the bytes of
/// their histogram logs.
///
/// # Errors
/// What could not be written; then nothing is left behind.
pub fn write(runs: &Path, run: &Run, logs: &[(&str, &[u8])]) -> Result<PathBuf, DirectoryError> {
    let place = runs.join(&run.id);
    let draft = runs.join(format!(".tollgate-{}.partial", random_name()));
    if place.exists() {
        return Err(DirectoryError::at(&place)(io::ErrorKind::AlreadyExists.into()));
    }
    fs::create_dir_all(runs).map_err(DirectoryError::at(&place))?;
    let written = fill(&draft, run, logs).and_then(|()| fs::rename(&draft, &place));
    written.map_err(|error| {
        // Best effort: the error that is reported is the first one.
        let _ = fs::remove_dir_all(&draft);
        DirectoryError::at(&place)(error)
    })?;
    Ok(place)
}

/// Writes a run below `runs` or, where that fails, into a temporary directory: what was measured is
/// not lost. Returns its directory, and the sentence about the failure.
pub fn write_somewhere(
    runs: &Path,
    run: &Run,
    logs: &[(&str, &[u8])],
) -> (PathBuf, Option<String>) {
    let why = match write(runs, run, logs) {
        Ok(place) => return (place, None),
        Err(why) => why,
    };
    let aside = private_folder(&std::env::temp_dir(), "tollgate-run-")
        .map_err(DirectoryError::at(&std::env::temp_dir()))
        .and_then(|folder| write(&folder, run, logs));
    match aside {
        Ok(place) => {
            let kept = format!("{why}. It was kept in {} instead", place.display());
            (place, Some(kept))
        }
        Err(error) => (PathBuf::new(), Some(format!("{why}. Nor could it be elsewhere: {error}"))),
    }
}

fn fill(draft: &Path, run: &Run, logs: &[(&str, &[u8])]) -> io::Result<()> {
    fs::create_dir(draft)?;
    file(&draft.join("slices.csv"), csv::slices(&run.slices).as_bytes())?;
    for (variant, bytes) in logs {
        file(&draft.join(format!("{variant}.hlog")), bytes)?;
    }
    file(&draft.join("run.json"), run.to_json().as_bytes())
}

fn file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
