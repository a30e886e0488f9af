//! Which service a process is, with the settings that only this service has: a setting of another
//! one has no place to stand.

use super::{AuthConfig, GatewayConfig, OrderStoreConfig, OrdersConfig, OutboundConfig};
use crate::config::error::ServeError;
use crate::config::kind::ServiceKind;

/// A service and its own settings.
#[derive(Debug, Clone)]
pub enum ServiceRole {
    /// The OAuth 2 authorization server.
    Auth(AuthConfig),
    /// The reverse proxy in front of the others.
    Gateway(GatewayConfig),
    /// Orders.
    Orders(OrdersConfig),
    /// Stock.
    Inventory(InventoryConfig),
    /// Results of runs.
    Results,
    /// All of them in one process behind one listener.
    All(AllConfig),
}

/// Settings of the inventory service.
#[derive(Debug, Clone, Default)]
pub struct InventoryConfig {
    /// Stock at the start, over the built-in one.
    pub stock: Vec<(String, u64)>,
    /// The authorization server's base address for keys; the issuer if `None`.
    pub auth: Option<String>,
}

/// Settings of all services in one process.
#[derive(Debug, Clone, Default)]
pub struct AllConfig {
    /// Of the authorization server.
    pub auth: AuthConfig,
    /// What orders keeps.
    pub store: OrderStoreConfig,
    /// Stock at the start, over the built-in one.
    pub stock: Vec<(String, u64)>,
}

impl ServiceRole {
    /// Which service this is.
    #[must_use]
    pub fn kind(&self) -> ServiceKind {
        match self {
            ServiceRole::Auth(_) => ServiceKind::Auth,
            ServiceRole::Gateway(_) => ServiceKind::Gateway,
            ServiceRole::Orders(_) => ServiceKind::Orders,
            ServiceRole::Inventory(_) => ServiceKind::Inventory,
            ServiceRole::Results => ServiceKind::Results,
            ServiceRole::All(_) => ServiceKind::All,
        }
    }

    /// How the service issues tokens; `None` for one that issues none.
    #[must_use]
    pub fn issuing(&self) -> Option<&AuthConfig> {
        match self {
            ServiceRole::Auth(auth) => Some(auth),
            ServiceRole::All(all) => Some(&all.auth),
            _ => None,
        }
    }

    /// How the service calls others; `None` for one that has no upstream.
    #[must_use]
    pub fn outbound(&self) -> Option<&OutboundConfig> {
        match self {
            ServiceRole::Gateway(gateway) => Some(&gateway.outbound),
            ServiceRole::Orders(orders) => Some(&orders.outbound),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn outbound_mut(&mut self) -> Option<&mut OutboundConfig> {
        match self {
            ServiceRole::Gateway(gateway) => Some(&mut gateway.outbound),
            ServiceRole::Orders(orders) => Some(&mut orders.outbound),
            _ => None,
        }
    }

    /// The upstreams: each with its option and its address.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = match self {
            ServiceRole::Gateway(gateway) => [
                ("--orders", gateway.orders.as_deref()),
                ("--inventory", gateway.inventory.as_deref()),
                ("--results", gateway.results.as_deref()),
            ],
            ServiceRole::Orders(orders) => [
                ("--inventory", Some(orders.inventory.as_str())),
                ("--orders", None),
                ("--results", None),
            ],
            _ => [("--orders", None), ("--inventory", None), ("--results", None)],
        };
        all.into_iter().filter_map(|(option, address)| Some((option, address?)))
    }

    /// The authorization server's address, where it is not the issuer's.
    pub(crate) fn auth(&self) -> Option<&str> {
        match self {
            ServiceRole::Inventory(inventory) => inventory.auth.as_deref(),
            _ => self.outbound().and_then(|outbound| outbound.auth.as_deref()),
        }
    }

    /// Checks the rules between the settings of this service.
    pub(super) fn check(&self) -> Result<(), ServeError> {
        match self {
            ServiceRole::Auth(auth) => auth.check(),
            ServiceRole::Gateway(gateway) => gateway.check(),
            ServiceRole::Orders(orders) => orders.check(),
            ServiceRole::Inventory(_) | ServiceRole::Results => Ok(()),
            ServiceRole::All(all) => {
                all.auth.check()?;
                all.store.check()
            }
        }
    }
}

macro_rules! from_settings {
    ($($settings:ident => $role:ident),*) => {
        $(impl From<$settings> for ServiceRole {
            fn from(settings: $settings) -> ServiceRole {
                ServiceRole::$role(settings)
            }
        })*
    };
}

from_settings! {
    AuthConfig => Auth,
    GatewayConfig => Gateway,
    OrdersConfig => Orders,
    InventoryConfig => Inventory,
    AllConfig => All
}
