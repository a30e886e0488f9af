//! Tokens that this authorization server issued, as their clients bring them back: to be revoked
//! (RFC 7009) or asked about (RFC 7662).
//!
//! Owns who may do so, and the response about a token. Refuses to say anything of a token that it
//! did not issue, that has ended, or that is none of the client's business: all of them are
//! inactive. For which audience a token is does not matter here, unlike for those who accept it.

use ring::digest;
use rustls_pki_types::UnixTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::OAuthError;
use super::request::Authenticated;
use super::revoked::RevokedTokens;
use crate::json::object;
use crate::scope::Scope;
use crate::token::jwks::KeySet;
use crate::token::jwt::{jti_hash, signed_payload};

/// The response about a token of which nothing is said (RFC 7662 section 2.2).
pub const INACTIVE_JSON: &str = r#"{"active":false}"#;

/// A token that was issued here and has not ended.
#[derive(Debug)]
pub struct IssuedToken {
    claims: IssuedClaims,
    id: [u8; 32],
}

/// The claims that tokens of this server have; they are its own words.
#[derive(Debug, Deserialize)]
struct IssuedClaims {
    iss: String,
    aud: Value,
    sub: String,
    client_id: String,
    jti: String,
    scope: String,
    iat: u64,
    exp: u64,
}

impl IssuedToken {
    /// Recognises a token of this issuer at `now`; `None` for everything else.
    #[must_use]
    pub fn read(token: &str, keys: &KeySet, issuer: &str, now: UnixTime) -> Option<IssuedToken> {
        let payload = signed_payload(token.as_bytes(), keys).ok()?;
        let claims: IssuedClaims = object(&payload).ok()?;
        if claims.iss != issuer || claims.exp <= now.as_secs() {
            return None;
        }
        let id = digest::digest(&digest::SHA256, claims.jti.as_bytes());
        let id = id.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Some(IssuedToken { claims, id })
    }

    /// What logs name it by.
    pub fn jti_hash(&self) -> String {
        jti_hash(&self.claims.jti)
    }

    /// The client that it was issued to.
    pub fn client_id(&self) -> &str {
        &self.claims.client_id
    }

    /// The SHA-256 of its `jti`.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// End of validity, in unix seconds.
    pub fn expires_at(&self) -> u64 {
        self.claims.exp
    }

    /// What `asking` is told about the token (RFC 7662 section 2.2): all of it where it is its own
    /// or the client has the scope `tokens.introspect`, and else that it is inactive.
    pub fn introspection(&self, asking: Authenticated<'_>, revoked: &RevokedTokens) -> String {
        let client = asking.client();
        let may_ask =
            *client.id == *self.claims.client_id || client.scopes.contains(Scope::TokensIntrospect);
        if !may_ask || revoked.contains(&self.id) {
            return INACTIVE_JSON.into();
        }
        let IssuedClaims { iss, aud, sub, client_id, jti, scope, iat, exp } = &self.claims;
        json!({
            "active": true, "token_type": "Bearer", "iss": iss, "aud": aud, "sub": sub,
            "client_id": client_id, "jti": jti, "scope": scope, "iat": iat, "exp": exp,
        })
        .to_string()
    }

    /// Whether `asking` may revoke it: its own client only (RFC 7009 section 2.1).
    ///
    /// # Errors
    /// [`OAuthError`] with `unauthorized_client`.
    pub fn check_revoker(&self, asking: Authenticated<'_>) -> Result<(), OAuthError> {
        if *asking.client().id == *self.claims.client_id {
            return Ok(());
        }
        Err(OAuthError::new(
            400,
            "unauthorized_client",
            "the token was issued to another client; only that one may revoke it",
        ))
    }
}

#[cfg(test)]
mod tests;
