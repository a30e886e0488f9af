//! Keys of one thread and of several, and against a model that keeps a plain list.

use authn::Prf;
use proptest::prelude::*;

use super::*;
use crate::orders::id::{Ids, SlotUse};

/// How long a key is remembered.
const TTL: Duration = Duration::from_secs(600);

const A: OwnerKey = OwnerKey::from_bits(1);
const B: OwnerKey = OwnerKey::from_bits(2);

fn key(text: &str) -> IdempotencyKey<'_> {
    IdempotencyKey::parse(text.as_bytes()).expect("a good key")
}

fn order(attempt: u64) -> OrderId {
    Ids::new(1, Prf::with_key([1, 2])).id(A, SlotUse { shard: 0, slot: 0, attempt })
}

/// Claims a key and keeps an order under it; whether it was new.
fn keep(keys: &Idempotency, owner: OwnerKey, text: &str, now: Instant) -> bool {
    match keys.begin(owner, key(text), b"body", now) {
        Begun::New(claim) => {
            claim.keep(order(1), now);
            true
        }
        Begun::Repeat(_) => false,
        _ => panic!("{text} is neither new nor a repeat"),
    }
}

fn is_remembered(keys: &Idempotency, owner: OwnerKey, text: &str, now: Instant) -> bool {
    !matches!(keys.begin(owner, key(text), b"body", now), Begun::New(_))
}

#[test]
fn a_retry_gets_the_first_response_and_another_body_is_rejected() {
    let (keys, now) = (Idempotency::new(8, TTL), Instant::now());
    let id = order(1);
    let Begun::New(claim) = keys.begin(A, key("k"), b"body", now) else { panic!("new") };
    assert!(matches!(keys.begin(A, key("k"), b"body", now), Begun::InProgress));
    assert!(matches!(keys.begin(A, key("k"), b"other", now), Begun::Mismatch));
    claim.keep(id, now);
    assert!(matches!(keys.begin(A, key("k"), b"body", now), Begun::Repeat(first) if first == id));
    assert!(matches!(keys.begin(A, key("k"), b"other", now), Begun::Mismatch));
    assert!(matches!(keys.begin(B, key("k"), b"body", now), Begun::New(_)), "another owner's");
    assert!(matches!(keys.begin(A, key("K"), b"body", now), Begun::New(_)), "another key");
}

#[test]
fn rejections_leave_no_key_and_evict_nothing() {
    let (keys, now) = (Idempotency::new(8, TTL), Instant::now());
    assert!(keep(&keys, A, "first", now) && keep(&keys, B, "first", now));
    for n in 0..10_000 {
        let text = (n % 3 * n).to_string();
        for owner in [A, B] {
            assert!(matches!(keys.begin(owner, key(&text), b"body", now), Begun::New(_)));
        }
        assert_eq!(keys.len(), 2, "after {n} refusals");
    }
    assert!(is_remembered(&keys, A, "first", now) && is_remembered(&keys, B, "first", now));
}

#[test]
fn an_owner_beyond_its_share_evicts_its_own_oldest() {
    let (keys, now) = (Idempotency::new(12, TTL), Instant::now());
    assert!(keep(&keys, B, "b", now));
    for n in 0..100 {
        assert!(keep(&keys, A, &n.to_string(), now));
        for earlier in 0..=n {
            let kept = is_remembered(&keys, A, &earlier.to_string(), now);
            assert_eq!(kept, earlier + 3 > n, "{earlier} after {n}");
        }
    }
    assert!(is_remembered(&keys, B, "b", now));
    assert_eq!(keys.len(), 4);
}

#[test]
fn keys_in_flight_are_never_evicted() {
    let (keys, now) = (Idempotency::new(8, TTL), Instant::now());
    let Begun::New(claim) = keys.begin(A, key("slow"), b"body", now) else { panic!("new") };
    let later = now + TTL * 3;
    for (n, at) in (0..1000).zip([now, later].into_iter().cycle()) {
        assert!(keep(&keys, A, &n.to_string(), at));
        assert!(matches!(keys.begin(A, key("slow"), b"body", at), Begun::InProgress));
    }
    claim.keep(order(7), later);
    assert!(matches!(keys.begin(A, key("slow"), b"body", later), Begun::Repeat(_)));
}

#[test]
fn a_key_expires_after_its_time_to_live() {
    let (keys, now) = (Idempotency::new(8, TTL), Instant::now());
    assert!(keep(&keys, A, "k", now));
    let just = now + TTL - Duration::from_millis(1);
    assert!(!keep(&keys, A, "k", just), "a repeat does not prolong it");
    assert!(keep(&keys, A, "k", now + TTL));
    // An owner that is gone leaves nothing behind once there is need of the room.
    let small = Idempotency::new(4, TTL);
    for owner in 0..4 {
        assert!(keep(&small, OwnerKey::from_bits(owner), "k", now));
    }
    let fifth = small.begin(OwnerKey::from_bits(9), key("k"), b"body", just);
    assert!(matches!(fifth, Begun::Busy), "all are taken, and none is given up for another");
    assert!(keep(&small, OwnerKey::from_bits(9), "k", just + SWEEP_INTERVAL));
    assert_eq!(small.len(), 1);
}

#[test]
fn keys_are_visible_and_bounded() {
    for good in [&b"a"[..], b"!~", &[b'x'; 255]] {
        assert!(IdempotencyKey::parse(good).is_some());
    }
    for bad in [&b""[..], b"a b", b"\x7f", b"\xc3\xa4", &[b'x'; 256]] {
        assert!(IdempotencyKey::parse(bad).is_none());
    }
}

#[test]
fn one_of_concurrent_duplicates_is_executed() {
    let (keys, now) = (Idempotency::new(1 << 14, TTL), Instant::now());
    for round in 0..1000 {
        let text = round.to_string();
        let created: usize = std::thread::scope(|scope| {
            let run = || match keys.begin(A, key(&text), b"body", now) {
                Begun::New(claim) => {
                    claim.keep(order(round), now);
                    1
                }
                _ => 0,
            };
            let threads = [scope.spawn(run), scope.spawn(run)];
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(created, 1);
    }
}

/// What a key is, in a list in the order in which keys finished. Everything is looked for.
struct Remembered {
    owner: u64,
    key: u8,
    body: u8,
    finished: Option<(OrderId, Instant)>,
}

/// The rules as sentences: they are what the store is checked against.
struct Model {
    keys: Vec<Remembered>,
    keys_max: usize,
}

impl Model {
    fn share_max(&self) -> usize {
        self.keys_max / 4
    }

    fn finished(&self, owner: u64) -> impl Iterator<Item = usize> {
        let mine = move |key: &Remembered| key.owner == owner && key.finished.is_some();
        let places = self.keys.iter().enumerate().filter(move |(_, key)| mine(key));
        places.map(|(at, _)| at)
    }

    fn expire(&mut self, now: Instant) {
        self.keys.retain(|key| key.finished.is_none_or(|(_, at)| now.duration_since(at) < TTL));
    }

    /// What `begin` must say; a new key is in flight then.
    fn begin(&mut self, owner: u64, key: u8, body: u8, now: Instant) -> String {
        self.expire(now);
        if let Some(first) = self.keys.iter().find(|k| k.owner == owner && k.key == key) {
            return match first.finished {
                _ if first.body != body => "mismatch".into(),
                Some((order, _)) => format!("repeat {order:?}"),
                None => "in progress".into(),
            };
        }
        let mine = |k: &&Remembered| k.owner == owner && k.finished.is_none();
        let in_flight = self.keys.iter().filter(mine).count();
        let full = self.keys.len() >= self.keys_max && self.finished(owner).next().is_none();
        if in_flight >= self.share_max() || full {
            return "busy".into();
        }
        self.keys.push(Remembered { owner, key, body, finished: None });
        "new".into()
    }

    fn end(&mut self, owner: u64, key: u8, finished: Option<(OrderId, Instant)>) {
        let held = |k: &Remembered| k.owner == owner && k.key == key;
        let at = self.keys.iter().position(held).expect("in flight");
        let mut key = self.keys.remove(at);
        let Some((_, now)) = finished else { return };
        key.finished = finished;
        self.keys.push(key);
        self.expire(now);
        let mine: Vec<usize> = self.finished(owner).collect();
        let full = self.keys.len() > self.keys_max && mine.len() > 1;
        if mine.len() > self.share_max() || full {
            self.keys.remove(mine[0]);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Begin { owner: u64, key: u8, body: u8 },
    Keep(prop::sample::Index),
    Refuse(prop::sample::Index),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begin = (0..5_u64, 0..8_u8, 0..10_u8);
    let step = prop_oneof![
        6 => begin.prop_map(|(owner, key, b)| Step::Begin { owner, key, body: b / 9 }),
        4 => any::<prop::sample::Index>().prop_map(Step::Keep),
        1 => any::<prop::sample::Index>().prop_map(Step::Refuse),
        // Whole seconds at least: so often everybody's expired keys are looked for.
        1 => (1..400_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn the_store_does_what_the_rules_say(keys_max in 4..24_usize, steps in steps()) {
        let keys = Idempotency::new(keys_max, TTL);
        let mut model = Model { keys: Vec::new(), keys_max };
        let mut claims: Vec<(u64, u8, Claim<'_>)> = Vec::new();
        let mut now = Instant::now();
        for (n, step) in (0..).zip(steps) {
            match step {
                Step::Begin { owner, key: k, body } => {
                    now += SWEEP_INTERVAL;
                    let text = k.to_string();
                    let begun = keys.begin(OwnerKey::from_bits(owner), key(&text), &[body], now);
                    let said = match begun {
                        Begun::New(claim) => {
                            claims.push((owner, k, claim));
                            "new".to_string()
                        }
                        Begun::Repeat(order) => format!("repeat {order:?}"),
                        Begun::Mismatch => "mismatch".into(),
                        Begun::InProgress => "in progress".into(),
                        Begun::Busy => "busy".into(),
                    };
                    prop_assert_eq!(said, model.begin(owner, k, body, now));
                }
                Step::Keep(which) if !claims.is_empty() => {
                    now += SWEEP_INTERVAL;
                    let (owner, k, claim) = claims.remove(which.index(claims.len()));
                    claim.keep(order(n), now);
                    model.end(owner, k, Some((order(n), now)));
                }
                Step::Refuse(which) if !claims.is_empty() => {
                    let (owner, k, claim) = claims.remove(which.index(claims.len()));
                    drop(claim);
                    model.end(owner, k, None);
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Keep(_) | Step::Refuse(_) => {}
            }
        }
        drop(claims);
        // With everything expired nothing is left of anybody who comes back.
        for owner in 0..5 {
            let begun = keys.begin(OwnerKey::from_bits(owner), key("x"), b"", now + TTL);
            prop_assert!(matches!(begun, Begun::New(_)));
        }
        prop_assert!(keys.is_empty());
    }
}
