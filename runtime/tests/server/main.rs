//! Servers and upstream clients of this crate over real loopback sockets, on every driver this
//! machine grants. The other end is std's blocking sockets and bytes in plain sight.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

mod basics;
mod cut;
mod deadlines;
mod draining;
mod limits;
mod peer;
mod proxy;
mod reuse;
mod shop;
mod tls;
mod upstream;

#[path = "../support/mod.rs"]
mod support;
