//! Writing heads, from pieces that are there before the program starts: status lines, numbers,
//! dates.
//!
//! It owns the order and the spelling of what is sent. It refuses to let a value begin a line of
//! its own (CR, LF and NUL become spaces, RFC 9110 section 5.5), and to take framing from anyone
//! but the state machine that keeps it.

use crate::Lines;

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

/// The framing fields of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    None,
    Exact(u64),
    Chunked,
}

/// The Connection field of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
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
    (lines, own_fields): (Lines, &[(&str, &[u8])]),
    length: Length,
    connection: Connection,
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
        Connection::None => &b"\r\n"[..],
        Connection::Close => b"Connection: close\r\n\r\n",
        Connection::KeepAlive => b"Connection: keep-alive\r\n\r\n",
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

/// A date as RFC 9110 section 5.6.7 wants it, from seconds since 1970. The year has four digits, so
/// time ends with 9999.
///
/// ```
/// assert_eq!(&proto_http::imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn imf_fixdate(unix_s: u64) -> [u8; 29] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    const UNIX_S_MAX: u64 = 253_402_300_799;
    let unix_s = unix_s.min(UNIX_S_MAX);
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let mut put = |at: usize, number: u64| {
        out[at] = b'0' + (number / 10 % 10) as u8;
        out[at + 1] = b'0' + (number % 10) as u8;
    };
    put(5, day);
    put(12, year / 100);
    put(14, year % 100);
    put(17, second / 3600);
    put(20, second / 60 % 60);
    put(23, second % 60);
    let weekday = (days % 7) as usize * 3;
    out[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    let month = (month as usize - 1) * 3;
    out[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    out
}

/// Year, month and day of a day since 1970: Howard Hinnant's `civil_from_days`, in which years
/// begin in March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_FROM_MARCH_0000_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leaps = day_of_era / 1460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (unix_s, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(String::from_utf8_lossy(&imf_fixdate(unix_s)), date);
        }
    }

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
