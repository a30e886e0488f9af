//! The admin listener: is the process alive, may it be sent requests, and what has it counted.
//!
//! It is bound to loopback unless configured otherwise and asks for no credentials, so it refuses
//! to show anything that is worth stealing: no token, no key, no client's name, no path of a
//! request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use authn::{TokenCheck, Transport};
use metrics_export::prometheus::{ExpositionFormat, Page};
use proto_http::Method;
use runtime::{Broken, Core, Exchange, Peer, Service};
use serde_json::json;

use crate::config::ServiceConfig;
use crate::edge::fields::{JSON_NOW, TEXT_NOW};
use crate::edge::problem::{self, NO_STORE, Problem};
use crate::refresh::keys::KeyRing;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::expiry::Expiry;
use crate::telemetry::{Telemetry, connections, page, stages};

/// The format of a metrics page is negotiated (RFC 9110 section 12.5.5).
const VARY_ACCEPT: (&str, &[u8]) = ("vary", b"accept");

const PATHS: [&[u8]; 3] = [b"/livez", b"/readyz", b"/metrics"];

/// Why a service cannot do its work now; `None` when it can.
pub type Check = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The admin pages of a process, before its core is known.
pub struct AdminPages {
    config: ServiceConfig,
    telemetry: Arc<Telemetry>,
    checks: Vec<Check>,
    overhead: Option<Duration>,
    security: SecurityFigures,
}

/// What the pages tell of the service's guard beside its counters.
#[derive(Debug)]
pub struct SecurityFigures {
    /// The audit log.
    pub audit: AuditLog,
    /// The verification keys.
    pub keys: Arc<KeyRing>,
    /// When certificates and revocation lists end.
    pub expiry: Expiry,
}

impl AdminPages {
    /// Pages about a service with these counters and these conditions of being ready. `overhead`
    /// is what timing its steps costs a request, where they are timed.
    #[must_use]
    pub fn new(
        config: ServiceConfig,
        telemetry: Arc<Telemetry>,
        checks: Vec<Check>,
        overhead: Option<Duration>,
        security: SecurityFigures,
    ) -> AdminPages {
        AdminPages { config, telemetry, checks, overhead, security }
    }

    /// The service on the core that serves the pages.
    #[must_use]
    pub fn on(self, core: &Core) -> Admin {
        Admin { pages: self, core: core.clone() }
    }
}

impl fmt::Debug for AdminPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminPages").field("checks", &self.checks.len()).finish_non_exhaustive()
    }
}

/// The service of the admin listener.
#[derive(Debug)]
pub struct Admin {
    pages: AdminPages,
    core: Core,
}

impl Service for Admin {
    type Session = ();

    fn open(&self, _peer: &Peer<'_>) {}

    async fn call(&self, _session: &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        let request = exchange.request();
        let known = PATHS.iter().position(|path| *path == request.path());
        match (known, request.method()) {
            (Some(0), Method::Get | Method::Head) => {
                exchange.reply().lines(TEXT_NOW).send(200, &[], b"alive\n");
            }
            (Some(1), Method::Get | Method::Head) => self.ready(exchange),
            (Some(2), Method::Get | Method::Head) => send_metrics(exchange, &self.metrics()),
            (Some(_), _) => {
                let (title, detail) = ("Method Not Allowed", "this path answers GET, HEAD");
                let problem = Problem { status: 405, kind: None, title, detail };
                problem.respond_with(exchange, &[("allow", b"GET, HEAD")]);
            }
            (None, _) => problem::not_found(exchange),
        }
        Ok(())
    }
}

impl Admin {
    /// Answers 200, or 503 with every reason why not.
    fn ready(&self, exchange: &mut Exchange<'_>) {
        let mut reasons: Vec<String> =
            self.pages.checks.iter().filter_map(|check| check()).collect();
        if self.core.draining() {
            reasons.push("the service is draining: it finishes what it has and ends".to_string());
        }
        let status = if reasons.is_empty() { 200 } else { 503 };
        let body = json!({ "ready": reasons.is_empty(), "reasons": reasons }).to_string();
        exchange.reply().lines(JSON_NOW).send(status, &[], body.as_bytes());
    }

    fn metrics(&self) -> Page {
        let mut page = Page::new();
        self.facts(&mut page);
        page::requests(&self.pages.telemetry, &mut page);
        connections::add(&mut page, self.core.all_stats());
        if let Some(overhead) = self.pages.overhead {
            stages::add(&mut page, self.core.all_stats(), overhead);
        }
        let SecurityFigures { audit, keys, expiry } = &self.pages.security;
        expiry.add(keys.age(), &mut page);
        if let Some(dropped) = audit.dropped() {
            page.counter(
                "tollgate_audit_dropped_total",
                "Events that were not written to the audit log: too many, or no room for them.",
            )
            .value(&[], dropped);
        }
        page::process_figures(&mut page);
        page
    }

    /// What the process is, as labels of constant ones.
    fn facts(&self, page: &mut Page) {
        let config = &self.pages.config;
        let on_off = |on: bool| if on { "on" } else { "off" };
        program_facts(page, &self.core);
        page.info(
            "tollgate_profile_info",
            "The service and what it asks of its callers.",
            &[
                ("service", config.kind().name()),
                ("profile", config.profile.label()),
                ("transport", transport(config.profile.transport)),
                ("token_check", token_check(config.profile.token)),
                ("upstream_profile", config.upstream().label()),
                ("token_cache", on_off(config.token_cache)),
                ("resumption", on_off(config.resumption)),
            ],
        );
    }
}

/// Responds with a metrics page in the format that the scraper prefers.
pub(crate) fn send_metrics(exchange: &mut Exchange<'_>, page: &Page) {
    let fields = exchange.request().fields();
    let accept = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"accept"));
    let format = ExpositionFormat::negotiate(accept.map(|(_, value)| value));
    let fields = [("content-type", format.content_type().as_bytes()), VARY_ACCEPT, NO_STORE];
    exchange.reply().send(200, &fields, page.render(format).as_bytes());
}

/// The program and what it runs on.
pub(crate) fn program_facts(page: &mut Page, core: &Core) {
    page.info(
        "tollgate_build_info",
        "The program.",
        &[
            ("version", env!("CARGO_PKG_VERSION")),
            ("build", if cfg!(debug_assertions) { "debug" } else { "release" }),
            ("tls", "rustls with ring"),
        ],
    );
    page.info(
        "tollgate_runtime_info",
        "How the kernel is asked for I/O, and by how many workers.",
        &[("driver", core.driver.as_str()), ("workers", &core.all_stats().len().to_string())],
    );
}

const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "plain",
        Transport::Tls => "tls",
        Transport::Mutual => "mutual",
    }
}

const fn token_check(check: TokenCheck) -> &'static str {
    match check {
        TokenCheck::Ignore => "ignore",
        TokenCheck::Verify => "verify",
        TokenCheck::VerifyScopes => "verify_scopes",
    }
}
