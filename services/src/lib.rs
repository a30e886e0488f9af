//! The services of the shop: gateway, auth, orders, inventory, results, each its own process and
//! listener, or all of them in one.
//!
//! What they have in common is here once: [`route`] leads from a path to a route and [`dispatch`]
//! to its handler, [`guard`] issues the permit that a handler takes, [`shell`] puts both around a
//! service, [`telemetry`] counts, [`problem`] is the shape of every error. [`config`] says what a
//! service is told, [`serve()`] is its life.
//!
//! No socket, TLS or timer is touched here; that is `runtime`'s. Nothing is decided about tokens,
//! certificates or scopes here; that is `authn`'s.
#![forbid(unsafe_code)]

pub mod admin;
pub mod auth;
pub mod config;
pub mod dispatch;
pub mod fields;
pub mod gateway;
pub mod guard;
pub mod inventory;
pub mod json;
pub mod keys;
mod open_files;
pub mod orders;
pub mod problem;
pub mod reference;
pub mod results;
pub mod route;
pub mod shell;
pub mod telemetry;

mod all;
mod assemble;
mod error;
mod files;
mod inbound;
mod keeper;
mod kind;
mod launch;
mod once_map;
pub mod outbound;
pub mod published;
mod query;
mod resolve;
mod serve;
mod started;
mod sync;
pub mod token;

pub use config::{
    AllConfig, AuthConfig, GatewayConfig, InventoryConfig, KeySource, LimitOverrides,
    OrderStoreConfig, OrdersConfig, OutboundConfig, ServiceConfig, ServiceRole,
};
pub use error::{ServeError, ServeErrorKind};
pub use kind::ServiceKind;
pub use serve::{serve, start};
pub use started::Started;
