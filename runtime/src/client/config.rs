//! What a core is told of an upstream: where it is, and how long it may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::client::addresses::{Addresses, Fixed};
use crate::limits::as_ms;

/// Where an upstream is, and what is asked of it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its addresses, used in turn.
    pub addrs: Arc<dyn Addresses>,
    /// What `Host` says where a request does not say it itself.
    pub host: String,
    /// How to speak TLS to it, and the name its certificate must have; `None` is plain.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Connections of one core at the same time; more calls are refused as `Exhausted`. At most
    /// half of them carry requests with streamed bodies; more of those are refused as `Uploads`.
    pub connections_max: usize,
    /// For connecting, and as much again for the TLS handshake.
    pub connect_timeout: Duration,
    /// For the response's head, and for each further piece.
    pub response_timeout: Duration,
    /// For writing, and a millisecond more for every 64 bytes.
    pub write_timeout: Duration,
    /// How long an unused connection is kept. Shorter than servers do, so that it is the client
    /// that closes.
    pub idle_timeout: Duration,
    /// How long no connection is kept to one that said something unasked. If it does so on each of
    /// its connections, one client is given a wrong response once in this time.
    pub reuse_pause: Duration,
    /// What a response may hold.
    pub http: proto_http::Limits,
}

impl UpstreamConfig {
    /// Default for [`UpstreamConfig::connections_max`].
    pub const CONNECTIONS_MAX: usize = 1024;

    /// A plain upstream with the default limits.
    #[must_use]
    pub fn new(addrs: Vec<SocketAddr>, host: impl Into<String>) -> UpstreamConfig {
        UpstreamConfig {
            addrs: Arc::new(Fixed(Arc::new(addrs))),
            host: host.into(),
            tls: None,
            connections_max: UpstreamConfig::CONNECTIONS_MAX,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            reuse_pause: Duration::from_secs(10),
            http: proto_http::Limits::default(),
        }
    }
}

/// The times of an upstream in milliseconds, in which deadlines count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamWaits {
    pub(crate) connect_ms: u64,
    pub(crate) response_ms: u64,
    pub(crate) write_ms: u64,
    pub(crate) idle_ms: u64,
    pub(crate) reuse_pause_ms: u64,
}

impl From<&UpstreamConfig> for UpstreamWaits {
    fn from(config: &UpstreamConfig) -> UpstreamWaits {
        UpstreamWaits {
            connect_ms: as_ms(config.connect_timeout),
            response_ms: as_ms(config.response_timeout),
            write_ms: as_ms(config.write_timeout),
            idle_ms: as_ms(config.idle_timeout),
            reuse_pause_ms: as_ms(config.reuse_pause),
        }
    }
}
