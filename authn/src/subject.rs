//! Distinguished names as text: `O=Example, CN=old root`, for messages that name a certificate.
//!
//! Owns the names of the common attributes and what of their values is shown. Refuses to compare:
//! names are equal when their DER is.

use crate::der::{self, Reader};

/// The most characters of a name that are shown.
const CHARS_MAX: usize = 200;

/// Attributes by the contents of their object identifier (RFC 4519, RFC 4524).
const ATTRIBUTES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

const BMP_STRING: u8 = 0x1e;

/// A name in quotes, without characters that a terminal acts on; attributes that are not known are
/// left out.
pub(crate) fn text(name: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut sets = Reader::new(name);
    while let Some(set) = sets.accept(der::SET) {
        let mut attributes = Reader::new(set);
        while let Some(attribute) = attributes.accept(der::SEQUENCE) {
            parts.extend(part(attribute));
        }
    }
    let whole = if parts.is_empty() { "no name".into() } else { parts.join(", ") };
    // Debug of a text escapes what cannot be printed, and the quote.
    format!("{:?}", whole.chars().take(CHARS_MAX).collect::<String>())
}

fn part(attribute: &[u8]) -> Option<String> {
    let mut attribute = Reader::new(attribute);
    let id = attribute.expect(der::OBJECT_IDENTIFIER)?;
    let (_, label) = ATTRIBUTES.iter().find(|(known, _)| *known == id)?;
    let (tag, value) = attribute.next()?;
    let value = match tag {
        BMP_STRING => {
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

    fn name(parts: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let element = |tag: u8, body: &[u8]| [&[tag, body.len() as u8], body].concat();
        parts
            .iter()
            .flat_map(|(id, tag, value)| {
                let pair = [element(der::OBJECT_IDENTIFIER, id), element(*tag, value)].concat();
                element(der::SET, &element(der::SEQUENCE, &pair))
            })
            .collect()
    }

    #[test]
    fn names_are_shown_in_their_order_and_harmless() {
        let example = name(&[(&[0x55, 4, 10], 0x0c, b"Some"), (&[0x55, 4, 3], 0x13, b"root 1")]);
        assert_eq!(text(&example), r#""O=Some, CN=root 1""#);
        let hostile = name(&[(&[0x55, 4, 3], 0x0c, "a\x1b[2J\"\u{202e}b".as_bytes())]);
        assert_eq!(text(&hostile), r#""CN=a\u{1b}[2J\"\u{202e}b""#);
        assert_eq!(text(&name(&[(&[0x55, 4, 3], BMP_STRING, &[0, b'x', 0, b'y'])])), r#""CN=xy""#);
        assert_eq!(text(&name(&[(&[0x55, 4, 99], 0x0c, b"?")])), r#""no name""#);
        assert_eq!(text(b""), r#""no name""#);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(!text(&bytes).contains(char::is_control));
        }
    }
}
