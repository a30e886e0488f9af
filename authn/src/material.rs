//! Key material: PEM text to certificates, keys and revocation lists.
//!
//! Owns the checks that let an operator find a mistake before the first handshake does: something
//! of the right kind is in the file, it can be read, key and certificate belong together, and the
//! certificate is valid now. Private keys are never printed and are overwritten when dropped. Opens
//! no files: the caller reads them, knows their names and guards their mode.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::InconsistentKeys;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::der;
use crate::error::Error;
use crate::tls;

/// A private key: never printed, overwritten when dropped.
pub struct PrivateKey(Zeroizing<PrivateKeyDer<'static>>);

impl PrivateKey {
    /// The key as DER, for the libraries that use it.
    pub fn der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A certificate chain, end entity first, and the key of its first certificate.
#[derive(Debug)]
pub struct CertifiedKey {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKey,
}

impl CertifiedKey {
    /// Reads chain and key from PEM; both texts may be the same file.
    ///
    /// # Errors
    /// What [`certificates`] and [`private_key`] refuse, [`Error::Key`] for a key of a kind that
    /// TLS does not use here, [`Error::KeyMismatch`] when the two do not belong together.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, Error> {
        let chain = certificates(chain_pem)?;
        let key = private_key(key_pem)?;
        let provider = tls::provider();
        match rustls::sign::CertifiedKey::from_der(chain.clone(), key.0.clone_key(), &provider) {
            Ok(_) => Ok(CertifiedKey { chain, key }),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(Error::KeyMismatch)
            }
            Err(rustls::Error::InvalidCertificate(_)) => Err(Error::Certificate),
            Err(_) => Err(Error::Key),
        }
    }

    /// The certificates, end entity first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key of the first certificate.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Checks that every certificate of the chain is valid at `now_s` (unix seconds).
    ///
    /// # Errors
    /// As [`check_validity`].
    pub fn check_validity(&self, now_s: u64) -> Result<(), Error> {
        check_validity(&self.chain, now_s)
    }
}

/// What a server needs for TLS.
#[derive(Debug)]
pub struct ServerMaterial {
    /// Its own certificate and key.
    pub identity: CertifiedKey,
    /// The authorities of client certificates; may be empty where there is no mutual TLS.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// Revocation lists of these authorities. When there is one, every certificate below the
    /// authority must be covered by one, and none of them may have expired.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
}

/// What a client needs for TLS.
#[derive(Debug, Default)]
pub struct ClientMaterial {
    /// The authorities of server certificates.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its own certificate and key; shown under mutual TLS only.
    pub identity: Option<CertifiedKey>,
}

/// Reads the certificates of a PEM text, in their order; other sections are skipped.
///
/// # Errors
/// [`Error::NoCertificate`], [`Error::Pem`], or [`Error::Certificate`] for one that cannot be read.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = sections::<CertificateDer<'_>>(pem)?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate);
    }
    match certificates.iter().all(|certificate| der::Certificate::read(certificate).is_some()) {
        true => Ok(certificates),
        false => Err(Error::Certificate),
    }
}

/// Reads the one private key of a PEM text; certificates beside it are skipped.
///
/// # Errors
/// [`Error::NoKey`], [`Error::ManyKeys`], [`Error::EncryptedKey`], [`Error::Pem`].
pub fn private_key(pem: &[u8]) -> Result<PrivateKey, Error> {
    let mut keys =
        sections::<PrivateKeyDer<'_>>(pem)?.into_iter().map(|key| PrivateKey(Zeroizing::new(key)));
    match (keys.next(), keys.next()) {
        (Some(key), None) => {
            // The old form of an encrypted key has the label of a plain one.
            if has(pem, b"Proc-Type: 4,ENCRYPTED") { Err(Error::EncryptedKey) } else { Ok(key) }
        }
        (Some(_), Some(_)) => Err(Error::ManyKeys),
        (None, _) if has(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") => Err(Error::EncryptedKey),
        (None, _) => Err(Error::NoKey),
    }
}

/// Reads the revocation lists of a PEM text.
///
/// # Errors
/// [`Error::NoRevocationList`], [`Error::Pem`]. Whether a list can be used shows when the TLS
/// configuration is made.
pub fn revocation_lists(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let lists = sections::<CertificateRevocationListDer<'_>>(pem)?;
    if lists.is_empty() { Err(Error::NoRevocationList) } else { Ok(lists) }
}

/// Checks that all these certificates are valid at `now_s` (unix seconds).
///
/// # Errors
/// [`Error::Expired`] or [`Error::NotYetValid`] for the first that is not, [`Error::Certificate`].
pub fn check_validity(certificates: &[CertificateDer<'_>], now_s: u64) -> Result<(), Error> {
    for certificate in certificates {
        let certificate = der::Certificate::read(certificate).ok_or(Error::Certificate)?;
        if now_s < certificate.not_before_s {
            return Err(Error::NotYetValid(certificate.not_before_s));
        }
        // RFC 5280 section 4.1.2.5: the last second belongs to the validity.
        if now_s > certificate.not_after_s {
            return Err(Error::Expired(certificate.not_after_s));
        }
    }
    Ok(())
}

/// A PKCS#8 key as PEM text (RFC 7468), for a file of mode 0600.
pub fn pkcs8_to_pem(der: &[u8]) -> Zeroizing<String> {
    to_pem("PRIVATE KEY", der)
}

/// PEM text in lines of 64 characters.
pub(crate) fn to_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Room for all of it, so that no part of a key is left behind by growing.
    let mut pem = Zeroizing::new(String::with_capacity(body.len() * 66 / 64 + 128));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// All sections of one kind.
fn sections<T: PemObject>(pem: &[u8]) -> Result<Vec<T>, Error> {
    // Through pairs, so that the buffer of a section that is not wanted is not copied again.
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem)
        .filter_map(|section| match section {
            Ok((kind, der)) => T::from_pem(kind, der).map(Ok),
            Err(error) => Some(Err(Error::Pem(error.to_string()))),
        })
        .collect()
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
