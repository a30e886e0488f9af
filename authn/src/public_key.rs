//! What kind of key a certificate has, as far as a message must say it: an RSA key that is too
//! short and a signature that is wrong look alike to the TLS library.
//!
//! Owns the words for kinds of keys, and which of them ring can verify. Refuses to judge anything
//! else of a certificate.

use std::fmt;

use crate::der::{self, Certificate, Reader};

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
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

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Curves of [`EC`] and algorithms that are none of it, by the contents of their identifiers.
const NAMES: [(&[u8], &str); 11] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], P256),
    (&[0x2b, 0x81, 4, 0, 34], P384),
    (&[0x2b, 0x81, 4, 0, 35], "ECDSA on P-521"),
    (&[0x2b, 0x81, 4, 0, 33], "ECDSA on P-224"),
    (&[0x2b, 0x81, 4, 0, 10], "ECDSA on secp256k1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], "ECDSA on brainpoolP256r1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], "ECDSA on brainpoolP384r1"),
    (&[0x2b, 0x65, 0x70], ED25519),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "DSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSA for PSS only"),
];

const P256: &str = "ECDSA on P-256";
const P384: &str = "ECDSA on P-384";
const ED25519: &str = "Ed25519";

impl Kind {
    /// The kind of a certificate's key; `None` for what cannot be read.
    pub fn of_certificate(der: &[u8]) -> Option<Kind> {
        Kind::of(Certificate::read(der)?.public_key)
    }

    /// The kind of a key from the contents of its `SubjectPublicKeyInfo`.
    pub fn of(public_key: &[u8]) -> Option<Kind> {
        let mut fields = Reader::new(public_key);
        let mut algorithm = Reader::new(fields.expect(der::SEQUENCE)?);
        let id = algorithm.expect(der::OBJECT_IDENTIFIER)?;
        if id == RSA {
            // The first byte of a bit string says how many of its last bits are unused.
            let key = fields.expect(der::BIT_STRING)?.strip_prefix(&[0])?;
            let modulus =
                Reader::new(Reader::new(key).expect(der::SEQUENCE)?).expect(der::INTEGER)?;
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            return Some(Kind::Rsa(modulus.len() * 8 - unused));
        }
        let name = if id == EC { algorithm.accept(der::OBJECT_IDENTIFIER)? } else { id };
        let known = NAMES.iter().find(|(known, _)| *known == name);
        Some(known.map_or(Kind::Other, |(_, name)| Kind::Named(name)))
    }

    /// Whether a signature of such a key can be verified here.
    pub fn is_supported(self) -> bool {
        match self {
            Kind::Rsa(bits) => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits),
            Kind::Named(name) => [P256, P384, ED25519].contains(&name),
            Kind::Other => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Rsa(bits) => write!(f, "RSA of {bits} bits"),
            Kind::Named(name) => f.write_str(name),
            Kind::Other => f.write_str("an unknown kind"),
        }
    }
}
