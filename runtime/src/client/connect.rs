//! A client's way to a connection: TCP and, where asked for, TLS, within one limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use monoio::net::TcpStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::executor::core::Core;
use crate::io::stream::{Stream, StreamError};
use crate::limits::wait_kind::WaitKind;
use crate::tls::Pump;

impl Stream {
    /// Connects to `addr` and, where `tls` is given, finishes the handshake, all within
    /// `connect_ms` (and one sweep). Small writes leave at once (TCP_NODELAY).
    ///
    /// # Errors
    /// When there is no connection by then; the error says why.
    pub(crate) async fn connect(
        core: &Core,
        addr: SocketAddr,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        connect_ms: u64,
    ) -> Result<Stream, StreamError> {
        let limit = Duration::from_millis(connect_ms);
        // A timer is safe here: a connect that is given up has no bytes to lose, and shutting a
        // socket that is still connecting would make io_uring connect it anew.
        let tcp = monoio::time::timeout(limit, TcpStream::connect_addr(addr))
            .await
            .map_err(|_| StreamError::Deadline(WaitKind::Handshake))??;
        tcp.set_nodelay(true)?;
        let pump = match tls {
            Some((config, name)) => Some(Pump::client(config, name)?),
            None => None,
        };
        let handshakes = pump.is_some();
        let mut stream = Stream::connected(core.local.clone(), tcp, pump);
        if handshakes {
            let mut plain = Vec::new();
            let made = stream.handshake(&mut plain, connect_ms, usize::MAX).await;
            made.inspect_err(|error| {
                let failed = &core.stats().upstream_handshakes_failed;
                failed[error.handshake_failure().index()].add(1);
            })?;
        }
        Ok(stream)
    }
}
