//! `tollgate matrix`: turns what was typed into an experiment, hands it the servers to measure, and
//! prints the answer.

mod axes;
mod builds;
mod launcher;
mod plan;
mod targets;

use std::io::IsTerminal as _;

use loadgen::command::matrix::{Matrix, MatrixOutcome, Subjects};
use loadgen::directory;
use loadgen::experiment::stack::Stack;
use loadgen::plan::{PlannedCell, Topology, Variant};
use loadgen::report::{self, Paint};
use loadgen::verdict::threshold::{self, Judgement, Named};
use metrics_export::printable::printable;
use metrics_export::{csv, markdown};

use crate::command::pki;
use crate::io::terminal::{in_colours, shown};
use crate::io::{inputs, record, stdout};
use crate::options::conditions::Conditions;
use crate::process::held::WorkFolder;
use crate::process::state::StateDir;
use crate::process::{descriptors, interrupt};
use crate::{Failure, cli, values};

pub(crate) use launcher::StackLauncher;
use targets::TargetStack;

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatrixFormat {
    Text,
    Json,
    Csv,
    Markdown,
    Quiet,
}

const FORMATS: [(&str, MatrixFormat); 5] = [
    ("text", MatrixFormat::Text),
    ("json", MatrixFormat::Json),
    ("csv", MatrixFormat::Csv),
    ("markdown", MatrixFormat::Markdown),
    ("quiet", MatrixFormat::Quiet),
];

/// Carries out `tollgate matrix`.
pub(crate) fn command(typed: cli::MatrixArgs) -> Result<u8, Failure> {
    let format = values::choice("--output-format", &typed.output_format, &FORMATS)?;
    let baseline = typed.baseline.as_deref().map(record::load).transpose()?;
    let conditions = Conditions::new(&typed.fail_if, baseline)?;
    let targets = typed.targets.as_deref().map(|file| targets::list(&typed, file)).transpose()?;
    let builds = builds::list(&typed)?;
    let named = builds.iter().map(|build| build.build.clone()).collect();
    let mut matrix = plan::matrix(&typed, targets.as_ref(), named)?;
    conditions.check(&names(&matrix))?;
    directory::check(&matrix.runs).map_err(Failure::sentence)?;
    let shutdown = interrupt::begin()?;
    descriptors::ensure(connections(&matrix), matrix.cores.generator.len(), "-c")?;
    // Keys and certificates of our own stack live as long as the run.
    let folder = WorkFolder::create()?;
    let mut stack: Box<dyn Stack> = match targets {
        None => {
            let launcher = launcher(&typed, &matrix, StateDir::create(folder.path())?)?;
            Box::new(launcher.of_builds(builds)?)
        }
        Some(targets) => {
            let stack =
                interrupt::unless_interrupted(&shutdown, move || TargetStack::open(&targets))?;
            if !stack.is_local() && typed.server_cores.is_none() {
                matrix.cores.servers.clear();
            }
            stack.warnings().iter().for_each(|warning| eprintln!("{warning}"));
            Box::new(stack)
        }
    };
    if format == MatrixFormat::Text {
        eprintln!("{}", matrix.announcement());
    }
    let watch = shutdown.watch();
    if typed.plan {
        let forecast = matrix.forecast(&mut *stack, &|| watch.received().is_some());
        let forecast = forecast.map_err(|failure| match shutdown.received() {
            Some(_) => Failure::interrupted(),
            None => Failure::sentence(failure),
        })?;
        stdout::print(&forecast.text())?;
        return Ok(0);
    }
    let outcome = matrix.run(&mut *stack, &|| watch.received().is_some());
    let outcome = outcome.map_err(|failure| match shutdown.received() {
        Some(_) => Failure::interrupted(),
        None => Failure::sentence(failure),
    })?;
    let judged = conditions.judge(&outcome.run)?;
    print(&outcome, format, &judged)?;
    for sentence in [&outcome.failure, &outcome.misplaced].into_iter().flatten() {
        eprintln!("tollgate: {sentence}.");
    }
    Ok(threshold::exit_code(outcome.exit_code(), &judged))
}

/// The most connections that are open at a time: all variants keep theirs.
fn connections(matrix: &Matrix) -> usize {
    let cells = matrix.cells.iter().enumerate();
    let open = |(place, cell): (usize, &PlannedCell)| {
        matrix.variants.iter().filter(|variant| variant.cell == place).count() * cell.connections
    };
    cells.map(open).sum()
}

/// The variants by every name that a condition may call them.
fn names(matrix: &Matrix) -> Vec<Named<'_>> {
    let variants = matrix.variants.iter();
    let named = variants.map(|Variant { cell, id, label, role, .. }| Named {
        cell: &matrix.cells[*cell].id,
        id,
        label,
        role: role.clone(),
    });
    named.collect()
}

/// What is to be measured of our own stack.
pub(crate) fn plan(typed: &cli::MatrixArgs) -> Result<Matrix, Failure> {
    plan::matrix(typed, None, Vec::new())
}

/// What starts the servers of such a plan, with keys and certificates in `state`.
pub(crate) fn launcher(
    typed: &cli::MatrixArgs,
    matrix: &Matrix,
    state: StateDir,
) -> Result<StackLauncher, Failure> {
    pki::ensure(&state)?;
    if let Some(key) = &typed.rs256_key {
        let pem = inputs::read_secret(key)?;
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
    Ok(StackLauncher { state, topology, options, builds: Vec::new() })
}

fn print(
    outcome: &MatrixOutcome,
    format: MatrixFormat,
    judged: &[Judgement],
) -> Result<(), Failure> {
    let stdout = std::io::stdout();
    let paint = Paint::choose(stdout.is_terminal(), std::env::var("NO_COLOR").ok().as_deref());
    if format != MatrixFormat::Text && !judged.is_empty() {
        eprintln!("{}", threshold::text(judged, Paint::Plain).trim_end());
    }
    stdout::print(&printable(&match format {
        MatrixFormat::Text => {
            let mut text = report::text(&shown(&outcome.run, paint), paint);
            if !judged.is_empty() {
                text += &format!("\n{}", threshold::text(judged, paint));
            }
            text += &format!("\nKept in {}\n", outcome.directory.display());
            return stdout::print(&in_colours(&text, paint));
        }
        MatrixFormat::Json => format!("{}\n", outcome.run.to_json()),
        MatrixFormat::Csv => csv::slices(&outcome.run.slices),
        MatrixFormat::Markdown => markdown::report(&outcome.run),
        MatrixFormat::Quiet => return Ok(()),
    }))
}
