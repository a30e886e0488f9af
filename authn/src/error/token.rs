//! What can be wrong with an access token.
//!
//! Owns the kinds, their words for metrics and their sentences for clients. None holds a token or a
//! piece of one.

use std::fmt;

/// Why a token is not accepted. Its text is safe to send to the client: it reveals nothing but what
/// the client can read in its own token.
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
    /// `crit` is present; no extension is understood here.
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

    /// A word for metrics, such as `expired`.
    pub const fn label(self) -> &'static str {
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

    /// The sentence for `error_description`: printable ASCII without quote or backslash (RFC 6750
    /// section 3).
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenError::TooLong => "the token is longer than this service accepts",
            TokenError::Malformed => "the token is not three segments of unpadded base64url",
            TokenError::Header => "the token's header is not what an access token has",
            TokenError::Type => "the token's typ is not at+jwt; send an access token",
            TokenError::Critical => "the token demands an extension that is not supported",
            TokenError::KeyIdMissing => "the token does not name its key; kid is required",
            TokenError::UnknownKey => "the token was signed with a key that is not known here",
            TokenError::Algorithm => "the token's alg is not the algorithm of its key",
            TokenError::Signature => "the token's signature is not valid",
            TokenError::Claims => "the token's claims are not what an access token has",
            TokenError::ClaimMissing => "the token lacks a claim that an access token must have",
            TokenError::Issuer => "the token comes from another issuer",
            TokenError::Audience => "the token is meant for another service",
            TokenError::Expired => "the token has expired; ask for a new one",
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
    fn descriptions_fit_a_quoted_string() {
        for error in TokenError::ALL {
            assert!(
                error.as_str().bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\')
            );
        }
    }
}
