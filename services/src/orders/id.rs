//! How an order is named: a UUID that says where the order lies.
//!
//! ```text
//! bits 127..80  attempt: counts the ids of a shard    79..76  version 8 (custom)
//!      75..64   shard                                 63..62  variant 0b10
//!      61..30   slot of the shard                     29..0   tag of the instance
//! ```
//! The layout is one of its own, which RFC 9562 section 5.8 leaves to version 8. So finding an
//! order is an index computation. An id names one attempt to take an order, for ever: a slot is
//! used again, an attempt is not. An id of another instance, or of this one before a restart, is
//! known to be foreign by its tag, random at its start. It is a name, not a secret: who may read
//! orders is decided by the policy.

use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

/// The most shards that an id can tell apart.
pub const SHARDS_MAX: usize = 1 << SHARD_BITS;
/// The most slots of a shard that an id can tell apart.
pub const SLOTS_MAX: usize = 1 << SLOT_BITS;
/// Length of the text of an id.
pub const TEXT_BYTES: usize = 36;

const SHARD_BITS: u32 = 12;
const SLOT_BITS: u32 = 32;
const TAG_BITS: u32 = 30;
const ATTEMPT_BITS: u32 = 48;
const VERSION: u64 = 8 << SHARD_BITS;
const VARIANT: u64 = 0b10 << (SLOT_BITS + TAG_BITS);

/// The id of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderId(u128);

/// The random part that tells one run of a service from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceTag(u64);

/// Where an order lies, and which of those that lay there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Below [`SHARDS_MAX`].
    pub shard: usize,
    /// Below [`SLOTS_MAX`].
    pub slot: usize,
    /// Below 2^48.
    pub attempt: u64,
}

impl InstanceTag {
    /// A tag that no other run is likely to have, from the seeds that the standard library draws
    /// for its maps.
    pub fn random() -> InstanceTag {
        InstanceTag(RandomState::new().hash_one("tollgate orders") >> (64 - TAG_BITS))
    }
}

impl OrderId {
    /// Names the order of this spot.
    pub fn new(tag: InstanceTag, spot: Spot) -> OrderId {
        debug_assert!(spot.shard < SHARDS_MAX && spot.slot < SLOTS_MAX);
        debug_assert!(spot.attempt < 1 << ATTEMPT_BITS);
        let high = spot.attempt << (64 - ATTEMPT_BITS) | VERSION | spot.shard as u64;
        let low = VARIANT | (spot.slot as u64) << TAG_BITS | tag.0;
        OrderId(u128::from(high) << 64 | u128::from(low))
    }

    /// Where the order lies, if an instance with this tag could have issued the id.
    pub fn spot(self, tag: InstanceTag) -> Option<Spot> {
        let (high, low) = ((self.0 >> 64) as u64, self.0 as u64);
        let spot = Spot {
            shard: high as usize & (SHARDS_MAX - 1),
            slot: (low >> TAG_BITS) as usize & (SLOTS_MAX - 1),
            attempt: high >> (64 - ATTEMPT_BITS),
        };
        // Version, variant and tag are as `new` would write them.
        (OrderId::new(tag, spot) == self).then_some(spot)
    }

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

    /// The id as two words.
    pub(crate) fn words(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }

    /// The id that [`OrderId::words`] took apart.
    pub(crate) fn from_words([low, high]: [u64; 2]) -> OrderId {
        OrderId(u128::from(high) << 64 | u128::from(low))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SPOT: Spot = Spot { shard: 1, slot: 3, attempt: 77 };

    #[test]
    fn an_id_says_where_its_order_lies() {
        let tag = InstanceTag::random();
        let last = Spot { shard: SHARDS_MAX - 1, slot: SLOTS_MAX - 1, attempt: (1 << 48) - 1 };
        for spot in [Spot { shard: 0, slot: 0, attempt: 0 }, SPOT, last] {
            let id = OrderId::new(tag, spot);
            let mut buffer = [0; TEXT_BYTES];
            let text = id.text(&mut buffer);
            assert_eq!(&text[14..15], "8", "version of {text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "variant of {text}");
            assert_eq!(OrderId::parse(text), Some(id));
            assert_eq!(OrderId::parse(&text.to_uppercase()), Some(id));
            assert_eq!(id.spot(tag), Some(spot));
            assert_eq!(OrderId::from_words(id.words()), id);
        }
    }

    #[test]
    fn a_foreign_id_has_no_spot() {
        let tag = InstanceTag(5);
        assert_eq!(OrderId::new(InstanceTag(6), SPOT).spot(tag), None);
        for bit in [76, 78, 62, 63, 0, 29] {
            let other = OrderId(OrderId::new(tag, SPOT).0 ^ 1 << bit);
            assert_eq!(other.spot(tag), None, "bit {bit}");
        }
        for bad in ["", "x", "00000000000080008000000000000000", &"0".repeat(36), &"-".repeat(36)] {
            assert_eq!(OrderId::parse(bad), None, "{bad:?}");
        }
    }
}
