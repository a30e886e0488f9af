//! The little JSON that the hot services need: reading members without copying them, writing
//! without formatting machinery.
//!
//! Owns strings, numbers and points in time as text, and the sentence that says what is wrong with
//! a body. It refuses trees: nothing here allocates for what it reads, save for a string with
//! escapes.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::value::RawValue;

/// What is wrong with a body, as a sentence for its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    /// A fault in words. They may quote names of members and bounds, never the body.
    pub(crate) fn new(detail: impl Into<String>) -> Invalid {
        Invalid(detail.into())
    }

    /// The body is not the JSON that was expected at all.
    pub(crate) fn syntax(error: &serde_json::Error) -> Invalid {
        Invalid(format!("the body is not the JSON object that is expected here: {error}"))
    }

    /// The sentence.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// The member, or the sentence that it is missing.
pub(crate) fn required<'a>(
    member: Option<&'a RawValue>,
    name: &str,
) -> Result<&'a RawValue, Invalid> {
    member.ok_or_else(|| Invalid(format!("{name} is missing")))
}

/// The text of a string; `None` for a value of another type.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        // A lone surrogate is the one escape that parsed and has no text.
        return serde_json::from_str(value.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The digits of a number, as given; `None` for a value of another type.
pub(crate) fn number(value: &RawValue) -> Option<&str> {
    let text = value.get();
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(text)
}

/// Appends a string with its quotes (RFC 8259 section 7). Bytes that are not ASCII stay as they
/// are.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    // Nearly no text has such a byte, and without an early end many bytes are looked at at once.
    let escape = |&b: &u8| b < 0x20 || b == b'"' || b == b'\\';
    let clean = !text.iter().fold(false, |found, b| found | escape(b));
    while !clean && let Some(at) = rest.iter().position(escape) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            quoted @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', quoted]),
            control => {
                let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex(control >> 4), hex(control & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a whole number.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a point in time, milliseconds since the Unix epoch, as a string (RFC 3339, UTC).
pub(crate) fn push_time(out: &mut Vec<u8>, unix_ms: u64) {
    // Clocks are far below the last second that can be written, 9999-12-30T22:00:00Z.
    let second = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let second = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    let time = Offset::UTC.to_datetime(second);
    let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
    let mut put = |at: usize, digits: usize, mut number: u16| {
        for place in (at..at + digits).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(1, 4, time.year().unsigned_abs());
    put(6, 2, time.month().unsigned_abs().into());
    put(9, 2, time.day().unsigned_abs().into());
    put(12, 2, time.hour().unsigned_abs().into());
    put(15, 2, time.minute().unsigned_abs().into());
    put(18, 2, time.second().unsigned_abs().into());
    put(21, 3, (unix_ms % 1000) as u16);
    out.extend_from_slice(&text);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn strings_are_read_and_written_back() {
        for text_in in ["", "plain", "qu\"ote\\", "line\nend\u{1}", "ä€𝄞"] {
            let mut out = Vec::new();
            push_string(&mut out, text_in.as_bytes());
            let written = std::str::from_utf8(&out).expect("UTF-8");
            assert_eq!(text(raw(written)).expect("a string"), text_in);
        }
        assert_eq!(text(raw(r#""a\u002db""#)).expect("a string"), "a-b");
        assert_eq!(text(raw(r#""\ud800""#)), None, "a lone surrogate");
        assert_eq!(text(raw("5")), None);
    }

    #[test]
    fn numbers_keep_their_text() {
        for good in ["0", "-1", "1.50", "1e9"] {
            assert_eq!(number(raw(good)), Some(good));
        }
        for bad in ["\"1\"", "true", "[1]", "{}"] {
            assert_eq!(number(raw(bad)), None);
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_704_067_199_001, "2023-12-31T23:59:59.001Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            push_time(&mut out, unix_ms);
            assert_eq!(out, format!("\"{expected}\"").as_bytes());
        }
    }
}
