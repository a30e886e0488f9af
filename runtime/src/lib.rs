//! Moves bytes: executors, sockets, TLS, timers and the load generator's event loop.
//!
//! The only crate that names monoio or io-uring, and the only one with `unsafe`. It knows neither
//! policy nor identity: it is handed rustls configurations, or none.
//!
//! A server is a [`Service`] per core and a call of [`launch()`]; a client is an [`Upstream`] per
//! core. [`Core`] is what both are given to live on.

pub mod blocking;
pub mod generator;
pub mod offload;
pub mod probe;
pub mod tls;
pub mod url;

mod client;
mod executor;
mod io;
mod limits;
mod observe;
mod server;
mod system;
#[cfg(feature = "memory")]
mod testing;

pub use crate::client::addresses::Addresses;
pub use crate::client::{Call, ClientError, Upstream, UpstreamConfig};
pub use crate::executor::core::Core;
pub use crate::executor::driver::{Driver, DriverChoice};
pub use crate::executor::error::StartError;
pub use crate::executor::plan::CorePlan;
pub use crate::io::stream::StreamError;
pub use crate::limits::ServerLimits;
pub use crate::limits::wait_kind::WaitKind;
pub use crate::observe::stats::CoreStats;
pub use crate::observe::{stages, stats};
pub use crate::server::connection::Endpoint;
pub use crate::server::error::{BodyError, Broken};
pub use crate::server::exchange::Exchange;
pub use crate::server::launch::{NoAdmin, launch, no_admin};
pub use crate::server::request::Request;
pub use crate::server::response::Reply;
pub use crate::server::service::{Peer, Service};
pub use crate::server::shutdown::{DrainReport, Running};
pub use crate::system::cpu_clock::CpuClock;
pub use crate::system::{files, process, watch};
#[cfg(feature = "memory")]
pub use crate::testing::{allocations, memory};
pub use crate::tls::TlsFacts;
