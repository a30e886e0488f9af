//! What kind of key a certificate has, as far as a message must say it: an RSA key that is too
//! short and a signature that is wrong look alike to the TLS library.
//!
//! Owns the words for kinds of keys, and which of them ring can verify. Refuses to judge anything
//! else of a certificate.

use std::fmt;

use der::Tag;
use der::asn1::ObjectIdentifier;

use crate::certificate::x509::{Certificate, DerReader};

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// RSA, with the bits of its modulus.
    Rsa(usize),
    /// A key on a curve, or of an algorithm, with a name.
    Named(&'static str),
    /// Anything else.
    Other,
}

/// The fewest bits of an RSA key that verifies here; ring takes up to 8192.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Curves of [`EC`] and algorithms that are none of it.
const NAMES: [(ObjectIdentifier, &str); 11] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), P256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), P384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "ECDSA on P-521"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.33"), "ECDSA on P-224"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), "ECDSA on secp256k1"),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.7"), "ECDSA on brainpoolP256r1"),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.11"), "ECDSA on brainpoolP384r1"),
    (ObjectIdentifier::new_unwrap("1.3.101.112"), ED25519),
    (ObjectIdentifier::new_unwrap("1.3.101.113"), "Ed448"),
    (ObjectIdentifier::new_unwrap("1.2.840.10040.4.1"), "DSA"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"), "RSA for PSS only"),
];

const P256: &str = "ECDSA on P-256";
const P384: &str = "ECDSA on P-384";
const ED25519: &str = "Ed25519";

impl KeyKind {
    /// The kind of a certificate's key; `None` for what cannot be read.
    pub(crate) fn of_certificate(der: &[u8]) -> Option<KeyKind> {
        KeyKind::of(Certificate::read(der)?.public_key)
    }

    /// The kind of a key from the contents of its `SubjectPublicKeyInfo`.
    pub(crate) fn of(public_key: &[u8]) -> Option<KeyKind> {
        let mut fields = DerReader::new(public_key);
        let mut algorithm = DerReader::new(fields.expect(Tag::Sequence)?);
        let id = algorithm.expect(Tag::ObjectIdentifier)?;
        if id == RSA.as_bytes() {
            // The first byte of a bit string says how many of its last bits are unused.
            let key = fields.expect(Tag::BitString)?.strip_prefix(&[0])?;
            let modulus =
                DerReader::new(DerReader::new(key).expect(Tag::Sequence)?).expect(Tag::Integer)?;
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            return Some(KeyKind::Rsa(modulus.len() * 8 - unused));
        }
        let name = if id == EC.as_bytes() { algorithm.accept(Tag::ObjectIdentifier)? } else { id };
        let known = NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        Some(known.map_or(KeyKind::Other, |(_, name)| KeyKind::Named(name)))
    }

    /// Whether a signature of such a key can be verified here.
    pub(crate) fn is_supported(self) -> bool {
        match self {
            KeyKind::Rsa(bits) => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits),
            KeyKind::Named(name) => [P256, P384, ED25519].contains(&name),
            KeyKind::Other => false,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa(bits) => write!(f, "RSA of {bits} bits"),
            KeyKind::Named(name) => f.write_str(name),
            KeyKind::Other => f.write_str("an unknown kind"),
        }
    }
}
