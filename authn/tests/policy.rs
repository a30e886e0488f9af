//! The decision, as one table over all nine profiles, and the reading of the Authorization field.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use authn::error::Denied;
use authn::owner::Forwarded;
use authn::policy::{Decision, Reach, TokenSender, bearer, is_forwarder};
use authn::{
    Access, Algorithm, Callers, ClientCertificates, Credentials, Identity, Owner, OwnerRule,
    Permit, Presented, Profile, Route, Scope, ScopeSet, TokenCheck, Transport, authorize,
};

struct Open;
impl Route for Open {
    const NAME: &'static str = "open";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Any;
    const FORWARDERS: &'static [&'static str] = &[];
    const OWNER: OwnerRule = OwnerRule::Nobody;
}

/// Write, with somebody whose word about its client is taken.
struct Told;
impl Route for Told {
    const NAME: &'static str = "told";
    const SCOPE: Option<Scope> = Write::SCOPE;
    const CALLERS: Callers = Write::CALLERS;
    const FORWARDERS: &'static [&'static str] = &["gateway"];
    const OWNER: OwnerRule = OwnerRule::OwnerOr(Scope::OrdersReadAll);
}

struct Write;
impl Route for Write {
    const NAME: &'static str = "write";
    const SCOPE: Option<Scope> = Some(Scope::OrdersWrite);
    const CALLERS: Callers = Callers::Named(&["gateway", "bench-runner"]);
    const FORWARDERS: &'static [&'static str] = &[];
    const OWNER: OwnerRule = OwnerRule::Owner;
}

fn access(client_id: &str, scopes: &str) -> Option<Arc<Access>> {
    Some(Arc::new(Access {
        client_id: client_id.into(),
        subject: client_id.into(),
        token_id: "id".into(),
        scopes: ScopeSet::parse(scopes).unwrap(),
        begins_at: 0,
        expires_at: 1,
        algorithm: Algorithm::Es256,
        key_id: "k".into(),
    }))
}

fn certificate(name: Option<&str>) -> Option<Identity> {
    Some(Identity { name: name.map(Box::from) })
}

fn decide<R: Route>(profile: Profile, brought: &Brought) -> Result<Decision, Denied> {
    let Brought { credentials, presented } = brought;
    let decided = authorize::<R>(profile.token, profile.transport, credentials, presented);
    decided.map(|permit| permit.decision())
}

/// What a connection and a request of it brought.
#[derive(Default)]
struct Brought {
    credentials: Credentials,
    presented: Presented,
}

fn brought(identity: Option<Identity>, access: Option<Arc<Access>>) -> Brought {
    let sender = ClientCertificates::default().sender(identity.as_ref());
    Brought {
        credentials: Credentials { identity, sender, certificate_field: None },
        presented: Presented { access, forwarded: None },
    }
}

/// Credentials that would satisfy everything pass everywhere; without any, each profile refuses
/// what it demands first.
#[test]
fn every_profile_with_all_and_with_nothing() {
    let all = brought(certificate(Some("bench-runner")), access("bench-runner", "orders.write"));
    let nothing = Brought::default();
    for profile in Profile::ALL {
        let decision = match profile.token {
            TokenCheck::Ignore => Decision::Open,
            TokenCheck::Verify => Decision::TokenVerified,
            TokenCheck::VerifyScopes => Decision::Enforced,
        };
        assert_eq!(decide::<Open>(profile, &all), Ok(decision), "{profile}");
        assert_eq!(decide::<Write>(profile, &all), Ok(decision), "{profile}");
        let expected = match (profile.transport, profile.token) {
            (Transport::Mutual, _) => Err(Denied::CertificateMissing),
            (_, TokenCheck::Ignore) => Ok(Decision::Open),
            (_, TokenCheck::Verify | TokenCheck::VerifyScopes) => Err(Denied::TokenMissing),
        };
        assert_eq!(decide::<Open>(profile, &nothing), expected, "{profile}");
        assert_eq!(decide::<Write>(profile, &nothing), expected, "{profile}");
    }
}

#[test]
fn s4_looks_at_neither_scope_nor_caller_and_s5_at_both() {
    let s4 = Profile::parse("S4").unwrap();
    let s5 = Profile::parse("S5").unwrap();
    let missing = Denied::ScopeMissing(Scope::OrdersWrite);
    // Certificate, token's scopes, and what S5 says; the scope is looked at before the caller.
    let table = [
        (Some("gateway"), "orders.write", Ok(Decision::Enforced)),
        (Some("gateway"), "orders.read", Err(missing)),
        (Some("gateway"), "", Err(missing)),
        (Some("inventory"), "orders.write", Err(Denied::CallerRefused)),
        (Some("Gateway"), "orders.write", Err(Denied::CallerRefused)),
        (None, "orders.write", Err(Denied::CallerRefused)),
        (Some("inventory"), "orders.read", Err(missing)),
    ];
    for (name, scopes, expected) in table {
        // The token's client is a caller of the route: under mutual TLS that does not count.
        let credentials = brought(certificate(name), access("bench-runner", scopes));
        assert_eq!(decide::<Told>(s5, &credentials), expected, "{name:?} {scopes}");
        assert_eq!(decide::<Told>(s4, &credentials), Ok(Decision::TokenVerified));
    }
}

#[test]
fn s5_takes_a_token_from_its_client_or_a_forwarder_of_the_route() {
    let s5 = Profile::parse("S5").unwrap();
    let refused = Err(Denied::SenderRefused);
    let good = Ok(Decision::Enforced);
    // Certificate, the token's client, and what a route says that names no caller and no
    // forwarder, one that names callers, and one that names a forwarder among them.
    let table = [
        (Some("bench-runner"), "bench-runner", [good, good, good]),
        (Some("bench-runner"), "bench-ui", [refused; 3]),
        (Some("gateway"), "bench-runner", [refused, refused, good]),
        (Some("gateway"), "gateway", [good, good, good]),
        (
            Some("orders"),
            "service-order",
            [good, Err(Denied::CallerRefused), Err(Denied::CallerRefused)],
        ),
        (
            Some("service-order"),
            "service-order",
            [refused, Err(Denied::CallerRefused), Err(Denied::CallerRefused)],
        ),
        (None, "bench-runner", [refused, Err(Denied::CallerRefused), Err(Denied::CallerRefused)]),
    ];
    for (name, client_id, [open, write, told]) in table {
        let credentials = brought(certificate(name), access(client_id, "orders.write"));
        assert_eq!(decide::<Open>(s5, &credentials), open, "{name:?} {client_id}");
        assert_eq!(decide::<Write>(s5, &credentials), write, "{name:?} {client_id}");
        assert_eq!(decide::<Told>(s5, &credentials), told, "{name:?} {client_id}");
        for label in ["plain+scopes", "tls+scopes"] {
            let profile = Profile::parse(label).unwrap();
            assert_eq!(decide::<Open>(profile, &credentials), good, "{label}: no certificate");
        }
    }
    // Whoever did not look for the clients of a certificate lets it bring nobody's tokens.
    let mut unlisted = brought(certificate(Some("bench-runner")), access("bench-runner", ""));
    unlisted.credentials.sender = TokenSender::default();
    assert_eq!(decide::<Open>(s5, &unlisted), refused);
}

#[test]
fn without_mutual_tls_the_caller_is_the_tokens_client() {
    for label in ["plain+scopes", "tls+scopes"] {
        let profile = Profile::parse(label).unwrap();
        let table =
            [("bench-runner", Ok(Decision::Enforced)), ("stranger", Err(Denied::CallerRefused))];
        for (client_id, expected) in table {
            let access = access(client_id, "orders.write");
            let credentials = brought(None, access);
            assert_eq!(decide::<Write>(profile, &credentials), expected, "{label} {client_id}");
        }
    }
}

#[test]
fn a_permit_names_the_owner_of_the_request() {
    let client = |identity, access| {
        let Brought { credentials, presented } = brought(identity, access);
        let permit: Permit<'_, Open> =
            authorize(TokenCheck::Ignore, Transport::Plain, &credentials, &presented).unwrap();
        assert_eq!(permit.route(), "open");
        permit.client().to_owned()
    };
    assert_eq!(client(None, None), "anonymous");
    assert_eq!(client(certificate(None), None), "anonymous");
    assert_eq!(client(certificate(Some("gateway")), None), "gateway");
    assert_eq!(client(certificate(Some("gateway")), access("bench-ui", "")), "bench-ui");
}

fn named(client: &str) -> Option<Forwarded> {
    let mut forwarded = Forwarded::default();
    forwarded.set(Some(client.as_bytes())).unwrap();
    Some(forwarded)
}

#[test]
fn the_owner_is_the_client_else_whom_a_forwarder_named_else_the_peer() {
    let gateway = || certificate(Some("gateway"));
    let table = [
        (gateway(), access("ui", ""), named("runner"), Owner::Client("ui")),
        (gateway(), None, named("runner"), Owner::Peer("runner")),
        (gateway(), None, Some(Forwarded::default()), Owner::Nobody),
        (gateway(), None, None, Owner::Peer("gateway")),
        (certificate(None), None, None, Owner::Nobody),
        (None, None, None, Owner::Nobody),
    ];
    for (identity, access, forwarded, owner) in table {
        let credentials = Credentials { identity, ..Credentials::default() };
        let presented = Presented { access, forwarded };
        let permit: Permit<'_, Told> =
            authorize(TokenCheck::Ignore, Transport::Plain, &credentials, &presented).unwrap();
        assert_eq!(permit.reach(), Reach { owner, all: false });
        assert_eq!(permit.client(), owner.name().unwrap_or("anonymous"));
    }
}

#[test]
fn the_rules_scope_reaches_what_others_own_wherever_tokens_are_looked_at() {
    for (scopes, all) in [("orders.write", false), ("orders.write orders.read.all", true)] {
        let Brought { credentials, presented } =
            brought(certificate(Some("gateway")), access("ui", scopes));
        for check in [TokenCheck::Verify, TokenCheck::VerifyScopes] {
            let permit: Permit<'_, Told> =
                authorize(check, Transport::Mutual, &credentials, &presented).unwrap();
            assert_eq!(permit.reach(), Reach { owner: Owner::Client("ui"), all }, "{scopes}");
        }
    }
}

#[test]
fn only_a_forwarder_of_the_route_is_believed_and_only_on_mutual_tls() {
    let believed = |transport, name, access| {
        let Brought { credentials, presented } = brought(certificate(name), access);
        let write = is_forwarder::<Write>(transport, &credentials, &presented);
        assert!(!write, "a route without forwarders believes nobody");
        is_forwarder::<Told>(transport, &credentials, &presented)
    };
    assert!(believed(Transport::Mutual, Some("gateway"), None));
    assert!(!believed(Transport::Mutual, Some("gateway"), access("ui", "")), "no need");
    assert!(!believed(Transport::Mutual, Some("bench-runner"), None), "a caller is no forwarder");
    assert!(!believed(Transport::Mutual, None, None));
    assert!(!believed(Transport::Tls, Some("gateway"), None));
    assert!(!believed(Transport::Plain, Some("gateway"), None));
}

#[test]
fn a_forwarders_claim_changes_no_decision() {
    for profile in Profile::ALL {
        for (name, scopes) in [("gateway", "orders.write"), ("gateway", ""), ("x", "orders.write")]
        {
            for access in [access("bench-runner", scopes), access("x", scopes), None] {
                let decided = |forwarded| {
                    let (identity, access) = (certificate(Some(name)), access.clone());
                    let mut credentials = brought(identity, access);
                    credentials.presented.forwarded = forwarded;
                    decide::<Told>(profile, &credentials)
                };
                let without = decided(None);
                for client in ["bench-runner", "gateway", "x"] {
                    assert_eq!(decided(named(client)), without, "{profile} {name} {scopes}");
                }
                assert_eq!(decided(Some(Forwarded::default())), without);
            }
        }
    }
}

#[test]
fn the_token_is_found_in_the_field() {
    let table = [
        (None, Ok(None)),
        (Some("Bearer a.b.c"), Ok(Some("a.b.c"))),
        (Some("bearer a.b.c"), Ok(Some("a.b.c"))),
        (Some("BEARER   a.b.c"), Ok(Some("a.b.c"))),
        (Some("Bearer a b"), Ok(Some("a b"))),
        (Some("Bearer"), Err(Denied::CredentialsMalformed)),
        (Some("Bearer  "), Err(Denied::CredentialsMalformed)),
        (Some("Bearera.b.c"), Ok(None)),
        (Some("Bearer\ta.b.c"), Ok(None)),
        (Some("Basic YTpi"), Ok(None)),
        (Some("Bear"), Ok(None)),
        (Some(""), Ok(None)),
    ];
    for (field, expected) in table {
        let found = bearer(field.map(str::as_bytes));
        assert_eq!(found, expected.map(|token| token.map(str::as_bytes)), "{field:?}");
    }
}
