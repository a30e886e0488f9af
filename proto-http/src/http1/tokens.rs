//! Cutting heads into tokens, which is httparse's work, and saying in our words what it stumbled
//! over.
//!
//! It owns what httparse says of a head. It refuses the empty lines httparse would skip without
//! end; the bare LF it takes is found by whoever turns tokens into spans.

use std::mem::MaybeUninit;

use crate::limits::FIELDS_MAX;
use crate::{Error, Field, Limits, Span};

/// Room for tokens, on the stack and not written before it is used.
pub(crate) type Storage<'b> = [MaybeUninit<httparse::Header<'b>>; FIELDS_MAX];

#[inline]
pub(crate) fn storage<'b>() -> Storage<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// The tokens of a request head; the number of its bytes is 0 while it is incomplete.
#[inline]
pub(crate) fn cut_request<'h, 'b>(
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
            let version_start = window.iter().enumerate().filter(|(_, byte)| **byte == b' ').nth(1);
            let version = version_start.map_or(&[][..], |(space, _)| &window[space + 1..]);
            version_error(version, Error::RequestLine).map(|()| (0, request))
        }
        Err(error) => Err(syntax_error(error, Error::RequestLine)),
    }
}

/// The tokens of a response head; the number of its bytes is 0 while it is incomplete.
#[inline]
pub(crate) fn cut_response<'h, 'b>(
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
pub(crate) fn version_error(version: &[u8], malformed: Error) -> Result<(), Error> {
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
pub(crate) struct Origin {
    address: usize,
    start: u32,
}

impl Origin {
    /// `window` begins at `start` of the caller's buffer.
    pub(crate) fn new(window: &[u8], start: u32) -> Self {
        Self { address: window.as_ptr() as usize, start }
    }

    #[inline]
    pub(crate) fn span(self, part: &[u8]) -> Span {
        let start = self.start + (part.as_ptr() as usize - self.address) as u32;
        Span { start, end: start + part.len() as u32 }
    }

    /// The spans of a field, and whether the line before it ends with CR LF: httparse takes LF
    /// alone.
    #[inline]
    pub(crate) fn field(self, window: &[u8], token: &httparse::Header<'_>) -> (Field, bool) {
        let name = self.span(token.name.as_bytes());
        let at = (name.start - self.start) as usize;
        let line_ended = at > 1 && window[at - 2] == b'\r';
        (Field { name, value: self.span(token.value) }, line_ended)
    }
}
