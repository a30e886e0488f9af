//! What leaves tollgate as figures: Prometheus text, the `Run` record, JSON, CSV, histogram logs,
//! and the report as HTML with charts and as Markdown.
//!
//! Everything here is pure: values in, text or bytes out. Nothing opens a file or a socket, reads
//! a clock, or measures anything; whoever has the figures hands them over, and whoever owns the
//! disk or the connection writes the result.
#![forbid(unsafe_code)]

pub mod answer;
pub mod breaches;
pub mod breakeven;
pub mod csv;
pub mod date;
pub mod figures;
pub mod flame;
pub mod hlog;
pub mod html;
pub mod markdown;
pub mod markup;
pub mod printable;
pub mod prometheus;
pub mod run;
pub mod spectrum;
pub mod svg;

#[cfg(test)]
mod testing;
