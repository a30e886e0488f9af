//! `Idempotency-Key`: a request that is repeated with its key is one order.
//!
//! Owns which keys are in flight and which have their response, and whose they are. It refuses to
//! keep responses of any other kind than "this order was created": a refusal (400, 409, 422) and a
//! failure (5xx) give the key free and leave no trace, so that the same request may be tried again
//! and may then succeed.
//!
//! ```text
//! (new) -> in flight -> finished (the order's id)   other body: mismatch; same body: the response
//!                    -> (new)  the claim was dropped: refused, failed, or the request broken off
//! ```
//!
//! # What is remembered
//! A key belongs to its owner. In flight it is never forgotten. Finished it is remembered for the
//! time to live and no longer, and that long for sure as long as its owner stays within its share,
//! a quarter of all keys: who goes beyond pushes out its own oldest finished key, never another
//! owner's. When all are taken, an owner without a finished key of its own is refused until one
//! expires. Keys and bodies are remembered as 128 bits of two keyed hashes, seeded anew at each
//! start: nobody outside can make two of them meet.
//!
//! # Why a lock
//! Which key an owner gives up depends on all of its keys, on every core, in the order in which
//! they finished: several words change together. The lock is held for a few hash operations and
//! never over a wait, and only requests with a key take it. Against it stood a ring of the newest
//! keys of everybody, without a lock: there the newest push out the oldest, whosever they are, and
//! what was forgotten hides what is in flight.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::mem;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use authn::OwnerKey;

use crate::lockfree::sync::{Mutex, MutexGuard, RandomState};
use crate::orders::id::OrderId;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// The share of one owner, as a part of all keys.
const SHARES: usize = 4;
/// How often at most everybody's expired keys are looked for, when there is no room.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A key: 1 to 255 visible ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey<'a>(&'a [u8]);

/// The keys of all owners. Shared by all cores.
pub struct Idempotency {
    table: Mutex<KeyTable>,
    seeds: [RandomState; 2],
}

/// What to do with a request that carries a key.
pub enum Begun<'a> {
    /// The first of its key: do it, and say how it went.
    New(Claim<'a>),
    /// It was done: this is its order.
    Repeat(OrderId),
    /// The key was used for another body.
    Mismatch,
    /// The first of this key is being done at this moment.
    InProgress,
    /// There is no room to remember one more key.
    Busy,
}

/// A key in flight. Dropped without [`Claim::keep`], it gives the key free.
#[must_use = "a dropped claim gives the key free"]
pub struct Claim<'a> {
    keys: &'a Idempotency,
    owner: OwnerKey,
    key: u128,
}

struct KeyTable {
    keys: HashMap<u128, KeyState>,
    owners: HashMap<OwnerKey, OwnerKeys>,
    keys_max: usize,
    ttl: Duration,
    /// When expired keys of all owners were last looked for.
    swept: Option<Instant>,
}

struct KeyState {
    body: [u64; 2],
    finished: Option<Finished>,
}

struct Finished {
    order: OrderId,
    at: Instant,
}

/// The keys of one owner; there is none without any.
#[derive(Default)]
struct OwnerKeys {
    in_flight: usize,
    /// The oldest first.
    finished: VecDeque<u128>,
}

impl<'a> IdempotencyKey<'a> {
    /// Checks length and characters.
    pub fn parse(bytes: &'a [u8]) -> Option<IdempotencyKey<'a>> {
        let fits = (1..=KEY_BYTES_MAX).contains(&bytes.len());
        (fits && bytes.iter().all(u8::is_ascii_graphic)).then_some(IdempotencyKey(bytes))
    }
}

impl Idempotency {
    /// Remembers at most `keys_max` keys, each for `ttl` after it finished.
    pub fn new(keys_max: usize, ttl: Duration) -> Idempotency {
        let table = KeyTable {
            // Room for all from the start: a table that grows makes everybody wait.
            keys: HashMap::with_capacity(keys_max),
            owners: HashMap::new(),
            keys_max: keys_max.max(1),
            ttl,
            swept: None,
        };
        let seeds = [RandomState::default(), RandomState::default()];
        Idempotency { table: Mutex::new(table), seeds }
    }

    /// Looks up an owner's key, and claims it if it is new.
    pub fn begin(
        &self,
        owner: OwnerKey,
        key: IdempotencyKey<'_>,
        body: &[u8],
        now: Instant,
    ) -> Begun<'_> {
        let [low, high] = self.hash(&(owner, key.0));
        let key = u128::from(high) << 64 | u128::from(low);
        let body = self.hash(&body);
        let mut table = self.table();
        table.expire(owner, now);
        match table.keys.get(&key) {
            Some(first) if first.body != body => return Begun::Mismatch,
            Some(KeyState { finished: Some(finished), .. }) => {
                return Begun::Repeat(finished.order);
            }
            Some(_) => return Begun::InProgress,
            None => {}
        }
        if !table.has_room(owner, now) {
            return Begun::Busy;
        }
        table.keys.insert(key, KeyState { body, finished: None });
        table.owners.entry(owner).or_default().in_flight += 1;
        Begun::New(Claim { keys: self, owner, key })
    }

    /// How many keys are remembered, in flight and finished.
    pub fn len(&self) -> usize {
        self.table().keys.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&self) -> MutexGuard<'_, KeyTable> {
        // Whoever panics under the lock ends the process.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash<T: Hash>(&self, value: &T) -> [u64; 2] {
        self.seeds.each_ref().map(|seed| seed.hash_one(value))
    }
}

impl Claim<'_> {
    /// The order was created: this is the response to every repeat from now on.
    pub fn keep(self, order: OrderId, now: Instant) {
        self.keys.table().finish(self.owner, self.key, Finished { order, at: now });
        // The key has its response: dropping must not give it free.
        mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.keys.table().give_up(self.owner, self.key);
    }
}

impl KeyTable {
    /// The most keys of one owner.
    fn share_max(&self) -> usize {
        (self.keys_max / SHARES).max(1)
    }

    /// Whether one more key of this owner can be remembered once it is finished.
    fn has_room(&mut self, owner: OwnerKey, now: Instant) -> bool {
        let share_max = self.share_max();
        if self.owners.get(&owner).is_some_and(|share| share.in_flight >= share_max) {
            return false;
        }
        if self.keys.len() < self.keys_max {
            return true;
        }
        self.sweep(now);
        // Without room it gives up one of its own.
        let gives = |share: &OwnerKeys| !share.finished.is_empty();
        self.keys.len() < self.keys_max || self.owners.get(&owner).is_some_and(gives)
    }

    /// Notes the response of a key in flight, and forgets what its owner has too many of.
    fn finish(&mut self, owner: OwnerKey, key: u128, finished: Finished) {
        let share_max = self.share_max();
        if self.keys.len() > self.keys_max {
            self.sweep(finished.at);
        }
        if let Some(key) = self.keys.get_mut(&key) {
            key.finished = Some(finished);
        }
        let Some(share) = self.owners.get_mut(&owner) else {
            return;
        };
        share.in_flight -= 1;
        share.finished.push_back(key);
        // One that came in gives up one: nobody pays for what others have in flight.
        let (mine, all) = (share.finished.len(), self.keys.len());
        if (mine > share_max || (all > self.keys_max && mine > 1))
            && let Some(oldest) = share.finished.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    /// Forgets a key in flight.
    fn give_up(&mut self, owner: OwnerKey, key: u128) {
        self.keys.remove(&key);
        if let Some(share) = self.owners.get_mut(&owner) {
            share.in_flight -= 1;
        }
        self.tidy(owner);
    }

    /// Forgets everybody's keys whose time is over, if that was not done a moment ago.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_INTERVAL) {
            self.swept = Some(now);
            let owners: Vec<OwnerKey> = self.owners.keys().copied().collect();
            owners.into_iter().for_each(|owner| self.expire(owner, now));
        }
    }

    /// Forgets the owner's keys whose time is over.
    fn expire(&mut self, owner: OwnerKey, now: Instant) {
        let Some(share) = self.owners.get_mut(&owner) else {
            return;
        };
        while let Some(oldest) = share.finished.front() {
            let finished = self.keys.get(oldest).and_then(|key| key.finished.as_ref());
            if finished.is_some_and(|finished| now.duration_since(finished.at) < self.ttl) {
                break;
            }
            self.keys.remove(oldest);
            share.finished.pop_front();
        }
        self.tidy(owner);
    }

    /// Forgets an owner without keys.
    fn tidy(&mut self, owner: OwnerKey) {
        let empty = |share: &OwnerKeys| share.in_flight == 0 && share.finished.is_empty();
        if self.owners.get(&owner).is_some_and(empty) {
            self.owners.remove(&owner);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
