//! The one decision: may this request use this route?
//!
//! Owns [`authorize`], the only function that makes a [`Permit`], and the marker trait by which a
//! route states what it demands. A handler takes the `Permit` of its own route, so that skipping
//! the check, or using another route's, does not compile. All profiles run this one path: where
//! tokens are ignored, the same function gives the permit.
//!
//! ```
//! use authn::policy::{Callers, Credentials, OwnerRule, Permit, Presented, Route, authorize};
//! use authn::{Scope, TokenCheck, Transport};
//!
//! struct ReadOrder;
//! impl Route for ReadOrder {
//!     const NAME: &'static str = "orders.read_one";
//!     const SCOPE: Option<Scope> = Some(Scope::OrdersRead);
//!     const CALLERS: Callers = Callers::Any;
//!     const FORWARDERS: &'static [&'static str] = &[];
//!     const OWNER: OwnerRule = OwnerRule::OwnerOr(Scope::OrdersReadAll);
//! }
//! fn read_order(permit: Permit<'_, ReadOrder>) -> String {
//!     format!("for {}", permit.client())
//! }
//!
//! let (nobody, nothing) = (Credentials::default(), Presented::default());
//! let decide = |check| authorize::<ReadOrder>(check, Transport::Plain, &nobody, &nothing);
//! assert_eq!(read_order(decide(TokenCheck::Ignore).unwrap()), "for anonymous");
//! let denied = decide(TokenCheck::Verify).unwrap_err();
//! assert_eq!(denied.status(), 401);
//! ```
//!
//! A permit cannot be made by hand:
//! ```compile_fail,E0451
//! # use authn::policy::*; use authn::*;
//! # struct A; impl Route for A { const NAME: &'static str = "a";
//! #     const SCOPE: Option<Scope> = None; const CALLERS: Callers = Callers::Any;
//! #     const FORWARDERS: &'static [&'static str] = &[];
//! #     const OWNER: OwnerRule = OwnerRule::Nobody; }
//! # let (nobody, nothing) = (Credentials::default(), Presented::default());
//! let permit: Permit<'_, A> = Permit {
//!     credentials: &nobody,
//!     presented: &nothing,
//!     decision: Decision::Open,
//!     route: std::marker::PhantomData,
//! };
//! ```
//! It cannot be cloned, so one check serves one request:
//! ```compile_fail,E0599
//! # use authn::policy::*; use authn::*;
//! # struct A; impl Route for A { const NAME: &'static str = "a";
//! #     const SCOPE: Option<Scope> = None; const CALLERS: Callers = Callers::Any;
//! #     const FORWARDERS: &'static [&'static str] = &[];
//! #     const OWNER: OwnerRule = OwnerRule::Nobody; }
//! # let (nobody, nothing) = (Credentials::default(), Presented::default());
//! let permit = authorize::<A>(TokenCheck::Ignore, Transport::Plain, &nobody, &nothing).unwrap();
//! let second: Permit<'_, A> = permit.clone();
//! ```
//! It is of no use to the handler of another route:
//! ```compile_fail,E0308
//! # use authn::policy::*; use authn::*;
//! # struct A; impl Route for A { const NAME: &'static str = "a";
//! #     const SCOPE: Option<Scope> = None; const CALLERS: Callers = Callers::Any;
//! #     const FORWARDERS: &'static [&'static str] = &[];
//! #     const OWNER: OwnerRule = OwnerRule::Nobody; }
//! # struct B; impl Route for B { const NAME: &'static str = "b";
//! #     const SCOPE: Option<Scope> = None; const CALLERS: Callers = Callers::Any;
//! #     const FORWARDERS: &'static [&'static str] = &[];
//! #     const OWNER: OwnerRule = OwnerRule::Nobody; }
//! # let (nobody, nothing) = (Credentials::default(), Presented::default());
//! fn handler_of_b(permit: Permit<'_, B>) {}
//! let permit = authorize::<A>(TokenCheck::Ignore, Transport::Plain, &nobody, &nothing).unwrap();
//! handler_of_b(permit);
//! ```
//! It does not outlive what its request brought:
//! ```compile_fail,E0597
//! # use authn::policy::*; use authn::*;
//! # struct A; impl Route for A { const NAME: &'static str = "a";
//! #     const SCOPE: Option<Scope> = None; const CALLERS: Callers = Callers::Any;
//! #     const FORWARDERS: &'static [&'static str] = &[];
//! #     const OWNER: OwnerRule = OwnerRule::Nobody; }
//! # let nobody = Credentials::default();
//! let kept = {
//!     let presented = Presented::default();
//!     authorize::<A>(TokenCheck::Ignore, Transport::Plain, &nobody, &presented).unwrap()
//! };
//! kept.client();
//! ```

mod owner_rule;
mod sender;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use self::sender::is_sender;
use crate::certificate::identity::Identity;
use crate::error::Denied;
use crate::owner::{Forwarded, Owner};
use crate::profile::{TokenCheck, Transport};
use crate::scope::Scope;
use crate::token::jwt::Access;

pub use self::owner_rule::{OwnerRule, Reach};
pub use self::sender::{ClientCertificates, SHOP_CERTIFICATES, TokenSender};

/// What a route demands, stated once, as constants of a type that exists for nothing else.
pub trait Route {
    /// The name for metrics and logs, such as `orders.create`.
    const NAME: &'static str;
    /// The scope that a token must carry, if any.
    const SCOPE: Option<Scope>;
    /// Who may call.
    const CALLERS: Callers;
    /// The certificates that bring other clients' tokens, and whose word about their own client is
    /// taken: see [`is_forwarder`].
    const FORWARDERS: &'static [&'static str];
    /// What the route does about who owns the thing that it is about.
    const OWNER: OwnerRule;
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Any certificate of the client authority; without mutual TLS, any client.
    Any,
    /// These only, by the name in their certificate; without mutual TLS, by `client_id`.
    Named(&'static [&'static str]),
}

/// What a connection brought, already verified: made by the guard of a service when it opens, and
/// shared by all its requests.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The client certificate of the connection, if there is one.
    pub identity: Option<Identity>,
    /// Whose tokens that certificate may bring: see [`ClientCertificates::sender`].
    pub sender: TokenSender,
    /// The client certificate as a `Client-Cert` field, where upstreams are sent it.
    pub certificate_field: Option<Box<str>>,
}

/// What one request brought, already verified: it lives as long as that request's handler.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// The access token, if there is one.
    pub access: Option<Arc<Access>>,
    /// Whom a forwarder named as its client; `None` where the peer speaks for itself.
    pub forwarded: Option<Forwarded>,
}

/// How far a permitted request was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// No token was demanded.
    Open,
    /// A valid token was demanded and found.
    TokenVerified,
    /// Token, scope and caller were demanded and found.
    Enforced,
}

impl Decision {
    /// A word for metrics, such as `enforced`.
    pub const fn label(self) -> &'static str {
        match self {
            Decision::Open => "open",
            Decision::TokenVerified => "token_verified",
            Decision::Enforced => "enforced",
        }
    }
}

/// The proof that [`authorize`] allowed one request on route `R`.
#[must_use = "a permit is handed to the handler of its route"]
pub struct Permit<'r, R> {
    credentials: &'r Credentials,
    presented: &'r Presented,
    decision: Decision,
    // A function type keeps the marker out of Send, Sync and drop checks.
    route: PhantomData<fn(R) -> R>,
}

impl<'r, R: Route> Permit<'r, R> {
    /// Whose request it is: the token's `client_id`, else whom the forwarder named, else the name
    /// in the peer's own certificate, else nobody. A forwarder that named nobody does not speak
    /// for itself.
    fn whose(&self) -> Owner<'r> {
        let Presented { access, forwarded } = self.presented;
        let peer = match (access, forwarded) {
            (Some(access), _) => return Owner::Client(&access.client_id),
            (None, Some(forwarded)) => forwarded.name(),
            (None, None) => self.identity().and_then(|identity| identity.name.as_deref()),
        };
        peer.map_or(Owner::Nobody, Owner::Peer)
    }

    /// The name of the owner for people to read; `anonymous` for nobody.
    pub fn client(&self) -> &'r str {
        self.whose().name().unwrap_or(Owner::NOBODY)
    }

    /// The client certificate as the value of a `Client-Cert` field, where upstreams are sent it.
    pub fn certificate_field(&self) -> Option<&'r str> {
        self.credentials.certificate_field.as_deref()
    }

    /// The verified token, if there is one.
    pub fn access(&self) -> Option<&'r Access> {
        self.presented.access.as_deref()
    }

    /// The client certificate, if there is one.
    pub fn identity(&self) -> Option<&'r Identity> {
        self.credentials.identity.as_ref()
    }

    /// How far the request was checked.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The name of the route.
    pub fn route(&self) -> &'static str {
        R::NAME
    }
}

impl<R: Route> fmt::Debug for Permit<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("route", &R::NAME)
            .field("client", &self.client())
            .field("decision", &self.decision)
            .finish()
    }
}

/// Decides whether a request may use route `R`.
///
/// - [`Transport::Mutual`] always needs a client certificate, whatever is done with tokens: this
///   is the second lock behind the TLS handshake.
/// - [`TokenCheck::Ignore`] asks for nothing else.
/// - [`TokenCheck::Verify`] needs a verified token.
/// - [`TokenCheck::VerifyScopes`] needs the scope of the route in it, and a caller of the route:
///   under mutual TLS the certificate's name, else the token's `client_id`. Under mutual TLS the
///   certificate must also be one of the token's client, or of a forwarder of the route.
///
/// # Errors
/// [`Denied`], which knows its status and challenge. The token is looked at before the scope, the
/// scope before the caller, the caller before whose token it is.
pub fn authorize<'r, R: Route>(
    check: TokenCheck,
    transport: Transport,
    credentials: &'r Credentials,
    presented: &'r Presented,
) -> Result<Permit<'r, R>, Denied> {
    if transport == Transport::Mutual && credentials.identity.is_none() {
        return Err(Denied::CertificateMissing);
    }
    let decision = match check {
        TokenCheck::Ignore => Decision::Open,
        TokenCheck::Verify => {
            presented.access.as_ref().ok_or(Denied::TokenMissing)?;
            Decision::TokenVerified
        }
        TokenCheck::VerifyScopes => {
            let access = presented.access.as_ref().ok_or(Denied::TokenMissing)?;
            if let Some(scope) = R::SCOPE
                && !access.scopes.contains(scope)
            {
                return Err(Denied::ScopeMissing(scope));
            }
            if !is_caller::<R>(transport, credentials, access) {
                return Err(Denied::CallerRefused);
            }
            if transport == Transport::Mutual && !is_sender::<R>(credentials, access) {
                return Err(Denied::SenderRefused);
            }
            Decision::Enforced
        }
    };
    Ok(Permit { credentials, presented, decision, route: PhantomData })
}

/// Whether the peer of a connection is believed when it says who its own client is: on mutual TLS,
/// where its certificate names one of the route's forwarders. Where a token was verified nobody
/// needs to be believed.
pub fn is_forwarder<R: Route>(
    transport: Transport,
    credentials: &Credentials,
    presented: &Presented,
) -> bool {
    !R::FORWARDERS.is_empty()
        && transport == Transport::Mutual
        && presented.access.is_none()
        && is_named(credentials, |name| R::FORWARDERS.contains(&name))
}

/// The token in the value of an `Authorization` field (RFC 6750 section 2.1). `Ok(None)` when there
/// is no field or it is of another scheme, which is not ours to judge.
///
/// # Errors
/// [`Denied::CredentialsMalformed`] when the scheme is Bearer and nothing follows.
pub fn bearer(authorization: Option<&[u8]>) -> Result<Option<&[u8]>, Denied> {
    const SCHEME: &[u8] = b"Bearer";
    let Some(value) = authorization else {
        return Ok(None);
    };
    // The scheme is case-insensitive (RFC 9110 section 11.1).
    let Some((scheme, rest)) = value.split_at_checked(SCHEME.len()) else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Ok(None);
    }
    match rest.iter().position(|b| *b != b' ') {
        // `Bearer` alone, or `Bearerx`: the latter is another scheme.
        None => Err(Denied::CredentialsMalformed),
        Some(0) => Ok(None),
        Some(spaces) => Ok(Some(&rest[spaces..])),
    }
}

/// Whether the caller is one of the route's. A certificate without a name is somebody of the client
/// authority, which is enough for `Any` and never for `Named`.
fn is_caller<R: Route>(transport: Transport, credentials: &Credentials, access: &Access) -> bool {
    let Callers::Named(names) = R::CALLERS else {
        return true;
    };
    match transport {
        Transport::Mutual => is_named(credentials, |name| names.contains(&name)),
        Transport::Plain | Transport::Tls => names.contains(&&*access.client_id),
    }
}

/// Whether the peer's certificate has a name, and one that is good.
fn is_named(credentials: &Credentials, is_good: impl FnOnce(&str) -> bool) -> bool {
    let name = credentials.identity.as_ref().and_then(|identity| identity.name.as_deref());
    name.is_some_and(is_good)
}
