//! Placeholder; replaced in the next commit.

pub mod inventory;
mod once_map;
pub mod orders;
mod sync;
