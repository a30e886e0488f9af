//! What can be wrong with an access token.
//!
//! Owns the kinds, their codes for metrics and logs, and their sentences for whoever reads those.
//! None holds a token or a piece of one. Refuses to speak to clients: [`super::Denied`] does.

use std::fmt;

/// Why a token is not accepted. The client is not told: to whoever forges tokens each reason is a
/// step further. It goes to metrics and logs, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenError {
    /// Longer than [`crate::token::jwt::TOKEN_BYTES_MAX`].
    TooLong,
    /// Not three segments of base64url without padding, or not the credentials of one token.
    Malformed,
    /// The header is not a JSON object of the expected members, each at most once.
    Header,
    /// `typ` is not `at+jwt`.
    Type,
    /// `crit` is present, or `b64`; no extension is understood here.
    Critical,
    /// `kid` is missing.
    KeyIdMissing,
    /// No key of this `kid` is known: the key set may have to be fetched again.
    UnknownKey,
    /// `alg` is not the algorithm of the key.
    Algorithm,
    /// The signature is not the key's.
    Signature,
    /// The claims are not a JSON object of members of the right kind, each at most once.
    Claims,
    /// One of `iss`, `aud`, `sub`, `client_id`, `jti`, `iat` and `exp` is missing.
    ClaimMissing,
    /// `iss` is another issuer.
    Issuer,
    /// `aud` names none of this service's audiences.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` has not come yet.
    NotYetValid,
    /// `exp` is further from `iat` than [`crate::jwt::Expected::ttl_max`], or before it.
    Lifetime,
}

impl TokenError {
    /// Every kind, for tables of counters.
    pub const ALL: [TokenError; 16] = [
        TokenError::TooLong,
        TokenError::Malformed,
        TokenError::Header,
        TokenError::Type,
        TokenError::Critical,
        TokenError::KeyIdMissing,
        TokenError::UnknownKey,
        TokenError::Algorithm,
        TokenError::Signature,
        TokenError::Claims,
        TokenError::ClaimMissing,
        TokenError::Issuer,
        TokenError::Audience,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::Lifetime,
    ];

    /// The code for metrics and logs, such as `expired`.
    pub const fn reason(self) -> &'static str {
        match self {
            TokenError::TooLong => "too_long",
            TokenError::Malformed => "malformed",
            TokenError::Header => "header",
            TokenError::Type => "type",
            TokenError::Critical => "critical",
            TokenError::KeyIdMissing => "key_id_missing",
            TokenError::UnknownKey => "unknown_key",
            TokenError::Algorithm => "algorithm",
            TokenError::Signature => "signature",
            TokenError::Claims => "claims",
            TokenError::ClaimMissing => "claim_missing",
            TokenError::Issuer => "issuer",
            TokenError::Audience => "audience",
            TokenError::Expired => "expired",
            TokenError::NotYetValid => "not_yet_valid",
            TokenError::Lifetime => "lifetime",
        }
    }

    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenError::TooLong => "the token is longer than this service accepts",
            TokenError::Malformed => "the token is not three segments of unpadded base64url",
            TokenError::Header => "the token's header is not what an access token has",
            TokenError::Type => "the token's typ is not at+jwt",
            TokenError::Critical => "the token demands an extension that is not supported",
            TokenError::KeyIdMissing => "the token does not name its key; kid is required",
            TokenError::UnknownKey => "the token was signed with a key that is not known here",
            TokenError::Algorithm => "the token's alg is not the algorithm of its key",
            TokenError::Signature => "the token's signature is not valid",
            TokenError::Claims => "the token's claims are not what an access token has",
            TokenError::ClaimMissing => "the token lacks a claim that an access token must have",
            TokenError::Issuer => "the token comes from another issuer",
            TokenError::Audience => "the token is meant for another service",
            TokenError::Expired => "the token has expired",
            TokenError::NotYetValid => "the token is not valid yet; compare the clocks",
            TokenError::Lifetime => "the token is valid for longer than this service accepts",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_words() {
        for (at, error) in TokenError::ALL.into_iter().enumerate() {
            let code = error.reason();
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!(TokenError::ALL[..at].iter().all(|other| other.reason() != code), "{code}");
        }
    }
}
