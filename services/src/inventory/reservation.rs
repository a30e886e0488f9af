//! What one reservation asks for, resolved to places in the table of SKUs as it is read.
//!
//! Owns summing and ordering lines without allocation. It refuses to decide: faults are noted, and
//! reported when the reservation is made.

use crate::inventory::item::{SPARE_BITS, pack, quantity_of, sku_of};
use crate::inventory::name::SkuName;
use crate::inventory::sku::SkuTable;

/// The most lines of one reservation.
pub const ITEMS_MAX: usize = 100;

/// Bits of a fingerprint: what three items have to spare.
pub(super) const FINGERPRINT_BITS: u32 = 3 * SPARE_BITS;
/// 2^64 over the golden ratio, whose multiples spread well over the high bits.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What one reservation asks for. Repeated SKUs are summed.
///
/// Items are packed and stand in the order of their SKUs' places in the table: one order for all
/// threads, so that of two reservations of the same SKUs the one that gets the first gets all.
pub struct ReservationRequest<'a> {
    skus: &'a SkuTable,
    items: [u64; ITEMS_MAX],
    length: usize,
    lines: usize,
    unknown: Option<usize>,
    overflown: Option<u32>,
}

impl<'a> ReservationRequest<'a> {
    /// An empty list.
    pub(super) fn new(skus: &'a SkuTable) -> ReservationRequest<'a> {
        let items = [0; ITEMS_MAX];
        ReservationRequest { skus, items, length: 0, lines: 0, unknown: None, overflown: None }
    }

    /// Adds a line. Too many of them, and names of no SKU, are reported by `Inventory::reserve`.
    pub fn add(&mut self, name: SkuName<'_>, quantity: u32) {
        let line = self.lines;
        self.lines += 1;
        if quantity == 0 || self.lines > ITEMS_MAX {
            return;
        }
        let Some(sku) = self.skus.find(name) else {
            self.unknown.get_or_insert(line);
            return;
        };
        let place = self.items().partition_point(|&item| sku_of(item) < sku);
        if self.items().get(place).is_some_and(|&item| sku_of(item) == sku) {
            match quantity_of(self.items[place]).checked_add(quantity) {
                Some(sum) => self.items[place] = pack(sku, sum),
                None => self.overflown = Some(sku),
            }
            return;
        }
        self.items.copy_within(place..self.length, place + 1);
        self.items[place] = pack(sku, quantity);
        self.length += 1;
    }

    /// The items, packed.
    pub(super) fn items(&self) -> &[u64] {
        &self.items[..self.length]
    }

    /// How many lines were added.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// The first line that names no SKU.
    pub(super) fn unknown(&self) -> Option<usize> {
        self.unknown
    }

    /// What is asked for, in [`FINGERPRINT_BITS`] bits. A store distinguishes repeats of one name
    /// from something else by it, and the name's owner alone could be deceived: a plain mix is
    /// enough.
    pub(super) fn fingerprint(&self) -> u64 {
        let start = self.overflown.map_or(0, |sku| u64::from(sku) + 1);
        let mix = |mixed: u64, &item: &u64| (mixed.rotate_left(23) ^ item).wrapping_mul(ODD);
        self.items().iter().fold(start, mix) >> (u64::BITS - FINGERPRINT_BITS)
    }

    /// A SKU whose summed quantity no stock can have.
    pub(super) fn overflown(&self) -> Option<u32> {
        self.overflown
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn lines_are_summed_in_one_order() {
        let skus = SkuTable::new(8);
        let name = |text| SkuName::parse(text).expect("good");
        let places = ["a", "b", "c"].map(|text| skus.insert(name(text)).expect("room"));
        let mut there = ReservationRequest::new(&skus);
        for (text, n) in [("a", 1), ("b", 2), ("c", 3), ("A", 4)] {
            there.add(name(text), n);
        }
        let mut back = ReservationRequest::new(&skus);
        for (text, n) in [("c", 3), ("b", 2), ("a", 5), ("b", 0)] {
            back.add(name(text), n);
        }
        assert_eq!(there.items(), back.items());
        let mut sorted = places;
        sorted.sort_unstable();
        assert_eq!(there.items().iter().map(|&item| sku_of(item)).collect::<Vec<_>>(), sorted);
        assert_eq!(there.items().iter().map(|&item| quantity_of(item)).sum::<u32>(), 10);
        assert_eq!((there.lines(), there.unknown(), there.overflown()), (4, None, None));
        assert_eq!(there.fingerprint(), back.fingerprint());
        let before = there.fingerprint();
        there.add(name("a"), 1);
        assert_ne!(there.fingerprint(), before);
        there.add(name("a"), u32::MAX);
        there.add(name("d"), 1);
        assert_eq!((there.unknown(), there.overflown()), (Some(6), Some(places[0])));
    }
}
