//! The inventory service: how much of each SKU is there, and who holds what.
//!
//! `name` is what it is asked with, `sku` the table of SKUs and the counter of each, `wanted` what
//! a reservation asks for, `store` decides it, `model` knows the JSON. None of them knows HTTP.

pub mod model;
pub mod name;
pub mod sku;
pub mod store;
pub mod wanted;
