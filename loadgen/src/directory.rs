//! The directory that a run leaves behind: `run.json`, one `.hlog` per variant, `slices.csv`.
//!
//! It appears whole or not at all: files are written into a hidden neighbour, and one rename makes
//! them visible. An existing run is never overwritten.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use metrics_export::csv;
use metrics_export::run::Run;

/// Writes a run below `runs` and returns its directory. `logs` are variant ids with the bytes of
/// their histogram logs.
///
/// # Errors
/// What could not be written, as a sentence; then nothing is left behind.
pub fn write(runs: &Path, run: &Run, logs: &[(&str, &[u8])]) -> Result<PathBuf, String> {
    let place = runs.join(&run.id);
    let draft = runs.join(format!(".{}.partial", run.id));
    let refused = |error: io::Error| {
        format!(
            "the run could not be written to {}: {error}; choose another directory with --output",
            place.display()
        )
    };
    if place.exists() {
        return Err(refused(io::ErrorKind::AlreadyExists.into()));
    }
    fs::create_dir_all(runs).map_err(refused)?;
    let written = fill(&draft, run, logs).and_then(|()| fs::rename(&draft, &place));
    written.map_err(|error| {
        // Best effort: the error that is reported is the first one.
        let _ = fs::remove_dir_all(&draft);
        refused(error)
    })?;
    Ok(place)
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
