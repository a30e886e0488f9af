//! Who is it that asks: the proofs of clients, judged with what all cores remember together.
//!
//! Owns the failed attempts, the assertions that were used, and the thread that stretches chosen
//! secrets. It refuses to stretch more than four secrets at a time, and to hold up a client whose
//! certificate or signature proves it: those cannot be guessed.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use authn::Identity;
use authn::grant::{
    AssertionRules, Attempt, Authenticated, BasicCredentials, ClientProof, ClientRegistry,
    FailedAttempts, OAuthError, SecretCheck, SeenAssertions, StretchedSecret,
};
use runtime::offload::Offload;
use rustls::pki_types::UnixTime;

use crate::config::error::ServeError;

/// Secrets that are stretched at a time, the one in work among them: some tenth of a second each.
const STRETCHED_MAX: usize = 4;

/// Where a request comes from, and when it arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestOrigin<'p> {
    /// The address of the connection.
    pub from: IpAddr,
    /// Whose certificate it has.
    pub identity: Option<&'p Identity>,
    /// When the request arrived.
    pub now: UnixTime,
}

/// What proofs of clients are judged with.
#[derive(Debug)]
pub(super) struct Authenticator {
    rules: AssertionRules,
    began: Instant,
    attempts: Mutex<FailedAttempts>,
    seen: Mutex<SeenAssertions>,
    /// A thread of its own: what else a process does off its cores does not wait for secrets.
    offload: Offload,
    stretching: Arc<AtomicUsize>,
}

impl Authenticator {
    /// With nothing remembered yet.
    ///
    /// # Errors
    /// When the system has no randomness or no thread.
    pub(super) fn new(rules: AssertionRules) -> Result<Authenticator, ServeError> {
        let offload = Offload::start("secrets", STRETCHED_MAX).map_err(ServeError::start)?;
        Ok(Authenticator {
            rules,
            began: Instant::now(),
            attempts: Mutex::new(FailedAttempts::new().map_err(ServeError::start)?),
            seen: Mutex::default(),
            offload,
            stretching: Arc::default(),
        })
    }

    /// Judges a proof.
    ///
    /// # Errors
    /// The refusal to respond with.
    pub(super) async fn authenticate<'r>(
        &self,
        registry: &'r ClientRegistry,
        proof: &ClientProof,
        RequestOrigin { from, identity, now }: RequestOrigin<'_>,
    ) -> Result<Authenticated<'r>, OAuthError> {
        match proof {
            ClientProof::Secret(credentials) => self.secret(registry, credentials, from).await,
            ClientProof::Certificate(id) => registry.check_certificate(id, identity),
            ClientProof::Assertion(id, jwt) => {
                let assertion = registry.check_assertion(jwt, id.as_deref(), &self.rules, now)?;
                Ok(lock(&self.seen).accept(assertion, registry, now)?)
            }
        }
    }

    async fn secret<'r>(
        &self,
        registry: &'r ClientRegistry,
        credentials: &BasicCredentials,
        from: IpAddr,
    ) -> Result<Authenticated<'r>, OAuthError> {
        let (attempt, stretched) = {
            // One lock for the whole: no two cores look at the same last attempt.
            let mut attempts = lock(&self.attempts);
            let now = self.began.elapsed();
            let attempt = attempts.begin(&credentials.id, from, now);
            let attempt = attempt.map_err(OAuthError::held_up)?;
            match registry.check_secret(credentials) {
                SecretCheck::Proved(client) => {
                    attempts.proved(attempt, now);
                    return Ok(client);
                }
                SecretCheck::Wrong => return Err(OAuthError::INVALID_CLIENT),
                SecretCheck::Stretch(stretched) => (attempt, stretched),
            }
        };
        self.stretch(attempt, stretched, credentials).await
    }

    /// Stretches a secret beside the cores. Whoever leaves before the end has made an attempt.
    async fn stretch<'r>(
        &self,
        attempt: Attempt,
        stretched: StretchedSecret<'r>,
        credentials: &BasicCredentials,
    ) -> Result<Authenticated<'r>, OAuthError> {
        let matches = match Stretching::begin(&self.stretching) {
            None => Err(OAuthError::BUSY),
            Some(stretching) => {
                let comparison = stretched.comparison(credentials);
                let job = move || {
                    let matches = comparison();
                    drop(stretching);
                    matches
                };
                self.offload.submit(job).await.map_err(|error| {
                    tracing::warn!(%error, "a secret could not be checked");
                    OAuthError::BUSY
                })
            }
        };
        let (mut attempts, now) = (lock(&self.attempts), self.began.elapsed());
        match matches.map(|matches| stretched.proved(matches)) {
            Ok(Some(client)) => {
                attempts.proved(attempt, now);
                Ok(client)
            }
            Ok(None) => Err(OAuthError::INVALID_CLIENT),
            Err(busy) => {
                attempts.withdraw(attempt, now);
                Err(busy)
            }
        }
    }
}

/// One secret that is being stretched, in the count until it is dropped.
struct Stretching(Arc<AtomicUsize>);

impl Stretching {
    /// Counts one more; `None` where there are as many as may be.
    fn begin(count: &Arc<AtomicUsize>) -> Option<Stretching> {
        // Relaxed: the number publishes no other memory.
        let one_more = |count: usize| (count < STRETCHED_MAX).then_some(count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Stretching(Arc::clone(count)))
    }
}

impl Drop for Stretching {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_secrets_are_stretched_at_a_time() {
        let count = Arc::default();
        let mut stretching: Vec<Stretching> =
            (0..4).map(|_| Stretching::begin(&count).unwrap()).collect();
        assert!(Stretching::begin(&count).is_none());
        stretching.pop();
        stretching.push(Stretching::begin(&count).unwrap());
        assert!(Stretching::begin(&count).is_none());
        stretching.clear();
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
