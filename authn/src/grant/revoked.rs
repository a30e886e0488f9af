//! The tokens that have been revoked, until they end.
//!
//! Owns the list and its bound. What is on it stays until the token has ended by itself: a full
//! list refuses. Refuses to keep a token or its `jti`, or to know what a token is: a hash is
//! enough.

use std::collections::HashMap;

use rustls_pki_types::UnixTime;

use super::error::OAuthError;

/// Most tokens on the list.
const REVOKED_MAX: usize = 100_000;

/// The revoked tokens that have not ended.
#[derive(Debug, Default)]
pub struct RevokedTokens {
    /// The SHA-256 of each `jti`, and when the token ends.
    tokens: HashMap<[u8; 32], u64>,
}

impl RevokedTokens {
    /// Revokes the token of this id, the SHA-256 of its `jti`, which ends at this unix second. Once
    /// more does no harm.
    ///
    /// # Errors
    /// [`OAuthError`] with status 503 when the list is full: the token is still valid.
    pub fn revoke(
        &mut self,
        id: &[u8; 32],
        expires_at: u64,
        now: UnixTime,
    ) -> Result<(), OAuthError> {
        if self.contains(id) {
            return Ok(());
        }
        if self.tokens.len() >= REVOKED_MAX {
            self.tokens.retain(|_, expires_at| *expires_at > now.as_secs());
        }
        if self.tokens.len() >= REVOKED_MAX {
            return Err(OAuthError::new(
                503,
                "temporarily_unavailable",
                "the list of revoked tokens is full; the token is still valid",
            ));
        }
        self.tokens.insert(*id, expires_at);
        Ok(())
    }

    /// Whether the token of this id was revoked.
    pub fn contains(&self, id: &[u8; 32]) -> bool {
        self.tokens.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(number: u64) -> [u8; 32] {
        std::array::from_fn(|at| number.to_le_bytes()[at % 8])
    }

    #[test]
    fn a_full_list_refuses_until_tokens_on_it_have_ended() {
        let at = |second| UnixTime::since_unix_epoch(Duration::from_secs(second));
        let mut revoked = RevokedTokens::default();
        for number in 0..100_000 {
            revoked.revoke(&id(number), 60 + number % 2, at(0)).unwrap();
        }
        let one_more = id(100_000);
        assert_eq!(revoked.revoke(&one_more, 100, at(59)).unwrap_err().status, 503);
        assert!(!revoked.contains(&one_more) && revoked.contains(&id(0)));
        revoked.revoke(&id(1), 61, at(59)).unwrap();
        revoked.revoke(&one_more, 100, at(60)).unwrap();
        assert!(revoked.contains(&one_more) && revoked.contains(&id(1)));
        assert!(!revoked.contains(&id(0)), "it has ended");
    }
}
