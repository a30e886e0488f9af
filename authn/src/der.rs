//! The few fields of X.509 certificates that the TLS library does not show.
//!
//! Owns a strict reader of DER (X.690) and, on it, of validity, subject and key identifier of a
//! certificate (RFC 5280 section 4.1). It is used on the operator's own files, to say clearly what
//! is wrong with them; whom to trust is decided by rustls alone. Refuses indefinite, overlong and
//! oversized lengths; every failure is `None`.

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

const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];

impl<'a> Certificate<'a> {
    /// Reads a certificate; the signature is not looked at.
    pub fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Reader::new(der);
        let mut certificate = Reader::new(outer.expect(SEQUENCE)?);
        outer.is_done().then_some(())?;
        let mut fields = Reader::new(certificate.expect(SEQUENCE)?);
        fields.accept(VERSION);
        let serial = fields.expect(INTEGER)?;
        fields.expect(SEQUENCE)?; // signature algorithm
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Reader::new(fields.expect(SEQUENCE)?);
        let (not_before_s, not_after_s) = (validity.time()?, validity.time()?);
        let subject = fields.expect(SEQUENCE)?;
        let public_key = fields.expect(SEQUENCE)?;

        let (mut is_authority, mut subject_key_id) = (false, None);
        // Between key and extensions stand the two unique identifiers of version 2.
        while let Some((tag, contents)) = fields.next() {
            if tag != EXTENSIONS {
                continue;
            }
            let mut list = Reader::new(Reader::new(contents).expect(SEQUENCE)?);
            while let Some(extension) = list.accept(SEQUENCE) {
                let mut extension = Reader::new(extension);
                let id = extension.expect(OBJECT_IDENTIFIER)?;
                extension.accept(BOOLEAN); // critical
                let mut value = Reader::new(extension.expect(OCTET_STRING)?);
                if id == BASIC_CONSTRAINTS {
                    let mut constraints = Reader::new(value.expect(SEQUENCE)?);
                    is_authority = constraints.accept(BOOLEAN) == Some(&[0xff]);
                } else if id == SUBJECT_KEY_ID {
                    subject_key_id = Some(value.expect(OCTET_STRING)?);
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
    let mut list = Reader::new(Reader::new(der).expect(SEQUENCE)?);
    let mut fields = Reader::new(list.expect(SEQUENCE)?);
    fields.accept(INTEGER); // version
    fields.expect(SEQUENCE)?; // signature algorithm
    fields.expect(SEQUENCE)
}

/// Whether the text has the shape of an encrypted key (RFC 5958 section 3).
pub(crate) fn is_encrypted_key(der: &[u8]) -> bool {
    let parts = || {
        let mut key = Reader::new(Reader::new(der).expect(SEQUENCE)?);
        Reader::new(key.expect(SEQUENCE)?).expect(OBJECT_IDENTIFIER)?;
        key.expect(OCTET_STRING)
    };
    parts().is_some()
}

/// Whether the text has the shape of PKCS #12 (RFC 7292 section 4).
pub(crate) fn is_pkcs12(der: &[u8]) -> bool {
    let version =
        Reader::new(der).expect(SEQUENCE).and_then(|pfx| Reader::new(pfx).expect(INTEGER));
    version == Some(&[3])
}

/// The contents of the object identifier of an extended key usage.
pub(crate) type Purpose = &'static [u8];
pub(crate) const SERVER_AUTH: Purpose = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub(crate) const CLIENT_AUTH: Purpose = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const ANY_PURPOSE: Purpose = &[0x55, 0x1d, 0x25, 0];

/// What OpenSSL writes behind a `TRUSTED CERTIFICATE` (`X509_CERT_AUX`).
pub(crate) struct TrustSettings<'a> {
    /// What the certificate is trusted for; `None` for all.
    trusted: Option<&'a [u8]>,
    /// What it is not trusted for.
    rejected: Option<&'a [u8]>,
}

const REJECTED: u8 = 0xa0;

impl<'a> TrustSettings<'a> {
    pub fn read(der: &'a [u8]) -> Option<TrustSettings<'a>> {
        let mut settings = Reader::new(Reader::new(der).expect(SEQUENCE)?);
        let trusted = settings.accept(SEQUENCE);
        Some(TrustSettings { trusted, rejected: settings.accept(REJECTED) })
    }

    /// Whether the certificate is trusted for this. A list that cannot be read allows nothing.
    pub fn allow(&self, purpose: Purpose) -> bool {
        let trusted = self.trusted.is_none_or(|list| lists(list, purpose) == Some(true));
        trusted && self.rejected.is_none_or(|list| lists(list, purpose) == Some(false))
    }
}

/// Whether a list of object identifiers has this one, or the one that stands for all.
fn lists(mut list: &[u8], purpose: Purpose) -> Option<bool> {
    let mut found = false;
    while !list.is_empty() {
        let mut reader = Reader(list);
        let one = reader.expect(OBJECT_IDENTIFIER)?;
        found |= one == purpose || one == ANY_PURPOSE;
        list = reader.0;
    }
    Some(found)
}

/// The first element of a DER text with its header, and what follows it.
pub(crate) fn first_element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(der);
    reader.next()?;
    der.split_at_checked(der.len() - reader.0.len())
}

/// Walks the elements of a DER text.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(der: &'a [u8]) -> Reader<'a> {
        Reader(der)
    }

    /// Whether nothing is left. What is left after `next` gave `None` is not DER.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element: its tag and its contents.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // High tag numbers do not occur in what we read.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // One to three bytes of length: up to 16 MiB. 0x80 is the indefinite form of BER.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                // DER wants the shortest form.
                if bytes[0] == 0 || length < 0x80 {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }

    /// The next element if it has this tag; otherwise it stays.
    pub fn accept(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.expect(tag) } else { None }
    }

    /// A time (RFC 5280 section 4.1.2.5), in unix seconds.
    fn time(&mut self) -> Option<u64> {
        let (tag, text) = self.next()?;
        let digits = text.strip_suffix(b"Z")?;
        let two = |at: usize| -> Option<u64> {
            let pair = digits.get(at..at + 2)?;
            pair.iter()
                .all(u8::is_ascii_digit)
                .then(|| u64::from(pair[0] - b'0') * 10 + u64::from(pair[1] - b'0'))
        };
        let (year, at) = match (tag, digits.len()) {
            // Two digits: 1950 to 2049.
            (UTC_TIME, 12) => (two(0).map(|year| if year < 50 { 2000 } else { 1900 } + year)?, 2),
            (GENERALIZED_TIME, 14) => (two(0)? * 100 + two(2)?, 4),
            _ => return None,
        };
        let (month, day) = (two(at)?, two(at + 2)?);
        let (hour, minute, second) = (two(at + 4)?, two(at + 6)?, two(at + 8)?);
        let valid = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !valid {
            return None;
        }
        // Before 1970 everything is equally long ago.
        let days = days_since_1970(year, month, day);
        Some(days.map_or(0, |days| days * 86_400 + hour * 3600 + minute * 60 + second))
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` before.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years begin in March, so that the leap day is a year's last.
    let year = year - u64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_unix_seconds() {
        let table: [(u8, &[u8], Option<u64>); 9] = [
            (UTC_TIME, b"700101000000Z", Some(0)),
            (UTC_TIME, b"000229235959Z", Some(951_868_799)),
            (UTC_TIME, b"491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, b"20500101000000Z", Some(2_524_608_000)),
            (UTC_TIME, b"500101000000Z", Some(0)),
            (UTC_TIME, b"0002292359Z", None),
            (UTC_TIME, b"001329235959Z", None),
            (UTC_TIME, b"0002292359+9Z", None),
            (GENERALIZED_TIME, b"20500101000000+0000", None),
        ];
        for (tag, text, seconds) in table {
            let der = [&[tag, text.len() as u8], text].concat();
            assert_eq!(Reader::new(&der).time(), seconds, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_the_shortest_form_of_a_length_is_der() {
        let long = [&[4, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(Reader::new(&long).expect(OCTET_STRING), Some(&[7; 0x80][..]));
        for wrong in [&[4, 0x81, 1, 7][..], &[4, 0x80, 0, 0], &[4, 0x82, 0, 1, 7], &[4, 2, 7], &[4]]
        {
            assert_eq!(Reader::new(wrong).next(), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Certificate::read(&bytes);
            let _ = issuer_of_revocation_list(&bytes);
        }
    }
}
