//! Placeholder; replaced in the next commit.

pub mod inventory;
pub mod json;
mod once_map;
pub mod orders;
mod sync;
