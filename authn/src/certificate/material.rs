//! Key material: PEM text or DER to certificates, keys and revocation lists.
//!
//! Owns the checks that let an operator find a mistake before the first handshake does: something
//! of the right kind is in the file, it can be read, key and certificate belong together, and what
//! is needed of it is valid now. Private keys are never printed and are overwritten when dropped.
//! Opens no files: the caller reads them, knows their names and guards their mode.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::InconsistentKeys;
use rustls::pki_types::UnixTime;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::certificate::pem::{self, PemBlock};
use crate::certificate::public_key::KeyKind;
use crate::certificate::subject;
use crate::certificate::x509;
use crate::error::{Error, UtcDate};
use crate::provider::provider;

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
        let provider = provider();
        match rustls::sign::CertifiedKey::from_der(chain.clone(), key.0.clone_key(), &provider) {
            Ok(_) => Ok(CertifiedKey { chain, key }),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(Error::KeyMismatch)
            }
            Err(rustls::Error::InvalidCertificate(_)) => Err(Error::Certificate),
            Err(_) => Err(match KeyKind::of_certificate(&chain[0]) {
                Some(kind) if !kind.is_supported() => Error::KeyKind(kind.to_string()),
                _ => Error::Key,
            }),
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

    /// Checks that what a path to an authority needs of the chain is valid at `now` (unix
    /// seconds): its own certificate and those of its issuers. An authority that issued itself is
    /// no part of it (RFC 8446 section 4.4.2), and neither is what stands beside the path.
    ///
    /// # Errors
    /// [`Error::Expired`] or [`Error::NotYetValid`] for its own, [`Error::Chain`] for an issuer's,
    /// [`Error::Certificate`].
    pub fn check_validity(&self, now: UnixTime) -> Result<(), Error> {
        let now_s = now.as_secs();
        let chain = read_all(&self.chain)?;
        for &at in &path(&chain, now_s) {
            match (ValidAt::of(&chain[at], now_s), at) {
                (ValidAt::Now, _) => {}
                (ValidAt::Ended(second), 0) => return Err(Error::Expired(second)),
                (ValidAt::NotYet(second), 0) => return Err(Error::NotYetValid(second)),
                (ValidAt::Ended(_) | ValidAt::NotYet(_), _) => {
                    return Err(Error::Chain(out_of_time(&chain[at])));
                }
            }
        }
        Ok(())
    }

    /// The certificates of the chain that no path needs and that are not valid at `now`, a
    /// sentence each.
    pub fn unneeded(&self, now: UnixTime) -> Vec<String> {
        let now_s = now.as_secs();
        let Ok(chain) = read_all(&self.chain) else { return Vec::new() };
        let needed = path(&chain, now_s);
        let others = (0..chain.len()).filter(|at| !needed.contains(at)).map(|at| &chain[at]);
        let others = others.filter(|other| ValidAt::of(other, now_s) != ValidAt::Now);
        others.map(|other| format!("{}; nothing needs it", out_of_time(other))).collect()
    }
}

/// The authorities that peers' certificates are checked with.
#[derive(Debug)]
pub struct Authorities {
    /// Those that are valid now; never empty.
    pub valid: Vec<CertificateDer<'static>>,
    /// All of the file, for [`crate::tls::ServerTrust::Exact`].
    pub all: Vec<CertificateDer<'static>>,
    /// Those that are not valid now or cannot be read, and therefore are trusted for nothing.
    pub warnings: Vec<String>,
}

/// Who is checked with authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Those that call us, or that we call.
    Both,
    /// Servers that we call.
    Servers,
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

/// Reads the certificates of a file, in their order; other blocks are skipped. What OpenSSL's trust
/// settings say beside a certificate counts for [`authorities`] only.
///
/// # Errors
/// [`Error::NoCertificate`], [`Error::Pem`], [`Error::Certificate`] for one that cannot be read,
/// [`Error::OtherContent`] for a file that holds them in a form that has to be unpacked first.
pub fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = trusted_certificates(file)?;
    let all: Vec<CertificateDer<'_>> = all.into_iter().map(|(one, _)| one).collect();
    read_all(&all)?;
    Ok(all)
}

/// Reads the authorities of a file at `now`: those that have expired, that cannot
/// be read, or that OpenSSL's trust settings (`TRUSTED CERTIFICATE`) do not allow for these peers
/// are left out.
///
/// # Errors
/// As [`certificates`]; [`Error::Chain`] when none is valid, which names the first.
pub fn authorities(file: &[u8], peers: Peers, now: UnixTime) -> Result<Authorities, Error> {
    let now_s = now.as_secs();
    let mut all = trusted_certificates(file)?;
    all.retain(|(_, settings)| allowed(settings, peers));
    let all: Vec<CertificateDer<'static>> = all.into_iter().map(|(one, _)| one).collect();
    let (mut valid, mut warnings) = (Vec::new(), Vec::new());
    for (place, certificate) in all.iter().enumerate() {
        let read = read(certificate).ok();
        match read.filter(|_| webpki::anchor_from_trusted_cert(certificate).is_ok()) {
            None => warnings.push(format!("certificate {} of it cannot be read", place + 1)),
            Some(read) if ValidAt::of(&read, now_s) == ValidAt::Now => {
                valid.push(certificate.clone());
            }
            Some(read) => warnings.push(out_of_time(&read)),
        }
    }
    match (valid.is_empty(), warnings.first()) {
        (false, _) => Ok(Authorities { valid, all, warnings }),
        (true, None) => Err(Error::NoCertificate),
        (true, Some(_)) if all.iter().all(|one| read(one).is_err()) => Err(Error::Certificate),
        (true, Some(first)) => Err(Error::Chain(first.clone())),
    }
}

/// Reads the one private key of a file; certificates and parameters beside it are skipped.
///
/// # Errors
/// [`Error::NoKey`], [`Error::ManyKeys`], [`Error::EncryptedKey`], [`Error::Pem`],
/// [`Error::OtherContent`].
pub fn private_key(file: &[u8]) -> Result<PrivateKey, Error> {
    if let Some(der) = pem::bare_der(file) {
        // The shapes of the others would pass for keys.
        return match () {
            () if x509::is_encrypted_key(der) => Err(Error::EncryptedKey),
            () if x509::is_pkcs12(der) => Err(Error::OtherContent(PKCS12)),
            () => PrivateKeyDer::try_from(der.to_vec())
                .map(|key| PrivateKey(Zeroizing::new(key)))
                .map_err(|_| Error::NoKey),
        };
    }
    let found = pem::blocks(file, |label| KEY_LABELS.contains(&label))?;
    let mut keys: Vec<PemBlock> = found.wanted;
    // The same key twice is one key.
    keys.dedup_by(|one, other| !one.encrypted && one.label == other.label && one.der == other.der);
    match &mut keys[..] {
        [key] if key.encrypted || key.label == ENCRYPTED_KEY => Err(Error::EncryptedKey),
        [key] => {
            let der = std::mem::take(&mut *key.der);
            Ok(PrivateKey(Zeroizing::new(match key.label.as_str() {
                "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
                "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
                _ => PrivateKeyDer::Pkcs8(der.into()),
            })))
        }
        [] => Err(match &found.others[..] {
            others if others.iter().any(|label| label == "OPENSSH PRIVATE KEY") => {
                Error::OtherContent(OPENSSH_KEY)
            }
            _ => Error::NoKey,
        }),
        _ => Err(Error::ManyKeys),
    }
}

/// Reads the revocation lists of a file.
///
/// # Errors
/// [`Error::NoRevocationList`], [`Error::Pem`]. Whether a list can be used shows when the TLS
/// configuration is made.
pub fn revocation_lists(file: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    if let Some(der) =
        pem::bare_der(file).filter(|der| x509::issuer_of_revocation_list(der).is_some())
    {
        return Ok(vec![der.to_vec().into()]);
    }
    let found = pem::blocks(file, |label| label == "X509 CRL")?;
    if found.wanted.is_empty() {
        return Err(Error::NoRevocationList);
    }
    Ok(found.wanted.into_iter().map(|mut list| std::mem::take(&mut *list.der).into()).collect())
}

/// What OpenSSL puts before a certificate; the second is its oldest form.
const CERTIFICATE_LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", TRUSTED_CERTIFICATE];
const TRUSTED_CERTIFICATE: &str = "TRUSTED CERTIFICATE";

const KEY_LABELS: [&str; 4] = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", ENCRYPTED_KEY];
const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";

const PKCS7: &str = "it holds certificates as PKCS #7; take them out with \
    openssl pkcs7 -print_certs -in FILE -out NEW";
const PKCS12: &str = "it is in PKCS #12; take out what it holds with \
    openssl pkcs12 -in FILE -nodes -out NEW";
const REQUEST: &str =
    "it holds a request for a certificate; have a CA sign it and give what comes back";
const OPENSSH_KEY: &str =
    "it holds a key in the form of OpenSSH; convert it with ssh-keygen -p -m PKCS8 -f FILE";

/// The certificates of a file, each with the trust settings behind it.
fn trusted_certificates(file: &[u8]) -> Result<Vec<(CertificateDer<'static>, Vec<u8>)>, Error> {
    if let Some(der) = pem::bare_der(file) {
        if x509::is_pkcs12(der) {
            return Err(Error::OtherContent(PKCS12));
        }
        let certificate = CertificateDer::from(der.to_vec());
        return match x509::Certificate::read(&certificate) {
            Some(_) => Ok(vec![(certificate, Vec::new())]),
            None => Err(Error::NoCertificate),
        };
    }
    let found = pem::blocks(file, |label| CERTIFICATE_LABELS.contains(&label))?;
    if found.wanted.is_empty() {
        let has =
            |labels: &[&str]| found.others.iter().any(|label| labels.contains(&label.as_str()));
        return Err(match () {
            () if has(&["PKCS7", "PKCS #7 SIGNED DATA", "CMS"]) => Error::OtherContent(PKCS7),
            () if has(&["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"]) => {
                Error::OtherContent(REQUEST)
            }
            () => Error::NoCertificate,
        });
    }
    found.wanted.iter().map(split).collect()
}

/// A certificate, and what `TRUSTED CERTIFICATE` has behind it.
fn split(block: &PemBlock) -> Result<(CertificateDer<'static>, Vec<u8>), Error> {
    let (certificate, settings) = match block.label.as_str() {
        TRUSTED_CERTIFICATE => x509::first_element(&block.der).ok_or(Error::Certificate)?,
        _ => (&block.der[..], &[][..]),
    };
    Ok((certificate.to_vec().into(), settings.to_vec()))
}

/// Whether OpenSSL's trust settings allow an authority for these peers. No settings allow all.
fn allowed(settings: &[u8], peers: Peers) -> bool {
    let needed: &[x509::Purpose] = match peers {
        Peers::Servers => &[x509::SERVER_AUTH],
        Peers::Both => &[x509::SERVER_AUTH, x509::CLIENT_AUTH],
    };
    settings.is_empty()
        || x509::TrustSettings::read(settings)
            .is_some_and(|settings| needed.iter().all(|purpose| settings.allow(*purpose)))
}

fn read<'a>(certificate: &'a CertificateDer<'_>) -> Result<x509::Certificate<'a>, Error> {
    x509::Certificate::read(certificate).ok_or(Error::Certificate)
}

fn read_all<'a>(
    certificates: &'a [CertificateDer<'_>],
) -> Result<Vec<x509::Certificate<'a>>, Error> {
    certificates.iter().map(read).collect()
}

/// The places of those certificates that a path from the first one needs. Where two bear the name
/// of an issuer, as after a cross-signing or a renewal, one that is valid will do.
fn path(chain: &[x509::Certificate<'_>], now_s: u64) -> Vec<usize> {
    let mut path = vec![0];
    let mut at = 0;
    while let Some(issuer) = chain.get(at).map(|certificate| certificate.issuer) {
        let bears = |other: &usize| {
            let other = &chain[*other];
            other.subject == issuer && other.issuer != other.subject
        };
        let issuers = (0..chain.len()).filter(|other| !path.contains(other)).filter(bears);
        let valid = |other: &usize| ValidAt::of(&chain[*other], now_s) != ValidAt::Now;
        match issuers.min_by_key(valid) {
            Some(next) => at = next,
            None => break,
        }
        path.push(at);
    }
    path
}

/// Whether a certificate is valid at some second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValidAt {
    Now,
    Ended(u64),
    NotYet(u64),
}

impl ValidAt {
    fn of(certificate: &x509::Certificate<'_>, now_s: u64) -> ValidAt {
        if now_s < certificate.not_before_s {
            return ValidAt::NotYet(certificate.not_before_s);
        }
        // RFC 5280 section 4.1.2.5: the last second belongs to the validity.
        if now_s > certificate.not_after_s {
            return ValidAt::Ended(certificate.not_after_s);
        }
        ValidAt::Now
    }
}

fn out_of_time(certificate: &x509::Certificate<'_>) -> String {
    format!(
        "the certificate of {} is valid from {} to {} only",
        subject::text(certificate.subject),
        UtcDate(certificate.not_before_s),
        UtcDate(certificate.not_after_s)
    )
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
