//! The authorization server: access tokens for client credentials (RFC 6749 section 4.4), to be
//! revoked (RFC 7009) and asked about (RFC 7662), its metadata (RFC 8414) and its keys (RFC 7517).
//!
//! Its routes ask for no token, since one comes here to get one; the transport of the profile
//! applies. It owns the HTTP side of the grant; who may have which token is decided by
//! `authn::grant`, and who the clients are stands in the state directory.

mod authenticate;
mod issuer;
mod metadata;
mod state;

use std::fmt;
use std::sync::Arc;

use authn::grant::{ClientRegistry, ClientRequest, FORM_BYTES_MAX, OAuthError, claimed_client};
use authn::{OwnerRule, Permit};
use proto_http::Method;
use runtime::{Broken, Exchange};

use crate::edge::dispatch::routes;
use crate::edge::fields::{JSON, JSON_NOW};
use crate::edge::problem::{self, Problem};
use crate::refresh::watched::WatchReader;
use crate::route::{Param, Routed};
use crate::telemetry::audit::{AuditAction, AuditEvent, AuditLog, peer_name};

use self::authenticate::RequestOrigin;
use self::issuer::{ClientEndpoint, Served};

pub use self::issuer::Issuer;
pub use self::state::signers;

/// Documents may be kept for a while; a new key is published before it signs.
const KEEP: (&str, &[u8]) = ("cache-control", b"public, max-age=60");

routes! {
    impl Auth {
        /// Issues an access token.
        TokenIssue = "auth.token", Method::Post, "/oauth2/token", open, OwnerRule::Nobody => token,
            body: Some(FORM_BYTES_MAX);
        /// Revokes an access token.
        TokenRevoke = "auth.revoke", Method::Post, "/oauth2/revoke", open,
            OwnerRule::Nobody => revoke, body: Some(FORM_BYTES_MAX);
        /// Says what an access token is worth.
        TokenIntrospect = "auth.introspect", Method::Post, "/oauth2/introspect", open,
            OwnerRule::Nobody => introspect, body: Some(FORM_BYTES_MAX);
        /// The authorization server's metadata.
        Metadata = "auth.metadata", Method::Get, "/.well-known/oauth-authorization-server", open,
            OwnerRule::Nobody => metadata;
        /// The verification keys.
        Jwks = "auth.jwks", Method::Get, "/.well-known/jwks.json", open, OwnerRule::Nobody
            => jwks;
    }
}

/// One core's authorization server.
pub struct Auth {
    issuer: Arc<Issuer>,
    clients: WatchReader<ClientRegistry>,
    audit: AuditLog,
}

impl Auth {
    /// A server that issues with `issuer` and records what it did.
    #[must_use]
    pub fn new(issuer: Arc<Issuer>, audit: AuditLog) -> Auth {
        let clients = WatchReader::new(issuer.clients());
        Auth { issuer, clients, audit }
    }

    /// Responds to a request of a client on route `R`.
    async fn serve<R: Routed>(
        &self,
        endpoint: ClientEndpoint,
        permit: Permit<'_, R>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Broken> {
        if read_form::<R>(exchange).await {
            let source = exchange.peer();
            let answer = self.ask(endpoint, &permit, exchange).await;
            let event = match &answer {
                Ok(served) => served.event.clone(),
                Err(error) => {
                    let (request, form, _) = exchange.parts();
                    Some(AuditEvent {
                        reason: Some(error.code.into()),
                        client: claimed_client(request.authorization(), form),
                        ..AuditEvent::new(AuditAction::TokenRefused)
                    })
                }
            };
            if let Some(event) = event {
                let (peer, route) = (peer_name(permit.identity()), Some(permit.route()));
                self.audit.record(source, || AuditEvent { peer, route, ..event });
            }
            match answer {
                // RFC 6749 section 5.1: a response about a token is never kept.
                Ok(served) => {
                    exchange.reply().lines(JSON_NOW).send(200, &[], served.body.as_bytes());
                }
                Err(error) => refuse(exchange, error),
            }
        }
        Ok(())
    }

    async fn ask<R: Routed>(
        &self,
        endpoint: ClientEndpoint,
        permit: &Permit<'_, R>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Served, OAuthError> {
        let (from, now) = (exchange.peer().ip(), exchange.unix_time());
        let origin = RequestOrigin { from, identity: permit.identity(), now };
        let (request, form, _) = exchange.parts();
        let request = ClientRequest::parse(request.authorization(), form)?;
        let clients = self.clients.get().ok_or(OAuthError::SERVER_ERROR)?;
        self.issuer.serve(endpoint, &clients, &request, origin).await
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auth").field(&self.issuer).finish()
    }
}

async fn token(
    auth: &Auth,
    permit: Permit<'_, TokenIssue>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    auth.serve(ClientEndpoint::Token, permit, exchange).await
}

async fn revoke(
    auth: &Auth,
    permit: Permit<'_, TokenRevoke>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    auth.serve(ClientEndpoint::Revoke, permit, exchange).await
}

async fn introspect(
    auth: &Auth,
    permit: Permit<'_, TokenIntrospect>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    auth.serve(ClientEndpoint::Introspect, permit, exchange).await
}

/// Reads the body of route `R`, which must be a form. False: a refusal was sent.
async fn read_form<R: Routed>(exchange: &mut Exchange<'_>) -> bool {
    let media_type = exchange.request().field("content-type").unwrap_or_default();
    if !is_form(media_type) {
        let detail = "send application/x-www-form-urlencoded";
        let title = "Unsupported Media Type";
        Problem { status: 415, kind: None, title, detail }.respond(exchange);
        return false;
    }
    let read = problem::required_body::<R>(exchange).await;
    read.map_err(|error| problem::body_refused(exchange, error)).is_ok()
}

/// Responds with a refusal (RFC 6749 section 5.2).
fn refuse(exchange: &mut Exchange<'_>, error: OAuthError) {
    let challenge = error.challenge("tollgate");
    let wait = error.retry_after.map(|wait| wait.as_secs().to_string());
    let fields = [("www-authenticate", challenge), ("retry-after", wait)];
    let fields: Vec<(&str, &[u8])> = fields
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_ref()?.as_bytes())))
        .collect();
    exchange.reply().lines(JSON_NOW).send(error.status, &fields, error.to_json().as_bytes());
}

/// The media type without its parameters, in any case (RFC 9110 section 8.3.1).
fn is_form(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

async fn metadata(
    auth: &Auth,
    _permit: Permit<'_, Metadata>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    exchange.reply().lines(JSON).send(200, &[KEEP], auth.issuer.metadata.as_bytes());
    Ok(())
}

async fn jwks(
    auth: &Auth,
    _permit: Permit<'_, Jwks>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    let fields = [("content-type", b"application/jwk-set+json".as_slice()), KEEP];
    exchange.reply().send(200, &fields, auth.issuer.jwks.as_bytes());
    Ok(())
}
