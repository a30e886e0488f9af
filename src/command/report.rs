//! `tollgate report`: reads the directory that a run left and says the same in another form.
//!
//! Every figure comes from that directory: the record, and one histogram log per variant for the
//! curves. A log that is missing or damaged costs its curve, and the page says so; a record that
//! is missing or damaged costs everything. It refuses to judge again: what the run said about
//! itself stands.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, Stdio};

use loadgen::report::{self, Paint};
use metrics_export::printable::printable;
use metrics_export::run::Run;
use metrics_export::spectrum::Spectrum;
use metrics_export::{csv, hlog, html, markdown};

use crate::io::output::OutputFile;
use crate::io::record;
use crate::io::stdout::print;
use crate::io::terminal::{in_colours, shown};
use crate::{Failure, cli, values};

/// The tags of the histogram logs that have a curve in the page.
const CURVES: [&str; 2] = ["response", "service"];

/// What is made of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportFormat {
    Html,
    Text,
    Markdown,
    Json,
    Csv,
}

const FORMATS: [(&str, ReportFormat); 5] = [
    ("html", ReportFormat::Html),
    ("text", ReportFormat::Text),
    ("markdown", ReportFormat::Markdown),
    ("json", ReportFormat::Json),
    ("csv", ReportFormat::Csv),
];

/// Carries out `tollgate report`.
pub(crate) fn command(typed: &cli::ReportArgs) -> Result<u8, Failure> {
    let format = values::choice("--output-format", &typed.output_format, &FORMATS)?;
    let open = open(typed, format)?;
    let (directory, file_of_record) = record::places(Path::new(&typed.run))?;
    let page = directory.join("report.html").display().to_string();
    let file = match (typed.output.as_deref(), format) {
        (Some("-"), _) => None,
        (None, ReportFormat::Html) => Some(page.as_str()),
        (given, _) => given,
    };
    let place = OutputFile::open(file)?;
    let run = record::record(&file_of_record)?;
    let text = match format {
        ReportFormat::Html => html::report(&run, &spectra(&run, &directory)),
        ReportFormat::Text => {
            let paint = paint(typed);
            in_colours(&report::text(&shown(&run, paint), paint), paint).into_owned()
        }
        ReportFormat::Markdown => printable(&markdown::report(&run)).into_owned(),
        ReportFormat::Json => printable(&run.to_json()).into_owned(),
        ReportFormat::Csv => printable(&csv::slices(&run.slices)).into_owned(),
    };
    match file {
        None => print(&text)?,
        Some(file) => {
            // The record stays where it is: what cannot be written is made again at any time.
            place.write(text.as_bytes())?;
            println!("{file}");
            if open {
                browse(file)?;
            }
        }
    }
    Ok(0)
}

fn open(typed: &cli::ReportArgs, format: ReportFormat) -> Result<bool, Failure> {
    let open = values::choice("--open", &typed.open, &[("yes", true), ("no", false)])?;
    if open && (format != ReportFormat::Html || typed.output.as_deref() == Some("-")) {
        return Err(Failure::usage("--open yes needs a page in a file: leave the format html."));
    }
    Ok(open)
}

/// The curves of every variant whose histogram log is there; of the others it is said why not.
fn spectra(run: &Run, directory: &Path) -> Vec<Spectrum> {
    let mut spectra = Vec::new();
    let timed = |id: &str| run.result(id).is_none_or(|result| result.response.count > 0);
    for planned in run.plan.variants.iter().filter(|planned| timed(&planned.id)) {
        match curves(&planned.id, directory) {
            Ok(found) => spectra.extend(found),
            Err(why) => eprintln!("tollgate: the page has no curve of {:?}: {why}.", planned.id),
        }
    }
    spectra
}

fn curves(variant: &str, directory: &Path) -> Result<Vec<Spectrum>, String> {
    // The id is the record's, and a record may come from anywhere: it names no other directory.
    if variant.is_empty() || variant.starts_with('.') || variant.contains(['/', '\\', '\0']) {
        return Err("its id is no name of a file".into());
    }
    let log = directory.join(format!("{variant}.hlog"));
    let text = record::read(&log, hlog::LOG_BYTES_MAX as u64)
        .map_err(|why| format!("{} cannot be read: {why}", log.display()))?;
    let merged = hlog::merged(&text).map_err(|why| format!("{}: {why}", log.display()))?;
    let of_tag = |tag: &str| Some(Spectrum::of(variant, tag, merged.get(tag)?));
    Ok(CURVES.iter().filter_map(|tag| of_tag(tag)).collect())
}

fn paint(typed: &cli::ReportArgs) -> Paint {
    let to_terminal = typed.output.is_none() && io::stdout().is_terminal();
    Paint::choose(to_terminal, std::env::var("NO_COLOR").ok().as_deref())
}

fn browse(file: &str) -> Result<(), Failure> {
    let mut browser = Command::new("xdg-open");
    browser.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match browser.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::failed(format!(
            "The page was written, but xdg-open found no browser for it: open {file} yourself."
        ))),
    }
}
