//! The listener's TLS, from files: which certificate this service shows, and whose certificates it
//! accepts.
//!
//! It owns which file is meant and the sentence about a bad one. What TLS then does with them is
//! `authn::tls`'s to decide.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use authn::Transport;
use authn::chain::check_authority;
use authn::material::{self, CertifiedKey, Peers, ServerMaterial};
use authn::tls::{TlsOptions, server_config};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::config::ServiceConfig;
use crate::config::error::ServeError;
use crate::config::files;
use crate::telemetry::expiry::Expiry;

/// The TLS configuration of the service's listener; none under a plain transport.
///
/// # Errors
/// The first file that cannot be used, with what to do.
pub fn server_tls(config: &ServiceConfig) -> Result<Option<Arc<rustls::ServerConfig>>, ServeError> {
    let transport = config.profile.transport;
    if transport == Transport::Plain {
        return Ok(None);
    }
    let mutual = transport == Transport::Mutual;
    let identity = own_certificate(config)?;
    warn_of_other_authority(config, &identity);
    let material = ServerMaterial {
        identity,
        client_ca: if mutual { authorities(config)? } else { Vec::new() },
        crls: if mutual { revocation_lists(config)? } else { Vec::new() },
    };
    let options = TlsOptions { resumption: config.resumption };
    server_config(Some(&material), transport, &options)
        .map_err(|error| ServeError::config_of("the listener's TLS", error))
}

/// The certificate and key of this service: shown to those who call it, and to those it calls.
///
/// # Errors
/// A file that cannot be read, does not fit the other, or is out of its time.
pub fn own_certificate(config: &ServiceConfig) -> Result<CertifiedKey, ServeError> {
    let name = config.kind().name();
    let chain_path = chain_path(config)?;
    let key_path =
        config.file(config.server_key.as_deref(), "--server-key", &format!("certs/{name}.key"))?;
    let (chain, key) = (files::read(&chain_path)?, files::read_private(&key_path)?);
    let identity = CertifiedKey::from_pem(&chain, &key)
        .map_err(|error| at_fault(error, &chain_path, &key_path))?;
    let now = UnixTime::now();
    identity.check_validity(now).map_err(|error| ServeError::content(&chain_path, error))?;
    for sentence in identity.unneeded(now) {
        tracing::warn!("{}: {sentence}", chain_path.display());
    }
    Ok(identity)
}

fn chain_path(config: &ServiceConfig) -> Result<PathBuf, ServeError> {
    let in_state = format!("certs/{}.crt", config.kind().name());
    config.file(config.server_cert.as_deref(), "--server-cert", &in_state)
}

/// When the certificates and revocation lists end that this service works with, as they stand in
/// their files now.
///
/// # Errors
/// The first file that cannot be used.
pub fn expiry(config: &ServiceConfig) -> Result<Expiry, ServeError> {
    let mut expiry = Expiry::default();
    let (inbound, outbound) = (config.profile.transport, config.upstream().transport);
    let shown_to_upstreams = outbound == Transport::Mutual && config.calls_others();
    let shown_to_clients = inbound != Transport::Plain;
    if shown_to_clients || shown_to_upstreams {
        let path = chain_path(config)?;
        let chain = material::certificates(&files::read(&path)?)
            .map_err(|error| ServeError::content(&path, error))?;
        let uses = [("server", shown_to_clients), ("client", shown_to_upstreams)];
        for (used_as, _) in uses.into_iter().filter(|(_, is_used)| *is_used) {
            expiry.note_certificates(used_as, chain.get(..1).unwrap_or_default());
        }
    }
    if inbound == Transport::Mutual {
        let path = authorities_path(config)?;
        let found = material::authorities(&files::read(&path)?, Peers::Both, UnixTime::now())
            .map_err(|error| ServeError::content(&path, error))?;
        expiry.note_certificates("client_ca", &found.valid);
        expiry.note_lists(&revocation_lists(config)?);
    }
    Ok(expiry)
}

/// What an operator should know about the certificate: that whoever trusts the authority of this
/// stack alone will refuse it. It may be meant so, where clients are strangers.
fn warn_of_other_authority(config: &ServiceConfig, identity: &CertifiedKey) {
    let (Ok(path), Ok(authorities)) = (authorities_path(config), authorities(config)) else {
        return;
    };
    if let Err(error) = check_authority(identity.chain(), &authorities, UnixTime::now()) {
        eprintln!(
            "WARNING: the certificate of {} is not of --client-ca {}: {error}. Whoever trusts that \
             one alone refuses this service",
            config.kind().name(),
            path.display()
        );
    }
}

/// The certificates of the authority behind clients and services.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn authorities(config: &ServiceConfig) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let path = authorities_path(config)?;
    let found = material::authorities(&files::read(&path)?, Peers::Both, UnixTime::now())
        .map_err(|error| ServeError::content(&path, error))?;
    for sentence in &found.warnings {
        tracing::warn!("{}: {sentence}; it is trusted for nothing", path.display());
    }
    Ok(found.valid)
}

fn authorities_path(config: &ServiceConfig) -> Result<PathBuf, ServeError> {
    config.file(config.client_ca.as_deref(), "--client-ca", "ca/ca.crt")
}

/// The revocation lists: as given, else the state directory's where it has one.
fn revocation_lists(
    config: &ServiceConfig,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ServeError> {
    let (path, bytes) = match (&config.crl, &config.state) {
        (Some(path), _) => (path.clone(), Some(files::read(path)?)),
        (None, Some(state)) => {
            let path = state.join("ca/ca.crl");
            let bytes = files::read_if_there(&path)?;
            (path, bytes)
        }
        (None, None) => return Ok(Vec::new()),
    };
    match bytes {
        Some(bytes) => {
            material::revocation_lists(&bytes).map_err(|error| ServeError::content(&path, error))
        }
        None => Ok(Vec::new()),
    }
}

/// Says which of the pair is at fault.
fn at_fault(error: authn::Error, chain: &Path, key: &Path) -> ServeError {
    use authn::Error::{EncryptedKey, Key, KeyKind, KeyMismatch, ManyKeys, NoKey};
    let path = match error {
        NoKey | ManyKeys | EncryptedKey | Key | KeyKind(_) | KeyMismatch => key,
        _ => chain,
    };
    ServeError::content(path, error)
}
