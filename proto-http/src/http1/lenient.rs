//! Response heads as a client takes them that measures other people's servers: what the strict
//! reader refuses is read here once more, as curl and browsers would read it.
//!
//! It owns what is forgiven: folded lines, LF alone, empty lines before the head, white space
//! before a colon, names that are no tokens, statuses from 600 to 999, equal lengths given more
//! than once, `Transfer-Encoding` in every form whose end is certain. It refuses what leaves the
//! end of the response in doubt (lengths that differ or are no numbers), what is not HTTP/1, and
//! NUL and CR within a line. No server and no gateway reads with it.

use memchr::memchr;

use super::framing::{Framing, Message};
use super::read::Known;
use super::tokens::version_error;
use crate::{BodyLength, Error, Field, Limits, Method, ResponseHead, Span, Version};

/// How far the search for the blank line of one head has got, so that each byte of a head that
/// arrives slowly is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LenientProgress {
    scanned: usize,
}

/// Reads a response head that begins at `start`, over empty lines before it. `None` asks for more
/// bytes behind the same ones.
pub(crate) fn response(
    search: &mut LenientProgress,
    input: &[u8],
    start: usize,
    asked: Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, Error> {
    let rest = input.get(start..).unwrap_or_default();
    let window = &rest[..rest.len().min(limits.head_bytes_max)];
    let skipped = empty_lines(window);
    check_version(&window[skipped..])?;
    match search.blank_line(window, skipped) {
        Some(end) => {
            let lines = LenientLines { window, at: skipped, end };
            parse(lines, start as u32, asked, limits, head)?;
            Ok(Some(end))
        }
        None if window.len() == limits.head_bytes_max => Err(Error::HeadTooLarge),
        None => Ok(None),
    }
}

/// Bytes of the empty lines at the beginning.
fn empty_lines(window: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match &window[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return at,
        };
    }
}

/// What is no HTTP is refused at its first bytes, and not only when it ends.
fn check_version(line: &[u8]) -> Result<(), Error> {
    const FORMS: [&[u8; 8]; 2] = [b"HTTP/1.1", b"HTTP/1.0"];
    let known = line.len().min(FORMS[0].len());
    if FORMS.iter().any(|form| form[..known] == line[..known]) || line == b"\r" {
        return Ok(());
    }
    version_error(line, Error::StatusLine)
}

impl LenientProgress {
    /// Where the head ends: behind the first empty line after `from`.
    fn blank_line(&mut self, window: &[u8], from: usize) -> Option<usize> {
        self.scanned = self.scanned.max(from);
        while let Some(length) = memchr(b'\n', &window[self.scanned..]) {
            let next = self.scanned + length + 1;
            match &window[next..] {
                [b'\n', ..] => return Some(next + 1),
                [b'\r', b'\n', ..] => return Some(next + 2),
                // The next byte decides.
                [] | [b'\r'] => return None,
                _ => self.scanned = next,
            }
        }
        self.scanned = window.len();
        None
    }
}

/// The lines of a head, each without its end. The last one is empty.
struct LenientLines<'a> {
    window: &'a [u8],
    at: usize,
    end: usize,
}

impl Iterator for LenientLines<'_> {
    /// First byte of a line, and one past its last.
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        let length = memchr(b'\n', self.window.get(start..self.end)?)?;
        self.at = start + length + 1;
        let has_cr = length > 0 && self.window[start + length - 1] == b'\r';
        Some((start, start + length - usize::from(has_cr)))
    }
}

fn parse(
    mut lines: LenientLines<'_>,
    start: u32,
    asked: Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<(), Error> {
    head.clear();
    let window = lines.window;
    let (first, end) = lines.next().ok_or(Error::StatusLine)?;
    (head.version, head.status) = status_line(&window[first..end])?;
    let mut found: Option<Field> = None;
    let mut meaning = ResponseFields::default();
    for (first, end) in lines {
        let line = &window[first..end];
        if line.iter().any(|byte| matches!(byte, 0 | b'\r')) {
            return Err(Error::FieldValue);
        }
        // RFC 9112 section 5.2: a folded line continues the value above. Section 2.2: before the
        // first field such a line is skipped.
        if matches!(line, [b' ' | b'\t', ..]) {
            if let Some(field) = &mut found {
                field.value = join(window, field.value, trimmed(window, first, end));
            }
            continue;
        }
        if let Some(field) = found.take() {
            meaning.take(window, field)?;
            keep(head, field, start, limits)?;
        }
        found = (first < end).then(|| field(window, first, end)).transpose()?;
    }
    head.length = meaning.framing.lenient_body_length(Message::Response(asked, head.status));
    head.body_withheld = meaning.framing.withholds_body(asked, head.status);
    head.keep_alive = meaning.keep_alive(head, asked);
    Ok(())
}

/// RFC 9112 section 4, with or without a reason, and a status of three digits. One below 100 is
/// neither interim nor final, so that nothing can be made of it.
fn status_line(line: &[u8]) -> Result<(Version, u16), Error> {
    let (version, rest) = line.split_at_checked(8).ok_or(Error::StatusLine)?;
    let version = if version == b"HTTP/1.0" { Version::Http10 } else { Version::Http11 };
    let rest = match rest {
        [b' ' | b'\t', ..] => rest.trim_ascii_start(),
        _ => return Err(Error::StatusLine),
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let status = match rest {
        [a, b, c] | [a, b, c, b' ' | b'\t', ..] => {
            [*a, *b, *c].into_iter().try_fold(0, |status, byte| Some(status * 10 + digit(byte)?))
        }
        _ => None,
    };
    status.filter(|status| *status >= 100).map(|status| (version, status)).ok_or(Error::StatusLine)
}

/// A field line: a name that is not empty, white space, a colon, the value.
fn field(window: &[u8], first: usize, end: usize) -> Result<Field, Error> {
    let colon = first + memchr(b':', &window[first..end]).ok_or(Error::FieldName)?;
    let name = trimmed(window, first, colon);
    if name.is_empty() {
        return Err(Error::FieldName);
    }
    Ok(Field { name, value: trimmed(window, colon + 1, end) })
}

fn trimmed(window: &[u8], first: usize, end: usize) -> Span {
    let line = &window[first..end];
    let start = first + (line.len() - line.trim_ascii_start().len());
    let end = start + line.trim_ascii().len();
    Span { start: start as u32, end: end as u32 }
}

/// A value with a folded line behind it.
fn join(window: &[u8], value: Span, more: Span) -> Span {
    match (value.is_empty(), more.of(window).is_empty()) {
        (_, true) => value,
        (true, false) => more,
        (false, false) => Span { start: value.start, end: more.end },
    }
}

/// Notes a field with its place in the caller's buffer.
fn keep(head: &mut ResponseHead, field: Field, start: u32, limits: &Limits) -> Result<(), Error> {
    if head.fields.len() == limits.fields_max {
        return Err(Error::TooManyFields);
    }
    let moved = |span: Span| Span { start: span.start + start, end: span.end + start };
    head.fields.push(Field { name: moved(field.name), value: moved(field.value) });
    Ok(())
}

/// What the fields say together.
#[derive(Default)]
struct ResponseFields {
    framing: Framing,
    close: bool,
    stay: bool,
}

impl ResponseFields {
    fn take(&mut self, window: &[u8], field: Field) -> Result<(), Error> {
        let value = field.value.of(window);
        match Known::of(field.name.of(window)) {
            Some(Known::Connection) => {
                for option in members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.stay |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            Some(Known::ContentLength) => {
                let mut lengths = members(value).peekable();
                if lengths.peek().is_none() {
                    return Err(Error::ContentLengthInvalid);
                }
                lengths.try_for_each(|length| self.framing.another_length(length))?;
            }
            Some(Known::TransferEncoding) => {
                members(value).for_each(|coding| self.framing.another_coding(coding));
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 section 9.3; a connection whose next byte could belong to this response is not
    /// used again (sections 6.1 and 6.3).
    fn keep_alive(&self, head: &ResponseHead, asked: Method) -> bool {
        let persistent = match head.version {
            Version::Http11 => true,
            Version::Http10 => self.stay && !self.framing.is_coded(),
        };
        persistent
            && !self.close
            && head.length != BodyLength::UntilClose
            && asked != Method::Connect
            && !(head.status == 204 && self.framing.announces_body())
    }
}

/// The members of a list, which may be folded: the white space around each goes, line ends as well.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use crate::http1::{read, search::HeadProgress};

    fn limits() -> Limits {
        Limits { head_bytes_max: 4096, fields_max: 200, ..Limits::default() }
    }

    /// Status, length and whether the connection may be used again; the bytes come in two parts.
    fn client(asked: Method, bytes: &[u8], cut: usize) -> Result<(u16, BodyLength, bool), Error> {
        let mut client = Client::lenient(limits());
        client.requested(asked);
        let taken = match client.head(&bytes[..cut])? {
            Some(taken) => taken,
            None => client.head(bytes)?.expect("the head is whole"),
        };
        assert_eq!(taken, bytes.len(), "{}", bytes.escape_ascii());
        let response = client.response();
        Ok((response.status, response.length, response.keep_alive))
    }

    const EXACT: BodyLength = BodyLength::Exact(4);

    /// A head, its status, how long its body is, and whether the connection stays.
    type Row = (&'static str, u16, BodyLength, bool);

    const FORGIVEN: &[Row] = &[
        (
            "HTTP/1.1 200 OK\r\nA: one\r\n two\r\n\tthree\r\nContent-Length: 4\r\n\r\n",
            200,
            EXACT,
            true,
        ),
        ("HTTP/1.1 200 OK\r\n first: x\r\nContent-Length: 4\r\n\r\n", 200, EXACT, true),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 4\r\n\r\n", 200, EXACT, true),
        (
            "HTTP/1.1 200 OK\r\nConnection: a,\r\n close\r\nContent-Length: 4\r\n\r\n",
            200,
            EXACT,
            false,
        ),
        ("HTTP/1.1 200 OK\nContent-Length: 4\n\n", 200, EXACT, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\n\r\n", 200, EXACT, true),
        ("\r\n\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 200, EXACT, true),
        ("HTTP/1.1 200\r\nContent-Length : 4\r\n\r\n", 200, EXACT, true),
        ("HTTP/1.1  204 \x07\r\nodd[name]: \x01\r\n\r\n", 204, BodyLength::Empty, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n", 200, EXACT, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 04\r\n\r\n", 200, EXACT, true),
        ("HTTP/1.1 600 Odd\r\nContent-Length: 4\r\n\r\n", 600, EXACT, true),
        ("HTTP/1.1 999\r\nContent-Length: 4\r\n\r\n", 999, EXACT, true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n",
            200,
            BodyLength::Chunked,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\
                 Content-Length: 9\r\n\r\n",
            200,
            BodyLength::Chunked,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\n",
            200,
            EXACT,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            200,
            BodyLength::UntilClose,
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
            200,
            BodyLength::Chunked,
            false,
        ),
        ("HTTP/1.0 200 OK\nConnection: Keep-Alive\nContent-Length: 4\n\n", 200, EXACT, true),
        ("HTTP/1.1 103 A\n\nHTTP/1.1 100\r\n\r\nHTTP/1.1 304 B\n\n", 304, BodyLength::Empty, true),
    ];

    #[test]
    fn what_browsers_take_is_taken_however_it_is_cut() {
        for (bytes, status, length, keep_alive) in FORGIVEN {
            for cut in 0..=bytes.len() {
                let found = client(Method::Get, bytes.as_bytes(), cut);
                assert_eq!(found, Ok((*status, *length, *keep_alive)), "{bytes:?} cut at {cut}");
            }
            let mut strict = Client::new(limits());
            strict.requested(Method::Get);
            assert!(strict.head(bytes.as_bytes()).is_err(), "a gateway refuses {bytes:?}");
        }
        // A response to HEAD announces what GET would be sent.
        let head = b"HTTP/1.1 200 OK\nContent-Length: 4\n\n";
        assert_eq!(client(Method::Head, head, 3), Ok((200, BodyLength::Empty, true)));
    }

    #[test]
    fn what_leaves_the_end_in_doubt_is_refused() {
        for (bytes, error) in [
            ("HTTP/1.1 200 OK\nContent-Length: 4, 5\n\n", Error::ContentLengthRepeated),
            (
                "HTTP/1.1 200 OK\nContent-Length: 4\nContent-Length: 5\n\n",
                Error::ContentLengthRepeated,
            ),
            ("HTTP/1.1 200 OK\nContent-Length: ,\n\n", Error::ContentLengthInvalid),
            ("HTTP/1.1 200 OK\nContent-Length: +4\n\n", Error::ContentLengthInvalid),
            ("HTTP/1.1 200 OK\nno colon\n\n", Error::FieldName),
            ("HTTP/1.1 200 OK\n: no name\n\n", Error::FieldName),
            ("HTTP/1.1 200 OK\nA: b\0c\n\n", Error::FieldValue),
            ("HTTP/1.1 200 OK\nA: b\rc\n\n", Error::FieldValue),
            ("HTTP/1.1 099 Low\r\n\r\n", Error::StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", Error::StatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n", Error::StatusLine),
            ("HTTP/1.1 +20 OK\r\n\r\n", Error::StatusLine),
            ("HTTP/2.0 200 OK\r\n\r\n", Error::Version),
            ("ICY 200 OK\r\n\r\n", Error::StatusLine),
            ("HTTP/1.1 101 Switching\n\n", Error::UpgradeUnasked),
        ] {
            let found = client(Method::Get, bytes.as_bytes(), bytes.len());
            assert_eq!(found, Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_http_is_refused_at_its_first_bytes() {
        let mut client = Client::lenient(limits());
        client.requested(Method::Get);
        assert_eq!(client.head(b"SSH-2.0"), Err(Error::StatusLine));
    }

    #[test]
    fn both_limits_of_a_head_hold() {
        let head = |fields: usize, bytes: usize| {
            let fields = "a:b\r\n".repeat(fields);
            format!("HTTP/1.1 204 No\r\n{fields}X: {}\r\n\r\n", "x".repeat(bytes)).into_bytes()
        };
        let read = |bytes: &[u8]| client(Method::Get, bytes, bytes.len() / 2);
        assert_eq!(read(&head(199, 10)), Ok((204, BodyLength::Empty, true)));
        assert_eq!(read(&head(200, 10)), Err(Error::TooManyFields));
        assert_eq!(read(&head(150, 3000)), Ok((204, BodyLength::Empty, true)));
        assert_eq!(read(&head(150, 4000)), Err(Error::HeadTooLarge));
    }

    #[test]
    fn interim_responses_are_spent_as_they_come() {
        let mut client = Client::lenient(Limits { interim_responses_max: u8::MAX, ..limits() });
        client.requested(Method::Get);
        let interim = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1";
        for _ in 0..2_000 {
            assert_eq!(client.head(interim), Ok(None));
            assert_eq!(client.interim(), interim.len() - 8);
        }
        assert_eq!(client.head(b"HTTP/1.1 204 Done\n\n"), Ok(Some(19)));
        assert_eq!((client.response().status, client.interim()), (204, 0));
    }

    /// Forgiving takes nothing else from what needs no forgiveness.
    #[test]
    fn what_the_strict_reader_takes_means_the_same_here() {
        let heads = [
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nDate: now \r\nEmpty:\r\n\r\n",
            "HTTP/1.1 404\r\nTransfer-Encoding: chunked\r\nConnection: a, close\r\n\r\n",
            "HTTP/1.0 200 Fine\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 301 Moved\r\nLocation: /b\r\n\r\n",
        ];
        for bytes in heads {
            for asked in [Method::Get, Method::Head, Method::Connect] {
                let input = [b"??", bytes.as_bytes(), b"rest"].concat();
                let (mut strict, mut lenient) = (ResponseHead::default(), ResponseHead::default());
                let (progress, search) =
                    (&mut HeadProgress::default(), &mut LenientProgress::default());
                let limits = limits();
                let one = read::response(progress, &input, 2, asked, &limits, &mut strict);
                let other = response(search, &input, 2, asked, &limits, &mut lenient);
                assert_eq!((one, other), (Ok(Some(bytes.len())), Ok(Some(bytes.len()))));
                // The options of Connection are collected for proxies, which read strictly.
                strict.options.clear();
                assert_eq!(format!("{strict:?}"), format!("{lenient:?}"), "{bytes:?}");
            }
        }
    }
}
