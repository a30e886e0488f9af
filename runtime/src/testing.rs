//! Connections without sockets and a counting allocator, for tests and benchmarks; never in a
//! product.

pub mod allocations;
pub mod memory;
