//! What a core counts and times. It refuses to name or to print a figure.

pub(crate) mod counter;
pub(crate) mod histogram;
pub mod stages;
pub mod stats;
