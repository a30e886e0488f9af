//! Counters of one core: written by that core alone, read by anybody.
//!
//! Each [`CoreStats`] has exactly one writer, the core's own thread, so a count is a plain load
//! and a plain store: no locked instruction, no shared cache line on the hot path. Readers add
//! up the cores and see values that are at most a moment old. Nothing here knows names, labels
//! or formats; whoever shows the figures does.

use std::ops::Deref;
use std::sync::Arc;

use crate::limits::wait_kind::WaitKind;
pub use crate::observe::counter::Counter;
pub use crate::observe::histogram::Histogram;
use crate::observe::stages::{Lap, Stages};
use crate::tls::HandshakeFailure;

/// What one core has counted since it started.
///
/// Aligned to two cache lines, because the hardware prefetches them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreStats {
    /// Connections that were accepted and served.
    pub connections_accepted: Counter,
    /// Connections that are open now.
    pub connections_open: Counter,
    /// Connections that were closed at once because the limit was reached.
    pub connections_refused: Counter,
    /// Failed accepts, by far the most because no file descriptor was free.
    pub accept_errors: Counter,
    /// Full TLS handshakes that succeeded.
    pub handshakes_full: Counter,
    /// Resumed TLS handshakes that succeeded.
    pub handshakes_resumed: Counter,
    /// Those of the handshakes above that came with a client certificate.
    pub handshakes_client_certificate: Counter,
    /// TLS handshakes that failed or timed out, by reason (`HandshakeFailure::index`).
    pub handshakes_failed: [Counter; HandshakeFailure::ALL.len()],
    /// Requests whose head was read whole.
    pub requests: Counter,
    /// Requests that were refused by the protocol rules before they reached the service.
    pub requests_malformed: Counter,
    /// Answers by class: index 0 is 1xx, index 4 is 5xx.
    pub responses: [Counter; 5],
    /// Bytes read from accepted sockets, TLS records included.
    pub bytes_in: Counter,
    /// Bytes written to accepted sockets, TLS records included.
    pub bytes_out: Counter,
    /// Deadlines that expired, by [`WaitKind`] (`WaitKind::index`).
    pub deadlines: [Counter; WaitKind::ALL.len()],
    /// Buffers that had to be allocated because the core's pool had none to spare.
    pub buffers_made: Counter,
    /// Bytes of memory that hold bodies, beyond a page of each connection.
    pub body_bytes_held: Counter,
    /// Bodies that were refused because all of that memory was in use.
    pub bodies_refused: Counter,
    /// Connections that were closed at once because their address had as many as it may.
    pub address_connections_refused: Counter,
    /// Requests that were refused because their address had as many in flight as it may.
    pub address_requests_refused: Counter,
    /// Connections to upstreams that were opened.
    pub upstream_opened: Counter,
    /// Requests to upstreams that went over a connection kept from before.
    pub upstream_reused: Counter,
    /// Requests that were sent again because a kept connection turned out to be closed.
    pub upstream_retried: Counter,
    /// How often an upstream said something that nobody had asked for.
    pub upstream_unsolicited: Counter,
    /// Requests to upstreams that ended in an error.
    pub upstream_failed: Counter,
    /// TLS handshakes with upstreams that succeeded.
    pub upstream_handshakes: Counter,
    /// TLS handshakes with upstreams that failed, by reason.
    pub upstream_handshakes_failed: [Counter; HandshakeFailure::ALL.len()],
    /// Connections to upstreams that are open now, idle ones included.
    pub upstream_open: Counter,
    /// How long the steps of requests took, where that was asked for.
    pub stages: Option<Box<Stages>>,
}

impl CoreStats {
    /// Counters of a core that times the steps of requests, or does not.
    pub(crate) fn timing(stages: bool) -> CoreStats {
        CoreStats { stages: stages.then(Box::default), ..CoreStats::default() }
    }

    /// TLS handshakes that failed or timed out, for whatever reason.
    #[must_use]
    pub fn all_handshakes_failed(&self) -> u64 {
        self.handshakes_failed.iter().map(Counter::value).sum()
    }

    /// Starts timing a step, where steps are timed.
    #[inline]
    pub fn lap(&self) -> Lap<'_> {
        Lap::start(self.stages.as_deref())
    }

    /// Counts one answer under its class.
    #[inline]
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.responses[class].add(1);
    }
}

/// One core's entry in the shared array of counters.
#[derive(Clone)]
pub(crate) struct StatsRef {
    pub(crate) all: Arc<[CoreStats]>,
    pub(crate) index: usize,
}

impl Deref for StatsRef {
    type Target = CoreStats;

    #[inline]
    fn deref(&self) -> &CoreStats {
        &self.all[self.index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_and_down() {
        let stats = CoreStats::default();
        stats.connections_open.add(2);
        stats.connections_open.subtract(1);
        assert_eq!(stats.connections_open.value(), 1);
    }

    #[test]
    fn answers_are_counted_by_class() {
        let stats = CoreStats::default();
        for status in [100, 200, 204, 404, 503, 999] {
            stats.answered(status);
        }
        let classes: Vec<u64> = stats.responses.iter().map(Counter::value).collect();
        assert_eq!(classes, [1, 2, 0, 1, 2]);
    }

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert_eq!(align_of::<CoreStats>(), 128);
        assert_eq!(size_of::<CoreStats>() % 128, 0);
    }
}
