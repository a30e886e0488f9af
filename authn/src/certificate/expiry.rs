//! When certificates and revocation lists end, for an operator to be warned before they do.
//!
//! Owns the reading of that one field. Refuses to judge: in a handshake rustls does.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::certificate::x509::{Certificate, next_update_of_revocation_list};

/// The last second at which a certificate is valid (RFC 5280 section 4.1.2.5); `None` for one that
/// cannot be read.
#[must_use]
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    Certificate::read(certificate).map(|read| at(read.not_after_s))
}

/// When the next revocation list is due, at which this one ends (RFC 5280 section 5.1.2.5); `None`
/// for one that does not say so, or cannot be read.
#[must_use]
pub fn next_update(list: &CertificateRevocationListDer<'_>) -> Option<UnixTime> {
    next_update_of_revocation_list(list).map(at)
}

fn at(unix_s: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(unix_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::material::revocation_lists;
    use crate::pki::Authority;

    #[test]
    fn what_was_made_here_ends_when_it_was_said_to() {
        let now = at(1_900_000_000);
        let authority = Authority::create("CA", now).unwrap();
        let ca = not_after(authority.certificate()).unwrap();
        assert!(ca.as_secs() > now.as_secs());
        let pem = authority.revocation_list(&[], 1, now, 7).unwrap();
        let lists = revocation_lists(pem.as_bytes()).unwrap();
        assert_eq!(next_update(&lists[0]), Some(at(1_900_000_000 + 7 * 86_400)));
        assert_eq!(not_after(&vec![0].into()), None);
        assert_eq!(next_update(&vec![0].into()), None);
    }
}
