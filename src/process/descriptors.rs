//! Whether the connections of a measurement fit into the limit of open files, looked at before the
//! first of them: in the middle of a run every other part fails first, with another reason.

use std::fs;
use std::io;

use runtime::process::raise_file_limit;

use crate::Failure;

/// Open files that a measurement has for a moment beside its connections: results, `/proc`, a
/// token endpoint, a metrics page.
const BESIDE: u64 = 16;

/// What each generator thread opens for its event loop, at most.
const EACH_THREAD: u64 = 4;

/// Raises the limit of open files as far as it goes, and checks that so many connections fit.
/// `flag` is what lowers their number.
pub(crate) fn ensure(connections: usize, threads: usize, flag: &str) -> Result<(), Failure> {
    let limit = raise_file_limit().map_err(|error| {
        Failure::failed(format!(
            "The limit of open files could not be raised: {error}; see tollgate doctor."
        ))
        .because(error)
    })?;
    check(connections as u64, open_now()? + BESIDE + EACH_THREAD * threads as u64, limit, flag)
}

fn check(connections: u64, beside: u64, limit: u64, flag: &str) -> Result<(), Failure> {
    let needed = connections.saturating_add(beside);
    if needed <= limit {
        return Ok(());
    }
    let fewer = match limit.saturating_sub(beside) {
        0 => String::new(),
        fitting => format!("give {flag} {fitting} or less, or "),
    };
    Err(Failure::failed(format!(
        "{connections} connections need {needed} open files, and this process may have {limit}: \
         {fewer}raise the limit with `ulimit -n {needed}`."
    )))
}

/// What is open already, the directory handle of this very count with it.
fn open_now() -> Result<u64, Failure> {
    let unreadable = |error: io::Error| match error.raw_os_error() {
        // EMFILE: nothing more can be opened at all.
        Some(24) => Failure::failed(
            "This process may open no more files: raise the limit, such as with `ulimit -n 1024`.",
        ),
        _ => Failure::failed(format!("/proc/self/fd could not be read: {error}.")),
    };
    Ok(fs::read_dir("/proc/self/fd").map_err(unreadable)?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_beyond_the_limit_are_refused_with_what_fits() {
        assert!(check(64, 20, 84, "-c").is_ok());
        let said = check(64, 20, 83, "-c").unwrap_err().to_string();
        for part in ["64 connections", "84 open files", "83", "-c 63", "ulimit -n 84"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let said = check(64, 20, 20, "-c").unwrap_err().to_string();
        assert!(!said.contains("-c") && said.contains("ulimit -n 84"), "{said}");
    }
}
