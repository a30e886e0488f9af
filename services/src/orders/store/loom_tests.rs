//! Orders under the model checker: records of two words, segments of one record.

use loom::model::Builder;
use loom::thread;

use super::*;

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(check);
}

const OWNER: OwnerKey = OwnerKey::from_bits(5);
const READER: OrderReader = OrderReader { owner: OWNER, all: false };

fn store(retained: usize, shards: usize) -> (Arc<Orders>, Vec<Writer>) {
    Orders::new(retained, shards, Prf::with_key([1, 2]))
}

fn insert(writer: &mut Writer, n: u64) -> OrderId {
    // The outer words of the record carry the number.
    writer.record.clear();
    writer.record.extend_from_slice(&n.to_le_bytes());
    writer.record.extend_from_slice(&OWNER.bits().to_le_bytes());
    writer.record.extend_from_slice(&[0, 0, 0, 0, n as u8, 0, 0, 0]);
    let pending = writer.begin(OWNER).expect("a slot");
    let (number, place) = writer.append().expect("kept");
    writer.publish(pending, number, place)
}

/// The number in both words, or why there is none.
fn find(orders: &Orders, id: OrderId) -> Result<u64, Miss> {
    let mut buffer = Vec::new();
    let created = orders.find(id, READER, &mut buffer)?.created_ms;
    assert_eq!(u64::from(buffer[20]), created, "torn");
    Ok(created)
}

#[test]
fn loom_an_order_is_read_whole_or_gone() {
    model(|| {
        let (orders, mut writers) = store(1, 1);
        let mut writer = writers.pop().expect("one");
        let id = insert(&mut writer, 1);
        // What they overwrite, slot or segment, is the first order's once it is gone.
        let thread = thread::spawn(move || {
            insert(&mut writer, 2);
            insert(&mut writer, 3)
        });
        assert!(matches!(find(&orders, id), Ok(1) | Err(Miss::Gone)));
        let last = thread.join().expect("no panic");
        assert_eq!(find(&orders, last), Ok(3));
        assert_eq!(find(&orders, id), Err(Miss::Gone));
    });
}

#[test]
fn loom_an_order_is_found_once_it_is_issued() {
    model(|| {
        let (orders, mut writers) = store(2, 1);
        let id = |slot| orders.ids.id(OWNER, SlotUse { shard: 0, slot, attempt: 0 });
        let mut writer = writers.pop().expect("one");
        let thread = thread::spawn(move || {
            insert(&mut writer, 1);
            insert(&mut writer, 2);
        });
        let second = find(&orders, id(1));
        let first = find(&orders, id(0));
        assert!(matches!(first, Ok(1) | Err(Miss::NotFound)));
        assert!(matches!(second, Ok(2) | Err(Miss::NotFound)));
        assert!(second.is_err() || first.is_ok(), "the first was issued before the second");
        thread.join().expect("no panic");
    });
}

#[test]
fn loom_two_writers_and_their_evictions() {
    model(|| {
        let (orders, mut writers) = store(1, 2);
        let mut there = writers.pop().expect("two");
        let mut here = writers.pop().expect("two");
        let first = insert(&mut here, 1);
        let thread = thread::spawn(move || insert(&mut there, 2));
        // Reuses a segment if the other shard's order has pushed the first one out.
        let second = insert(&mut here, 3);
        let other = thread.join().expect("no panic");
        assert_eq!(find(&orders, first), Err(Miss::Gone));
        let kept = [find(&orders, second), find(&orders, other)];
        assert!(matches!(kept, [Ok(3), Err(Miss::Gone)] | [Err(Miss::Gone), Ok(2)]), "{kept:?}");
    });
}
