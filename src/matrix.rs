//! `tollgate matrix`: turns what was typed into an experiment, hands it the servers to measure, and
//! prints the answer.

mod axes;
mod launcher;
mod plan;
mod targets;

use std::io::IsTerminal as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen::directory;
use loadgen::matrix::{Matrix, Outcome, Subjects};
use loadgen::plan::{Cell, Topology, Variant};
use loadgen::report::{self, Paint};
use loadgen::run::RunError;
use loadgen::schedule::{Pattern, RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN, Rate};
use loadgen::stack::Stack;
use loadgen::threshold::{self, Judgement, Named};
use metrics_export::printable::printable;
use metrics_export::{csv, markdown};
use runtime::blocking;
use runtime::process::{Shutdown, raise_file_limit};

use crate::compare::Conditions;
use crate::held::{self, WorkFolder};
use crate::state::StateDir;
use crate::terminal::{in_colours, shown};
use crate::{Failure, cli, descriptors, pki, request, stdout};

pub(crate) use launcher::Launcher;
pub(crate) use plan::cores;
use targets::TargetStack;

/// How often a wait looks whether Ctrl-C came.
const LOOK: Duration = Duration::from_millis(50);

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Csv,
    Markdown,
    Quiet,
}

/// Carries out `tollgate matrix`.
pub(crate) fn command(typed: cli::Matrix) -> Result<u8, Failure> {
    let format = format(&typed.output_format)?;
    let conditions = Conditions::new(&typed.fail_if, typed.baseline.as_deref())?;
    let targets = typed.targets.as_deref().map(|file| targets::list(&typed, file)).transpose()?;
    let mut matrix = plan::matrix(&typed, targets.as_ref())?;
    conditions.check(&names(&matrix))?;
    directory::check(&matrix.runs).map_err(|why| Failure::failed(format!("{why}.")))?;
    let shutdown = begin()?;
    descriptors::ensure(connections(&matrix), matrix.cores.generator.len(), "-c")?;
    // Keys and certificates of our own stack live as long as the run.
    let folder = WorkFolder::create()?;
    let mut stack: Box<dyn Stack> = match targets {
        None => Box::new(launcher(&typed, &matrix, StateDir::create(folder.path())?)?),
        Some(targets) => {
            let stack = unless_interrupted(&shutdown, move || TargetStack::open(&targets))?;
            if !stack.is_local() && typed.server_cores.is_none() {
                matrix.cores.servers.clear();
            }
            stack.warnings().iter().for_each(|warning| eprintln!("{warning}"));
            Box::new(stack)
        }
    };
    if format == Format::Text {
        eprintln!("{}", matrix.announcement());
    }
    let watch = shutdown.watch();
    let outcome = matrix.run(&mut *stack, &|| watch.received().is_some());
    let outcome = outcome.map_err(|failure| match shutdown.received() {
        Some(_) => interrupted(),
        None => Failure::failed(format!("{failure}.")),
    })?;
    let judged = conditions.judge(&outcome.run)?;
    print(&outcome, format, &judged)?;
    for sentence in [&outcome.failure, &outcome.misplaced].into_iter().flatten() {
        eprintln!("tollgate: {sentence}.");
    }
    Ok(threshold::exit_code(outcome.exit_code(), &judged))
}

/// What every command that measures begins with: takes over Ctrl-C, which then also ends requests
/// beside the traffic, and may open many files.
pub(crate) fn begin() -> Result<Shutdown, Failure> {
    let shutdown = held::shutdown()?;
    blocking::stop_with(shutdown.watch());
    raise_file_limit().map_err(|error| {
        Failure::failed(format!(
            "The limit of open files could not be raised: {error}; see tollgate doctor."
        ))
    })?;
    Ok(shutdown)
}

/// Does what may wait for a file, a name or a server before anything is measured, unless Ctrl-C
/// comes first: what waits then is left behind, and ends with the process.
pub(crate) fn unless_interrupted<T: Send + 'static>(
    shutdown: &Shutdown,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = mpsc::channel();
    thread::Builder::new()
        .name("prepare".into())
        // Nobody may be left to hear of it.
        .spawn(move || _ = done.send(work()))
        .map_err(|error| Failure::failed(format!("No thread could be started: {error}.")))?;
    loop {
        match result.recv_timeout(LOOK) {
            // A failure that the signal itself made is none.
            Ok(result) if result.is_ok() || shutdown.received().is_none() => return result,
            Err(RecvTimeoutError::Timeout) if shutdown.received().is_none() => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::failed("The preparation panicked."));
            }
            _ => return Err(interrupted()),
        }
    }
}

/// Ctrl-C came before there was anything to keep.
pub(crate) fn interrupted() -> Failure {
    let code = RunError::Interrupted.exit_code();
    Failure { message: format!("{}.", RunError::Interrupted), code }
}

/// The most connections that are open at a time: all variants of a cell keep theirs.
fn connections(matrix: &Matrix) -> usize {
    let cells = matrix.cells.iter().enumerate();
    let open = |(place, cell): (usize, &Cell)| {
        matrix.variants.iter().filter(|variant| variant.cell == place).count() * cell.connections
    };
    cells.map(open).max().unwrap_or(0)
}

/// The variants by every name that a condition may call them.
fn names(matrix: &Matrix) -> Vec<Named<'_>> {
    let variants = matrix.variants.iter();
    let named = variants.map(|Variant { cell, id, label, role, .. }| Named {
        cell: &matrix.cells[*cell].id,
        id,
        label,
        role,
    });
    named.collect()
}

/// What is to be measured of our own stack.
pub(crate) fn plan(typed: &cli::Matrix) -> Result<Matrix, Failure> {
    plan::matrix(typed, None)
}

/// What starts the servers of such a plan, with keys and certificates in `state`.
pub(crate) fn launcher(
    typed: &cli::Matrix,
    matrix: &Matrix,
    state: StateDir,
) -> Result<Launcher, Failure> {
    pki::ensure(&state)?;
    if let Some(key) = &typed.rs256_key {
        let pem = request::read_secret(key)?;
        state.write_private("auth/rs256.pem", &pem)?;
    }
    let cores: Vec<String> = matrix.cores.servers.iter().map(usize::to_string).collect();
    let mut options: Vec<String> =
        ["--cores", &cores.join(","), "--driver", &typed.driver].map(String::from).into();
    if typed.require_io_uring {
        options.push("--require-io-uring".into());
    }
    let topology = match matrix.subjects {
        Subjects::Stack(topology) => topology,
        Subjects::Targets(_) | Subjects::Reference(_) => Topology::Mesh,
    };
    Ok(Launcher { state, topology, options })
}

fn print(outcome: &Outcome, format: Format, judged: &[Judgement]) -> Result<(), Failure> {
    let stdout = std::io::stdout();
    let paint = Paint::choose(stdout.is_terminal(), std::env::var("NO_COLOR").ok().as_deref());
    if format != Format::Text && !judged.is_empty() {
        eprintln!("{}", threshold::text(judged, Paint::Plain).trim_end());
    }
    stdout::print(&printable(&match format {
        Format::Text => {
            let mut text = report::text(&shown(&outcome.run, paint), paint);
            if !judged.is_empty() {
                text += &format!("\n{}", threshold::text(judged, paint));
            }
            text += &format!("\nKept in {}\n", outcome.directory.display());
            return stdout::print(&in_colours(&text, paint));
        }
        Format::Json => format!("{}\n", outcome.run.to_json()),
        Format::Csv => csv::slices(&outcome.run.slices),
        Format::Markdown => markdown::report(&outcome.run),
        Format::Quiet => return Ok(()),
    }))
}

fn format(name: &str) -> Result<Format, Failure> {
    match name {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        "markdown" => Ok(Format::Markdown),
        "quiet" => Ok(Format::Quiet),
        _ => Err(Failure::usage(format!(
            "--output-format takes text, json, csv, markdown or quiet, not {name:?}."
        ))),
    }
}

/// How arrivals are spread over time.
pub(crate) fn pattern(name: &str) -> Result<Pattern, Failure> {
    [Pattern::Constant, Pattern::Poisson]
        .into_iter()
        .find(|pattern| pattern.as_str() == name)
        .ok_or_else(|| {
            Failure::usage(format!("--arrivals takes constant or poisson, not {name:?}."))
        })
}

/// A rate that can be kept, in requests per second.
pub(crate) fn rate(option: &str, typed: f64) -> Result<Rate, Failure> {
    Rate::per_second(typed).ok_or_else(|| {
        Failure::usage(format!(
            "{option} takes {RATE_PER_SECOND_MIN} to {RATE_PER_SECOND_MAX} requests per second, \
             not {typed}."
        ))
    })
}

/// A time as people write it: `250ms`, `1s`, `1.5s`, `2m`.
pub(crate) fn duration(option: &str, text: &str) -> Result<Duration, Failure> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => f64::NAN,
    };
    let starts_well = number.starts_with(|c: char| c.is_ascii_digit());
    number
        .parse::<f64>()
        .ok()
        .filter(|_| starts_well)
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| {
            Failure::usage(format!(
                "{option} takes a time with its unit, such as 250ms, 10s or 2m, not {text:?}."
            ))
        })
}

/// A seed for those who gave none; it is stored with the run.
pub(crate) fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_outside_its_range_is_refused_with_the_range() {
        for good in [0.001, 1.0, 1e8] {
            assert_eq!(rate("-R", good).unwrap().as_f64(), good);
        }
        for wrong in [0.0, -1.0, 1e-9, 0.0009, 1e9, f64::NAN, f64::INFINITY] {
            let said = rate("-R", wrong).unwrap_err().message;
            assert!(said.contains("0.001 to 100000000 requests"), "{said}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        let good =
            [("250ms", 250_000), ("1s", 1_000_000), ("1.5s", 1_500_000), ("2m", 120_000_000)];
        for (text, micros) in good {
            assert_eq!(duration("-d", text).unwrap(), Duration::from_micros(micros), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1d", "0s", "1e400s", "+1s", "1 s", "infs", "soon"] {
            assert!(duration("-d", text).is_err(), "{text:?}");
        }
    }
}
