//! Names in certificates: subjects, and what may stand beside them.
//!
//! Owns the making of subjects and alternative names from a request, and the reading of an existing
//! authority's subject so that it can be written again, byte for byte, as an issuer. Refuses names
//! that could not be matched or displayed.

use der::Tag;
use der::asn1::ObjectIdentifier;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, SanType};
use rustls_pki_types::DnsName;

use super::{CertificateRequest, failed};
use crate::certificate::identity;
use crate::certificate::x509::DerReader;
use crate::error::{Error, Reason};

/// Longest common name, in characters (RFC 5280 appendix A.1, ub-common-name).
const COMMON_NAME_CHARS_MAX: usize = 64;

/// Parameters with a common name and nothing else.
pub(super) fn named(name: &str) -> Result<CertificateParams, Error> {
    let chars = name.chars().count();
    if !(1..=COMMON_NAME_CHARS_MAX).contains(&chars) || name.contains(char::is_control) {
        return Err(Error::Name(name.into()));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

pub(super) fn alternative_names(request: &CertificateRequest<'_>) -> Result<Vec<SanType>, Error> {
    if request.server && request.dns.is_empty() && request.ips.is_empty() {
        return Err(Error::Issue("a server needs a DNS name or an IP address".into()));
    }
    let mut names = Vec::new();
    for dns in request.dns {
        // A wildcard stands for one label, the leftmost (RFC 9525 section 6.3).
        DnsName::try_from(dns.strip_prefix("*.").unwrap_or(dns)).map_err(|error| {
            Error::Issue(Reason::from(format!("{dns:?} is not a DNS name")).because(error))
        })?;
        names.push(SanType::DnsName((*dns).try_into().map_err(failed)?));
    }
    names.extend(request.ips.iter().copied().map(SanType::IpAddress));
    if request.spiffe {
        names.push(SanType::URI(identity::uri_of(request.name)?.try_into().map_err(failed)?));
    }
    Ok(names)
}

/// Reads a subject so that it can be written again as an issuer.
pub(super) fn distinguished_name(subject: &[u8]) -> Option<DistinguishedName> {
    let mut name = DistinguishedName::new();
    let mut parts = DerReader::new(subject);
    while let Some(part) = parts.accept(Tag::Set) {
        let mut attributes = DerReader::new(part);
        let mut attribute = DerReader::new(attributes.expect(Tag::Sequence)?);
        let id = ObjectIdentifier::from_bytes(attribute.expect(Tag::ObjectIdentifier)?).ok()?;
        let kind = DnType::from_oid(&id.arcs().map(u64::from).collect::<Vec<u64>>());
        let (tag, text) = attribute.next()?;
        let text = str::from_utf8(text).ok()?;
        let value = match tag {
            Tag::Utf8String => DnValue::Utf8String(text.into()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
            Tag::Ia5String => DnValue::Ia5String(text.try_into().ok()?),
            _ => return None,
        };
        name.push(kind, value);
    }
    parts.is_done().then_some(name)
}
