//! The two names that inventory is asked with: of a SKU, and of the order a reservation is for.
//!
//! Owns their alphabets and lengths: having one of these types is the proof that they were checked.
//! Both fit a path without any escape (RFC 3986 section 2.3), so that whatever was made can be
//! asked for; a dot segment, which a client may resolve away, is neither.

use std::fmt;

/// The longest name of a SKU, in bytes.
pub const SKU_BYTES_MAX: usize = 64;

/// The longest order id, in bytes: a UUID has 36, and other systems' ids stay below this.
pub const ORDER_BYTES_MAX: usize = 64;

/// The name of a SKU: 1 to 64 of `A-Z a-z 0-9 . _ -`. Case does not matter where it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuName<'a>(&'a str);

/// The id of the order a reservation is for: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRef<'a>(&'a str);

/// The text is not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Empty, too long, or with a character outside of the alphabet of SKUs.
    Sku,
    /// Empty, too long, or with a character outside of the alphabet of order ids.
    Order,
}

impl<'a> SkuName<'a> {
    /// Checks length and alphabet.
    pub fn parse(text: &'a str) -> Result<SkuName<'a>, BadName> {
        let fits = text.len() <= SKU_BYTES_MAX && is_segment(text) && !text.contains('~');
        if fits { Ok(SkuName(text)) } else { Err(BadName::Sku) }
    }

    /// The name as it was given.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> OrderRef<'a> {
    /// Checks length and alphabet.
    pub fn parse(text: &'a str) -> Result<OrderRef<'a>, BadName> {
        let fits = text.len() <= ORDER_BYTES_MAX && is_segment(text);
        if fits { Ok(OrderRef(text)) } else { Err(BadName::Order) }
    }

    /// The id as it was given.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadName::Sku => "a SKU is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            BadName::Order => "an order id is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -",
        })
    }
}

impl std::error::Error for BadName {}

/// Whether the text is a path segment of unreserved characters and not a dot segment.
fn is_segment(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    !matches!(text, "" | "." | "..") && text.bytes().all(unreserved)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_alphabet_and_a_length() {
        for good in ["a", "SKU-1000", "a.b_C-9", &"x".repeat(64)] {
            assert_eq!(SkuName::parse(good).expect("good").as_str(), good);
        }
        for bad in ["", ".", "..", "a b", "a/b", "a~", "ä", "a\0", "\"", &"x".repeat(65)] {
            assert_eq!(SkuName::parse(bad), Err(BadName::Sku), "{bad:?}");
        }
        for good in ["a", "a~7", &"x".repeat(64)] {
            assert_eq!(OrderRef::parse(good).expect("good").as_str(), good);
        }
        for bad in ["", "..", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(OrderRef::parse(bad), Err(BadName::Order), "{bad:?}");
        }
    }
}
