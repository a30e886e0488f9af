//! Times the stores by number of threads: the counter of a SKU alone, a whole reservation of one
//! hot SKU and of a SKU for each thread, taking an order and reading one. The figure is the time
//! that one operation takes its thread while all of them are at it.
//!
//! Left out: HTTP, JSON and the network. Threads are not pinned; on a machine with fewer free cores
//! than threads the figures of several threads mean nothing. Must not be compared with maps that
//! keep everything for ever: these stores forget the oldest. Run with `cargo bench --bench stores`.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use authn::{Owner, OwnerKey, Prf};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use services::inventory::name::{OrderRef, SkuName};
use services::inventory::sku::{QUANTITY_MAX, Sku};
use services::inventory::store::{Inventory, Name, Reserved};
use services::orders::id::OrderId;
use services::orders::record::Draft;
use services::orders::store::{OrderReader, Orders, Writer};

const THREADS: [usize; 2] = [1, 2];
const SKUS: [&str; 2] = ["SKU-1000", "SKU-2000"];
/// Reservations and orders remembered: the memory of so many is touched again and again.
const RETAINED: usize = 100_000;
/// Pieces that are taken before all of them are given back.
const TAKEN_MAX: u32 = 1 << 20;
/// Whose orders they are, and what their ids are made with.
const OWNER: OwnerKey = OwnerKey::from_bits(7);
const MARKS: Prf = Prf::with_key([1, 2]);

/// The longest time that one of the threads takes for `count` operations, begun together.
fn together<T: Send>(work: Vec<T>, operate: impl Fn(T) + Sync) -> Duration {
    let barrier = Barrier::new(work.len());
    let run = |work: T| {
        barrier.wait();
        let start = Instant::now();
        operate(work);
        start.elapsed()
    };
    thread::scope(|scope| {
        let spawn = |work| {
            let run = &run;
            scope.spawn(move || run(work))
        };
        let threads: Vec<_> = work.into_iter().map(spawn).collect();
        let taken = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        taken.max().unwrap_or_default()
    })
}

fn inventory() -> Inventory {
    let inventory = Inventory::new(64, RETAINED, MARKS);
    for name in SKUS {
        inventory.skus().insert(sku_name(name)).expect("room");
        sku(&inventory, name).set(QUANTITY_MAX).expect("nothing is held");
    }
    inventory
}

fn sku_name(name: &str) -> SkuName<'_> {
    SkuName::parse(name).expect("a good name")
}

fn sku<'a>(inventory: &'a Inventory, name: &str) -> &'a Sku {
    inventory.sku(sku_name(name)).expect("it was inserted")
}

/// Takes one piece after the other; all go back before the counter's halves are full.
fn take(sku: &Sku, count: u64) {
    let mut left = count;
    while left > 0 {
        let turn = u32::try_from(left).unwrap_or(TAKEN_MAX).min(TAKEN_MAX);
        for _ in 0..turn {
            black_box(sku.reserve(1)).expect("there is enough");
        }
        sku.release(turn);
        left -= u64::from(turn);
    }
}

/// Reserves one piece for one order after the other; there is enough for a run of minutes.
fn reserve(inventory: &Inventory, name: &str, orders: std::ops::Range<u64>) {
    let mut digits = itoa::Buffer::new();
    let holder = inventory.client(Owner::Client("bench-runner"));
    for order in orders {
        let order = OrderRef::parse(digits.format(order)).expect("digits are good");
        let mut request = inventory.request();
        request.add(sku_name(name), 1);
        assert!(matches!(inventory.reserve(Name { holder, order }, &request), Reserved::Made));
    }
}

fn stock(criterion: &mut Criterion) {
    let inventory = inventory();
    let mut group = criterion.benchmark_group("inventory");
    let mut next = 0;
    for threads in THREADS {
        for (name, distinct) in [("one hot SKU", false), ("a SKU each", true)] {
            let place = |thread: usize| SKUS[if distinct { thread } else { 0 }];
            group.bench_function(
                BenchmarkId::new(format!("counter, {name}"), threads),
                |bencher| {
                    bencher.iter_custom(|count| {
                        let skus =
                            (0..threads).map(|thread| sku(&inventory, place(thread))).collect();
                        together(skus, |sku| take(sku, count))
                    });
                },
            );
            group.bench_function(
                BenchmarkId::new(format!("reserve, {name}"), threads),
                |bencher| {
                    bencher.iter_custom(|count| {
                        let work = (0..threads as u64).map(|thread| {
                            let start = next + thread * count;
                            (place(thread as usize), start..start + count)
                        });
                        let work: Vec<_> = work.collect();
                        next += threads as u64 * count;
                        together(work, |(name, orders)| reserve(&inventory, name, orders))
                    });
                },
            );
        }
    }
    group.finish();
}

/// Takes an order of two lines.
fn insert(writer: &mut Writer) -> OrderId {
    let draft = Draft {
        created_ms: 1_800_000_000_000,
        client: "bench-runner",
        customer: "customer-1",
        amount: "1234.56",
        skus: &SKUS,
    };
    let pending = writer.begin(OWNER).expect("room");
    writer.keep(pending, &draft).expect("it fits")
}

fn find(orders: &Orders, ids: &[OrderId], count: u64) {
    let mut buffer = Vec::new();
    let reader = OrderReader { owner: OWNER, all: false };
    for id in ids.iter().cycle().take(count as usize) {
        black_box(orders.find(*id, reader, &mut buffer)).expect("one of the newest");
    }
}

fn orders(criterion: &mut Criterion) {
    let most = THREADS.into_iter().max().unwrap_or(1);
    let (orders, mut writers) = Orders::new(RETAINED, most, MARKS);
    let mut group = criterion.benchmark_group("orders");
    for threads in THREADS {
        group.bench_function(BenchmarkId::new("insert", threads), |bencher| {
            bencher.iter_custom(|count| {
                let writers = writers.iter_mut().take(threads).collect();
                together(writers, |writer: &mut Writer| {
                    for _ in 0..count {
                        black_box(insert(writer));
                    }
                })
            });
        });
    }
    let ids: Vec<OrderId> = (0..1000).map(|_| insert(&mut writers[0])).collect();
    for threads in THREADS {
        group.bench_function(BenchmarkId::new("get", threads), |bencher| {
            bencher.iter_custom(|count| {
                together(vec![&ids[..]; threads], |ids| find(&orders, ids, count))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stock, orders);
criterion_main!(benches);
