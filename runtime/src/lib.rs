//! Moves bytes: executors, sockets, TLS, timers and the load generator's event loop.
//!
//! The only crate that names monoio or io-uring, and the only one with `unsafe`. It knows neither
//! policy nor identity: it is handed rustls configurations, or none.
//!
//! A server is a [`Service`] per core and a call of [`launch()`]; a client is an [`Upstream`] per
//! core. [`Core`] is what both are given to live on.

#[cfg(feature = "memory")]
pub mod allocations;
pub mod blocking;
pub mod client;
pub mod deadline;
pub mod exchange;
pub mod files;
pub mod generator;
pub mod launch;
#[cfg(feature = "memory")]
pub mod memory;
pub mod probe;
pub mod process;
pub mod serve;
pub mod service;
pub mod shutdown;
pub mod stages;
pub mod stats;
pub mod stream;
pub mod tls;
pub mod url;

mod address_counts;
mod addresses;
mod buffer;
mod clock;
mod core;
mod counter;
mod driver;
mod error;
mod health;
mod histogram;
mod inbox;
mod inherited;
mod limits;
mod listener;
mod local;
#[cfg(feature = "memory")]
mod pipe;
mod plan;
mod rate;
mod request;
mod response;
mod socket;
mod start_error;
mod sys;
mod wait_kind;
mod wire;

pub use crate::addresses::Addresses;
pub use crate::client::{Call, ClientError, Upstream, UpstreamConfig};
pub use crate::core::Core;
pub use crate::driver::{Driver, DriverChoice};
pub use crate::error::{BodyError, Broken};
pub use crate::exchange::Exchange;
pub use crate::launch::{NoAdmin, launch, no_admin};
pub use crate::limits::ServerLimits;
pub use crate::plan::CorePlan;
pub use crate::request::Request;
pub use crate::response::Reply;
pub use crate::serve::Endpoint;
pub use crate::service::{Peer, Service};
pub use crate::shutdown::{DrainReport, Running};
pub use crate::start_error::StartError;
pub use crate::stats::CoreStats;
pub use crate::stream::{Stream, StreamError};
pub use crate::tls::TlsFacts;
