//! The newest orders, written by the core that took them and read by any.
//!
//! Owns the memory of orders and the rule which of them are kept: the newest `retained` of the whole
//! service. It refuses to look inside: an order is a run of bytes ([`crate::orders::record`]).
//!
//! # How
//! Each core has a shard that only it writes ([`Writer`], one per shard). A shard is a log, segments
//! of words in which records lie one after another, and an index, a ring of where each record lies.
//! The id of an order is its shard and its sequence there, so finding it is an index computation.
//!
//! How old an order is, is told by its *number* in the count of all orders, one shared counter: it
//! is kept while fewer than `retained` were issued after it. That one rule serves four times. It
//! tells 410 from 200. It frees a segment of the log once the last record in it is that old. It
//! makes the index slot of a record free before the ring comes round to it (a shard's own orders
//! are numbered upwards, and the ring has `retained` slots). And it validates a read: whoever copied
//! a record and then finds its number still among the newest knows that nothing of it had been
//! overwritten, since that happens to old records only.
//!
//! # Chosen against
//! - a map with reclamation (dashmap, papaya, a skip list): four to thirty times as long per insert
//!   (floor.md of the design), an allocation each, and eviction needs an order beside it;
//! - `retained / cores` orders per shard without a shared count: a client on one connection would
//!   find its orders gone after a fraction of `--orders-retained`;
//! - records in place of the index (fixed size): 7 KB each for the sake of the longest.
//!
//! # Bounds
//! Memory: 24 bytes an index slot and the records, both in segments allocated on first use and then
//! used again. A shard holds what it wrote among the newest `retained`; one that no longer takes
//! orders keeps its old segments until it does.

use std::{collections::VecDeque, sync::Arc};

use crossbeam::utils::CachePadded;

use crate::{
    orders::{
        id::{InstanceTag, OrderId, SHARDS_MAX},
        record::{Draft, Order, RECORD_BYTES_MAX},
    },
    sync::{AtomicU64, OnceLock, Ordering},
};

/// Orders kept, by default.
pub const ORDERS_RETAINED: usize = 1_000_000;

/// Words of a log segment: 64 KiB, some tens of microseconds to allocate.
const SEGMENT_WORDS: usize = if cfg!(loom) { 2 } else { 8192 };
/// The longest record in words, as many fit a segment at least once.
const RECORD_WORDS_MAX: usize = if cfg!(loom) {
    2
} else {
    RECORD_BYTES_MAX.div_ceil(8)
};
/// Index slots allocated at a time: 24 KiB.
const INDEX_SLOTS: usize = if cfg!(loom) { 2 } else { 1024 };

/// Why there is no order under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// This instance never issued the id.
    NotFound,
    /// It did, and has since issued as many orders as it keeps.
    Gone,
}

/// The order could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// A part of it is longer than its bound.
    TooLong,
    /// The shard's memory is used up by newer orders. A bound that other bounds keep from being met.
    Full,
}

/// All orders kept. Shared by all cores.
pub struct Orders {
    tag: InstanceTag,
    retained: u64,
    /// Orders issued by all shards. Alone on its line: every insertion adds to it.
    issued: CachePadded<AtomicU64>,
    shards: Box<[CachePadded<Shard>]>,
}

struct Shard {
    /// Sequences below this one have been issued by this shard.
    next: AtomicU64,
    index: Box<[OnceLock<Box<[Slot]>>]>,
    log: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

/// Where a record lies. Written in the order of the fields and read in the reverse: whoever sees a
/// new `number` or `place` sees the new `sequence` too.
struct Slot {
    /// The sequence it belongs to, plus one: 0 is nobody's.
    sequence: AtomicU64,
    number: AtomicU64,
    /// Segment, first word and words of the record, packed.
    place: AtomicU64,
}

/// The right to write a shard. There is one for each, taken when the store is made.
pub struct Writer {
    orders: Arc<Orders>,
    shard: usize,
    sequence: u64,
    /// The segment being filled, and its first free word.
    segment: Option<usize>,
    free: usize,
    /// Segments filled before, oldest first, each with the number of its last record.
    filled: VecDeque<(usize, u64)>,
    /// Segments allocated so far.
    allocated: usize,
    /// Number of the newest record.
    newest: u64,
    record: Vec<u8>,
}

impl Orders {
    /// A store of the newest `retained` orders, and the writer of each of its shards.
    ///
    /// Both numbers are at least 1; shards are at most [`SHARDS_MAX`].
    pub fn new(retained: usize, shards: usize, tag: InstanceTag) -> (Arc<Orders>, Vec<Writer>) {
        let retained = retained.max(1);
        let shards = shards.clamp(1, SHARDS_MAX);
        let orders = Arc::new(Orders {
            tag,
            retained: retained as u64,
            issued: CachePadded::new(AtomicU64::new(0)),
            shards: (0..shards)
                .map(|_| CachePadded::new(Shard::new(retained)))
                .collect(),
        });
        let writers = (0..shards)
            .map(|shard| Writer::new(&orders, shard))
            .collect();
        (orders, writers)
    }

    /// Orders issued by this instance.
    pub fn issued(&self) -> u64 {
        // Relaxed: a figure for metrics.
        self.issued.load(Ordering::Relaxed)
    }

    /// The order under `id`, copied into `buffer` (whose memory is used again).
    pub fn find<'b>(&self, id: OrderId, buffer: &'b mut Vec<u8>) -> Result<Order<'b>, Miss> {
        let (shard, sequence) = id.place(self.tag).ok_or(Miss::NotFound)?;
        let shard = self.shards.get(shard).ok_or(Miss::NotFound)?;
        // Acquire: pairs with the Release at the end of `insert`. Below it, slot and record are whole.
        if sequence >= shard.next.load(Ordering::Acquire) {
            return Err(Miss::NotFound);
        }
        let slot = shard.slot(sequence, self.retained).ok_or(Miss::Gone)?;
        // Acquire, all three: pair with the Release stores of `insert`, in the reverse order.
        let place = Place::unpack(slot.place.load(Ordering::Acquire));
        let number = slot.number.load(Ordering::Acquire);
        if slot.sequence.load(Ordering::Acquire) != sequence + 1 || self.is_gone(number) {
            return Err(Miss::Gone);
        }
        buffer.clear();
        let words = shard.log.get(place.segment).and_then(OnceLock::get);
        let words = words.and_then(|words| words.get(place.first..place.first + place.words));
        for word in words.ok_or(Miss::Gone)? {
            // Acquire: pairs with the Release store of a later record over this one, whose writer
            // had seen this one's number gone: then the look below sees that too.
            buffer.extend_from_slice(&word.load(Ordering::Acquire).to_le_bytes());
        }
        if self.is_gone(number) {
            return Err(Miss::Gone);
        }
        Order::read(buffer).ok_or(Miss::Gone)
    }

    /// Whether so many orders were issued after this number that it is not kept.
    fn is_gone(&self, number: u64) -> bool {
        // Relaxed: an order that this thread knows of through an Acquire is in the count it reads.
        number + self.retained < self.issued.load(Ordering::Relaxed)
    }
}

impl Writer {
    fn new(orders: &Arc<Orders>, shard: usize) -> Writer {
        Writer {
            orders: Arc::clone(orders),
            shard,
            sequence: 0,
            segment: None,
            free: 0,
            filled: VecDeque::new(),
            allocated: 0,
            newest: 0,
            record: Vec::with_capacity(RECORD_BYTES_MAX + 7),
        }
    }

    /// The store that this writes to.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Keeps an order.
    pub fn insert<S: AsRef<str>>(&mut self, draft: &Draft<'_, S>) -> Result<OrderId, Unkept> {
        self.record.clear();
        draft.write(&mut self.record).ok_or(Unkept::TooLong)?;
        self.record.resize(self.record.len().next_multiple_of(8), 0);
        self.append()
    }

    /// Numbers the record that was just written and copies it to the log.
    fn append(&mut self) -> Result<OrderId, Unkept> {
        let words = self.record.len() / 8;
        if words > RECORD_WORDS_MAX {
            return Err(Unkept::TooLong);
        }
        let segment = match self.segment {
            Some(segment) if self.free + words <= SEGMENT_WORDS => segment,
            _ => self.open_segment()?,
        };
        let orders = &*self.orders;
        let shard = &orders.shards[self.shard];
        // Relaxed: whoever sees this order through the Release stores below sees it counted.
        let number = orders.issued.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            segment,
            first: self.free,
            words,
        };
        let log = shard.log[segment].get().expect("opened by this writer");
        let (bytes, _) = self.record.as_chunks::<8>();
        for (word, bytes) in log[self.free..].iter().zip(bytes) {
            // Release: pairs with the Acquire of a reader still copying what lay here, whose number
            // this writer saw gone before it opened the segment again.
            word.store(u64::from_le_bytes(*bytes), Ordering::Release);
        }
        let slot = shard.slot_or_new(self.sequence, orders.retained);
        // Release, in this order: see `Slot`.
        slot.sequence.store(self.sequence + 1, Ordering::Release);
        slot.number.store(number, Ordering::Release);
        slot.place.store(place.pack(), Ordering::Release);
        let id = OrderId::new(orders.tag, self.shard, self.sequence);
        self.free += words;
        self.newest = number;
        self.sequence += 1;
        // Release: pairs with the Acquire at the start of `find`.
        shard.next.store(self.sequence, Ordering::Release);
        Ok(id)
    }

    /// Starts a segment: the oldest one if no record in it is kept any more, else a new one.
    fn open_segment(&mut self) -> Result<usize, Unkept> {
        let orders = &*self.orders;
        if let Some(segment) = self.segment.take() {
            self.filled.push_back((segment, self.newest));
        }
        let segment = match self.filled.front() {
            Some(&(segment, last)) if orders.is_gone(last) => {
                self.filled.pop_front();
                segment
            }
            _ => {
                let segment = self.allocated;
                let log = orders.shards[self.shard]
                    .log
                    .get(segment)
                    .ok_or(Unkept::Full)?;
                log.get_or_init(|| words(SEGMENT_WORDS));
                self.allocated += 1;
                segment
            }
        };
        self.free = 0;
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
            next: AtomicU64::new(0),
            index: (0..retained.div_ceil(INDEX_SLOTS))
                .map(|_| OnceLock::new())
                .collect(),
            log: (0..segments).map(|_| OnceLock::new()).collect(),
        }
    }

    fn slot(&self, sequence: u64, retained: u64) -> Option<&Slot> {
        let index = (sequence % retained) as usize;
        Some(&self.index[index / INDEX_SLOTS].get()?[index % INDEX_SLOTS])
    }

    fn slot_or_new(&self, sequence: u64, retained: u64) -> &Slot {
        let index = (sequence % retained) as usize;
        let segment = self.index[index / INDEX_SLOTS].get_or_init(Slot::segment);
        &segment[index % INDEX_SLOTS]
    }
}

impl Slot {
    fn segment() -> Box<[Slot]> {
        let slot = |_| Slot {
            sequence: AtomicU64::new(0),
            number: AtomicU64::new(0),
            place: AtomicU64::new(0),
        };
        (0..INDEX_SLOTS).map(slot).collect()
    }
}

/// Where a record lies: 32 bits of segment, 16 of its first word, 16 of their number.
struct Place {
    segment: usize,
    first: usize,
    words: usize,
}

impl Place {
    fn pack(&self) -> u64 {
        (self.segment as u64) << 32 | (self.first as u64) << 16 | self.words as u64
    }

    fn unpack(place: u64) -> Place {
        let half = |shift: u32| (place >> shift) as usize & 0xffff;
        Place {
            segment: (place >> 32) as usize,
            first: half(16),
            words: half(0),
        }
    }
}

fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
