//! The fields that responses of these services have in common.
//!
//! It owns their spelling. Fields of a single response stand where it is given.

use proto_http::FieldLines;

/// JSON that may be kept.
pub const JSON: FieldLines = FieldLines::new("content-type: application/json\r\n");

/// JSON that must not be kept, because it changes or depends on who asks.
pub const JSON_NOW: FieldLines =
    FieldLines::new("content-type: application/json\r\ncache-control: no-store\r\n");

/// Text that must not be kept.
pub const TEXT_NOW: FieldLines =
    FieldLines::new("content-type: text/plain\r\ncache-control: no-store\r\n");
