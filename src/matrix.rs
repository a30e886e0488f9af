//! `tollgate matrix`: turns what was typed into an experiment, hands it the servers to measure, and
//! prints the answer.

mod axes;
mod launcher;

use std::fs::Permissions;
use std::io::IsTerminal as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen::capacity::Settings;
use loadgen::matrix::{Matrix, Outcome, Subjects};
use loadgen::plan::{CallPath, Cores, Protocol, StopRule, Topology, UNTIL_CI_ROUNDS_MAX};
use loadgen::report::{self, Paint};
use loadgen::schedule::Pattern;
use metrics_export::csv;
use runtime::process::{Shutdown, allowed_cpus, raise_file_limit};

use crate::bounds::{BoundWords, percent};
use crate::cli;
use crate::state::StateDir;
use crate::{Failure, pki, serve};

use axes::{axes, profiles};
use launcher::Launcher;

/// The shares of the closed-loop maximum at which `--capacity` takes the times of a variant.
const CURVE_SHARES: [f64; 6] = [0.2, 0.4, 0.6, 0.8, 0.9, 0.95];

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Csv,
    Quiet,
}

/// Carries out `tollgate matrix`.
pub(crate) fn command(typed: cli::Matrix) -> Result<u8, Failure> {
    let format = format(&typed.output_format)?;
    let matrix = matrix(&typed)?;
    let shutdown = Shutdown::install().map_err(Failure::failed)?;
    raise_file_limit().map_err(|error| {
        Failure::failed(format!("The limit of open files could not be raised: {error}."))
    })?;
    let folder = tempfile::Builder::new()
        .prefix("tollgate-matrix-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|error| {
            Failure::failed(format!("A temporary directory could not be made: {error}."))
        })?;
    let mut launcher = launcher(&typed, &matrix, StateDir::create(folder.path())?)?;
    if format == Format::Text {
        eprintln!("{}", matrix.announcement());
    }
    let outcome = matrix
        .run(&mut launcher, &|| shutdown.received().is_some())
        .map_err(|failure| Failure::failed(format!("{failure}.")))?;
    print(&outcome, format);
    Ok(outcome.exit_code())
}

fn matrix(typed: &cli::Matrix) -> Result<Matrix, Failure> {
    let topology = Topology::parse(&typed.topology).ok_or_else(|| {
        Failure::usage(format!("--topology takes mesh or single, not {:?}.", typed.topology))
    })?;
    let cells = axes(typed)?
        .cells(&typed.vary)
        .map_err(|sentence| Failure::usage(format!("{sentence}.")))?;
    if topology == Topology::Single && cells.iter().any(|cell| cell.call_path == CallPath::Direct) {
        return Err(Failure::usage(
            "--call-path direct needs --topology mesh: the single server has no gateway to pass by.",
        ));
    }
    let profiles = profiles(typed)?;
    let protocol = protocol(typed)?;
    let slo = typed.slo.as_deref().map(crate::capacity::slo).transpose()?;
    let capacity = (typed.capacity || slo.is_some()).then(|| Settings {
        slice: protocol.slice,
        shares: CURVE_SHARES.into(),
        ..Settings::new(slo)
    });
    Ok(Matrix {
        subjects: Subjects::Stack(topology),
        variants: Matrix::variants_of(&profiles, &cells),
        cells,
        protocol,
        bounds: bounds(typed).parse()?,
        cores: cores(&typed.server_cores, &typed.generator_cores)?,
        runs: PathBuf::from(&typed.output),
        commit: option_env!("TOLLGATE_COMMIT").map(String::from),
        label: typed.label.clone(),
        driver: serve::driver(&typed.driver, typed.require_io_uring)?,
        capacity,
    })
}

fn bounds(typed: &cli::Matrix) -> BoundWords {
    BoundWords {
        max_lateness_p99: typed.max_lateness_p99.clone(),
        min_achieved: typed.min_achieved.clone(),
        max_dropped: typed.max_dropped.clone(),
        max_steal: typed.max_steal.clone(),
        max_foreign: typed.max_foreign.clone(),
        max_throttled: typed.max_throttled.clone(),
        max_errors: typed.max_errors.clone(),
        max_in_flight_growth: typed.max_in_flight_growth.clone(),
    }
}

fn protocol(typed: &cli::Matrix) -> Result<Protocol, Failure> {
    let seed = typed.seed.unwrap_or_else(seed_of_now);
    let mut protocol = if typed.quick { Protocol::quick(seed) } else { Protocol::standard(seed) };
    protocol.stop = StopRule {
        until_ci_share: typed.until_ci.as_deref().map(|t| percent("--until-ci", t)).transpose()?,
        max_duration: typed
            .max_duration
            .as_deref()
            .map(|t| duration("--max-duration", t))
            .transpose()?,
    };
    if let Some(rounds) = typed.rounds {
        protocol.instances = protocol.instances.min(rounds);
        protocol.rounds = rounds;
        if !typed.quick {
            protocol.instances = rounds;
        }
    } else if protocol.stop.until_ci_share.is_some() {
        (protocol.rounds, protocol.instances) = (UNTIL_CI_ROUNDS_MAX, UNTIL_CI_ROUNDS_MAX);
    }
    protocol.instances = typed.instances.unwrap_or(protocol.instances);
    if let Some(slice) = &typed.slice {
        protocol.slice = duration("--slice", slice)?;
    }
    protocol.pattern = pattern(&typed.arrivals)?;
    protocol.check().map_err(|sentence| Failure::usage(format!("{sentence}.")))?;
    Ok(protocol)
}

/// The cores as typed, and the rest of them from what this process may use.
pub(crate) fn cores(
    servers: &Option<String>,
    generator: &Option<String>,
) -> Result<Cores, Failure> {
    let allowed = allowed_cpus()
        .map_err(|error| Failure::failed(format!("The usable cores are not known: {error}.")))?;
    let given = |text: &Option<String>| text.as_deref().map(serve::cores).transpose();
    let (servers, generator) = (given(servers)?, given(generator)?);
    for core in servers.iter().chain(&generator).flatten() {
        if !allowed.contains(core) {
            return Err(Failure::usage(format!(
                "Core {core} is not one that this process may use; those are {allowed:?}."
            )));
        }
    }
    let taken: Vec<usize> = servers.iter().chain(&generator).flatten().copied().collect();
    let mut free = allowed.iter().copied().filter(|core| !taken.contains(core));
    let mut one = || free.next().map(|core| vec![core]);
    match (servers.or_else(&mut one), generator.or_else(&mut one)) {
        (Some(servers), Some(generator)) => Ok(Cores { servers, generator }),
        _ => Cores::split(&allowed[..allowed.len().min(1)]).map_err(Failure::failed),
    }
}

fn launcher(typed: &cli::Matrix, matrix: &Matrix, state: StateDir) -> Result<Launcher, Failure> {
    pki::ensure(&state)?;
    if let Some(key) = &typed.rs256_key {
        let pem = std::fs::read(key)
            .map_err(|error| Failure::failed(format!("Could not read {key}: {error}.")))?;
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

fn print(outcome: &Outcome, format: Format) {
    let stdout = std::io::stdout();
    let paint = Paint::choose(stdout.is_terminal(), std::env::var("NO_COLOR").ok().as_deref());
    match format {
        Format::Text => {
            print!("{}", report::text(&outcome.run, paint));
            println!("\nKept in {}", outcome.directory.display());
        }
        Format::Json => println!("{}", outcome.run.to_json()),
        Format::Csv => print!("{}", csv::slices(&outcome.run.slices)),
        Format::Quiet => {}
    }
}

fn format(name: &str) -> Result<Format, Failure> {
    match name {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        "quiet" => Ok(Format::Quiet),
        _ => Err(Failure::usage(format!(
            "--output-format takes text, json, csv or quiet here, not {name:?}."
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
