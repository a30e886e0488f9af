//! The directory below which a command of one URL keeps its record. Tried before the first request.
//! The default one may be missing or closed to us, which costs the record and nothing else: what
//! was measured has been printed.

use std::path::PathBuf;

use loadgen::command::single::TARGET;
use loadgen::directory;
use metrics_export::run::Run;

use crate::Failure;

/// The directory of runs unless another one is named.
const DEFAULT: &str = "runs";

/// What `--runs` takes to keep nothing.
const NONE: &str = "none";

/// Where a record goes.
#[derive(Debug)]
pub(crate) struct Runs {
    /// None: nowhere.
    folder: Option<PathBuf>,
    /// Somebody asked for it: then it is an error that it cannot be written.
    named: bool,
    /// Says nothing of what went well.
    quiet: bool,
}

impl Runs {
    /// Finds out whether a record can be kept, before anything is measured.
    pub(crate) fn open(typed: Option<&str>, quiet: bool) -> Result<Runs, Failure> {
        let named = typed.is_some();
        if typed == Some(NONE) {
            return Ok(Runs { folder: None, named, quiet });
        }
        let folder = PathBuf::from(typed.unwrap_or(DEFAULT));
        let folder = match directory::check(&folder) {
            Ok(()) => Some(folder),
            Err(error) if named => return Err(Failure::sentence(error)),
            Err(error) => {
                if !quiet {
                    eprintln!("tollgate: the record will not be kept: {error}.");
                }
                None
            }
        };
        Ok(Runs { folder, named, quiet })
    }

    /// Keeps a record, with the histogram log of its only variant.
    pub(crate) fn keep(&self, run: &Run, log: Option<&[u8]>) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let logs: Vec<(&str, &[u8])> = log.map(|log| (TARGET, log)).into_iter().collect();
        match directory::write(folder, run, &logs) {
            Ok(place) if !self.quiet => eprintln!("Kept in {}", place.display()),
            Ok(_) => {}
            Err(error) if self.named => return Err(Failure::sentence(error)),
            Err(error) => eprintln!("tollgate: the record was not kept: {error}."),
        }
        Ok(())
    }
}
