//! Request targets and authorities: which forms exist and which method may use which. It refuses
//! what a router and a proxy in front of it could read differently: fragments, user information, a
//! path without its slash.

use std::net::Ipv6Addr;

use crate::{Error, Method};

/// Checks a target against its method (RFC 9112 section 3.2) and tells where its path begins.
#[inline]
pub(crate) fn check(method: Method, target: &[u8]) -> Result<usize, Error> {
    if method == Method::Connect {
        return Err(Error::ConnectUnsupported);
    }
    if !target.iter().fold(true, |fits, byte| fits & TARGET[*byte as usize]) {
        return Err(Error::Target);
    }
    match target {
        // Section 3.2.1, origin-form.
        [b'/', ..] => Ok(0),
        // Section 3.2.4, asterisk-form: about the server as a whole.
        b"*" if method == Method::Options => Ok(0),
        _ => absolute(target),
    }
}

/// Section 3.2.2, absolute-form: a server must accept it, though only proxies are sent it.
#[cold]
fn absolute(target: &[u8]) -> Result<usize, Error> {
    let is_scheme = |scheme: &&[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    let start = schemes.iter().copied().find(|s| is_scheme(s)).ok_or(Error::Target)?.len();
    let rest = &target[start..];
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    if is_authority(&rest[..length]) { Ok(start + length) } else { Err(Error::Target) }
}

/// RFC 9110 section 7.2: `uri-host [ ":" port ]`, the host not empty (section 4.2.1).
#[inline]
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let host = value.iter().position(|byte| !HOST[*byte as usize]).unwrap_or(value.len());
    match &value[host..] {
        [] => host > 0,
        [b':', port @ ..] => host > 0 && is_port(port),
        _ => is_unusual_authority(value),
    }
}

/// An address in brackets, or a name with encoded bytes in it.
#[cold]
fn is_unusual_authority(value: &[u8]) -> bool {
    if let [b'[', inner @ ..] = value {
        let Some(end) = inner.iter().position(|byte| *byte == b']') else {
            return false;
        };
        let address = std::str::from_utf8(&inner[..end]).unwrap_or_default();
        let after = &inner[end + 1..];
        return address.parse::<Ipv6Addr>().is_ok()
            && (after.is_empty() || after.strip_prefix(b":").is_some_and(is_port));
    }
    let mut rest = value;
    loop {
        rest = match rest {
            [] => return true,
            [b':', port @ ..] => return rest.len() < value.len() && is_port(port),
            [b'%', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            [byte, after @ ..] if HOST[*byte as usize] => after,
            _ => return false,
        };
    }
}

/// RFC 3986 section 3.2.3: `port = *DIGIT`; beyond 16 bits there is none.
fn is_port(port: &[u8]) -> bool {
    let number = port.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(number * 10 + digit).filter(|number| *number <= 65_535)
    });
    number.is_some()
}

/// What a target may hold: visible ASCII without `"`, `<`, `>` and `#`. Wider than RFC 3986,
/// because browsers send `{`, `|`, `^` and the like unencoded (WHATWG URL, query percent-encode
/// set).
static TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21_usize;
    while byte < 0x7f {
        table[byte] = !matches!(byte as u8, b'"' | b'<' | b'>' | b'#');
        byte += 1;
    }
    table
};

/// RFC 3986 section 3.2.2, `reg-name` without encoded bytes: `unreserved / sub-delims`.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for good in [
            "a",
            "a.example",
            "a:80",
            "a:",
            "127.0.0.1:8443",
            "[::1]",
            "[::1]:8443",
            "a%41b",
            "%41",
            "a%41%42:1",
            "a_b~c",
            "a:65535",
            "a:00080",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:80:80",
            "a:b",
            "a:-1",
            "a:65536",
            "u@a",
            "a b",
            "a/b",
            "a?b",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]:x",
            "[v1.a]",
            "[fe80::1%1]",
            "a%4",
            "a%zz",
            "a%41@b",
            "a[::1]",
            "a\u{e9}",
            "a,b c",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets() {
        let table: &[(Method, &str, Result<usize, Error>)] = &[
            (Method::Get, "/", Ok(0)),
            (Method::Get, "/a/b?c=d&e=%20{|}", Ok(0)),
            (Method::Get, "//a", Ok(0)),
            (Method::Options, "*", Ok(0)),
            (Method::Get, "*", Err(Error::Target)),
            (Method::Options, "**", Err(Error::Target)),
            (Method::Get, "a", Err(Error::Target)),
            (Method::Get, "?a", Err(Error::Target)),
            (Method::Get, "/a#b", Err(Error::Target)),
            (Method::Get, "/a\"b", Err(Error::Target)),
            (Method::Get, "/\u{e9}", Err(Error::Target)),
            (Method::Get, "http://a", Ok(8)),
            (Method::Get, "HTTPS://a:1/b", Ok(11)),
            (Method::Get, "http://a?b", Ok(8)),
            (Method::Get, "http:///b", Err(Error::Target)),
            (Method::Get, "http://u@a/b", Err(Error::Target)),
            (Method::Get, "http:/b", Err(Error::Target)),
            (Method::Get, "ftp://a/b", Err(Error::Target)),
            (Method::Get, "a:80", Err(Error::Target)),
            (Method::Connect, "a:80", Err(Error::ConnectUnsupported)),
        ];
        for (method, target, expected) in table {
            assert_eq!(check(*method, target.as_bytes()), *expected, "{method:?} {target}");
        }
    }
}
