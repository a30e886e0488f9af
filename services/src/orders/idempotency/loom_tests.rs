//! Keys under the model checker: the claim of a key, its response and its end, by two threads.

use authn::Prf;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::orders::id::{Ids, SlotUse};

/// How long a key is remembered.
const TTL: Duration = Duration::from_secs(600);

const OWNER: OwnerKey = OwnerKey::from_bits(1);

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

fn order() -> OrderId {
    Ids::new(1, Prf::with_key([1, 2])).id(OWNER, SlotUse { shard: 0, slot: 0, attempt: 1 })
}

fn begin(keys: &Idempotency, keep: bool, now: Instant) -> &'static str {
    let key = IdempotencyKey::parse(b"k").expect("good");
    match keys.begin(OWNER, key, b"body", now) {
        Begun::New(claim) if keep => {
            claim.keep(order(), now);
            "kept"
        }
        Begun::New(_) => "dropped",
        Begun::Repeat(_) => "repeat",
        Begun::InProgress => "in progress",
        Begun::Mismatch => "mismatch",
        Begun::Busy => "busy",
    }
}

#[test]
fn loom_one_of_two_duplicates_is_executed() {
    let now = Instant::now();
    model(move || {
        let keys = Arc::new(Idempotency::new(4, TTL));
        let other = Arc::clone(&keys);
        let thread = thread::spawn(move || begin(&other, true, now));
        let here = begin(&keys, true, now);
        let there = thread.join().expect("no panic");
        assert!((here == "kept") ^ (there == "kept"), "{here} {there}");
        assert!(matches!(here, "kept" | "repeat" | "in progress"), "{here}");
        assert!(matches!(there, "kept" | "repeat" | "in progress"), "{there}");
        assert_eq!(begin(&keys, true, now), "repeat");
    });
}

#[test]
fn loom_a_rejection_leaves_no_key() {
    let now = Instant::now();
    model(move || {
        let keys = Arc::new(Idempotency::new(4, TTL));
        let other = Arc::clone(&keys);
        let thread = thread::spawn(move || begin(&other, false, now));
        let here = begin(&keys, false, now);
        let there = thread.join().expect("no panic");
        assert!(here == "dropped" || there == "dropped", "{here} {there}");
        assert!(keys.is_empty());
        assert_eq!(begin(&keys, true, now), "kept");
    });
}
