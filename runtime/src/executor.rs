//! One executor per core, on whichever driver could be had.

pub(crate) mod core;
pub(crate) mod driver;
pub(crate) mod error;
pub(crate) mod plan;
