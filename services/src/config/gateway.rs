//! The settings of the gateway beside the common part: its upstreams, what it forwards to them, and
//! what one client address may take.

use super::OutboundConfig;
use crate::config::error::ServeError;

/// Settings of the gateway.
#[derive(Debug, Clone, Default)]
pub struct GatewayConfig {
    /// The orders service's base address.
    pub orders: Option<String>,
    /// The inventory service's base address.
    pub inventory: Option<String>,
    /// The results service's base address.
    pub results: Option<String>,
    /// How upstreams are reached.
    pub outbound: OutboundConfig,
    /// Fields of clients that go to upstreams although others of their kind do not.
    pub forward_fields: Vec<String>,
    /// Whether upstreams are sent each client's certificate (RFC 9440).
    pub client_cert_field: bool,
    /// Connections of one address open at a time, over all cores; not counted if `None`.
    pub address_connections_max: Option<usize>,
    /// Requests of one address in flight at a time, over all cores; not counted if `None`.
    pub address_requests_max: Option<usize>,
}

impl GatewayConfig {
    pub(super) fn check(&self) -> Result<(), ServeError> {
        let certificate = |name: &String| name.to_ascii_lowercase().starts_with("client-cert");
        if self.client_cert_field && self.forward_fields.iter().any(certificate) {
            return Err(ServeError::config(
                "--forward-field lets clients claim a certificate, which --client-cert-field sends \
                 itself; give one of the two",
            ));
        }
        super::not_zero("--connections-per-address", self.address_connections_max)?;
        super::not_zero("--requests-per-address", self.address_requests_max)?;
        self.outbound.check()
    }
}
