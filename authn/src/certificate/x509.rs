//! The few fields of X.509 certificates that the TLS library does not show.
//!
//! Owns which fields are read: validity, subject and key identifier of a certificate (RFC 5280
//! section 4.1), and the shapes by which files are distinguished. `der` reads the elements,
//! strictly (X.690). It is used on the operator's own files, to say clearly what is wrong with
//! them; whom to trust is decided by rustls alone. Every failure is `None`.

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Header, Reader as _, SliceReader, Tag, TagNumber};
use jiff::civil::DateTime;

/// What is read of a certificate. Slices are contents of the DER elements.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    /// The serial number, big-endian, as encoded.
    pub serial: &'a [u8],
    /// The issuer's `Name`.
    pub issuer: &'a [u8],
    /// The subject's `Name`: a sequence of relative distinguished names.
    pub subject: &'a [u8],
    /// The contents of the `SubjectPublicKeyInfo`.
    pub public_key: &'a [u8],
    /// Begin of validity, in unix seconds.
    pub not_before_s: u64,
    /// Last second of validity, in unix seconds.
    pub not_after_s: u64,
    /// Whether basic constraints say that it is an authority's.
    pub is_authority: bool,
    /// The subject key identifier.
    pub subject_key_id: Option<&'a [u8]>,
}

const VERSION: Tag = context(0);
const EXTENSIONS: Tag = context(3);

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

/// The tag of an optional field that holds another element.
const fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; the signature is not looked at.
    pub(crate) fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = DerReader::new(der);
        let mut certificate = DerReader::new(outer.expect(Tag::Sequence)?);
        outer.is_done().then_some(())?;
        let mut fields = DerReader::new(certificate.expect(Tag::Sequence)?);
        fields.accept(VERSION);
        let serial = fields.expect(Tag::Integer)?;
        fields.expect(Tag::Sequence)?; // signature algorithm
        let issuer = fields.expect(Tag::Sequence)?;
        let mut validity = DerReader::new(fields.expect(Tag::Sequence)?);
        let (not_before_s, not_after_s) = (validity.time()?, validity.time()?);
        let subject = fields.expect(Tag::Sequence)?;
        let public_key = fields.expect(Tag::Sequence)?;

        let (mut is_authority, mut subject_key_id) = (false, None);
        // Between key and extensions stand the two unique identifiers of version 2.
        while let Some((tag, contents)) = fields.next() {
            if tag != EXTENSIONS {
                continue;
            }
            let mut list = DerReader::new(DerReader::new(contents).expect(Tag::Sequence)?);
            while let Some(extension) = list.accept(Tag::Sequence) {
                let mut extension = DerReader::new(extension);
                let id = extension.expect(Tag::ObjectIdentifier)?;
                extension.accept(Tag::Boolean); // critical
                let mut value = DerReader::new(extension.expect(Tag::OctetString)?);
                if id == BASIC_CONSTRAINTS.as_bytes() {
                    let mut constraints = DerReader::new(value.expect(Tag::Sequence)?);
                    is_authority = constraints.accept(Tag::Boolean) == Some(&[0xff]);
                } else if id == SUBJECT_KEY_ID.as_bytes() {
                    subject_key_id = Some(value.expect(Tag::OctetString)?);
                }
            }
        }
        fields.is_done().then_some(Certificate {
            serial,
            issuer,
            subject,
            public_key,
            not_before_s,
            not_after_s,
            is_authority,
            subject_key_id,
        })
    }
}

/// The contents of the issuer's `Name` in a revocation list (RFC 5280 section 5.1).
pub(crate) fn issuer_of_revocation_list(der: &[u8]) -> Option<&[u8]> {
    Some(revocation_list(der)?.0)
}

/// When the next revocation list is due (RFC 5280 section 5.1.2.5), in unix seconds.
pub(crate) fn next_update_of_revocation_list(der: &[u8]) -> Option<u64> {
    let (_, mut fields) = revocation_list(der)?;
    fields.time()?; // this update
    fields.time()
}

/// The contents of the issuer's `Name`, and the fields behind it.
fn revocation_list(der: &[u8]) -> Option<(&[u8], DerReader<'_>)> {
    let mut list = DerReader::new(DerReader::new(der).expect(Tag::Sequence)?);
    let mut fields = DerReader::new(list.expect(Tag::Sequence)?);
    fields.accept(Tag::Integer); // version
    fields.expect(Tag::Sequence)?; // signature algorithm
    Some((fields.expect(Tag::Sequence)?, fields))
}

/// Whether the text has the shape of an encrypted key (RFC 5958 section 3).
pub(crate) fn is_encrypted_key(der: &[u8]) -> bool {
    let parts = || {
        let mut key = DerReader::new(DerReader::new(der).expect(Tag::Sequence)?);
        DerReader::new(key.expect(Tag::Sequence)?).expect(Tag::ObjectIdentifier)?;
        key.expect(Tag::OctetString)
    };
    parts().is_some()
}

/// Whether the text has the shape of PKCS #12 (RFC 7292 section 4).
pub(crate) fn is_pkcs12(der: &[u8]) -> bool {
    let version = DerReader::new(der)
        .expect(Tag::Sequence)
        .and_then(|pfx| DerReader::new(pfx).expect(Tag::Integer));
    version == Some(&[3])
}

/// An extended key usage.
pub(crate) type Purpose = ObjectIdentifier;
pub(crate) const SERVER_AUTH: Purpose = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
pub(crate) const CLIENT_AUTH: Purpose = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_PURPOSE: Purpose = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// What OpenSSL writes behind a `TRUSTED CERTIFICATE` (`X509_CERT_AUX`).
pub(crate) struct TrustSettings<'a> {
    /// What the certificate is trusted for; `None` for all.
    trusted: Option<&'a [u8]>,
    /// What it is not trusted for.
    rejected: Option<&'a [u8]>,
}

const REJECTED: Tag = context(0);

impl<'a> TrustSettings<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Option<TrustSettings<'a>> {
        let mut settings = DerReader::new(DerReader::new(der).expect(Tag::Sequence)?);
        let trusted = settings.accept(Tag::Sequence);
        Some(TrustSettings { trusted, rejected: settings.accept(REJECTED) })
    }

    /// Whether the certificate is trusted for this. A list that cannot be read allows nothing.
    pub(crate) fn allow(&self, purpose: Purpose) -> bool {
        let trusted = self.trusted.is_none_or(|list| lists(list, purpose) == Some(true));
        trusted && self.rejected.is_none_or(|list| lists(list, purpose) == Some(false))
    }
}

/// Whether a list of object identifiers has this one, or the one that stands for all.
fn lists(mut list: &[u8], purpose: Purpose) -> Option<bool> {
    let mut found = false;
    while !list.is_empty() {
        let mut reader = DerReader(list);
        let one = reader.expect(Tag::ObjectIdentifier)?;
        found |= one == purpose.as_bytes() || one == ANY_PURPOSE.as_bytes();
        list = reader.0;
    }
    Some(found)
}

/// The first element of a DER text with its header, and what follows it.
pub(crate) fn first_element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = DerReader::new(der);
    reader.next()?;
    der.split_at_checked(der.len() - reader.0.len())
}

/// Walks the elements of a DER text.
pub(crate) struct DerReader<'a>(&'a [u8]);

impl<'a> DerReader<'a> {
    pub(crate) fn new(der: &'a [u8]) -> DerReader<'a> {
        DerReader(der)
    }

    /// Whether nothing is left. What is left after `next` gave `None` is not DER.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element: its tag and its contents.
    pub(crate) fn next(&mut self) -> Option<(Tag, &'a [u8])> {
        let mut reader = SliceReader::new(self.0).ok()?;
        let header = Header::decode(&mut reader).ok()?;
        let contents = reader.read_slice(header.length()).ok()?;
        let read = usize::try_from(reader.position()).ok()?;
        self.0 = self.0.get(read..)?;
        Some((header.tag(), contents))
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }

    /// The next element if it has this tag; otherwise it stays.
    pub(crate) fn accept(&mut self, tag: Tag) -> Option<&'a [u8]> {
        let mut ahead = DerReader(self.0);
        let contents = ahead.expect(tag)?;
        *self = ahead;
        Some(contents)
    }

    /// A time (RFC 5280 section 4.1.2.5), in unix seconds.
    fn time(&mut self) -> Option<u64> {
        let (tag, text) = self.next()?;
        let digits = text.strip_suffix(b"Z")?;
        let two = |at: usize| -> Option<i8> {
            let pair = digits.get(at..at + 2)?;
            let digit = |byte: u8| byte.is_ascii_digit().then(|| (byte - b'0') as i8);
            Some(digit(pair[0])? * 10 + digit(pair[1])?)
        };
        let (century, rest) = match (tag, digits.len()) {
            // Two digits: 1950 to 2049.
            (Tag::UtcTime, 12) => (if two(0)? < 50 { 20 } else { 19 }, 0),
            (Tag::GeneralizedTime, 14) => (two(0)?, 2),
            _ => return None,
        };
        let year = i16::from(century) * 100 + i16::from(two(rest)?);
        let (month, day) = (two(rest + 2)?, two(rest + 4)?);
        let (hour, minute, second) = (two(rest + 6)?, two(rest + 8)?, two(rest + 10)?);
        let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        // Before 1970 everything is equally long ago.
        let since_1970 = time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
        Some(u64::try_from(since_1970.as_secs()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use rustls::pki_types::UnixTime;
    use std::time::Duration;

    #[test]
    fn times_are_unix_seconds() {
        let table: [(Tag, &[u8], Option<u64>); 11] = [
            (Tag::UtcTime, b"700101000000Z", Some(0)),
            (Tag::UtcTime, b"000229235959Z", Some(951_868_799)),
            (Tag::UtcTime, b"491231235959Z", Some(2_524_607_999)),
            (Tag::GeneralizedTime, b"20500101000000Z", Some(2_524_608_000)),
            (Tag::UtcTime, b"500101000000Z", Some(0)),
            (Tag::UtcTime, b"0002292359Z", None),
            (Tag::UtcTime, b"001329235959Z", None),
            (Tag::UtcTime, b"0002292359+9Z", None),
            (Tag::GeneralizedTime, b"20500101000000+0000", None),
            (Tag::GeneralizedTime, b"99991231235959Z", Some(253_402_300_799)),
            (Tag::UtcTime, b"260230000000Z", None),
        ];
        for (tag, text, seconds) in table {
            let der = [&[tag.number().0 as u8, text.len() as u8], text].concat();
            assert_eq!(DerReader::new(&der).time(), seconds, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_the_shortest_form_of_a_length_is_der() {
        let long = [&[4, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(DerReader::new(&long).expect(Tag::OctetString), Some(&[7; 0x80][..]));
        for wrong in [&[4, 0x81, 1, 7][..], &[4, 0x80, 0, 0], &[4, 0x82, 0, 1, 7], &[4, 2, 7], &[4]]
        {
            assert_eq!(DerReader::new(wrong).next(), None);
        }
    }

    /// Whatever is wrong with a certificate, reading it ends with `None` or with what it says.
    #[test]
    fn damaged_certificates_never_panic() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000));
        let authority = crate::pki::Authority::create("some authority", now).unwrap();
        let whole = authority.certificate().to_vec();
        assert!(Certificate::read(&whole).is_some());
        for end in 0..whole.len() {
            assert!(Certificate::read(&whole[..end]).is_none(), "cut at {end}");
        }
        let mut damaged = whole.clone();
        for at in 0..whole.len() {
            for byte in [0, 1, 0x1f, 0x7f, 0x80, 0x84, 0xff, whole[at] ^ 1, whole[at] ^ 0x20] {
                damaged[at] = byte;
                let _ = Certificate::read(&damaged);
                let _ = next_update_of_revocation_list(&damaged);
                let _ = crate::certificate::public_key::KeyKind::of_certificate(&damaged);
            }
            damaged[at] = whole[at];
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Certificate::read(&bytes);
            let _ = issuer_of_revocation_list(&bytes);
            let _ = next_update_of_revocation_list(&bytes);
        }
    }
}
