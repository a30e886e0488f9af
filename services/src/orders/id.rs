//! How an order is named: a UUID that says where the order lies, and that nobody can tell in
//! advance.
//!
//! ```text
//! bits 127..80 and 15..0  mark: 64 bits of a keyed function of the owner and the place below
//!      79..76  version 8 (custom)                    63..62  variant 0b10
//!      75..64  shard                                 61..16  slot of the shard, and its use
//! ```
//! The layout is one of its own, which RFC 9562 section 5.8 leaves to version 8. So finding an
//! order is an index computation. An id names one attempt to take an order, for ever: a slot is
//! used again, a use of it is not.
//!
//! The mark binds the id to whose order it is. From one id the next cannot be predicted without the
//! key, which is drawn at each start; and whether an id is of the one who asks is known before the
//! store is looked at, even for an order that is no longer kept. It costs some nanoseconds and no
//! system call. An id of another instance, or of this one before a restart, is nobody's.

use authn::{OwnerKey, Prf};
use uuid::Uuid;

/// The most shards that an id can tell apart.
pub const SHARDS_MAX: usize = 1 << SHARD_BITS;
/// The most slots of a shard that an id can tell apart; each can then be used 2^13 times.
pub const SLOTS_MAX: usize = 1 << 33;
/// Length of the text of an id.
pub const TEXT_BYTES: usize = 36;

const SHARD_BITS: u32 = 12;
/// Slot and use.
const TURN_BITS: u32 = 46;
const MARK_LOW_BITS: u32 = 16;
const VERSION: u64 = 8 << SHARD_BITS;
const VARIANT: u64 = 0b10 << (TURN_BITS + MARK_LOW_BITS);

/// The id of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderId(u128);

/// Where an order lies, and which of those that lay there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotUse {
    /// Below [`SHARDS_MAX`].
    pub shard: usize,
    /// Below the slots of the [`Ids`].
    pub slot: usize,
    /// Below [`Ids::attempts_max`].
    pub attempt: u64,
}

/// What makes the ids of one store and reads them.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    marks: Prf,
    slot_bits: u32,
}

impl Ids {
    /// Ids of shards with so many slots, at most [`SLOTS_MAX`].
    #[must_use]
    pub fn new(slots: usize, marks: Prf) -> Ids {
        Ids { marks, slot_bits: slots.clamp(1, SLOTS_MAX).next_power_of_two().trailing_zeros() }
    }

    /// How often a slot can be used.
    #[must_use]
    pub fn attempts_max(&self) -> u64 {
        1 << (TURN_BITS - self.slot_bits)
    }

    /// Names an order of `owner` at this spot.
    #[must_use]
    pub fn id(&self, owner: OwnerKey, spot: SlotUse) -> OrderId {
        debug_assert!(spot.shard < SHARDS_MAX && spot.slot < 1 << self.slot_bits);
        debug_assert!(spot.attempt < self.attempts_max());
        let turn = spot.attempt << self.slot_bits | spot.slot as u64;
        let mark = self.mark(owner, spot.shard as u64, turn);
        let high = mark & !0xffff | VERSION | spot.shard as u64;
        let low = VARIANT | turn << MARK_LOW_BITS | mark & 0xffff;
        OrderId(u128::from(high) << 64 | u128::from(low))
    }

    /// Where the order lies, if any store with as many slots could have issued the id.
    #[must_use]
    pub fn spot(&self, id: OrderId) -> Option<SlotUse> {
        let (shard, turn) = id.place()?;
        let slot = turn as usize & ((1 << self.slot_bits) - 1);
        Some(SlotUse { shard: shard as usize, slot, attempt: turn >> self.slot_bits })
    }

    /// Whether the id names an order of `owner`.
    #[must_use]
    pub fn is_of(&self, id: OrderId, owner: OwnerKey) -> bool {
        id.place().is_some_and(|(shard, turn)| id.mark() == self.mark(owner, shard, turn))
    }

    fn mark(&self, owner: OwnerKey, shard: u64, turn: u64) -> u64 {
        self.marks.of_words([owner.bits(), shard << TURN_BITS | turn])
    }
}

impl OrderId {
    /// Reads the 36 characters of a UUID, in either case; `None` for anything else.
    pub fn parse(text: &str) -> Option<OrderId> {
        // Of the several forms that the uuid crate reads, only the one that `text` writes.
        if text.len() != TEXT_BYTES {
            return None;
        }
        Uuid::try_parse(text).ok().map(|uuid| OrderId(uuid.as_u128()))
    }

    /// The id as text, lower case.
    pub fn text(self, buffer: &mut [u8; TEXT_BYTES]) -> &str {
        Uuid::from_u128(self.0).as_hyphenated().encode_lower(buffer)
    }

    /// Shard, and slot with its use; `None` where version or variant is another one.
    fn place(self) -> Option<(u64, u64)> {
        let (high, low) = ((self.0 >> 64) as u64, self.0 as u64);
        let is_ours = high & 0xf << SHARD_BITS == VERSION
            && low >> (TURN_BITS + MARK_LOW_BITS) == VARIANT >> (TURN_BITS + MARK_LOW_BITS);
        let turn = low >> MARK_LOW_BITS & ((1 << TURN_BITS) - 1);
        is_ours.then_some((high & (SHARDS_MAX as u64 - 1), turn))
    }

    fn mark(self) -> u64 {
        (self.0 >> 64) as u64 & !0xffff | self.0 as u64 & 0xffff
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const OWNER: OwnerKey = OwnerKey::from_bits(5);
    const SPOT: SlotUse = SlotUse { shard: 1, slot: 3, attempt: 77 };

    fn ids(slots: usize) -> Ids {
        Ids::new(slots, Prf::with_key([1, 2]))
    }

    #[test]
    fn an_id_names_shard_and_owner() {
        for slots in [1, 4, 1 << 21, SLOTS_MAX] {
            let ids = ids(slots);
            let last =
                SlotUse { shard: SHARDS_MAX - 1, slot: slots - 1, attempt: ids.attempts_max() - 1 };
            for spot in [SlotUse { shard: 0, slot: 0, attempt: 0 }, last] {
                let id = ids.id(OWNER, spot);
                let mut buffer = [0; TEXT_BYTES];
                let text = id.text(&mut buffer);
                assert_eq!(&text[14..15], "8", "version of {text}");
                assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "variant of {text}");
                assert_eq!(OrderId::parse(text), Some(id));
                assert_eq!(OrderId::parse(&text.to_uppercase()), Some(id));
                assert_eq!(ids.spot(id), Some(spot));
                assert!(ids.is_of(id, OWNER) && !ids.is_of(id, OwnerKey::from_bits(6)));
            }
        }
    }

    #[test]
    fn an_id_with_any_bit_changed_is_nobodys() {
        let ids = ids(4);
        let id = ids.id(OWNER, SPOT);
        for bit in 0..128 {
            assert!(!ids.is_of(OrderId(id.0 ^ 1 << bit), OWNER), "bit {bit}");
        }
        let restarted = Ids::new(4, Prf::with_key([1, 3]));
        assert!(!restarted.is_of(id, OWNER), "another instance's");
        for bad in ["", "x", "00000000000080008000000000000000", &"0".repeat(36), &"-".repeat(36)] {
            assert_eq!(OrderId::parse(bad), None, "{bad:?}");
        }
    }

    /// The bits of the mark, in the ids of neighbouring spots: each is set in about half of them,
    /// and no difference between neighbours comes twice.
    #[test]
    fn ids_that_follow_each_other_differ_unpredictably() {
        let ids = Ids::new(1 << 20, Prf::random().expect("randomness"));
        let spot = |slot| SlotUse { shard: 0, slot, attempt: 0 };
        let all: Vec<u64> = (0..4096).map(|slot| ids.id(OWNER, spot(slot)).mark()).collect();
        for bit in 0..64 {
            let set = all.iter().filter(|mark| **mark >> bit & 1 == 1).count();
            // Eleven standard deviations.
            assert!((1696..=2400).contains(&set), "bit {bit} is set in {set} of 4096");
        }
        let steps: HashSet<u64> =
            all.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert_eq!(steps.len(), all.len() - 1);
    }
}
