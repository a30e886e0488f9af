//! What the peers of a server may take, each limit with its reason. It refuses to know how a limit
//! is enforced.

pub(crate) mod wait_kind;

use std::time::Duration;

/// What a server's peers may take: room, and time. A deadline expires at the time given or up to
/// two sweeps later (in traffic there is one in an eighth of the shortest one, at most a second).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections, all cores together; further ones are closed at once. 16384 idle ones
    /// are some 14 MB, or 140 under TLS.
    pub connections_max: usize,
    /// Open connections of one address, all cores together; further ones are closed at once.
    /// `None` counts none: behind a proxy or a translator many peers share an address.
    pub address_connections_max: Option<usize>,
    /// Requests of one address being answered at the same time; further ones are told 429.
    pub address_requests_max: Option<usize>,
    /// For the TLS handshake: a slow client's three round trips with retransmissions.
    pub handshake_timeout: Duration,
    /// For the rest of a head once its first byte came.
    pub head_timeout: Duration,
    /// For each wait for more of a body. Without a smallest rate, for all waits for a body
    /// together, and a millisecond more for every 64 bytes of it that came.
    pub body_timeout: Duration,
    /// For the next request. Longer than the idle time of this crate's own client, so that it is
    /// the client that closes and no request meets a closed connection.
    pub idle_timeout: Duration,
    /// For the peer to take nothing of an answer. Without a smallest rate, for writing it, and a
    /// millisecond more for every 64 bytes of it.
    pub write_timeout: Duration,
    /// Bytes per second that a peer must move while it is what is waited for: by a read for the
    /// rest of a body, or by a write to a full socket. 0 asks for none. 240 are less than any modem
    /// made, and sixteen connections that drip at it still cost their owner 30 kbit/s.
    pub bytes_per_s_min: u32,
    /// How much of such time they are counted over, and how much passes before they are.
    pub rate_window: Duration,
    /// Bytes of memory that the bodies on one core may take, and handshakes that have only begun,
    /// beyond a page for each connection; further ones are answered 503, or closed. A thousand of
    /// the largest that routes collect.
    pub body_memory_bytes_max: usize,
    /// What a message may hold.
    pub http: proto_http::Limits,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections_max: 16 * 1024,
            address_connections_max: None,
            address_requests_max: None,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            bytes_per_s_min: 240,
            rate_window: Duration::from_secs(5),
            body_memory_bytes_max: 64 * 1024 * 1024,
            http: proto_http::Limits::default(),
        }
    }
}

impl ServerLimits {
    /// Whether anything is counted of each address.
    pub(crate) fn counts_addresses(&self) -> bool {
        self.address_connections_max.is_some() || self.address_requests_max.is_some()
    }
}

/// How long an idle connection may still send a request once the server drains, in milliseconds.
pub(crate) const DRAIN_IDLE_MS: u64 = 200;

/// How long a TLS handshake may still take then.
pub(crate) const DRAIN_HANDSHAKE_MS: u64 = 1000;

/// The same as a core holds it: deadlines count in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreLimits {
    pub(crate) connections_max: usize,
    pub(crate) address_connections_max: Option<usize>,
    pub(crate) address_requests_max: Option<usize>,
    pub(crate) handshake_ms: u64,
    pub(crate) head_ms: u64,
    pub(crate) body_ms: u64,
    pub(crate) idle_ms: u64,
    pub(crate) write_ms: u64,
    pub(crate) bytes_per_s_min: u32,
    pub(crate) rate_window_ms: u32,
    pub(crate) body_memory_bytes_max: usize,
    pub(crate) http: proto_http::Limits,
}

impl From<&ServerLimits> for CoreLimits {
    fn from(limits: &ServerLimits) -> CoreLimits {
        CoreLimits {
            connections_max: limits.connections_max,
            address_connections_max: limits.address_connections_max,
            address_requests_max: limits.address_requests_max,
            handshake_ms: as_ms(limits.handshake_timeout),
            head_ms: as_ms(limits.head_timeout),
            body_ms: as_ms(limits.body_timeout),
            idle_ms: as_ms(limits.idle_timeout),
            write_ms: as_ms(limits.write_timeout),
            bytes_per_s_min: limits.bytes_per_s_min,
            rate_window_ms: u32::try_from(as_ms(limits.rate_window)).unwrap_or(u32::MAX),
            body_memory_bytes_max: limits.body_memory_bytes_max,
            http: limits.http,
        }
    }
}

/// Whole milliseconds, in which deadlines count.
pub(crate) fn as_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl CoreLimits {
    /// The shortest of the limits, which sets the pace of the sweep.
    pub(crate) fn shortest_ms(&self) -> u64 {
        let rate_ms = if self.bytes_per_s_min == 0 { u64::MAX } else { self.rate_window_ms.into() };
        let limits = [self.head_ms, self.body_ms, self.idle_ms, self.write_ms, rate_ms];
        limits.into_iter().fold(self.handshake_ms, u64::min)
    }

    /// How long to wait for a next request now.
    pub(crate) fn idle_now(&self, draining: bool) -> u64 {
        if draining { self.idle_ms.min(DRAIN_IDLE_MS) } else { self.idle_ms }
    }

    /// How long to wait for a handshake now.
    pub(crate) fn handshake_now(&self, draining: bool) -> u64 {
        if draining { self.handshake_ms.min(DRAIN_HANDSHAKE_MS) } else { self.handshake_ms }
    }
}
