//! Orders of one thread and of several.

use super::*;

const OWNER: OwnerKey = OwnerKey::from_bits(5);
const READER: OrderReader = OrderReader { owner: OWNER, all: false };

fn store(retained: usize, shards: usize) -> (Arc<Orders>, Vec<Writer>) {
    Orders::new(retained, shards, Prf::with_key([1, 2]))
}

fn insert(writer: &mut Writer, n: u64, lines: usize) -> OrderId {
    let customer = format!("customer-{n}");
    let skus = vec!["SKU-1000"; lines];
    let draft =
        Draft { created_ms: n, client: "bench", customer: &customer, amount: "1", skus: &skus };
    keep(writer, &draft).expect("kept")
}

fn keep(writer: &mut Writer, draft: &Draft<'_, &str>) -> Result<OrderId, Unkept> {
    let pending = writer.begin(OWNER).expect("a slot");
    writer.keep(pending, draft)
}

fn assert_holds(orders: &Orders, id: OrderId, n: u64, lines: usize) {
    let mut buffer = Vec::new();
    let order = orders.find(id, READER, &mut buffer).expect("kept");
    assert_eq!(order.created_ms, n);
    assert_eq!(order.customer, format!("customer-{n}").as_bytes());
    assert_eq!(order.skus().count(), lines);
}

#[test]
fn exactly_the_newest_orders_are_retained() {
    for retained in [1, 2, 4, 1000, 3000] {
        let (orders, mut writers) = store(retained, 1);
        let ids: Vec<OrderId> = (0..3 * retained as u64 + 1)
            .map(|n| insert(&mut writers[0], n, n as usize % 100))
            .collect();
        let mut buffer = Vec::new();
        for (n, &id) in ids.iter().enumerate() {
            if n < ids.len() - retained {
                assert_eq!(
                    orders.find(id, READER, &mut buffer),
                    Err(Miss::Gone),
                    "{n} of {retained}"
                );
            } else {
                assert_holds(&orders, id, n as u64, n % 100);
            }
        }
    }
}

#[test]
fn the_newest_orders_of_all_shards_are_retained() {
    let (orders, mut writers) = store(100, 3);
    // One busy shard must not lose its orders to the idle ones.
    let first: Vec<OrderId> = (0..100).map(|n| insert(&mut writers[1], n, 2)).collect();
    first.iter().zip(0..).for_each(|(&id, n)| assert_holds(&orders, id, n, 2));
    let second: Vec<OrderId> = (0..60).map(|n| insert(&mut writers[2], n, 3)).collect();
    let mut buffer = Vec::new();
    for (n, &id) in first.iter().enumerate() {
        let kept = orders.find(id, READER, &mut buffer).map(|order| order.created_ms);
        assert_eq!(kept, if n < 60 { Err(Miss::Gone) } else { Ok(n as u64) });
    }
    second.iter().zip(0..).for_each(|(&id, n)| assert_holds(&orders, id, n, 3));
}

#[test]
fn an_id_that_was_never_issued_is_not_found() {
    let (orders, mut writers) = store(10, 2);
    insert(&mut writers[0], 1, 1);
    let mut buffer = Vec::new();
    let mut find = |reader, shard, slot, attempt| {
        let id = orders.ids.id(OWNER, SlotUse { shard, slot, attempt });
        orders.find(id, reader, &mut buffer).map(|_| ())
    };
    let everybody = OrderReader { owner: OwnerKey::from_bits(6), all: true };
    for reader in [READER, everybody] {
        assert_eq!(find(reader, 0, 0, 0), Ok(()));
        assert_eq!(find(reader, 0, 0, 1), Err(Miss::NotFound), "not yet");
        assert_eq!(find(reader, 0, 1, 1), Err(Miss::NotFound), "not yet");
        assert_eq!(find(reader, 1, 0, 0), Err(Miss::NotFound), "an unused shard");
        assert_eq!(find(reader, 2, 0, 0), Err(Miss::NotFound), "no such shard");
        assert_eq!(find(reader, 0, 9999, 0), Err(Miss::NotFound), "no such slot");
        let other = Ids::new(slots_max(10), Prf::with_key([1, 3]));
        let id = other.id(OWNER, SlotUse { shard: 0, slot: 0, attempt: 0 });
        let mut buffer = Vec::new();
        let miss = orders.find(id, reader, &mut buffer);
        assert_eq!(miss, Err(Miss::NotFound), "another instance");
    }
}

#[test]
fn an_order_is_readable_by_its_owner_and_by_readers_of_all() {
    let (orders, mut writers) = store(1, 1);
    let first = insert(&mut writers[0], 1, 1);
    let stranger = OwnerKey::from_bits(6);
    let find = |id, owner, all| {
        let mut buffer = Vec::new();
        orders.find(id, OrderReader { owner, all }, &mut buffer).map(|order| order.created_ms)
    };
    assert_eq!(find(first, OWNER, false), Ok(1));
    assert_eq!(find(first, stranger, true), Ok(1));
    assert_eq!(find(first, stranger, false), Err(Miss::NotFound));
    let second = insert(&mut writers[0], 2, 1);
    assert_eq!(find(first, OWNER, false), Err(Miss::Gone));
    assert_eq!(find(first, stranger, true), Err(Miss::Gone));
    assert_eq!(find(first, stranger, false), Err(Miss::NotFound), "gone, as if it never was");
    assert_eq!(find(second, OWNER, false), Ok(2));
}

#[test]
fn a_slot_that_was_used_up_is_replaced() {
    let (orders, mut writers) = store(1, 1);
    let writer = &mut writers[0];
    let last = orders.ids.attempts_max() - 1;
    writer.free.push((9000, last));
    let pending = writer.begin(OWNER).expect("a slot");
    assert_eq!((pending.spot.slot, pending.spot.attempt), (9000, last));
    writer.abandon(pending);
    let pending = writer.begin(OWNER).expect("another slot");
    assert_eq!((pending.spot.slot, pending.spot.attempt), (0, 0));
    writer.abandon(pending);
}

#[test]
fn rejected_orders_evict_nothing_and_are_not_found() {
    let (orders, mut writers) = store(2, 1);
    let writer = &mut writers[0];
    let kept = [insert(writer, 0, 1), insert(writer, 1, 1)];
    for _ in 0..10_000 {
        let pending = writer.begin(OWNER).expect("a slot");
        let id = pending.id();
        assert_eq!(orders.find(id, READER, &mut Vec::new()), Err(Miss::NotFound), "pending");
        writer.abandon(pending);
    }
    kept.into_iter().zip(0..).for_each(|(id, n)| assert_holds(&orders, id, n, 1));
    insert(writer, 2, 1);
    assert_eq!(orders.find(kept[0], READER, &mut Vec::new()), Err(Miss::Gone));
    assert_holds(&orders, kept[1], 1, 1);
}

#[test]
fn orders_end_in_any_order_and_pending_ones_are_bounded() {
    let (orders, mut writers) = store(2, 1);
    let writer = &mut writers[0];
    let slow = writer.begin(OWNER).expect("a slot");
    let slow_id = slow.id();
    for n in 0..5000 {
        insert(writer, n, 1);
    }
    let draft = Draft { created_ms: 7, client: "", customer: "c", amount: "1", skus: &["a"] };
    assert_eq!(writer.keep(slow, &draft), Ok(slow_id));
    assert_eq!(orders.find(slow_id, READER, &mut Vec::new()).expect("the newest").created_ms, 7);
    let mut pending: Vec<Pending> = std::iter::from_fn(|| writer.begin(OWNER)).collect();
    assert!(pending.len() >= PENDING_MAX && pending.len() < 2 * PENDING_MAX);
    writer.abandon(pending.pop().expect("some"));
    let one = writer.begin(OWNER).expect("a slot again");
    assert_eq!(writer.begin(OWNER), None);
    writer.abandon(one);
}

#[test]
fn the_log_is_used_again_and_the_longest_orders_fit() {
    let sku = "x".repeat(64);
    let customer = "c".repeat(128);
    let skus = vec![sku.as_str(); 100];
    let draft =
        Draft { created_ms: 1, client: &customer, customer: &customer, amount: "1", skus: &skus };
    let (orders, mut writers) = store(50, 1);
    for _ in 0..1000 {
        let id = keep(&mut writers[0], &draft).expect("kept");
        assert_eq!(orders.find(id, READER, &mut Vec::new()).expect("kept").skus().count(), 100);
    }
    assert!(writers[0].allocated <= 50_usize.div_ceil(9) + 2, "{}", writers[0].allocated);
    let long = "c".repeat(129);
    let draft = Draft { customer: &long, ..draft };
    assert_eq!(keep(&mut writers[0], &draft), Err(Unkept::TooLong));
}

/// A reader follows the ids of two writers while their orders are overwritten: what is found is
/// what was written under that id.
#[test]
fn a_reader_sees_an_order_whole_or_not_at_all() {
    const ORDERS: u64 = 60_000;
    let (orders, writers) = store(64, 2);
    let latest: [AtomicU64; 2] = Default::default();
    let ids: Vec<_> = (0..2).map(|_| std::sync::Mutex::new(Vec::new())).collect();
    std::thread::scope(|scope| {
        for (shard, mut writer) in writers.into_iter().enumerate() {
            let (latest, ids) = (&latest, &ids);
            scope.spawn(move || {
                for n in 0..ORDERS {
                    let id = insert(&mut writer, n, n as usize % 100);
                    ids[shard].lock().expect("no panic").push(id);
                    latest[shard].store(n + 1, Ordering::Release);
                }
            });
        }
        let mut buffer = Vec::new();
        let (mut round, mut shard) = (0_u64, 0);
        while latest.iter().any(|n| n.load(Ordering::Acquire) < ORDERS) {
            (round, shard) = (round + 1, 1 - shard);
            let newest = latest[shard].load(Ordering::Acquire);
            let n = newest.saturating_sub(round % 70 + 1);
            if newest == 0 {
                continue;
            }
            let id = ids[shard].lock().expect("no panic")[n as usize];
            for _ in 0..20 {
                match orders.find(id, READER, &mut buffer) {
                    Ok(order) => {
                        assert_eq!(order.created_ms, n);
                        assert_eq!(order.customer, format!("customer-{n}").as_bytes());
                        assert_eq!(order.skus().count(), n as usize % 100);
                        assert!(order.skus().all(|sku| sku == b"SKU-1000"));
                    }
                    Err(miss) => assert_eq!(miss, Miss::Gone),
                }
            }
        }
    });
}
