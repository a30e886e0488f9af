//! Taking a token request apart: `application/x-www-form-urlencoded` and `Basic` credentials.
//!
//! Owns the decoding and its bounds. Refuses what could be read in two ways: a parameter that comes
//! twice (but `resource`), a broken percent sign, text that is not UTF-8. Knows nothing of clients.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::OAuthError;

/// Longest body, in bytes: a token and an assertion of some 4 KiB each, and what others send along.
pub const FORM_BYTES_MAX: usize = 10 * 1024;

/// Most parameters in a body; each is compared with those before it.
pub const FORM_PARAMETERS_MAX: usize = 16;

/// Longest `Authorization` value, in bytes: an id of 64 bytes and a secret of 256, encoded.
pub const AUTHORIZATION_BYTES_MAX: usize = 1536;

/// The parameters of a body, decoded; secrets among them are overwritten when it is dropped.
pub(super) struct RequestForm(Vec<(Zeroizing<String>, Zeroizing<String>)>);

impl RequestForm {
    pub(super) fn parse(body: &[u8]) -> Result<RequestForm, OAuthError> {
        if body.len() > FORM_BYTES_MAX {
            return Err(OAuthError::invalid_request("the body is longer than 10 KiB"));
        }
        let mut form = RequestForm(Vec::new());
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if form.0.len() == FORM_PARAMETERS_MAX {
                return Err(OAuthError::invalid_request("there are more than 16 parameters"));
            }
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
            let broken = || OAuthError::invalid_request("the body is not form-urlencoded UTF-8");
            let name = decode(name).ok_or_else(broken)?;
            let value = decode(value).ok_or_else(broken)?;
            // RFC 6749 section 3.2: parameters must not be included more than once. RFC 8707
            // section 2 excepts `resource`.
            if name.as_str() != "resource" && form.0.iter().any(|(other, _)| *other == name) {
                return Err(OAuthError::invalid_request("a parameter comes more than once"));
            }
            form.0.push((name, value));
        }
        Ok(form)
    }

    /// A parameter; one without a value counts as omitted (RFC 6749 section 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a parameter that may be repeated, in the order in which they came.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(other, _)| other.as_str() == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Who a client says it is; overwritten when it is dropped.
pub struct BasicCredentials {
    /// The `client_id`.
    pub id: Zeroizing<String>,
    /// The secret.
    pub secret: Zeroizing<String>,
}

/// Reads `Basic` credentials (RFC 7617 section 2) whose halves are form-encoded (RFC 6749 section
/// 2.3.1); `None` for anything else.
pub(super) fn basic_credentials(authorization: Option<&[u8]>) -> Option<BasicCredentials> {
    let value = authorization.filter(|value| value.len() <= AUTHORIZATION_BYTES_MAX)?;
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let encoded = &encoded[encoded.iter().position(|byte| *byte != b' ')?..];
    let pair = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(BasicCredentials { id: decode(&pair[..colon])?, secret: decode(&pair[colon + 1..])? })
}

/// Decodes one name or value: `+` is a space, `%` has two hex digits behind it.
fn decode(text: &[u8]) -> Option<Zeroizing<String>> {
    // As long as the text at most, so that no piece of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                hex(digits[0])? << 4 | hex(digits[1])?
            }
            other => other,
        });
    }
    let text = str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(text.into()))
}

/// Encodes one name or value.
pub(super) fn encode(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(body: &str, name: &str) -> Option<String> {
        RequestForm::parse(body.as_bytes()).unwrap().get(name).map(String::from)
    }

    #[test]
    fn parameters_are_decoded_once() {
        assert_eq!(get("a=1&b=x+y%2Bz%26", "b").as_deref(), Some("x y+z&"));
        assert_eq!(get("a=1&%61b=2", "ab").as_deref(), Some("2"));
        assert_eq!(get("a=b=c", "a").as_deref(), Some("b=c"));
        assert_eq!(get("a=%2541", "a").as_deref(), Some("%41"));
        for omitted in ["a=", "a", "", "&&", "b=1"] {
            assert_eq!(get(omitted, "a"), None, "{omitted}");
        }
    }

    #[test]
    fn ambiguous_forms_are_rejected() {
        let many: String = (0..17).map(|at| format!("p{at}=1&")).collect();
        let long = format!("a={}", "x".repeat(FORM_BYTES_MAX));
        for body in ["a=1&a=1", "a=1&%61=2", "a&a", "a=%", "a=%4", "a=%4g", "a=%ff", &many, &long] {
            let error = RequestForm::parse(body.as_bytes()).err().unwrap();
            assert_eq!((error.status, error.code), (400, "invalid_request"), "{body}");
        }
    }

    #[test]
    fn basic_credentials_are_read_strictly() {
        let read = |value: &str| {
            basic_credentials(Some(value.as_bytes()))
                .map(|basic| (basic.id.to_string(), basic.secret.to_string()))
        };
        let pair = |id: &str, secret: &str| Some((id.into(), secret.into()));
        // The example of RFC 7617 section 2, and of its section 2 with a colon in the password.
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(read("bAsIc   YTpiOmM="), pair("a", "b:c"));
        assert_eq!(read("Basic YSUzQWI6Yw=="), pair("a:b", "c"));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic YQ==",
            "Basic YTpi YTpi",
            "Basic YTpiOmM",
            "Bearer YTpi",
            "BasicYTpi",
            "Basic YTol",
            "Basic _w==",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(basic_credentials(None).is_none());
        let long = format!("Basic {}", "YTpi".repeat(AUTHORIZATION_BYTES_MAX / 4));
        assert_eq!(read(&long), None);
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding(text: String) {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            let decoded = decode(encoded.as_bytes()).unwrap();
            prop_assert_eq!(decoded.as_str(), text);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = RequestForm::parse(&bytes);
            let _ = basic_credentials(Some(&bytes));
            let _ = basic_credentials(Some(&[b"Basic ", &bytes[..]].concat()));
        }
    }
}
