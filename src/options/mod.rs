//! What several commands make of the same arguments: options that are checked and ready to use.
//! It refuses to print and to measure.

pub(crate) mod annotations;
pub(crate) mod bounds;
pub(crate) mod conditions;
pub(crate) mod cores;
pub(crate) mod request;
