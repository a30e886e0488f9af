//! Key material (signatures first; bodies follow in the next commit).

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::error::Error;

/// A private key: never printed, zeroized when dropped.
pub struct PrivateKey(());

/// A certificate chain, end entity first, and the key of its first certificate.
#[derive(Debug)]
pub struct CertifiedKey {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKey,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl CertifiedKey {
    /// Reads both from PEM and checks that they belong together.
    pub fn from_pem(_chain_pem: &[u8], _key_pem: &[u8]) -> Result<CertifiedKey, Error> {
        unimplemented!()
    }

    /// Checks that the first certificate is valid at `now_s` (unix seconds).
    pub fn check_validity(&self, _now_s: u64) -> Result<(), Error> {
        unimplemented!()
    }
}

/// What a server needs.
#[derive(Debug)]
pub struct ServerMaterial {
    /// Its certificate and key.
    pub identity: CertifiedKey,
    /// The authorities of client certificates; empty without mutual TLS.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// Revocation lists of these authorities.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
}

/// What a client needs.
#[derive(Debug, Default)]
pub struct ClientMaterial {
    /// The authorities of the server's certificate.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its own certificate and key, for mutual TLS.
    pub identity: Option<CertifiedKey>,
}

/// Reads the certificates of a PEM text; there must be one at least.
pub fn certificates(_pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    unimplemented!()
}

/// Reads the revocation lists of a PEM text; there must be one at least.
pub fn revocation_lists(_pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    unimplemented!()
}
