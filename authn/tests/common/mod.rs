//! Shared by the tests that need certificates: an authority, and both ends of TLS in memory.

use std::sync::Arc;
use std::time::Duration;

use authn::material::{self, CertifiedKey, ClientMaterial, ServerMaterial};
use authn::pki::{Authority, CertificateRequest, Issued};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

/// The clock, because rustls reads it too.
pub(crate) fn now() -> UnixTime {
    in_s(0)
}

/// So many seconds from now.
pub(crate) fn in_s(seconds: i64) -> UnixTime {
    let now_s = UnixTime::now().as_secs().checked_add_signed(seconds).unwrap();
    UnixTime::since_unix_epoch(Duration::from_secs(now_s))
}

pub(crate) fn authority() -> Authority {
    Authority::create("test authority", now()).unwrap()
}

pub(crate) fn server_request() -> CertificateRequest<'static> {
    CertificateRequest {
        name: "orders",
        dns: &["localhost"],
        ips: &[std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)],
        spiffe: true,
        server: true,
        client: false,
        days: 1,
    }
}

pub(crate) fn client_request(name: &str) -> CertificateRequest<'_> {
    CertificateRequest {
        name,
        dns: &[],
        ips: &[],
        spiffe: true,
        server: false,
        client: true,
        days: 1,
    }
}

pub(crate) fn certified(issued: &Issued) -> CertifiedKey {
    CertifiedKey::from_pem(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes()).unwrap()
}

pub(crate) fn server_material(authority: &Authority, crl_pem: Option<&str>) -> ServerMaterial {
    ServerMaterial {
        identity: certified(&authority.issue(&server_request(), now()).unwrap()),
        client_ca: vec![authority.certificate().clone()],
        crls: crl_pem.map_or(Vec::new(), |pem| material::revocation_lists(pem.as_bytes()).unwrap()),
    }
}

pub(crate) fn client_material(authority: &Authority, identity: Option<&Issued>) -> ClientMaterial {
    ClientMaterial {
        roots: vec![authority.certificate().clone()],
        identity: identity.map(certified),
    }
}

/// Shakes hands in memory and passes one byte each way, which also delivers tickets and the late
/// alerts of TLS 1.3.
pub(crate) fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    std::io::Write::write_all(&mut client.writer(), b"?").unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((server, client))
}
