//! The assertions that have been used, remembered until they end.
//!
//! Owns the ids (`jti`) of each client, over all cores of a process. Memory is bounded, and each
//! client has a share of it: a full share refuses, and nothing that could still be used again is
//! ever forgotten. Refuses to follow a clock that was set back: an assertion that had ended once
//! stays so.

use std::collections::HashMap;
use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::assertion::{Assertion, AssertionError};
use super::clients::ClientRegistry;
use super::request::Authenticated;

/// Ids that are remembered in all: 40 bytes each.
const IDS_MAX: usize = 256 * 1024;

/// Ids of one client, where few share the whole.
const SHARE_MAX: usize = 4096;

/// The used assertions of all clients.
#[derive(Debug, Default)]
pub struct SeenAssertions {
    /// By client: the SHA-256 of each id, and until when it is remembered.
    clients: HashMap<Box<str>, HashMap<[u8; 32], u64>>,
    latest_s: u64,
}

impl SeenAssertions {
    /// Uses up a verified assertion: the client is authenticated by it once.
    ///
    /// # Errors
    /// [`AssertionError::Used`], [`AssertionError::Expired`] where the clock went back behind its
    /// end, [`AssertionError::Full`].
    pub fn accept<'r>(
        &mut self,
        assertion: Assertion<'r>,
        registry: &ClientRegistry,
        now: UnixTime,
    ) -> Result<Authenticated<'r>, AssertionError> {
        self.latest_s = self.latest_s.max(now.as_secs());
        let latest_s = self.latest_s;
        if assertion.until_s <= latest_s {
            return Err(AssertionError::Expired);
        }
        let client = assertion.client.client();
        if !self.clients.contains_key(&client.id) {
            // Clients that are no longer registered are remembered as long as their ids are.
            self.clients.retain(|_, ids| ids.values().any(|until_s| *until_s > latest_s));
        }
        let ids = self.clients.entry(client.id.clone()).or_default();
        if ids.get(&assertion.id).is_some_and(|until_s| *until_s > latest_s) {
            return Err(AssertionError::Used);
        }
        let share = share(registry);
        if ids.len() >= share {
            ids.retain(|_, until_s| *until_s > latest_s);
        }
        if ids.len() >= share {
            let first_s = ids.values().min().copied().unwrap_or(latest_s);
            return Err(AssertionError::Full(Duration::from_secs(first_s - latest_s)));
        }
        ids.insert(assertion.id, assertion.until_s);
        Ok(assertion.client)
    }
}

/// How many ids each client may have: the whole divided by the clients with keys.
fn share(registry: &ClientRegistry) -> usize {
    let clients = registry.clients().iter().filter(|client| client.keys.is_some()).count();
    (IDS_MAX / clients.max(1)).min(SHARE_MAX)
}
