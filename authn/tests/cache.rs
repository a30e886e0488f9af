//! The cache of verified tokens against a model: whatever it still has is exactly what was put in,
//! and never past its end; and against the verifier, whatever the clock and the keys do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use authn::cache::random_key;
use authn::error::TokenError;
use authn::{
    Access, Algorithm, Expected, KeySet, NewClaims, ScopeSet, Signer, TokenCache, Verifier,
};
use proptest::prelude::*;
use rustls::pki_types::UnixTime;

fn access(client_id: &str, expires_at: u64) -> Arc<Access> {
    valid(client_id, 0, expires_at)
}

fn valid(client_id: &str, begins_at: u64, expires_at: u64) -> Arc<Access> {
    Arc::new(Access {
        client_id: client_id.into(),
        subject: client_id.into(),
        token_id: client_id.into(),
        scopes: ScopeSet::EMPTY,
        begins_at,
        expires_at,
        algorithm: Algorithm::Es256,
        key_id: "k".into(),
    })
}

fn cache(capacity: usize) -> TokenCache {
    TokenCache::new(capacity, random_key().unwrap())
}

fn second(second: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(second))
}

#[test]
fn a_hit_shares_what_was_put_in() {
    let mut cache = cache(64);
    let put = access("a", 100);
    cache.insert(b"token", Arc::clone(&put));
    assert!(Arc::ptr_eq(&cache.get(b"token", second(99)).unwrap(), &put));
    assert!(cache.get(b"toke", second(99)).is_none());
    assert!(cache.get(b"token\0", second(99)).is_none());
    assert!(cache.get(b"", second(99)).is_none());
    cache.clear();
    assert!(cache.get(b"token", second(99)).is_none() && cache.is_empty());
}

#[test]
fn no_token_outlives_its_expiry() {
    let mut cache = cache(64);
    cache.insert(b"token", access("a", 100));
    assert!(cache.get(b"token", second(99)).is_some());
    assert!(cache.get(b"token", second(100)).is_none());
    // It is gone, and does not come back when the clock does.
    assert!(cache.get(b"token", second(99)).is_none() && cache.is_empty());
}

#[test]
fn no_token_is_found_before_it_begins() {
    let mut cache = cache(64);
    for now_s in [49, 0] {
        cache.insert(b"token", valid("a", 50, 100));
        assert!(cache.get(b"token", second(50)).is_some());
        assert!(cache.get(b"token", second(now_s)).is_none());
        // It is gone: only the verifier brings it back.
        assert!(cache.get(b"token", second(50)).is_none() && cache.is_empty());
    }
}

#[test]
fn every_byte_of_the_token_counts() {
    let token: Vec<u8> = (0..=255).cycle().take(700).collect();
    let mut cache = cache(1);
    cache.insert(&token, access("a", 100));
    for at in 0..token.len() {
        let mut other = token.clone();
        other[at] ^= 1;
        assert!(cache.get(&other, second(0)).is_none(), "{at}");
        assert!(cache.get(&token[..at], second(0)).is_none(), "{at}");
    }
    assert!(cache.get(&token, second(0)).is_some());
}

#[test]
fn room_is_bounded_and_the_least_recently_used_goes() {
    for (asked, had) in [(0, 0), (1, 1), (7, 7), (8, 8), (9, 8), (64, 64), (1000, 1000)] {
        let mut cache = cache(asked);
        assert_eq!(cache.capacity(), had);
        for at in 0..4 * asked.max(1) {
            cache.insert(at.to_string().as_bytes(), access("a", 100));
        }
        assert!(cache.len() <= had);
    }
    let mut cache = cache(8);
    for at in 0..8u8 {
        cache.insert(&[at], access("a", 100));
    }
    assert!(cache.get(&[0], second(0)).is_some());
    cache.insert(&[8], access("a", 100));
    assert!(cache.get(&[0], second(0)).is_some() && cache.get(&[8], second(0)).is_some());
    assert!(cache.get(&[1], second(0)).is_none());
}

#[test]
fn tokens_spread_over_the_sets() {
    let mut cache = cache(1024);
    for at in 0..512 {
        cache.insert(format!("{at:0300}").as_bytes(), access("a", 100));
    }
    let kept = (0..512)
        .filter(|at| cache.get(format!("{at:0300}").as_bytes(), second(0)).is_some())
        .count();
    // 512 in 128 sets of eight: some 11 are expected to find their set full.
    assert!(kept > 470, "{kept}");
}

#[test]
fn tokens_too_long_to_verify_are_not_kept() {
    let mut cache = cache(8);
    cache.insert(&vec![b'a'; authn::jwt::TOKEN_BYTES_MAX + 1], access("a", 100));
    assert!(cache.is_empty());
}

proptest! {
    #[test]
    fn it_never_says_what_was_not_put_in(
        key: [u64; 2],
        capacity in 0usize..40,
        steps in prop::collection::vec((0u8..60, 0u64..20, 0u64..20, 0u8..10), 0..300),
    ) {
        let mut cache = TokenCache::new(capacity, key);
        let mut model: HashMap<Vec<u8>, (String, u64)> = HashMap::new();
        for (name, now_s, expires_at, action) in steps {
            let token = vec![name; usize::from(name)];
            match action {
                0 => {
                    cache.clear();
                    model.clear();
                }
                1..=4 => {
                    let client_id = format!("{name}-{expires_at}");
                    cache.insert(&token, access(&client_id, expires_at));
                    model.insert(token, (client_id, expires_at));
                }
                _ => {
                    if let Some(found) = cache.get(&token, second(now_s)) {
                        let (client_id, expires_at) = &model[&token];
                        prop_assert_eq!(&*found.client_id, client_id.as_str());
                        prop_assert!(now_s < *expires_at);
                    }
                }
            }
            prop_assert!(cache.len() <= capacity);
        }
    }
}

/// Seconds of a token's life at most in [`Core`], and the skew of clocks that it forgives.
const TTL_MAX_S: u64 = 20;
const LEEWAY_S: u64 = 3;

/// What one core of a service does with tokens: the cache before the verifier, and a cleared cache
/// after a change of what the verifier knows.
struct Core {
    cache: TokenCache,
    verifier: Verifier,
    signers: [Signer; 2],
}

/// What happens to it. A revocation list is one more thing that the verifier knows: its event
/// belongs here, and the property stands as it is.
#[derive(Debug, Clone)]
enum Event {
    /// A token is presented: the key that signed it, its begin and its end.
    Presented(usize, u64, u64),
    /// The clock shows this second, which may be an earlier one.
    Clock(u64),
    /// The keys that are trusted from now on.
    Keys([bool; 2]),
}

impl Core {
    fn new() -> Core {
        let signers = [(); 2].map(|()| Signer::generate(Algorithm::EdDsa).unwrap().1);
        Core { cache: cache(8), verifier: Core::verifier(&signers, [true; 2]), signers }
    }

    /// A verifier with those keys; with neither, one with a key that signed nothing.
    fn verifier(signers: &[Signer; 2], trusted: [bool; 2]) -> Verifier {
        let (_, other) = Signer::generate(Algorithm::EdDsa).unwrap();
        let trusted = signers.iter().zip(trusted).filter(|(_, trusted)| *trusted);
        let keys = KeySet::of(trusted.map(|(signer, _)| signer).chain([&other])).unwrap();
        let (leeway, ttl_max) = (Duration::from_secs(LEEWAY_S), Duration::from_secs(TTL_MAX_S));
        Expected { leeway, ttl_max, ..Expected::new("issuer", "audience") }.verifier(keys)
    }

    fn trust(&mut self, trusted: [bool; 2]) {
        self.verifier = Core::verifier(&self.signers, trusted);
        self.cache.clear();
    }

    fn token(&self, key: usize, issued_at: u64, expires_at: u64) -> String {
        let claims = NewClaims {
            issuer: "issuer",
            audience: "audience",
            subject: "subject",
            client_id: "client",
            scopes: ScopeSet::EMPTY,
            issued_at,
            expires_at,
            token_id: "id",
        };
        self.signers[key].sign(&claims).unwrap()
    }

    /// What the token says, and whether the cache said so.
    fn present(&mut self, token: &str, now: UnixTime) -> Result<(Arc<Access>, bool), TokenError> {
        if let Some(access) = self.cache.get(token.as_bytes(), now) {
            return Ok((access, true));
        }
        let access = Arc::new(self.verifier.verify(token.as_bytes(), now)?);
        self.cache.insert(token.as_bytes(), Arc::clone(&access));
        Ok((access, false))
    }
}

fn event() -> impl Strategy<Value = Event> {
    let presented = (0usize..2, 100u64..140, 0u64..25);
    prop_oneof![
        6 => presented.prop_map(|(key, from, ttl)| Event::Presented(key, from, from + ttl)),
        4 => (90u64..170).prop_map(Event::Clock),
        1 => any::<[bool; 2]>().prop_map(Event::Keys),
    ]
}

#[test]
fn a_clock_that_is_set_back_and_a_removed_key_end_a_cached_token() {
    let mut core = Core::new();
    let token = core.token(0, 100, 110);
    let hit = |core: &mut Core, now_s| core.present(&token, second(now_s)).map(|(_, hit)| hit);
    assert_eq!(hit(&mut core, 105), Ok(false));
    assert_eq!(hit(&mut core, 109), Ok(true));
    assert_eq!(hit(&mut core, 50), Err(TokenError::NotYetValid));
    assert_eq!(hit(&mut core, 100), Ok(false));
    assert_eq!(hit(&mut core, 100), Ok(true));
    // Within the leeway it is accepted, and verified each time.
    for now_s in [98, 98, 111, 111] {
        assert_eq!(hit(&mut core, now_s), Ok(false));
    }
    assert_eq!(hit(&mut core, 113), Err(TokenError::Expired));
    assert_eq!(hit(&mut core, 105), Ok(false));
    core.trust([false, true]);
    assert_eq!(hit(&mut core, 105), Err(TokenError::UnknownKey));
    core.trust([true, true]);
    assert_eq!(hit(&mut core, 105), Ok(false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of events: what the cache finds, the verifier would accept at that
    /// second with the keys of that moment, and no token is accepted over a longer stretch of time
    /// than a life may have, the leeway at both of its ends included.
    #[test]
    fn a_cached_token_is_one_that_the_verifier_accepts_now(
        events in prop::collection::vec(event(), 0..40),
    ) {
        let (mut core, mut now_s) = (Core::new(), 110);
        let mut accepted: HashMap<String, (u64, u64)> = HashMap::new();
        let mut presented: Vec<String> = Vec::new();
        for event in events {
            match event {
                Event::Clock(second) => now_s = second,
                Event::Keys(trusted) => core.trust(trusted),
                Event::Presented(key, begins, ends) => {
                    presented.push(core.token(key, begins, ends));
                }
            }
            // The latest tokens come with every event: clients keep theirs.
            for token in presented.iter().rev().take(8) {
                let Ok((access, hit)) = core.present(token, second(now_s)) else { continue };
                if hit {
                    prop_assert!(now_s < access.expires_at && now_s >= access.begins_at);
                    let judged = core.verifier.verify(token.as_bytes(), second(now_s));
                    prop_assert_eq!(judged.as_ref(), Ok(&*access));
                }
                let (first, last) = accepted.entry(token.clone()).or_insert((now_s, now_s));
                (*first, *last) = ((*first).min(now_s), (*last).max(now_s));
                prop_assert!(*last - *first < TTL_MAX_S + 2 * LEEWAY_S);
            }
        }
    }
}
