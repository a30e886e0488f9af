//! How a service reaches the services that it calls: the part that gateway and orders share. It
//! owns the defaults and the rules of these settings; it looks no name up.

use std::time::Duration;

use authn::Profile;

use crate::config::error::ServeError;

/// How other services are called.
#[derive(Debug, Clone)]
pub struct OutboundConfig {
    /// The authorization server's base address for keys and tokens; the issuer if `None`.
    pub auth: Option<String>,
    /// What is spoken towards upstreams; the service's own profile if `None`.
    pub profile: Option<Profile>,
    /// How often the names of upstreams are looked up again; zero is only when no connection can
    /// be made.
    pub resolve_interval: Duration,
    /// Connections of one core to one upstream; the runtime's default if `None`.
    pub connections_max: Option<usize>,
    /// For an upstream's response to begin, and for each further piece of it; the runtime's default
    /// if `None`.
    pub response_timeout: Option<Duration>,
}

impl OutboundConfig {
    /// Default for [`OutboundConfig::resolve_interval`]: what name servers let others keep is
    /// seldom shorter.
    pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);

    pub(super) fn check(&self) -> Result<(), ServeError> {
        let interval = self.resolve_interval;
        if !interval.is_zero() && interval < Duration::from_secs(1) {
            return Err(ServeError::config(
                "--resolve-interval must be 1s or more; 0s looks names up again only when no \
                 connection can be made",
            ));
        }
        Ok(())
    }
}

impl Default for OutboundConfig {
    fn default() -> OutboundConfig {
        OutboundConfig {
            auth: None,
            profile: None,
            resolve_interval: OutboundConfig::RESOLVE_INTERVAL,
            connections_max: None,
            response_timeout: None,
        }
    }
}
