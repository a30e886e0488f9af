//! Which fields of a message go through the gateway, and which end there (RFC 9110 section 7.6.1).
//!
//! It owns this decision for both directions. It refuses to pass on what a client says about where
//! it comes from: only what this gateway saw itself is told to upstreams.

/// Fields that concern one connection only, or that the encoder writes anew.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a client could use to pretend to be somebody else, or that is settled here: `Expect` is
/// answered by this server itself (RFC 9110 section 10.1.1).
const CLIENT_ONLY: [&str; 11] = [
    "client-cert",
    "client-cert-chain",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-forwarded-client-cert",
    "x-tollgate-client",
];

/// What a message goes through: the direction decides which fields end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream.
    Request,
    /// From the upstream to the client.
    Response,
}

/// Whether a field goes on. `connection` are the values of the message's `Connection` fields, whose
/// names end here too.
pub fn passes<'a>(
    direction: Direction,
    name: &[u8],
    connection: impl Iterator<Item = &'a [u8]>,
) -> bool {
    if is_one_of(&HOP_BY_HOP, name) {
        return false;
    }
    if direction == Direction::Request && is_one_of(&CLIENT_ONLY, name) {
        return false;
    }
    let mut named = connection.flat_map(|value| value.split(|byte| *byte == b','));
    !named.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(name))
}

fn is_one_of(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether a `Via` value names this gateway already: the request has come in a circle.
pub fn names_us(via: &[u8], pseudonym: &[u8]) -> bool {
    via.split(|byte| matches!(byte, b',' | b' ' | b'\t')).any(|part| part == pseudonym)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes_with(direction: Direction, name: &str, connection: &[&str]) -> bool {
        passes(direction, name.as_bytes(), connection.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn what_ends_here() {
        for name in ["Connection", "TE", "transfer-encoding", "Content-Length", "Upgrade", "host"] {
            assert!(!passes_with(Direction::Request, name, &[]), "{name}");
            assert!(!passes_with(Direction::Response, name, &[]), "{name}");
        }
        for name in ["X-Forwarded-For", "X-Tollgate-Client", "Client-Cert", "client-cert-chain"] {
            assert!(!passes_with(Direction::Request, name, &[]), "{name}");
        }
        assert!(!passes_with(Direction::Request, "x-hop", &["close, X-Hop", "keep-alive"]));
        assert!(!passes_with(Direction::Response, "x-hop", &["keep-alive", "\tx-hop "]));
    }

    #[test]
    fn what_goes_on() {
        for name in ["Authorization", "Content-Type", "Idempotency-Key", "x-hop2", "Date"] {
            assert!(passes_with(Direction::Request, name, &["x-hop", "close"]), "{name}");
        }
        assert!(passes_with(Direction::Response, "WWW-Authenticate", &[]));
    }

    #[test]
    fn circles_are_seen() {
        assert!(names_us(b"1.1 proxy, 1.1 tollgate", b"tollgate"));
        assert!(!names_us(b"1.1 tollgate2,1.0 x", b"tollgate"));
    }
}
