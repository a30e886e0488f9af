//! Placeholder; replaced in the next commit.

pub mod inventory;
mod once_map;
mod sync;
