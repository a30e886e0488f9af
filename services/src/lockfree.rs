//! Memory that cores share without waiting for each other: `once_map` is the table of the stores,
//! `sync` the types it is built from, which the model checker replaces.
//!
//! It owns the orderings. It refuses to know what is kept.

pub(crate) mod once_map;
pub(crate) mod sync;
