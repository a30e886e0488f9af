//! How long a message's body is: the whole rule, in one function, RFC 9112 section 6.3 cited at
//! each branch.
//!
//! Where two readers could disagree about the length, one of them can be made to take the end of a
//! body for a request of its own. So everything the RFC merely lets a recipient refuse is refused
//! here: lists and repetitions in Content-Length, both length fields at once, any transfer coding
//! that is not exactly `chunked`.

use crate::{BodyLength, Error, Method, Version};

/// What the fields of a head say about the length of its body.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    content_length: Option<u64>,
    coding: Option<Coding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// Others first, `chunked` last.
    Unknown,
    /// Not `chunked` last: its end is the connection's. Only a lenient client gets this far.
    UntilClose,
}

/// What a length is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    Request,
    /// With the method of the request it answers.
    Response(Method, u16),
}

impl Framing {
    /// RFC 9110 section 8.6: `Content-Length = 1*DIGIT`. The same value twice, as two fields or as
    /// a list, may be refused; it is.
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.content_length.is_some() {
            return Err(Error::ContentLengthRepeated);
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Error::ContentLengthInvalid);
        }
        let length = value.iter().try_fold(0_u64, |length, digit| {
            length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        });
        // More than 64 bits is a length all the same, and too large for anyone.
        self.content_length = Some(length.ok_or(Error::BodyTooLarge)?);
        Ok(())
    }

    /// RFC 9112 section 6.1. Names of codings are case-insensitive; parameters are not known.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.coding.is_some() {
            return Err(Error::TransferEncodingInvalid);
        }
        self.coding = Some(if value.eq_ignore_ascii_case(b"chunked") {
            Coding::Chunked
        } else {
            other_coding(value)?
        });
        Ok(())
    }

    /// RFC 9112 section 6.3. The numbers are those of its list.
    pub(crate) fn body_length(
        &self,
        version: Version,
        message: Message,
    ) -> Result<BodyLength, Error> {
        match (self.coding, self.content_length) {
            // 3: Transfer-Encoding would win, but "ought to be handled as an error".
            (Some(_), Some(_)) => return Err(Error::LengthAmbiguous),
            // Section 6.1: in HTTP/1.0 the framing is to be treated as faulty.
            (Some(_), _) if version == Version::Http10 => {
                return Err(Error::TransferEncodingVersion);
            }
            // Section 6.1: a coding that is not understood is 501.
            (Some(Coding::Unknown), _) => return Err(Error::TransferEncodingUnknown),
            _ => {}
        }
        if ends_with_head(message) {
            return Ok(BodyLength::Empty);
        }
        Ok(match (self.coding, self.content_length, message) {
            // 4: `chunked` is the last coding. Where it is not, `transfer_encoding` refused.
            (Some(_), _, _) => BodyLength::Chunked,
            // 6: 5, an invalid Content-Length, was refused by `content_length`.
            (None, Some(length), _) => BodyLength::Exact(length),
            // 7: a request that says nothing has no body.
            (None, None, Message::Request) => BodyLength::Empty,
            // 8: a response that says nothing lasts until the connection ends.
            (None, None, Message::Response(..)) => BodyLength::UntilClose,
        })
    }

    /// Takes one more length of a response that is read leniently (RFC 9110 section 8.6: the same
    /// one again may be taken for one). Different ones leave the end in doubt.
    pub(crate) fn another_length(&mut self, value: &[u8]) -> Result<(), Error> {
        let before = self.content_length.take();
        self.content_length(value)?;
        match before {
            Some(before) if self.content_length != Some(before) => {
                Err(Error::ContentLengthRepeated)
            }
            _ => Ok(()),
        }
    }

    /// Takes one more transfer coding of a response that is read leniently. The last one says how
    /// the body ends; `identity` is what RFC 2616 called none at all.
    pub(crate) fn another_coding(&mut self, value: &[u8]) {
        let name = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"chunked") {
            self.coding = Some(Coding::Chunked);
        } else if !name.eq_ignore_ascii_case(b"identity") {
            self.coding = Some(Coding::UntilClose);
        }
    }

    /// RFC 9112 section 6.3 for a response that is read leniently: where a transfer coding and a
    /// length stand side by side the coding wins (3), and one that does not end in `chunked` lasts
    /// until the connection ends (4).
    pub(crate) fn lenient_body_length(&self, message: Message) -> BodyLength {
        match (ends_with_head(message), self.coding, self.content_length) {
            (true, _, _) => BodyLength::Empty,
            (false, Some(Coding::Chunked | Coding::Unknown), _) => BodyLength::Chunked,
            (false, None, Some(length)) => BodyLength::Exact(length),
            (false, Some(Coding::UntilClose), _) | (false, None, None) => BodyLength::UntilClose,
        }
    }

    /// There is a transfer coding.
    pub(crate) fn is_coded(&self) -> bool {
        self.coding.is_some()
    }

    /// The response announces a body and cannot have one: its request was a HEAD, or its status is
    /// 204 or 304. An upstream that sends the body all the same breaks what follows.
    pub(crate) fn withholds_body(&self, asked: Method, status: u16) -> bool {
        (asked == Method::Head || matches!(status, 204 | 304)) && self.announces_body()
    }

    /// The message announces a body; in a response that cannot have one, a sign of confusion.
    pub(crate) fn announces_body(&self) -> bool {
        self.coding.is_some() || self.content_length.is_some_and(|length| length > 0)
    }
}

/// A response that has no body, whatever its fields say.
fn ends_with_head(message: Message) -> bool {
    let Message::Response(method, status) = message else { return false };
    // 1: these end with the head; 2: a tunnel follows, which is not a body.
    method == Method::Head
        || matches!(status, 100..=199 | 204 | 304)
        || method == Method::Connect && matches!(status, 200..=299)
}

/// RFC 9112 section 6.3, 4: a request whose last coding is not `chunked` has no reliable length
/// (400); section 7.1: `chunked` must not be applied twice.
#[cold]
fn other_coding(value: &[u8]) -> Result<Coding, Error> {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).rev();
    let last = codings.next().unwrap_or_default();
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if !is_chunked(last) || codings.any(|coding| coding.is_empty() || is_chunked(coding)) {
        return Err(Error::TransferEncodingInvalid);
    }
    Ok(Coding::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(codings: &[&str], lengths: &[&str], message: Message) -> Result<BodyLength, Error> {
        let mut framing = Framing::default();
        for value in codings {
            framing.transfer_encoding(value.as_bytes())?;
        }
        for value in lengths {
            framing.content_length(value.as_bytes())?;
        }
        framing.body_length(Version::Http11, message)
    }

    #[test]
    fn requests() {
        type Row = (&'static [&'static str], &'static [&'static str], Result<BodyLength, Error>);
        let table: &[Row] = &[
            (&[], &[], Ok(BodyLength::Empty)),
            (&[], &["0"], Ok(BodyLength::Exact(0))),
            (&[], &["0042"], Ok(BodyLength::Exact(42))),
            (&[], &["18446744073709551615"], Ok(BodyLength::Exact(u64::MAX))),
            (&[], &["18446744073709551616"], Err(Error::BodyTooLarge)),
            (&[], &[""], Err(Error::ContentLengthInvalid)),
            (&[], &["+5"], Err(Error::ContentLengthInvalid)),
            (&[], &["-5"], Err(Error::ContentLengthInvalid)),
            (&[], &["5 5"], Err(Error::ContentLengthInvalid)),
            (&[], &["5,5"], Err(Error::ContentLengthInvalid)),
            (&[], &["0x5"], Err(Error::ContentLengthInvalid)),
            (&[], &["5", "5"], Err(Error::ContentLengthRepeated)),
            (&["chunked"], &[], Ok(BodyLength::Chunked)),
            (&["Chunked"], &[], Ok(BodyLength::Chunked)),
            (&["chunked"], &["5"], Err(Error::LengthAmbiguous)),
            (&["gzip, chunked"], &["5"], Err(Error::LengthAmbiguous)),
            (&["gzip, chunked"], &[], Err(Error::TransferEncodingUnknown)),
            (&["gzip"], &[], Err(Error::TransferEncodingInvalid)),
            (&["identity"], &[], Err(Error::TransferEncodingInvalid)),
            (&["chunked, gzip"], &[], Err(Error::TransferEncodingInvalid)),
            (&["chunked, chunked"], &[], Err(Error::TransferEncodingInvalid)),
            (&["chunked", "chunked"], &[], Err(Error::TransferEncodingInvalid)),
            (&["gzip", "chunked"], &[], Err(Error::TransferEncodingInvalid)),
            (&[", chunked"], &[], Err(Error::TransferEncodingInvalid)),
            (&["chunked,"], &[], Err(Error::TransferEncodingInvalid)),
            (&["chunked;a=b"], &[], Err(Error::TransferEncodingInvalid)),
            (&["xchunked"], &[], Err(Error::TransferEncodingInvalid)),
            (&["\"chunked\""], &[], Err(Error::TransferEncodingInvalid)),
            (&[""], &[], Err(Error::TransferEncodingInvalid)),
        ];
        for (codings, lengths, expected) in table {
            let actual = length(codings, lengths, Message::Request);
            assert_eq!(actual, *expected, "{codings:?} {lengths:?}");
        }
    }

    #[test]
    fn responses() {
        let five: &[&str] = &["5"];
        let table = [
            (Method::Get, 200, five, BodyLength::Exact(5)),
            (Method::Get, 200, &[], BodyLength::UntilClose),
            (Method::Get, 204, &[], BodyLength::Empty),
            (Method::Get, 304, five, BodyLength::Empty),
            (Method::Get, 103, &[], BodyLength::Empty),
            (Method::Head, 200, five, BodyLength::Empty),
            (Method::Connect, 200, five, BodyLength::Empty),
            (Method::Connect, 407, five, BodyLength::Exact(5)),
        ];
        for (method, status, lengths, expected) in table {
            let actual = length(&[], lengths, Message::Response(method, status));
            assert_eq!(actual, Ok(expected), "{method:?} {status}");
        }
    }

    #[test]
    fn http_1_0_has_no_transfer_encoding() {
        let mut framing = Framing::default();
        framing.transfer_encoding(b"chunked").expect("it is well formed");
        for message in [Message::Request, Message::Response(Method::Get, 200)] {
            let actual = framing.body_length(Version::Http10, message);
            assert_eq!(actual, Err(Error::TransferEncodingVersion));
        }
    }
}
