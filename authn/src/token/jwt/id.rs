//! Token identifiers (`jti`, RFC 7519 section 4.1.7), and the form in which logs hold them.
//!
//! Owns how an identifier is made and hashed. Refuses to let an identifier itself into a log: with
//! it a reader could name the token to its issuer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;

use super::TOKEN_BYTES_MAX;
use super::claims::Text;
use crate::error::Error;
use crate::json::object;

/// How many bytes of the digest stand for an identifier: too many for two of them to meet.
const HASH_BYTES: usize = 16;

/// A fresh token identifier for `jti`: 128 random bits in base64url.
///
/// # Errors
/// [`Error::Random`].
pub fn new_token_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What stands for a `jti` in logs and lists: the first 16 bytes of its SHA-256 in base64url, 22
/// characters.
pub fn jti_hash(jti: &str) -> String {
    let digest = digest::digest(&digest::SHA256, jti.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..HASH_BYTES])
}

/// The [`jti_hash`] of the `jti` that a token claims, proved or not, for the record of a refusal;
/// `None` where none can be read. Whoever made the token chose it: it may decide nothing.
pub fn claimed_jti_hash(token: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ClaimedId<'a> {
        #[serde(borrow)]
        jti: Text<'a>,
    }
    let payload = token.split(|byte| *byte == b'.').nth(1);
    let payload = payload.filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claimed: ClaimedId<'_> = object(&payload).ok()?;
    Some(jti_hash(&claimed.jti))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_start_of_sha_256() {
        // FIPS 180-2 appendix B.1: SHA-256 of "abc" is ba7816bf 8f01cfea 414140de 5dae2223 and on.
        assert_eq!(jti_hash("abc"), "ungWv48Bz-pBQUDeXa4iIw");
        assert_ne!(jti_hash("abd"), jti_hash("abc"));
        assert_ne!(new_token_id().unwrap(), new_token_id().unwrap());
    }

    #[test]
    fn a_refused_token_has_the_hash_that_it_claims() {
        let token = |payload: &str| format!("x.{}.y", URL_SAFE_NO_PAD.encode(payload));
        let table = [
            (token(r#"{"jti":"abc","exp":"never"}"#), Some(jti_hash("abc"))),
            (token(r#"{"jti":"\u0061bc"}"#), Some(jti_hash("abc"))),
            (token(r#"{"jti":7}"#), None),
            (token(r#"{"jti":"a","jti":"b"}"#), None),
            (token("{}"), None),
            (token(r#"["abc"]"#), None),
            ("x.*.y".into(), None),
            ("x".into(), None),
            (String::new(), None),
            (token(&format!(r#"{{"jti":"{}"}}"#, "a".repeat(TOKEN_BYTES_MAX))), None),
        ];
        for (token, hash) in table {
            assert_eq!(claimed_jti_hash(token.as_bytes()), hash, "{token}");
        }
    }
}
