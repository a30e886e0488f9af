//! What went wrong with a TLS connection, in words that say which side refused what.

use std::fmt;

use rustls::{AlertDescription, CertificateError};

/// Why a TLS connection ended before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsError(pub(super) rustls::Error);

impl TlsError {
    /// The name (RFC 8446 section 6) of the alert by which the peer ended the connection, if it
    /// was the peer that did.
    #[must_use]
    pub fn alert(&self) -> Option<&'static str> {
        match &self.0 {
            rustls::Error::AlertReceived(alert) => Some(alert_name(*alert)),
            _ => None,
        }
    }

    /// The error as rustls tells it.
    #[must_use]
    pub fn inner(&self) -> &rustls::Error {
        &self.0
    }
}

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            rustls::Error::AlertReceived(alert) => {
                write!(f, "the peer ended TLS with the alert {}", alert_name(*alert))?;
                alert_hint(*alert).map_or(Ok(()), |hint| write!(f, ": {hint}"))
            }
            rustls::Error::InvalidCertificate(error) => match certificate_hint(error) {
                Some(hint) => write!(f, "the peer's certificate was refused: {hint}"),
                None => write!(f, "the peer's certificate was refused: {error}"),
            },
            rustls::Error::InvalidMessage(_) => {
                write!(f, "the peer does not speak TLS here ({})", self.0)
            }
            rustls::Error::NoCertificatesPresented => {
                write!(f, "the client presented no certificate, and one is required")
            }
            other => write!(f, "TLS failed: {other}"),
        }
    }
}

fn alert_hint(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired => "it wants a client certificate and was given none",
        AlertDescription::UnknownCA => "it does not trust the CA of the certificate it was given",
        AlertDescription::CertificateExpired => "the certificate it was given has expired",
        AlertDescription::CertificateRevoked => "the certificate it was given was revoked",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::DecryptError => "it refused the certificate it was given",
        AlertDescription::ProtocolVersion => "it supports neither TLS 1.3 nor TLS 1.2",
        AlertDescription::HandshakeFailure => {
            "the two ends have no cipher suite or group in common, or it wants a client certificate"
        }
        AlertDescription::UnrecognisedName => "it does not serve this host name",
        _ => return None,
    })
}

fn certificate_hint(error: &CertificateError) -> Option<&'static str> {
    Some(match error {
        CertificateError::UnknownIssuer => "no trusted CA issued it; give the CA that did",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks of both machines"
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it was not issued for this use; its extended key usage forbids it"
        }
        CertificateError::BadSignature => {
            "the trusted CA did not sign it; a different CA of the same name may have"
        }
        _ => return None,
    })
}

/// The names of RFC 8446 section 6 and its predecessors.
fn alert_name(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CloseNotify => "close_notify",
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::BadRecordMac => "bad_record_mac",
        AlertDescription::RecordOverflow => "record_overflow",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::InsufficientSecurity => "insufficient_security",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::InappropriateFallback => "inappropriate_fallback",
        AlertDescription::UserCanceled => "user_canceled",
        AlertDescription::NoRenegotiation => "no_renegotiation",
        AlertDescription::MissingExtension => "missing_extension",
        AlertDescription::UnsupportedExtension => "unsupported_extension",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity",
        AlertDescription::CertificateRequired => "certificate_required",
        AlertDescription::NoApplicationProtocol => "no_application_protocol",
        other => other.as_str().unwrap_or("unknown"),
    }
}
