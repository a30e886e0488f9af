//! The keys that tokens are verified with: fetched from a JWK set, or the process's own, published
//! to every core as a ready verifier.
//!
//! It owns when keys are renewed. It refuses to drop the keys it has because a fetch failed: they
//! stay until a set that can be read replaces them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use authn::{Expected, KeySet, Verifier};

use crate::config::error::{RefreshError, ServeError};
use crate::refresh::refresher::Refresher;
use crate::refresh::watched::Watched;

/// How long a fetched set is used before it is fetched again, so that a key that its issuer took
/// back stops being accepted.
const REFRESH: Duration = Duration::from_secs(300);

/// The verification keys of a process.
#[derive(Debug)]
pub struct KeyRing {
    verifier: Arc<Watched<Verifier>>,
    refresher: Option<Refresher>,
    needed: bool,
    /// When the set was last fetched, changed or not.
    fetched: Arc<Mutex<Option<Instant>>>,
}

impl KeyRing {
    /// No keys: no token is looked at.
    #[must_use]
    pub fn unused() -> KeyRing {
        KeyRing {
            verifier: Arc::default(),
            refresher: None,
            needed: false,
            fetched: Arc::default(),
        }
    }

    /// Keys that do not change: those the process signs with itself.
    #[must_use]
    pub fn own(verifier: Verifier) -> KeyRing {
        let published = Watched::default();
        published.publish(Arc::new(verifier));
        KeyRing { verifier: Arc::new(published), needed: true, ..KeyRing::unused() }
    }

    /// Keys kept fresh by `fetch`, which reads a JWK set. They arrive later; `/readyz` reports
    /// when.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn keep(
        expected: Expected,
        mut fetch: impl FnMut() -> Result<Vec<u8>, RefreshError> + Send + 'static,
    ) -> Result<KeyRing, ServeError> {
        let verifier = Arc::new(Watched::default());
        let published = Arc::clone(&verifier);
        let mut known: Option<Vec<u8>> = None;
        let mut ignored: Option<String> = None;
        let fetched = Arc::default();
        let own_fetched: Arc<Mutex<Option<Instant>>> = Arc::clone(&fetched);
        let attempt = move || {
            let bytes = fetch()?;
            if known.as_ref() != Some(&bytes) {
                let keys = KeySet::parse(&bytes)
                    .map_err(|error| RefreshError::of("the JWK set cannot be used: ", error))?;
                // News only: a set may be written anew for each fetch without a change.
                if keys.ignored() != ignored.as_deref() {
                    ignored = keys.ignored().map(str::to_owned);
                    if let Some(ignored) = &ignored {
                        tracing::warn!("the JWK set is used without some of its keys: {ignored}");
                    }
                }
                published.publish(Arc::new(expected.verifier(keys)));
                known = Some(bytes);
            }
            let now = Some(Instant::now());
            *own_fetched.lock().unwrap_or_else(PoisonError::into_inner) = now;
            Ok(REFRESH)
        };
        let refresher = Refresher::start("keys", attempt)
            .map_err(|error| ServeError::start_of("no thread to keep keys: ", error))?;
        Ok(KeyRing { verifier, refresher: Some(refresher), needed: true, fetched })
    }

    /// Where cores read the verifier.
    #[must_use]
    pub fn verifier(&self) -> Arc<Watched<Verifier>> {
        Arc::clone(&self.verifier)
    }

    /// How long ago the set was fetched; `None` for keys that are not, or not yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let fetched = *self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.map(|at| at.elapsed())
    }

    /// Asks for the set to be fetched again because a token named a key that is not in it.
    pub fn ask_refresh(&self) {
        if let Some(refresher) = &self.refresher {
            refresher.ask();
        }
    }

    /// Why no token can be verified yet; `None` when it can, or need not be.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if !self.needed || self.verifier.is_ready() {
            return None;
        }
        let fault = self.refresher.as_ref().and_then(Refresher::fault);
        Some(fault.unwrap_or_else(|| "verification keys are not loaded yet".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use authn::{Algorithm, Signer};

    use super::*;

    #[test]
    fn one_odd_key_does_not_cost_the_others() {
        let (_, signer) = Signer::generate(Algorithm::Es256).expect("randomness");
        let good = KeySet::of([&signer]).expect("a key").to_json();
        let odd = good.replacen('[', r#"[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"},{},"#, 1);
        let expected = Expected::new("https://issuer.example", "shop");
        let keys = KeyRing::keep(expected, move || Ok(odd.clone().into_bytes())).expect("a thread");
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Some(why) = keys.missing() {
            assert!(Instant::now() < deadline, "{why}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let first = keys.age().expect("fetched");
        assert!(keys.age().expect("fetched") >= first);
        assert_eq!(KeyRing::unused().age(), None);
    }
}
