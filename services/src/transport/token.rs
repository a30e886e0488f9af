//! The service's own access token: asked for with client credentials, renewed before it ends, read
//! by every core as a ready header value.
//!
//! It refuses to show the token: not in logs, not in errors, not in `Debug`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authn::ScopeSet;
use authn::grant::{RESPONSE_BYTES_MAX, TokenResponse, basic_authorization, request_form};

use crate::config::error::{RefreshError, ServeError};
use crate::config::files;
use crate::refresh::refresher::Refresher;
use crate::refresh::watched::Watched;
use crate::transport::outbound::{Caller, Outbound};

/// A token as it is sent.
pub struct OwnToken {
    authorization: Box<str>,
}

impl OwnToken {
    /// The value of `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> &[u8] {
        self.authorization.as_bytes()
    }
}

impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnToken(..)")
    }
}

/// Keeps a token of one client.
#[derive(Debug)]
pub struct TokenRefresher {
    token: Arc<Watched<OwnToken>>,
    refresher: Refresher,
}

impl TokenRefresher {
    /// Starts to keep a token of `client`, whose secret is read from `secret_path` at each try: at
    /// the first start of a stack the authorization server is still about to make it.
    ///
    /// # Errors
    /// When the address is not one, no thread can be had, or the secret is there already and others
    /// may use it.
    pub fn start(
        client: &'static str,
        scopes: ScopeSet,
        secret_path: PathBuf,
        auth_base: &str,
        outbound: &Outbound,
    ) -> Result<TokenRefresher, ServeError> {
        files::read_private_if_there(&secret_path)?;
        let caller = outbound.caller(&format!("{auth_base}/oauth2/token"))?;
        let token = Arc::new(Watched::default());
        let published = Arc::clone(&token);
        let form = request_form(scopes);
        let attempt = move || {
            let secret = files::read_private(&secret_path)?;
            let secret = String::from_utf8(secret)
                .map_err(|_| RefreshError::new(format!("{} is not text", secret_path.display())))?;
            let (token, lives) = fetch(&caller, client, secret.trim(), &form)?;
            published.publish(Arc::new(token));
            Ok(renew_after(lives))
        };
        let refresher = Refresher::start("token", attempt)
            .map_err(|error| ServeError::start_of("no thread to keep a token: ", error))?;
        Ok(TokenRefresher { token, refresher })
    }

    /// Where cores read the token.
    #[must_use]
    pub fn token(&self) -> Arc<Watched<OwnToken>> {
        Arc::clone(&self.token)
    }

    /// Asks for a new token because the present one was refused.
    pub fn ask_refresh(&self) {
        self.refresher.ask();
    }

    /// Why there is no token yet; `None` once there is.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if self.token.is_ready() {
            return None;
        }
        let fault = self.refresher.fault();
        Some(fault.unwrap_or_else(|| "the service's own token is not there yet".to_string()))
    }
}

/// A token is renewed at least once in so long, however long its issuer says it lives: a time that
/// no clock can count to must not end the keeping thread.
const RENEWED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// When to renew: at four fifths of its life, so that a few failures in a row do no harm.
fn renew_after(lives: Duration) -> Duration {
    (lives.min(RENEWED_WITHIN) * 4 / 5).max(Duration::from_secs(1))
}

fn fetch(
    caller: &Caller,
    client: &str,
    secret: &str,
    form: &str,
) -> Result<(OwnToken, Duration), RefreshError> {
    let authorization = basic_authorization(client, secret);
    let response = caller.post_form(&authorization, form.as_bytes(), RESPONSE_BYTES_MAX)?;
    if response.status != 200 {
        return Err(RefreshError::new(format!(
            "no token for {client}: {} answered {}",
            caller.address(),
            response.status
        )));
    }
    let token = TokenResponse::parse(&response.body).map_err(|error| {
        RefreshError::of(&format!("no token for {client}: {}: ", caller.address()), error)
    })?;
    let authorization = format!("Bearer {}", *token.token).into_boxed_str();
    Ok((OwnToken { authorization }, token.ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_lifetime_gives_a_renewal_time() {
        let table = [(0, 1), (1, 1), (300, 240), (86_400, 69_120), (u64::MAX, 69_120)];
        for (lives, after) in table {
            assert_eq!(renew_after(Duration::from_secs(lives)), Duration::from_secs(after));
        }
    }
}
