//! How many connections and requests in flight each peer's address has, over all cores.
//!
//! Owns the counts, which exist only where they are capped: a table that is locked when a
//! connection comes or goes, and two numbers that its connections share. Refuses to tell addresses
//! of one IPv6 network apart: a single customer gets a /64 (RFC 6177), and with it more addresses
//! than could be counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The addresses of all open connections.
#[derive(Debug, Default)]
pub(crate) struct AddressCounts {
    in_use: Mutex<HashMap<Block, Arc<Use>>>,
}

/// An IPv4 address, or the network part of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Block {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Block {
    fn of(ip: IpAddr) -> Block {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Block::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Block::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// What one address has.
#[derive(Debug, Default)]
struct Use {
    /// Changed under the table's lock only.
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl AddressCounts {
    /// Counts one more connection of `ip`; `None` if it has `max` already.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr, max: usize) -> Option<AddressShare> {
        let block = Block::of(ip);
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = in_use.entry(block).or_default();
        // Relaxed, here and below: the numbers publish no other memory.
        if counts.connections.load(Ordering::Relaxed) >= max {
            // An entry that was just made has none, and `max` is 1 at least.
            return None;
        }
        counts.connections.fetch_add(1, Ordering::Relaxed);
        Some(AddressShare { table: self.clone(), block, counts: counts.clone() })
    }
}

/// One connection in the counts of its address.
#[derive(Debug)]
pub(crate) struct AddressShare {
    table: Arc<AddressCounts>,
    block: Block,
    counts: Arc<Use>,
}

impl AddressShare {
    /// Counts one more request in flight; `None` if the address has `max` already.
    pub(crate) fn begin_request(&self, max: usize) -> Option<InFlight<'_>> {
        let requests = &self.counts.requests;
        if requests.fetch_add(1, Ordering::Relaxed) >= max {
            requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(InFlight(requests))
    }
}

impl Drop for AddressShare {
    fn drop(&mut self) {
        let mut in_use = self.table.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if self.counts.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            in_use.remove(&self.block);
        }
    }
}

/// One request in the count of its address.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_counts_of_its_own() {
        let table = Arc::new(AddressCounts::default());
        let one = table.enter(ip("192.0.2.1"), 2).unwrap();
        let two = table.enter(ip("::ffff:192.0.2.1"), 2).unwrap();
        assert!(table.enter(ip("192.0.2.1"), 2).is_none());
        assert!(table.enter(ip("192.0.2.2"), 2).is_some());
        let first = one.begin_request(1).unwrap();
        assert!(two.begin_request(1).is_none());
        drop(first);
        assert!(two.begin_request(1).is_some());
        drop(one);
        assert!(table.enter(ip("192.0.2.1"), 2).is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let table = Arc::new(AddressCounts::default());
        let _one = table.enter(ip("2001:db8::1"), 1).unwrap();
        assert!(table.enter(ip("2001:db8::ffff:2"), 1).is_none());
        assert!(table.enter(ip("2001:db8:0:1::1"), 1).is_some());
    }

    #[test]
    fn nothing_is_kept_of_addresses_without_connections() {
        let table = Arc::new(AddressCounts::default());
        let shares: Vec<AddressShare> =
            (0..100).map(|n| table.enter(ip(&format!("192.0.2.{n}")), 1).unwrap()).collect();
        drop(shares);
        assert!(table.in_use.lock().unwrap().is_empty());
    }
}
