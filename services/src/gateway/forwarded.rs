//! What a gateway reports to its upstreams about a client: what it saw itself, as RFC 7239 has it.
//! Formatted on the stack, since every forwarded request has one.

use std::io::Write;
use std::net::IpAddr;

/// What this gateway itself saw of the client, as the value of `Forwarded` (RFC 7239).
pub(super) struct ForwardedHeader {
    bytes: [u8; SEEN_BYTES_MAX],
    length: usize,
}

/// `for="[` an IPv6 address of at most 45 bytes `]";proto=https`, rounded up.
const SEEN_BYTES_MAX: usize = 80;

impl ForwardedHeader {
    /// Of a client at `peer`, which speaks TLS to this gateway or not.
    pub(super) fn new(peer: IpAddr, tls: bool) -> ForwardedHeader {
        let mut seen = ForwardedHeader { bytes: [0; SEEN_BYTES_MAX], length: 0 };
        let proto = if tls { "https" } else { "http" };
        let mut rest = seen.bytes.as_mut_slice();
        // RFC 7239 section 6: an IPv6 address stands in brackets and quotes.
        let written = match peer {
            IpAddr::V4(ip) => write!(rest, "for={ip};proto={proto}"),
            IpAddr::V6(ip) => write!(rest, "for=\"[{ip}]\";proto={proto}"),
        };
        written.expect("the longest address fits");
        let left = rest.len();
        seen.length = SEEN_BYTES_MAX - left;
        seen
    }

    /// The field's value.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_values_are_formatted_by_rfc_7239() {
        let seen = |ip: &str, tls| {
            String::from_utf8(ForwardedHeader::new(ip.parse().unwrap(), tls).as_bytes().to_vec())
                .unwrap()
        };
        assert_eq!(seen("192.0.2.43", true), "for=192.0.2.43;proto=https");
        assert_eq!(seen("::1", false), "for=\"[::1]\";proto=http");
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        assert_eq!(seen(longest, true), format!("for=\"[{longest}]\";proto=https"));
    }
}
