//! What went wrong with a TLS connection, in words that say which side refused what and what to do.
//!
//! Owns a sentence for every kind of error that rustls has. Refuses to show the names that the
//! library has for them, and lets nothing through that the peer wrote and a terminal would act on.

mod alert;
mod certificate;

use std::fmt;

use rustls::{Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

/// Why a TLS connection ended before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsError(pub(super) Error);

impl TlsError {
    /// The name (RFC 8446 section 6) of the alert by which the peer ended the connection, if it
    /// was the peer that did.
    #[must_use]
    pub fn alert(&self) -> Option<&'static str> {
        match &self.0 {
            Error::AlertReceived(alert) => Some(alert::name(*alert)),
            _ => None,
        }
    }

    /// The error as rustls tells it.
    #[must_use]
    pub fn inner(&self) -> &Error {
        &self.0
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::AlertReceived(alert) => {
                write!(f, "the peer ended TLS with the alert {}", alert::name(*alert))?;
                alert::hint(*alert).map_or(Ok(()), |hint| write!(f, ": {hint}"))
            }
            Error::InvalidCertificate(error) => {
                f.write_str("the peer's certificate was refused: ")?;
                certificate::explain(error, f)
            }
            Error::InvalidMessage(error) => f.write_str(message(*error)),
            Error::PeerIncompatible(error) => {
                write!(f, "the two ends cannot agree on TLS: {}", incompatible(error))
            }
            Error::PeerMisbehaved(error) => {
                write!(f, "the peer broke the TLS protocol: {}", misbehaved(error))
            }
            other => f.write_str(own(other)),
        }
    }
}

/// A message that cannot be read. The first one that a server of another protocol sends ends here.
fn message(error: InvalidMessage) -> &'static str {
    match error {
        InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion => {
            "the peer does not speak TLS here; check the port and the scheme"
        }
        InvalidMessage::MessageTooLarge | InvalidMessage::CertificatePayloadTooLarge => {
            "the peer does not speak TLS here, or sent a message larger than TLS allows; check the \
             port and the scheme, and that its certificate chain is short"
        }
        InvalidMessage::HandshakePayloadTooLarge => {
            "the peer sent a handshake message of more than 64 KiB; shorten its certificate chain"
        }
        _ => {
            "the peer sent a TLS message that cannot be read; check that nothing between the two \
             ends changes the connection, and the peer's TLS library"
        }
    }
}

/// Both ends keep to the protocol and have nothing in common.
fn incompatible(error: &PeerIncompatible) -> &'static str {
    match error {
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "the peer speaks TLS 1.2 without the extended master secret (RFC 7627), which a \
             service demands; give it TLS 1.3 or a newer TLS library"
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "no cipher suite in common; allow one with ECDHE and AES-GCM or ChaCha20-Poly1305"
        }
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => {
            "no key exchange group in common; allow X25519, P-256 or P-384"
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "no signature algorithm in common; use a certificate whose key is ECDSA on P-256 or \
             P-384, Ed25519, or RSA of 2048 bits or more"
        }
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired => {
            "the peer speaks an older version; allow TLS 1.2 or 1.3 there"
        }
        PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::UncompressedEcPointsRequired => {
            "the peer does not take uncompressed points; allow TLS 1.3 there"
        }
        PeerIncompatible::NullCompressionRequired => "the peer demands compression; switch it off",
        PeerIncompatible::IncorrectCertificateTypeExtension
        | PeerIncompatible::UnsolicitedCertificateTypeExtension => {
            "the peer wants another type of certificate than X.509"
        }
        _ => "the peer demands something that is not supported here; allow TLS 1.3 there",
    }
}

/// The peer does what no version of the protocol allows.
fn misbehaved(error: &PeerMisbehaved) -> &'static str {
    use PeerMisbehaved as P;
    match error {
        P::SelectedUnofferedApplicationProtocol => {
            "it chose an application protocol that was not offered; only http/1.1 is"
        }
        P::SelectedUnofferedCipherSuite
        | P::SelectedUnusableCipherSuiteForVersion
        | P::SelectedDifferentCipherSuiteAfterRetry
        | P::CipherSuiteDifferedOnRetry => "it chose a cipher suite that was not offered",
        P::SelectedUnofferedKxGroup | P::WrongGroupForKeyShare | P::InvalidKeyShare => {
            "it chose a key exchange that was not offered, or sent a wrong share of it"
        }
        P::SignedKxWithWrongAlgorithm | P::SignedHandshakeWithUnadvertisedSigScheme => {
            "it signed with an algorithm that was not offered; its certificate's key must be \
             ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
        }
        P::TooManyRenegotiationRequests => "it asks for renegotiation, which is not done here",
        P::TooManyKeyUpdateRequests => "it changes keys too often",
        P::TooManyWarningAlertsReceived => "it sends too many warnings",
        P::TooManyEmptyFragments => "it sends too many empty records",
        P::TooMuchEarlyDataReceived | P::EarlyDataAttemptedInSecondClientHello => {
            "it sends early data, which is not taken here"
        }
        P::IncorrectBinder
        | P::SelectedInvalidPsk
        | P::SelectedUnofferedPsk
        | P::ResumptionAttemptedWithVariedEms
        | P::ResumptionOfferedWithVariedCipherSuite
        | P::ResumptionOfferedWithVariedEms
        | P::ResumptionOfferedWithIncompatibleCipherSuite => {
            "it resumed a session in another way than it was made; try without resumption"
        }
        _ => "a message does not fit the handshake; update the peer's TLS library",
    }
}

/// What neither an alert nor a certificate is the cause of.
fn own(error: &Error) -> &'static str {
    match error {
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the peer broke the TLS protocol: it sent a message out of its turn; update its TLS \
             library"
        }
        Error::NoCertificatesPresented => {
            "the peer presented no certificate, and one is required; give it one with its key"
        }
        Error::DecryptError => {
            "a TLS record could not be decrypted: it was changed on its way, or the peer's TLS \
             library is wrong"
        }
        Error::PeerSentOversizedRecord => "the peer sent a TLS record larger than TLS allows",
        Error::NoApplicationProtocol => {
            "no application protocol in common: only http/1.1 is spoken here; allow it there"
        }
        Error::UnsupportedNameType => "a certificate cannot be checked for a name of this kind",
        Error::FailedToGetCurrentTime => "the clock of this machine cannot be read",
        Error::FailedToGetRandomBytes => "the system's source of randomness failed; try again",
        Error::InvalidCertRevocationList(_) => {
            "the peer's certificate was refused: the revocation list of its CA cannot be used; \
             make a new one"
        }
        Error::InconsistentKeys(_) => {
            "the private key does not belong to the certificate; give the pair that was made \
             together"
        }
        Error::HandshakeNotComplete => "TLS is not ready: its handshake has not ended",
        Error::EncryptError => "a TLS record could not be encrypted; open a new connection",
        _ => "TLS failed for a reason that has no name; try again, and with another TLS version",
    }
}

#[cfg(test)]
mod tests;
