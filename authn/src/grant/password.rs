//! Secrets that somebody chose: stretched with PBKDF2-HMAC-SHA256 (RFC 8018 section 5.2).
//!
//! Owns the number of rounds and the text of a hash. One derivation takes some tenth of a second on
//! purpose: whoever calls it does so beside the threads that serve, and bounds how many wait.
//! Refuses a hash with fewer rounds, which would be a cheap one to guess against.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::Error;

/// Rounds of a new hash, and the fewest of one that is read.
pub const PASSWORD_ROUNDS: u32 = 600_000;

/// The most rounds of a hash that is read: a derivation must end.
const ROUNDS_MAX: u32 = 4_000_000;

/// Longest and shortest salt, in bytes (RFC 8018 section 4.1 wants 8 or more).
const SALT_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// The stretched hash of a secret that somebody chose.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    rounds: NonZeroU32,
    salt: Box<[u8]>,
    digest: [u8; 32],
}

impl PasswordHash {
    /// The hash of a secret, under a new salt. It takes as long as [`PasswordHash::matches`].
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn derive(secret: &[u8]) -> Result<PasswordHash, Error> {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).map_err(|_| Error::Random)?;
        let rounds = NonZeroU32::new(PASSWORD_ROUNDS).expect("there are some");
        let mut digest = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, secret, &mut digest);
        Ok(PasswordHash { rounds, salt: salt.into(), digest })
    }

    /// Whether this is the secret. It takes [`PASSWORD_ROUNDS`] or more: not for a thread that
    /// serves.
    pub fn matches(&self, secret: &[u8]) -> bool {
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::verify(algorithm, self.rounds, &self.salt, secret, &self.digest).is_ok()
    }
}

/// Reads `$pbkdf2-sha256$i=ROUNDS$SALT$HASH`: salt and hash in base64 without padding, the hash of
/// 32 bytes.
impl FromStr for PasswordHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PasswordHash, &'static str> {
        let parts = text.strip_prefix("$pbkdf2-sha256$i=").ok_or(SHAPE)?;
        let [rounds, salt, digest] = parts.split('$').collect::<Vec<_>>()[..] else {
            return Err(SHAPE);
        };
        let rounds: NonZeroU32 = rounds.parse().map_err(|_| SHAPE)?;
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| SHAPE);
        let digest = decode(digest)?.try_into().map_err(|_| SHAPE)?;
        let salt = decode(salt)?;
        if !(PASSWORD_ROUNDS..=ROUNDS_MAX).contains(&rounds.get()) {
            return Err("it has not 600000 to 4000000 rounds; make it again");
        }
        if !SALT_BYTES.contains(&salt.len()) {
            return Err("its salt has not 16 to 64 bytes; make it again");
        }
        Ok(PasswordHash { rounds, salt: salt.into(), digest })
    }
}

const SHAPE: &str = "it is neither $sha256$SALT$HASH nor $pbkdf2-sha256$i=600000$SALT$HASH";

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        let (rounds, salt, digest) = (self.rounds, text(&self.salt), text(&self.digest));
        write!(f, "$pbkdf2-sha256$i={rounds}${salt}${digest}")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another implementation, for `correct horse` and the salt `0123456789abcdef`:
    /// `python3 -c "import hashlib,base64;print(base64.b64encode(hashlib.pbkdf2_hmac('sha256',
    /// b'correct horse',b'0123456789abcdef',600000)).rstrip(b'=').decode())"`.
    const STRANGERS: &str = "$pbkdf2-sha256$i=600000$MDEyMzQ1Njc4OWFiY2RlZg$\
                             kYKAg/dg7WC7VQ4k8+iaopu8snxCGdA0xMTwPC5tudk";

    #[test]
    fn the_hash_of_another_implementation_is_the_same() {
        let hash: PasswordHash = STRANGERS.parse().unwrap();
        assert!(hash.matches(b"correct horse"));
        assert!(!hash.matches(b"correct horsf"));
        assert_eq!(hash.to_string(), STRANGERS);
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }

    #[test]
    fn a_new_hash_matches_its_secret_only() {
        let hash = PasswordHash::derive(b"hunter2").unwrap();
        assert!(hash.matches(b"hunter2") && !hash.matches(b"hunter3"));
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn cheap_or_broken_hashes_are_rejected() {
        let (salt, digest) = ("MDEyMzQ1Njc4OWFiY2RlZg", "A".repeat(43));
        for wrong in [
            String::new(),
            format!("$pbkdf2-sha256$i=599999${salt}${digest}"),
            format!("$pbkdf2-sha256$i=0${salt}${digest}"),
            format!("$pbkdf2-sha256$i=4000001${salt}${digest}"),
            format!("$pbkdf2-sha256$600000${salt}${digest}"),
            format!("$pbkdf2-sha256$i=600000$MDEy${digest}"),
            format!("$pbkdf2-sha256$i=600000${salt}$AAAA"),
            format!("$pbkdf2-sha256$i=600000${salt}${digest}$"),
            format!("$pbkdf2-sha1$i=600000${salt}${digest}"),
        ] {
            assert!(wrong.parse::<PasswordHash>().is_err(), "{wrong}");
        }
    }
}
