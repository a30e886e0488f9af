//! Field lines that are there before the program starts.
//!
//! It owns what such lines may be, which is judged when the program is built. It refuses what only
//! the state machine may write: framing, and the date.

/// Field lines that every answer of a kind has, sent as they stand.
///
/// ```
/// use proto_http::FieldLines;
///
/// const JSON: FieldLines = FieldLines::new("content-type: application/json\r\n");
/// ```
/// ```compile_fail
/// # use proto_http::FieldLines;
/// const CUT: FieldLines = FieldLines::new("content-type: application/json");
/// ```
/// ```compile_fail
/// # use proto_http::FieldLines;
/// const FRAMING: FieldLines = FieldLines::new("content-length: 7\r\n");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldLines(&'static str);

/// Names that stand in no [`FieldLines`], because this crate writes them itself.
const OURS: [&[u8]; 4] = [b"connection", b"content-length", b"transfer-encoding", b"date"];

impl FieldLines {
    /// No line.
    pub const NONE: FieldLines = FieldLines("");

    /// Lines of the form `name: value`, each with CR LF at its end; names in lower case. Meant for
    /// constants.
    ///
    /// # Panics
    /// When a line has another form, holds anything but visible ASCII and spaces, or is one of
    /// `Connection`, `Content-Length`, `Transfer-Encoding` and `Date`: in a constant, that stops
    /// the build.
    #[must_use]
    pub const fn new(text: &'static str) -> FieldLines {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            rest = after_line(rest);
        }
        FieldLines(text)
    }

    #[inline]
    pub(crate) fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

const fn after_line(text: &[u8]) -> &[u8] {
    let mut colon = 0;
    while colon < text.len() && matches!(text[colon], b'a'..=b'z' | b'0'..=b'9' | b'-') {
        colon += 1;
    }
    assert!(colon > 0, "a field has a name, in lower case");
    let (name, rest) = text.split_at(colon);
    let mut ours = 0;
    while ours < OURS.len() {
        assert!(!equal(name, OURS[ours]), "this field is written by the protocol itself");
        ours += 1;
    }
    let [b':', b' ', value @ ..] = rest else {
        panic!("a colon and a space follow the name");
    };
    let mut end = 0;
    while end < value.len() && matches!(value[end], b' '..=b'~') {
        end += 1;
    }
    assert!(end > 0, "a field has a value");
    let (_, rest) = value.split_at(end);
    let [b'\r', b'\n', rest @ ..] = rest else {
        panic!("a line ends with CR LF");
    };
    rest
}

const fn equal(one: &[u8], other: &[u8]) -> bool {
    let mut same = one.len() == other.len();
    let mut index = 0;
    while same && index < one.len() {
        same = one[index] == other[index];
        index += 1;
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_lines_are_kept_as_they_are() {
        for text in ["", "a: b\r\n", "dates: no-store\r\nx-1: a b, \"c\"\r\n"] {
            assert_eq!(FieldLines::new(text).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn bad_lines_are_refused() {
        for text in [
            "a: b",
            "a: b\n",
            "a: b\r",
            "a:b\r\n",
            "a : b\r\n",
            ": b\r\n",
            "A: b\r\n",
            "a: \r\n",
            "a: b\r\n\r\n",
            "a: b\r\nc",
            "a: b\tc\r\n",
            "a: b\0\r\n",
            "a: \u{e4}\r\n",
            " a: b\r\n",
            "date: now\r\n",
            "connection: close\r\n",
            "x: y\r\ncontent-length: 1\r\n",
            "transfer-encoding: chunked\r\n",
        ] {
            assert!(std::panic::catch_unwind(|| FieldLines::new(text)).is_err(), "{text:?}");
        }
    }
}
