//! The secrets of clients, of which only salted hashes are kept.
//!
//! Owns the two forms of a hash and the choice between them. A secret that is made here has 256
//! random bits: one round of SHA-256 is enough, because there is nothing to guess that stretching
//! would slow down. A secret that somebody chose is stretched by [`super::password`]. Refuses to
//! show or to print a secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::password::PasswordHash;
use crate::error::Error;

/// A new secret, and the form in which the registry keeps it.
pub struct NewSecret {
    /// The text for the client: 43 characters that mean the same form-encoded or not.
    pub secret: Zeroizing<String>,
    /// Its hash.
    pub hash: SecretHash,
}

/// Makes a secret of 256 random bits.
///
/// # Errors
/// [`Error::Random`].
pub fn generate_secret() -> Result<NewSecret, Error> {
    let random = SystemRandom::new();
    let mut bits = Zeroizing::new([0; 32]);
    let mut salt = [0; 16];
    random.fill(&mut *bits).and_then(|()| random.fill(&mut salt)).map_err(|_| Error::Random)?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bits));
    let hash = SecretHash { salt, digest: SecretHash::digest(&salt, secret.as_bytes()) };
    Ok(NewSecret { secret, hash })
}

/// The hash of a client's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientSecret {
    /// Of a secret that was made here.
    Random(SecretHash),
    /// Of a secret that somebody chose.
    Chosen(PasswordHash),
}

/// Reads the text that [`fmt::Display`] writes: `$sha256$SALT$HASH`, or that of a
/// [`PasswordHash`], each part in base64 without padding.
impl FromStr for ClientSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ClientSecret, &'static str> {
        let Some(parts) = text.strip_prefix("$sha256$") else {
            return text.parse().map(ClientSecret::Chosen);
        };
        let (salt, digest) = parts.split_once('$').ok_or(SHAPE)?;
        let salt = bytes(salt).ok_or(SHAPE)?;
        let digest = bytes(digest).ok_or(SHAPE)?;
        Ok(ClientSecret::Random(SecretHash { salt, digest }))
    }
}

const SHAPE: &str = "it is not $sha256$SALT$HASH with 16 and 32 bytes in unpadded base64";

impl fmt::Display for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientSecret::Random(SecretHash { salt, digest }) => {
                let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
                write!(f, "$sha256${}${}", text(salt), text(digest))
            }
            ClientSecret::Chosen(hash) => hash.fmt(f),
        }
    }
}

/// A salted SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash {
    salt: [u8; 16],
    digest: [u8; 32],
}

impl SecretHash {
    /// A hash that was made elsewhere.
    pub(super) const fn new(salt: [u8; 16], digest: [u8; 32]) -> SecretHash {
        SecretHash { salt, digest }
    }

    /// Whether this is the secret, in time that does not depend on how much of it is right.
    pub fn matches(&self, secret: &[u8]) -> bool {
        SecretHash::digest(&self.salt, secret).ct_eq(&self.digest).into()
    }

    fn digest(salt: &[u8; 16], secret: &[u8]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(salt);
        context.update(secret);
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// Base64 of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_random_and_compared_whole() {
        let (one, two) = (generate_secret().unwrap(), generate_secret().unwrap());
        assert_eq!(one.secret.len(), 43);
        assert_ne!(one.secret, two.secret);
        assert!(one.hash.matches(one.secret.as_bytes()));
        assert!(!one.hash.matches(two.secret.as_bytes()));
        assert!(!one.hash.matches(&one.secret.as_bytes()[..42]));
    }

    #[test]
    fn hashes_survive_their_text() {
        let hash = ClientSecret::Random(generate_secret().unwrap().hash);
        assert_eq!(hash.to_string().parse(), Ok(hash.clone()));
        assert!(!format!("{hash:?}").contains('$'));
        for wrong in ["", "$sha256$", "$sha256$AA$AA", "$md5$AA$AA", "hunter2"] {
            assert!(wrong.parse::<ClientSecret>().is_err(), "{wrong}");
        }
    }
}
