//! Who a client certificate names.
//!
//! Owns the reading of the one SPIFFE URI in a certificate's subject alternative names
//! (`spiffe://tollgate/<name>`). It does not verify certificates: rustls has done so before a
//! certificate gets here. Refuses to guess: a certificate with none, with several or with an
//! ill-formed URI is valid but unnamed, and the common name is never read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::error::{Denied, Error};
use crate::profile::Transport;

/// The trust domain of the shop's own certificates: the authority part of their SPIFFE URI.
pub const TRUST_DOMAIN: &str = "tollgate";

/// The largest certificate that is sent to upstreams, in bytes: with it a request head is still
/// well below the 16 KiB that servers take.
pub const FORWARDED_CERTIFICATE_BYTES_MAX: usize = 6 * 1024;

/// Longest name, in bytes: a DNS label and a bit, so that names fit logs and metrics.
pub const NAME_BYTES_MAX: usize = 64;

/// Who a verified client certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name from the SPIFFE URI; `None` for a valid certificate that names nobody here.
    pub name: Option<Box<str>>,
}

/// Reads who a certificate names. The certificate must have been verified already.
///
/// # Errors
/// [`Error::Certificate`] when it is not a certificate that can be read.
pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Identity, Error> {
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| Error::Certificate)?;
    let mut uris = certificate.valid_uri_names();
    let name = match (uris.next(), uris.next()) {
        // X.509-SVID section 2: exactly one URI, else the certificate has no SPIFFE identity.
        (Some(uri), None) => name_in_uri(uri).map(Box::from),
        _ => None,
    };
    Ok(Identity { name })
}

/// Who the peer of a connection is, decided once when the connection opens.
///
/// `certificates` is what the TLS library says of the peer, the end entity first.
///
/// # Errors
/// [`Denied::CertificateMissing`] when the transport is mutual TLS and there is no certificate, or
/// none that can be read: such a connection must be closed.
pub fn of_peer(
    transport: Transport,
    certificates: Option<&[CertificateDer<'_>]>,
) -> Result<Option<Identity>, Denied> {
    match (transport, certificates.and_then(<[_]>::first)) {
        // A certificate that the profile did not ask for was not verified either.
        (Transport::Plain | Transport::Tls, _) => Ok(None),
        (Transport::Mutual, None) => Err(Denied::CertificateMissing),
        (Transport::Mutual, Some(certificate)) => {
            from_certificate(certificate).map(Some).map_err(|_| Denied::CertificateMissing)
        }
    }
}

/// The value of a `Client-Cert` field: the certificate as a byte sequence (RFC 9440 section 2.2,
/// RFC 9651 section 3.3.5). `None` for one that is larger than [`FORWARDED_CERTIFICATE_BYTES_MAX`].
#[must_use]
pub fn certificate_field(certificate: &CertificateDer<'_>) -> Option<Box<str>> {
    let fits = certificate.len() <= FORWARDED_CERTIFICATE_BYTES_MAX;
    fits.then(|| format!(":{}:", STANDARD.encode(certificate)).into_boxed_str())
}

/// The SPIFFE URI of a name.
///
/// # Errors
/// [`Error::Name`] when the name is not one by [`is_name`].
pub fn uri_of(name: &str) -> Result<String, Error> {
    if !is_name(name) {
        return Err(Error::Name(name.into()));
    }
    Ok(format!("spiffe://{TRUST_DOMAIN}/{name}"))
}

/// Whether this can be a name: 1 to 64 of `a-z 0-9 - . _`, not beginning with a dot (RFC 3986
/// section 5.2.4 gives `.` and `..` a meaning in paths).
pub fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
}

/// The name in a SPIFFE URI of our trust domain. No decoding and no case folding: one name, one
/// spelling.
fn name_in_uri(uri: &str) -> Option<&str> {
    let name = uri.strip_prefix("spiffe://")?.strip_prefix(TRUST_DOMAIN)?.strip_prefix('/')?;
    is_name(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        let table = [
            ("spiffe://tollgate/orders", Some("orders")),
            ("spiffe://tollgate/bench-runner", Some("bench-runner")),
            ("spiffe://tollgate/a.b_c-9", Some("a.b_c-9")),
            ("SPIFFE://tollgate/orders", None),
            ("spiffe://Tollgate/orders", None),
            ("spiffe://tollgate/Orders", None),
            ("spiffe://tollgate.evil/orders", None),
            ("spiffe://tollgate:1/orders", None),
            ("spiffe://evil@tollgate/orders", None),
            ("spiffe://tollgate/orders/", None),
            ("spiffe://tollgate/ns/orders", None),
            ("spiffe://tollgate/%6frders", None),
            ("spiffe://tollgate/orders?x", None),
            ("spiffe://tollgate/orders#x", None),
            ("spiffe://tollgate/..", None),
            ("spiffe://tollgate/", None),
            ("spiffe://tollgate", None),
            ("https://tollgate/orders", None),
            ("", None),
        ];
        for (uri, name) in table {
            assert_eq!(name_in_uri(uri), name, "{uri}");
        }
        assert_eq!(name_in_uri(&uri_of("gateway").unwrap()), Some("gateway"));
        assert!(is_name(&"a".repeat(NAME_BYTES_MAX)) && !is_name(&"a".repeat(NAME_BYTES_MAX + 1)));
        assert_eq!(uri_of("a b"), Err(Error::Name("a b".into())));
    }

    #[test]
    fn a_mutual_connection_without_a_certificate_is_refused() {
        for none in [None, Some(&[][..])] {
            assert_eq!(of_peer(Transport::Mutual, none), Err(Denied::CertificateMissing));
            assert_eq!(of_peer(Transport::Tls, none), Ok(None));
            assert_eq!(of_peer(Transport::Plain, none), Ok(None));
        }
        let garbage = [CertificateDer::from(&b"not a certificate"[..])];
        assert_eq!(of_peer(Transport::Mutual, Some(&garbage)), Err(Denied::CertificateMissing));
        assert_eq!(from_certificate(&garbage[0]), Err(Error::Certificate));
    }
}
