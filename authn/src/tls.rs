//! TLS configurations: (material, transport) to what rustls wants.
//!
//! Owns the choices about TLS beside the suites, which are `provider`'s: versions 1.3 and 1.2,
//! HTTP/1.1 by ALPN, and no resumption on either side unless it is asked for, because rustls
//! resumes by default and that falsifies a comparison. Refuses to guess: a transport whose material
//! is missing is an error.
//!
//! Every call makes its own ticket keys and session stores, so that two profiles can never resume
//! each other's sessions. A resumed mutual TLS session is not checked again (expiry, revocation,
//! authority) by rustls: ask for resumption there only to measure it.

mod refusal;
mod verifier;

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use rustls_pki_types::CertificateDer;

use crate::certificate::material::{ClientMaterial, ServerMaterial};
use crate::error::{Error, Reason};
use crate::profile::Transport;
use crate::provider::provider;

use verifier::{Anyone, Clients, Servers};

/// The protocol of ALPN (RFC 7301).
pub const ALPN: &[u8] = b"http/1.1";

/// Sessions that a resuming client keeps, over all servers.
const CLIENT_SESSIONS_MAX: usize = 256;

/// 1.3 is what the shop speaks to itself; 1.2 is for strangers.
static VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What can be chosen about TLS beside the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Session resumption, off unless asked for. It takes both sides.
    pub resumption: bool,
}

/// How a client judges the server that it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTrust {
    /// By a path to an authority, and in TLS 1.2 with the extended master secret (RFC 7627). The
    /// only one for services.
    Path,
    /// As the load generator judges any server: by a path, or as one of these very certificates,
    /// whose name and dates are still checked. TLS 1.2 may do without the extended master secret.
    Exact(Vec<CertificateDer<'static>>),
    /// Not at all. For the load generator, against servers whose authority is not at hand.
    Anyone,
}

/// The configuration of a server; `None` for plain transport.
///
/// Under [`Transport::Mutual`] a handshake without a client certificate of the authority fails. The
/// caller still asks [`crate::certificate::identity::of_peer`] when a connection opens.
///
/// # Errors
/// [`Error::ServerCertificateNeeded`], [`Error::ClientAuthorityNeeded`], [`Error::Certificate`],
/// [`Error::RevocationList`], or [`Error::Tls`] with what rustls says.
pub fn server_config(
    material: Option<&ServerMaterial>,
    transport: Transport,
    options: &TlsOptions,
) -> Result<Option<Arc<ServerConfig>>, Error> {
    if transport == Transport::Plain {
        return Ok(None);
    }
    let material = material.ok_or(Error::ServerCertificateNeeded)?;
    let provider = provider();
    let verifier = match transport {
        Transport::Mutual => client_verifier(material, &provider)?,
        Transport::Plain | Transport::Tls => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            material.identity.chain().to_vec(),
            material.identity.key().der().clone_key(),
        )
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Records keep their full 16 KiB (`max_fragment_size` unset): small responses fit one anyway.
    // Every TLS 1.2 peer of the last ten years has the extended master secret (RFC 7627).
    config.require_ems = true;
    // Tickets hold the session themselves: nothing is shared between cores but their key.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if options.resumption {
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(refused)?;
        config.send_tls13_tickets = 1;
    } else {
        // Without this every handshake still makes and sends two tickets that nobody can use.
        config.send_tls13_tickets = 0;
    }
    Ok(Some(Arc::new(config)))
}

/// The configuration of a client; `None` for plain transport. The client's own certificate is shown
/// under [`Transport::Mutual`] only, and must be there then.
///
/// # Errors
/// [`Error::RootsNeeded`] (unless anyone is trusted), [`Error::ClientCertificateNeeded`],
/// [`Error::Certificate`], or [`Error::Tls`].
pub fn client_config(
    material: &ClientMaterial,
    transport: Transport,
    options: &TlsOptions,
    trust: &ServerTrust,
) -> Result<Option<Arc<ClientConfig>>, Error> {
    if transport == Transport::Plain {
        return Ok(None);
    }
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(VERSIONS)
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(server_verifier(material, &provider, trust)?);
    let mut config = match (transport, &material.identity) {
        (Transport::Mutual, Some(identity)) => builder
            .with_client_auth_cert(identity.chain().to_vec(), identity.key().der().clone_key())
            .map_err(refused)?,
        (Transport::Mutual, None) => return Err(Error::ClientCertificateNeeded),
        (Transport::Plain | Transport::Tls, _) => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.require_ems = *trust == ServerTrust::Path;
    config.resumption = match options.resumption {
        true => Resumption::in_memory_sessions(CLIENT_SESSIONS_MAX),
        false => Resumption::disabled(),
    };
    Ok(Some(Arc::new(config)))
}

fn server_verifier(
    material: &ClientMaterial,
    provider: &Arc<CryptoProvider>,
    trust: &ServerTrust,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let exact = match trust {
        ServerTrust::Path => Vec::new(),
        ServerTrust::Exact(certificates) => certificates.clone(),
        ServerTrust::Anyone => return Ok(Arc::new(Anyone(Arc::clone(provider)))),
    };
    let roots = roots(&material.roots, Error::RootsNeeded)?;
    let inner =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
            .build()
            .map_err(unbuilt)?;
    Ok(Arc::new(Servers { inner, roots, exact }))
}

/// Chain, expiry, extended key usage and, where lists are given, revocation of client certificates.
/// Fails closed: a certificate that no list covers is refused, and so is every one when a list has
/// expired.
fn client_verifier(
    material: &ServerMaterial,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let roots = roots(&material.client_ca, Error::ClientAuthorityNeeded)?;
    let inner =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
            .with_crls(material.crls.iter().cloned())
            .enforce_revocation_expiration()
            .build()
            .map_err(unbuilt)?;
    Ok(Arc::new(Clients { inner, roots }))
}

const UNUSABLE_AUTHORITIES: &str = "the certificates of the authorities cannot be used";

fn unbuilt(error: VerifierBuilderError) -> Error {
    match error {
        VerifierBuilderError::InvalidCrl(why) => Error::RevocationList(
            Reason::from(refusal::of_list(&why)).because(rustls::Error::from(why)),
        ),
        VerifierBuilderError::NoRootAnchors => Error::RootsNeeded,
        _ => Error::Tls(Reason::from(UNUSABLE_AUTHORITIES).because(error)),
    }
}

fn roots(
    certificates: &[CertificateDer<'static>],
    none: Error,
) -> Result<Arc<RootCertStore>, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate.clone()).map_err(|_| Error::Certificate)?;
    }
    if store.is_empty() { Err(none) } else { Ok(Arc::new(store)) }
}

fn refused(error: rustls::Error) -> Error {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::KeyMismatch,
        rustls::Error::InvalidCertificate(_) => Error::Certificate,
        rustls::Error::FailedToGetRandomBytes => Error::Random,
        rustls::Error::General(ref sentence) => {
            Error::Tls(Reason::from(sentence.clone()).because(error))
        }
        _ => {
            let words = "certificate and key do not make a TLS configuration";
            Error::Tls(Reason::from(words).because(error))
        }
    }
}
