//! Why a certificate or a revocation list is refused, as sentences, where rustls has no kind of its
//! own for it or names a wrong one.
//!
//! Owns the words for webpki's errors and for keys that cannot be verified, which webpki takes for
//! bad signatures. A sentence travels inside `CertificateError::Other`, so that whoever shows the
//! error shows it. Refuses to change whether anything is refused.

use std::fmt;
use std::sync::Arc;

use rustls::{CertRevocationListError, CertificateError, Error, OtherError, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::certificate::public_key::KeyKind;
use crate::certificate::subject;
use crate::certificate::x509::Certificate;

/// A sentence in the place of an error.
#[derive(Debug)]
pub(super) struct PeerRefusal(String);

impl fmt::Display for PeerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PeerRefusal {}

impl PeerRefusal {
    fn error(sentence: String) -> Error {
        CertificateError::Other(OtherError(Arc::new(PeerRefusal(sentence)))).into()
    }
}

/// The cause why no path to an authority was found.
pub(super) fn of_path(
    error: Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
) -> Error {
    match &error {
        Error::InvalidCertificate(
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => {
            let chain = [end_entity].into_iter().chain(intermediates);
            let chain: Vec<Certificate<'_>> =
                chain.filter_map(|one| Certificate::read(one)).collect();
            let intermediates = chain.iter().skip(1).map(|one| (one.subject, one.public_key));
            // Any other authority of the store has nothing to do with it.
            let roots =
                roots.roots.iter().map(|root| (&*root.subject, &*root.subject_public_key_info));
            let issuers = intermediates
                .chain(roots)
                .filter(|(subject, _)| chain.iter().any(|one| one.issuer == *subject));
            issuers.filter_map(|(subject, key)| weak(subject, key)).next().unwrap_or(error)
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<webpki::Error>() {
                Some(cause) => PeerRefusal::error(of_webpki(cause).into()),
                None => error,
            }
        }
        _ => error,
    }
}

/// The cause why the peer's signature of the handshake was refused.
pub(super) fn of_signature(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let own = Certificate::read(certificate).and_then(|one| weak(one.subject, one.public_key));
    own.unwrap_or(error)
}

/// The refusal of a key that cannot be verified, if it is one.
fn weak(subject: &[u8], public_key: &[u8]) -> Option<Error> {
    let kind = KeyKind::of(public_key).filter(|kind| !kind.is_supported())?;
    Some(PeerRefusal::error(format!(
        "the key of {} is {kind}, which is not supported; use ECDSA on P-256 or P-384, Ed25519, \
         or RSA of 2048 to 8192 bits",
        subject::text(subject)
    )))
}

/// What webpki found wrong, for those kinds that rustls only passes on.
fn of_webpki(error: &webpki::Error) -> &'static str {
    use webpki::Error as E;
    match error {
        E::CaUsedAsEndEntity => {
            "it is a CA's own certificate and not a server's or client's; issue one from that CA \
             (the load generator takes it where --cacert is that very certificate)"
        }
        E::EndEntityUsedAsCa => {
            "its issuer is no CA: the issuer's basic constraints do not say CA:TRUE"
        }
        E::PathLenConstraintViolated => {
            "there are more CAs between it and the trusted one than one of them allows (pathlen)"
        }
        E::NameConstraintViolation => "its names are outside of what its CA may issue for",
        E::MalformedNameConstraint | E::InvalidNetworkMaskConstraint => {
            "the name constraints of its CA cannot be read; issue the CA again"
        }
        E::UnsupportedCertVersion => "it is not of X.509 version 3; issue it again as version 3",
        E::UnsupportedCriticalExtension => {
            "it has a critical extension that is not supported; issue it without"
        }
        E::MalformedExtensions | E::ExtensionValueInvalid | E::EmptyEkuExtension => {
            "one of its extensions cannot be read; issue it again"
        }
        E::InvalidSerialNumber => "its serial number is not valid; issue it again",
        E::MalformedDnsIdentifier | E::UnsupportedNameType => {
            "one of its alternative names cannot be read; issue it again"
        }
        E::SignatureAlgorithmMismatch => {
            "it names two different signature algorithms; issue it again"
        }
        E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => {
            "its chain is longer or more branched than is followed; present the shortest one"
        }
        E::BadDer | E::BadDerTime | E::TrailingData(_) => "it cannot be read; issue it again",
        E::UnsupportedCrlIssuingDistributionPoint
        | E::UnsupportedRevocationReasonsPartitioning
        | E::UnsupportedIndirectCrl
        | E::UnsupportedDeltaCrl => {
            "the revocation list of its CA covers only a part; make one that covers all"
        }
        _ => "it breaks a rule of X.509 paths; issue it again and check it with openssl verify",
    }
}

/// Why a revocation list cannot be used.
pub(super) fn of_list(error: &CertRevocationListError) -> &'static str {
    use CertRevocationListError as E;
    match error {
        E::BadSignature => "the CA did not sign it",
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed with an algorithm that is not supported"
        }
        E::InvalidCrlNumber => "its number is not valid",
        E::InvalidRevokedCertSerialNumber => "a serial number in it is not valid",
        E::IssuerInvalidForCrl => "its issuer may not sign revocation lists (key usage cRLSign)",
        E::ParseError => "it cannot be read",
        E::UnsupportedCrlVersion => "it is not of version 2",
        E::UnsupportedCriticalExtension => "it has a critical extension that is not supported",
        E::UnsupportedDeltaCrl => "it is a delta, which says only what is new",
        E::UnsupportedIndirectCrl => "it is indirect: another than the CA issued it",
        E::UnsupportedRevocationReason => "it has a reason for revocation that is not supported",
        _ => "it has a form that is not supported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_sentences_not_library_names() {
        let table: [(webpki::Error, &str); 12] = [
            (webpki::Error::CaUsedAsEndEntity, "CA's own certificate"),
            (webpki::Error::EndEntityUsedAsCa, "no CA"),
            (webpki::Error::PathLenConstraintViolated, "pathlen"),
            (webpki::Error::NameConstraintViolation, "outside"),
            (webpki::Error::UnsupportedCertVersion, "version 3"),
            (webpki::Error::UnsupportedCriticalExtension, "critical extension"),
            (webpki::Error::MalformedExtensions, "extensions"),
            (webpki::Error::InvalidSerialNumber, "serial number"),
            (webpki::Error::MaximumPathDepthExceeded, "longer"),
            (webpki::Error::SignatureAlgorithmMismatch, "two different"),
            (webpki::Error::UnsupportedIndirectCrl, "revocation list"),
            (webpki::Error::CertDistrusted, "openssl verify"),
        ];
        let nobody = RootCertStore::empty();
        let certificate = CertificateDer::from(vec![0]);
        for (cause, part) in table {
            let name = format!("{cause:?}");
            let error = CertificateError::Other(OtherError(Arc::new(cause)));
            let error = of_path(error.into(), &certificate, &[], &nobody);
            let Error::InvalidCertificate(CertificateError::Other(sentence)) = error else {
                panic!("{name} is no certificate's error any more")
            };
            let sentence = sentence.to_string();
            assert!(sentence.contains(part) && !sentence.contains(&name), "{name}: {sentence}");
        }
    }

    #[test]
    fn errors_with_their_own_kind_are_unchanged() {
        let nobody = RootCertStore::empty();
        let certificate = CertificateDer::from(vec![0]);
        for kind in [CertificateError::UnknownIssuer, CertificateError::BadSignature] {
            let error = of_path(kind.clone().into(), &certificate, &[], &nobody);
            assert_eq!(error, kind.clone().into());
            assert_eq!(of_signature(kind.clone().into(), &certificate), kind.into());
        }
    }
}
