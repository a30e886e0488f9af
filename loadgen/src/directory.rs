//! The directory that a run leaves behind: `run.json`, one `.hlog` per variant, `slices.csv`.
//!
//! It appears whole or not at all: files are written into a hidden neighbour, and one rename makes
//! them visible. An existing run is never overwritten.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use metrics_export::csv;
use metrics_export::run::Run;
use runtime::files::{private_folder, random_name};

/// Finds out whether a run can be written below `runs`, before it is made. Nothing is left there;
/// where the directory is missing, the nearest one above it tells.
///
/// # Errors
/// Why not, as a sentence.
pub fn check(runs: &Path) -> Result<(), String> {
    let there = runs.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    private_folder(there.unwrap_or(Path::new(".")), ".tollgate-")
        .and_then(fs::remove_dir)
        .map_err(|error| refusal(runs, &error))
}

/// Writes a run below `runs` and returns its directory. `logs` are variant ids with the bytes of
/// their histogram logs.
///
/// # Errors
/// What could not be written, as a sentence; then nothing is left behind.
pub fn write(runs: &Path, run: &Run, logs: &[(&str, &[u8])]) -> Result<PathBuf, String> {
    let place = runs.join(&run.id);
    let draft = runs.join(format!(".tollgate-{}.partial", random_name()));
    if place.exists() {
        return Err(refusal(&place, &io::ErrorKind::AlreadyExists.into()));
    }
    fs::create_dir_all(runs).map_err(|error| refusal(&place, &error))?;
    let written = fill(&draft, run, logs).and_then(|()| fs::rename(&draft, &place));
    written.map_err(|error| {
        // Best effort: the error that is reported is the first one.
        let _ = fs::remove_dir_all(&draft);
        refusal(&place, &error)
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
        .map_err(|error| error.to_string())
        .and_then(|folder| write(&folder, run, logs));
    match aside {
        Ok(place) => {
            let kept = format!("{why}. It was kept in {} instead", place.display());
            (place, Some(kept))
        }
        Err(error) => (PathBuf::new(), Some(format!("{why}. Nor could it be elsewhere: {error}"))),
    }
}

fn refusal(place: &Path, error: &io::Error) -> String {
    format!(
        "the run cannot be written to {}: {error}; choose another directory with --output",
        place.display()
    )
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
