//! HTTP/1.1 for both ends of a connection, without the connection.
//!
//! This crate owns the protocol of RFC 9110 and RFC 9112: it takes the bytes that have arrived,
//! tells what they mean, and writes the bytes that answer them. It refuses everything a lenient
//! reader could take for another message than a strict one does, because such a difference is how
//! requests are smuggled. There is no socket, clock, thread or random source in here; whoever owns
//! those drives [`Server`] or [`Client`] with slices and buffers of its own.
//!
//! Tokenising stands on httparse. Everything that decides meaning (framing, limits, the state of an
//! exchange) is here, one file each.

#![forbid(unsafe_code)]

pub mod head;
pub mod http1;

mod date;
mod error;
mod limits;
mod lines;
mod outgoing;
mod piece;

pub use crate::date::imf_fixdate;
pub use crate::error::Error;
pub use crate::head::{BodyLength, Field, Method, RequestHead, ResponseHead, Span, Version};
pub use crate::http1::client::Client;
pub use crate::http1::encode::reason;
pub use crate::http1::responder::Responder;
pub use crate::http1::server::{Next, Server};
pub use crate::limits::{FIELDS_MAX, Limits};
pub use crate::lines::FieldLines;
pub use crate::outgoing::{OutgoingBody, OutgoingRequest, OutgoingResponse};
pub use crate::piece::Body;
