//! HTTP/1.1: bytes to messages and back, and the state of an exchange.

mod body;
mod chunked;
pub mod client;
pub mod encode;
mod framing;
mod lenient;
mod read;
pub mod responder;
mod search;
pub mod server;
mod target;
mod tokens;
