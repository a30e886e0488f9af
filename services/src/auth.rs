//! The authorization server: access tokens for client credentials (RFC 6749 section 4.4), its
//! metadata (RFC 8414, OpenID Connect Discovery 1.0) and its keys (RFC 7517).
//!
//! Its routes ask for no token, since one comes here to get one; the transport of the profile
//! applies. It owns the HTTP side of the grant; who may have which token is decided by
//! `authn::grant`, and who the clients are stands in the state directory.

mod state;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::grant::{ClientRegistry, FORM_BYTES_MAX, OAuthError, claimed_client};
use authn::jwt::jti_hash;
use authn::{KeySet, NewClaims, Permit, Signer, Verifier};
use proto_http::Method;
use runtime::{Broken, Exchange};
use serde_json::json;

use crate::config::error::ServeError;
use crate::config::{AuthConfig, ServiceConfig};
use crate::edge::dispatch::routes;
use crate::edge::fields::{JSON, JSON_NOW};
use crate::edge::problem::{self, Problem};
use crate::refresh::keys::Expected;
use crate::route::Param;
use crate::telemetry::audit::{AuditAction, AuditEvent, AuditLog, peer_name};

pub use self::state::signers;

/// Documents may be kept for a while; a new key is published before it signs.
const KEEP: (&str, &[u8]) = ("cache-control", b"public, max-age=60");

routes! {
    impl Auth {
        /// Issues an access token.
        TokenIssue = "auth.token", Method::Post, "/oauth2/token", open => token,
            body: Some(FORM_BYTES_MAX);
        /// The authorization server's metadata.
        Metadata = "auth.metadata", Method::Get, "/.well-known/oauth-authorization-server", open
            => metadata;
        /// The same under the name that OpenID clients look for.
        Discovery = "auth.discovery", Method::Get, "/.well-known/openid-configuration", open
            => discovery;
        /// The verification keys.
        Jwks = "auth.jwks", Method::Get, "/.well-known/jwks.json", open => jwks;
    }
}

/// What issues tokens, shared by all cores: nothing in it changes after the start.
#[derive(Debug)]
pub struct Issuer {
    signer: Signer,
    clients: ClientRegistry,
    expected: Expected,
    token_ttl: Duration,
    keys: KeySet,
    jwks: String,
    metadata: String,
}

impl Issuer {
    /// Reads, or at the first start makes, keys and clients in the state directory.
    ///
    /// # Errors
    /// When there is no state directory or a file in it cannot be used.
    pub fn load(config: &ServiceConfig, auth: &AuthConfig) -> Result<Issuer, ServeError> {
        let state = config.state.as_deref().ok_or_else(|| {
            ServeError::config(
                "the authorization server keeps its keys and clients in a state directory; give \
                 --state DIR"
                    .to_string(),
            )
        })?;
        let mut signers = signers(state, auth.token_alg)?;
        let clients = state::clients(state)?;
        let keys = KeySet::of(&signers)
            .map_err(|error| ServeError::content(&state.join("auth"), error))?;
        let issuer = config.issuer();
        Ok(Issuer {
            signer: signers.swap_remove(0),
            clients,
            token_ttl: auth.token_ttl,
            jwks: keys.to_json(),
            keys,
            metadata: metadata_json(&issuer, auth.token_alg.as_str()),
            expected: Expected { issuer, audience: config.audience.clone(), leeway: config.leeway },
        })
    }

    /// A verifier of the tokens that are issued here, for a process that also checks them.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.expected.verifier(self.keys.clone())
    }

    /// Responds to a token request with the body of RFC 6749 section 5.1, and with what is recorded
    /// of it.
    fn issue(
        &self,
        authorization: Option<&[u8]>,
        form: &[u8],
    ) -> Result<(String, AuditEvent), OAuthError> {
        let mut grant = self.clients.token_request(authorization, form)?;
        grant.ttl = self.token_ttl;
        let issued_at =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let token_id = authn::jwt::new_token_id().map_err(|_| FAILED)?;
        let token = self.signer.sign(&NewClaims {
            issuer: &self.expected.issuer,
            audience: &self.expected.audience,
            subject: &grant.client_id,
            client_id: &grant.client_id,
            scopes: grant.scopes,
            issued_at,
            expires_at: issued_at + grant.ttl.as_secs(),
            token_id: &token_id,
        });
        let body = grant.response_json(&token.map_err(|_| FAILED)?);
        let event = AuditEvent {
            client: Some(grant.client_id.into()),
            jti_hash: Some(jti_hash(&token_id)),
            facts: vec![("scope", grant.scopes.to_string())],
            ..AuditEvent::new(AuditAction::TokenIssued)
        };
        Ok((body, event))
    }
}

/// The source of randomness failed. RFC 6749 section 5.2 has no word for it; section 4.1.2.1 has.
const FAILED: OAuthError = OAuthError {
    status: 500,
    code: "server_error",
    description: "the token could not be signed; try again",
};

fn metadata_json(issuer: &str, algorithm: &str) -> String {
    let base = issuer.trim_end_matches('/');
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/oauth2/token"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm],
        "scopes_supported": authn::Scope::ALL.map(authn::Scope::as_str),
    })
    .to_string()
}

/// One core's authorization server.
#[derive(Debug, Clone)]
pub struct Auth {
    issuer: Arc<Issuer>,
    audit: AuditLog,
}

impl Auth {
    /// A server that issues with `issuer` and records what it did.
    #[must_use]
    pub fn new(issuer: Arc<Issuer>, audit: AuditLog) -> Auth {
        Auth { issuer, audit }
    }
}

async fn token(
    auth: &Auth,
    permit: Permit<'_, TokenIssue>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    let media_type = exchange.request().field("content-type").unwrap_or_default();
    if !is_form(media_type) {
        let detail = "send application/x-www-form-urlencoded";
        let title = "Unsupported Media Type";
        Problem { status: 415, kind: None, title, detail }.respond(exchange);
        return Ok(());
    }
    if let Err(error) = problem::required_body::<TokenIssue>(exchange).await {
        problem::body_refused(exchange, error);
        return Ok(());
    }
    let source = exchange.peer();
    let record = |event: AuditEvent| {
        let (peer, route) = (peer_name(permit.identity()), Some(permit.route()));
        auth.audit.record(source, || AuditEvent { peer, route, ..event });
    };
    let (request, form, reply) = exchange.parts();
    match auth.issuer.issue(request.authorization(), form) {
        // RFC 6749 section 5.1: a response with a token is never kept.
        Ok((body, event)) => {
            record(event);
            reply.lines(JSON_NOW).send(200, &[], body.as_bytes());
        }
        Err(error) => {
            record(AuditEvent {
                reason: Some(error.code.into()),
                client: claimed_client(request.authorization()),
                ..AuditEvent::new(AuditAction::TokenRefused)
            });
            let (body, challenge) = (error.to_json(), error.challenge("tollgate"));
            let challenge = challenge.as_deref().unwrap_or_default().as_bytes();
            let fields = [("www-authenticate", challenge)];
            let count = usize::from(!challenge.is_empty());
            reply.lines(JSON_NOW).send(error.status, &fields[..count], body.as_bytes());
        }
    }
    Ok(())
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

async fn discovery(
    auth: &Auth,
    _permit: Permit<'_, Discovery>,
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
