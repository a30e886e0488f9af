//! Reservations: who has reserved how many of what, decided once for each order id.
//!
//! Owns the rule that a reservation is all or nothing, that its first response stands, and that it
//! belongs to its holder: names are kept per holder, so that another's name is simply a new one,
//! and the orders service holds apart from everybody who comes by the API. It refuses strings
//! beyond lookups: a name is a 128-bit key, a SKU an index into the table.
//!
//! ```text
//! reserve:  (new) -> CLAIMED -> HELD | REFUSED
//! release:  HELD -> RELEASED      CLAIMED -> CANCELLED (the reserving thread releases)
//!           (new) -> BARRED: a reserve that arrives after its own release must not hold for ever
//! ```
//!
//! # What is remembered
//! The newest `reservations_retained` decisions (`OnceMap`); one of more than three SKUs takes
//! the room of one more for every six further SKUs. An active reservation that is forgotten is
//! final: its stock is committed, a release of it finds nothing, and its order id is new again.
//! Stock is conserved: supplied = available + reserved + committed, whenever no call is under way.
//!
//! # What a race can show
//! Stock is taken SKU by SKU in one order that all threads share, after a look whether there is
//! enough of all. A reservation that still meets too little releases what it took. In between,
//! another may be refused for stock that is released a moment later; none is ever accepted
//! without stock. Taking all or nothing in one step would need multi-word compare-and-swap on
//! every hot counter, for a refusal that an instant earlier or later would have been right.

use std::hash::BuildHasher;

use authn::{Owner, Prf};
use uuid::Uuid;

use crate::inventory::item::{SPARE_BITS, SPARE_SHIFT, quantity_of, sku_of};
use crate::inventory::name::{ORDER_BYTES_MAX, OrderRef, SkuName};
use crate::inventory::reservation::{FINGERPRINT_BITS, ITEMS_MAX, ReservationRequest};
use crate::inventory::sku::{Sku, SkuTable};
use crate::lockfree::once_map::{OnceMap, PAYLOAD, Tag, Vacant, WORDS};
use crate::lockfree::sync::RandomState;

/// Different SKUs there is room for, by default.
pub const SKUS_MAX: usize = 16_384;
/// Reservations remembered, by default.
pub const RESERVATIONS_RETAINED: usize = 1_000_000;
/// What is there at the start, by default.
pub const DEFAULT_STOCK: [(&str, u32); 3] =
    [("SKU-1000", 100_000), ("SKU-2000", 100_000), ("SKU-3000", 100_000)];

/// Length of a UUID with its hyphens.
const UUID_BYTES: usize = 36;

const HELD: Tag = Tag::decided(0);
const REFUSED: Tag = Tag::decided(1);
const RELEASED: Tag = Tag::decided(2);
const BARRED: Tag = Tag::decided(3);
/// Further SKUs of an active reservation, in a slot of their own.
const PART: Tag = Tag::decided(4);

/// Word of an entry that names its first further slot; when refused, the SKU that was short.
const MORE: usize = 0;
/// The words behind it are items, with a part of the fingerprint in the spare bits of each.
const INLINE_ITEMS: usize = PAYLOAD - 1;
const SPARE_MASK: u64 = (1 << SPARE_BITS) - 1;
const _: () = assert!(INLINE_ITEMS as u32 * SPARE_BITS == FINGERPRINT_BITS);

/// In whose name a reservation is made. Made once per request, by [`Inventory::client`] or
/// [`Inventory::orders`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(u64);

/// A reservation's name among those of its holder.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// In whose name it is made.
    pub holder: Holder,
    /// What the holder calls it.
    pub order: OrderRef<'a>,
}

/// Through which door a holder came: what orders holds cannot be named through the API.
#[derive(Hash)]
enum HolderKind {
    Api,
    Orders,
}

/// The response to a reservation. What it says is the first response under its name.
#[derive(Clone, Copy)]
pub enum Reserved<'a> {
    /// All of it is reserved.
    Made,
    /// Nothing is reserved: there was too little of this SKU.
    Short(&'a Sku),
    /// Nothing is reserved: the item of this index names no SKU. Not remembered.
    Unknown(usize),
    /// It was reserved and has been released, or was released before it could be reserved.
    Released,
    /// Nothing is reserved by this call: the first one of this name asked for something else.
    Mismatch,
    /// Another request is deciding it at this moment.
    InProgress,
    /// Nothing is reserved: more lines than [`ITEMS_MAX`]. Not remembered.
    TooMany,
    /// Nothing is reserved: all of the memory is in work at this moment. Not remembered.
    Busy,
}

/// The response to releasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It was reserved and is released, now or by the thread that is reserving it.
    Now,
    /// It was released before.
    Before,
    /// Nothing is reserved under this order id, and nothing will be: a later reserve is refused.
    Nothing,
    /// All of the memory is in work at this moment: nothing was done.
    Busy,
}

/// The stock and its reservations. Shared by all cores.
pub struct Inventory {
    skus: SkuTable,
    reservations: OnceMap,
    seeds: [RandomState; 2],
    holders: Prf,
}

impl Inventory {
    /// An inventory without SKUs, which distinguishes holders by `holders`.
    pub fn new(skus_max: usize, reservations_retained: usize, holders: Prf) -> Inventory {
        Inventory {
            skus: SkuTable::new(skus_max),
            reservations: OnceMap::new(reservations_retained),
            seeds: [RandomState::default(), RandomState::default()],
            holders,
        }
    }

    /// The holder of what an owner reserves through the API.
    pub fn client(&self, owner: Owner<'_>) -> Holder {
        Holder(self.holders.of(&(HolderKind::Api, owner)))
    }

    /// The holder of what the orders service reserves, as the owner that it is here.
    pub fn orders(&self, owner: Owner<'_>) -> Holder {
        Holder(self.holders.of(&(HolderKind::Orders, owner)))
    }

    /// The SKUs and their counters.
    pub fn skus(&self) -> &SkuTable {
        &self.skus
    }

    /// The SKU of this name.
    pub fn sku(&self, name: SkuName<'_>) -> Option<&Sku> {
        self.skus.at(self.skus.find(name)?)
    }

    /// An empty list of what is to be reserved here.
    pub fn request(&self) -> ReservationRequest<'_> {
        ReservationRequest::new(&self.skus)
    }

    /// Holds all that is wanted under this name, or none.
    pub fn reserve(&self, name: Name<'_>, request: &ReservationRequest<'_>) -> Reserved<'_> {
        let key = self.key(name);
        let vacant = match self.reservations.find(key) {
            Ok(entry) => return self.repeat(entry.tag, entry.payload, request),
            Err(vacant) => vacant,
        };
        if request.lines() > ITEMS_MAX {
            return Reserved::TooMany;
        }
        match request.unknown() {
            Some(line) => Reserved::Unknown(line),
            None => self.decide(vacant, request),
        }
    }

    /// Releases what is reserved under this name, exactly once.
    pub fn release(&self, name: Name<'_>) -> Released {
        let key = self.key(name);
        let entry = match self.reservations.find(key) {
            Ok(entry) => entry,
            Err(vacant) => {
                let Some(ticket) = self.take() else {
                    return Released::Busy;
                };
                match self.reservations.link(ticket, vacant, BARRED) {
                    Ok(()) => return Released::Nothing,
                    Err(entry) => entry,
                }
            }
        };
        let mut tag = entry.tag;
        let mut payload = entry.payload;
        loop {
            let to = match tag {
                HELD => RELEASED,
                Tag::CLAIMED => Tag::CANCELLED,
                RELEASED | Tag::CANCELLED => return Released::Before,
                _ => return Released::Nothing,
            };
            match self.reservations.change(entry.ticket, tag, to) {
                Ok(()) if to == RELEASED => {
                    self.release_items(payload);
                    return Released::Now;
                }
                Ok(()) => return Released::Now,
                // It was being decided: its words are whole only now.
                Err(Some(_)) => match self.reservations.find(key) {
                    Ok(again) if again.ticket == entry.ticket => {
                        (tag, payload) = (again.tag, again.payload);
                    }
                    _ => return Released::Nothing,
                },
                Err(None) => return Released::Nothing,
            }
        }
    }

    /// Claims the order id for a new reservation and decides it.
    fn decide(&self, vacant: Vacant, request: &ReservationRequest<'_>) -> Reserved<'_> {
        let Some(ticket) = self.take() else {
            return Reserved::Busy;
        };
        let (inline, further) = request.items().split_at(request.items().len().min(INLINE_ITEMS));
        let Some(more) = self.write_further(further) else {
            self.reservations.store(ticket, Tag::FREE);
            return Reserved::Busy;
        };
        let mut payload = [0; PAYLOAD];
        payload[MORE] = more;
        payload[MORE + 1..][..inline.len()].copy_from_slice(inline);
        mark(&mut payload, request.fingerprint());
        for (index, word) in payload.into_iter().enumerate() {
            self.reservations.write_payload(ticket, index, word);
        }
        if let Err(first) = self.reservations.link(ticket, vacant, Tag::CLAIMED) {
            self.free_further(more);
            return self.repeat(first.tag, first.payload, request);
        }
        match self.reserve_stock(request) {
            Ok(()) if self.reservations.change(ticket, Tag::CLAIMED, HELD).is_ok() => {
                self.keep_further(more);
                Reserved::Made
            }
            Ok(()) => {
                // Released while it was being decided: nobody else has seen it reserved.
                self.free_further(more);
                request.items().iter().for_each(|&item| self.release_item(item));
                self.reservations.store(ticket, RELEASED);
                Reserved::Released
            }
            Err(short) => {
                self.free_further(more);
                self.reservations.write_payload(ticket, MORE, u64::from(short));
                match self.reservations.change(ticket, Tag::CLAIMED, REFUSED) {
                    Ok(()) => self.short(u64::from(short)),
                    Err(_) => {
                        self.reservations.store(ticket, RELEASED);
                        Reserved::Released
                    }
                }
            }
        }
    }

    /// Takes all, or nothing and says which SKU was short.
    fn reserve_stock(&self, request: &ReservationRequest<'_>) -> Result<(), u32> {
        if let Some(overflown) = request.overflown() {
            return Err(overflown);
        }
        let enough = |item| self.item(item).is_some_and(|(sku, n)| sku.available() >= n);
        // With one SKU the look would only cost.
        let look = if request.items().len() > 1 { request.items() } else { &[] };
        if let Some(&item) = look.iter().find(|&&item| !enough(item)) {
            return Err(sku_of(item));
        }
        let take = |item| self.item(item).is_some_and(|(sku, n)| sku.reserve(n).is_ok());
        for (taken, &item) in request.items().iter().enumerate() {
            if !take(item) {
                request.items()[..taken].iter().for_each(|&item| self.release_item(item));
                return Err(sku_of(item));
            }
        }
        Ok(())
    }

    /// The first response under a name, to who asks for the same again. A name that was barred has
    /// no content yet.
    fn repeat(
        &self,
        tag: Tag,
        payload: [u64; PAYLOAD],
        request: &ReservationRequest<'_>,
    ) -> Reserved<'_> {
        let known = request.unknown().is_none() && request.lines() <= ITEMS_MAX;
        let same = known && fingerprint_of(payload) == request.fingerprint();
        match tag {
            BARRED => Reserved::Released,
            _ if !same => Reserved::Mismatch,
            HELD => Reserved::Made,
            REFUSED => self.short(payload[MORE]),
            Tag::CLAIMED => Reserved::InProgress,
            _ => Reserved::Released,
        }
    }

    fn short(&self, index: u64) -> Reserved<'_> {
        self.skus.at(index as u32).map_or(Reserved::Released, Reserved::Short)
    }

    /// Releases the items of an entry that this thread has moved from HELD to RELEASED.
    fn release_items(&self, payload: [u64; PAYLOAD]) {
        payload[MORE + 1..].iter().for_each(|&item| self.release_item(item));
        let mut more = payload[MORE];
        while more != 0 {
            // Evicted meanwhile: those items were committed.
            let Some((_, words)) = self.reservations.words(more) else {
                return;
            };
            // The thread that reserved may still be about to make it PART.
            let ours = self.reservations.change(more, Tag::WRITING, RELEASED).is_ok()
                || self.reservations.change(more, PART, RELEASED).is_ok();
            if !ours {
                return;
            }
            words[1..].iter().for_each(|&item| self.release_item(item));
            more = words[0];
        }
    }

    /// Writes items into slots of their own, chained; the first one's ticket, 0 without items.
    fn write_further(&self, items: &[u64]) -> Option<u64> {
        let mut more = 0;
        for chunk in items.chunks(WORDS - 1) {
            let Some(ticket) = self.take() else {
                self.free_further(more);
                return None;
            };
            self.reservations.write(ticket, 0, more);
            for index in 1..WORDS {
                let item = chunk.get(index - 1).copied().unwrap_or(0);
                self.reservations.write(ticket, index, item);
            }
            // Whole before it is reachable, and not open to eviction before it is PART.
            self.reservations.store(ticket, Tag::WRITING);
            more = ticket;
        }
        Some(more)
    }

    /// Opens the further slots of a reservation that was made now to eviction.
    fn keep_further(&self, mut more: u64) {
        while more != 0 {
            // Read first: once it is PART it can be evicted.
            let next = self.reservations.words(more).map_or(0, |(_, words)| words[0]);
            // Fails where a release was quicker, which has given the items back.
            let _ = self.reservations.change(more, Tag::WRITING, PART);
            more = next;
        }
    }

    /// Frees the further slots of a reservation that is not reserved.
    fn free_further(&self, mut more: u64) {
        while more != 0 {
            let next = self.reservations.words(more).map_or(0, |(_, words)| words[0]);
            self.reservations.store(more, Tag::FREE);
            more = next;
        }
    }

    /// A slot; what its last tenant still reserved is committed.
    fn take(&self) -> Option<u64> {
        self.reservations.take(|tag, words| {
            let items = match tag {
                HELD => &words[WORDS - INLINE_ITEMS..],
                PART => &words[1..],
                _ => return,
            };
            for &item in items {
                if let Some((sku, quantity)) = self.item(item) {
                    sku.commit(quantity);
                }
            }
        })
    }

    fn release_item(&self, item: u64) {
        if let Some((sku, quantity)) = self.item(item) {
            sku.release(quantity);
        }
    }

    /// The SKU and quantity of a packed item; `None` for the 0 of an unused word.
    fn item(&self, item: u64) -> Option<(&Sku, u32)> {
        let quantity = quantity_of(item);
        (quantity != 0).then(|| self.skus.at(sku_of(item)).map(|sku| (sku, quantity)))?
    }

    /// The key of a name: that of its id, under the holder's secret mask. Nobody outside knows two
    /// masks' difference, by which alone an id of one holder could meet one of another.
    fn key(&self, name: Name<'_>) -> u128 {
        let Holder(mask) = name.holder;
        self.id_key(name.order) ^ (u128::from(mask) << 64 | u128::from(mask))
    }

    /// The id itself if it is a UUID in its usual form (in either case: RFC 9562 section 4), else
    /// 128 bits of keyed hashes: nobody outside can make two ids meet.
    fn id_key(&self, order: OrderRef<'_>) -> u128 {
        let text = order.as_str();
        if text.len() == UUID_BYTES
            && let Ok(uuid) = Uuid::try_parse(text)
        {
            return uuid.as_u128();
        }
        let mut lower = [0; ORDER_BYTES_MAX];
        // The type's promise: no longer than this.
        let lower = &mut lower[..text.len()];
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        let [low, high] = self.seeds.each_ref().map(|seed| seed.hash_one(&*lower));
        u128::from(high) << 64 | u128::from(low)
    }
}

/// Puts a fingerprint into the spare bits of an entry's items.
fn mark(payload: &mut [u64; PAYLOAD], fingerprint: u64) {
    for (part, item) in payload[MORE + 1..].iter_mut().enumerate() {
        *item |= (fingerprint >> (part as u32 * SPARE_BITS) & SPARE_MASK) << SPARE_SHIFT;
    }
}

/// The fingerprint that [`mark`] put there.
fn fingerprint_of(payload: [u64; PAYLOAD]) -> u64 {
    let parts = payload[MORE + 1..].iter().enumerate();
    parts.fold(0, |all, (part, item)| {
        all | (item >> SPARE_SHIFT & SPARE_MASK) << (part as u32 * SPARE_BITS)
    })
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
