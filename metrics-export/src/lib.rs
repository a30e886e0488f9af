//! What leaves tollgate as figures: Prometheus text, the `Run` record, JSON, CSV and histogram
//! logs.
//!
//! Everything here is pure: values in, text or bytes out. Nothing opens a file or a socket, reads
//! a clock, or measures anything; whoever has the figures hands them over, and whoever owns the
//! disk or the connection writes the result.
#![forbid(unsafe_code)]

pub mod csv;
pub mod date;
pub mod hlog;
pub mod prometheus;
pub mod run;

#[cfg(test)]
mod testing;
