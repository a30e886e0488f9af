//! The settings of orders beside the common part: where it reserves, and how much it keeps.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::OutboundConfig;
use crate::config::error::ServeError;

/// Idempotency keys that may be remembered: one for each share, to some 1 GiB of memory.
const IDEMPOTENCY_KEYS_RANGE: RangeInclusive<usize> = 4..=10_000_000;

/// How long they may be remembered.
const IDEMPOTENCY_TTL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Settings of the orders service.
#[derive(Debug, Clone)]
pub struct OrdersConfig {
    /// The inventory service's base address: orders cannot work without it.
    pub inventory: String,
    /// How it is reached.
    pub outbound: OutboundConfig,
    /// The file with the secret of its own client, `service-order`.
    pub client_secret: Option<PathBuf>,
    /// How much is kept.
    pub store: OrderStoreConfig,
}

impl OrdersConfig {
    /// Orders that reserves at `inventory`, with nothing overridden.
    #[must_use]
    pub fn new(inventory: impl Into<String>) -> OrdersConfig {
        OrdersConfig {
            inventory: inventory.into(),
            outbound: OutboundConfig::default(),
            client_secret: None,
            store: OrderStoreConfig::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), ServeError> {
        self.outbound.check()?;
        self.store.check()
    }
}

/// How many orders and idempotency keys are kept.
#[derive(Debug, Clone)]
pub struct OrderStoreConfig {
    /// How many orders are kept, the newest.
    pub orders_retained: usize,
    /// How many idempotency keys are remembered; a quarter of them are one client's share.
    pub idempotency_keys: usize,
    /// How long a finished idempotency key is remembered.
    pub idempotency_ttl: Duration,
}

impl OrderStoreConfig {
    /// Default for [`OrderStoreConfig::orders_retained`].
    pub const ORDERS_RETAINED: usize = 1_000_000;
    /// Default for [`OrderStoreConfig::idempotency_keys`]: of four busy clients 40 orders a second
    /// each for ten minutes.
    pub const IDEMPOTENCY_KEYS: usize = 100_000;
    /// Default for [`OrderStoreConfig::idempotency_ttl`]: longer than any client's retries go on.
    pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(600);

    pub(super) fn check(&self) -> Result<(), ServeError> {
        if !IDEMPOTENCY_KEYS_RANGE.contains(&self.idempotency_keys) {
            return Err(ServeError::config(format!(
                "--idempotency-keys must be between {} and {}, not {}",
                IDEMPOTENCY_KEYS_RANGE.start(),
                IDEMPOTENCY_KEYS_RANGE.end(),
                self.idempotency_keys
            )));
        }
        if !IDEMPOTENCY_TTL_RANGE.contains(&self.idempotency_ttl) {
            return Err(ServeError::config(
                "--idempotency-ttl must be between 1 second and 24 hours",
            ));
        }
        Ok(())
    }
}

impl Default for OrderStoreConfig {
    fn default() -> OrderStoreConfig {
        OrderStoreConfig {
            orders_retained: OrderStoreConfig::ORDERS_RETAINED,
            idempotency_keys: OrderStoreConfig::IDEMPOTENCY_KEYS,
            idempotency_ttl: OrderStoreConfig::IDEMPOTENCY_TTL,
        }
    }
}
