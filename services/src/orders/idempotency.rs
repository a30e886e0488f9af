//! `Idempotency-Key`: a request that is repeated with its key is one order.
//!
//! Owns which keys are in work and which have their answer. It refuses to keep answers of any other
//! kind than "this order was created": a refusal (400, 409, 422) and a failure (5xx) give the key
//! free, so that the same request may be tried again and may then succeed.
//!
//! ```text
//! (new) -> CLAIMED -> KEPT (the order's id)      other body: mismatch; same body: the first answer
//!                  -> FREE (the claim was dropped: refused, failed, or the request broken off)
//! ```
//!
//! A key belongs to its client. The newest `keys_retained` are remembered (`OnceMap`); an older
//! key is new again. Keys and bodies are remembered as 128 bits of two keyed hashes, seeded
//! anew at each start: nobody outside can make two of them meet.

use std::hash::BuildHasher;

use crate::{
    once_map::{OnceMap, Tag},
    orders::id::OrderId,
    sync::RandomState,
};

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Keys remembered, by default.
pub const KEYS_RETAINED: usize = 100_000;

const KEPT: Tag = Tag::decided(0);

/// A key: 1 to 255 visible ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey<'a>(&'a [u8]);

/// The keys of all clients. Shared by all cores.
pub struct Idempotency {
    keys: OnceMap,
    seeds: [RandomState; 2],
}

/// What to do with a request that carries a key.
pub enum Begun<'a> {
    /// The first of its key: do it, and say how it went.
    New(Claim<'a>),
    /// It was done: this is its order.
    Repeat(OrderId),
    /// The key was used for another body.
    Mismatch,
    /// The first of this key is being done at this moment.
    InProgress,
    /// Too many keys are in work at this moment to remember one more.
    Busy,
}

/// A key in work. Dropped without [`Claim::keep`], it gives the key free.
#[must_use = "a dropped claim gives the key free"]
pub struct Claim<'a> {
    keys: &'a OnceMap,
    ticket: u64,
}

impl<'a> IdempotencyKey<'a> {
    /// Checks length and characters.
    pub fn parse(bytes: &'a [u8]) -> Option<IdempotencyKey<'a>> {
        let fits = (1..=KEY_BYTES_MAX).contains(&bytes.len());
        (fits && bytes.iter().all(u8::is_ascii_graphic)).then_some(IdempotencyKey(bytes))
    }
}

impl Idempotency {
    /// Remembers the newest `keys_retained` keys.
    pub fn new(keys_retained: usize) -> Idempotency {
        Idempotency {
            keys: OnceMap::new(keys_retained),
            seeds: [RandomState::default(), RandomState::default()],
        }
    }

    /// Looks up a client's key, and claims it if it is new.
    pub fn begin(&self, client: &str, key: IdempotencyKey<'_>, body: &[u8]) -> Begun<'_> {
        let [low, high] = self.hash(&(client, key.0));
        let key = u128::from(high) << 64 | u128::from(low);
        let body = self.hash(&body);
        let vacant = match self.keys.find(key) {
            Ok(first) => return repeat(first.tag, first.payload, body),
            Err(vacant) => vacant,
        };
        // Forgotten keys leave nothing to tidy.
        let Some(ticket) = self.keys.take(|_, _| ()) else {
            return Begun::Busy;
        };
        self.keys.write_payload(ticket, 0, body[0]);
        self.keys.write_payload(ticket, 1, body[1]);
        match self.keys.link(ticket, vacant, Tag::CLAIMED) {
            Ok(()) => Begun::New(Claim { keys: &self.keys, ticket }),
            Err(first) => repeat(first.tag, first.payload, body),
        }
    }

    fn hash<T: std::hash::Hash>(&self, value: &T) -> [u64; 2] {
        self.seeds.each_ref().map(|seed| seed.hash_one(value))
    }
}

fn repeat<'a>(tag: Tag, payload: [u64; 4], body: [u64; 2]) -> Begun<'a> {
    let [low, high, order @ ..] = payload;
    if [low, high] != body {
        return Begun::Mismatch;
    }
    if tag == KEPT { Begun::Repeat(OrderId::from_words(order)) } else { Begun::InProgress }
}

impl Claim<'_> {
    /// The order was created: this is the answer to every repeat from now on.
    pub fn keep(self, order: OrderId) {
        let [low, high] = order.words();
        self.keys.write_payload(self.ticket, 2, low);
        self.keys.write_payload(self.ticket, 3, high);
        self.keys.store(self.ticket, KEPT);
        // The key has its answer: dropping must not give it free.
        std::mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.keys.store(self.ticket, Tag::FREE);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::orders::id::{InstanceTag, Spot};

    fn key(text: &str) -> IdempotencyKey<'_> {
        IdempotencyKey::parse(text.as_bytes()).expect("a good key")
    }

    fn order(sequence: u64) -> OrderId {
        OrderId::new(InstanceTag::random(), Spot { shard: 0, slot: 0, attempt: sequence })
    }

    #[test]
    fn a_repeat_gets_the_first_answer_and_another_body_none() {
        let keys = Idempotency::new(8);
        let id = order(1);
        let Begun::New(claim) = keys.begin("a", key("k"), b"body") else { panic!("new") };
        assert!(matches!(keys.begin("a", key("k"), b"body"), Begun::InProgress));
        assert!(matches!(keys.begin("a", key("k"), b"other"), Begun::Mismatch));
        claim.keep(id);
        assert!(matches!(keys.begin("a", key("k"), b"body"), Begun::Repeat(first) if first == id));
        assert!(matches!(keys.begin("a", key("k"), b"other"), Begun::Mismatch));
        assert!(matches!(keys.begin("b", key("k"), b"body"), Begun::New(_)), "another client's");
        assert!(matches!(keys.begin("a", key("K"), b"body"), Begun::New(_)), "another key");
    }

    #[test]
    fn a_claim_that_is_dropped_gives_the_key_free() {
        let keys = Idempotency::new(2);
        for _ in 0..10 {
            assert!(matches!(keys.begin("a", key("k"), b"body"), Begun::New(_)));
        }
        assert!(matches!(keys.begin("a", key("k"), b"other"), Begun::New(_)));
    }

    #[test]
    fn the_newest_keys_are_remembered_and_those_in_work_are_not_overrun() {
        let keys = Idempotency::new(2);
        let Begun::New(first) = keys.begin("a", key("1"), b"") else { panic!("new") };
        for n in 2..9 {
            let text = n.to_string();
            let Begun::New(claim) = keys.begin("a", key(&text), b"") else { panic!("new") };
            claim.keep(order(n));
        }
        let Begun::New(second) = keys.begin("a", key("9"), b"") else { panic!("new") };
        assert!(matches!(keys.begin("a", key("10"), b""), Begun::Busy));
        first.keep(order(1));
        drop(second);
        assert!(matches!(keys.begin("a", key("8"), b""), Begun::New(_)), "forgotten");
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
    fn of_concurrent_duplicates_one_is_done() {
        let keys = Idempotency::new(1 << 12);
        for round in 0..1000 {
            let text = round.to_string();
            let created: usize = std::thread::scope(|scope| {
                let run = || match keys.begin("a", key(&text), b"body") {
                    Begun::New(claim) => {
                        claim.keep(order(round));
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
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::{model::Builder, sync::Arc, thread};

    use super::*;
    use crate::orders::id::{InstanceTag, Spot};

    fn begin(keys: &Idempotency, order: OrderId) -> &'static str {
        let key = IdempotencyKey::parse(b"k").expect("good");
        match keys.begin("a", key, b"body") {
            Begun::New(claim) => {
                claim.keep(order);
                "new"
            }
            Begun::Repeat(_) => "repeat",
            Begun::InProgress => "in progress",
            Begun::Mismatch => "mismatch",
            Begun::Busy => "busy",
        }
    }

    #[test]
    fn loom_of_two_duplicates_one_is_done() {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(|| {
            let keys = Arc::new(Idempotency::new(2));
            let order = OrderId::new(InstanceTag::random(), Spot { shard: 0, slot: 0, attempt: 1 });
            let other = Arc::clone(&keys);
            let thread = thread::spawn(move || begin(&other, order));
            let here = begin(&keys, order);
            let there = thread.join().expect("no panic");
            assert!((here == "new") ^ (there == "new"), "{here} {there}");
            assert!(matches!(here, "new" | "repeat" | "in progress"), "{here}");
            assert!(matches!(there, "new" | "repeat" | "in progress"), "{there}");
            let key = IdempotencyKey::parse(b"k").expect("good");
            assert!(matches!(keys.begin("a", key, b"body"), Begun::Repeat(id) if id == order));
        });
    }
}
