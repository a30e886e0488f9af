//! Reading heads: bytes to [`RequestHead`] and [`ResponseHead`].
//!
//! httparse cuts a head into tokens, in one pass; one pass over its fields gives them meaning. This
//! file owns both passes and what httparse does not do: bare LF, repeated fields, Host. It refuses
//! to tell different things of the same bytes: which error a head has depends on its bytes alone, not on how
//! they were cut into arrivals.
//!
//! A head that arrives whole is read once. One that does not is read again only when its blank line
//! has come; until then each byte is looked at once, for the end of a line.

use std::mem::MaybeUninit;

use memchr::memchr;

use crate::{
    BodyLength, Error, Field, Limits, Method, RequestHead, ResponseHead, Span, Version,
    framing::{Framing, Message},
    limits::FIELDS_MAX,
    target,
};

/// How far the search for a head's end has got.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    scanned: usize,
}

/// Reads a request head that begins at the start of `input`. An error may leave `head` half filled,
/// but never with what an earlier head said.
pub(crate) fn request(
    progress: &mut Progress,
    input: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, Error> {
    // RFC 9112 section 2.2: one empty line before the request line is ignored.
    let start = match input {
        [b'\r', b'\n', ..] => 2,
        [b'\r'] => return Ok(None),
        _ => 0,
    };
    let window = window(&input[start..], limits.head_bytes_max);
    let taken = progress.read(
        window,
        |window| parse_request(window, start as u32, limits, head),
        |window| cut_request(window, &mut storage(), limits).err(),
    );
    match taken {
        Ok(None) if window.len() == limits.head_bytes_max => {
            let first_line_ends = memchr(b'\n', window).is_some();
            Err(if first_line_ends {
                Error::HeadTooLarge
            } else {
                Error::TargetTooLong
            })
        }
        taken => taken.map(|taken| taken.map(|taken| taken + start)),
    }
}

/// Reads a response head that begins at `start`, the answer to a request of this method.
pub(crate) fn response(
    progress: &mut Progress,
    input: &[u8],
    start: usize,
    asked: Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, Error> {
    let bytes_max = limits.head_bytes_max.saturating_sub(start);
    let window = window(input.get(start..).unwrap_or_default(), bytes_max);
    let taken = progress.read(
        window,
        |window| parse_response(window, start as u32, asked, limits, head),
        |window| cut_response(window, &mut storage(), limits).err(),
    );
    match taken {
        Ok(None) if window.len() == bytes_max => Err(Error::HeadTooLarge),
        taken => taken,
    }
}

fn window(input: &[u8], bytes_max: usize) -> &[u8] {
    &input[..input.len().min(bytes_max)]
}

/// What a search for the end of a line found first.
enum Ending {
    None,
    BlankLine,
    BareLineFeed(usize),
}

impl Progress {
    /// Calls `parse` at most twice for one head, however it arrives; `syntax` tells the error httparse
    /// has with a prefix, and is called only when there is some error.
    #[inline]
    fn read(
        &mut self,
        window: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<Option<usize>, Error>,
        syntax: impl FnOnce(&[u8]) -> Option<Error>,
    ) -> Result<Option<usize>, Error> {
        let found = match self.scanned {
            0 => parse(window),
            _ => match self.scan(window) {
                Ending::None => return Ok(None),
                Ending::BlankLine => parse(window),
                Ending::BareLineFeed(_) => Err(Error::LineEnding),
            },
        };
        match found {
            Ok(Some(taken)) => {
                self.scanned = 0;
                Ok(Some(taken))
            }
            Ok(None) => match self.scan(window) {
                Ending::BareLineFeed(_) => Err(blame(window, Error::LineEnding, syntax)),
                _ => Ok(None),
            },
            Err(error) => Err(blame(window, error, syntax)),
        }
    }

    fn scan(&mut self, window: &[u8]) -> Ending {
        while let Some(length) = window
            .get(self.scanned..)
            .and_then(|rest| memchr(b'\n', rest))
        {
            let at = self.scanned + length;
            if at == 0 || window[at - 1] != b'\r' {
                return Ending::BareLineFeed(at);
            }
            if at > 1 && window[at - 2] == b'\n' {
                return Ending::BlankLine;
            }
            self.scanned = at + 1;
        }
        self.scanned = window.len();
        Ending::None
    }
}

/// The error to tell, given that there is one: the first bare LF if there is one in the head, unless
/// httparse stumbles before it; so that it does not matter which of them was found first.
#[cold]
fn blame(window: &[u8], error: Error, syntax: impl FnOnce(&[u8]) -> Option<Error>) -> Error {
    match Progress::default().scan(window) {
        Ending::BareLineFeed(at) => syntax(&window[..at]).unwrap_or(Error::LineEnding),
        _ => error,
    }
}

type Storage<'b> = [MaybeUninit<httparse::Header<'b>>; FIELDS_MAX];

#[inline]
fn storage<'b>() -> Storage<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// The tokens of a request head; the number of its bytes is 0 while it is incomplete.
#[inline]
fn cut_request<'h, 'b>(
    window: &'b [u8],
    storage: &'h mut Storage<'b>,
    limits: &Limits,
) -> Result<(usize, httparse::Request<'h, 'b>), Error> {
    let mut request = httparse::Request::new(&mut []);
    // httparse skips any number of empty lines; the one that may be there is skipped already.
    if matches!(window, [b'\r' | b'\n', ..]) {
        return Err(Error::RequestLine);
    }
    let storage = &mut storage[..limits.fields_max.min(FIELDS_MAX)];
    match request.parse_with_uninit_headers(window, storage) {
        Ok(httparse::Status::Complete(taken)) => Ok((taken, request)),
        Ok(httparse::Status::Partial) => Ok((0, request)),
        Err(httparse::Error::Version) => {
            let version_start = window
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b' ')
                .nth(1);
            let version = version_start.map_or(&[][..], |(space, _)| &window[space + 1..]);
            version_error(version, Error::RequestLine).map(|()| (0, request))
        }
        Err(error) => Err(syntax_error(error, Error::RequestLine)),
    }
}

/// The tokens of a response head; the number of its bytes is 0 while it is incomplete.
#[inline]
fn cut_response<'h, 'b>(
    window: &'b [u8],
    storage: &'h mut Storage<'b>,
    limits: &Limits,
) -> Result<(usize, httparse::Response<'h, 'b>), Error> {
    let mut response = httparse::Response::new(&mut []);
    if matches!(window, [b'\r' | b'\n', ..]) {
        return Err(Error::StatusLine);
    }
    let storage = &mut storage[..limits.fields_max.min(FIELDS_MAX)];
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut response, window, storage) {
        Ok(httparse::Status::Complete(taken)) => Ok((taken, response)),
        Ok(httparse::Status::Partial) => Ok((0, response)),
        Err(httparse::Error::Version) => {
            version_error(window, Error::StatusLine).map(|()| (0, response))
        }
        Err(error) => Err(syntax_error(error, Error::StatusLine)),
    }
}

/// RFC 9110 section 2.5: another version is 505 if it is one at all. `Ok` while it may become one.
#[cold]
fn version_error(version: &[u8], malformed: Error) -> Result<(), Error> {
    const FORM: &[u8; 8] = b"HTTP/#.#";
    let fits = FORM.iter().zip(version).all(|(form, byte)| match form {
        b'#' => byte.is_ascii_digit(),
        form => form == byte,
    });
    match fits {
        true if version.len() >= FORM.len() => Err(Error::Version),
        true => Ok(()),
        false => Err(malformed),
    }
}

#[cold]
fn syntax_error(error: httparse::Error, first_line: Error) -> Error {
    match error {
        httparse::Error::HeaderName => Error::FieldName,
        httparse::Error::HeaderValue => Error::FieldValue,
        httparse::Error::NewLine => Error::LineEnding,
        httparse::Error::TooManyHeaders => Error::TooManyFields,
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => first_line,
    }
}

/// Turns slices of a buffer into spans of it.
#[derive(Clone, Copy)]
struct Origin {
    address: usize,
    start: u32,
}

impl Origin {
    #[inline]
    fn span(self, part: &[u8]) -> Span {
        let start = self.start + (part.as_ptr() as usize - self.address) as u32;
        Span {
            start,
            end: start + part.len() as u32,
        }
    }

    /// The spans of a field, and whether the line before it ends with CR LF: httparse takes LF alone.
    #[inline]
    fn field(self, window: &[u8], token: &httparse::Header<'_>) -> (Field, bool) {
        let name = self.span(token.name.as_bytes());
        let at = (name.start - self.start) as usize;
        let line_ended = at > 1 && window[at - 2] == b'\r';
        (
            Field {
                name,
                value: self.span(token.value),
            },
            line_ended,
        )
    }
}

#[inline]
fn parse_request(
    window: &[u8],
    start: u32,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, Error> {
    head.clear();
    let mut storage = storage();
    let (taken, tokens) = cut_request(window, &mut storage, limits)?;
    if taken == 0 {
        return Ok(None);
    }
    let origin = Origin {
        address: window.as_ptr() as usize,
        start,
    };
    let name = tokens.method.unwrap_or_default().as_bytes();
    head.method = Method::from_bytes(name);
    head.method_name = origin.span(name);
    let target = tokens.path.unwrap_or_default().as_bytes();
    if target.len() > limits.target_bytes_max {
        return Err(Error::TargetTooLong);
    }
    head.target = origin.span(target);
    head.path_start = target::check(head.method, target)? as u32;
    head.version = version(tokens.version);

    let mut meaning = Meaning::default();
    let mut lines_end = window[..taken].ends_with(b"\r\n\r\n");
    for token in tokens.headers.iter() {
        let (field, line_ended) = origin.field(window, token);
        lines_end &= line_ended;
        head.fields.push(field);
        if let Some(known) = Known::of(token.name.as_bytes()) {
            request_field(known, token.value, field.value, head, &mut meaning)?;
        }
    }
    if !lines_end {
        return Err(Error::LineEnding);
    }
    // RFC 9112 section 3.2: a server must refuse an HTTP/1.1 request without Host.
    if head.host.is_none() && head.version == Version::Http11 {
        return Err(Error::HostMissing);
    }
    head.length = meaning
        .framing
        .body_length(head.version, Message::Request)?;
    head.keep_alive = meaning.keep_alive(head.version);
    // RFC 9110 section 10.1.1: an expectation of HTTP/1.0 is ignored, as is one without a body.
    head.expect_continue &= head.version == Version::Http11 && !head.length.is_empty();
    Ok(Some(taken))
}

#[inline]
fn request_field(
    known: Known,
    value: &[u8],
    span: Span,
    head: &mut RequestHead,
    meaning: &mut Meaning,
) -> Result<(), Error> {
    match known {
        Known::Host if head.host.is_some() => return Err(Error::HostRepeated),
        Known::Host if !target::is_authority(value) => return Err(Error::HostInvalid),
        Known::Host => head.host = Some(span),
        // Two credentials are two callers; which one is meant is not ours to guess.
        Known::Authorization if head.authorization.is_some() => {
            return Err(Error::AuthorizationRepeated);
        }
        Known::Authorization => head.authorization = Some(span),
        Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
            head.expect_continue = true;
        }
        // RFC 9110 section 10.1.1: 417 is for a member that is not `100-continue`.
        Known::Expect => return Err(Error::Expectation),
        Known::Connection => meaning.connection(value),
        Known::ContentLength => meaning.framing.content_length(value)?,
        Known::TransferEncoding => meaning.framing.transfer_encoding(value)?,
    }
    Ok(())
}

#[inline]
fn parse_response(
    window: &[u8],
    start: u32,
    asked: Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, Error> {
    head.clear();
    let mut storage = storage();
    let (taken, tokens) = cut_response(window, &mut storage, limits)?;
    if taken == 0 {
        return Ok(None);
    }
    let origin = Origin {
        address: window.as_ptr() as usize,
        start,
    };
    head.status = tokens.code.unwrap_or_default();
    // RFC 9110 section 15: a status outside 100 to 599 is invalid.
    if !matches!(head.status, 100..=599) {
        return Err(Error::StatusLine);
    }
    head.version = version(tokens.version);
    let mut meaning = Meaning::default();
    let mut lines_end = window[..taken].ends_with(b"\r\n\r\n");
    for token in tokens.headers.iter() {
        let (field, line_ended) = origin.field(window, token);
        lines_end &= line_ended;
        head.fields.push(field);
        match Known::of(token.name.as_bytes()) {
            Some(Known::Connection) => meaning.connection(token.value),
            Some(Known::ContentLength) => meaning.framing.content_length(token.value)?,
            Some(Known::TransferEncoding) => meaning.framing.transfer_encoding(token.value)?,
            _ => {}
        }
    }
    if !lines_end {
        return Err(Error::LineEnding);
    }
    let message = Message::Response(asked, head.status);
    head.length = meaning.framing.body_length(head.version, message)?;
    head.keep_alive = meaning.keep_alive(head.version)
        && head.length != BodyLength::UntilClose
        // A tunnel is no place for requests; nor is a connection whose server announces a body
        // where none can be (RFC 9110 section 8.6), for it may well send one.
        && asked != Method::Connect
        && !(head.status == 204 && meaning.framing.announces_body());
    Ok(Some(taken))
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    }
}

impl RequestHead {
    /// Forgets the last head and keeps the memory its fields took.
    pub(crate) fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self {
            fields,
            ..Self::default()
        };
    }
}

impl ResponseHead {
    fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self {
            fields,
            ..Self::default()
        };
    }
}

/// The fields that mean something here.
#[derive(Clone, Copy)]
enum Known {
    Host,
    Authorization,
    Expect,
    Connection,
    ContentLength,
    TransferEncoding,
}

impl Known {
    /// Length and first letter tell all but a few names apart before any comparison.
    #[inline]
    fn of(name: &[u8]) -> Option<Self> {
        let (known, lower): (_, &[u8]) = match (name.len(), name.first()? | 0x20) {
            (4, b'h') => (Self::Host, b"host"),
            (6, b'e') => (Self::Expect, b"expect"),
            (10, b'c') => (Self::Connection, b"connection"),
            (13, b'a') => (Self::Authorization, b"authorization"),
            (14, b'c') => (Self::ContentLength, b"content-length"),
            (17, b't') => (Self::TransferEncoding, b"transfer-encoding"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(lower).then_some(known)
    }
}

/// What the fields of a head say together.
#[derive(Default)]
struct Meaning {
    framing: Framing,
    close: bool,
    stay: bool,
}

impl Meaning {
    /// RFC 9110 section 7.6.1: a list of options, here and in further fields of the name.
    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.stay |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112 section 9.3.
    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.stay)
    }
}
