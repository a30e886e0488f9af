//! Whose request it is, for those who keep something in somebody's name.
//!
//! Owns what an owner is and how one differs from another. An owner is a name and grants nothing:
//! scopes and callers are checked without a look at it. Names of different kinds never meet: the
//! client `x` of the authorization server and the certificate `x` of the certificate authority are
//! two owners, since two registries gave the name and neither answers for the other. Refuses to
//! guess who a forwarder's client is: it is who the forwarder names, else nobody.

use std::fmt;

use crate::certificate::identity::{NAME_BYTES_MAX, is_name};
use crate::prf::Prf;

/// The field in which a forwarder names its client: the name of the client's certificate.
pub const CLIENT_FIELD: &str = "x-tollgate-client";

/// Who a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner<'a> {
    /// The `client_id` of the verified token.
    Client(&'a str),
    /// The name in a certificate: of the peer, or of a forwarder's client.
    Peer(&'a str),
    /// Nobody is known. All who are not known are one owner.
    Nobody,
}

impl<'a> Owner<'a> {
    /// What nobody is called, for people to read.
    pub const NOBODY: &'static str = "anonymous";

    /// The name, whatever its kind.
    #[must_use]
    pub const fn name(self) -> Option<&'a str> {
        match self {
            Owner::Client(name) | Owner::Peer(name) => Some(name),
            Owner::Nobody => None,
        }
    }

    /// The owner as stores keep it.
    #[must_use]
    pub fn key(self, prf: &Prf) -> OwnerKey {
        OwnerKey(prf.of(&self))
    }
}

/// An owner in 64 bits, under the key of one process: no one outside can make two owners meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerKey(u64);

impl OwnerKey {
    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The owner of these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> OwnerKey {
        OwnerKey(bits)
    }
}

/// Whom a forwarder named as its client in the request at hand; nobody at first. It holds the name
/// itself, so that a request allocates nothing for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The name, and zeroes behind it.
    bytes: [u8; NAME_BYTES_MAX],
    length: usize,
}

impl Default for Forwarded {
    fn default() -> Forwarded {
        Forwarded { bytes: [0; NAME_BYTES_MAX], length: 0 }
    }
}

impl Forwarded {
    /// Takes the value of [`CLIENT_FIELD`], if there is one.
    ///
    /// # Errors
    /// [`NotAName`] when the value is not the name of a certificate; nobody is named then.
    pub fn set(&mut self, value: Option<&[u8]>) -> Result<(), NotAName> {
        *self = Forwarded::default();
        if let Some(value) = value {
            let name = std::str::from_utf8(value).ok().filter(|name| is_name(name));
            let name = name.ok_or(NotAName)?.as_bytes();
            self.bytes[..name.len()].copy_from_slice(name);
            self.length = name.len();
        }
        Ok(())
    }

    /// Who was named.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let name = &self.bytes[..self.length];
        (self.length > 0).then(|| std::str::from_utf8(name).expect("a name is ASCII"))
    }
}

/// A value that is no name of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAName;

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name is 1 to 64 of a-z 0-9 - . _ and does not begin with a dot")
    }
}

impl std::error::Error for NotAName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_different_kinds_never_meet() {
        let prf = Prf::with_key([1, 2]);
        let all = [
            Owner::Client("x"),
            Owner::Peer("x"),
            Owner::Client(""),
            Owner::Nobody,
            Owner::Client("nobody"),
        ];
        for (at, one) in all.into_iter().enumerate() {
            for (other_at, other) in all.into_iter().enumerate() {
                assert_eq!(one.key(&prf) == other.key(&prf), at == other_at, "{one:?} {other:?}");
            }
        }
        let key = Owner::Nobody.key(&prf);
        assert_eq!(OwnerKey::from_bits(key.bits()), key);
    }

    #[test]
    fn a_forwarder_names_a_certificate_or_nobody() {
        let mut forwarded = Forwarded::default();
        assert_eq!(forwarded.name(), None);
        assert_eq!(forwarded.set(Some(b"bench-ui")), Ok(()));
        assert_eq!(forwarded.name(), Some("bench-ui"));
        assert_eq!(forwarded.set(None), Ok(()));
        assert_eq!(forwarded.name(), None, "not the client of the request before");
        for bad in [&b""[..], b"Bench", b"a b", b"a,b", b"\xff", b".", &[b'a'; 65]] {
            forwarded.set(Some(b"bench-ui")).unwrap();
            assert_eq!(forwarded.set(Some(bad)), Err(NotAName), "{bad:?}");
            assert_eq!(forwarded.name(), None);
        }
    }
}
