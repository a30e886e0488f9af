//! A SKU's place and a quantity, packed into one word.
//!
//! Owns the layout. It refuses to know what a word is kept for; its spare bits are a store's.

/// The place of a packed item's SKU in the table.
pub(super) fn sku_of(item: u64) -> u32 {
    (item >> SKU_SHIFT) as u32
}

/// The quantity of a packed item; 0 in a word that holds none.
pub(super) fn quantity_of(item: u64) -> u32 {
    item as u32
}

/// The bits of a packed item that are nobody's: a store may keep something in them.
pub(super) const SPARE_BITS: u32 = SKU_SHIFT - SPARE_SHIFT;
/// Where they begin.
pub(super) const SPARE_SHIFT: u32 = u32::BITS;
/// Places of SKUs that an item can name.
pub(super) const SKU_PLACES_MAX: usize = 1 << (u64::BITS - SKU_SHIFT);
const SKU_SHIFT: u32 = 44;

/// An item of this many units of the SKU at this place.
pub(super) fn pack(sku: u32, quantity: u32) -> u64 {
    u64::from(sku) << SKU_SHIFT | u64::from(quantity)
}
