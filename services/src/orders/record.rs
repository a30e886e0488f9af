//! How an order lies in memory: a flat run of bytes, bounded in each part.
//!
//! Owns the layout, writing it and reading it back without a copy. It refuses meaning: the parts
//! were checked where they came in.
//!
//! ```text
//! created (8, ms)  owner (8)  client (1+n)  customer (1+n)  amount (1+n)  skus (1)  each: 1+n
//! ```

use authn::OwnerKey;

/// The longest customer id, in bytes.
pub const CUSTOMER_BYTES_MAX: usize = 128;
/// The longest client name kept, in bytes. A longer one is cut: it is for information.
pub const CLIENT_BYTES_MAX: usize = 128;
/// The longest text of an amount, in bytes: room for every f64 and more.
pub const AMOUNT_BYTES_MAX: usize = 40;
/// The most lines of an order.
pub const SKUS_MAX: usize = 100;
/// The longest name of a SKU, in bytes.
pub const SKU_BYTES_MAX: usize = crate::inventory::name::SKU_BYTES_MAX;
/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 8
    + 8
    + (1 + CLIENT_BYTES_MAX)
    + (1 + CUSTOMER_BYTES_MAX)
    + (1 + AMOUNT_BYTES_MAX)
    + 1
    + SKUS_MAX * (1 + SKU_BYTES_MAX);

/// What is kept of an order.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a, S> {
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Whose order it is, for those who are to know it.
    pub client: &'a str,
    /// For which customer of the client's it was made.
    pub customer: &'a str,
    /// A JSON number, as it was given.
    pub amount: &'a str,
    /// One for each line.
    pub skus: &'a [S],
}

/// An order read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredOrder<'a> {
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Who may read it.
    pub owner: OwnerKey,
    /// Whose order it is, for those who are to know it.
    pub client: &'a [u8],
    /// For which customer of the client's it was made.
    pub customer: &'a [u8],
    /// A JSON number, as it was given.
    pub amount: &'a [u8],
    skus: &'a [u8],
}

impl<S: AsRef<str>> Draft<'_, S> {
    /// Appends the record of an order of `owner`; `None`, with nothing appended, when a part is
    /// longer than its bound.
    pub fn write(&self, owner: OwnerKey, out: &mut Vec<u8>) -> Option<()> {
        let fits = self.customer.len() <= CUSTOMER_BYTES_MAX
            && self.amount.len() <= AMOUNT_BYTES_MAX
            && self.skus.len() <= SKUS_MAX
            && self.skus.iter().all(|sku| sku.as_ref().len() <= SKU_BYTES_MAX);
        if !fits {
            return None;
        }
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.extend_from_slice(&owner.bits().to_le_bytes());
        write_part(out, cut(self.client, CLIENT_BYTES_MAX));
        write_part(out, self.customer);
        write_part(out, self.amount);
        out.push(self.skus.len() as u8);
        self.skus.iter().for_each(|sku| write_part(out, sku.as_ref()));
        Some(())
    }
}

impl<'a> StoredOrder<'a> {
    /// Reads a record that [`Draft::write`] wrote, whatever follows it; `None` for anything else.
    pub fn read(bytes: &'a [u8]) -> Option<StoredOrder<'a>> {
        let (created, rest) = bytes.split_first_chunk()?;
        let (owner, mut rest) = rest.split_first_chunk()?;
        let created_ms = u64::from_le_bytes(*created);
        let owner = OwnerKey::from_bits(u64::from_le_bytes(*owner));
        let client = read_part(&mut rest)?;
        let customer = read_part(&mut rest)?;
        let amount = read_part(&mut rest)?;
        Some(StoredOrder { created_ms, owner, client, customer, amount, skus: rest })
    }

    /// The SKU of each line, in the order given.
    pub fn skus(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (count, mut rest) = self.skus.split_first().unwrap_or((&0, &[]));
        (0..*count).map_while(move |_| read_part(&mut rest))
    }
}

/// The start of a text, of at most so many bytes, ending between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Length and bytes. No part is longer than 255.
fn write_part(out: &mut Vec<u8>, part: &str) {
    out.push(part.len() as u8);
    out.extend_from_slice(part.as_bytes());
}

fn read_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&length, tail) = rest.split_first()?;
    let (part, tail) = tail.split_at_checked(usize::from(length))?;
    *rest = tail;
    Some(part)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const OWNER: OwnerKey = OwnerKey::from_bits(5);

    #[test]
    fn a_record_survives_its_encoding() {
        let skus = ["SKU-1", "b", "SKU-1"];
        let draft =
            Draft { created_ms: 77, client: "bench", customer: "c-1", amount: "9.50", skus: &skus };
        let mut bytes = Vec::new();
        draft.write(OWNER, &mut bytes).expect("within bounds");
        bytes.extend_from_slice(&[0; 7]);
        let order = StoredOrder::read(&bytes).expect("whole");
        assert_eq!(
            (order.created_ms, order.owner, order.client, order.customer),
            (77, OWNER, &b"bench"[..], &b"c-1"[..])
        );
        assert_eq!(order.amount, b"9.50");
        assert_eq!(order.skus().collect::<Vec<_>>(), [&b"SKU-1"[..], b"b", b"SKU-1"]);
    }

    #[test]
    fn every_part_is_bounded_and_the_longest_record_is_as_computed() {
        let long = "x".repeat(300);
        let skus = vec![&long[..SKU_BYTES_MAX]; SKUS_MAX];
        let mut draft = Draft {
            created_ms: 0,
            client: &long,
            customer: &long[..CUSTOMER_BYTES_MAX],
            amount: &long[..AMOUNT_BYTES_MAX],
            skus: &skus,
        };
        let mut bytes = Vec::new();
        draft.write(OWNER, &mut bytes).expect("just within bounds");
        assert_eq!(bytes.len(), RECORD_BYTES_MAX);
        draft.customer = &long;
        assert!(draft.write(OWNER, &mut bytes).is_none());
        assert_eq!(bytes.len(), RECORD_BYTES_MAX);
    }

    #[test]
    fn a_short_record_is_no_order() {
        let draft = Draft { created_ms: 7, client: "b", customer: "c", amount: "1", skus: &["s"] };
        let mut bytes = Vec::new();
        draft.write(OWNER, &mut bytes).expect("within bounds");
        for length in 0..22 {
            assert!(StoredOrder::read(&bytes[..length]).is_none(), "{length}");
        }
    }
}
