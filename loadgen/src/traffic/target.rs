//! Where a slice's requests go: addresses, and the TLS that is spoken there. Refuses to hold what
//! is sent, which is the workload's, and to resolve names, which is done before.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// Loopback source addresses that are gone round: 127.0.0.2 and up. Each has some 28,000 ports
/// that stay taken for a minute after use, so that this many last for 90,000 connections a second.
const LOOPBACK_SOURCES: u32 = 200;

/// A server, as one variant reaches it.
#[derive(Clone)]
pub struct Target {
    /// What messages call it: a URL's origin, or a variant's name.
    pub name: String,
    /// Where it listens; the first address that accepts a connection is used for all of them.
    pub addresses: Vec<SocketAddr>,
    /// The Host field (RFC 9112 section 3.2): name and, unless it is the scheme's own, port.
    pub host: String,
    /// TLS, if it is spoken.
    pub tls: Option<TlsTarget>,
    /// Where connections come from.
    pub source: Source,
}

/// The TLS half of a target.
#[derive(Clone)]
pub struct TlsTarget {
    /// Trust, client certificate and resumption. Never shared between variants, so that a session
    /// of one cannot be resumed in another.
    pub config: Arc<ClientConfig>,
    /// The name that the server's certificate must have, also sent as SNI.
    pub name: ServerName<'static>,
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel chooses; but connections that serve a limited number of requests, to an IPv4
    /// loopback address, go round many loopback addresses, because one runs out of ports.
    Auto,
    /// Always this address.
    Fixed(IpAddr),
}

impl Source {
    /// The address to bind the `nth` connection of a worker to. `rotate` is set when connections
    /// are used up by the slice.
    pub(crate) fn address(self, target: SocketAddr, rotate: bool, nth: u32) -> Option<IpAddr> {
        match self {
            Source::Fixed(address) => Some(address),
            Source::Auto if rotate && target.is_ipv4() && target.ip().is_loopback() => {
                let last = 2 + (nth % LOOPBACK_SOURCES) as u8;
                Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
            }
            Source::Auto => None,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Target")
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .field("host", &self.host)
            .field("tls", &self.tls.as_ref().map(|tls| &tls.name))
            .field("source", &self.source)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_used_up_loopback_connections_rotate() {
        let loopback: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let elsewhere: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let six: SocketAddr = "[::1]:80".parse().unwrap();
        let fixed: IpAddr = "192.0.2.9".parse().unwrap();
        let sources: Vec<String> = (0..3)
            .chain(199..202)
            .filter_map(|nth| Source::Auto.address(loopback, true, nth))
            .map(|address| address.to_string())
            .collect();
        assert_eq!(
            sources,
            ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.201", "127.0.0.2", "127.0.0.3"]
        );
        assert_eq!(Source::Auto.address(loopback, false, 0), None);
        assert_eq!(Source::Auto.address(elsewhere, true, 0), None);
        assert_eq!(Source::Auto.address(six, true, 0), None);
        assert_eq!(Source::Fixed(fixed).address(loopback, true, 5), Some(fixed));
    }
}
