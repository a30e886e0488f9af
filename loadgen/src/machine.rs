//! What is known of the machine that is measured on: CPU accounting of processes and cores, how the
//! cost of equal work drifts, and the environment that a result was made in. It refuses to judge.

pub mod cpu;
pub mod drift;
pub(crate) mod environment;
pub mod process;
