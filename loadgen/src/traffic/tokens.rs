//! The access tokens that requests carry: none, one, or a pool that is gone round. They are
//! fetched and refreshed by another thread, outside the measured path; a worker looks at one
//! counter to learn that there are new ones. Refuses to show a token to `Debug`.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::traffic::schedule::WorkerShare;

/// A set of tokens in pool order.
type Pool = Arc<[Box<str>]>;

/// A handle to the tokens of a slice; clones share them.
#[derive(Clone, Default)]
pub struct Tokens {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    version: AtomicU64,
    pool: Mutex<Pool>,
    /// How far views that are gone have come: the next ones go on from there, so that a slice
    /// does not begin with the tokens that the one before began with.
    come: AtomicUsize,
}

impl Tokens {
    /// Requests carry no token.
    pub fn none() -> Tokens {
        Tokens::default()
    }

    /// Every request carries the same token.
    pub fn one(token: impl Into<Box<str>>) -> Tokens {
        Tokens::pool([token.into()])
    }

    /// Requests carry these in turn, and again from the first after the last. Each worker has a
    /// stretch of its own, so that no two send the same one before all were used.
    pub fn pool(tokens: impl IntoIterator<Item = Box<str>>) -> Tokens {
        let pool: Pool = tokens.into_iter().collect();
        Tokens { shared: Arc::new(Shared { pool: Mutex::new(pool), ..Shared::default() }) }
    }

    /// Puts new tokens in place of the old ones, for every clone of this handle.
    pub fn replace(&self, tokens: impl IntoIterator<Item = Box<str>>) {
        *self.lock() = tokens.into_iter().collect();
        // Release pairs with the Acquire in `TokenView::refresh`: who sees the new version, and
        // then takes the lock, finds the new tokens.
        self.shared.version.fetch_add(1, Ordering::Release);
    }

    /// The first of them, for requests beside the measured ones.
    pub fn first(&self) -> Option<Box<str>> {
        self.lock().first().cloned()
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether requests carry no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tokens({} kept secret)", self.len())
    }
}

/// One worker's view of the tokens: no lock is taken unless they were replaced.
pub(crate) struct TokenView {
    tokens: Tokens,
    version: u64,
    pool: Pool,
    next: usize,
    /// Where the share began, and how many tokens were taken since.
    begun: usize,
    taken: usize,
}

impl TokenView {
    pub(crate) fn new(tokens: &Tokens, share: WorkerShare) -> TokenView {
        let version = tokens.shared.version.load(Ordering::Acquire);
        let pool = Arc::clone(&tokens.lock());
        let begun = tokens.shared.come.load(Ordering::Relaxed);
        let next = (pool.len() * share.index / share.count + begun) % pool.len().max(1);
        TokenView { tokens: tokens.clone(), version, pool, next, begun, taken: 0 }
    }

    /// Takes replaced tokens over; true if there were any.
    #[inline]
    pub(crate) fn refresh(&mut self) -> bool {
        let version = self.tokens.shared.version.load(Ordering::Acquire);
        if version == self.version {
            return false;
        }
        self.version = version;
        self.pool = Arc::clone(&self.tokens.lock());
        self.next = if self.pool.is_empty() { 0 } else { self.next % self.pool.len() };
        true
    }

    /// Whether every request carries the same token, or none.
    pub(crate) fn is_constant(&self) -> bool {
        self.pool.len() <= 1
    }

    /// The token of the next request.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&str> {
        let token = self.pool.get(self.next)?;
        self.taken += 1;
        self.next = if self.next + 1 == self.pool.len() { 0 } else { self.next + 1 };
        Some(token)
    }
}

impl Drop for TokenView {
    fn drop(&mut self) {
        // Workers take about as many each; the one that came farthest decides for all.
        let come = self.begun.wrapping_add(self.taken);
        self.tokens.shared.come.fetch_max(come, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(tokens: &Tokens, index: usize, count: usize) -> TokenView {
        TokenView::new(tokens, WorkerShare { index, count })
    }

    #[test]
    fn a_pool_is_gone_round_from_each_workers_own_place() {
        let tokens = Tokens::pool(["a".into(), "b".into(), "c".into(), "d".into()]);
        let mut second = view(&tokens, 1, 2);
        let seen: Vec<String> =
            (0..5).map(|_| second.next().unwrap_or_default().to_owned()).collect();
        assert_eq!(seen, ["c", "d", "a", "b", "c"]);
        assert!(!second.is_constant());
        assert_eq!(view(&Tokens::none(), 0, 1).next(), None);
    }

    #[test]
    fn the_next_view_goes_on_where_the_last_one_ended() {
        let tokens = Tokens::pool(["a".into(), "b".into(), "c".into()]);
        let take = |count: usize| -> String {
            let mut view = view(&tokens, 0, 1);
            (0..count).filter_map(|_| view.next().map(str::to_owned)).collect()
        };
        assert_eq!([take(2), take(2), take(1)], ["ab", "ca", "b"]);
    }

    #[test]
    fn replaced_tokens_are_seen_once() {
        let tokens = Tokens::one("old");
        let mut view = view(&tokens, 0, 1);
        assert!(!view.refresh());
        tokens.clone().replace(["new".into()]);
        assert!(view.refresh());
        assert!(!view.refresh());
        assert_eq!(view.next(), Some("new"));
    }

    #[test]
    fn debug_keeps_the_secret() {
        assert_eq!(format!("{:?}", Tokens::one("hush")), "Tokens(1 kept secret)");
    }
}
