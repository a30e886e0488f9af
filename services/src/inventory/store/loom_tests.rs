//! Reservations under the model checker.

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use super::*;

fn model(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(check);
}

fn stocked(names: &[&str], quantity: u32, retained: usize) -> Arc<Inventory> {
    let inventory = Inventory::new(names.len(), retained, Prf::with_key([1, 2]));
    for text in names {
        let index = inventory.skus().insert(SkuName::parse(text).expect("good")).expect("room");
        inventory.skus().at(index).expect("there").set(quantity).expect("within bounds");
    }
    Arc::new(inventory)
}

fn reserve(inventory: &Inventory, id: &str, names: &[&str], quantity: u32) -> &'static str {
    let mut request = inventory.request();
    names.iter().for_each(|text| request.add(SkuName::parse(text).expect("good"), quantity));
    match inventory.reserve(name(id), &request) {
        Reserved::Made => "held",
        Reserved::Short(_) => "short",
        Reserved::Released => "released",
        Reserved::InProgress => "in progress",
        Reserved::Mismatch => "mismatch",
        _ => "other",
    }
}

fn release(inventory: &Inventory, id: &str) -> Released {
    inventory.release(name(id))
}

fn name(id: &str) -> Name<'_> {
    Name { holder: Holder(7), order: OrderRef::parse(id).expect("good") }
}

fn totals(inventory: &Inventory) -> (u32, u32, u64) {
    inventory.skus().iter().fold((0, 0, 0), |sum, sku| {
        let levels = sku.levels();
        assert!(levels.is_conserved(), "{levels:?}");
        (sum.0 + levels.available, sum.1 + levels.reserved, sum.2 + levels.committed)
    })
}

#[test]
fn loom_two_orders_for_one_stock() {
    model(2, || {
        let inventory = stocked(&["a"], 3, 4);
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || reserve(&other, "1", &["a"], 2));
        let here = reserve(&inventory, "2", &["a"], 2);
        let there = thread.join().expect("no panic");
        assert!(matches!((here, there), ("held", "short") | ("short", "held")));
        assert_eq!(totals(&inventory), (1, 2, 0));
    });
}

#[test]
fn loom_a_repeated_order_reserves_once() {
    model(3, || {
        let inventory = stocked(&["a"], 9, 4);
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || reserve(&other, "1", &["a"], 2));
        let here = reserve(&inventory, "1", &["a"], 2);
        let there = thread.join().expect("no panic");
        assert!(here == "held" || there == "held");
        assert!(matches!(here, "held" | "in progress"), "{here}");
        assert!(matches!(there, "held" | "in progress"), "{there}");
        assert_eq!(totals(&inventory), (7, 2, 0));
    });
}

#[test]
fn loom_one_name_is_one_content() {
    model(3, || {
        let inventory = stocked(&["a"], 9, 4);
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || reserve(&other, "1", &["a"], 2));
        let here = reserve(&inventory, "1", &["a"], 3);
        let there = thread.join().expect("no panic");
        let reserved = match (here, there) {
            ("held", "mismatch") => 3,
            ("mismatch", "held") => 2,
            other => panic!("{other:?}"),
        };
        assert_eq!(totals(&inventory), (9 - reserved, reserved, 0));
    });
}

#[test]
fn loom_a_release_against_its_reservation() {
    model(3, || {
        let inventory = stocked(&["a"], 3, 4);
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || reserve(&other, "1", &["a"], 2));
        let released = release(&inventory, "1");
        let reserved = thread.join().expect("no panic");
        assert!(matches!(
            (released, reserved),
            (Released::Now, "held" | "released") | (Released::Nothing, "released")
        ));
        assert_eq!(totals(&inventory), (3, 0, 0), "{released:?} {reserved}");
    });
}

#[test]
fn loom_two_releases_release_once() {
    model(3, || {
        let inventory = stocked(&["a"], 3, 4);
        assert_eq!(reserve(&inventory, "1", &["a"], 2), "held");
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || release(&other, "1"));
        let here = release(&inventory, "1");
        let there = thread.join().expect("no panic");
        assert!(matches!(
            (here, there),
            (Released::Now, Released::Before) | (Released::Before, Released::Now)
        ));
        assert_eq!(totals(&inventory), (3, 0, 0));
    });
}

#[test]
fn loom_a_release_against_an_eviction() {
    model(3, || {
        let inventory = stocked(&["a"], 3, 1);
        assert_eq!(reserve(&inventory, "1", &["a"], 2), "held");
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || reserve(&other, "2", &["a"], 1));
        let released = release(&inventory, "1");
        let outcome = thread.join().expect("no panic");
        let (_, reserved, committed) = totals(&inventory);
        // The release may need a slot itself, and take or be refused the only one.
        match (released, outcome) {
            (Released::Now, "held") => assert_eq!((reserved, committed), (1, 0)),
            (Released::Nothing, "held") => assert_eq!(reserved as u64 + committed, 3),
            (Released::Busy, "held") => assert_eq!((reserved, committed), (1, 2)),
            (Released::Nothing, "other") => assert_eq!((reserved, committed), (0, 2)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn loom_many_skus_against_their_release() {
    model(2, || {
        let names = ["a", "b", "c", "d"];
        let inventory = stocked(&names, 1, 4);
        let other = Arc::clone(&inventory);
        let thread = thread::spawn(move || reserve(&other, "1", &names, 1));
        let released = release(&inventory, "1");
        let reserved = thread.join().expect("no panic");
        assert!(matches!(reserved, "held" | "released"), "{reserved}");
        assert_eq!(totals(&inventory), (4, 0, 0), "{released:?} {reserved}");
        // No slot was left in work: as many orders as there are slots fit again.
        for id in ["2", "3", "4", "5"] {
            assert_eq!(
                reserve(&inventory, id, &["a"], 1),
                if id == "2" { "held" } else { "short" }
            );
        }
    });
}
