//! The sentences of errors as tables: each names its cause, and none has a name of the library.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    AlertDescription, CertRevocationListError, CertificateError, ContentType, ExtendedKeyPurpose,
    InconsistentKeys, OtherError,
};

use super::*;

fn refused(error: CertificateError) -> Error {
    Error::InvalidCertificate(error)
}

/// Errors of all kinds, each with a part of its sentence.
fn certificates() -> Vec<(Error, &'static str)> {
    use CertificateError as C;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(9));
    let localhost = ServerName::try_from("localhost").unwrap();
    let named = |presented: &[&str]| C::NotValidForNameContext {
        expected: localhost.clone(),
        presented: presented.iter().map(ToString::to_string).collect(),
    };
    let signed = |id: &[u8]| C::UnsupportedSignatureAlgorithmContext {
        signature_algorithm_id: id.to_vec(),
        supported_algorithms: Vec::new(),
    };
    let table = vec![
        (C::BadEncoding, "cannot be read"),
        (C::Expired, "has expired"),
        (C::ExpiredContext { time, not_after: time }, "has expired"),
        (C::NotValidYetContext { time, not_before: time }, "clocks"),
        (C::Revoked, "was revoked"),
        (C::UnhandledCriticalExtension, "critical extension"),
        (C::UnknownIssuer, "give the CA that did"),
        (C::UnknownRevocationStatus, "no revocation list covers it"),
        (C::ExpiredRevocationListContext { time, next_update: time }, "make a new one"),
        (C::BadSignature, "did not sign it"),
        (signed(&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4]), "SHA-512, as keys on P-521 do"),
        (signed(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0]), "RSA with SHA-1"),
        (signed(&[1, 2, 3]), "without a common name"),
        (
            C::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
                public_key_algorithm_id: vec![1],
            },
            "ECDSA with SHA-256, which is not supported for the key",
        ),
        (named(&[]), "no subject alternative name"),
        (named(&["DnsName(\"a.example\")", "IpAddress(10.0.0.1)"]), "but for a.example, 10.0.0.1"),
        (named(&["DnsName(\"\u{1b}[2J\u{202e}\")"]), "\\u{1b}[2J\\u{202e}"),
        (named(&["DnsName(\"a\")"; 9]), "a, a, a, a, a and more"),
        (
            C::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: vec![],
            },
            "for server authentication",
        ),
        (C::InvalidOcspResponse, "OCSP"),
        (C::ApplicationVerificationFailure, "not accepted"),
        (C::Other(OtherError(Arc::new(std::io::Error::other("a sentence")))), ": a sentence"),
    ];
    table.into_iter().map(|(error, part)| (refused(error), part)).collect()
}

fn protocol() -> Vec<(Error, &'static str)> {
    use PeerIncompatible as I;
    use PeerMisbehaved as M;
    vec![
        (I::ExtendedMasterSecretExtensionRequired.into(), "RFC 7627"),
        (I::NoCipherSuitesInCommon.into(), "cipher suite"),
        (I::NoKxGroupsInCommon.into(), "X25519"),
        (I::NoSignatureSchemesInCommon.into(), "signature algorithm"),
        (I::ServerTlsVersionIsDisabledByOurConfig.into(), "older version"),
        (I::UncompressedEcPointsRequired.into(), "points"),
        (I::NullCompressionRequired.into(), "compression"),
        (I::IncorrectCertificateTypeExtension.into(), "X.509"),
        (I::ServerSentHelloRetryRequestWithUnknownExtension.into(), "not supported"),
        (M::SelectedUnofferedApplicationProtocol.into(), "http/1.1"),
        (M::SelectedUnofferedCipherSuite.into(), "cipher suite"),
        (M::WrongGroupForKeyShare.into(), "key exchange"),
        (M::SignedHandshakeWithUnadvertisedSigScheme.into(), "P-384"),
        (M::TooManyRenegotiationRequests.into(), "renegotiation"),
        (M::TooManyKeyUpdateRequests.into(), "keys too often"),
        (M::TooManyWarningAlertsReceived.into(), "warnings"),
        (M::TooManyEmptyFragments.into(), "empty records"),
        (M::TooMuchEarlyDataReceived.into(), "early data"),
        (M::IncorrectBinder.into(), "without resumption"),
        (M::MissingKeyShare.into(), "does not fit the handshake"),
        (Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS here"),
        (Error::InvalidMessage(InvalidMessage::MessageTooLarge), "larger than TLS allows"),
        (Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge), "shorten"),
        (Error::InvalidMessage(InvalidMessage::MissingData("Random")), "cannot be read"),
        (
            Error::InappropriateMessage { expect_types: vec![], got_type: ContentType::Alert },
            "out of its turn",
        ),
        (Error::NoCertificatesPresented, "presented no certificate"),
        (Error::DecryptError, "could not be decrypted"),
        (Error::PeerSentOversizedRecord, "larger than TLS allows"),
        (Error::NoApplicationProtocol, "only http/1.1"),
        (Error::UnsupportedNameType, "a name of this kind"),
        (Error::FailedToGetRandomBytes, "randomness"),
        (CertRevocationListError::ParseError.into(), "revocation list"),
        (Error::InconsistentKeys(InconsistentKeys::KeyMismatch), "does not belong"),
        (Error::HandshakeNotComplete, "has not ended"),
        (Error::BadMaxFragmentSize, "has no name"),
    ]
}

/// Whether a text has a word of the form `LikeThis`, as names of variants have.
fn has_variant_name(text: &str) -> bool {
    let inner = |word: &str| {
        let capitals = word.chars().filter(char::is_ascii_uppercase).count();
        let small = word.chars().filter(char::is_ascii_lowercase).count();
        capitals >= 2 && small > capitals
    };
    // TLS itself gave two records their names.
    let known = ["ChaCha20"];
    text.split(|c: char| !c.is_alphanumeric()).any(|word| inner(word) && !known.contains(&word))
}

#[test]
fn every_error_is_a_sentence_that_names_its_cause() {
    for (error, part) in [certificates(), protocol()].concat() {
        let shown = TlsError(error.clone()).to_string();
        assert!(shown.contains(part), "{error:?}: {shown}");
        assert!(!has_variant_name(&shown), "{error:?}: {shown}");
        assert!(!shown.contains(char::is_control), "{error:?}: {shown}");
    }
}

#[test]
fn every_alert_has_a_name_and_says_who_sent_it() {
    for code in 0..=u8::MAX {
        let alert = AlertDescription::from(code);
        let error = TlsError(Error::AlertReceived(alert));
        let name = error.alert().expect("an alert");
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("the peer ended TLS with the alert {name}")), "{shown}");
        assert!(!has_variant_name(&shown), "{code}: {shown}");
        let assigned = alert.as_str().is_some();
        assert_eq!(name != "unknown", assigned, "{code}: {name}");
    }
}
