//! Why a peer's certificate was refused, as the end of a sentence.

use std::fmt::{self, Formatter, Write as _};

use rustls::CertificateError;

/// The most names of a certificate that are shown.
const NAMES_SHOWN_MAX: usize = 5;

/// What is supported, for refusals of what is not.
const SUPPORTED: &str = "use a chain signed by ECDSA on P-256 or P-384 with SHA-256 or SHA-384, by \
                         Ed25519, or by RSA of 2048 bits or more with SHA-256 to SHA-512";

/// Tag of an object identifier.
const OBJECT_IDENTIFIER: u8 = 6;

/// Signature algorithms, by the contents of their object identifiers.
const SIGNATURES: [(&[u8], &str); 9] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA with SHA-1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1], "ECDSA with SHA-224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], "ECDSA with SHA-256"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], "ECDSA with SHA-384"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ECDSA with SHA-512, as keys on P-521 do"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "RSA with MD5"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "RSA with SHA-1"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSA-PSS with unusual parameters"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
];

pub(super) fn explain(error: &CertificateError, f: &mut Formatter<'_>) -> fmt::Result {
    match error {
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id, ..
        } => signed(signature_algorithm_id, "is not supported", f),
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            ..
        } => signed(signature_algorithm_id, "is not supported for the key of its CA", f),
        CertificateError::NotValidForNameContext { expected, presented } => {
            names(&expected.to_str(), presented, f)
        }
        CertificateError::InvalidPurposeContext { required, .. } => {
            write!(f, "it was not issued for {required}; its extended key usage forbids it")
        }
        // Whoever made it for rustls made a sentence of it.
        CertificateError::Other(sentence) => write!(f, "{sentence}"),
        other => f.write_str(sentence(other)),
    }
}

/// The signature is of an algorithm that cannot be verified.
fn signed(algorithm: &[u8], how: &str, f: &mut Formatter<'_>) -> fmt::Result {
    // An `AlgorithmIdentifier` without its own tag: an identifier, and parameters.
    let id = match algorithm {
        [OBJECT_IDENTIFIER, length, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    };
    let id = id.unwrap_or_default();
    let known = SIGNATURES.iter().find(|(known, _)| *known == id);
    let name = known.map_or("an algorithm without a common name", |(_, name)| name);
    write!(f, "it is signed by {name}, which {how}; {SUPPORTED}")
}

/// The certificate is another server's.
fn names(expected: &str, presented: &[String], f: &mut Formatter<'_>) -> fmt::Result {
    if presented.is_empty() {
        return write!(
            f,
            "it is not valid for name {expected}: it has no subject alternative name; issue one \
             that names it"
        );
    }
    write!(f, "it is not valid for name {expected} but for ")?;
    for (place, name) in presented.iter().take(NAMES_SHOWN_MAX).enumerate() {
        f.write_str(if place == 0 { "" } else { ", " })?;
        // The library writes `DnsName("a")`. What is between the quotes the peer wrote.
        let name = name.split_once('(').map_or(&name[..], |(_, name)| name);
        let name = name.strip_suffix(')').unwrap_or(name).trim_matches('"');
        for character in name.chars().flat_map(char::escape_debug) {
            f.write_char(character)?;
        }
    }
    f.write_str(if presented.len() > NAMES_SHOWN_MAX { " and more" } else { "" })
}

/// Those kinds that say it all.
fn sentence(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::BadEncoding => "it cannot be read; issue it again",
        CertificateError::UnknownIssuer => "no trusted CA issued it; give the CA that did",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it, or a CA between it and the trusted one, has expired; issue it again"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks of both machines"
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::UnhandledCriticalExtension => {
            "it has a critical extension that is not supported; issue it without"
        }
        CertificateError::UnknownRevocationStatus => {
            "no revocation list covers it; give that of its CA"
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "the revocation list of its CA has expired; make a new one"
        }
        CertificateError::BadSignature => {
            "the trusted CA did not sign it, where a different CA of the same name may have, or \
             the peer does not hold its key"
        }
        CertificateError::NotValidForName => "it is for another name",
        CertificateError::InvalidPurpose => {
            "it was not issued for this use; its extended key usage forbids it"
        }
        CertificateError::InvalidOcspResponse => "the OCSP response beside it is not valid",
        CertificateError::ApplicationVerificationFailure => "it is not accepted here",
        _ => "it breaks a rule of X.509; check it with openssl verify",
    }
}
