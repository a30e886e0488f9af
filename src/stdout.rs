//! Standard output, where results go. A result that nobody got is a failure, whether the reader is
//! gone, the disk full or the descriptor closed: it is never dropped without a word.

use std::io::{self, Write as _};

use runtime::process::stdout_was_closed;

use crate::Failure;

/// Prints a text as it is, and makes sure that it has left.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = match stdout_was_closed() {
        // The standard library has put /dev/null there.
        true => Err(io::Error::other("it is closed")),
        false => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
    };
    printed.map_err(|error| {
        Failure::failed(format!(
            "What was asked for could not be printed to standard output: {error}."
        ))
    })
}
