//! Message heads: the first line and the fields, as spans over the caller's buffer.
//!
//! It owns what a head is once it has been read and understood; reading is next door. It refuses to
//! copy: whoever wants bytes hands in the buffer the head was read from, unmoved.

use memchr::memchr;

use crate::Error;

/// A range of bytes in the buffer a head was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes themselves; `bytes` is the input the head was read from. Empty if it is too short
    /// to be that.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// There is no byte in it.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// One field line; the value is without the white space around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The name as sent, in whatever case.
    pub name: Span,
    /// The value.
    pub value: Span,
}

/// A request method (RFC 9110 section 9, RFC 5789). Names are case-sensitive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: answered like GET, without the body.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// PATCH.
    Patch,
    /// TRACE.
    Trace,
    /// CONNECT: a server of this crate refuses it, a client may send it.
    Connect,
    /// Any other token; its name is in [`RequestHead::method_name`].
    #[default]
    Other,
}

impl Method {
    /// The method of this name.
    #[inline]
    pub fn from_bytes(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// The method's name; a placeholder for [`Method::Other`], fit for labels only.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other => "_OTHER",
        }
    }
}

/// The protocol versions that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// How long a body is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none: a request that names no length, or a response that cannot have one.
    #[default]
    Empty,
    /// So many bytes, as Content-Length says; may be 0.
    Exact(u64),
    /// Chunks until the last one.
    Chunked,
    /// Everything until the connection ends; responses only.
    UntilClose,
}

impl BodyLength {
    /// There is no byte of body, announced or not.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Exact(0))
    }
}

/// The head of a request.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The method's name as sent.
    pub method_name: Span,
    /// The whole target as sent; see [`RequestHead::path`].
    pub target: Span,
    /// The version.
    pub version: Version,
    /// How long the body is.
    pub length: BodyLength,
    /// The client allows another request on this connection.
    pub keep_alive: bool,
    /// The client waits for 100 Continue before it sends the body.
    pub expect_continue: bool,
    /// The value of Host; always there in HTTP/1.1.
    pub host: Option<Span>,
    /// The value of Authorization.
    pub authorization: Option<Span>,
    /// Where the path begins within the target.
    pub(crate) path_start: u32,
    pub(crate) fields: Vec<Field>,
    pub(crate) options: Vec<Span>,
}

impl RequestHead {
    /// All fields in the order they were sent.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The value of the first field of this name, given in lower case.
    pub fn field<'b>(&self, bytes: &'b [u8], lower_name: &str) -> Option<&'b [u8]> {
        find(&self.fields, bytes, lower_name)
    }

    /// The options of all Connection fields, save `close` and `keep-alive`: names of fields that
    /// end at this hop (RFC 9110 section 7.6.1). At most `connection_options_max`.
    pub fn connection_options(&self) -> &[Span] {
        &self.options
    }

    /// The path of the target without its query, percent-encoding untouched; `*` for `OPTIONS *`.
    #[inline]
    pub fn path<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let rest = self.path_and_query(bytes);
        let path = &rest[..memchr(b'?', rest).unwrap_or(rest.len())];
        match path {
            // RFC 9112 section 3.2.1: an empty path is sent as `/`. Only absolute-form can have
            // one.
            [] if self.method == Method::Options && rest.is_empty() => b"*",
            [] => b"/",
            path => path,
        }
    }

    /// What follows the first `?` of the target, percent-encoding untouched.
    #[inline]
    pub fn query<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let rest = self.path_and_query(bytes);
        memchr(b'?', rest).map(|mark| &rest[mark + 1..])
    }

    fn path_and_query<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.target.of(bytes).get(self.path_start as usize..).unwrap_or_default()
    }

    /// An error (411) if the request says nothing about a body, for routes that need one.
    pub fn require_length(&self) -> Result<(), Error> {
        match self.length {
            BodyLength::Empty => Err(Error::LengthRequired),
            _ => Ok(()),
        }
    }
}

/// The head of a response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The status, 200 to 599.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// How long the body is.
    pub length: BodyLength,
    /// The server allows another request on this connection.
    pub keep_alive: bool,
    /// The fields announce a body that must not follow: after HEAD, with 204 and with 304 (RFC 9110
    /// section 8.6). A server that is confused about it may send one all the same.
    pub body_withheld: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) options: Vec<Span>,
}

impl ResponseHead {
    /// As [`RequestHead::connection_options`].
    pub fn connection_options(&self) -> &[Span] {
        &self.options
    }

    /// All fields in the order they were sent.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The value of the first field of this name, given in lower case.
    pub fn field<'b>(&self, bytes: &'b [u8], lower_name: &str) -> Option<&'b [u8]> {
        find(&self.fields, bytes, lower_name)
    }
}

fn find<'b>(fields: &[Field], bytes: &'b [u8], lower_name: &str) -> Option<&'b [u8]> {
    fields
        .iter()
        .find(|field| {
            field.name.len() == lower_name.len()
                && field.name.of(bytes).eq_ignore_ascii_case(lower_name.as_bytes())
        })
        .map(|field| field.value.of(bytes))
}
