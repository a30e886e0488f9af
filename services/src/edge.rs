//! What stands before and behind every handler: the guard that issues its permit, the dispatch that
//! calls it, the service around both, and the forms of responses.
//!
//! It owns what all services do alike with a request. It refuses to know any of them.

pub mod admin;
pub mod dispatch;
pub mod fields;
pub mod guard;
pub mod instrumented;
pub mod json;
pub mod problem;
mod query;
