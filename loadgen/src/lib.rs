//! The load generator and what is built on it. The slice engine ([`generator`] and the modules it
//! uses) makes traffic and records what came of it; the experiment above it decides which slices
//! are run and what they mean together. Sockets and clocks are `runtime`'s and the workers';
//! everything that decides is pure. It refuses to know how the servers of the shop are built.
#![forbid(unsafe_code)]

mod commands;
mod drive;
mod pool;
mod recorder;
mod template;
mod worker;

pub mod bench;
pub mod calibrate;
pub mod capacity;
pub mod check;
pub mod compare;
pub mod cpu;
pub mod directory;
pub mod environment;
pub mod experiment;
pub mod generator;
pub mod instructions;
pub mod live;
pub mod matrix;
pub mod panics;
pub mod plan;
pub mod process;
pub mod proof;
pub mod random;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod requests;
pub mod results;
pub mod run;
pub mod schedule;
pub mod session;
pub mod slice;
pub mod stack;
pub mod stats;
pub mod target;
pub mod targets;
pub mod threshold;
pub mod tokens;
pub mod trust;
pub mod validity;
pub mod workload;
