//! The cache of verified tokens against a model: whatever it still has is exactly what was put in,
//! and never past its end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use authn::cache::random_key;
use authn::{Access, Algorithm, ScopeSet, TokenCache};
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
