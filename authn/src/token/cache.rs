//! Tokens that were verified a moment ago.
//!
//! Owns a bounded cache that belongs to one core: no locks, no sharing. It is keyed by the *whole*
//! token: a keyed hash finds the place, and a comparison of every byte decides, so that a collision
//! costs time and never grants anything. Set-associative with eight ways: a place is one of eight,
//! the least recently used of them is given up. A hit allocates nothing.
//!
//! An entry is good from its token's begin (`iat`, `nbf`) to its `exp`, exactly: the verifier's
//! leeway is not applied to it. Asked for at any other time it is gone, so that a clock that is set
//! back keeps no token alive: the times at which a token is found lie within its own life, which
//! the verifier bounds.
//!
//! Memory is bounded by `capacity` tokens of at most [`TOKEN_BYTES_MAX`] bytes each.
//!
//! Who changes the keys of the verifier must call [`TokenCache::clear`].

use std::fmt;
use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::UnixTime;

use crate::error::Error;
use crate::token::jwt::{Access, TOKEN_BYTES_MAX};

/// Places in which one token can be kept. The tags of a set fill one cache line.
const WAYS: usize = 8;

/// Verified tokens of one core.
pub struct TokenCache {
    key: [u64; 2],
    /// Ways in use: [`WAYS`], or fewer in a cache smaller than one set.
    ways: usize,
    sets: Box<[Set]>,
    /// Counts uses, to know the least recent; at 10^9 a second it lasts for centuries.
    clock: u64,
}

#[derive(Default)]
struct Set {
    /// The hash of each entry's token; a tag without an entry is never asked.
    tags: [u64; WAYS],
    /// The clock when each entry was last used.
    used: [u64; WAYS],
    entries: [Option<CacheEntry>; WAYS],
}

struct CacheEntry {
    token: Box<[u8]>,
    access: Arc<Access>,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens, rounded down to a multiple of eight from there on; 0
    /// keeps nothing. `key` makes the hash unpredictable: see [`random_key`].
    pub fn new(capacity: usize, key: [u64; 2]) -> TokenCache {
        let ways = capacity.min(WAYS);
        let sets = if capacity == 0 { 0 } else { (capacity / WAYS).max(1) };
        TokenCache { key, ways, sets: (0..sets).map(|_| Set::default()).collect(), clock: 0 }
    }

    /// What the token says, if it was verified before and `now` is within its validity.
    pub fn get(&mut self, token: &[u8], now: UnixTime) -> Option<Arc<Access>> {
        let tag = hash(self.key, token);
        let (set, clock) = self.set_of(tag)?;
        let way = set.find(tag, token)?;
        let entry = set.entries[way].as_ref()?;
        if !(entry.access.begins_at..entry.access.expires_at).contains(&now.as_secs()) {
            set.entries[way] = None;
            return None;
        }
        set.used[way] = clock;
        Some(Arc::clone(&entry.access))
    }

    /// Keeps a token that was just verified. One that is longer than a verifier accepts is not.
    pub fn insert(&mut self, token: &[u8], access: Arc<Access>) {
        let (tag, ways) = (hash(self.key, token), self.ways);
        if token.len() > TOKEN_BYTES_MAX {
            return;
        }
        let Some((set, clock)) = self.set_of(tag) else {
            return;
        };
        let way =
            set.find(tag, token).or_else(|| set.free(ways)).unwrap_or_else(|| set.oldest(ways));
        set.tags[way] = tag;
        set.used[way] = clock;
        set.entries[way] = Some(CacheEntry { token: token.into(), access });
    }

    /// Forgets every token: after a change of keys, issuer or audience.
    pub fn clear(&mut self) {
        self.sets.fill_with(Set::default);
    }

    /// How many tokens are kept, the expired ones that were not asked for again included.
    pub fn len(&self) -> usize {
        self.sets.iter().map(|set| set.entries.iter().flatten().count()).sum()
    }

    /// Whether no token is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tokens that can be kept.
    pub fn capacity(&self) -> usize {
        self.sets.len() * self.ways
    }

    /// The set of a hash, and the time of this use.
    fn set_of(&mut self, tag: u64) -> Option<(&mut Set, u64)> {
        self.clock += 1;
        // Scales the hash to the number of sets without a division.
        let index = (u128::from(tag) * self.sets.len() as u128) >> 64;
        self.sets.get_mut(index as usize).map(|set| (set, self.clock))
    }
}

impl Set {
    fn find(&self, tag: u64, token: &[u8]) -> Option<usize> {
        (0..WAYS).find(|&way| {
            self.tags[way] == tag
                && self.entries[way].as_ref().is_some_and(|entry| *entry.token == *token)
        })
    }

    fn free(&self, ways: usize) -> Option<usize> {
        (0..ways).find(|&way| self.entries[way].is_none())
    }

    fn oldest(&self, ways: usize) -> usize {
        (0..ways).min_by_key(|&way| self.used[way]).expect("a set that exists has a way")
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCache({} of {})", self.len(), self.capacity())
    }
}

/// A random key for [`TokenCache::new`].
///
/// # Errors
/// [`Error::Random`].
pub fn random_key() -> Result<[u64; 2], Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    let (first, second) = bytes.split_at(8);
    Ok([word(first), word(second)])
}

/// A keyed hash by folded multiplication, 32 bytes a step in two independent chains. It need not
/// withstand more than guessing: only tokens that verified are inserted, and equality is decided
/// by comparing them.
fn hash(key: [u64; 2], token: &[u8]) -> u64 {
    let [mut left, mut right] = key;
    let mut step = |block: &[u8]| {
        left = folded(left ^ word(&block[..8]), key[1] ^ word(&block[8..16]));
        right = folded(right ^ word(&block[16..24]), key[0] ^ word(&block[24..]));
    };
    let mut blocks = token.chunks_exact(32);
    blocks.by_ref().for_each(&mut step);
    let rest = blocks.remainder();
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    step(&last);
    // The length distinguishes the padding.
    folded(left ^ token.len() as u64, right ^ key[0].rotate_left(32))
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a word has eight bytes"))
}
