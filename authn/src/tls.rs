//! rustls configurations (signatures first; bodies follow in the next commit).

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use crate::error::Error;
use crate::material::{ClientMaterial, ServerMaterial};
use crate::profile::Transport;

/// What can be chosen about TLS beside the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Session resumption, off unless asked for: it falsifies a comparison, and a resumed mutual
    /// TLS session is not checked again.
    pub resumption: bool,
}

/// The server's configuration: `None` for plain transport.
pub fn server_config(
    _material: Option<&ServerMaterial>,
    _transport: Transport,
    _options: &TlsOptions,
) -> Result<Option<Arc<ServerConfig>>, Error> {
    unimplemented!()
}

/// The client's configuration: `None` for plain transport. `insecure` accepts any server
/// certificate and is for the load generator only.
pub fn client_config(
    _material: &ClientMaterial,
    _transport: Transport,
    _options: &TlsOptions,
    _insecure: bool,
) -> Result<Option<Arc<ClientConfig>>, Error> {
    unimplemented!()
}
