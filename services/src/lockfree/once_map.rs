//! A map that remembers the newest keys and decides each of them once, without a lock.
//!
//! It owns the memory behind "a repeated order id returns the first response". It refuses values: a
//! key has a state and a few words, whose meaning is the caller's. It refuses callers that free
//! keys again and again: a freed entry stays in its chain until it is evicted.
//!
//! ```text
//!            take            link(key, CLAIMED)        change
//! any state ------> WRITING ------------------> CLAIMED ------> decided, or FREE again
//!  (evicts)            |  link: the key is there    |              (both can be evicted)
//!                      +--------> FREE              +-> CANCELLED (asked for by another thread)
//! ```
//!
//! # How
//! Entries live in a ring of one-cache-line slots. A ticket (a counter that never repeats) names an
//! entry; its slot is the ticket modulo the capacity, so the newest `capacity` tickets are kept and
//! taking a ticket is what evicts the oldest entry: there is no deletion. A hash bucket is one
//! word, the ticket of its newest entry, and each entry names the one before it. All insertions
//! of a key pass a compare-exchange of that one word, and whoever fails it looks at what came in
//! between: two threads cannot both insert a key. A chain ends where a ticket no longer stands in
//! its slot, since everything behind it is older still. Every state word carries its ticket, so
//! no compare-exchange can mistake a slot's next tenant for its last (no ABA).
//!
//! A reader copies the words and then looks whether the ticket still stands (a sequence lock, over
//! atomics: safe code, no torn read passes).
//!
//! # Chosen against
//! - open addressing: removing from it lets two threads insert one key behind each other's back;
//! - an epoch-reclaimed map (crossbeam-skiplist, papaya): an allocation for each insertion, and
//!   crossbeam's `remove` may say `Some` to two threads;
//! - sharded mutexes: one descheduled holder stops its shard.
//!
//! # Bounds
//! Memory: 64 bytes a slot, allocated in segments as they are first used, and 8 bytes a bucket.
//! What is forgotten: the entries older than the newest `capacity` tickets (an aborted insertion
//! spends one too, and threads that link out of ticket order may shorten that by as many). A slot
//! whose entry is being decided is passed over, never overwritten.

use std::hash::BuildHasher;

use crossbeam::utils::CachePadded;

use crate::lockfree::sync::{AtomicU64, OnceLock, Ordering, RandomState};

/// Slots allocated at a time: 64 KiB, some tens of microseconds at worst.
const SEGMENT_SLOTS: usize = if cfg!(loom) { 4 } else { 1024 };
/// Words of a slot that are the caller's when it is not linked under a key.
pub(crate) const WORDS: usize = 6;
/// Words of an entry that are the caller's; the first two hold the key.
pub(crate) const PAYLOAD: usize = 4;
const TAG_BITS: u32 = 4;

/// The state of a slot, beside its ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    /// Nobody's; skipped by readers.
    pub(crate) const FREE: Tag = Tag(0);
    /// Being filled by the thread that took it; not reachable yet.
    pub(crate) const WRITING: Tag = Tag(1);
    /// Linked, and being decided by the thread that linked it.
    pub(crate) const CLAIMED: Tag = Tag(2);
    /// As CLAIMED, and another thread asked for it to be undone.
    pub(crate) const CANCELLED: Tag = Tag(3);

    /// A state of the caller's, decided and open to eviction. `n` below 12.
    pub(crate) const fn decided(n: u64) -> Tag {
        assert!(n < (1 << TAG_BITS) - 4);
        Tag(n + 4)
    }

    /// Whether a thread is at work on the slot, which must not be overwritten then.
    fn is_busy(self) -> bool {
        matches!(self, Tag::WRITING | Tag::CLAIMED | Tag::CANCELLED)
    }
}

/// A copy of an entry that was whole when it was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapEntry {
    /// Names the entry in [`OnceMap::change`].
    pub(crate) ticket: u64,
    /// The state; the words are at least as new as it.
    pub(crate) tag: Tag,
    /// The caller's words.
    pub(crate) payload: [u64; PAYLOAD],
}

/// A key that was not there, and the newest entry of its bucket at that moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vacant {
    key: u128,
    bucket: usize,
    head: u64,
}

#[repr(align(64))]
struct MapSlot {
    /// Ticket and tag. Every change of the slot's tenant is a compare-exchange of this word.
    state: AtomicU64,
    /// Ticket of the entry before this one in its bucket.
    next: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// The map. See the module's documentation.
pub(crate) struct OnceMap {
    /// The newest ticket of each bucket, 0 for none. A power of two of them.
    heads: Box<[AtomicU64]>,
    segments: Box<[OnceLock<Box<[MapSlot]>>]>,
    /// The next ticket. Alone on its line: every insertion of every core adds to it.
    tickets: CachePadded<AtomicU64>,
    capacity: u64,
    seed: RandomState,
}

impl OnceMap {
    /// A map of the newest `capacity` entries (at least 1).
    pub(crate) fn new(capacity: usize) -> OnceMap {
        let capacity = capacity.max(1);
        let buckets = if cfg!(loom) { 1 } else { capacity.next_power_of_two() };
        OnceMap {
            heads: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            segments: (0..capacity.div_ceil(SEGMENT_SLOTS)).map(|_| OnceLock::new()).collect(),
            // The first ticket is not 0, which stands for "none".
            tickets: CachePadded::new(AtomicU64::new(capacity as u64)),
            capacity: capacity as u64,
            seed: RandomState::default(),
        }
    }

    /// The entry under `key`, the newest if it was freed and inserted again; or where to insert it.
    pub(crate) fn find(&self, key: u128) -> Result<MapEntry, Vacant> {
        // Keyed: who can choose keys must not be able to choose a bucket for them all.
        let bucket = self.seed.hash_one(key) as usize & (self.heads.len() - 1);
        // Acquire: pairs with the Release of the exchange in `link`; the entry is whole behind it.
        let head = self.heads[bucket].load(Ordering::Acquire);
        self.walk(head, 0, key).ok_or(Vacant { key, bucket, head })
    }

    /// Takes a slot, evicting its tenant; `None` when every slot is being decided right now.
    ///
    /// `evicted` gets the tenant's state and all words of its slot when it had been decided.
    pub(crate) fn take(&self, mut evicted: impl FnMut(Tag, [u64; WORDS])) -> Option<u64> {
        for _ in 0..self.capacity {
            // Relaxed: the number alone matters; the slot is handed over through its state.
            let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
            let slot = self.slot(ticket);
            // Acquire: pairs with the Release stores of the tenant's state; its words are read
            // below.
            let mut state = slot.state.load(Ordering::Acquire);
            // A later ticket may have been here already, if this thread slept since it drew its
            // own.
            while !tag_of(state).is_busy() && ticket_of(state) < ticket {
                let mine = pack(ticket, Tag::WRITING);
                // Acquire as above. Release is not needed for the state itself: readers learn of
                // the new tenant through the Release stores of the words that follow.
                let taken =
                    slot.state.compare_exchange(state, mine, Ordering::Acquire, Ordering::Acquire);
                match taken {
                    Ok(_) => {
                        if tag_of(state) != Tag::FREE {
                            evicted(tag_of(state), slot.copy());
                        }
                        return Some(ticket);
                    }
                    Err(now) => state = now,
                }
            }
        }
        None
    }

    /// Writes one of the six words of a slot this thread has taken.
    pub(crate) fn write(&self, ticket: u64, index: usize, word: u64) {
        // Release: pairs with the Acquire loads in `MapSlot::read`. Whoever sees this word sees the
        // state that was set before it, and so that the last tenant is gone.
        self.slot(ticket).words[index].store(word, Ordering::Release);
    }

    /// Writes one of the four caller's words of an entry this thread has taken.
    pub(crate) fn write_payload(&self, ticket: u64, index: usize, word: u64) {
        self.write(ticket, index + WORDS - PAYLOAD, word);
    }

    /// Inserts the taken slot in state `tag` where its key was not found; or frees it and returns
    /// what has been inserted there since.
    pub(crate) fn link(&self, ticket: u64, vacant: Vacant, tag: Tag) -> Result<(), MapEntry> {
        let Vacant { key, bucket, mut head } = vacant;
        self.write(ticket, 0, key as u64);
        self.write(ticket, 1, (key >> 64) as u64);
        self.store(ticket, tag);
        let slot = self.slot(ticket);
        loop {
            slot.next.store(head, Ordering::Release);
            // Release: pairs with the Acquire of `find`: the entry is whole for whoever gets here.
            // Acquire on failure: pairs with the Release of the thread that came before.
            let linked = self.heads[bucket].compare_exchange(
                head,
                ticket,
                Ordering::Release,
                Ordering::Acquire,
            );
            let Err(now) = linked else { return Ok(()) };
            if let Some(entry) = self.walk(now, head, key) {
                self.store(ticket, Tag::FREE);
                return Err(entry);
            }
            head = now;
        }
    }

    /// Moves an entry from one state to another, exactly once among all threads.
    ///
    /// `Err` has the state it is in instead; `None` in it when the entry was evicted.
    pub(crate) fn change(&self, ticket: u64, from: Tag, to: Tag) -> Result<(), Option<Tag>> {
        // Release: pairs with the Acquire of `MapSlot::read` and `take`, which may read words that
        // were written before this change. Acquire: pairs with the other thread's change.
        let changed = self.slot(ticket).state.compare_exchange(
            pack(ticket, from),
            pack(ticket, to),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match changed {
            Ok(_) => Ok(()),
            Err(now) if ticket_of(now) == ticket => Err(Some(tag_of(now))),
            Err(_) => Err(None),
        }
    }

    /// Sets the state of a slot that only this thread may change now.
    pub(crate) fn store(&self, ticket: u64, tag: Tag) {
        // Release: pairs with the Acquire of `MapSlot::read` and `take`.
        self.slot(ticket).state.store(pack(ticket, tag), Ordering::Release);
    }

    /// A copy of a slot that was taken for more words, not linked; `None` when it was evicted.
    pub(crate) fn words(&self, ticket: u64) -> Option<(Tag, [u64; WORDS])> {
        self.slot(ticket).read(ticket).map(|(tag, _, words)| (tag, words))
    }

    /// Looks for `key` from the entry `from` back to, and without, the entry `until`.
    fn walk(&self, from: u64, until: u64, key: u128) -> Option<MapEntry> {
        // Relaxed: a count that is behind only means a look at a slot that says the same.
        let issued = if from == until { 0 } else { self.tickets.load(Ordering::Relaxed) };
        let mut ticket = from;
        // Evicted: what is behind it in the chain is older, and forgotten with it. Most are
        // recognised by their number, without the cache miss that their slot costs.
        while ticket != until && ticket + self.capacity >= issued && ticket != 0 {
            let (tag, next, words) = self.slot(ticket).read(ticket)?;
            let [low, high, payload @ ..] = words;
            if tag != Tag::FREE && low == key as u64 && high == (key >> 64) as u64 {
                return Some(MapEntry { ticket, tag, payload });
            }
            ticket = next;
        }
        None
    }

    fn slot(&self, ticket: u64) -> &MapSlot {
        let index = (ticket % self.capacity) as usize;
        let segment = &self.segments[index / SEGMENT_SLOTS];
        &segment.get_or_init(MapSlot::segment)[index % SEGMENT_SLOTS]
    }
}

impl MapSlot {
    fn segment() -> Box<[MapSlot]> {
        let slot = |_| MapSlot {
            state: AtomicU64::new(0),
            next: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        (0..SEGMENT_SLOTS).map(slot).collect()
    }

    /// State, link and words, if `ticket` was the tenant all the while.
    fn read(&self, ticket: u64) -> Option<(Tag, u64, [u64; WORDS])> {
        // Acquire: pairs with the Release that set this state; the words are at least that new.
        let before = self.state.load(Ordering::Acquire);
        if ticket_of(before) != ticket {
            return None;
        }
        // Acquire, as the words below: pairs with the next tenant's Release stores.
        let next = self.next.load(Ordering::Acquire);
        let words = self.copy();
        // Relaxed: if any load above saw the next tenant's word, it has acquired its state too.
        let after = self.state.load(Ordering::Relaxed);
        (ticket_of(after) == ticket).then_some((tag_of(before), next, words))
    }

    fn copy(&self) -> [u64; WORDS] {
        std::array::from_fn(|index| self.words[index].load(Ordering::Acquire))
    }
}

fn pack(ticket: u64, tag: Tag) -> u64 {
    ticket << TAG_BITS | tag.0
}

fn ticket_of(state: u64) -> u64 {
    state >> TAG_BITS
}

fn tag_of(state: u64) -> Tag {
    Tag(state & ((1 << TAG_BITS) - 1))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const KEPT: Tag = Tag::decided(0);

    fn insert(map: &OnceMap, key: u128, word: u64) -> Result<u64, MapEntry> {
        let vacant = match map.find(key) {
            Ok(entry) => return Err(entry),
            Err(vacant) => vacant,
        };
        let ticket = map.take(|_, _| ()).expect("a slot");
        map.write_payload(ticket, 0, word);
        map.link(ticket, vacant, KEPT).map(|()| ticket)
    }

    fn vacant(map: &OnceMap, key: u128) -> Vacant {
        map.find(key).expect_err("not there")
    }

    #[test]
    fn a_key_is_inserted_once() {
        let map = OnceMap::new(4);
        insert(&map, 7, 70).expect("new");
        assert_eq!(insert(&map, 7, 71).expect_err("there").payload[0], 70);
        assert_eq!(map.find(7).expect("there").payload[0], 70);
        assert!(map.find(8).is_err());
    }

    #[test]
    fn the_newest_are_kept_and_the_oldest_is_evicted() {
        let map = OnceMap::new(3000);
        for key in 0..10_000 {
            insert(&map, key, key as u64).expect("new");
        }
        for key in 0..10_000 {
            assert_eq!(map.find(key).is_ok(), key >= 7000, "{key}");
        }
    }

    #[test]
    fn a_freed_key_can_be_inserted_again() {
        let map = OnceMap::new(4);
        let ticket = insert(&map, 7, 70).expect("new");
        map.change(ticket, KEPT, Tag::FREE).expect("was kept");
        assert!(map.find(7).is_err());
        insert(&map, 7, 71).expect("new again");
        assert_eq!(map.find(7).expect("there").payload[0], 71);
    }

    #[test]
    fn a_slot_in_work_is_passed_over() {
        let map = OnceMap::new(2);
        let first = map.take(|_, _| ()).expect("a slot");
        let second = map.take(|_, _| ()).expect("a slot");
        assert!(map.take(|_, _| ()).is_none(), "both are in work");
        map.link(second, vacant(&map, 2), KEPT).expect("new");
        let third = map.take(|tag, _| assert_eq!(tag, KEPT)).expect("a slot");
        assert_eq!((third - second) % 2, 0, "the same slot");
        assert_eq!(map.change(second, KEPT, Tag::FREE), Err(None), "it was evicted");
        map.link(first, vacant(&map, 1), KEPT).expect("new");
        assert!(map.find(1).is_err(), "by now it is older than the newest two");
    }

    #[test]
    fn threads_that_insert_the_same_keys_insert_each_once() {
        let map = OnceMap::new(1 << 17);
        let inserted: usize = std::thread::scope(|scope| {
            let run = || (0..20_000).filter(|&key| insert(&map, key, 0).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(inserted, 20_000);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::model::Builder;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    const KEPT: Tag = Tag::decided(0);

    fn model(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    fn insert(map: &OnceMap, key: u128, word: u64) -> bool {
        let Err(vacant) = map.find(key) else {
            return false;
        };
        let Some(ticket) = map.take(|_, _| ()) else {
            return false;
        };
        for index in 0..PAYLOAD {
            map.write_payload(ticket, index, word);
        }
        map.link(ticket, vacant, KEPT).is_ok()
    }

    #[test]
    fn loom_two_threads_insert_a_key_once() {
        model(|| {
            let map = Arc::new(OnceMap::new(4));
            let other = Arc::clone(&map);
            let thread = thread::spawn(move || insert(&other, 7, 1));
            let here = insert(&map, 7, 2);
            let there = thread.join().expect("no panic");
            assert!(here ^ there);
            let entry = map.find(7).expect("inserted");
            assert_eq!(entry.payload, [if here { 2 } else { 1 }; PAYLOAD]);
        });
    }

    #[test]
    fn loom_a_reader_never_sees_a_torn_entry() {
        model(|| {
            let map = Arc::new(OnceMap::new(1));
            assert!(insert(&map, 7, 1));
            let other = Arc::clone(&map);
            // Evicts the only slot under the reader's eyes, with the same key.
            let thread = thread::spawn(move || {
                let ticket = other.take(|_, _| ()).expect("a slot");
                let vacant = other.find(7).expect_err("just evicted");
                for index in 0..PAYLOAD {
                    other.write_payload(ticket, index, 2);
                }
                assert!(other.link(ticket, vacant, KEPT).is_ok());
            });
            if let Ok(entry) = map.find(7) {
                let word = entry.payload[0];
                assert_eq!(entry.payload, [word; PAYLOAD]);
            }
            thread.join().expect("no panic");
            assert_eq!(map.find(7).expect("linked").payload, [2; PAYLOAD]);
        });
    }

    #[test]
    fn loom_a_change_happens_once() {
        model(|| {
            let map = Arc::new(OnceMap::new(2));
            let ticket = map.take(|_, _| ()).expect("a slot");
            let vacant = map.find(7).expect_err("new");
            map.link(ticket, vacant, Tag::CLAIMED).expect("new");
            let other = Arc::clone(&map);
            let thread =
                thread::spawn(move || other.change(ticket, Tag::CLAIMED, Tag::CANCELLED).is_ok());
            let here = map.change(ticket, Tag::CLAIMED, KEPT).is_ok();
            assert!(here ^ thread.join().expect("no panic"));
        });
    }
}
