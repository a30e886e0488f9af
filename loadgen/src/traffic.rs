//! The slice engine: it makes the traffic of one slice and records what came of it. Workers are
//! threads with an event loop each; whatever decides is pure. It uses nothing else of this crate,
//! so that it can become one of its own, and refuses to know why a slice is run.

mod drive;
mod pool;
mod template;
mod worker;

pub mod check;
pub mod error;
pub mod generator;
pub mod live;
pub(crate) mod random;
pub mod record;
pub(crate) mod recorder;
pub mod rehearsal;
pub mod requests;
pub mod schedule;
pub mod session;
pub mod slice;
pub mod target;
pub mod tokens;
pub mod trust;
pub mod workload;
