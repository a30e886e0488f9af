//! Access tokens: made, verified, remembered, and the keys that prove them.
//!
//! It owns everything about a token's text. What its bearer may do is the policy's to decide.

pub(crate) mod algorithm;
pub mod cache;
pub mod jwks;
pub mod jwt;
