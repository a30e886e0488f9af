//! What can be wrong with a message, and the status that says so to the peer who sent it. It owns
//! the sentences; it refuses to carry context, so that it stays a `Copy` enum of one byte.

use std::fmt;

/// Why a message was refused. After any of these the connection must be closed once it is answered:
/// where the next message begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// A line ends with LF alone, or a CR stands without its LF.
    LineEnding,
    /// The request line is not `method SP target SP version`.
    RequestLine,
    /// The status line is not `version SP status`, or its status is not 100 to 599.
    StatusLine,
    /// The version is well formed, but neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// The target does not fit its method, or is not one of the forms of RFC 9112 section 3.2.
    Target,
    /// The target is longer than `target_bytes_max`.
    TargetTooLong,
    /// The head is longer than `head_bytes_max`.
    HeadTooLarge,
    /// The head has more fields than `fields_max`.
    TooManyFields,
    /// A field name is not a token followed at once by a colon; folded lines end here too.
    FieldName,
    /// A field value holds a control character.
    FieldValue,
    /// More options in Connection than `connection_options_max`.
    ConnectionOptionsTooMany,
    /// An HTTP/1.1 request without Host.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// Host is not a host and an optional port.
    HostInvalid,
    /// More than one Authorization.
    AuthorizationRepeated,
    /// Content-Length is not a row of digits.
    ContentLengthInvalid,
    /// More than one Content-Length, even with the same value.
    ContentLengthRepeated,
    /// Transfer-Encoding does not end in `chunked`, or stands more than once.
    TransferEncodingInvalid,
    /// Transfer-Encoding in an HTTP/1.0 message.
    TransferEncodingVersion,
    /// A transfer coding other than `chunked` comes before it.
    TransferEncodingUnknown,
    /// Both Content-Length and Transfer-Encoding.
    LengthAmbiguous,
    /// The route needs a body, and the request says nothing about one.
    LengthRequired,
    /// The body is longer than `body_bytes_max`.
    BodyTooLarge,
    /// An expectation other than `100-continue`.
    Expectation,
    /// The method is CONNECT; there are no tunnels here.
    ConnectUnsupported,
    /// A chunk does not begin with hexadecimal digits, or its size line is malformed.
    ChunkSize,
    /// A chunk's data is not followed by CR LF.
    ChunkEnd,
    /// Chunk extensions are longer than `chunk_extension_bytes_max`.
    ChunkExtensionTooLong,
    /// A trailer line is malformed.
    Trailer,
    /// The trailer section is longer than `trailer_bytes_max`.
    TrailerTooLarge,
    /// More interim responses than `interim_responses_max`.
    InterimTooMany,
    /// The server switched protocols unasked.
    UpgradeUnasked,
    /// The connection ended inside a message.
    Truncated,
}

impl Error {
    /// The status a server answers with. What only a response can get wrong is 502, which is what a
    /// gateway answers when its upstream is to blame; it does so for the other errors as well.
    pub fn status(self) -> u16 {
        match self {
            Self::LengthRequired => 411,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailerTooLarge => 431,
            Self::TransferEncodingUnknown | Self::ConnectUnsupported => 501,
            Self::StatusLine | Self::InterimTooMany | Self::UpgradeUnasked => 502,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// A sentence that says what is wrong and what would be right.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LineEnding => "a line does not end with CR LF; send both, and neither alone",
            Self::RequestLine => {
                "the request line is malformed; send `METHOD target HTTP/1.1` with single spaces"
            }
            Self::StatusLine => {
                "the status line is malformed; send `HTTP/1.1`, a status of 100 to 599 and a reason"
            }
            Self::Version => "this HTTP version is not supported; use HTTP/1.1",
            Self::Target => {
                "the request target is malformed or unfit for its method; send an absolute path"
            }
            Self::TargetTooLong => "the request target is too long; shorten its path or query",
            Self::HeadTooLarge => "the message head is too large; send fewer or shorter fields",
            Self::TooManyFields => "the message head has too many fields; send fewer",
            Self::FieldName => {
                "a field name is malformed; send a token and a colon with no space, on one line"
            }
            Self::FieldValue => "a field value holds a control character; remove it",
            Self::ConnectionOptionsTooMany => {
                "the Connection fields list too many options; send `close`, `keep-alive` or none"
            }
            Self::HostMissing => "the Host field is missing; send exactly one",
            Self::HostRepeated => "the Host field is repeated; send exactly one",
            Self::HostInvalid => "the Host field is malformed; send a host and an optional port",
            Self::AuthorizationRepeated => "the Authorization field is repeated; send at most one",
            Self::ContentLengthInvalid => "Content-Length is malformed; send decimal digits only",
            Self::ContentLengthRepeated => "Content-Length is repeated; send at most one",
            Self::TransferEncodingInvalid => {
                "Transfer-Encoding is malformed; send it once, as `chunked`"
            }
            Self::TransferEncodingVersion => {
                "HTTP/1.0 has no Transfer-Encoding; use HTTP/1.1 or Content-Length"
            }
            Self::TransferEncodingUnknown => {
                "this transfer coding is not implemented; send `chunked` alone"
            }
            Self::LengthAmbiguous => {
                "both Content-Length and Transfer-Encoding are present; send one of them"
            }
            Self::LengthRequired => {
                "the length of the body is missing; send Content-Length or a chunked body"
            }
            Self::BodyTooLarge => "the body is too large; send less",
            Self::Expectation => "this expectation cannot be met; only 100-continue is known",
            Self::ConnectUnsupported => "CONNECT is not implemented; send the request itself",
            Self::ChunkSize => "a chunk size is malformed; send hexadecimal digits and CR LF",
            Self::ChunkEnd => "a chunk is longer than its size says; end its data with CR LF",
            Self::ChunkExtensionTooLong => "the chunk extensions are too long; send none",
            Self::Trailer => "a trailer field is malformed; send `name: value` lines or none",
            Self::TrailerTooLarge => "the trailer section is too large; send fewer fields",
            Self::InterimTooMany => "too many interim responses came before the final one",
            Self::UpgradeUnasked => "the server switched protocols although nobody asked it to",
            Self::Truncated => "the connection ended before the message did",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Error {}
