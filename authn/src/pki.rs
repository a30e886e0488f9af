//! A small certificate authority: make or load it, issue, revoke.
//!
//! Owns what our certificates look like: P-256, an hour of back-dating for skewed clocks, extended
//! key usages as asked for and no others, subject alternative names, and for callers the SPIFFE URI
//! that [`crate::identity`] reads. Refuses certificates that could not be used: a server without a
//! name, an authority that is none, a validity beyond the authority's. Writes no files.

mod name;

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData as _, RevokedCertParams, SerialNumber,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::UnixTime;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use crate::certificate::material;
use crate::certificate::x509;
use crate::error::{Error, Reason};

use name::{alternative_names, distinguished_name, named};

/// How long before now a certificate begins, in seconds: clocks of other machines may be behind.
pub const BACKDATE_S: u64 = 3600;

/// Validity of an authority that is made here, in days.
pub const AUTHORITY_DAYS: u32 = 3650;

/// Longest validity that can be asked for, in days.
pub const DAYS_MAX: u32 = 36_500;

const DAY_S: u64 = 86_400;

/// Latest second that is believed: 2200-01-01. Dates beyond the year 9999 cannot be written.
const NOW_S_MAX: u64 = 7_258_118_400;

/// An authority that issues certificates and revocation lists.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    cert_pem: String,
    not_after_s: u64,
    /// Whether its own certificate must go along with what it issues, because another signed it.
    is_intermediate: bool,
}

/// What a certificate is for.
#[derive(Clone, Debug)]
pub struct CertificateRequest<'a> {
    /// The common name and, with `spiffe`, the name in the URI.
    pub name: &'a str,
    /// DNS names.
    pub dns: &'a [&'a str],
    /// IP addresses.
    pub ips: &'a [IpAddr],
    /// Whether to put in the URI `spiffe://tollgate/<name>`.
    pub spiffe: bool,
    /// For a server: it then needs a DNS name or an address.
    pub server: bool,
    /// For a client.
    pub client: bool,
    /// Validity in days, 1 to [`DAYS_MAX`]; it never goes beyond the authority's.
    pub days: u32,
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate in PEM; behind it the authority's, where that is an intermediate one.
    pub cert_pem: String,
    /// The key in PEM (PKCS#8), for a file of mode 0600.
    pub key_pem: Zeroizing<String>,
}

/// A certificate that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, big-endian; see [`serial_of`].
    pub serial: Vec<u8>,
    /// When.
    pub at: UnixTime,
}

impl Authority {
    /// Makes an authority with a new key, valid for [`AUTHORITY_DAYS`] from `now` on.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Days`] for a clock that is out of range, [`Error::Issue`].
    pub fn create(name: &str, now: UnixTime) -> Result<Authority, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = named(name)?;
        let not_after_s = validity(&mut params, now.as_secs(), AUTHORITY_DAYS)?;
        // Nothing below an authority of ours is an authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(random_serial()?);
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Authority {
            cert_pem: certificate.pem(),
            certificate: certificate.into(),
            issuer: Issuer::new(params, key),
            not_after_s,
            is_intermediate: false,
        })
    }

    /// Loads an existing authority: the first certificate of the text, and its key in PKCS#8.
    ///
    /// # Errors
    /// What [`material::certificates`] and [`material::private_key`] refuse,
    /// [`Error::NotAnAuthority`], [`Error::KeyMismatch`], [`Error::Key`], or [`Error::Issue`] when
    /// its subject is of a form that cannot be written again.
    pub fn load(cert_pem: &[u8], key_pem: &[u8]) -> Result<Authority, Error> {
        let certificate = material::certificates(cert_pem)?.swap_remove(0);
        let key = material::private_key(key_pem)?;
        let key = KeyPair::try_from(key.der()).map_err(|_| Error::Key)?;
        let fields = x509::Certificate::read(&certificate).ok_or(Error::Certificate)?;
        if !fields.is_authority {
            return Err(Error::NotAnAuthority);
        }
        let public = EndEntityCert::try_from(&certificate)
            .map_err(|_| Error::Certificate)?
            .subject_public_key_info();
        if *public != *key.subject_public_key_info() {
            return Err(Error::KeyMismatch);
        }
        let unwritable = || Error::Issue("the authority's subject has an unusual form".into());
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(fields.subject).ok_or_else(unwritable)?;
        if let Some(id) = fields.subject_key_id {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.to_vec());
        }
        let authority = Authority {
            cert_pem: to_pem(&certificate),
            issuer: Issuer::new(params, key),
            not_after_s: fields.not_after_s,
            is_intermediate: fields.issuer != fields.subject,
            certificate: certificate.clone(),
        };
        // What it will sign must bear its subject byte for byte, or no chain is ever found.
        let trial = authority.sign_list(&[], 0, 0, 1)?;
        match x509::issuer_of_revocation_list(trial.der()) == Some(fields.subject) {
            true => Ok(authority),
            false => Err(unwritable()),
        }
    }

    /// Its certificate in PEM.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Its certificate in DER, to verify what it issues.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its key in PEM (PKCS#8), for a file of mode 0600.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// Issues a certificate with a new P-256 key.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that cannot stand in it, [`Error::Days`], [`Error::Expired`] when
    /// the authority itself has ended, [`Error::Issue`].
    pub fn issue(&self, request: &CertificateRequest<'_>, now: UnixTime) -> Result<Issued, Error> {
        let now_s = now.as_secs();
        if now_s > self.not_after_s {
            return Err(Error::Expired(self.not_after_s));
        }
        let mut params = named(request.name)?;
        params.subject_alt_names = alternative_names(request)?;
        let not_after_s = validity(&mut params, now_s, request.days)?.min(self.not_after_s);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(not_after_s);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(random_serial()?);
        let uses = [
            (request.server, ExtendedKeyUsagePurpose::ServerAuth),
            (request.client, ExtendedKeyUsagePurpose::ClientAuth),
        ];
        for (_, purpose) in uses.into_iter().filter(|(wanted, _)| *wanted) {
            params.extended_key_usages.push(purpose);
        }
        if params.extended_key_usages.is_empty() {
            return Err(Error::Issue("ask for a server's or a client's certificate".into()));
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let mut cert_pem = certificate.pem();
        if self.is_intermediate {
            cert_pem.push_str(&self.cert_pem);
        }
        Ok(Issued { cert_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// Signs the list of all certificates that were revoked, in PEM, valid for `days`. A server
    /// refuses every client once its list has expired. `number` must grow with each list (RFC 5280
    /// section 5.2.3).
    ///
    /// # Errors
    /// [`Error::Days`], [`Error::Issue`].
    pub fn revocation_list(
        &self,
        revoked: &[Revoked],
        number: u64,
        now: UnixTime,
        days: u32,
    ) -> Result<String, Error> {
        self.sign_list(revoked, number, now.as_secs(), days)?.pem().map_err(failed)
    }

    fn sign_list(
        &self,
        revoked: &[Revoked],
        number: u64,
        now_s: u64,
        days: u32,
    ) -> Result<rcgen::CertificateRevocationList, Error> {
        let (this_update_s, next_update_s) = span(now_s, days)?;
        let time = |second: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(second);
        let revoked_certs = revoked
            .iter()
            .map(|certificate| RevokedCertParams {
                serial_number: SerialNumber::from_slice(&certificate.serial),
                revocation_time: time(certificate.at.as_secs().min(NOW_S_MAX)),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        CertificateRevocationListParams {
            this_update: time(this_update_s),
            next_update: time(next_update_s),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            // rcgen derives the identifier of the issuer with the method of the list.
            key_identifier_method: self.key_id_method(),
        }
        .signed_by(&self.issuer)
        .map_err(failed)
    }

    /// How the authority's own key identifier was made.
    fn key_id_method(&self) -> KeyIdMethod {
        x509::Certificate::read(&self.certificate)
            .and_then(|certificate| certificate.subject_key_id)
            .map_or(KeyIdMethod::Sha256, |id| KeyIdMethod::PreSpecified(id.to_vec()))
    }
}

/// The serial number of the first certificate of a PEM text, for [`Revoked`].
///
/// # Errors
/// As [`material::certificates`].
pub fn serial_of(cert_pem: &[u8]) -> Result<Vec<u8>, Error> {
    let certificate = material::certificates(cert_pem)?.swap_remove(0);
    let fields = x509::Certificate::read(&certificate).ok_or(Error::Certificate)?;
    // The encoding puts a zero before a number whose first bit is set.
    let serial = fields.serial;
    Ok(serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial).to_vec())
}

/// Sets the validity and gives its last second.
fn validity(params: &mut CertificateParams, now_s: u64, days: u32) -> Result<u64, Error> {
    let (not_before_s, not_after_s) = span(now_s, days)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(not_before_s);
    params.not_after = epoch + Duration::from_secs(not_after_s);
    Ok(not_after_s)
}

/// From a little before now until `days` after it.
fn span(now_s: u64, days: u32) -> Result<(u64, u64), Error> {
    if !(1..=DAYS_MAX).contains(&days) || now_s > NOW_S_MAX {
        return Err(Error::Days);
    }
    Ok((now_s.saturating_sub(BACKDATE_S), now_s + u64::from(days) * DAY_S))
}

/// 127 random bits: positive, and not a function of anything (RFC 5280 section 4.1.2.2).
fn random_serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    material::to_pem("CERTIFICATE", certificate).to_string()
}

fn failed(error: rcgen::Error) -> Error {
    Error::Issue(Reason::of(error))
}
