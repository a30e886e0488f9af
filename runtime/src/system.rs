//! What the operating system is asked for: system calls, the process itself, files, the clock.
//! Every other folder may use it; it uses none.

pub(crate) mod clock;
pub(crate) mod cpu_clock;
pub mod files;
pub(crate) mod inherited;
pub mod process;
pub(crate) mod sys;
pub mod watch;
