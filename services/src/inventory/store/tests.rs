//! Reservations by one thread and by several that contend.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn name(text: &str) -> SkuName<'_> {
    SkuName::parse(text).expect("a good name")
}

/// A name of nobody's.
fn order(text: &str) -> Name<'_> {
    Name { holder: Holder(7), order: OrderRef::parse(text).expect("a good id") }
}

fn stocked(retained: usize, stock: &[(&str, u32)]) -> Inventory {
    let inventory = Inventory::new(256, retained, Prf::with_key([1, 2]));
    for &(text, quantity) in stock {
        let index = inventory.skus().insert(name(text)).expect("room");
        inventory.skus().at(index).expect("there").set(quantity).expect("within bounds");
    }
    inventory
}

fn reserve<'i>(inventory: &'i Inventory, id: &str, items: &[(&str, u32)]) -> Reserved<'i> {
    let mut request = inventory.request();
    items.iter().for_each(|&(text, quantity)| request.add(name(text), quantity));
    inventory.reserve(order(id), &request)
}

fn available(inventory: &Inventory, text: &str) -> u32 {
    inventory.sku(name(text)).expect("there").available()
}

fn assert_balanced(inventory: &Inventory) {
    for sku in inventory.skus().iter() {
        assert!(sku.levels().is_conserved(), "{}: {:?}", sku.name(), sku.levels());
    }
}

#[test]
fn a_reservation_is_all_or_nothing() {
    let inventory = stocked(16, &[("a", 5), ("b", 5)]);
    assert!(matches!(reserve(&inventory, "1", &[("a", 3), ("b", 5)]), Reserved::Made));
    let Reserved::Short(sku) = reserve(&inventory, "2", &[("a", 2), ("b", 1)]) else {
        panic!("b is out")
    };
    assert_eq!(sku.name(), "b");
    assert_eq!((available(&inventory, "a"), available(&inventory, "b")), (2, 0));
    assert_balanced(&inventory);
}

#[test]
fn repeated_skus_are_summed_in_any_case() {
    let inventory = stocked(16, &[("Sku", 5)]);
    let items = [("SKU", 2), ("sku", 2), ("Sku", 2)];
    assert!(matches!(reserve(&inventory, "1", &items), Reserved::Short(_)));
    assert!(matches!(reserve(&inventory, "2", &items[..2]), Reserved::Made));
    assert_eq!(available(&inventory, "sku"), 1);
    let most = [("sku", u32::MAX), ("sku", u32::MAX)];
    assert!(matches!(reserve(&inventory, "3", &most), Reserved::Short(_)), "no overflow");
}

#[test]
fn a_repeated_order_gets_the_first_answer() {
    let inventory = stocked(16, &[("a", 5)]);
    assert!(matches!(reserve(&inventory, "One", &[("a", 3)]), Reserved::Made));
    assert!(matches!(reserve(&inventory, "one", &[("a", 3)]), Reserved::Made), "in any case");
    assert_eq!(available(&inventory, "a"), 2);
    assert!(matches!(reserve(&inventory, "two", &[("a", 3)]), Reserved::Short(_)));
    inventory.sku(name("a")).expect("there").set(100).expect("within bounds");
    assert!(matches!(reserve(&inventory, "two", &[("a", 3)]), Reserved::Short(_)));
    assert_eq!(available(&inventory, "a"), 100);
    assert_balanced(&inventory);
}

#[test]
fn a_repeat_for_other_items_is_rejected_and_reserves_nothing() {
    let names: Vec<String> = (0..9).map(|n| format!("sku-{n}")).collect();
    let stock: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 5)).collect();
    let inventory = stocked(64, &stock);
    let all: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    let short = [("sku-0", 6)];
    assert!(matches!(reserve(&inventory, "held", &all), Reserved::Made));
    assert!(matches!(reserve(&inventory, "short", &short), Reserved::Short(_)));
    assert!(matches!(reserve(&inventory, "back", &all[..4]), Reserved::Made));
    assert_eq!(inventory.release(order("back")), Released::Now);
    let mut more = all.clone();
    more.push(("nothing", 1));
    let mut last = all.clone();
    last[8].1 = 2;
    for other in [&all[..8], &more, &last, &[("sku-0", 5)], &[("nothing", 1)], &[("sku-1", 6)]] {
        for name in ["held", "short", "back"] {
            let again = reserve(&inventory, name, other);
            assert!(matches!(again, Reserved::Mismatch), "{name}: {other:?}");
        }
    }
    let reversed: Vec<_> = all.iter().rev().copied().collect();
    assert!(matches!(reserve(&inventory, "held", &reversed), Reserved::Made), "the same");
    assert!(matches!(reserve(&inventory, "short", &short), Reserved::Short(_)));
    assert!(matches!(reserve(&inventory, "back", &all[..4]), Reserved::Released));
    assert_eq!((available(&inventory, "sku-0"), available(&inventory, "sku-8")), (4, 4));
    assert_balanced(&inventory);
}

#[test]
fn a_name_of_another_holder_is_a_new_name() {
    let inventory = stocked(64, &[("a", 10)]);
    let (one, other) = (Owner::Peer("one"), Owner::Client("one"));
    let holders = [
        inventory.client(one),
        inventory.client(other),
        inventory.client(Owner::Nobody),
        inventory.orders(one),
        inventory.orders(Owner::Nobody),
    ];
    for id in ["mine", "6f0a2c1e-9f6b-4c56-8d3e-0a1b2c3d4e5f"] {
        let order = OrderRef::parse(id).expect("good");
        // A release in advance denies nobody else the name.
        assert_eq!(inventory.release(Name { holder: Holder(99), order }), Released::Nothing);
        for (quantity, holder) in [1, 2].into_iter().cycle().zip(holders) {
            let mut request = inventory.request();
            request.add(name("a"), quantity);
            let reserved = inventory.reserve(Name { holder, order }, &request);
            assert!(matches!(reserved, Reserved::Made), "{id} of {holder:?}");
        }
        assert_eq!(available(&inventory, "a"), 3);
        for holder in holders {
            assert_eq!(inventory.release(Name { holder, order }), Released::Now);
        }
        assert_eq!(available(&inventory, "a"), 10);
    }
}

#[test]
fn unknown_skus_and_too_many_lines_are_refused_and_not_remembered() {
    let inventory = stocked(16, &[("a", 500)]);
    let unknown = reserve(&inventory, "1", &[("a", 1), ("c", 1)]);
    assert!(matches!(unknown, Reserved::Unknown(1)));
    assert!(matches!(reserve(&inventory, "1", &[("a", 1); 101]), Reserved::TooMany));
    assert!(matches!(reserve(&inventory, "1", &[("a", 1); 100]), Reserved::Made));
    assert_eq!(available(&inventory, "a"), 400);
}

#[test]
fn a_release_happens_once_and_is_final() {
    let inventory = stocked(16, &[("a", 5)]);
    assert!(matches!(reserve(&inventory, "1", &[("a", 3)]), Reserved::Made));
    assert_eq!(inventory.release(order("1")), Released::Now);
    assert_eq!(inventory.release(order("1")), Released::Before);
    assert_eq!(available(&inventory, "a"), 5);
    assert!(matches!(reserve(&inventory, "1", &[("a", 3)]), Reserved::Released));
    assert_eq!(available(&inventory, "a"), 5);
    assert_balanced(&inventory);
}

#[test]
fn a_release_that_overtakes_its_reservation_bars_it() {
    let inventory = stocked(16, &[("a", 5)]);
    assert_eq!(inventory.release(order("1")), Released::Nothing);
    assert!(matches!(reserve(&inventory, "1", &[("a", 3)]), Reserved::Released));
    assert_eq!(inventory.release(order("1")), Released::Nothing);
    assert_eq!(available(&inventory, "a"), 5);
}

#[test]
fn many_skus_are_reserved_and_released_whole() {
    let names: Vec<String> = (0..100).map(|n| format!("sku-{n}")).collect();
    let stock: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 10)).collect();
    let inventory = stocked(64, &stock);
    let items: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 4)).collect();
    for length in [1, 3, 4, 8, 9, 10, 99, 100] {
        let id = length.to_string();
        assert!(matches!(reserve(&inventory, &id, &items[..length]), Reserved::Made));
        let taken = names.iter().filter(|n| available(&inventory, n) == 6).count();
        assert_eq!(taken, length);
        assert_eq!(inventory.release(order(&id)), Released::Now);
        assert!(names.iter().all(|n| available(&inventory, n) == 10));
    }
    assert_balanced(&inventory);
}

#[test]
fn an_evicted_reservation_is_committed_and_its_id_is_new() {
    let names: Vec<String> = (0..10).map(|n| format!("sku-{n}")).collect();
    let stock: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 1000)).collect();
    let inventory = stocked(8, &stock);
    let items: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    for id in 0..100 {
        assert!(matches!(reserve(&inventory, &id.to_string(), &items), Reserved::Made));
        assert_balanced(&inventory);
    }
    let levels = inventory.sku(name("sku-0")).expect("there").levels();
    assert_eq!(levels.available, 900);
    assert!(levels.reserved <= 4 && levels.committed >= 96, "{levels:?}");
    assert_eq!(inventory.release(order("0")), Released::Nothing);
    assert!(matches!(reserve(&inventory, "1", &items), Reserved::Made));
    assert_eq!(available(&inventory, "sku-0"), 899);
}

#[test]
fn contending_threads_accept_exactly_the_stock() {
    let inventory = stocked(1 << 17, &[("hot", 30_000)]);
    let accepted: usize = std::thread::scope(|scope| {
        let inventory = &inventory;
        let run = |thread: usize| {
            let one = |n| reserve(inventory, &format!("{thread}-{n}"), &[("hot", 1)]);
            (0..20_000).filter(|&n| matches!(one(n), Reserved::Made)).count()
        };
        let threads = [scope.spawn(move || run(0)), scope.spawn(move || run(1))];
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(accepted, 30_000);
    let levels = inventory.sku(name("hot")).expect("there").levels();
    assert_eq!((levels.available, levels.reserved), (0, 30_000));
    assert_balanced(&inventory);
}

/// Repeats, releases and evictions of many SKUs at once: in the end, what is reserved is what the
/// orders that still answer "reserved" hold.
#[test]
fn contending_threads_conserve_the_stock() {
    let names: Vec<String> = (0..12).map(|n| format!("sku-{n}")).collect();
    let stock: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 300)).collect();
    let inventory = stocked(64, &stock);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (inventory, names, next) = (&inventory, &names, &next);
            scope.spawn(move || {
                for round in 0..20_000_usize {
                    let id = (next.fetch_add(1, Ordering::Relaxed) / 3).to_string();
                    let items = names.iter().skip(round % 3).step_by(1 + thread);
                    let items: Vec<_> = items.map(|n| (n.as_str(), 1)).collect();
                    let _ = reserve(inventory, &id, &items);
                    if round % 4 != 0 {
                        let _ = inventory.release(order(&id));
                    }
                    if round % 64 == 0 {
                        let sku = inventory.sku(name(&names[round % 12])).expect("there");
                        sku.set(300).expect("within bounds");
                    }
                }
            });
        }
    });
    assert_balanced(&inventory);
    let last = next.load(Ordering::Relaxed) / 3;
    for id in 0..=last {
        let _ = inventory.release(order(&id.to_string()));
    }
    // 64 slots of barred ids later, whatever was not released is committed.
    for id in 0..200 {
        let _ = inventory.release(order(&format!("flush-{id}")));
    }
    for sku in inventory.skus().iter() {
        assert_eq!(sku.levels().reserved, 0, "{}", sku.name());
    }
    assert_balanced(&inventory);
}
