//! Which fields of a message go through the gateway, and which end there (RFC 9110 section 7.6.1).
//!
//! It owns this decision for both directions. It refuses to pass on what a client says about who or
//! where it is, or about another target, method or length than those of its request: upstreams may
//! believe such fields because a proxy usually writes them, and only what this gateway saw itself
//! is sent to them. The lists hold what proxies, load balancers and application servers are known
//! to write or to believe.

use std::fmt;

use proto_http::Span;

/// Fields that concern one connection only, or that the encoder writes anew; by first letter.
fn hop_by_hop(name: &[u8]) -> &'static [&'static str] {
    match initial(name) {
        b'c' => &["connection", "content-length"],
        b'h' => &["host", "http2-settings"],
        b'k' => &["keep-alive"],
        b'p' => &["proxy-authenticate", "proxy-authorization", "proxy-connection"],
        b't' => &["te", "trailer", "transfer-encoding"],
        b'u' => &["upgrade"],
        _ => &[],
    }
}

/// What this gateway alone says to upstreams, or settles itself: `Expect` is answered by this
/// server (RFC 9110 section 10.1.1). No flag lets a client say it.
fn own(name: &[u8]) -> &'static [&'static str] {
    match initial(name) {
        b'e' => &["expect"],
        b'x' => &["x-tollgate", "x-tollgate-*"],
        _ => &[],
    }
}

/// What a client could use to pretend to be somebody else, or to have asked for something else; by
/// first letter, and by the first after `X-`. A star stands for any rest.
fn claims(name: &[u8]) -> &'static [&'static str] {
    match name {
        [b'x' | b'X', b'-', third, ..] => extension_claims(third | 0x20),
        _ => match initial(name) {
            b'a' => &["arr-clientcert"],
            b'c' => &["cf-access-*", "cf-connecting-ip*", "client-cert*", "client-ip"],
            b'f' => &["fastly-client-ip", "fly-client-ip", "forwarded*", "front-end-https"],
            b'h' => &["http-client-ip", "http-method-override"],
            // A CGI program finds `Proxy` where it looks for its own proxy.
            b'p' => &["proxy"],
            b'r' => &["real-ip", "remote-*"],
            b's' => &["script-name", "ssl-client-*"],
            b't' => &["tls-client-cert*", "true-client-*"],
            b'w' => &["wl-proxy-*"],
            _ => &[],
        },
    }
}

/// The claims that begin with `X-A`: what authenticating proxies and clouds say.
const CLAIMS_OF_X_A: &[&str] = &[
    "x-accel-*",
    "x-amzn-mtls-*",
    "x-amzn-oidc-*",
    "x-anonymous-consumer",
    "x-apigateway-*",
    "x-appengine-*",
    "x-arr-*",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-request-*",
    "x-auth-user*",
    "x-authenticated-*",
    "x-authentik-*",
    "x-azure-clientip",
    "x-azure-socketip",
];

/// The claims that begin with `X-C`: clients, certificates, consumers.
const CLAIMS_OF_X_C: &[&str] = &[
    "x-cert*",
    "x-client-auth*",
    "x-client-cert*",
    "x-client-cn",
    "x-client-dn*",
    "x-client-fingerprint",
    "x-client-id*",
    "x-client-ip",
    "x-client-issuer*",
    "x-client-name",
    "x-client-s-dn*",
    "x-client-serial*",
    "x-client-spiffe*",
    "x-client-ssl-*",
    "x-client-subject*",
    "x-client-user*",
    "x-client-verif*",
    "x-clientcert*",
    "x-cluster-client-ip",
    "x-consumer-*",
    "x-content-length",
    "x-credential-*",
    "x-custom-ip-authorization",
];

/// The claims that begin with `X-` and this letter.
fn extension_claims(letter: u8) -> &'static [&'static str] {
    match letter {
        b'a' => CLAIMS_OF_X_A,
        b'b' => &["x-base-path"],
        b'c' => CLAIMS_OF_X_C,
        b'e' => &["x-email", "x-endpoint-api-userinfo", "x-envoy-*"],
        b'f' => &["x-forward-for", "x-forwarded*"],
        b'g' => &["x-goog-authenticated-user-*", "x-goog-iap-*", "x-groups"],
        b'h' => &[
            "x-host",
            "x-http-destinationurl",
            "x-http-host-override",
            "x-http-method*",
            "x-http-path-override",
        ],
        b'i' => &["x-identity*"],
        b'j' => &["x-jwt-*"],
        b'm' => &["x-method", "x-method-override", "x-ms-client-principal*", "x-mtls-*"],
        b'n' => &["x-nf-client-connection-ip"],
        b'o' => &["x-original-*", "x-originating-*", "x-override-*"],
        b'p' => &["x-peer-*", "x-pomerium-*", "x-principal*", "x-proxyuser-*"],
        b'r' => &[
            "x-real-*",
            "x-realip",
            "x-remote-*",
            "x-request-uri",
            "x-rewrite-*",
            "x-role",
            "x-roles",
        ],
        b's' => &["x-scheme", "x-spiffe-*", "x-ssl-*", "x-subject*"],
        b't' => &["x-tls-*", "x-token-subject", "x-true-client-ip"],
        b'u' => &[
            "x-url-scheme",
            "x-user",
            "x-user-email",
            "x-user-id",
            "x-user-name",
            "x-userid",
            "x-username",
        ],
        b'v' => &["x-vercel-*", "x-verified-*", "x-vouch-*"],
        b'w' => &["x-waws-unencoded-url", "x-webauth-*"],
        _ => &[],
    }
}

/// What a message goes through: the direction decides which fields end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream.
    Request,
    /// From the upstream to the client.
    Response,
}

/// Which fields of clients this gateway lets through although it would remove them: their names in
/// lower case.
#[derive(Debug, Clone, Default)]
pub struct LetThrough(Vec<String>);

/// Names that may be let through; each field that would be removed is compared with all of them.
const LET_THROUGH_MAX: usize = 32;

impl LetThrough {
    /// Understands the names as they were typed.
    ///
    /// # Errors
    /// The first that cannot be let through.
    pub fn parse(names: &[String]) -> Result<LetThrough, FieldError> {
        if names.len() > LET_THROUGH_MAX {
            return Err(FieldError::TooMany);
        }
        names.iter().map(|name| let_through(name)).collect::<Result<_, _>>().map(LetThrough)
    }

    /// Whether a field goes on. `options` are the message's Connection options, whose fields end
    /// here, as they lie in `bytes`.
    #[inline]
    pub fn passes(
        &self,
        direction: Direction,
        name: &[u8],
        options: &[Span],
        bytes: &[u8],
    ) -> bool {
        if is_one_of(hop_by_hop(name), name) {
            return false;
        }
        if direction == Direction::Request && is_claim(name) && !self.holds(name) {
            return false;
        }
        !options.iter().any(|option| option.of(bytes).eq_ignore_ascii_case(name))
    }

    #[cold]
    fn holds(&self, name: &[u8]) -> bool {
        self.0.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// Why a field cannot be let through: its name as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldError {
    /// More names than are compared with each field.
    TooMany,
    /// It is not the name of a field.
    NoName(String),
    /// It stands for many fields.
    Wildcard(String),
    /// It belongs to one connection (RFC 9110 section 7.6.1).
    HopByHop(String),
    /// This gateway writes it.
    Own(String),
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldError::TooMany => {
                write!(f, "at most {LET_THROUGH_MAX} fields can be let through")
            }
            FieldError::NoName(name) => {
                write!(f, "{name:?} is not the name of a field; give one such as X-Real-IP")
            }
            FieldError::Wildcard(name) => {
                write!(f, "{name} stands for many fields; give the name of each")
            }
            FieldError::HopByHop(name) => {
                write!(f, "{name} belongs to one connection and never goes on")
            }
            FieldError::Own(name) => {
                write!(f, "{name} is for this gateway to write, never for a client")
            }
        }
    }
}

impl std::error::Error for FieldError {}

/// The name in lower case, if clients may be allowed to send it on.
fn let_through(name: &str) -> Result<String, FieldError> {
    let lower = name.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if lower.is_empty() || !lower.bytes().all(is_token) {
        return Err(FieldError::NoName(name.into()));
    }
    if name.contains('*') {
        return Err(FieldError::Wildcard(name.into()));
    }
    // Who reads fields as CGI does takes an underscore for a hyphen.
    let read = lower.replace('_', "-");
    if is_one_of(hop_by_hop(read.as_bytes()), read.as_bytes()) {
        return Err(FieldError::HopByHop(name.into()));
    }
    if is_one_of(own(read.as_bytes()), read.as_bytes()) {
        return Err(FieldError::Own(name.into()));
    }
    Ok(lower)
}

/// Whether a client must not say this unless it is let through. An underscore hides a name: many
/// application servers take it for a hyphen.
#[inline]
fn is_claim(name: &[u8]) -> bool {
    is_one_of(claims(name), name) || is_one_of(own(name), name) || name.contains(&b'_')
}

/// The first letter in lower case.
#[inline]
fn initial(name: &[u8]) -> u8 {
    name.first().map_or(0, |byte| byte | 0x20)
}

#[inline]
fn is_one_of(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|known| match known.strip_suffix('*') {
        Some(start) => {
            name.get(..start.len()).is_some_and(|n| n.eq_ignore_ascii_case(start.as_bytes()))
        }
        None => name.eq_ignore_ascii_case(known.as_bytes()),
    })
}

/// Whether a `Via` value names this gateway already: the request has come in a circle.
pub(super) fn names_us(via: &[u8], pseudonym: &[u8]) -> bool {
    via.split(|byte| matches!(byte, b',' | b' ' | b'\t')).any(|part| part == pseudonym)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes_with(direction: Direction, name: &str, options: &[&str]) -> bool {
        passes_through(&LetThrough::default(), direction, name, options)
    }

    fn passes_through(
        through: &LetThrough,
        direction: Direction,
        name: &str,
        options: &[&str],
    ) -> bool {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        for option in options {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(option.as_bytes());
            spans.push(Span { start, end: bytes.len() as u32 });
        }
        through.passes(direction, name.as_bytes(), &spans, &bytes)
    }

    #[test]
    fn fields_of_one_connection_end_here() {
        for name in [
            "Connection",
            "TE",
            "transfer-encoding",
            "Content-Length",
            "Upgrade",
            "host",
            "Keep-Alive",
            "HTTP2-Settings",
        ] {
            assert!(!passes_with(Direction::Request, name, &[]), "{name}");
            assert!(!passes_with(Direction::Response, name, &[]), "{name}");
        }
        for name in ["X-Forwarded-For", "X-Tollgate-Client", "Client-Cert", "client-cert-chain"] {
            assert!(!passes_with(Direction::Request, name, &[]), "{name}");
        }
        assert!(!passes_with(Direction::Request, "x-hop", &["X-Hop"]));
        assert!(!passes_with(Direction::Response, "x-hop", &["other", "x-hop"]));
    }

    #[test]
    fn claims_of_clients_end_here() {
        for name in [
            "Forwarded",
            "X-Forwarded",
            "X-Forwarded-For",
            "x-forwarded-prefix",
            "X-FORWARDED-USER",
            "X-Forwarded-Scheme",
            "X-Forwarded-Client-Cert",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Client-Cert",
            "X-Client-Verify",
            "X-SSL-Client-S-DN",
            "ssl-client-verify",
            "X-Original-URL",
            "X-Original-Host",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "True-Client-IP",
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "X-Real-IP",
            "X-Remote-User",
            "Remote-User",
            "X-Envoy-External-Address",
            "X-Tollgate-Client",
            "x-tollgate-",
            "X-Tollgate",
            "X-Amzn-Mtls-Clientcert-Leaf",
            "X-ClientCert",
            "ARR-ClientCert",
            "Tls-Client-Cert",
            "X-Client-CN",
            "X-Auth-User",
            "X-Email",
            "X-Groups",
            "X-Roles",
            "X-Pomerium-Claim-Email",
            "X-JWT-Assertion",
            "X-Forward-For",
            "Real-IP",
            "Fly-Client-IP",
            "HTTP-Method-Override",
            "X-Request-URI",
            "Script-Name",
            "Proxy",
            "Expect",
            "X_Forwarded_For",
            "Content_Length",
            "authorization_",
            "_",
        ] {
            assert!(!passes_with(Direction::Request, name, &[]), "{name}");
        }
    }

    #[test]
    fn other_fields_are_forwarded() {
        for name in [
            "Authorization",
            "Content-Type",
            "Content-Encoding",
            "Cookie",
            "Idempotency-Key",
            "x-hop2",
            "Date",
            "Early-Data",
            "Origin",
            "Range",
            "Traceparent",
            "Upgrade-Insecure-Requests",
            "Via",
            "X-Request-ID",
            "X-Auth-Token",
            "X-Client-Version",
            "X-",
            "X",
            "User-Agent",
        ] {
            assert!(passes_with(Direction::Request, name, &["x-hop"]), "{name}");
        }
        assert!(passes_with(Direction::Response, "WWW-Authenticate", &[]));
        assert!(passes_with(Direction::Response, "X_Underscored", &[]));
    }

    #[test]
    fn a_claim_is_let_through_by_name_only() {
        let names = ["X-Real-IP", "app_id"].map(String::from);
        let through = LetThrough::parse(&names).unwrap();
        for (name, passes) in [
            ("x-real-ip", true),
            ("X-Real-IP", true),
            ("X-Real-IPs", false),
            ("APP_ID", true),
            ("app_key", false),
        ] {
            let passed = passes_through(&through, Direction::Request, name, &[]);
            assert_eq!(passed, passes, "{name}");
        }
        let named = passes_through(&through, Direction::Request, "X-Real-IP", &["x-real-ip"]);
        assert!(!named, "a Connection option ends it all the same");
    }

    #[test]
    fn framing_and_gateway_fields_are_never_let_through() {
        for name in [
            "Content-Length",
            "content_length",
            "Transfer_Encoding",
            "Connection",
            "TE",
            "Host",
            "Expect",
            "X-Tollgate-Client",
            "x_tollgate_client",
            "X-Forwarded-*",
            "",
            "a b",
            "a:",
            "\u{e9}",
        ] {
            assert!(LetThrough::parse(&[name.to_string()]).is_err(), "{name}");
        }
        let many: Vec<String> = (0..=LET_THROUGH_MAX).map(|n| format!("x-{n}")).collect();
        assert!(LetThrough::parse(&many[1..]).is_ok() && LetThrough::parse(&many).is_err());
    }

    #[test]
    fn loops_are_detected_by_via() {
        assert!(names_us(b"1.1 proxy, 1.1 tollgate", b"tollgate"));
        assert!(!names_us(b"1.1 tollgate2,1.0 x", b"tollgate"));
    }
}
