//! What a query must not carry: an access token (RFC 6750 section 2.3, which RFC 9700 section 4.3.2
//! forbids). URLs end up in logs and histories, and an upstream that reads tokens there would be
//! handed one that nobody here has looked at.
//!
//! It owns the recognition of the parameter's name however it is spelt. It refuses to read values.

/// The parameter's name in lower case; some servers compare without case.
const NAME: &[u8] = b"access_token";

/// Whether a parameter of the query is called `access_token`. Names are read as forms write them:
/// percent-encoded, with `+` for a space; `;` separates as `&` does, and `[` begins an index.
pub(super) fn carries_token(query: &[u8]) -> bool {
    query.split(|byte| matches!(byte, b'&' | b';')).any(is_token)
}

/// Compares as it decodes; of another name that is one byte as a rule.
fn is_token(parameter: &[u8]) -> bool {
    let mut rest = parameter;
    let mut next = || {
        let byte = match rest {
            [b'%', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = &rest[2..];
                    high << 4 | low
                }
                _ => b'%',
            },
            // An encoded separator belongs to the name, one as it stands ends it.
            [] | [b'=' | b'[', ..] => return None,
            [b'+', ..] => b' ',
            [byte, ..] => *byte,
        };
        rest = &rest[1..];
        Some(byte.to_ascii_lowercase())
    };
    NAME.iter().all(|expected| next() == Some(*expected)) && matches!(next(), None | Some(b'['))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_however_its_name_is_spelt() {
        for query in [
            "access_token=x",
            "access_token",
            "access_token=",
            "a=b&access_token=x",
            "a;access_token=x",
            "&&access_token=x&c",
            "access%5Ftoken=x",
            "%61ccess_toke%6e=x",
            "%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x",
            "Access_Token=x",
            "%41CCESS_TOKEN=x",
            "access_token[]=x",
            "access_token%5B0%5D=x",
        ] {
            assert!(carries_token(query.as_bytes()), "{query}");
        }
    }

    #[test]
    fn other_parameters_are_not_taken_for_a_token() {
        for query in [
            "",
            "a=access_token",
            "a=b%26access_token=x",
            "access_tokens=x",
            "my_access_token=x",
            "access_toke=x",
            "access-token=x",
            "access_token%3D=x",
            "access_%zztoken=x",
            "access_token%",
            "%",
            "%6",
            "=access_token",
            "token=x&page=2",
        ] {
            assert!(!carries_token(query.as_bytes()), "{query}");
        }
    }
}
