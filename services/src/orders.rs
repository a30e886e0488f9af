//! The orders service: takes orders, once each, and keeps the newest of them.
//!
//! `id` is how an order is named, `record` how it lies in memory, `store` keeps the newest,
//! `idempotency` makes a repeated request one order, `model` knows the JSON: none of them knows
//! HTTP. `stock` is where the stock come from, `handler` the routes.

pub mod handler;
pub mod id;
pub mod idempotency;
pub mod model;
pub mod record;
pub mod stock;
pub mod store;
