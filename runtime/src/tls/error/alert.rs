//! The alerts by which a peer ends TLS: their names, and what each of them usually means. A peer
//! says no more than the alert, so that a hint names what is likely and what to try.

use rustls::AlertDescription;

/// What the alert means, and what to do about it.
pub(super) fn hint(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it wants a client certificate and was given none"
        }
        AlertDescription::UnknownCA => "it does not trust the CA of the certificate it was given",
        AlertDescription::CertificateExpired => "the certificate it was given has expired",
        AlertDescription::CertificateRevoked => "the certificate it was given was revoked",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "it refused the certificate it was given",
        AlertDescription::AccessDenied => {
            "it accepts the certificate it was given and does not let its bearer in"
        }
        AlertDescription::DecryptError => {
            "it could not verify a signature; the certificate it was given, or its key, may be of \
             a kind that it does not support"
        }
        AlertDescription::ProtocolVersion => "it supports neither TLS 1.3 nor TLS 1.2",
        AlertDescription::InsufficientSecurity => {
            "it demands stronger cipher suites or keys than were offered"
        }
        AlertDescription::HandshakeFailure => {
            "the two ends have no cipher suite, group or signature algorithm in common (a \
             certificate with a key on P-521 has none), or it wants a client certificate"
        }
        AlertDescription::UnrecognisedName => "it does not serve this host name",
        AlertDescription::NoApplicationProtocol => "it does not serve http/1.1 here",
        AlertDescription::InternalError => "something failed inside of it; its log may tell what",
        AlertDescription::UserCanceled => "somebody cancelled the handshake there",
        AlertDescription::BadRecordMac
        | AlertDescription::DecryptionFailed
        | AlertDescription::RecordOverflow => {
            "it could not read a record; something between the two ends may change the connection"
        }
        AlertDescription::UnexpectedMessage
        | AlertDescription::IllegalParameter
        | AlertDescription::DecodeError
        | AlertDescription::MissingExtension
        | AlertDescription::UnsupportedExtension => {
            "it did not understand the handshake; its TLS library may be too old"
        }
        _ => return None,
    })
}

/// The names of RFC 8446 section 6 and its predecessors.
pub(super) fn name(alert: AlertDescription) -> &'static str {
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
        AlertDescription::DecryptionFailed => "decryption_failed",
        AlertDescription::DecompressionFailure => "decompression_failure",
        AlertDescription::NoCertificate => "no_certificate",
        AlertDescription::ExportRestriction => "export_restriction",
        AlertDescription::CertificateUnobtainable => "certificate_unobtainable",
        AlertDescription::BadCertificateStatusResponse => "bad_certificate_status_response",
        AlertDescription::BadCertificateHashValue => "bad_certificate_hash_value",
        AlertDescription::EncryptedClientHelloRequired => "ech_required",
        _ => "unknown",
    }
}
