//! The reasons why a TLS handshake fails, as a closed set of words for metrics and logs.
//!
//! It owns the set and which of its members an error of the TLS library is. It refuses to pass on
//! anything that the peer wrote; [`TlsError`] has the sentence.

use rustls::{CertificateError, Error, InvalidMessage};

use crate::tls::error::TlsError;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// The peer presented no certificate, and one is required.
    CertificateMissing,
    /// The peer's certificate, or that of a CA above it, has expired.
    CertificateExpired,
    /// The peer's certificate is not valid yet.
    CertificateNotYetValid,
    /// The peer's certificate was revoked.
    CertificateRevoked,
    /// No trusted CA issued the peer's certificate.
    CertificateUnknownIssuer,
    /// A signature is not the one of its CA or of its key: a different CA of the same name, say.
    CertificateSignature,
    /// The peer's certificate is for another name.
    CertificateName,
    /// The peer's certificate was not issued for this use.
    CertificatePurpose,
    /// No revocation list covers the peer's certificate, or the list has expired.
    RevocationUnknown,
    /// The peer's certificate is refused for another reason.
    CertificateOther,
    /// The peer ended the handshake with an alert: it refused this side.
    Alert,
    /// The peer does not speak TLS.
    NotTls,
    /// Both ends have no version, cipher suite, group or signature algorithm in common.
    Incompatible,
    /// The peer broke the TLS protocol.
    Protocol,
    /// The handshake took too long.
    TimedOut,
    /// The peer closed or reset the connection.
    Closed,
    /// Something on this side failed.
    Internal,
}

impl HandshakeFailure {
    /// Every reason, for tables of counters.
    pub const ALL: [HandshakeFailure; 17] = [
        HandshakeFailure::CertificateMissing,
        HandshakeFailure::CertificateExpired,
        HandshakeFailure::CertificateNotYetValid,
        HandshakeFailure::CertificateRevoked,
        HandshakeFailure::CertificateUnknownIssuer,
        HandshakeFailure::CertificateSignature,
        HandshakeFailure::CertificateName,
        HandshakeFailure::CertificatePurpose,
        HandshakeFailure::RevocationUnknown,
        HandshakeFailure::CertificateOther,
        HandshakeFailure::Alert,
        HandshakeFailure::NotTls,
        HandshakeFailure::Incompatible,
        HandshakeFailure::Protocol,
        HandshakeFailure::TimedOut,
        HandshakeFailure::Closed,
        HandshakeFailure::Internal,
    ];

    /// A word for metrics and logs, such as `certificate_expired`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            HandshakeFailure::CertificateMissing => "certificate_missing",
            HandshakeFailure::CertificateExpired => "certificate_expired",
            HandshakeFailure::CertificateNotYetValid => "certificate_not_yet_valid",
            HandshakeFailure::CertificateRevoked => "certificate_revoked",
            HandshakeFailure::CertificateUnknownIssuer => "certificate_unknown_issuer",
            HandshakeFailure::CertificateSignature => "certificate_signature",
            HandshakeFailure::CertificateName => "certificate_name",
            HandshakeFailure::CertificatePurpose => "certificate_purpose",
            HandshakeFailure::RevocationUnknown => "revocation_unknown",
            HandshakeFailure::CertificateOther => "certificate_other",
            HandshakeFailure::Alert => "alert",
            HandshakeFailure::NotTls => "not_tls",
            HandshakeFailure::Incompatible => "incompatible",
            HandshakeFailure::Protocol => "protocol",
            HandshakeFailure::TimedOut => "timed_out",
            HandshakeFailure::Closed => "closed",
            HandshakeFailure::Internal => "internal",
        }
    }

    /// Its place in [`HandshakeFailure::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What an error of TLS comes to.
    pub(crate) fn of(error: &TlsError) -> HandshakeFailure {
        match error.inner() {
            Error::NoCertificatesPresented => HandshakeFailure::CertificateMissing,
            Error::InvalidCertificate(error) => of_certificate(error),
            Error::InvalidCertRevocationList(_) => HandshakeFailure::RevocationUnknown,
            Error::AlertReceived(_) => HandshakeFailure::Alert,
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => HandshakeFailure::NotTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
                HandshakeFailure::Incompatible
            }
            Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::DecryptError
            | Error::PeerSentOversizedRecord => HandshakeFailure::Protocol,
            _ => HandshakeFailure::Internal,
        }
    }
}

fn of_certificate(error: &CertificateError) -> HandshakeFailure {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            HandshakeFailure::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeFailure::CertificateNotYetValid
        }
        CertificateError::Revoked => HandshakeFailure::CertificateRevoked,
        CertificateError::UnknownIssuer => HandshakeFailure::CertificateUnknownIssuer,
        CertificateError::BadSignature => HandshakeFailure::CertificateSignature,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            HandshakeFailure::CertificateName
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeFailure::CertificatePurpose
        }
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            HandshakeFailure::RevocationUnknown
        }
        _ => HandshakeFailure::CertificateOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_words_are_unique() {
        for (index, failure) in HandshakeFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), index);
            let same = HandshakeFailure::ALL.iter().filter(|one| one.label() == failure.label());
            assert_eq!(same.count(), 1, "{failure:?}");
        }
    }

    #[test]
    fn errors_of_the_library_have_their_reason() {
        let table = [
            (Error::NoCertificatesPresented, "certificate_missing"),
            (CertificateError::Expired.into(), "certificate_expired"),
            (CertificateError::Revoked.into(), "certificate_revoked"),
            (CertificateError::UnknownIssuer.into(), "certificate_unknown_issuer"),
            (CertificateError::InvalidPurpose.into(), "certificate_purpose"),
            (CertificateError::BadEncoding.into(), "certificate_other"),
            (Error::AlertReceived(rustls::AlertDescription::UnknownCA), "alert"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "not_tls"),
            (Error::InvalidMessage(InvalidMessage::MissingKeyExchange), "protocol"),
            (Error::FailedToGetRandomBytes, "internal"),
        ];
        for (error, label) in table {
            assert_eq!(HandshakeFailure::of(&TlsError(error)).label(), label);
        }
    }
}
