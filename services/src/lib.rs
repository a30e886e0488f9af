//! The services of the shop: gateway, auth, orders, inventory, results, each its own process and
//! listener, or all of them in one.
//!
//! What they have in common is here once: [`route`] leads from a path to a route, [`edge`] issues
//! the permit that its handler takes, calls it and words every error, [`telemetry`] counts,
//! [`refresh`] and [`transport`] keep keys, tokens and connections. [`config`] has the settings of
//! a service, [`serve()`] is its life.
//!
//! No socket, TLS or timer is touched here; that is `runtime`'s. Nothing is decided about tokens,
//! certificates or scopes here; that is `authn`'s.
#![forbid(unsafe_code)]

mod boot;
mod lockfree;

pub mod auth;
pub mod config;
pub mod edge;
pub mod gateway;
pub mod inventory;
pub mod orders;
pub mod reference;
pub mod refresh;
pub mod results;
pub mod route;
pub mod telemetry;
pub mod transport;

pub use boot::serve::{serve, start};
pub use boot::started::RunningService;
pub use boot::tables::route_table;
pub use config::error::{ServeError, ServeErrorKind};
pub use config::kind::ServiceKind;
pub use config::{
    AllConfig, AuthConfig, GatewayConfig, InventoryConfig, KeySource, LimitOverrides,
    OrderStoreConfig, OrdersConfig, OutboundConfig, ServiceConfig, ServiceRole,
};
