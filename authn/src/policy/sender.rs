//! Whose tokens a certificate may bring.
//!
//! A token that is bound to no certificate serves whoever holds it (RFC 6750 section 1.2). Where
//! callers are enforced on mutual TLS it is therefore taken only from a certificate of its own
//! client, or from a forwarder of the route: who steals a token needs the client's private key too.
//!
//! Owns which certificates are a client's: those of the list, by default [`SHOP_CERTIFICATES`],
//! and for a client that is not listed the certificate of its own name. Refuses a list that names a
//! client twice, or a certificate that cannot be.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use super::{Credentials, Route, is_named};
use crate::certificate::identity::{Identity, is_name};
use crate::error::{Error, Reason};
use crate::token::jwt::Access;

/// The clients made here that have other certificates than that of their own name: the client of
/// orders brings its tokens with the certificate of the service.
pub const SHOP_CERTIFICATES: [(&str, &[&str]); 1] = [("service-order", &["orders"])];

/// Which certificates may bring whose tokens.
#[derive(Debug)]
pub struct ClientCertificates {
    /// The clients of each certificate that is listed, in their order.
    clients: HashMap<Box<str>, Arc<[Box<str>]>>,
    /// The clients that are listed: the certificate of their own name is theirs only if listed.
    listed: HashSet<Box<str>>,
}

/// [`SHOP_CERTIFICATES`].
impl Default for ClientCertificates {
    fn default() -> ClientCertificates {
        ClientCertificates::of(&built_in())
    }
}

impl ClientCertificates {
    /// Reads a list in TOML, which stands over [`SHOP_CERTIFICATES`] client by client:
    ///
    /// ```
    /// let list = authn::ClientCertificates::parse(
    ///     r#"
    ///     [[client]]
    ///     id = "https://idp.example/nightly"
    ///     certificates = ["batch-1", "batch-2"]
    ///     "#,
    /// );
    /// assert!(list.is_ok());
    /// ```
    /// The tokens of a client without certificates come by forwarders alone.
    ///
    /// # Errors
    /// [`Error::ClientCertificates`] for text of another shape or a client that stands in it twice,
    /// [`Error::Name`] for what no certificate can be called.
    pub fn parse(text: &str) -> Result<ClientCertificates, Error> {
        let file: CertificateList = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            let why = Reason::from(format!("line {line}: {}", error.message()));
            Error::ClientCertificates(why.because(error))
        })?;
        let mut all = built_in();
        let mut seen = HashSet::new();
        for ListedClient { id, certificates } in file.client {
            if !seen.insert(id.clone()) {
                return Err(Error::ClientCertificates(format!("{id:?} stands in it twice").into()));
            }
            if let Some(other) = certificates.iter().find(|name| !is_name(name)) {
                return Err(Error::Name(other.to_string()));
            }
            all.insert(id, certificates);
        }
        Ok(ClientCertificates::of(&all))
    }

    fn of(all: &HashMap<Box<str>, Vec<Box<str>>>) -> ClientCertificates {
        let mut clients: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        for (id, certificates) in all {
            for certificate in certificates {
                clients.entry(certificate.clone()).or_default().push(id.clone());
            }
        }
        let sorted = clients.into_iter().map(|(certificate, mut ids)| {
            ids.sort_unstable();
            (certificate, ids.into())
        });
        ClientCertificates { clients: sorted.collect(), listed: all.keys().cloned().collect() }
    }

    /// The clients of whoever has this certificate.
    #[must_use]
    pub fn sender(&self, identity: Option<&Identity>) -> TokenSender {
        let Some(name) = identity.and_then(|identity| identity.name.as_deref()) else {
            return TokenSender::default();
        };
        TokenSender {
            own: !self.listed.contains(name),
            listed: self.clients.get(name).map(Arc::clone),
        }
    }
}

/// The clients whose tokens one certificate may bring, found once per connection. By default there
/// are none.
#[derive(Clone, Debug, Default)]
pub struct TokenSender {
    /// Whether the client of the certificate's own name is one.
    own: bool,
    /// Those that are listed for the certificate, in their order.
    listed: Option<Arc<[Box<str>]>>,
}

impl TokenSender {
    /// Whether the certificate of this name may bring the tokens of this client.
    fn is_of(&self, name: &str, client_id: &str) -> bool {
        let by_list = |listed: &Arc<[Box<str>]>| {
            listed.binary_search_by(|listed| (**listed).cmp(client_id)).is_ok()
        };
        (self.own && name == client_id) || self.listed.as_ref().is_some_and(by_list)
    }
}

/// Whether the peer may bring this token: as its client, or as a forwarder of the route.
pub(super) fn is_sender<R: Route>(credentials: &Credentials, access: &Access) -> bool {
    is_named(credentials, |name| {
        credentials.sender.is_of(name, &access.client_id) || R::FORWARDERS.contains(&name)
    })
}

fn built_in() -> HashMap<Box<str>, Vec<Box<str>>> {
    let boxed = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
    SHOP_CERTIFICATES.into_iter().map(|(id, names)| (id.into(), boxed(names))).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateList {
    #[serde(default)]
    client: Vec<ListedClient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedClient {
    id: Box<str>,
    certificates: Vec<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brings(list: &ClientCertificates, certificate: &str, client_id: &str) -> bool {
        let identity = Identity { name: Some(certificate.into()) };
        list.sender(Some(&identity)).is_of(certificate, client_id)
    }

    #[test]
    fn a_client_has_the_certificate_of_its_name_unless_it_is_listed() {
        let list = ClientCertificates::default();
        assert!(brings(&list, "bench-runner", "bench-runner"));
        assert!(!brings(&list, "bench-ui", "bench-runner"));
        assert!(!brings(&list, "bench-runner", "bench"));
        assert!(brings(&list, "orders", "service-order"));
        assert!(!brings(&list, "service-order", "service-order"));
        assert!(brings(&list, "orders", "orders"), "a client that is not listed");
        for unnamed in [None, Some(&Identity { name: None })] {
            assert!(!list.sender(unnamed).is_of("", ""));
        }
    }

    #[test]
    fn a_list_stands_over_what_is_built_in_client_by_client() {
        let list = ClientCertificates::parse(
            r#"
            client = [
                { id = "https://idp.example/x y", certificates = ["b", "a"] },
                { id = "other", certificates = ["a"] },
                { id = "through-forwarders", certificates = [] },
            ]"#,
        )
        .unwrap();
        for (certificate, client_id, expected) in [
            ("a", "https://idp.example/x y", true),
            ("b", "https://idp.example/x y", true),
            ("a", "other", true),
            ("b", "other", false),
            ("other", "other", false),
            ("a", "a", true),
            ("through-forwarders", "through-forwarders", false),
            ("orders", "service-order", true),
        ] {
            assert_eq!(
                brings(&list, certificate, client_id),
                expected,
                "{certificate} {client_id}"
            );
        }
        let over = r#"client = [{ id = "service-order", certificates = ["shop"] }]"#;
        let over = ClientCertificates::parse(over).unwrap();
        assert!(brings(&over, "shop", "service-order"));
        assert!(!brings(&over, "orders", "service-order"));
        assert!(brings(&ClientCertificates::parse("").unwrap(), "orders", "service-order"));
    }

    #[test]
    fn a_list_that_could_be_read_in_two_ways_is_refused_with_the_place() {
        let twice =
            r#"client = [{ id = "a", certificates = [] }, { id = "a", certificates = [] }]"#;
        for (text, said) in [
            (twice, "twice"),
            (r#"client = [{ id = "a", certificates = ["Not A Name"] }]"#, "cannot be a name"),
            ("\n\n[[client]]\nid = 1\ncertificates = []", "line 4"),
            ("[[client]]\nid = \"a\"\n", "certificates"),
            ("[[client]]\nid = \"a\"\ncertificate = [\"a\"]\n", "certificate"),
            ("clients = []", "clients"),
        ] {
            let error = ClientCertificates::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
