//! A name for a token in logs that lets nobody use it, and does not show its `jti` either.
//!
//! Owns the hash. Refuses to judge: of a token that was not verified it tells what the bearer says.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use super::TOKEN_BYTES_MAX;
use crate::json::object;

/// The first eight bytes of the SHA-256 of a `jti`, shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenIdHash([u8; 8]);

#[derive(Deserialize)]
struct IdClaim<'a> {
    #[serde(borrow)]
    jti: Cow<'a, str>,
}

impl TokenIdHash {
    /// The hash of a `jti`.
    #[must_use]
    pub fn of(token_id: &str) -> TokenIdHash {
        let hash = digest(&SHA256, token_id.as_bytes());
        let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        TokenIdHash(*first)
    }

    /// The hash of the `jti` in a token, whoever signed it; `None` where none can be read.
    #[must_use]
    pub fn in_token(token: &[u8]) -> Option<TokenIdHash> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let payload = token.split(|byte| *byte == b'.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claim: IdClaim<'_> = object(&payload).ok()?;
        Some(TokenIdHash::of(&claim.jti))
    }
}

impl fmt::Display for TokenIdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of "abc" begins so (FIPS 180-2, appendix B.1).
    const ABC: &str = "ba7816bf8f01cfea";

    #[test]
    fn the_hash_of_a_token_is_that_of_its_id() {
        assert_eq!(TokenIdHash::of("abc").to_string(), ABC);
        let token = |payload: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        let hash = TokenIdHash::in_token(token(r#"{"sub":"a","jti":"abc"}"#).as_bytes());
        assert_eq!(hash.unwrap().to_string(), ABC);
        for nothing in ["", "a", "a.b", "a.!.c", &token("[]"), &token("{}"), &token(r#"{"jti":1}"#)]
        {
            assert_eq!(TokenIdHash::in_token(nothing.as_bytes()), None, "{nothing}");
        }
        let long = token(&format!(r#"{{"jti":"{}"}}"#, "a".repeat(TOKEN_BYTES_MAX)));
        assert_eq!(TokenIdHash::in_token(long.as_bytes()), None);
    }
}
