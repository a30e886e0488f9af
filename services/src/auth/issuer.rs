//! What issues tokens, shared by all cores: the signing key, the clients, and what is remembered of
//! their proofs.
//!
//! It owns the order of a request: who asks, what is granted, the signature; and which tokens were
//! taken back. It refuses to read the clients for each request: a thread reads their file again
//! when it changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use authn::grant::{
    AssertionRules, Authenticated, ClientRegistry, ClientRequest, Grant, GrantDefaults,
    INACTIVE_JSON, IssuedToken, OAuthError, RevokedTokens,
};
use authn::jwt::jti_hash;
use authn::{Expected, KeySet, NewClaims, Signer, Verifier};
use rustls::pki_types::UnixTime;

use super::authenticate::{Authenticator, RequestOrigin};
use super::metadata::{metadata_json, token_endpoint};
use super::state;
use crate::config::error::ServeError;
use crate::config::{AuthConfig, ServiceConfig};
use crate::refresh::file_watch::{FileWatch, alarm};
use crate::refresh::watched::Watched;
use crate::telemetry::audit::{AuditAction, AuditEvent};

/// What a client may ask, each at its own path.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientEndpoint {
    /// For a token.
    Token,
    /// That a token be revoked.
    Revoke,
    /// What a token is worth.
    Introspect,
}

/// What was done for a client.
#[derive(Debug)]
pub(super) struct Served {
    /// The body of the response.
    pub body: String,
    /// What is recorded of it.
    pub event: Option<AuditEvent>,
}

/// What issues tokens, shared by all cores. Of it only the clients change after the start.
#[derive(Debug)]
pub struct Issuer {
    signer: Signer,
    clients: Arc<Watched<ClientRegistry>>,
    _clients_watch: FileWatch,
    defaults: GrantDefaults,
    authenticator: Authenticator,
    revoked: Mutex<RevokedTokens>,
    expected: Expected,
    keys: KeySet,
    pub(super) jwks: String,
    pub(super) metadata: String,
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
        let mut signers = state::signers(state, auth.token_alg)?;
        let keys = KeySet::of(&signers)
            .map_err(|error| ServeError::content(&state.join("auth"), error))?;
        state::prepare_clients(state)?;
        let path = state::clients_path(state);
        let clients = Arc::new(Watched::default());
        let (own_path, published) = (path.clone(), Arc::clone(&clients));
        // Watched before it is read: no change falls in between.
        let watch = FileWatch::start(&path, move || {
            published.publish(Arc::new(state::read_clients(&own_path)?));
            Ok(())
        })?;
        clients.publish(Arc::new(state::read_clients(&path)?));
        let expected = config.expected();
        let issuer = &expected.issuer;
        let rules =
            AssertionRules::new(issuer, &token_endpoint(issuer), UnixTime::now(), config.leeway);
        Ok(Issuer {
            signer: signers.swap_remove(0),
            clients,
            _clients_watch: watch,
            defaults: GrantDefaults {
                token_ttl: auth.token_ttl,
                audience: expected.audience().into(),
            },
            authenticator: Authenticator::new(rules)?,
            revoked: Mutex::default(),
            jwks: keys.to_json(),
            keys,
            metadata: metadata_json(issuer, config.profile.transport),
            expected,
        })
    }

    /// A verifier of the tokens that are issued here, for a process that also checks them.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.expected.verifier(self.keys.clone())
    }

    /// Where cores read who the clients are.
    #[must_use]
    pub fn clients(&self) -> Arc<Watched<ClientRegistry>> {
        Arc::clone(&self.clients)
    }

    /// Carries out what a client asks at an endpoint.
    ///
    /// # Errors
    /// The refusal to respond with: the client is judged before what it asks for.
    pub(super) async fn serve(
        &self,
        endpoint: ClientEndpoint,
        clients: &ClientRegistry,
        request: &ClientRequest,
        origin: RequestOrigin<'_>,
    ) -> Result<Served, OAuthError> {
        let client = self.authenticator.authenticate(clients, &request.proof, origin).await?;
        match endpoint {
            ClientEndpoint::Token => {
                self.issue(&clients.grant(client, request, &self.defaults)?, origin.now)
            }
            ClientEndpoint::Revoke => self.revoke(client, request.token()?, origin.now),
            ClientEndpoint::Introspect => {
                let body = self.introspect(client, request.token()?, origin.now);
                Ok(Served { body, event: None })
            }
        }
    }

    /// Signs a token; the body is that of RFC 6749 section 5.1.
    fn issue(&self, grant: &Grant, now: UnixTime) -> Result<Served, OAuthError> {
        let audiences: Vec<&str> = grant.audiences.iter().map(|audience| &**audience).collect();
        let token_id = authn::jwt::new_token_id().map_err(|_| OAuthError::SERVER_ERROR)?;
        let claims = NewClaims {
            issuer: &self.expected.issuer,
            audience: &self.defaults.audience,
            subject: &grant.client_id,
            client_id: &grant.client_id,
            scopes: grant.scopes,
            issued_at: now.as_secs(),
            expires_at: now.as_secs() + grant.ttl.as_secs(),
            token_id: &token_id,
        };
        let token = self.signer.sign_for(&audiences, &claims);
        let body = grant.response_json(&token.map_err(|_| OAuthError::SERVER_ERROR)?);
        let event = AuditEvent {
            client: Some(grant.client_id.to_string()),
            jti_hash: Some(jti_hash(&token_id)),
            facts: vec![("scope", grant.scopes.to_string())],
            ..AuditEvent::new(AuditAction::TokenIssued)
        };
        Ok(Served { body, event: Some(event) })
    }

    /// Revokes a token. One that was not issued here, or has ended, needs no more (RFC 7009 section
    /// 2.2: the status says it all).
    fn revoke(
        &self,
        client: Authenticated<'_>,
        token: &str,
        now: UnixTime,
    ) -> Result<Served, OAuthError> {
        let mut event = None;
        if let Some(token) = self.recognise(token, now) {
            token.check_revoker(client)?;
            let revoked = self.lock_revoked().revoke(token.id(), token.expires_at(), now);
            revoked.inspect_err(|_| alarm("the list of revoked tokens is full"))?;
            event = Some(AuditEvent {
                client: Some(token.client_id().to_owned()),
                jti_hash: Some(token.jti_hash()),
                ..AuditEvent::new(AuditAction::TokenRevoked)
            });
        }
        Ok(Served { body: "{}".into(), event })
    }

    /// What the client may know of a token (RFC 7662 section 2.2).
    fn introspect(&self, client: Authenticated<'_>, token: &str, now: UnixTime) -> String {
        match self.recognise(token, now) {
            Some(token) => token.introspection(client, &self.lock_revoked()),
            None => INACTIVE_JSON.into(),
        }
    }

    /// A token that was issued here and has not ended.
    fn recognise(&self, token: &str, now: UnixTime) -> Option<IssuedToken> {
        IssuedToken::read(token, &self.keys, &self.expected.issuer, now)
    }

    fn lock_revoked(&self) -> MutexGuard<'_, RevokedTokens> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
