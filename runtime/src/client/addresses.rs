//! Where an upstream is: a list of addresses that may be renewed while it is in use.
//!
//! It owns what a pool needs to know of whoever keeps the list. It refuses to look names up: that
//! blocks, and belongs to a thread of its own.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

/// The addresses of one upstream. Every core asks, so nothing here may wait.
pub trait Addresses: Debug + Send + Sync {
    /// Another number for every list that differs from the one before.
    fn version(&self) -> u64;

    /// The list as it is now.
    fn list(&self) -> Arc<Vec<SocketAddr>>;

    /// Whether the list may be another one later.
    fn may_change(&self) -> bool {
        true
    }

    /// Notes that no address took a connection: the list may be out of date.
    fn failed(&self);
}

/// Addresses that never change.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Arc<Vec<SocketAddr>>);

impl Addresses for Fixed {
    fn version(&self) -> u64 {
        0
    }

    fn list(&self) -> Arc<Vec<SocketAddr>> {
        self.0.clone()
    }

    fn may_change(&self) -> bool {
        false
    }

    fn failed(&self) {}
}
