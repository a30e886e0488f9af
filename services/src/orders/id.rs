//! How an order is named: a UUID that says where the order lies.
//!
//! ```text
//! bits 127..80  sequence within its shard      79..76  version 8 (RFC 9562 section 5.8, custom)
//!      75..64   shard                          63..62  variant 0b10
//!      61..0    tag of the instance that made it, random at its start
//! ```
//! So that finding an order is an index computation, and an id of another instance (or of this one
//! before a restart) is known to be foreign. It is a name, not a secret: who may read orders is
//! decided by the policy.

use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

/// The most shards that an id can tell apart.
pub const SHARDS_MAX: usize = 1 << SHARD_BITS;
/// Length of the text of an id.
pub const TEXT_BYTES: usize = 36;

const SHARD_BITS: u32 = 12;
const VERSION: u64 = 8 << SHARD_BITS;
const VARIANT: u64 = 0b10 << 62;
const TAG_MASK: u64 = (1 << 62) - 1;

/// The id of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderId(u128);

/// The random part that tells one run of a service from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceTag(u64);

impl InstanceTag {
    /// A tag that no other run has, from the seeds that the standard library draws for its maps.
    pub fn random() -> InstanceTag {
        InstanceTag(RandomState::new().hash_one("tollgate orders") & TAG_MASK)
    }
}

impl OrderId {
    /// Names the order `sequence` (below 2^48) of a shard (below [`SHARDS_MAX`]).
    pub fn new(tag: InstanceTag, shard: usize, sequence: u64) -> OrderId {
        debug_assert!(shard < SHARDS_MAX && sequence < 1 << 48);
        let high = sequence << 16 | VERSION | shard as u64;
        OrderId(u128::from(high) << 64 | u128::from(VARIANT | tag.0))
    }

    /// Shard and sequence, if an instance with this tag could have issued the id.
    pub fn place(self, tag: InstanceTag) -> Option<(usize, u64)> {
        let (high, low) = ((self.0 >> 64) as u64, self.0 as u64);
        let ours = low == VARIANT | tag.0 && high & (0xf << SHARD_BITS) == VERSION;
        ours.then_some((high as usize & (SHARDS_MAX - 1), high >> 16))
    }

    /// Reads the 36 characters of a UUID, in either case; `None` for anything else.
    pub fn parse(text: &str) -> Option<OrderId> {
        // Of the several forms that the uuid crate reads, only the one that `text` writes.
        if text.len() != TEXT_BYTES {
            return None;
        }
        Uuid::try_parse(text)
            .ok()
            .map(|uuid| OrderId(uuid.as_u128()))
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

    #[test]
    fn an_id_says_where_its_order_lies() {
        let tag = InstanceTag::random();
        for (shard, sequence) in [(0, 0), (1, 77), (SHARDS_MAX - 1, (1 << 48) - 1)] {
            let id = OrderId::new(tag, shard, sequence);
            let mut buffer = [0; TEXT_BYTES];
            let text = id.text(&mut buffer);
            assert_eq!(&text[14..15], "8", "version of {text}");
            assert!(
                matches!(&text[19..20], "8" | "9" | "a" | "b"),
                "variant of {text}"
            );
            assert_eq!(OrderId::parse(text), Some(id));
            assert_eq!(OrderId::parse(&text.to_uppercase()), Some(id));
            assert_eq!(id.place(tag), Some((shard, sequence)));
            assert_eq!(OrderId::from_words(id.words()), id);
        }
    }

    #[test]
    fn a_foreign_id_has_no_place() {
        let tag = InstanceTag(5);
        assert_eq!(OrderId::new(InstanceTag(6), 0, 0).place(tag), None);
        let other_version = OrderId(OrderId::new(tag, 0, 0).0 ^ 1 << 76);
        assert_eq!(other_version.place(tag), None);
        for bad in [
            "",
            "x",
            "00000000000080008000000000000000",
            &"0".repeat(36),
            &"-".repeat(36),
        ] {
            assert_eq!(OrderId::parse(bad), None, "{bad:?}");
        }
    }
}
