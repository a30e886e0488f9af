//! Paths of routes: read when the program is built, compared as bytes when a request comes.

/// A path with at most one `{parameter}`, which spans exactly one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathPattern {
    text: &'static str,
    /// Where the parameter starts, or the length of the text where there is none.
    prefix: usize,
    /// Where the text goes on behind the parameter.
    rest: usize,
}

impl PathPattern {
    /// Reads a pattern such as `/api/orders/{id}`. Meant for constants: a bad pattern stops the
    /// build.
    #[must_use]
    pub const fn new(text: &'static str) -> PathPattern {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty() && bytes[0] == b'/', "a pattern starts with a slash");
        let (mut prefix, mut rest, mut at) = (bytes.len(), bytes.len(), 0);
        while at < bytes.len() {
            if bytes[at] == b'{' {
                assert!(prefix == bytes.len(), "a pattern has one parameter at most");
                assert!(bytes[at - 1] == b'/', "a parameter is a whole segment");
                prefix = at;
            } else if bytes[at] == b'}' {
                assert!(prefix < at, "a parameter opens before it closes");
                rest = at + 1;
                assert!(
                    rest == bytes.len() || bytes[rest] == b'/',
                    "a parameter is a whole segment"
                );
            }
            at += 1;
        }
        PathPattern { text, prefix, rest }
    }

    /// The pattern as written; the `http_route` of metrics.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The parameter's place in `path` (empty where there is none) if the path fits this pattern.
    #[must_use]
    pub fn fits(&self, path: &[u8]) -> Option<Param> {
        let text = self.text.as_bytes();
        if self.prefix == text.len() {
            return (path == text).then_some(Param { start: 0, end: 0 });
        }
        let tail = &text[self.rest..];
        let end = path.len().checked_sub(tail.len())?;
        if end <= self.prefix || path[..self.prefix] != text[..self.prefix] || &path[end..] != tail
        {
            return None;
        }
        let value = &path[self.prefix..end];
        if !value.iter().copied().all(is_unreserved) || value == b"." || value == b".." {
            return None;
        }
        // A head's limit is far below 4 GiB, so the positions fit.
        Some(Param { start: self.prefix as u32, end: end as u32 })
    }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Where the parameter stands in the request's path. It is a place and not a slice so that it
/// outlives the reading of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    start: u32,
    end: u32,
}

impl Param {
    /// The parameter in the same path that was matched; empty for any other.
    #[must_use]
    pub fn of<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        path.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
