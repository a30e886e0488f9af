//! The load generator and what is built on it. The slice engine ([`traffic`]) makes traffic and
//! records what came of it; the experiment above it decides which slices are run and what they mean
//! together. Sockets and clocks are `runtime`'s and the workers'; everything that decides is pure.
//! It refuses to know how the servers of the shop are built.
#![forbid(unsafe_code)]

pub mod command;
pub mod directory;
pub mod experiment;
pub mod machine;
pub mod panics;
pub mod plan;
pub mod report;
pub mod stats;
pub mod traffic;
pub mod validity;
pub mod verdict;
