//! What was typed after `tollgate matrix`, as the plan that it means: subjects, cells, protocol,
//! cores. It starts nothing.

use std::path::PathBuf;

use loadgen::command::capacity::Settings;
use loadgen::command::matrix::{Matrix, Subjects};
use loadgen::plan::targets::Targets;
use loadgen::plan::{BlockChoice, CallPath, Protocol, StopRule, Topology, UNTIL_CI_ROUNDS_MAX};
use metrics_export::run::Build;

use super::axes::{axes, profiles};
use super::targets;
use crate::options::{annotations, bounds, cores};
use crate::values::{duration, percent};
use crate::{Failure, cli, values};

/// The shares of the closed-loop maximum at which `--capacity` takes the times of a variant.
const CURVE_SHARES: [f64; 6] = [0.2, 0.4, 0.6, 0.8, 0.9, 0.95];

/// What is to be measured; `targets` are the user's own servers instead of the stack, `builds`
/// those of tollgate whose servers are compared.
pub(super) fn matrix(
    typed: &cli::MatrixArgs,
    targets: Option<&Targets>,
    builds: Vec<Build>,
) -> Result<Matrix, Failure> {
    let name = typed.topology.as_deref().unwrap_or("mesh");
    let topology = Topology::parse(name)
        .ok_or_else(|| Failure::usage(format!("--topology takes mesh or single, not {name:?}.")))?;
    let mut cells = axes(typed)?.cells(&typed.vary).map_err(Failure::unusable)?;
    if topology == Topology::Single && cells.iter().any(|cell| cell.call_path == CallPath::Direct) {
        return Err(Failure::usage(
            "--call-path direct needs --topology mesh: the single server has no gateway.",
        ));
    }
    let protocol = protocol(typed)?;
    let slo = typed.slo.as_deref().map(values::slo).transpose()?;
    let capacity = (typed.capacity || slo.is_some()).then(|| Settings {
        slice: protocol.slice,
        shares: CURVE_SHARES.into(),
        ..Settings::new(slo)
    });
    let (subjects, variants) = match targets {
        Some(targets) => {
            // Nothing is restarted; an instance is a start of the connections.
            cells.iter_mut().for_each(|cell| cell.workload = "target".into());
            (Subjects::Targets(targets::pairs(targets)), targets::variants(targets, &cells))
        }
        None => {
            let variants = Matrix::variants_of(&profiles(typed)?, &builds, &cells);
            (Subjects::Stack(topology), variants)
        }
    };
    let mut annotations = annotations::parse(typed.annotations.clone())?;
    annotations.label = annotations.label.or_else(|| targets?.label.clone());
    Ok(Matrix {
        subjects,
        variants,
        builds,
        cells,
        protocol,
        bounds: bounds::parse(typed.bounds.clone())?,
        cores: cores::split(typed.server_cores.as_deref(), typed.generator_cores.as_deref())?,
        runs: PathBuf::from(&typed.output),
        annotations,
        driver: values::driver(&typed.driver, typed.require_io_uring)?,
        capacity,
    })
}

fn protocol(typed: &cli::MatrixArgs) -> Result<Protocol, Failure> {
    let seed = values::seed(typed.seed);
    let mut protocol = if typed.quick { Protocol::quick(seed) } else { Protocol::standard(seed) };
    protocol.stop = StopRule {
        until_ci_share: typed.until_ci.as_deref().map(|t| percent("--until-ci", t)).transpose()?,
        max_duration: typed
            .max_duration
            .as_deref()
            .map(|t| duration("--max-duration", t))
            .transpose()?,
    };
    let most = protocol.stop.until_ci_share.map(|_| UNTIL_CI_ROUNDS_MAX);
    if let Some(rounds) = typed.rounds.or(most) {
        protocol = protocol.with_rounds(rounds);
    }
    protocol.instances = typed.instances.unwrap_or(protocol.instances);
    if let Some(slice) = &typed.slice {
        protocol.slice = duration("--slice", slice)?;
    }
    protocol.block = match typed.block.as_str() {
        "auto" => BlockChoice::Auto,
        "whole" => BlockChoice::Whole,
        length => BlockChoice::Length(duration("--block", length)?),
    };
    protocol.pattern = values::pattern(&typed.arrivals)?;
    protocol.check().map_err(Failure::unusable)?;
    Ok(protocol)
}
