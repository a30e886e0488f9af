//! What issues tokens, shared by all cores: the signing key, the clients, and what is remembered of
//! their proofs.
//!
//! It owns the order of a token request: who asks, what is granted, the signature. It refuses to
//! read the clients for each request: a thread reads their file again when it changes.

use std::net::IpAddr;
use std::sync::Arc;

use authn::grant::{AssertionRules, ClientRegistry, GrantDefaults, OAuthError, TokenRequest};
use authn::{Identity, KeySet, NewClaims, Signer, Verifier};
use rustls::pki_types::UnixTime;

use super::authenticate::Authenticator;
use super::metadata::{metadata_json, token_endpoint};
use super::state;
use crate::config::error::ServeError;
use crate::config::{AuthConfig, ServiceConfig};
use crate::refresh::file_watch::FileWatch;
use crate::refresh::keys::Expected;
use crate::refresh::watched::Watched;

/// What issues tokens, shared by all cores. Of it only the clients change after the start.
#[derive(Debug)]
pub struct Issuer {
    signer: Signer,
    clients: Arc<Watched<ClientRegistry>>,
    _clients_watch: FileWatch,
    defaults: GrantDefaults,
    authenticator: Authenticator,
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
        let issuer = config.issuer();
        let rules =
            AssertionRules::new(&issuer, &token_endpoint(&issuer), UnixTime::now(), config.leeway);
        Ok(Issuer {
            signer: signers.swap_remove(0),
            clients,
            _clients_watch: watch,
            defaults: GrantDefaults {
                token_ttl: auth.token_ttl,
                audience: config.audience.as_str().into(),
            },
            authenticator: Authenticator::new(rules)?,
            jwks: keys.to_json(),
            keys,
            metadata: metadata_json(&issuer, config.profile.transport),
            expected: Expected { issuer, audience: config.audience.clone(), leeway: config.leeway },
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

    /// Responds to a token request with the body of RFC 6749 section 5.1. It came from this
    /// address, over a connection of this identity.
    pub(super) async fn issue(
        &self,
        clients: &ClientRegistry,
        request: &TokenRequest,
        from: IpAddr,
        identity: Option<&Identity>,
        now: UnixTime,
    ) -> Result<String, OAuthError> {
        let proof = &request.proof;
        let client = self.authenticator.authenticate(clients, proof, from, identity, now).await?;
        let grant = clients.grant(client, request, &self.defaults)?;
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
        Ok(grant.response_json(&token.map_err(|_| OAuthError::SERVER_ERROR)?))
    }
}
