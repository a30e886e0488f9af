//! How a service is reached and reaches others: its TLS (`inbound`), its calls (`outbound`), the
//! addresses of names (`resolve`) and the token it brings along (`token`).
//!
//! It owns which file and which address is meant. It refuses an address whose scheme the profile
//! does not speak.

pub mod inbound;
pub mod outbound;
mod resolve;
pub mod token;
