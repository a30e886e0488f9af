//! HTTP/1.1 for both ends of a connection, without the connection.
//!
//! This crate owns the protocol of RFC 9110 and RFC 9112: it takes the bytes that have arrived, tells
//! what they mean, and writes the bytes that answer them. It refuses everything a lenient reader
//! could take for another message than a strict one does, because such a difference is how requests
//! are smuggled. There is no socket, clock, thread or random source in here; whoever owns those
//! drives [`Server`] or [`Client`] with slices and buffers of its own.
//!
//! Tokenising stands on httparse. Everything that decides meaning (framing, limits, the state of an
//! exchange) is here, one file each.

#![forbid(unsafe_code)]

pub mod client;
pub mod encode;
pub mod head;
pub mod server;

mod error;
mod limits;

pub use crate::client::{Ask, Client};
pub use crate::encode::imf_fixdate;
pub use crate::error::Error;
pub use crate::head::{BodyLength, Field, Method, RequestHead, ResponseHead, Span, Version};
pub use crate::limits::{FIELDS_MAX, Limits};
pub use crate::server::{Next, Responder, Server};

/// A piece of a body, as found in the input that was handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Bytes of the input that are spent; the caller drops them once it has used `data`.
    pub consumed: usize,
    /// Where in the input the body's bytes are; chunk sizes and trailers are left out. May be empty.
    pub data: std::ops::Range<usize>,
    /// No byte of the body is left after this piece.
    pub done: bool,
}

/// An answer to a request, given to [`Server::respond`].
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The final status, 200 to 999; anything else is sent as 500.
    pub status: u16,
    /// Fields in the order they are sent. `Content-Length`, `Transfer-Encoding` and `Connection` are
    /// this crate's to write and are left out here; a `Date` replaces the one of the server.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// What follows the head.
    pub body: AnswerBody<'a>,
}

/// What follows the head of a message that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBody<'a> {
    /// Nothing.
    None,
    /// The whole body, sent together with the head.
    Bytes(&'a [u8]),
    /// So many bytes, given afterwards piece by piece.
    Exact(u64),
    /// Bytes of unknown number, given afterwards piece by piece.
    Chunked,
}
