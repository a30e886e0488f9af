//! Standard output, where results go. A result that nobody got is a failure, whether the reader is
//! gone, the disk full or the descriptor closed: it is never dropped without a word.

use std::io::{self, Write as _};

use metrics_export::printable::printable_painted;
use runtime::process::stdout_was_closed;

use crate::Failure;

/// Prints a text, in which a terminal finds nothing to act on but colours, and makes sure that it
/// has left. In a text without colours of our own a stranger's are escaped by the caller.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write(printable_painted(text).as_bytes()).map_err(|error| {
        Failure::failed(format!(
            "What was asked for could not be printed to standard output: {error}."
        ))
        .because(error)
    })
}

/// Writes bytes as they are.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    if stdout_was_closed() {
        // The standard library has put /dev/null there.
        return Err(io::Error::other("it is closed"));
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}
