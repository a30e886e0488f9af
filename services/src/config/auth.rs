//! The settings of the authorization server beside the common part: how tokens are signed, and for
//! how long they are valid.

use std::ops::RangeInclusive;
use std::time::Duration;

use authn::Algorithm;

use crate::config::error::ServeError;

/// How long a token may be valid.
const TOKEN_TTL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Settings of the authorization server.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Which algorithm signs tokens.
    pub token_alg: Algorithm,
    /// How long a token is valid where the list of clients does not say it; whole seconds count.
    pub token_ttl: Duration,
}

impl AuthConfig {
    /// Default for [`AuthConfig::token_ttl`]: a stolen token is of use for this long.
    pub const TOKEN_TTL: Duration = Duration::from_secs(900);

    pub(super) fn check(&self) -> Result<(), ServeError> {
        if !TOKEN_TTL_RANGE.contains(&self.token_ttl) {
            return Err(ServeError::config(
                "a token's time to live must be between 1 second and 86400 (a day)",
            ));
        }
        Ok(())
    }
}

impl Default for AuthConfig {
    fn default() -> AuthConfig {
        AuthConfig { token_alg: Algorithm::Es256, token_ttl: AuthConfig::TOKEN_TTL }
    }
}
