//! Distinguished names as text: `O=Example, CN=old root`, for messages that name a certificate.
//!
//! Owns the names of the common attributes and what of their values is shown. Refuses to compare:
//! names are equal when their DER is.

use der::Tag;
use der::asn1::ObjectIdentifier;

use crate::certificate::x509::DerReader;

/// The most characters of a name that are shown.
const CHARS_MAX: usize = 200;

/// Attributes by their object identifier (RFC 4519, RFC 4524).
const ATTRIBUTES: [(ObjectIdentifier, &str); 10] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "serialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.97"), "organizationIdentifier"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"), "DC"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"), "emailAddress"),
];

/// A name in quotes, without characters that a terminal acts on; attributes that are not known are
/// left out.
pub(crate) fn text(name: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut sets = DerReader::new(name);
    while let Some(set) = sets.accept(Tag::Set) {
        let mut attributes = DerReader::new(set);
        while let Some(attribute) = attributes.accept(Tag::Sequence) {
            parts.extend(part(attribute));
        }
    }
    let whole = if parts.is_empty() { "no name".into() } else { parts.join(", ") };
    // Debug of a text escapes what cannot be printed, and the quote.
    format!("{:?}", whole.chars().take(CHARS_MAX).collect::<String>())
}

fn part(attribute: &[u8]) -> Option<String> {
    let mut attribute = DerReader::new(attribute);
    let id = attribute.expect(Tag::ObjectIdentifier)?;
    let (_, label) = ATTRIBUTES.iter().find(|(known, _)| known.as_bytes() == id)?;
    let (tag, value) = attribute.next()?;
    let value = match tag {
        Tag::BmpString => {
            let units = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    Some(format!("{label}={value}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(parts: &[(&[u8], Tag, &[u8])]) -> Vec<u8> {
        let element = |tag: Tag, body: &[u8]| {
            let first = tag.number().0 as u8 | if tag.is_constructed() { 0x20 } else { 0 };
            [&[first, body.len() as u8], body].concat()
        };
        parts
            .iter()
            .flat_map(|(id, tag, value)| {
                let pair = [element(Tag::ObjectIdentifier, id), element(*tag, value)].concat();
                element(Tag::Set, &element(Tag::Sequence, &pair))
            })
            .collect()
    }

    #[test]
    fn names_are_shown_in_their_order_and_harmless() {
        let example = name(&[
            (&[0x55, 4, 10], Tag::Utf8String, b"Some"),
            (&[0x55, 4, 3], Tag::PrintableString, b"root 1"),
        ]);
        assert_eq!(text(&example), r#""O=Some, CN=root 1""#);
        let hostile = name(&[(&[0x55, 4, 3], Tag::Utf8String, "a\x1b[2J\"\u{202e}b".as_bytes())]);
        assert_eq!(text(&hostile), r#""CN=a\u{1b}[2J\"\u{202e}b""#);
        assert_eq!(
            text(&name(&[(&[0x55, 4, 3], Tag::BmpString, &[0, b'x', 0, b'y'])])),
            r#""CN=xy""#
        );
        assert_eq!(text(&name(&[(&[0x55, 4, 99], Tag::Utf8String, b"?")])), r#""no name""#);
        assert_eq!(text(b""), r#""no name""#);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(!text(&bytes).contains(char::is_control));
        }
    }
}
