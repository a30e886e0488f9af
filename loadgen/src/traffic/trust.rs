//! Whom the generator trusts over TLS and what it presents. It refuses to trust anybody when no
//! authority can be found, unless it was told to trust everybody. It is lenient where the servers
//! of this project are strict, because a server that is measured need not be one of ours.

use std::env;
use std::fmt;
use std::fs;
use std::sync::Arc;

use authn::Transport;
use authn::material::{Authorities, CertifiedKey, ClientMaterial, Peers, authorities};
use authn::tls::{ServerTrust, TlsOptions, client_config};
use rustls::ClientConfig;
use rustls::pki_types::UnixTime;
use zeroize::Zeroizing;

/// Where systems keep the authorities that they trust, in PEM.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The TLS side of a run.
#[derive(Clone, Default)]
pub struct Trust {
    /// The authorities of the server, in PEM; none for those that the system trusts.
    pub authorities_pem: Option<Vec<u8>>,
    /// The client's certificate chain and its key, both in PEM, shown to a server that asks.
    pub identity_pem: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    /// Any server certificate will do.
    pub insecure: bool,
    /// Sessions may be resumed.
    pub resumption: bool,
}

impl Trust {
    /// The configuration of the measured connections.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let authorities = self.authorities()?;
        let identity = self.identity()?;
        let transport = if identity.is_some() { Transport::Mutual } else { Transport::Tls };
        let options = TlsOptions { resumption: self.resumption };
        let (roots, trust) = match authorities {
            Some(found) if !self.insecure => (found.valid, ServerTrust::Exact(found.all)),
            _ => (Vec::new(), ServerTrust::Anyone),
        };
        let material = ClientMaterial { roots, identity };
        client_config(&material, transport, &options, &trust)
            .map_err(TrustError::Setup)?
            .ok_or(TrustError::NoTransport)
    }

    /// What of the given files is not used, a sentence each. What makes a file useless is not told
    /// here: the configuration fails then.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        // The system's own bundle is not the user's to tidy up.
        if let (Some(_), false, Ok(Some(found))) =
            (&self.authorities_pem, self.insecure, self.authorities())
        {
            let unused = |why| format!("of --cacert: {why}; it is trusted for nothing");
            all.extend(found.warnings.into_iter().map(unused));
        }
        if let Ok(Some(identity)) = self.identity() {
            let unneeded = identity.unneeded(UnixTime::now());
            all.extend(unneeded.into_iter().map(|why| format!("of --cert: {why}")));
        }
        all
    }

    /// Who may sign for the server; nobody where anybody is trusted and none was given.
    fn authorities(&self) -> Result<Option<Authorities>, TrustError> {
        let pem = match (&self.authorities_pem, self.insecure) {
            (Some(pem), _) => pem.clone(),
            (None, true) => return Ok(None),
            (None, false) => system_bundle().ok_or(TrustError::NoAuthorities)?,
        };
        let found = authorities(&pem, Peers::Servers, UnixTime::now());
        found.map(Some).map_err(TrustError::Authorities)
    }

    fn identity(&self) -> Result<Option<CertifiedKey>, TrustError> {
        let Some((chain, key)) = &self.identity_pem else {
            return Ok(None);
        };
        let identity = CertifiedKey::from_pem(chain, key).map_err(TrustError::Identity)?;
        identity.check_validity(UnixTime::now()).map_err(TrustError::Identity)?;
        Ok(Some(identity))
    }
}

/// Why a server cannot be trusted, or nothing be presented to it.
#[derive(Debug)]
pub enum TrustError {
    /// The system has no authorities, and none were named.
    NoAuthorities,
    /// The given authorities cannot be used.
    Authorities(authn::Error),
    /// The client's certificate or key cannot be used.
    Identity(authn::Error),
    /// TLS cannot be set up with them.
    Setup(authn::Error),
    /// TLS was asked for of a transport without it.
    NoTransport,
}

impl fmt::Display for TrustError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::NoAuthorities => out.write_str(
                "no authority to check the server with was found on this system: name one with \
                 --cacert FILE, or check nothing with -k",
            ),
            TrustError::Authorities(error) => {
                write!(out, "the server's authorities (--cacert) cannot be used: {error}")
            }
            TrustError::Identity(error) => write!(
                out,
                "the client's certificate and key (--cert, --key) cannot be used: {error}"
            ),
            TrustError::Setup(error) => write!(out, "TLS cannot be set up: {error}"),
            TrustError::NoTransport => out.write_str("TLS cannot be set up without a transport"),
        }
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TrustError::Authorities(error)
            | TrustError::Identity(error)
            | TrustError::Setup(error) => Some(error),
            TrustError::NoAuthorities | TrustError::NoTransport => None,
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Trust")
            .field("authorities", &self.authorities_pem.is_some())
            .field("identity", &self.identity_pem.is_some())
            .field("insecure", &self.insecure)
            .field("resumption", &self.resumption)
            .finish()
    }
}

/// What the system trusts, if it says so anywhere.
fn system_bundle() -> Option<Vec<u8>> {
    let named = env::var_os("SSL_CERT_FILE").and_then(|path| fs::read(path).ok());
    named.or_else(|| BUNDLES.iter().find_map(|path| fs::read(path).ok()))
}
