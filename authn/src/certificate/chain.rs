//! Whether a certificate is of an authority, reported to its operator before a peer finds out.
//!
//! Owns the question alone: whom to trust in a handshake is decided by rustls. It names what is
//! wrong and never why a peer would be right to accept it all the same.

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::error::Error;

/// Checks that the first certificate of `chain` leads to one of `authorities` at `now`, for a
/// server or for a client. An authority's own certificate is its own.
///
/// # Errors
/// [`Error::Certificate`] for one that cannot be read, [`Error::OtherAuthority`] for one that no
/// authority here has issued.
pub fn check_authority(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let (first, between) = chain.split_first().ok_or(Error::NoCertificate)?;
    if authorities.contains(first) {
        return Ok(());
    }
    let certificate = EndEntityCert::try_from(first).map_err(|_| Error::Certificate)?;
    let anchors: Vec<_> =
        authorities.iter().filter_map(|ca| anchor_from_trusted_cert(ca).ok()).collect();
    let leads = |usage: KeyUsage| {
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let path =
            certificate.verify_for_usage(algorithms, &anchors, between, now, usage, None, None);
        path.is_ok()
    };
    match leads(KeyUsage::server_auth()) || leads(KeyUsage::client_auth()) {
        true => Ok(()),
        false => Err(Error::OtherAuthority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::material::certificates;
    use crate::pki::{Authority, CertificateRequest};

    const NOW_S: u64 = 1_900_000_000;

    fn now() -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW_S))
    }

    fn issued(authority: &Authority, server: bool) -> Vec<CertificateDer<'static>> {
        let request = CertificateRequest {
            name: "a",
            dns: if server { &["localhost"] } else { &[] },
            ips: &[],
            spiffe: true,
            server,
            client: !server,
            days: 2,
        };
        certificates(authority.issue(&request, now()).unwrap().cert_pem.as_bytes()).unwrap()
    }

    #[test]
    fn a_certificate_is_of_the_authority_that_issued_it_and_of_no_other() {
        // Both have the same name, so that only the signature distinguishes them.
        let [own, other] = [(); 2].map(|()| Authority::create("CA", now()).unwrap());
        let (ours, others) = ([own.certificate().clone()], [other.certificate().clone()]);
        let both = [others[0].clone(), ours[0].clone()];
        for server in [true, false] {
            let chain = issued(&own, server);
            assert_eq!(check_authority(&chain, &ours, now()), Ok(()));
            assert_eq!(check_authority(&chain, &both, now()), Ok(()));
            for wrong in [&others[..], &[]] {
                let refused = check_authority(&chain, wrong, now());
                assert_eq!(refused, Err(Error::OtherAuthority));
            }
        }
        assert_eq!(check_authority(&ours, &ours, now()), Ok(()));
        assert_eq!(check_authority(&[], &ours, now()), Err(Error::NoCertificate));
    }
}
