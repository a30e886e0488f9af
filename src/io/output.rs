//! Where results go: tried before the first request, and never a reason to lose what was measured.
//! What cannot be written when the time has come is printed, and kept in a temporary file that is
//! named.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use loadgen::command::run::OutputFormat;
use loadgen::panics::caught;
use metrics_export::printable::printable;
use runtime::files::{Output, PUBLIC};

use crate::Failure;
use crate::io::stdout;

/// A place for one result: a file, or standard output where none was named.
#[derive(Debug)]
pub(crate) struct OutputFile(Option<Output>);

impl OutputFile {
    /// Finds out whether the file can be written, before anything is measured. Its directory is
    /// made where that is missing.
    pub(crate) fn open(file: Option<&str>) -> Result<OutputFile, Failure> {
        if let Some(folder) = file.and_then(|file| Path::new(file).parent()) {
            // What is wrong with it is told by the file's own opening.
            let _ = fs::create_dir_all(folder);
        }
        OutputFile::open_there(file)
    }

    /// The same in a directory that must be there.
    pub(crate) fn open_there(file: Option<&str>) -> Result<OutputFile, Failure> {
        file.map(|file| {
            Output::open(Path::new(file), PUBLIC).map_err(|error| {
                Failure::failed(format!("{file} cannot be written to: {error}. Nothing was done."))
                    .because(error)
            })
        })
        .transpose()
        .map(OutputFile)
    }

    /// Whether a file was named.
    pub(crate) fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// Writes what can be made again, so that nothing is lost if it fails.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(output) = self.0 else {
            return print(bytes);
        };
        let path = output.path().display().to_string();
        output.write(bytes).map_err(|error| {
            Failure::failed(format!("Could not write {path}: {error}.")).because(error)
        })
    }

    /// Writes a result. If that fails, it goes to standard output and into a temporary file.
    pub(crate) fn deliver(self, result: &[u8]) -> Result<(), Failure> {
        let Some(output) = self.0 else {
            return print(result);
        };
        let path = output.path().display().to_string();
        let Err(error) = output.write(result) else {
            return Ok(());
        };
        let printed = match stdout::write(result) {
            Ok(()) => "The result was printed instead",
            Err(_) => "The result could not be printed either, and was made",
        };
        let why = format!("Could not write {path}: {error}. {printed}");
        Err(Failure::failed(kept(&why, result)))
    }

    /// Writes what goes along with a result. If that fails, it goes into a temporary file alone,
    /// because standard output is the result's.
    pub(crate) fn deliver_beside(self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(output) = self.0 else {
            return Ok(());
        };
        let path = output.path().display().to_string();
        output.write(bytes).map_err(|error| {
            Failure::failed(kept(
                &format!("Could not write {path}: {error}. What belongs there was made"),
                bytes,
            ))
            .because(error)
        })
    }
}

/// A result in the format that was asked for or, if making that fails, in another one.
pub(crate) fn rendered(format: OutputFormat, render: impl Fn(OutputFormat) -> String) -> String {
    let formats = [format, OutputFormat::Json, OutputFormat::Text, OutputFormat::Csv];
    let mut made = formats.into_iter().map(|format| caught(|| render(format)));
    // The faults were reported by whoever caught them; the first format that can be made counts.
    let text = made.find_map(Result::ok).unwrap_or_default();
    printable(&text).into_owned()
}

/// Prints a result. If that fails, it is kept in a temporary file.
pub(crate) fn print(result: &[u8]) -> Result<(), Failure> {
    stdout::write(result).map_err(|error| {
        let why =
            format!("The result could not be printed to standard output: {error}. It was made");
        Failure::failed(kept(&why, result))
    })
}

/// Puts a result where it can be found, and adds to `why` where that is.
fn kept(why: &str, result: &[u8]) -> String {
    let keep = || {
        let mut file = tempfile::Builder::new().prefix("tollgate-result-").tempfile()?;
        file.write_all(result)?;
        file.keep().map(|(_, path)| path).map_err(io::Error::from)
    };
    match keep() {
        Ok(path) => format!("{why} and kept in {}.", path.display()),
        Err(error) => format!("{why}, but could not be kept in a temporary file: {error}."),
    }
}
