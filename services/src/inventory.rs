//! The inventory service: how much of each SKU is there, and who holds what.
//!
//! `name` is what it is asked with, `sku` the table of SKUs and the counter of each, `reservation`
//! what is asked for in packed `item`s, `store` decides it, `model` knows the JSON: none of them
//! knows HTTP. `refusal` words what was refused, `handler` is the routes of the API, `for_orders`
//! those by which orders reserves.

pub mod for_orders;
pub mod handler;
mod item;
pub mod model;
pub mod name;
pub mod refusal;
pub mod reservation;
pub mod sku;
pub mod store;
