//! The guard in front of every handler: who is calling, established once per connection for the
//! certificate and once per request for the token; and whether they may, as a `Permit`.
//!
//! It owns the cache of verified tokens of its core and the words of every 401 and 403 (RFC 6750).
//! It refuses to decide: the decision is `authn::policy::authorize`, under every profile.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use authn::identity::certificate_field;
use authn::jwt::claimed_jti_hash;
use authn::owner::{CLIENT_FIELD, Forwarded};
use authn::policy::{Decision, Presented, bearer, is_forwarder};
use authn::{
    Access, ClientCertificates, Credentials, Denied, Identity, Permit, Profile, TokenCache,
    TokenCheck, TokenError, Verifier,
};
use runtime::stages::Lap;
use runtime::tls::{Handshake, HandshakeFailure};
use runtime::{Exchange, Peer};

use crate::edge::problem::{Problem, REALM};
use crate::refresh::keys::KeyRing;
use crate::refresh::watched::WatchReader;
use crate::route::Routed;
use crate::telemetry::audit::{AuditAction, AuditEvent, AuditLog, peer_name};
use crate::telemetry::stages::{POLICY, TOKEN};
use crate::telemetry::{CacheUse, ConnectionKind, CoreCounters};

/// One core's guard.
#[derive(Debug)]
pub struct Guard {
    profile: Profile,
    keys: Arc<KeyRing>,
    verifier: WatchReader<Verifier>,
    cache: Option<RefCell<TokenCache>>,
    counters: Arc<CoreCounters>,
    client_certificates: Arc<ClientCertificates>,
    audit: AuditLog,
    /// Whether upstreams are sent the client's certificate.
    forwards_certificate: bool,
}

/// What the guard remembers of a connection.
#[derive(Debug)]
pub struct PeerSession {
    credentials: Credentials,
}

impl Guard {
    /// A guard for one core. Without a cache every token is verified anew.
    #[must_use]
    pub fn new(
        profile: Profile,
        keys: Arc<KeyRing>,
        cache: Option<TokenCache>,
        counters: Arc<CoreCounters>,
    ) -> Guard {
        let verifier = WatchReader::new(keys.verifier());
        let cache = cache.map(RefCell::new);
        Guard {
            profile,
            keys,
            verifier,
            cache,
            counters,
            client_certificates: Arc::default(),
            audit: AuditLog::default(),
            forwards_certificate: false,
        }
    }

    /// The same guard with another list of whose tokens a certificate may bring.
    #[must_use]
    pub fn with_client_certificates(self, client_certificates: Arc<ClientCertificates>) -> Guard {
        Guard { client_certificates, ..self }
    }

    /// The same guard, which makes a `Client-Cert` field of each client's certificate, once per
    /// connection, if it should.
    #[must_use]
    pub fn forwarding_certificates(self, forwards_certificate: bool) -> Guard {
        Guard { forwards_certificate, ..self }
    }

    /// The same guard, which records what it refuses.
    #[must_use]
    pub fn with_audit(self, audit: AuditLog) -> Guard {
        Guard { audit, ..self }
    }

    /// The counters of this core.
    #[must_use]
    pub fn counters(&self) -> &CoreCounters {
        &self.counters
    }

    /// Looks at a new connection: who its certificate names. A connection without the certificate
    /// it must have was refused by the handshake; should it ever get here, the policy refuses its
    /// requests.
    pub fn open(&self, peer: &Peer<'_>) -> PeerSession {
        let certificates = peer.tls.as_ref().and_then(|tls| tls.certificates);
        let identity =
            authn::identity::of_peer(self.profile.transport, certificates).unwrap_or_default();
        self.counters.connected(connection_kind(peer, identity.as_ref()));
        let leaf = certificates.and_then(<[_]>::first);
        let told = leaf.filter(|_| self.forwards_certificate && identity.is_some());
        let certificate_field = told.and_then(certificate_field);
        if told.is_some() && certificate_field.is_none() {
            tracing::warn!("a client's certificate is too large to be sent to upstreams");
        }
        let sender = self.client_certificates.sender(identity.as_ref());
        PeerSession { credentials: Credentials { identity, sender, certificate_field } }
    }

    /// Checks the request for route `R` and issues the permit its handler takes, which borrows what
    /// the request brought from `presented`. `lap` has just begun.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn permit<'s, R: Routed>(
        &self,
        session: &'s PeerSession,
        presented: &'s mut Presented,
        exchange: &Exchange<'_>,
        lap: &mut Lap<'_>,
    ) -> Result<Permit<'s, R>, GuardRefusal> {
        let check = if R::ENTRY.open { TokenCheck::Ignore } else { self.profile.token };
        let access = if check == TokenCheck::Ignore { Ok(None) } else { self.access(exchange) };
        lap.end(TOKEN);
        let credentials = &session.credentials;
        let heard = access.and_then(|access| {
            presented.access = access;
            self.hear_forwarder::<R>(credentials, presented, exchange)
        });
        let presented: &'s Presented = presented;
        let decided = heard.and_then(|()| {
            authn::authorize::<R>(check, self.profile.transport, credentials, presented)
                .map_err(GuardRefusal::Denied)
        });
        lap.end(POLICY);
        match &decided {
            Ok(permit) => self.counters.decided(Ok(permit.decision())),
            Err(GuardRefusal::Denied(denied)) => self.counters.decided(Err(*denied)),
            // These were refused before the policy was asked.
            Err(GuardRefusal::NoKeys | GuardRefusal::ClientField) => {}
        }
        if decided.is_err() || self.audit.records_permitted() {
            let outcome = decided.as_ref().map(Permit::decision).map_err(|refusal| *refusal);
            self.record(R::ENTRY.name, outcome, credentials, presented, exchange);
        }
        decided
    }

    /// Records what was decided about a request.
    #[cold]
    fn record(
        &self,
        route: &'static str,
        outcome: Result<Decision, GuardRefusal>,
        credentials: &Credentials,
        presented: &Presented,
        exchange: &Exchange<'_>,
    ) {
        let event = |action, reason| {
            let Presented { access, forwarded } = presented;
            let forwarded = || forwarded.as_ref().and_then(Forwarded::name);
            let client = access.as_ref().map(|access| &*access.client_id).or_else(forwarded);
            let looked_at = self.profile.token != TokenCheck::Ignore;
            let authorization = exchange.request().authorization().filter(|_| looked_at);
            let token = bearer(authorization).ok().flatten();
            AuditEvent {
                reason: Some(reason),
                peer: peer_name(credentials.identity.as_ref()),
                client: client.map(str::to_owned),
                route: Some(route),
                jti_hash: token.and_then(claimed_jti_hash),
                ..AuditEvent::new(action)
            }
        };
        let source = exchange.peer();
        match outcome {
            Ok(decision) => self.audit.record_permitted(source, || {
                event(AuditAction::RequestPermitted, decision.label().into())
            }),
            Err(refusal) => self
                .audit
                .record(source, || event(AuditAction::RequestRefused, refusal.reason_code())),
        }
    }

    /// Records a request that was refused because a token stands in its query.
    #[cold]
    pub(super) fn token_in_query(&self, session: &PeerSession, exchange: &Exchange<'_>) {
        self.audit.record(exchange.peer(), || AuditEvent {
            reason: Some("token_in_query".into()),
            peer: peer_name(session.credentials.identity.as_ref()),
            ..AuditEvent::new(AuditAction::RequestRefused)
        });
    }

    /// Records a handshake that failed. A peer that only looks whether somebody listens, as
    /// balancers do every second, was not refused.
    #[cold]
    pub(super) fn handshake_failed(&self, peer: SocketAddr, failure: HandshakeFailure) {
        if failure == HandshakeFailure::Closed {
            return;
        }
        self.audit.record(peer, || AuditEvent {
            reason: Some(failure.label().into()),
            ..AuditEvent::new(AuditAction::HandshakeRefused)
        });
    }

    /// Notes whom the peer names as its client, where it is one that may.
    fn hear_forwarder<R: Routed>(
        &self,
        credentials: &Credentials,
        presented: &mut Presented,
        exchange: &Exchange<'_>,
    ) -> Result<(), GuardRefusal> {
        if !is_forwarder::<R>(self.profile.transport, credentials, presented) {
            return Ok(());
        }
        let is_client = |name: &[u8]| name.eq_ignore_ascii_case(CLIENT_FIELD.as_bytes());
        let mut named = exchange.request().fields().filter(|(name, _)| is_client(name));
        let (client, second) = (named.next(), named.next());
        let forwarded = presented.forwarded.get_or_insert_default();
        match (forwarded.set(client.map(|(_, value)| value)), second) {
            (Ok(()), None) => Ok(()),
            _ => Err(GuardRefusal::ClientField),
        }
    }

    /// The facts of the request's token; none where none was sent.
    fn access(&self, exchange: &Exchange<'_>) -> Result<Option<Arc<Access>>, GuardRefusal> {
        let (authorization, now) = (exchange.request().authorization(), exchange.unix_time());
        let Some(token) = bearer(authorization)? else {
            return Ok(None);
        };
        // A token verified under keys that are gone must not live on in the cache.
        let renewed = self.verifier.refresh();
        let mut cache = self.cache.as_ref().map(RefCell::borrow_mut);
        let cache_use = match &mut cache {
            None => CacheUse::Off,
            Some(cache) => {
                if renewed {
                    cache.clear();
                }
                if let Some(access) = cache.get(token, now) {
                    self.counters.token(Some(Ok(())), CacheUse::Hit);
                    return Ok(Some(access));
                }
                CacheUse::Miss
            }
        };
        let verified = self.verifier.with(|verifier| verifier.map(|v| v.verify(token, now)));
        let result = verified.as_ref().map(|result| result.as_ref().map(|_| ()).map_err(|e| *e));
        self.counters.token(result, cache_use);
        match verified {
            None => Err(GuardRefusal::NoKeys),
            Some(Ok(access)) => {
                let access = Arc::new(access);
                if let Some(cache) = &mut cache {
                    cache.insert(token, Arc::clone(&access));
                }
                Ok(Some(access))
            }
            Some(Err(error)) => {
                if error == TokenError::UnknownKey {
                    self.keys.ask_refresh();
                }
                Err(GuardRefusal::Denied(error.into()))
            }
        }
    }
}

/// What is counted of a connection.
fn connection_kind(peer: &Peer<'_>, identity: Option<&Identity>) -> ConnectionKind {
    ConnectionKind {
        version: peer.tls.as_ref().map_or("none", |tls| tls.version),
        suite: peer.tls.as_ref().map_or("none", |tls| tls.suite),
        handshake: match peer.tls.as_ref().map(|tls| tls.handshake) {
            None => "none",
            Some(Handshake::Full) => "full",
            Some(Handshake::Resumed) => "resumed",
        },
        client_certificate: match identity {
            None => "none",
            Some(Identity { name: None }) => "unnamed",
            Some(Identity { name: Some(_) }) => "named",
        },
    }
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardRefusal {
    /// The policy, or the token itself.
    Denied(Denied),
    /// Tokens are asked for and no verification keys are there yet: this side's fault, not the
    /// client's.
    NoKeys,
    /// A forwarder's field that names its client stands more than once, or names nobody.
    ClientField,
}

impl From<Denied> for GuardRefusal {
    fn from(denied: Denied) -> GuardRefusal {
        GuardRefusal::Denied(denied)
    }
}

impl GuardRefusal {
    /// The refusal as a word for the audit log, such as `token_expired`.
    fn reason_code(self) -> Cow<'static, str> {
        match self {
            GuardRefusal::Denied(Denied::TokenRefused(error)) => {
                format!("token_{}", error.reason()).into()
            }
            GuardRefusal::Denied(denied) => denied.label().into(),
            GuardRefusal::NoKeys => "no_keys".into(),
            GuardRefusal::ClientField => "client_field".into(),
        }
    }

    /// Responds to the request with this refusal.
    pub fn respond(self, exchange: &mut Exchange<'_>) {
        let denied = match self {
            GuardRefusal::Denied(denied) => denied,
            GuardRefusal::NoKeys => {
                let (kind, title) = (Some("no-keys"), "No Verification Keys");
                let detail =
                    "this service has no keys to verify tokens with yet; try again shortly";
                let problem = Problem { status: 503, kind, title, detail };
                return problem.respond_with(exchange, &[("retry-after", b"1")]);
            }
            GuardRefusal::ClientField => {
                let (kind, title) = (Some("bad-client-field"), "Bad Client Field");
                let detail = "X-Tollgate-Client must stand once and name one certificate";
                return Problem { status: 400, kind, title, detail }.respond(exchange);
            }
        };
        let detail = match denied.scope() {
            Some(scope) => format!("{} ({scope})", denied.reason()),
            None => denied.reason().to_string(),
        };
        let (status, title) = match denied.status() {
            400 => (400, "Bad Request"),
            401 => (401, "Unauthorized"),
            _ => (403, "Forbidden"),
        };
        let problem = Problem { status, kind: Some(kind(denied)), title, detail: &detail };
        // RFC 6750 section 3: the challenge stands with every refusal.
        problem.respond_with(exchange, &[("www-authenticate", denied.challenge(REALM).as_bytes())]);
    }
}

/// The kind of problem a refusal is, for its `type`.
const fn kind(denied: Denied) -> &'static str {
    match denied {
        Denied::CredentialsMalformed => "credentials-malformed",
        Denied::TokenMissing => "token-missing",
        Denied::TokenRefused(_) => "token-refused",
        Denied::ScopeMissing(_) => "scope-missing",
        Denied::CallerRefused => "caller-refused",
        Denied::SenderRefused => "sender-refused",
        Denied::CertificateMissing => "certificate-missing",
    }
}
