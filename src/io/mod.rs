//! What enters by files and leaves by files, standard output and standard error: limits, printable
//! text, failed writes. It refuses to judge what a text means.

// First, because its macros are for all that follow.
#[macro_use]
pub(crate) mod terminal;

pub(crate) mod inputs;
pub(crate) mod output;
pub(crate) mod record;
pub(crate) mod runs;
pub(crate) mod stdout;
