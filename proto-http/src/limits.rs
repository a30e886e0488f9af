//! Every maximum this crate keeps, with its unit and its reason. It owns no checking: the rooms
//! that count the bytes do that. It refuses an unlimited value by having no way to say one, except
//! for bodies, which can be streamed.

/// The most fields a head may have that is read strictly, whatever [`Limits::fields_max`] says: the
/// array that tokens are read into lives on the stack and has this length.
pub const FIELDS_MAX: usize = 128;

/// What one peer may make us hold or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head including its blank line. More is 431, or 414 if the first line alone is
    /// longer. 16 KiB hold a 4 KiB token and the largest cookie a browser keeps.
    pub head_bytes_max: usize,
    /// Bytes of a request target; more is 414. RFC 9112 section 3 asks for 8000 at least.
    pub target_bytes_max: usize,
    /// Fields of a head, at most [`FIELDS_MAX`] where it is read strictly; more is 431.
    pub fields_max: usize,
    /// Options of all Connection fields of a head together; more is 400. Usual are one or two, and
    /// a proxy compares every field with every option.
    pub connection_options_max: usize,
    /// Bytes of a body, chunk framing not counted; more is 413. A route may allow less.
    pub body_bytes_max: u64,
    /// Bytes of chunk extensions in one body, all chunks together; more is 400. Nobody uses them,
    /// and without a limit they cost reading that no body limit sees.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of the trailer section of a chunked body; more is 431. Trailers are read and dropped.
    pub trailer_bytes_max: usize,
    /// Bytes of a body nobody asked for that are read off to save the connection, chunk framing
    /// included. Beyond it, closing is cheaper than reading.
    pub drain_bytes_max: u64,
    /// Interim (1xx) responses a client skips before the final one; `u8::MAX` is any number.
    pub interim_responses_max: u8,
}

/// The longest head of a response, and the longest trailers, of a lenient client: what curl takes.
const LENIENT_HEAD_BYTES: usize = 300 * 1024;

impl Limits {
    /// What a lenient client reads of servers that are not ours. What is read off and dropped as it
    /// comes may be of any size, because a time-out bounds it: bodies, chunk extensions and interim
    /// responses.
    pub const LENIENT: Limits = Limits {
        head_bytes_max: LENIENT_HEAD_BYTES,
        target_bytes_max: 0,
        // As many as such a head can hold: `a:` and a line end take four bytes.
        fields_max: LENIENT_HEAD_BYTES / 4,
        connection_options_max: usize::MAX,
        body_bytes_max: u64::MAX,
        chunk_extension_bytes_max: usize::MAX,
        trailer_bytes_max: LENIENT_HEAD_BYTES,
        drain_bytes_max: 0,
        interim_responses_max: u8::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
            fields_max: 100,
            connection_options_max: 16,
            body_bytes_max: 16 * 1024 * 1024,
            chunk_extension_bytes_max: 1024,
            trailer_bytes_max: 4 * 1024,
            drain_bytes_max: 64 * 1024,
            interim_responses_max: 8,
        }
    }
}
