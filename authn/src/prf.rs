//! A keyed pseudorandom function: 64 bits for any value, which nobody without the key can tell from
//! random ones.
//!
//! Owns the key and the choice of the function: SipHash-2-4, made for short inputs of strangers and
//! a few nanoseconds long, from the `siphasher` crate (the standard library's hasher promises
//! neither its algorithm nor its strength). It refuses to be a signature: 64 bits bind names within
//! one process and never leave it as proof to somebody else.

use std::fmt;
use std::hash::{Hash, Hasher as _};

use siphasher::sip::SipHasher24;

use crate::error::Error;
use crate::token::cache::random_key;

/// A pseudorandom function under one key.
#[derive(Clone, Copy)]
pub struct Prf([u64; 2]);

impl Prf {
    /// A function under a key of its own, from the system's source of randomness.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn random() -> Result<Prf, Error> {
        random_key().map(Prf)
    }

    /// The function under this key, for those who must get the same values again.
    #[must_use]
    pub const fn with_key(key: [u64; 2]) -> Prf {
        Prf(key)
    }

    /// The 64 bits of a value.
    #[must_use]
    pub fn of(&self, value: &impl Hash) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0[0], self.0[1]);
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// The 64 bits of two words, in one pass: for what every request needs.
    #[must_use]
    pub fn of_words(&self, [first, second]: [u64; 2]) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..].copy_from_slice(&second.to_le_bytes());
        SipHasher24::new_with_keys(self.0[0], self.0[1]).hash(&bytes)
    }
}

impl fmt::Debug for Prf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prf(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_the_key_and_on_the_input() {
        let (one, other) = (Prf::random().unwrap(), Prf::random().unwrap());
        assert_eq!(one.of(&7_u64), Prf(one.0).of(&7_u64));
        assert_ne!(one.of(&7_u64), one.of(&8_u64));
        assert_ne!(one.of(&7_u64), other.of(&7_u64));
        assert_eq!(one.of_words([7, 8]), Prf(one.0).of_words([7, 8]));
        assert_ne!(one.of_words([7, 8]), one.of_words([8, 7]));
        assert_ne!(one.of_words([7, 8]), other.of_words([7, 8]));
        assert_eq!(format!("{one:?}"), "Prf(..)");
    }
}
