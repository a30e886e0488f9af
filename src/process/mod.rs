//! Processes: those that this one starts and stops, their state directory, and this process's own
//! limits and signals. It refuses to know what is measured with them.

pub(crate) mod descriptors;
pub(crate) mod held;
pub(crate) mod interrupt;
pub(crate) mod restarts;
pub(crate) mod stack;
pub(crate) mod state;
