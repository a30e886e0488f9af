//! A piece of a body, whatever its framing.

use std::ops::Range;

/// A piece of a body, as found in the input that was handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Bytes of the input that are spent; the caller drops them once it has used `data`.
    pub consumed: usize,
    /// Where in the input the body's bytes are; chunk sizes and trailers are left out. May be
    /// empty.
    pub data: Range<usize>,
    /// No byte of the body is left after this piece.
    pub done: bool,
}
