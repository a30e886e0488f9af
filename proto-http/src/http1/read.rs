//! Reading heads: bytes to [`RequestHead`] and [`ResponseHead`].
//!
//! It owns the one pass over the fields that gives them meaning, and everything that must stand
//! once or at all. It refuses heads two readers could understand differently; how each is refused
//! is said at its branch.

use memchr::memchr;

use super::framing::{Framing, Message};
use super::search::HeadProgress;
use super::target;
use super::tokens::{Origin, cut_request, cut_response, storage};
use crate::{BodyLength, Error, Limits, Method, RequestHead, ResponseHead, Span, Version};

/// Reads a request head that begins at the start of `input`. An error may leave `head` half filled,
/// but never with what an earlier head said.
pub(crate) fn request(
    progress: &mut HeadProgress,
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
            Err(if first_line_ends { Error::HeadTooLarge } else { Error::TargetTooLong })
        }
        taken => taken.map(|taken| taken.map(|taken| taken + start)),
    }
}

/// Reads a response head that begins at `start`, the answer to a request of this method.
pub(crate) fn response(
    progress: &mut HeadProgress,
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
    let origin = Origin::new(window, start);
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

    let mut meaning = HeadFields::default();
    let mut lines_end = window[..taken].ends_with(b"\r\n\r\n");
    head.fields.reserve(tokens.headers.len());
    for token in tokens.headers.iter() {
        let (field, line_ended) = origin.field(window, token);
        lines_end &= line_ended;
        head.fields.push(field);
        if let Some(known) = Known::of(token.name.as_bytes()) {
            request_field(known, token.value, field.value, head, &mut meaning, limits)?;
        }
    }
    if !lines_end {
        return Err(Error::LineEnding);
    }
    meaning.check_options(limits)?;
    // RFC 9112 section 3.2: a server must refuse an HTTP/1.1 request without Host.
    if head.host.is_none() && head.version == Version::Http11 {
        return Err(Error::HostMissing);
    }
    head.length = meaning.framing.body_length(head.version, Message::Request)?;
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
    meaning: &mut HeadFields,
    limits: &Limits,
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
        Known::Connection => meaning.connection(value, span, &mut head.options, limits),
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
    let origin = Origin::new(window, start);
    head.status = tokens.code.unwrap_or_default();
    // RFC 9110 section 15: a status outside 100 to 599 is invalid.
    if !matches!(head.status, 100..=599) {
        return Err(Error::StatusLine);
    }
    head.version = version(tokens.version);
    let mut meaning = HeadFields::default();
    let mut lines_end = window[..taken].ends_with(b"\r\n\r\n");
    head.fields.reserve(tokens.headers.len());
    for token in tokens.headers.iter() {
        let (field, line_ended) = origin.field(window, token);
        lines_end &= line_ended;
        head.fields.push(field);
        match Known::of(token.name.as_bytes()) {
            Some(Known::Connection) => {
                meaning.connection(token.value, field.value, &mut head.options, limits);
            }
            Some(Known::ContentLength) => meaning.framing.content_length(token.value)?,
            Some(Known::TransferEncoding) => meaning.framing.transfer_encoding(token.value)?,
            _ => {}
        }
    }
    if !lines_end {
        return Err(Error::LineEnding);
    }
    meaning.check_options(limits)?;
    let message = Message::Response(asked, head.status);
    head.length = meaning.framing.body_length(head.version, message)?;
    head.body_withheld = meaning.framing.withholds_body(asked, head.status);
    head.keep_alive = meaning.keep_alive(head.version)
        && head.length != BodyLength::UntilClose
        // A tunnel is no place for requests; nor is a connection whose server announces a body
        // where none can be (RFC 9110 section 8.6), for it may well send one.
        && asked != Method::Connect
        && !(head.status == 204 && head.body_withheld);
    Ok(Some(taken))
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

impl RequestHead {
    /// Forgets the last head and keeps the memory its fields took.
    pub(crate) fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        let mut options = std::mem::take(&mut self.options);
        fields.clear();
        options.clear();
        *self = Self { fields, options, ..Self::default() };
    }
}

impl ResponseHead {
    /// Forgets the last head and keeps the memory its fields took.
    pub(crate) fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        let mut options = std::mem::take(&mut self.options);
        fields.clear();
        options.clear();
        *self = Self { fields, options, ..Self::default() };
    }
}

/// The fields that mean something here.
#[derive(Clone, Copy)]
pub(crate) enum Known {
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
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        match (name.len(), name.first()? | 0x20) {
            (4, b'h') if is(name, b"host") => Some(Self::Host),
            (6, b'e') if is(name, b"expect") => Some(Self::Expect),
            (10, b'c') if is(name, b"connection") => Some(Self::Connection),
            (13, b'a') if is(name, b"authorization") => Some(Self::Authorization),
            (14, b'c') if is(name, b"content-length") => Some(Self::ContentLength),
            (17, b't') if is(name, b"transfer-encoding") => Some(Self::TransferEncoding),
            _ => None,
        }
    }
}

/// A token equals a name in lower case; the length being known, this is a few wide comparisons.
/// Setting one bit folds letters alone: what it would make of a hyphen's neighbour (CR) is in no
/// token.
#[inline]
fn is<const N: usize>(token: &[u8], lower: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(token).is_ok_and(|token| {
        let differing = token.iter().zip(lower).fold(0, |bits, (a, b)| bits | ((a | 0x20) ^ b));
        differing == 0
    })
}

/// What the fields of a head say together.
#[derive(Default)]
struct HeadFields {
    framing: Framing,
    close: bool,
    stay: bool,
    options: usize,
}

impl HeadFields {
    /// RFC 9110 section 7.6.1: a list of options, here and in further fields of the name.
    #[inline]
    fn connection(&mut self, value: &[u8], span: Span, names: &mut Vec<Span>, limits: &Limits) {
        match value.len() {
            5 if value.eq_ignore_ascii_case(b"close") => self.close = true,
            10 if value.eq_ignore_ascii_case(b"keep-alive") => self.stay = true,
            _ => return self.connection_list(value, span, names, limits),
        }
        self.options += 1;
    }

    /// Other options are names of fields. Once there are too many the rest need not be read.
    #[cold]
    fn connection_list(
        &mut self,
        value: &[u8],
        span: Span,
        names: &mut Vec<Span>,
        limits: &Limits,
    ) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // RFC 9110 section 5.6.1.2: empty elements are ignored.
            if option.is_empty() {
                continue;
            }
            self.options += 1;
            if self.options > limits.connection_options_max {
                return;
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.stay = true;
            } else {
                let at = option.as_ptr() as usize - value.as_ptr() as usize;
                let start = span.start + at as u32;
                names.push(Span { start, end: start + option.len() as u32 });
            }
        }
    }

    fn check_options(&self, limits: &Limits) -> Result<(), Error> {
        if self.options > limits.connection_options_max {
            return Err(Error::ConnectionOptionsTooMany);
        }
        Ok(())
    }

    /// RFC 9112 section 9.3.
    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.stay)
    }
}
