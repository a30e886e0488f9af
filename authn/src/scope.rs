//! Scopes: what a token allows, as a bit set.
//!
//! Owns the seven scopes of the shop and their names. A set is 16 bits, so that checking a scope on
//! the hot path is one `and` and nine more scopes have room. Refuses scopes it does not know when a
//! client *asks* for them; ignores them in a token, where another issuer may put scopes that are
//! not ours to judge.

use std::fmt;

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Scope {
    /// Read orders.
    OrdersRead = 1,
    /// Create orders.
    OrdersWrite = 1 << 1,
    /// Read stock.
    InventoryRead = 1 << 2,
    /// Reserve and set stock.
    InventoryWrite = 1 << 3,
    /// Start benchmarks and store their results.
    BenchmarksExecute = 1 << 4,
    /// Read everybody's orders, not only one's own.
    OrdersReadAll = 1 << 5,
    /// Ask the authorization server about everybody's tokens, not only one's own.
    TokensIntrospect = 1 << 6,
}

impl Scope {
    /// Every scope, in the order in which sets are printed.
    pub const ALL: [Scope; 7] = [
        Scope::OrdersRead,
        Scope::OrdersWrite,
        Scope::InventoryRead,
        Scope::InventoryWrite,
        Scope::BenchmarksExecute,
        Scope::OrdersReadAll,
        Scope::TokensIntrospect,
    ];

    /// The name as it stands in tokens and challenges.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::OrdersRead => "orders.read",
            Scope::OrdersWrite => "orders.write",
            Scope::InventoryRead => "inventory.read",
            Scope::InventoryWrite => "inventory.write",
            Scope::BenchmarksExecute => "benchmarks.execute",
            Scope::OrdersReadAll => "orders.read.all",
            Scope::TokensIntrospect => "tokens.introspect",
        }
    }

    /// The scope of this name; scope names are case-sensitive (RFC 6749 section 3.3).
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet(u16);

/// A scope without a bit of its own would be granted with another one.
const _: () = assert!(Scope::ALL.len() <= u16::BITS as usize);

impl ScopeSet {
    /// The set without a scope.
    pub const EMPTY: ScopeSet = ScopeSet(0);

    /// Reads a list as a client asks for it: names separated by single spaces (RFC 6749 section
    /// 3.3). The empty text is the empty set; a name may be repeated.
    ///
    /// # Errors
    /// [`UnknownScope`] when a name is not known, or when two spaces follow each other.
    pub fn parse(list: &str) -> Result<ScopeSet, UnknownScope> {
        if list.is_empty() {
            return Ok(ScopeSet::EMPTY);
        }
        list.split(' ').try_fold(ScopeSet::EMPTY, |set, name| match Scope::parse(name) {
            Some(scope) => Ok(set.with(scope)),
            None => Err(UnknownScope),
        })
    }

    /// Reads a token's list and keeps the scopes that are known here.
    pub fn known_in(list: &str) -> ScopeSet {
        list.split(' ').filter_map(Scope::parse).collect()
    }

    /// This set and one more scope.
    #[must_use]
    pub const fn with(self, scope: Scope) -> ScopeSet {
        ScopeSet(self.0 | scope as u16)
    }

    /// Whether the scope is in the set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope as u16 != 0
    }

    /// Whether every scope of `other` is in this set.
    pub const fn contains_all(self, other: ScopeSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set has no scope.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes of the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> ScopeSet {
        scopes.into_iter().fold(ScopeSet::EMPTY, ScopeSet::with)
    }
}

/// The list as it stands in tokens: names separated by single spaces.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// A list of scopes named one that does not exist, or was not a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScope;

impl fmt::Display for UnknownScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use scopes separated by single spaces, out of")?;
        Scope::ALL.iter().try_for_each(|scope| write!(f, " {scope}"))
    }
}

impl std::error::Error for UnknownScope {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_are_read_strictly_when_asked_for() {
        let set = ScopeSet::parse("orders.write orders.read orders.read").unwrap();
        assert_eq!(set.to_string(), "orders.read orders.write");
        assert!(set.contains(Scope::OrdersRead) && !set.contains(Scope::InventoryRead));
        assert_eq!(ScopeSet::parse(""), Ok(ScopeSet::EMPTY));
        for wrong in [" ", "orders.read ", " orders.read", "orders.read  orders.write", "admin"] {
            assert_eq!(ScopeSet::parse(wrong), Err(UnknownScope), "{wrong:?}");
        }
        for wrong in ["Orders.Read", "orders.read,orders.write", "orders.read\torders.write"] {
            assert_eq!(ScopeSet::parse(wrong), Err(UnknownScope), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_keeps_only_what_is_known() {
        assert_eq!(ScopeSet::known_in("openid orders.read  x").to_string(), "orders.read");
        assert_eq!(ScopeSet::known_in("ORDERS.READ orders.reader"), ScopeSet::EMPTY);
    }

    #[test]
    fn every_scope_has_a_bit_of_its_own() {
        for (at, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!((scope as u16).count_ones(), 1, "{scope}");
            assert!(!Scope::ALL[..at].iter().any(|other| *other as u16 == scope as u16), "{scope}");
        }
    }

    proptest! {
        #[test]
        fn every_set_survives_printing(bits in any::<u16>()) {
            let all: ScopeSet = Scope::ALL.into_iter().collect();
            let set = ScopeSet(bits & all.0);
            prop_assert_eq!(ScopeSet::parse(&set.to_string()), Ok(set));
            prop_assert_eq!(ScopeSet::known_in(&set.to_string()), set);
            prop_assert!(set.contains_all(ScopeSet::EMPTY) && all.contains_all(set));
        }
    }
}
