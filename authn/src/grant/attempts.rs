//! Failed attempts to prove a secret, counted so that nobody guesses one.
//!
//! Owns who is held up and for how long: a pair of client and address after 10 failures within a
//! minute, an address after 100. An IPv6 network of 64 bits is one address. A pair that proved
//! itself within the hour keeps its own 10, whatever others do at its address. Memory is bounded:
//! places are found by a keyed hash, and where all are taken the one with the fewest failures is
//! given up, so that whoever is held up stays so. Refuses to read a clock: `now` is the time since
//! some start, and never goes back.

use std::net::IpAddr;
use std::time::Duration;

use crate::error::Error;
use crate::prf::Prf;

/// Failures of a pair of client and address within [`WINDOW_S`].
const PAIR_FAILURES_MAX: usize = 10;

/// Failures of an address within [`WINDOW_S`].
const ADDRESS_FAILURES_MAX: usize = 100;

/// Seconds that a failure counts.
const WINDOW_S: u32 = 60;

/// Seconds that a pair is known for after it proved itself.
const PROVED_S: u32 = 3600;

/// Places of each table: sets that a hash chooses, and places in each. All of them taken, pairs
/// have 0.9 MB and addresses 2.3 MB; what is not taken has none.
const PAIR_SETS: usize = 1024;
const ADDRESS_SETS: usize = 512;
const WAYS: usize = 8;

/// The failed attempts of the last minute.
#[derive(Debug)]
pub struct FailedAttempts {
    prf: Prf,
    pairs: AttemptTable,
    addresses: AttemptTable,
}

/// An attempt that has begun. It counts as failed until [`FailedAttempts::proved`] or
/// [`FailedAttempts::withdraw`] takes it back.
#[derive(Debug)]
#[must_use = "an attempt that is dropped has failed"]
pub struct Attempt {
    pair: u64,
    /// Where the address counts it too.
    address: Option<u64>,
    began_s: u32,
}

impl FailedAttempts {
    /// With no failures yet.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn new() -> Result<FailedAttempts, Error> {
        Ok(FailedAttempts {
            prf: Prf::random()?,
            pairs: AttemptTable::new(PAIR_SETS),
            addresses: AttemptTable::new(ADDRESS_SETS),
        })
    }

    /// Begins an attempt of this client id, known or not, from this address.
    ///
    /// # Errors
    /// How long to wait, in whole seconds, where too many have failed.
    pub fn begin(
        &mut self,
        client_id: &str,
        address: IpAddr,
        now: Duration,
    ) -> Result<Attempt, Duration> {
        let now_s = whole_seconds(now);
        let network = network(address);
        let (pair, address) = (self.prf.of(&(client_id, network)), self.prf.of(&network));
        let own = self.pairs.place(pair, now_s);
        let of_address = self.addresses.place(address, now_s);
        own.free(PAIR_FAILURES_MAX, now_s)?;
        let counted = of_address.free(ADDRESS_FAILURES_MAX, now_s);
        if !own.is_proved(now_s) {
            counted?;
        }
        if counted.is_ok() {
            of_address.failures.push(now_s);
        }
        own.failures.push(now_s);
        Ok(Attempt { pair, address: counted.ok().map(|()| address), began_s: now_s })
    }

    /// The attempt proved the client.
    pub fn proved(&mut self, attempt: Attempt, now: Duration) {
        let now_s = whole_seconds(now);
        self.pairs.place(attempt.pair, now_s).proved_until_s = now_s.saturating_add(PROVED_S);
        self.withdraw(attempt, now);
    }

    /// The attempt was not judged.
    pub fn withdraw(&mut self, attempt: Attempt, now: Duration) {
        let now_s = whole_seconds(now);
        self.pairs.place(attempt.pair, now_s).take_back(attempt.began_s);
        if let Some(address) = attempt.address {
            self.addresses.place(address, now_s).take_back(attempt.began_s);
        }
    }
}

/// A set-associative table of places.
#[derive(Debug)]
struct AttemptTable {
    sets: Vec<Vec<AttemptPlace>>,
}

/// What is known of one pair or address.
#[derive(Debug)]
struct AttemptPlace {
    key: u64,
    /// When they failed, the earliest first; as many as are allowed at most.
    failures: Vec<u32>,
    proved_until_s: u32,
}

impl AttemptTable {
    fn new(sets: usize) -> AttemptTable {
        AttemptTable { sets: (0..sets).map(|_| Vec::new()).collect() }
    }

    /// The place of a key, made where there is none, without failures that no longer count.
    fn place(&mut self, key: u64, now_s: u32) -> &mut AttemptPlace {
        let count = self.sets.len() as u64;
        let set = &mut self.sets[(key % count) as usize];
        for place in set.iter_mut() {
            place.failures.retain(|at| now_s.saturating_sub(*at) <= WINDOW_S);
        }
        let at = match set.iter().position(|place| place.key == key) {
            Some(at) => at,
            None => {
                let fresh = AttemptPlace { key, failures: Vec::new(), proved_until_s: 0 };
                if set.len() < WAYS {
                    set.push(fresh);
                    set.len() - 1
                } else {
                    let least = |at: &usize| set[*at].worth(now_s);
                    let at = (0..WAYS).min_by_key(least).expect("a set has places");
                    set[at] = fresh;
                    at
                }
            }
        };
        &mut set[at]
    }
}

impl AttemptPlace {
    /// What is lost with this place: the least of a set is given up.
    fn worth(&self, now_s: u32) -> (bool, usize, u32, u32) {
        let last = self.failures.last().copied().unwrap_or_default();
        (self.is_proved(now_s), self.failures.len(), last, self.proved_until_s)
    }

    fn is_proved(&self, now_s: u32) -> bool {
        self.proved_until_s > now_s
    }

    /// Whether one more attempt is allowed; else how long to wait.
    fn free(&self, max: usize, now_s: u32) -> Result<(), Duration> {
        match self.failures.first() {
            // Whole seconds round down: a second more, and a minute is surely over.
            Some(first) if self.failures.len() >= max => {
                let wait_s = (first + WINDOW_S + 1).saturating_sub(now_s).max(1);
                Err(Duration::from_secs(wait_s.into()))
            }
            _ => Ok(()),
        }
    }

    fn take_back(&mut self, began_s: u32) {
        if let Some(at) = self.failures.iter().rposition(|at| *at == began_s) {
            self.failures.remove(at);
        }
    }
}

/// An IPv4 address, or the network part of an IPv6 address: a single customer gets a /64 (RFC
/// 6177). What limits of one peer are kept by.
#[must_use]
pub fn network(address: IpAddr) -> (bool, u64) {
    match address.to_canonical() {
        IpAddr::V4(ip) => (false, u64::from(ip.to_bits())),
        IpAddr::V6(ip) => (true, (ip.to_bits() >> 64) as u64),
    }
}

fn whole_seconds(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX - 2 * PROVED_S)
}

#[cfg(test)]
mod tests;
