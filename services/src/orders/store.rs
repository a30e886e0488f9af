//! The newest orders, written by the core that took them and read by any.
//!
//! Owns the memory of orders and the rule which of them are kept: the newest `retained` of the
//! whole service. It refuses to look inside: an order is a run of bytes
//! ([`crate::orders::record`]).
//!
//! # How
//! Each core has a shard that only it writes ([`Writer`], one per shard). A shard is a log,
//! segments of words in which records lie one after another, and slots that say where each record
//! lies. An order gets its slot, and with it its id, when it is begun ([`Writer::begin`]): stock is
//! reserved under that id before anything is kept. The id says shard and slot, so finding an order
//! is an index computation. An order that is refused gives its slot back unused. The id is also
//! bound to its owner: who is not the owner, and may not read all orders, gets the same response as
//! for an id that was never issued, before the store is looked at.
//!
//! The age of an order is its *number* in the count of all orders kept, one shared counter: it is
//! kept while fewer than `retained` were kept after it. That one rule serves four times. It
//! distinguishes 410 from 200. It frees a slot. It frees a segment of the log once the last record
//! in it is that old. And it validates a read: whoever copied a record and then finds its number
//! still among the newest knows that nothing of it had been overwritten, since that happens to old
//! records only. The words of a slot are a sequence lock of their own, whose state is the attempt
//! in the id: which use of the slot it is.
//!
//! # Chosen against
//! - a map with reclamation (dashmap, papaya, a skip list): four to thirty times as long per
//!   insert, an allocation each, and eviction needs an order beside it;
//! - `retained / cores` orders per shard without a shared count: a client on one connection would
//!   find its orders gone after a fraction of `--orders-retained`;
//! - ids that count the orders of a shard: orders end in another order than they begin, and those
//!   that are refused would push kept ones out of the ring;
//! - records in place of the slots (fixed size): 7 KB each for the sake of the longest.
//!
//! # Bounds
//! Memory: 40 bytes an order and its record, in segments allocated on first use and then used
//! again; orders being taken at a time, [`PENDING_MAX`] per shard. A shard holds what it wrote
//! among the newest `retained`; one that no longer takes orders keeps its old segments until it
//! does.

use std::collections::VecDeque;
use std::sync::Arc;

use authn::{OwnerKey, Prf};
use crossbeam::utils::CachePadded;

use crate::lockfree::sync::{AtomicU64, OnceLock, Ordering};
use crate::orders::id::{Ids, OrderId, SHARDS_MAX, SLOTS_MAX, SlotUse};
use crate::orders::record::{Draft, RECORD_BYTES_MAX, StoredOrder};

/// Orders kept, by default.
pub const ORDERS_RETAINED: usize = 1_000_000;

/// Orders that one shard may be taking at a time, begun and neither kept nor abandoned. More than a
/// core has connections to inventory by default.
pub const PENDING_MAX: usize = if cfg!(loom) { 2 } else { 4096 };

/// Words of a log segment: 64 KiB, some tens of microseconds to allocate.
const SEGMENT_WORDS: usize = if cfg!(loom) { 3 } else { 8192 };
/// The longest record in words, as many fit a segment at least once.
const RECORD_WORDS_MAX: usize = if cfg!(loom) { 3 } else { RECORD_BYTES_MAX.div_ceil(8) };
/// Slots allocated at a time: 24 KiB.
const SLOTS: usize = if cfg!(loom) { 2 } else { 1024 };

/// Why there is no order under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// This instance has kept no order under the id that the reader may know of.
    NotFound,
    /// It did, and has since kept as many orders as it retains.
    Gone,
}

/// The order could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// A part of it is longer than its bound.
    TooLong,
    /// The shard's memory is used up by newer orders. A bound that other bounds keep from being
    /// met.
    Full,
}

/// Who asks for an order.
#[derive(Clone, Copy, Debug)]
pub struct OrderReader {
    /// Whose orders may be read.
    pub owner: OwnerKey,
    /// Whether everybody's may.
    pub all: bool,
}

/// All orders kept. Shared by all cores.
pub struct Orders {
    ids: Ids,
    retained: u64,
    /// Orders kept by all shards so far. Alone on its line: every insertion adds to it.
    kept: CachePadded<AtomicU64>,
    shards: Box<[Shard]>,
}

struct Shard {
    slots: Box<[OnceLock<Box<[OrderSlot]>>]>,
    log: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

/// Where a record lies. A sequence lock: the state is set to WRITING before the words change and to
/// the whole attempt after.
struct OrderSlot {
    /// Twice the attempt that was kept here, plus two; one less while it is being written. 0 at
    /// first, which is less than that of any attempt.
    state: AtomicU64,
    number: AtomicU64,
    /// Segment, first word and words of the record, packed.
    place: AtomicU64,
}

/// An order that has its id and is not kept yet. It must be given to [`Writer::keep`] or
/// [`Writer::abandon`], or its slot is lost until the service ends.
#[must_use = "its slot must be given back"]
#[derive(Debug, PartialEq, Eq)]
pub struct Pending {
    spot: SlotUse,
    owner: OwnerKey,
    id: OrderId,
}

impl Pending {
    /// The name of the order.
    pub fn id(&self) -> OrderId {
        self.id
    }
}

/// The right to write a shard. There is one for each, taken when the store is made.
pub struct Writer {
    orders: Arc<Orders>,
    shard: usize,
    /// Orders begun, and neither kept nor abandoned.
    pending: usize,
    /// Orders kept by all shards, as of this one's last. Good enough to tell what is gone: to use
    /// memory again a moment later costs nothing, to look at the shared count costs its line.
    known: u64,
    /// Slots that were never used begin here.
    unused: usize,
    /// Slots of orders that were refused, each with its next attempt.
    free: Vec<(usize, u64)>,
    /// Orders kept, oldest first: slot and number.
    kept: VecDeque<(usize, u64)>,
    /// The segment being filled, and its first free word.
    segment: Option<usize>,
    first: usize,
    /// Segments filled before, oldest first, each with the number of its last record.
    filled: VecDeque<(usize, u64)>,
    /// Segments allocated so far.
    allocated: usize,
    record: Vec<u8>,
}

impl Orders {
    /// A store of the newest `retained` orders, and the writer of each of its shards.
    ///
    /// Both numbers are at least 1; shards are at most [`SHARDS_MAX`]. `marks` makes the ids
    /// unpredictable.
    pub fn new(retained: usize, shards: usize, marks: Prf) -> (Arc<Orders>, Vec<Writer>) {
        let retained = retained.clamp(1, SLOTS_MAX / 2 - PENDING_MAX);
        let shards = shards.clamp(1, SHARDS_MAX);
        let orders = Arc::new(Orders {
            ids: Ids::new(slots_max(retained), marks),
            retained: retained as u64,
            kept: CachePadded::new(AtomicU64::new(0)),
            shards: (0..shards).map(|_| Shard::new(retained)).collect(),
        });
        let writers = (0..shards).map(|shard| Writer::new(&orders, shard)).collect();
        (orders, writers)
    }

    /// Orders kept by this instance so far.
    pub fn kept(&self) -> u64 {
        // Relaxed: a figure for metrics.
        self.kept.load(Ordering::Relaxed)
    }

    /// The order under `id`, copied into `buffer` (whose memory is used again), if `reader` may
    /// read it.
    pub fn find<'b>(
        &self,
        id: OrderId,
        reader: OrderReader,
        buffer: &'b mut Vec<u8>,
    ) -> Result<StoredOrder<'b>, Miss> {
        let own = self.ids.is_of(id, reader.owner);
        if !own && !reader.all {
            return Err(Miss::NotFound);
        }
        let spot = self.ids.spot(id).ok_or(Miss::NotFound)?;
        let shard = self.shards.get(spot.shard).ok_or(Miss::NotFound)?;
        let slot = shard.slot(spot.slot).ok_or(Miss::NotFound)?;
        // Acquire: pairs with the Release at the end of `keep`. Number and place are at least those
        // of this state, and so is the record.
        let state = slot.state.load(Ordering::Acquire);
        if state != whole(spot.attempt) {
            let newer = state > whole(spot.attempt);
            return Err(if newer { Miss::Gone } else { Miss::NotFound });
        }
        // Acquire, both: pair with the Release stores of the next order in this slot, so that the
        // second look at the state sees it too.
        let number = slot.number.load(Ordering::Acquire);
        let place = RecordPlace::unpack(slot.place.load(Ordering::Acquire));
        buffer.clear();
        let words = shard.log.get(place.segment).and_then(OnceLock::get);
        let words = words.and_then(|words| words.get(place.first..place.first + place.words));
        for word in words.ok_or(Miss::Gone)? {
            // Acquire: pairs with the Release store of a later record over this one, whose writer
            // had seen this one's number gone: then the look below sees that too.
            buffer.extend_from_slice(&word.load(Ordering::Acquire).to_le_bytes());
        }
        // Relaxed: ordered behind the loads above, which are Acquire.
        if slot.state.load(Ordering::Relaxed) != state || self.is_gone(number) {
            return Err(Miss::Gone);
        }
        let order = StoredOrder::read(buffer).ok_or(Miss::Gone)?;
        // Right place, and a mark that was never issued for it?
        if own || self.ids.is_of(id, order.owner) { Ok(order) } else { Err(Miss::NotFound) }
    }

    /// Whether so many orders were kept after this number that it is not.
    fn is_gone(&self, number: u64) -> bool {
        // Relaxed: an order that this thread knows of through an Acquire is in the count it reads.
        number + self.retained < self.kept.load(Ordering::Relaxed)
    }
}

impl Writer {
    fn new(orders: &Arc<Orders>, shard: usize) -> Writer {
        Writer {
            orders: Arc::clone(orders),
            shard,
            pending: 0,
            known: 0,
            unused: 0,
            free: Vec::new(),
            kept: VecDeque::new(),
            segment: None,
            first: 0,
            filled: VecDeque::new(),
            allocated: 0,
            record: Vec::with_capacity(RECORD_BYTES_MAX + 7),
        }
    }

    /// The store that this writes to.
    pub fn orders(&self) -> &Arc<Orders> {
        &self.orders
    }

    /// Names an order of `owner`; `None` when [`PENDING_MAX`] orders are being taken at this
    /// moment.
    pub fn begin(&mut self, owner: OwnerKey) -> Option<Pending> {
        if self.pending == PENDING_MAX {
            return None;
        }
        let (slot, attempt) = loop {
            let (slot, attempt) = self.next_slot()?;
            // One that was used as often as an id can tell stays unused for ever.
            if attempt < self.orders.ids.attempts_max() {
                break (slot, attempt);
            }
        };
        self.pending += 1;
        let spot = SlotUse { shard: self.shard, slot, attempt };
        Some(Pending { spot, owner, id: self.orders.ids.id(owner, spot) })
    }

    /// A slot that holds nothing which is kept, and which use of it comes next.
    fn next_slot(&mut self) -> Option<(usize, u64)> {
        if let Some(free) = self.free.pop() {
            return Some(free);
        }
        let shard = &self.orders.shards[self.shard];
        if let Some(&(slot, number)) = self.kept.front()
            && self.is_gone(number)
        {
            self.kept.pop_front();
            // Relaxed: this thread alone writes it.
            let state = shard.slot(slot)?.state.load(Ordering::Relaxed);
            return Some((slot, state / 2));
        }
        let slot = self.unused;
        shard.slot_or_new(slot)?;
        self.unused += 1;
        Some((slot, 0))
    }

    /// The order was refused: its slot serves another. What its id named is not found.
    pub fn abandon(&mut self, pending: Pending) {
        self.pending -= 1;
        self.free.push((pending.spot.slot, pending.spot.attempt + 1));
    }

    /// Keeps the order.
    ///
    /// # Errors
    /// When it does not fit; the pending order is abandoned then.
    pub fn keep<S: AsRef<str>>(
        &mut self,
        pending: Pending,
        draft: &Draft<'_, S>,
    ) -> Result<OrderId, Unkept> {
        self.record.clear();
        let written = draft.write(pending.owner, &mut self.record).ok_or(Unkept::TooLong);
        self.record.resize(self.record.len().next_multiple_of(8), 0);
        match written.and_then(|()| self.append()) {
            Ok((number, place)) => Ok(self.publish(pending, number, place)),
            Err(unkept) => {
                self.abandon(pending);
                Err(unkept)
            }
        }
    }

    /// Whether an order of this number was gone when this shard kept its last.
    fn is_gone(&self, number: u64) -> bool {
        number.saturating_add(self.orders.retained) < self.known
    }

    /// Numbers the record that was just written and copies it to the log.
    fn append(&mut self) -> Result<(u64, RecordPlace), Unkept> {
        let words = self.record.len() / 8;
        if words > RECORD_WORDS_MAX {
            return Err(Unkept::TooLong);
        }
        let segment = match self.segment {
            Some(segment) if self.first + words <= SEGMENT_WORDS => segment,
            _ => self.open_segment()?,
        };
        // Relaxed: whoever sees this order through the Release stores below sees it counted.
        let number = self.orders.kept.fetch_add(1, Ordering::Relaxed);
        self.known = number + 1;
        let place = RecordPlace { segment, first: self.first, words };
        let log = self.orders.shards[self.shard].log[segment].get();
        let log = log.expect("opened by this writer");
        let (bytes, _) = self.record.as_chunks::<8>();
        for (word, bytes) in log[self.first..].iter().zip(bytes) {
            // Release: pairs with the Acquire of a reader still copying what lay here, whose number
            // this writer saw gone before it opened the segment again.
            word.store(u64::from_le_bytes(*bytes), Ordering::Release);
        }
        self.first += words;
        Ok((number, place))
    }

    /// Makes a record that lies in the log findable.
    fn publish(&mut self, pending: Pending, number: u64, place: RecordPlace) -> OrderId {
        let Pending { spot, id, .. } = pending;
        let slot = self.orders.shards[self.shard].slot(spot.slot).expect("given by `begin`");
        // Relaxed: the Release stores of the words carry it to whoever sees one of them.
        slot.state.store(whole(spot.attempt) - 1, Ordering::Relaxed);
        slot.number.store(number, Ordering::Release);
        slot.place.store(place.pack(), Ordering::Release);
        // Release: pairs with the Acquire at the start of `find`.
        slot.state.store(whole(spot.attempt), Ordering::Release);
        self.pending -= 1;
        self.kept.push_back((spot.slot, number));
        self.filled.back_mut().expect("opened by `append`").1 = number;
        id
    }

    /// Starts a segment: the oldest one if no record in it is kept any more, else a new one.
    fn open_segment(&mut self) -> Result<usize, Unkept> {
        self.segment = None;
        let segment = match self.filled.front() {
            Some(&(segment, last)) if self.is_gone(last) => {
                self.filled.pop_front();
                segment
            }
            _ => {
                let segment = self.allocated;
                let log = self.orders.shards[self.shard].log.get(segment).ok_or(Unkept::Full)?;
                log.get_or_init(|| (0..SEGMENT_WORDS).map(|_| AtomicU64::new(0)).collect());
                self.allocated += 1;
                segment
            }
        };
        // Its last number is set by every record that is published in it.
        self.filled.push_back((segment, u64::MAX));
        self.first = 0;
        self.segment = Some(segment);
        Ok(segment)
    }
}

impl Shard {
    fn new(retained: usize) -> Shard {
        // The longest records leave less than one of their length unused at the end of a segment.
        let records_per_segment = SEGMENT_WORDS / RECORD_WORDS_MAX;
        // One is being filled, and of the oldest only the last record may be kept.
        let segments = retained.div_ceil(records_per_segment) + 2;
        Shard {
            slots: (0..slots_max(retained).div_ceil(SLOTS)).map(|_| OnceLock::new()).collect(),
            log: (0..segments).map(|_| OnceLock::new()).collect(),
        }
    }

    fn slot(&self, slot: usize) -> Option<&OrderSlot> {
        Some(&self.slots.get(slot / SLOTS)?.get()?[slot % SLOTS])
    }

    fn slot_or_new(&self, slot: usize) -> Option<&OrderSlot> {
        Some(&self.slots.get(slot / SLOTS)?.get_or_init(OrderSlot::segment)[slot % SLOTS])
    }
}

impl OrderSlot {
    fn segment() -> Box<[OrderSlot]> {
        let slot = |_| OrderSlot {
            state: AtomicU64::new(0),
            number: AtomicU64::new(0),
            place: AtomicU64::new(0),
        };
        (0..SLOTS).map(slot).collect()
    }
}

/// Slots of a shard: for what it keeps and what is pending, and as many again for those that were
/// used as often as an id can tell. They are allocated when they are needed.
fn slots_max(retained: usize) -> usize {
    2 * (retained + PENDING_MAX)
}

/// The state of a slot in which this attempt is kept.
fn whole(attempt: u64) -> u64 {
    attempt * 2 + 2
}

/// Where a record lies: 32 bits of segment, 16 of its first word, 16 of their number.
struct RecordPlace {
    segment: usize,
    first: usize,
    words: usize,
}

impl RecordPlace {
    fn pack(&self) -> u64 {
        (self.segment as u64) << 32 | (self.first as u64) << 16 | self.words as u64
    }

    fn unpack(place: u64) -> RecordPlace {
        let half = |shift: u32| (place >> shift) as usize & 0xffff;
        RecordPlace { segment: (place >> 32) as usize, first: half(16), words: half(0) }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
