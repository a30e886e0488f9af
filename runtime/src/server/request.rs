//! A request's head, as a service sees it: a view of the bytes where they were read.

use std::fmt;

use proto_http::{BodyLength, Method, RequestHead, Version};

/// A request's head. Its parts borrow the bytes as they were read.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The method's name as sent.
    #[must_use]
    pub fn method_name(&self) -> &'a [u8] {
        self.head.method_name.of(self.bytes)
    }

    /// The target as sent.
    #[must_use]
    pub fn target(&self) -> &'a [u8] {
        self.head.target.of(self.bytes)
    }

    /// The target's path, without the query.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.head.path(self.bytes)
    }

    /// What follows the target's first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        self.head.query(self.bytes)
    }

    /// The value of the first field of this name, given in lower case.
    #[must_use]
    pub fn field(&self, lower_name: &str) -> Option<&'a [u8]> {
        self.head.field(self.bytes, lower_name)
    }

    /// All fields, name and value, in the order they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let fields = self.head.fields().iter();
        fields.map(move |field| (field.name.of(bytes), field.value.of(bytes)))
    }

    /// The value of `Authorization`.
    #[inline]
    #[must_use]
    pub fn authorization(&self) -> Option<&'a [u8]> {
        Some(self.head.authorization?.of(self.bytes))
    }

    /// How long the body is.
    #[must_use]
    pub fn length(&self) -> BodyLength {
        self.head.length
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The head as proto-http read it; its spans index into [`Request::bytes`].
    #[must_use]
    pub fn head(&self) -> &'a RequestHead {
        self.head
    }

    /// The bytes the head's spans index into.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The target may carry secrets in its query; field values do.
        f.debug_struct("Request").field("method", &self.method()).finish_non_exhaustive()
    }
}
