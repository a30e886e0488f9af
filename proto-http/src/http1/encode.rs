//! Writing heads, from pieces that are there before the program starts: status lines and
//! numbers.
//!
//! It owns the order and the spelling of what is sent. It refuses to let a value begin a line of
//! its own (CR, LF and NUL become spaces, RFC 9110 section 5.5), and to take framing from anyone
//! but the state machine that keeps it.

use crate::FieldLines;

/// The framing fields of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    None,
    Exact(u64),
    Chunked,
}

/// The Connection field of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionField {
    None,
    Close,
    KeepAlive,
}

/// Bytes of a response head besides its fields and its body, rounded up.
const FIXED_BYTES: usize = 192;

/// Writes a whole response head.
#[inline]
pub(crate) fn response_head(
    out: &mut Vec<u8>,
    status: u16,
    date: &[u8; 29],
    (lines, own_fields): (FieldLines, &[(&str, &[u8])]),
    length: Length,
    connection: ConnectionField,
) {
    let lines = lines.as_bytes();
    let own_bytes = lines.len() + own_fields.iter().map(field_bytes).sum::<usize>();
    out.reserve(FIXED_BYTES + own_bytes);
    status_line(out, status);
    if !own_fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(lines);
    fields(out, own_fields);
    framing(out, length);
    out.extend_from_slice(match connection {
        ConnectionField::None => &b"\r\n"[..],
        ConnectionField::Close => b"Connection: close\r\n\r\n",
        ConnectionField::KeepAlive => b"Connection: keep-alive\r\n\r\n",
    });
}

/// Writes a whole request head; an empty host writes no Host.
pub(crate) fn request_head(
    out: &mut Vec<u8>,
    method: &str,
    target: &[u8],
    host: &[u8],
    own_fields: &[(&str, &[u8])],
    length: Length,
) {
    let line_bytes = method.len() + target.len() + host.len();
    out.reserve(FIXED_BYTES + line_bytes + own_fields.iter().map(field_bytes).sum::<usize>());
    text(out, method.as_bytes());
    out.push(b' ');
    text(out, target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // RFC 9110 section 7.2: Host goes first.
    if !host.is_empty() {
        out.extend_from_slice(b"Host: ");
        text(out, host);
        out.extend_from_slice(b"\r\n");
    }
    fields(out, own_fields);
    framing(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes one chunk; nothing for an empty piece, because an empty chunk is the last one.
pub(crate) fn chunk(out: &mut Vec<u8>, piece: &[u8]) {
    if piece.is_empty() {
        return;
    }
    let mut digits = [0_u8; 16];
    let mut start = digits.len();
    let mut left = piece.len();
    while left > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    out.reserve(digits.len() + piece.len() + 4);
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// The last chunk and an empty trailer section.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The interim response a client waits for before it sends a body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn field_bytes(field: &(&str, &[u8])) -> usize {
    field.0.len() + field.1.len() + 4
}

#[inline]
fn fields(out: &mut Vec<u8>, fields: &[(&str, &[u8])]) {
    for (name, value) in fields {
        if is_framing(name) {
            continue;
        }
        text(out, name.as_bytes());
        out.extend_from_slice(b": ");
        text(out, value);
        out.extend_from_slice(b"\r\n");
    }
}

/// The fields a sender of this crate decides itself.
#[inline]
fn is_framing(name: &str) -> bool {
    match name.len() {
        10 => name.eq_ignore_ascii_case("connection"),
        14 => name.eq_ignore_ascii_case("content-length"),
        17 => name.eq_ignore_ascii_case("transfer-encoding"),
        _ => false,
    }
}

#[inline]
fn framing(out: &mut Vec<u8>, length: Length) {
    match length {
        Length::None => {}
        Length::Exact(bytes) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// Copies text that must stay on its line.
#[inline]
fn text(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    if holds_control(text) {
        keep_on_line(&mut out[start..]);
    }
}

/// Whether a byte is below the space, eight at a time: the last eight may be looked at twice.
#[inline]
fn holds_control(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return text.iter().fold(false, |suspect, byte| suspect | (*byte < b' '));
    };
    let (words, _) = text.as_chunks();
    words.iter().fold(below_space(last), |suspect, word| suspect | below_space(word)) != 0
}

/// The high bits of the bytes below the space; a borrow can add one above such a byte, never
/// without one.
#[inline]
fn below_space(word: &[u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(*word);
    word.wrapping_sub(u64::from_ne_bytes([b' '; 8])) & !word & u64::from_ne_bytes([0x80; 8])
}

#[cold]
fn keep_on_line(text: &mut [u8]) {
    for byte in text.iter_mut().filter(|byte| matches!(**byte, b'\r' | b'\n' | 0)) {
        *byte = b' ';
    }
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    let line = known_status(status).0;
    if !line.is_empty() {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.extend_from_slice(b" \r\n");
}

/// The reason phrase of a status (RFC 9110 section 15 and the IANA registry); empty if it has none.
pub fn reason(status: u16) -> &'static str {
    known_status(status).1
}

macro_rules! statuses {
    ($($status:literal $reason:literal)*) => {
        /// The status line and the reason phrase of a status; both empty for an unknown one.
        fn known_status(status: u16) -> (&'static [u8], &'static str) {
            match status {
                $($status => (
                    concat!("HTTP/1.1 ", $status, " ", $reason, "\r\n").as_bytes(),
                    $reason,
                ),)*
                _ => (b"", ""),
            }
        }
    };
}

statuses! {
    200 "OK"
    201 "Created"
    202 "Accepted"
    203 "Non-Authoritative Information"
    204 "No Content"
    205 "Reset Content"
    206 "Partial Content"
    300 "Multiple Choices"
    301 "Moved Permanently"
    302 "Found"
    303 "See Other"
    304 "Not Modified"
    307 "Temporary Redirect"
    308 "Permanent Redirect"
    400 "Bad Request"
    401 "Unauthorized"
    402 "Payment Required"
    403 "Forbidden"
    404 "Not Found"
    405 "Method Not Allowed"
    406 "Not Acceptable"
    407 "Proxy Authentication Required"
    408 "Request Timeout"
    409 "Conflict"
    410 "Gone"
    411 "Length Required"
    412 "Precondition Failed"
    413 "Content Too Large"
    414 "URI Too Long"
    415 "Unsupported Media Type"
    416 "Range Not Satisfiable"
    417 "Expectation Failed"
    421 "Misdirected Request"
    422 "Unprocessable Content"
    425 "Too Early"
    426 "Upgrade Required"
    428 "Precondition Required"
    429 "Too Many Requests"
    431 "Request Header Fields Too Large"
    500 "Internal Server Error"
    501 "Not Implemented"
    502 "Bad Gateway"
    503 "Service Unavailable"
    504 "Gateway Timeout"
    505 "HTTP Version Not Supported"
    507 "Insufficient Storage"
    511 "Network Authentication Required"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_found_wherever_they_stand() {
        for length in 0..40 {
            for filler in [b' ', b'a', 0x7f, 0x80, 0xff] {
                let mut text = vec![filler; length];
                assert!(!holds_control(&text), "{filler} {length}");
                for place in 0..length {
                    for control in [0, b'\t', b'\n', b'\r', 0x1f] {
                        text[place] = control;
                        assert!(holds_control(&text), "{control} at {place} of {length}");
                    }
                    text[place] = filler;
                }
            }
        }
    }

    #[test]
    fn chunks() {
        for (length, line) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (4660, "1234\r\n")] {
            let mut out = Vec::new();
            chunk(&mut out, &vec![b'x'; length]);
            assert!(out.starts_with(line.as_bytes()));
            assert!(out.ends_with(b"x\r\n"));
            assert_eq!(out.len(), line.len() + length + 2);
        }
        let mut out = Vec::new();
        chunk(&mut out, b"");
        assert!(out.is_empty());
    }

    #[test]
    fn every_error_status_has_a_reason() {
        for status in [400, 411, 413, 414, 417, 431, 501, 502, 505] {
            assert!(!reason(status).is_empty(), "{status}");
        }
        assert_eq!(reason(299), "");
    }
}
