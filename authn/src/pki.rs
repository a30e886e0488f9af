//! A small certificate authority (signatures first; bodies follow in the next commit).

use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::error::Error;

/// An authority that issues certificates.
pub struct Authority(());

/// What a certificate is for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The common name and, with `spiffe`, the name in the URI.
    pub name: &'a str,
    /// DNS names.
    pub dns: &'a [&'a str],
    /// IP addresses.
    pub ips: &'a [IpAddr],
    /// Whether to put in `spiffe://tollgate/<name>`.
    pub spiffe: bool,
    /// For a server.
    pub server: bool,
    /// For a client.
    pub client: bool,
    /// Validity in days, 1 to 36500.
    pub days: u32,
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate in PEM.
    pub cert_pem: String,
    /// The key in PEM (PKCS#8).
    pub key_pem: Zeroizing<String>,
}

/// A certificate that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// When, in unix seconds.
    pub at_s: u64,
}

impl Authority {
    /// Makes an authority with a new key, valid from `now_s` (unix seconds) for ten years.
    pub fn create(_name: &str, _now_s: u64) -> Result<Authority, Error> {
        unimplemented!()
    }

    /// Loads an existing one.
    pub fn load(_cert_pem: &[u8], _key_pem: &[u8]) -> Result<Authority, Error> {
        unimplemented!()
    }

    /// Its certificate in PEM.
    pub fn cert_pem(&self) -> &str {
        unimplemented!()
    }

    /// Its key in PEM (PKCS#8).
    pub fn key_pem(&self) -> Zeroizing<String> {
        unimplemented!()
    }

    /// Issues a certificate with a new key.
    pub fn issue(&self, _request: &Request<'_>, _now_s: u64) -> Result<Issued, Error> {
        unimplemented!()
    }

    /// Signs the list of all revoked certificates; `number` grows with each list.
    pub fn revocation_list(
        &self,
        _revoked: &[Revoked],
        _number: u64,
        _now_s: u64,
        _days: u32,
    ) -> Result<String, Error> {
        unimplemented!()
    }
}

/// The serial number of the first certificate of a PEM text, for [`Revoked`].
pub fn serial_of(_cert_pem: &[u8]) -> Result<Vec<u8>, Error> {
    unimplemented!()
}
