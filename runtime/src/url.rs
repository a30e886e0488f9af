//! Where a request goes: an `http` or `https` URL taken apart once, at the edge.
//!
//! Owns the parsing, the forms that the parts take elsewhere (Host field, TLS server name) and
//! the look-up of addresses. Refuses user names and passwords in a URL: they end up in process
//! lists and logs.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// As long as any URL that a server accepts by default, in bytes.
const URL_BYTES_MAX: usize = 8 * 1024;
/// RFC 1035 section 2.3.4.
const HOST_BYTES_MAX: usize = 253;

/// How a URL is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP, port 80 unless said otherwise.
    Http,
    /// HTTP over TLS, port 443 unless said otherwise.
    Https,
}

impl Scheme {
    /// The name in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A parsed URL. Its fields hold what was checked: build one with [`Url::parse`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// A DNS name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, given or implied.
    pub port: u16,
    /// Path and query as they are sent, beginning with `/`.
    pub target: String,
}

impl Url {
    /// Takes `text` apart (RFC 3986, `http` and `https` only). A fragment is dropped: it is never
    /// sent.
    ///
    /// # Errors
    /// One sentence on what is wrong with it.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError::Character(bad));
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(UrlError::Scheme(scheme.to_owned())),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::Userinfo);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None | Some("") => scheme.port(),
            Some(digits) => parse_port(digits)?,
        };
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        Ok(Url { scheme, host, port, target })
    }

    /// The same server, another path and query.
    ///
    /// # Errors
    /// When `target` does not begin with `/` or holds what a request line cannot.
    pub fn with_target(&self, target: &str) -> Result<Url, UrlError> {
        if let Some(bad) = target.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            return Err(UrlError::Character(bad));
        }
        if !target.starts_with('/') {
            return Err(UrlError::Target);
        }
        Ok(Url { target: target.to_owned(), ..self.clone() })
    }

    /// Whether the host is this machine by its very spelling: a loopback address, or `localhost`
    /// (RFC 6761 section 6.3). Any other name may lead somewhere else tomorrow.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().map(|ip| ip.to_canonical().is_loopback());
        address.unwrap_or_else(|_| host.eq_ignore_ascii_case("localhost"))
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// The value of the Host field: an IPv6 address in brackets, the port only where it is not
    /// the scheme's (RFC 9110 section 7.2).
    #[must_use]
    pub fn host_field(&self) -> String {
        if self.port == self.scheme.port() {
            self.bracketed_host()
        } else {
            format!("{}:{}", self.bracketed_host(), self.port)
        }
    }

    /// The name that the server's certificate must hold.
    ///
    /// # Errors
    /// When the host can stand in no certificate, such as a name with an underscore at its end.
    pub fn server_name(&self) -> Result<ServerName<'static>, UrlError> {
        ServerName::try_from(self.host.clone()).map_err(|_| UrlError::Host(self.host.clone()))
    }

    /// All addresses of the host, each once, in the resolver's order. Blocks for as long as the
    /// system's resolver takes; an address literal takes no time.
    ///
    /// # Errors
    /// When there are none.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, UrlError> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let unknown = |error: io::Error| UrlError::Unresolved {
            host: self.host.clone(),
            reason: error.to_string(),
        };
        let mut addresses = Vec::new();
        for address in (self.host.as_str(), self.port).to_socket_addrs().map_err(unknown)? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(unknown(io::ErrorKind::NotFound.into()));
        }
        Ok(addresses)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// The host and, behind a colon, the port's digits.
fn split_port(authority: &str) -> Result<(String, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (literal, rest) = rest.split_once(']').ok_or(UrlError::Bracket)?;
        let address: Ipv6Addr =
            literal.parse().map_err(|_| UrlError::Host(format!("[{literal}]")))?;
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((address.to_string(), None)),
            Some(port) => Ok((address.to_string(), Some(port))),
            None => Err(UrlError::Bracket),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => return Err(UrlError::Bracket),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    check_name(host)?;
    Ok((host.to_ascii_lowercase(), port))
}

fn check_name(host: &str) -> Result<(), UrlError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match host {
        "" => Err(UrlError::NoHost),
        _ if host.len() > HOST_BYTES_MAX || !host.bytes().all(allowed) => {
            Err(UrlError::Host(host.to_owned()))
        }
        // What looks like an address must be one: the resolver reads "1.2" as 1.0.0.2.
        _ if numeric && host.parse::<IpAddr>().is_err() => Err(UrlError::Host(host.to_owned())),
        _ => Ok(()),
    }
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port: &u16| plain && *port != 0);
    port.ok_or_else(|| UrlError::Port(digits.to_owned()))
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        Url::parse(text)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host_field(), self.target)
    }
}

/// What is wrong with a URL, or with the name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It is longer than 8 KiB.
    TooLong,
    /// It holds a blank, a control or a character outside of ASCII.
    Character(char),
    /// It does not begin with `http://` or `https://`.
    NoScheme,
    /// It begins with another scheme.
    Scheme(String),
    /// It holds a user name or a password.
    Userinfo,
    /// It names no host.
    NoHost,
    /// The host is neither a name nor an address.
    Host(String),
    /// An IPv6 address without its brackets, or a bracket without an address.
    Bracket,
    /// The port is no number from 1 to 65535.
    Port(String),
    /// A path that does not begin with a slash.
    Target,
    /// The resolver knows no address.
    Unresolved {
        /// The name asked for.
        host: String,
        /// What the resolver said.
        reason: String,
    },
}

impl std::error::Error for UrlError {}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::TooLong => write!(f, "the URL is longer than {URL_BYTES_MAX} bytes"),
            UrlError::Character(bad) => {
                write!(f, "the URL holds the character {bad:?}; percent-encode it")
            }
            UrlError::NoScheme => write!(f, "the URL must begin with http:// or https://"),
            UrlError::Scheme(scheme) => {
                write!(f, "the URL scheme {scheme:?} is not supported; use http or https")
            }
            UrlError::Userinfo => write!(
                f,
                "the URL holds a user name or password, which would show in process lists; \
                 pass credentials in a file"
            ),
            UrlError::NoHost => write!(f, "the URL names no host"),
            UrlError::Host(host) => write!(f, "{host:?} is neither a host name nor an address"),
            UrlError::Bracket => {
                write!(f, "an IPv6 address in a URL stands in brackets, as in http://[::1]:8080/")
            }
            UrlError::Port(port) => write!(f, "{port:?} is no port; use a number from 1 to 65535"),
            UrlError::Target => write!(f, "a path must begin with a slash"),
            UrlError::Unresolved { host, reason } => {
                write!(f, "the host {host} has no address that the resolver knows: {reason}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, target, host_field) in [
            ("http://localhost", "localhost", 80, "/", "localhost"),
            ("HTTPS://Example.COM/", "example.com", 443, "/", "example.com"),
            ("https://h:8443/a/b?c=d&e", "h", 8443, "/a/b?c=d&e", "h:8443"),
            ("http://h?q=1", "h", 80, "/?q=1", "h"),
            ("http://h:/x", "h", 80, "/x", "h"),
            ("http://127.0.0.1:80/", "127.0.0.1", 80, "/", "127.0.0.1"),
            ("http://[::1]:8080/x", "::1", 8080, "/x", "[::1]:8080"),
            ("https://[2001:DB8::0]", "2001:db8::", 443, "/", "[2001:db8::]"),
            ("http://h/p#fragment", "h", 80, "/p", "h"),
            ("http://h/p?u=http://x:1/@", "h", 80, "/p?u=http://x:1/@", "h"),
            ("http://my_service:9/", "my_service", 9, "/", "my_service:9"),
        ] {
            let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.host.as_str(), url.port, url.target.as_str()), (host, port, target));
            assert_eq!(url.host_field(), host_field, "{text}");
            assert_eq!(Url::parse(&url.to_string()), Ok(url), "{text} is printed as it is read");
        }
    }

    #[test]
    fn errors_name_the_broken_rule() {
        for (text, needle) in [
            ("", "must begin with http"),
            ("localhost:8080", "must begin with http"),
            ("ftp://h/", "\"ftp\" is not supported"),
            ("http://", "names no host"),
            ("http://:80/", "names no host"),
            ("http://user:secret@h/", "pass credentials in a file"),
            ("http://h:0/", "\"0\" is no port"),
            ("http://h:65536/", "no port"),
            ("http://h:+80/", "no port"),
            ("http://::1/", "in brackets"),
            ("http://[::1", "in brackets"),
            ("http://[::1]x/", "in brackets"),
            ("http://[fe80::1%eth0]/", "neither a host name"),
            ("http://[zz]/", "neither a host name"),
            ("http://1.2/", "neither a host name"),
            ("http://256.1.1.1/", "neither a host name"),
            ("http://a!b/", "neither a host name"),
            ("http://h/a b", "percent-encode"),
            ("http://h/\r\nX: y", "percent-encode"),
            ("http://h/é", "percent-encode"),
        ] {
            let error = Url::parse(text).expect_err(text).to_string();
            assert!(error.contains(needle), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let long = format!("http://h/{}", "x".repeat(URL_BYTES_MAX));
        assert_eq!(Url::parse(&long), Err(UrlError::TooLong));
    }

    #[test]
    fn another_target_keeps_the_server() {
        let url = Url::parse("https://[::1]:9/a").unwrap();
        assert_eq!(url.with_target("/b?c").unwrap().to_string(), "https://[::1]:9/b?c");
        assert_eq!(url.with_target("b"), Err(UrlError::Target));
        assert_eq!(url.with_target("/ x"), Err(UrlError::Character(' ')));
    }

    #[test]
    fn addresses_and_server_names() {
        let url = Url::parse("https://[::1]:9/").unwrap();
        assert_eq!(url.resolve().unwrap(), ["[::1]:9".parse().unwrap()]);
        assert!(matches!(url.server_name().unwrap(), ServerName::IpAddress(_)));
        let url = Url::parse("https://localhost:9/").unwrap();
        assert!(url.resolve().unwrap().iter().all(|addr| addr.ip().is_loopback()));
        assert!(matches!(url.server_name().unwrap(), ServerName::DnsName(_)));
        // RFC 6761 keeps this name unresolvable.
        let error = Url::parse("http://nowhere.invalid/").unwrap().resolve().unwrap_err();
        assert!(error.to_string().contains("nowhere.invalid has no address"), "{error}");
    }
}
