//! Who the client of a connection is, as this gateway reports it to its upstreams.
//!
//! It owns the two fields that carry a client's identity: the name in its certificate, and, where
//! that was asked for, the certificate itself (RFC 9440). Both were made when the connection was
//! opened; nothing is formatted per request. It refuses what a client says of itself: fields of
//! these names that a client sent end at the gateway.

use authn::owner::CLIENT_FIELD;
use authn::{Permit, Route};

use super::lists::Field;

/// The field of RFC 9440.
const CERTIFICATE_FIELD: &str = "client-cert";

/// The client of one connection, as far as its certificate names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientIdentity<'a> {
    name: Option<&'a str>,
    certificate: Option<&'a str>,
}

impl<'a> ClientIdentity<'a> {
    /// Whoever the permit's connection belongs to. Without mutual TLS that is not known.
    pub(super) fn of<R: Route>(permit: &Permit<'a, R>) -> ClientIdentity<'a> {
        let name = permit.identity().and_then(|identity| identity.name.as_deref());
        ClientIdentity { name, certificate: permit.certificate_field() }
    }

    /// The fields that are sent to upstreams.
    pub(super) fn fields(self) -> impl Iterator<Item = Field<'a>> {
        let all = [(CLIENT_FIELD, self.name), (CERTIFICATE_FIELD, self.certificate)];
        all.into_iter().filter_map(|(field, value)| Some((field, value?.as_bytes())))
    }
}
