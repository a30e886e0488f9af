//! The SKUs that exist and how many of each are there.
//!
//! Owns the table (insert-only, so that a lookup is a walk over cells that never change) and the
//! counter of each SKU. It refuses reservations as things with a name: it counts, and `store`
//! remembers for whom.
//!
//! A counter is one padded word with two halves, available and reserved. Reserving, releasing
//! and committing are each one compare-exchange or addition of the whole word, so that every reader
//! sees stock that is conserved. Chosen against: credits handed out per core (the floor is lower,
//! but a SKU is then refused while another core still has some) and two words (a reader between
//! them sees a wrong sum).

use std::hash::BuildHasher;

use crossbeam::utils::CachePadded;

use crate::inventory::item::SKU_PLACES_MAX;
use crate::inventory::name::{SKU_BYTES_MAX, SkuName};
use crate::lockfree::sync::{AtomicU64, OnceLock, Ordering, RandomState};

/// The largest quantity that can be set: with as much again reserved, a half word does not
/// overflow.
pub const QUANTITY_MAX: u32 = 1_000_000_000;

const RESERVED_BITS: u32 = 32;

/// How many of one SKU there are. Whole numbers of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockLevels {
    /// To be had now.
    pub available: u32,
    /// Reserved, and could still be released.
    pub reserved: u32,
    /// All that was ever put in, less what was taken out by setting a lower quantity.
    pub supplied: i64,
    /// Of reservations so old that they were forgotten: gone for good.
    pub committed: u64,
}

impl StockLevels {
    /// Whether everything supplied is accounted for. Holds whenever no call is under way.
    pub fn is_conserved(&self) -> bool {
        let there = u64::from(self.available) + u64::from(self.reserved) + self.committed;
        i64::try_from(there) == Ok(self.supplied)
    }
}

/// There was not enough, or no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage;

/// One SKU.
pub struct Sku {
    /// Available in the high half, reserved in the low one; their sum fits a half.
    /// Alone on its cache lines: it is the word that all cores fight for.
    stock: CachePadded<AtomicU64>,
    /// Two's complement. Changed only when a quantity is set.
    supplied: AtomicU64,
    committed: AtomicU64,
    name: Box<str>,
}

impl Sku {
    pub(crate) fn new(name: SkuName<'_>) -> Sku {
        Sku {
            stock: CachePadded::new(AtomicU64::new(0)),
            supplied: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            name: name.as_str().into(),
        }
    }

    /// The name as it was first given.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn is_called(&self, name: SkuName<'_>) -> bool {
        self.name.eq_ignore_ascii_case(name.as_str())
    }

    /// How many are available now.
    pub fn available(&self) -> u32 {
        // Relaxed: one word, and nothing else is concluded from it.
        halves(self.stock.load(Ordering::Relaxed)).0
    }

    /// The stock levels of this SKU. Available and reserved are of one moment.
    pub fn levels(&self) -> StockLevels {
        // Relaxed throughout: the words balance when nothing is under way, and whoever knows that
        // nothing is has already synchronised with those who did it.
        let (available, reserved) = halves(self.stock.load(Ordering::Relaxed));
        StockLevels {
            available,
            reserved,
            supplied: self.supplied.load(Ordering::Relaxed) as i64,
            committed: self.committed.load(Ordering::Relaxed),
        }
    }

    /// Moves `quantity` from available to reserved, or nothing at all.
    pub fn reserve(&self, quantity: u32) -> Result<(), Shortage> {
        // Relaxed, here and in all exchanges of this word: it guards no other memory, and a single
        // word's changes have one order that all threads agree on.
        let mut stock = self.stock.load(Ordering::Relaxed);
        loop {
            let (available, reserved) = halves(stock);
            let left = available.checked_sub(quantity).ok_or(Shortage)?;
            // No overflow: the sum of the halves, which fits one of them, stays the same.
            let taken = pack(left, reserved + quantity);
            match self.exchange(stock, taken) {
                Ok(()) => return Ok(()),
                Err(now) => stock = now,
            }
        }
    }

    /// Moves `quantity`, which the caller holds, back from reserved to available.
    pub fn release(&self, quantity: u32) {
        let quantity = u64::from(quantity);
        // One addition of both halves: +quantity above, -quantity below, where it is reserved.
        let change = (quantity << RESERVED_BITS).wrapping_sub(quantity);
        self.stock.fetch_add(change, Ordering::Relaxed);
    }

    /// Takes `quantity`, which nobody can release any more, out of what is reserved.
    pub fn commit(&self, quantity: u32) {
        self.committed.fetch_add(u64::from(quantity), Ordering::Relaxed);
        self.stock.fetch_sub(u64::from(quantity), Ordering::Relaxed);
    }

    /// Makes `quantity` available, whatever was; what is reserved stays reserved.
    ///
    /// `Err` above [`QUANTITY_MAX`], or when so much is reserved that a half word could overflow.
    pub fn set(&self, quantity: u32) -> Result<(), Shortage> {
        if quantity > QUANTITY_MAX {
            return Err(Shortage);
        }
        let mut stock = self.stock.load(Ordering::Relaxed);
        loop {
            let (available, reserved) = halves(stock);
            // What `reserve` and `release` rely on: available and reserved together fit one half.
            quantity.checked_add(reserved).ok_or(Shortage)?;
            match self.exchange(stock, pack(quantity, reserved)) {
                Ok(()) => {
                    let change = i64::from(quantity) - i64::from(available);
                    self.supplied.fetch_add(change as u64, Ordering::Relaxed);
                    return Ok(());
                }
                Err(now) => stock = now,
            }
        }
    }

    fn exchange(&self, from: u64, to: u64) -> Result<(), u64> {
        let relaxed = Ordering::Relaxed;
        self.stock.compare_exchange_weak(from, to, relaxed, relaxed).map(|_| ())
    }
}

/// All SKUs. Names are case-insensitive (ASCII).
pub struct SkuTable {
    /// Open addressing with at most half of the cells full, so that every walk ends at an empty
    /// one.
    cells: Box<[OnceLock<Box<Sku>>]>,
    /// How many SKUs there are, or a moment ago were about to be.
    count: AtomicU64,
    skus_max: u64,
    seed: RandomState,
}

impl SkuTable {
    /// A table for at most `skus_max` SKUs.
    pub fn new(skus_max: usize) -> SkuTable {
        let skus_max = skus_max.clamp(1, SKU_PLACES_MAX / 2);
        let cells = (skus_max * 2).next_power_of_two();
        SkuTable {
            cells: (0..cells).map(|_| OnceLock::new()).collect(),
            count: AtomicU64::new(0),
            skus_max: skus_max as u64,
            seed: RandomState::default(),
        }
    }

    /// Where `name` stands, for [`SkuTable::at`]; `None` when there is no such SKU.
    pub fn find(&self, name: SkuName<'_>) -> Option<u32> {
        self.walk(name).find_map(|(index, sku)| match sku {
            Some(sku) => sku.is_called(name).then_some(Some(index)),
            None => Some(None),
        })?
    }

    /// The SKU at a place that [`SkuTable::find`] or [`SkuTable::insert`] returned.
    pub fn at(&self, index: u32) -> Option<&Sku> {
        self.cells.get(index as usize)?.get().map(|sku| &**sku)
    }

    /// Where `name` stands, inserting it with nothing available; `None` when the table is full.
    pub fn insert(&self, name: SkuName<'_>) -> Option<u32> {
        for (index, sku) in self.walk(name) {
            let mut sku = sku;
            if sku.is_none() {
                // Relaxed: a bound, not a gate; the cell itself decides who inserts.
                if self.count.fetch_add(1, Ordering::Relaxed) >= self.skus_max {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return None;
                }
                if self.cells[index as usize].set(Box::new(Sku::new(name))).is_ok() {
                    return Some(index);
                }
                self.count.fetch_sub(1, Ordering::Relaxed);
                sku = self.at(index);
            }
            if sku.is_some_and(|sku| sku.is_called(name)) {
                return Some(index);
            }
        }
        None
    }

    /// Every SKU, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Sku> {
        self.cells.iter().filter_map(|cell| cell.get().map(|sku| &**sku))
    }

    /// The cells in the order in which `name` is looked for.
    fn walk(&self, name: SkuName<'_>) -> impl Iterator<Item = (u32, Option<&Sku>)> {
        let mask = self.cells.len() - 1;
        let start = self.hash(name) as usize;
        (0..self.cells.len()).map(move |step| {
            let index = ((start + step) & mask) as u32;
            (index, self.at(index))
        })
    }

    /// Keyed, so that nobody can choose names that all stand in one place.
    fn hash(&self, name: SkuName<'_>) -> u64 {
        let mut lower = [0; SKU_BYTES_MAX];
        // The type's promise: no longer than this.
        let lower = &mut lower[..name.as_str().len()];
        lower.copy_from_slice(name.as_str().as_bytes());
        lower.make_ascii_lowercase();
        self.seed.hash_one(lower)
    }
}

fn pack(available: u32, reserved: u32) -> u64 {
    u64::from(available) << RESERVED_BITS | u64::from(reserved)
}

fn halves(stock: u64) -> (u32, u32) {
    ((stock >> RESERVED_BITS) as u32, stock as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn name(text: &str) -> SkuName<'_> {
        SkuName::parse(text).expect("a good name")
    }

    fn stocked(quantity: u32) -> Sku {
        let sku = Sku::new(name("SKU-1"));
        sku.set(quantity).expect("within bounds");
        sku
    }

    #[test]
    fn reserved_units_stay_reserved_until_released_or_committed() {
        let sku = stocked(10);
        sku.reserve(4).expect("enough");
        assert_eq!(sku.reserve(7), Err(Shortage));
        assert_eq!((sku.available(), sku.levels().reserved), (6, 4));
        sku.release(3);
        sku.commit(1);
        let levels = sku.levels();
        assert_eq!(levels, StockLevels { available: 9, reserved: 0, supplied: 10, committed: 1 });
        assert!(levels.is_conserved());
    }

    #[test]
    fn setting_a_quantity_leaves_what_is_reserved() {
        let sku = stocked(10);
        sku.reserve(4).expect("enough");
        sku.set(2).expect("within bounds");
        let levels = sku.levels();
        assert_eq!(levels, StockLevels { available: 2, reserved: 4, supplied: 6, committed: 0 });
        sku.release(4);
        assert!(sku.levels().is_conserved());
    }

    #[test]
    fn the_halves_never_run_into_each_other() {
        let sku = stocked(QUANTITY_MAX);
        for _ in 0..4 {
            sku.reserve(QUANTITY_MAX).expect("enough");
            if sku.set(QUANTITY_MAX).is_err() {
                break;
            }
        }
        let levels = sku.levels();
        assert_eq!((levels.available, levels.reserved), (0, 4_000_000_000));
        assert_eq!(sku.set(QUANTITY_MAX), Err(Shortage), "held and available would not fit");
        sku.release(4_000_000_000);
        assert_eq!(sku.levels().reserved, 0);
        assert!(sku.levels().is_conserved());
    }

    #[test]
    fn names_are_found_in_any_case_and_their_number_is_bounded() {
        let table = SkuTable::new(3);
        let index = table.insert(name("SKU-1000")).expect("room");
        assert_eq!(table.insert(name("sku-1000")), Some(index));
        assert_eq!(table.find(name("Sku-1000")), Some(index));
        assert_eq!(table.find(name("SKU-100")), None);
        assert_eq!(table.at(index).expect("there").name(), "SKU-1000");
        assert!(table.insert(name("b")).is_some() && table.insert(name("c")).is_some());
        assert_eq!(table.insert(name("d")), None, "a fourth");
        assert_eq!(table.insert(name("C")), table.find(name("c")), "not a fourth");
        assert_eq!(table.iter().count(), 3);
    }

    #[test]
    fn two_contending_threads_get_exactly_the_stock() {
        let sku = stocked(50_000);
        let taken: u32 = std::thread::scope(|scope| {
            let run = || (0..40_000).map(|_| u32::from(sku.reserve(1).is_ok())).sum::<u32>();
            let threads = [scope.spawn(run), scope.spawn(run)];
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 50_000);
        assert_eq!(sku.available(), 0);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::model::Builder;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    fn name(text: &str) -> SkuName<'_> {
        SkuName::parse(text).expect("a good name")
    }

    fn model(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    #[test]
    fn loom_a_counter_is_exact_and_conserved() {
        model(|| {
            let sku = Arc::new(Sku::new(name("a")));
            sku.set(3).expect("within bounds");
            let other = Arc::clone(&sku);
            let thread = thread::spawn(move || {
                let taken = other.reserve(2).is_ok();
                let _ = other.set(3);
                taken
            });
            let here = sku.reserve(2).is_ok();
            if here {
                sku.release(2);
            }
            let there = thread.join().expect("no panic");
            assert!(here || there, "there was enough for one");
            assert_eq!(sku.levels().reserved, if there { 2 } else { 0 });
            assert!(sku.levels().is_conserved());
        });
    }

    #[test]
    fn loom_a_name_is_inserted_once() {
        model(|| {
            let table = Arc::new(SkuTable::new(1));
            let other = Arc::clone(&table);
            let thread = thread::spawn(move || other.insert(name("A")));
            let here = table.insert(name("a"));
            let there = thread.join().expect("no panic");
            // With room for one, the loser may find it full while the winner inserts.
            assert!(here.is_some() || there.is_some());
            assert!(here.is_none() || there.is_none() || here == there);
            assert_eq!(table.iter().count(), 1);
        });
    }
}
