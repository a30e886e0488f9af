//! Messages to be sent, whatever version of HTTP sends them. Framing is left to the sender's state
//! machine.

use crate::FieldLines;

/// A request to be sent.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingRequest<'a> {
    /// The method's name.
    pub method: &'a str,
    /// The target, as it is to be sent.
    pub target: &'a [u8],
    /// The value of Host; if empty, no Host is written (it may be among the fields).
    pub host: &'a [u8],
    /// Fields in the order they are sent. `Content-Length`, `Transfer-Encoding` and `Connection`
    /// are this crate's to write and are left out here.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// What follows the head.
    pub body: OutgoingBody<'a>,
}

/// A response, given to [`Responder::respond`](crate::Responder::respond).
#[derive(Clone, Copy, Debug)]
pub struct OutgoingResponse<'a> {
    /// The final status, 200 to 999; anything else is sent as 500.
    pub status: u16,
    /// Field lines that are sent before the fields, as they stand.
    pub lines: FieldLines,
    /// Fields in the order they are sent. `Content-Length`, `Transfer-Encoding` and `Connection`
    /// are this crate's to write and are left out here; a `Date` replaces the one of the server.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// What follows the head. It is left away where the request or the status forbids it.
    pub body: OutgoingBody<'a>,
}

/// What follows the head of a message that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingBody<'a> {
    /// Nothing.
    None,
    /// The whole body, sent together with the head.
    Bytes(&'a [u8]),
    /// So many bytes, given afterwards piece by piece.
    Exact(u64),
    /// Bytes of unknown number, given afterwards piece by piece.
    Chunked,
}
