//! What a service counts: requests by route, method and status with their duration, token
//! verifications, policy decisions, and what each connection negotiated.
//!
//! Each core owns its counters and is their only writer, so counting is a plain load and store,
//! never a locked instruction; a scrape reads all cores and adds them up ([`page`]). The proofs of
//! a measured run rest on these counts: each is raised exactly once, where the thing happens.
//!
//! Refused here: raw paths, client names, tokens or any other word of a peer as a label.

pub mod audit;
pub mod connections;
pub mod expiry;
pub mod page;
mod process;
pub mod stages;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use authn::policy::Decision;
use authn::{Denied, TokenError};
use metrics_export::prometheus::REQUEST_DURATION_BOUNDS_NS;
use runtime::stats::{Counter, Histogram};

use crate::route::RouteEntry;

/// The status codes that have a series of their own; others share the last one.
const STATUSES: [u16; 27] = [
    200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 411, 413, 414, 415, 417, 422,
    429, 431, 500, 501, 502, 503, 504, 0,
];

/// Where the response about a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// From the cache of verified tokens: no signature was checked.
    Hit,
    /// Not in the cache: the token was verified.
    Miss,
    /// There is no cache: the token was verified.
    Off,
}

impl CacheUse {
    const ALL: [(CacheUse, &'static str); 3] =
        [(CacheUse::Hit, "hit"), (CacheUse::Miss, "miss"), (CacheUse::Off, "off")];
}

/// How looking at a presented token ended: accepted, refused, or not possible without keys.
const TOKEN_RESULTS: usize = TokenError::ALL.len() + 2;

/// The position of a result: `None` is "no keys".
fn token_index(result: Option<Result<(), TokenError>>) -> usize {
    match result {
        Some(Ok(())) => 0,
        None => 1,
        Some(Err(error)) => {
            let at = TokenError::ALL.iter().position(|known| *known == error);
            2 + at.expect("ALL holds every error")
        }
    }
}

/// The label of a position of [`token_index`].
fn token_label(index: usize) -> &'static str {
    match index {
        0 => "ok",
        1 => "no_keys",
        _ => TokenError::ALL[index - 2].reason(),
    }
}

/// What the policy can decide: how far a permitted request was checked, and why another was
/// refused.
const DECISIONS: [&str; 10] = [
    Decision::Open.label(),
    Decision::TokenVerified.label(),
    Decision::Enforced.label(),
    "token_missing",
    "token_refused",
    "scope_missing",
    "caller_refused",
    "sender_refused",
    "certificate_missing",
    "credentials_malformed",
];

/// The position of a decision in [`DECISIONS`].
const fn decision_index(decision: Result<Decision, Denied>) -> usize {
    match decision {
        Ok(Decision::Open) => 0,
        Ok(Decision::TokenVerified) => 1,
        Ok(Decision::Enforced) => 2,
        Err(Denied::TokenMissing) => 3,
        Err(Denied::TokenRefused(_)) => 4,
        Err(Denied::ScopeMissing(_)) => 5,
        Err(Denied::CallerRefused) => 6,
        Err(Denied::SenderRefused) => 7,
        Err(Denied::CertificateMissing) => 8,
        Err(Denied::CredentialsMalformed) => 9,
    }
}

/// What a connection turned out to be. The words come from the TLS library, not from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionKind {
    /// `none` without TLS, else for instance `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, or `none`.
    pub suite: &'static str,
    /// `none`, `full` or `resumed`.
    pub handshake: &'static str,
    /// `none`, `named` (with a SPIFFE identity) or `unnamed`.
    pub client_certificate: &'static str,
}

/// Durations of one route's responses with one status.
type Durations = Histogram<{ REQUEST_DURATION_BOUNDS_NS.len() + 1 }>;

/// The series of one route, made when the first response with that status goes out.
type Series = [OnceLock<Box<Durations>>; STATUSES.len()];

/// The counters of one core, apart from other cores' in memory: the hardware fetches cache lines in
/// pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct CoreCounters {
    /// One for each route, and one behind them for requests that no route took.
    routes: Box<[Series]>,
    tokens: [[Counter; TOKEN_RESULTS]; CacheUse::ALL.len()],
    decisions: [Counter; DECISIONS.len()],
    /// Body bytes that handlers read to the end themselves (`ping`).
    body_bytes: Counter,
    /// Touched once per connection, by this core and by scrapes.
    connections: Mutex<Vec<(ConnectionKind, u64)>>,
}

impl CoreCounters {
    fn new(routes: usize) -> CoreCounters {
        CoreCounters {
            routes: (0..=routes).map(|_| std::array::from_fn(|_| OnceLock::new())).collect(),
            tokens: Default::default(),
            decisions: Default::default(),
            body_bytes: Counter::default(),
            connections: Mutex::default(),
        }
    }

    /// Counts a response. `route` is the position in the table; anything beyond it is "no route".
    #[inline]
    pub fn answered(&self, route: usize, status: u16, took: Duration) {
        // Inlined, this undoes the division that made the duration.
        self.count_answer(route, status, took.as_nanos() as u64);
    }

    fn count_answer(&self, route: usize, status: u16, took_ns: u64) {
        let series = &self.routes[route.min(self.routes.len() - 1)];
        let slot = STATUSES.iter().position(|&known| known == status).unwrap_or(STATUSES.len() - 1);
        let durations = series[slot].get_or_init(Box::default);
        // Bounds are inclusive, as Prometheus's `le` is.
        durations.add(&REQUEST_DURATION_BOUNDS_NS, took_ns);
    }

    /// Counts a token that was presented and looked at; `None` where there were no keys to do it
    /// with.
    pub fn token(&self, result: Option<Result<(), TokenError>>, cache: CacheUse) {
        self.tokens[cache as usize][token_index(result)].add(1);
    }

    /// Counts a decision of the policy.
    pub fn decided(&self, decision: Result<Decision, Denied>) {
        self.decisions[decision_index(decision)].add(1);
    }

    /// Counts body bytes that a handler read.
    pub fn body_read(&self, bytes: u64) {
        self.body_bytes.add(bytes);
    }

    /// Counts a connection whose handshake is done.
    pub fn connected(&self, kind: ConnectionKind) {
        let mut kinds = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
}

/// The counters of a whole process.
#[derive(Debug)]
pub struct Telemetry {
    routes: &'static [RouteEntry],
    cores: Mutex<Vec<Arc<CoreCounters>>>,
}

impl Telemetry {
    /// Counters for a service with these routes.
    #[must_use]
    pub fn new(routes: &'static [RouteEntry]) -> Telemetry {
        Telemetry { routes, cores: Mutex::default() }
    }

    /// The counters for one more core. Each caller is the only writer of what it gets.
    #[must_use]
    pub fn core(&self) -> Arc<CoreCounters> {
        let counters = Arc::new(CoreCounters::new(self.routes.len()));
        self.cores.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }
}

#[cfg(test)]
mod tests {
    use proto_http::Method;

    use super::*;
    use crate::route::PathPattern;

    #[test]
    fn positions_and_labels_agree() {
        for (index, (value, _)) in CacheUse::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for error in TokenError::ALL {
            assert_eq!(token_label(token_index(Some(Err(error)))), error.reason());
        }
        for denied in [
            Denied::TokenMissing,
            Denied::TokenRefused(TokenError::Expired),
            Denied::ScopeMissing(authn::Scope::OrdersRead),
            Denied::CallerRefused,
            Denied::SenderRefused,
            Denied::CertificateMissing,
            Denied::CredentialsMalformed,
        ] {
            assert_eq!(DECISIONS[decision_index(Err(denied))], denied.label());
        }
    }

    #[test]
    fn cores_are_added_up() {
        const ROUTES: &[RouteEntry] = &[RouteEntry {
            name: "x",
            method: Method::Get,
            pattern: PathPattern::new("/x"),
            scope: None,
            callers: authn::Callers::Any,
            forwarders: &[],
            owner: authn::OwnerRule::Nobody,
            open: false,
            body_bytes_max: None,
        }];
        let telemetry = Telemetry::new(ROUTES);
        let (one, two) = (telemetry.core(), telemetry.core());
        one.answered(0, 200, Duration::from_micros(10));
        two.answered(0, 200, Duration::from_micros(11));
        two.answered(7, 404, Duration::from_secs(60));
        one.token(Some(Ok(())), CacheUse::Hit);
        two.token(Some(Ok(())), CacheUse::Hit);
        two.decided(Err(Denied::ScopeMissing(authn::Scope::OrdersRead)));
        let mut page = metrics_export::prometheus::Page::new();
        page::requests(&telemetry, &mut page);
        let text = page.render(metrics_export::prometheus::ExpositionFormat::Text);
        let method = r#"http_request_method="GET""#;
        let ok = r#"http_route="/x",http_response_status_code="200""#;
        let name = "http_server_request_duration_seconds";
        for line in [
            format!(r#"{name}_bucket{{le="0.00001",{method},{ok}}} 1"#),
            format!(r#"{name}_count{{{method},{ok}}} 2"#),
            r#"tollgate_token_verifications_total{result="ok",cache="hit"} 2"#.into(),
            r#"tollgate_policy_decisions_total{decision="scope_missing"} 1"#.into(),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
