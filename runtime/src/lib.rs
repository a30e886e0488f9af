//! Moves bytes: executors, sockets, TLS, timers and the load generator's event loop.
//!
//! The only crate that names monoio or io-uring, and the only one with `unsafe`. It knows neither
//! policy nor identity: it is handed rustls configurations, or none.

pub mod generator;
pub mod tls;
