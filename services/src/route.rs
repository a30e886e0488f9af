//! The route table: which method on which path is called what, which scope it asks for, which
//! callers and forwarders it knows and whose the thing is, as constant data. `dispatch` turns a
//! table into calls.
//!
//! It refuses, by not matching, every path that could mean two things: matching compares the bytes
//! as they were sent, and a parameter is made of unreserved characters only (RFC 3986 section 2.3)
//! and is not a dot segment. `%2f`, `//`, `/../` and their kin are therefore nobody's route and are
//! never sent upstream.

mod pattern;

use authn::{Callers, OwnerRule, Scope};
use proto_http::Method;

pub use self::pattern::{Param, PathPattern};

/// What a route takes of a request's body unless its line says otherwise, in bytes: it is collected
/// before anything is done with it. A hundred order lines with the longest names take an eighth of
/// it; the rest is for members that are ignored.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// One line of a route table.
#[derive(Debug, Clone, Copy)]
pub struct RouteEntry {
    /// The operation, as it stands in metrics and denials, for instance `orders.create`.
    pub name: &'static str,
    /// The method it answers. A `GET` route answers `HEAD` too (RFC 9110 section 9.3.2).
    pub method: Method,
    /// The paths it answers.
    pub pattern: PathPattern,
    /// The scope a token must carry where scopes are checked.
    pub scope: Option<Scope>,
    /// Who may call where callers are checked.
    pub callers: Callers,
    /// Who brings other clients' tokens, and whose word about their own client is taken: by the
    /// names in their certificates.
    pub forwarders: &'static [&'static str],
    /// What the route does about who owns the thing that it is about.
    pub owner: OwnerRule,
    /// True where no token is asked for under any profile: one cannot need a token to get a token.
    pub open: bool,
    /// Bytes of a request's body, which is collected: more is 413. `None` where it is streamed.
    pub body_bytes_max: Option<usize>,
}

impl RouteEntry {
    /// The same line with another limit of the body.
    #[must_use]
    pub const fn with_body_bytes_max(self, body_bytes_max: Option<usize>) -> RouteEntry {
        RouteEntry { body_bytes_max, ..self }
    }
}

/// A route's marker type as it stands in a table.
pub trait Routed: authn::Route {
    /// The table's line.
    const ENTRY: RouteEntry;
}

/// What a path and a method lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMatch {
    /// The route of that position in the table.
    Route(usize, Param),
    /// The path is known, the method is not: 405 with the methods of this pattern.
    Method(&'static str),
    /// No route has this path: 404.
    Missing,
}

/// Finds the route for `method` on `path` (raw, without query). Tables are short, and a comparison
/// of lengths and first bytes settles nearly every line: no hashing, no allocation.
///
/// The first pattern that fits decides, so a table lists literal paths before those with
/// parameters.
#[must_use]
pub fn find(table: &'static [RouteEntry], method: Method, path: &[u8]) -> RouteMatch {
    let wanted = if method == Method::Head { Method::Get } else { method };
    let mut known: Option<&'static str> = None;
    for (index, entry) in table.iter().enumerate() {
        let Some(param) = entry.pattern.fits(path) else {
            continue;
        };
        match known {
            Some(text) if text != entry.pattern.text() => break,
            _ if entry.method == wanted => return RouteMatch::Route(index, param),
            _ => known = Some(entry.pattern.text()),
        }
    }
    known.map_or(RouteMatch::Missing, RouteMatch::Method)
}

/// The value of `Allow` for a pattern of `table` (RFC 9110 section 15.5.6). Only refusals ask for
/// it.
#[must_use]
pub fn allow(table: &[RouteEntry], pattern: &str) -> String {
    let mut value = String::new();
    for entry in table.iter().filter(|entry| entry.pattern.text() == pattern) {
        if !value.is_empty() {
            value.push_str(", ");
        }
        value.push_str(method_name(entry.method));
        if entry.method == Method::Get {
            value.push_str(", HEAD");
        }
    }
    value
}

/// The method's token as it stands in `Allow` and in metric labels.
#[must_use]
pub const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Options => "OPTIONS",
        Method::Patch => "PATCH",
        Method::Trace => "TRACE",
        Method::Connect => "CONNECT",
        Method::Other => "_OTHER",
    }
}

/// Puts tables one behind the other, for a process that serves them all. `N` is the sum of their
/// lengths.
#[must_use]
pub const fn concat<const N: usize>(tables: &[&[RouteEntry]]) -> [RouteEntry; N] {
    let mut all = [tables[0][0]; N];
    let (mut table, mut at) = (0, 0);
    while table < tables.len() {
        let mut line = 0;
        while line < tables[table].len() {
            all[at] = tables[table][line];
            at += 1;
            line += 1;
        }
        table += 1;
    }
    assert!(at == N, "the length is the sum of the tables' lengths");
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(method: Method, path: &'static str) -> RouteEntry {
        RouteEntry {
            name: path,
            method,
            pattern: PathPattern::new(path),
            scope: None,
            callers: Callers::Any,
            forwarders: &[],
            owner: OwnerRule::Nobody,
            open: false,
            body_bytes_max: Some(BODY_BYTES_MAX),
        }
    }

    const TABLE: &[RouteEntry] = &[
        entry(Method::Post, "/api/inventory/reservations"),
        entry(Method::Delete, "/api/inventory/reservations/{orderId}"),
        entry(Method::Get, "/api/inventory/{sku}"),
        entry(Method::Put, "/api/inventory/{sku}"),
        entry(Method::Get, "/api/runs/{id}/slices"),
    ];

    fn at(method: Method, path: &str) -> Option<(usize, &str)> {
        match find(TABLE, method, path.as_bytes()) {
            RouteMatch::Route(index, param) => {
                Some((index, std::str::from_utf8(param.of(path.as_bytes())).unwrap()))
            }
            RouteMatch::Method(_) | RouteMatch::Missing => None,
        }
    }

    #[test]
    fn finds_literals_before_parameters() {
        assert_eq!(at(Method::Post, "/api/inventory/reservations"), Some((0, "")));
        assert_eq!(at(Method::Delete, "/api/inventory/reservations/7"), Some((1, "7")));
        assert_eq!(at(Method::Get, "/api/inventory/SKU-1000"), Some((2, "SKU-1000")));
        assert_eq!(at(Method::Head, "/api/inventory/a"), Some((2, "a")));
        assert_eq!(at(Method::Put, "/api/inventory/a.b_c~d"), Some((3, "a.b_c~d")));
        assert_eq!(at(Method::Get, "/api/runs/12/slices"), Some((4, "12")));
    }

    #[test]
    fn a_known_path_with_another_method_lists_the_allowed() {
        let found = find(TABLE, Method::Get, b"/api/inventory/reservations");
        assert_eq!(found, RouteMatch::Method("/api/inventory/reservations"));
        assert_eq!(allow(TABLE, "/api/inventory/reservations"), "POST");
        assert_eq!(allow(TABLE, "/api/inventory/{sku}"), "GET, HEAD, PUT");
    }

    #[test]
    fn ambiguous_paths_match_no_route() {
        for path in [
            "/api/inventory/",
            "/api/inventory",
            "/api/inventory/a/b",
            "/api//inventory/a",
            "//",
            "/api/inventory/a%2fb",
            "/api/inventory/%2e%2e",
            "/api/inventory/..",
            "",
            "/",
            "/api/inventory/.",
            "/api/inventory/../orders",
            "/api/./inventory/a",
            "*",
            "/api/inventory/a;b",
            "/api/inventory/a\\b",
            "/api/inventory/a b",
            "/API/inventory/a",
            "/api/inventory/\u{e4}",
            "/api/runs//slices",
            "/api/runs/a/b/slices",
            "/api/runs/slices",
        ] {
            assert_eq!(find(TABLE, Method::Get, path.as_bytes()), RouteMatch::Missing, "{path}");
        }
    }

    #[test]
    fn tables_join() {
        const BOTH: [RouteEntry; 10] = concat(&[TABLE, TABLE]);
        assert_eq!(BOTH[5].pattern.text(), TABLE[0].pattern.text());
        assert_eq!(BOTH[9].name, TABLE[4].name);
    }
}
