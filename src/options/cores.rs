//! The cores of a measurement: those that were named, checked against what this process may use,
//! and for the rest the first and the last that are free.

use loadgen::plan::Cores;
use loadgen::report;
use runtime::process::allowed_cpus;

use crate::{Failure, values};

/// The same cores, if this process may use them.
pub(crate) fn usable(cores: Vec<usize>) -> Result<Vec<usize>, Failure> {
    check(&cores, &allowed()?)?;
    Ok(cores)
}

/// The cores of servers and generator as typed, and the rest of them from what this process may
/// use.
pub(crate) fn split(servers: Option<&str>, generator: Option<&str>) -> Result<Cores, Failure> {
    let allowed = allowed()?;
    let servers = servers.map(values::cores).transpose()?;
    let generator = generator.map(values::cores).transpose()?;
    let taken: Vec<usize> = servers.iter().chain(&generator).flatten().copied().collect();
    check(&taken, &allowed)?;
    let mut free = allowed.iter().copied().filter(|core| !taken.contains(core));
    let mut one = || free.next().map(|core| vec![core]);
    match (servers.or_else(&mut one), generator.or_else(&mut one)) {
        (Some(servers), Some(generator)) => Ok(Cores { servers, generator }),
        _ => Cores::split(&allowed[..allowed.len().min(1)]).map_err(Failure::of),
    }
}

fn allowed() -> Result<Vec<usize>, Failure> {
    allowed_cpus().map_err(|error| {
        Failure::failed(format!("The usable cores are not known: {error}.")).because(error)
    })
}

fn check(cores: &[usize], allowed: &[usize]) -> Result<(), Failure> {
    match cores.iter().find(|core| !allowed.contains(core)) {
        None => Ok(()),
        Some(core) => Err(Failure::usage(format!(
            "Core {core} is not one that this process may use, which has {}.",
            report::cores(allowed)
        ))),
    }
}
