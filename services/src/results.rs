//! The results service. Only its routes stand: the gateway knows what to ask of a caller before it
//! forwards, and whoever calls a process that has no results service gets an error that says so.
//!
//! It refuses to keep anything: there is no store behind it yet.

use authn::{Callers, OwnerRule, Permit, Route, Scope};
use proto_http::Method;
use runtime::{Broken, Exchange};

use crate::config::error::ServeError;
use crate::edge::dispatch::routes;
use crate::edge::problem::Problem;
use crate::route::Param;

/// Who keeps and reads results.
const CALLERS: Callers = Callers::Named(&["gateway", "bench-runner", "bench-ui"]);

/// Who brings other clients' tokens and names clients of its own.
const FORWARDERS: &[&str] = &["gateway"];

routes! {
    impl Results {
        /// Keeps the result of a run.
        RunCreate = "runs.create", Method::Post, "/api/runs",
            (Some(Scope::BenchmarksExecute), CALLERS, FORWARDERS), OwnerRule::Nobody
            => not_built, body: None;
        /// Lists runs.
        RunList = "runs.list", Method::Get, "/api/runs", (None, CALLERS, FORWARDERS),
            OwnerRule::Nobody => not_built;
        /// Reads a run.
        RunRead = "runs.read", Method::Get, "/api/runs/{id}", (None, CALLERS, FORWARDERS),
            OwnerRule::Nobody => not_built;
    }
}

/// Stands where the results service will be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Results;

async fn not_built<R: Route>(
    _results: &Results,
    _permit: Permit<'_, R>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    let detail = "the results service is not built yet; nothing was kept";
    let problem = Problem { status: 501, kind: Some("not-built"), title: "Not Built Yet", detail };
    problem.respond(exchange);
    Ok(())
}

/// What `serve results` ends with.
#[must_use]
pub fn cannot_serve() -> ServeError {
    ServeError::config(
        "the results service is not built yet; start the gateway without --results, and it answers \
         502 for /api/runs"
            .to_string(),
    )
}
