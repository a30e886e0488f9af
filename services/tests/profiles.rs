//! Every profile with no credentials, wrong ones and good ones, against ping, through real sockets:
//! the whole truth table of transport, token check and what a caller brings.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use authn::jwt::TTL_MAX_DEFAULT;
use authn::{Profile, TokenCheck, Transport};
use runtime::DriverChoice;
use runtime::blocking::Response;
use services::{AuthConfig, InventoryConfig, ServiceRole};

use support::{Client, Lab, NOWHERE, Server, bearer, before_orders, claims, start};

/// The service under test has it beside the default one.
const SECOND_AUDIENCE: &str = "second";

/// What a caller brings.
struct Caller {
    name: &'static str,
    certificate: Option<&'static str>,
    token: Option<String>,
}

fn callers(signer: &authn::Signer) -> Vec<Caller> {
    let sign = |claims: &authn::NewClaims<'_>| Some(signer.sign(claims).unwrap());
    let good = claims("bench-runner", "orders.read");
    let expired = authn::NewClaims { issued_at: 1_000, expires_at: 2_000, ..good };
    let lasting =
        authn::NewClaims { expires_at: good.issued_at + TTL_MAX_DEFAULT.as_secs() + 1, ..good };
    let second = authn::NewClaims { audience: SECOND_AUDIENCE, ..good };
    let elsewhere = authn::NewClaims { audience: "another", ..good };
    let unscoped = claims("bench-runner", "inventory.read");
    let (_, stranger) = authn::Signer::generate(authn::Algorithm::Es256).unwrap();
    let forged = stranger.sign(&good).unwrap();
    let mut broken = sign(&good).unwrap();
    broken.pop();
    let runner = Some("bench-runner");
    let caller = |name, certificate, token| Caller { name, certificate, token };
    vec![
        caller("nothing", None, None),
        caller("certificate only", runner, None),
        caller("token only", None, sign(&good)),
        caller("expired token", runner, sign(&expired)),
        caller("token with too long a life", runner, sign(&lasting)),
        caller("token for another service", runner, sign(&elsewhere)),
        caller("unknown key", runner, Some(forged)),
        caller("broken token", runner, Some(broken)),
        caller("not a token", runner, Some("x".to_string())),
        caller("token without scope", runner, sign(&unscoped)),
        caller("all that is asked", runner, sign(&good)),
        caller("all of it, for the second audience", runner, sign(&second)),
    ]
}

/// The status this caller must get, or none where the handshake must fail.
fn expected(profile: Profile, caller: &Caller) -> Option<u16> {
    if profile.transport == Transport::Mutual && caller.certificate.is_none() {
        return None;
    }
    let valid = ["token only", "token without scope"].contains(&caller.name)
        || caller.name.starts_with("all ");
    Some(match profile.token {
        TokenCheck::Ignore => 200,
        TokenCheck::Verify | TokenCheck::VerifyScopes if !valid => 401,
        TokenCheck::VerifyScopes if caller.name == "token without scope" => 403,
        TokenCheck::Verify | TokenCheck::VerifyScopes => 200,
    })
}

fn call(lab: &Lab, profile: Profile, server: &Server, caller: &Caller) -> Option<Response> {
    let client: Client = lab.client(profile.transport, caller.certificate);
    let authorization = caller.token.as_deref().map(bearer);
    let fields: Vec<(&str, &[u8])> =
        authorization.iter().map(|value| ("authorization", value.as_slice())).collect();
    client.get(&format!("{}/api/ping", server.url()), &fields).ok()
}

fn run(driver: DriverChoice) {
    let lab = Lab::new();
    let signer = lab.signer();
    for profile in Profile::ALL {
        let mut config = lab.config(before_orders(NOWHERE), profile);
        config.driver = driver;
        config.audiences.push(SECOND_AUDIENCE.into());
        let server = start(config);
        for caller in callers(&signer) {
            let context = format!("{} with {} on {driver:?}", profile.label(), caller.name);
            let answer = call(&lab, profile, &server, &caller);
            let status = answer.as_ref().map(|answer| answer.status);
            assert_eq!(status, expected(profile, &caller), "{context}");
            let Some(answer) = answer else { continue };
            let problem = answer.field("content-type") == Some(b"application/problem+json");
            assert_eq!(problem, answer.status != 200, "{context}");
            let challenge = answer.field("www-authenticate").unwrap_or_default();
            assert_eq!(challenge.starts_with(b"Bearer realm="), answer.status != 200, "{context}");
        }
        assert_eq!(server.drain().cut, 0);
    }
}

#[test]
fn a_token_in_the_query_is_refused_under_every_profile_and_on_every_path() {
    let lab = Lab::new();
    let signer = lab.signer();
    let token = bearer(&signer.sign(&claims("bench-runner", "orders.read")).unwrap());
    for profile in Profile::ALL {
        let roles: [ServiceRole; 3] = [
            before_orders(NOWHERE).into(),
            InventoryConfig::default().into(),
            AuthConfig::default().into(),
        ];
        for role in roles {
            let kind = role.kind();
            let server = start(lab.config(role, profile));
            let client = lab.client(profile.transport, Some("bench-runner"));
            for target in [
                "/api/ping?access_token=abc",
                "/api/orders/1?a=b&%61ccess%5Ftoken=abc",
                "/api/inventory/SKU-1000?access_token=abc",
                "/.well-known/jwks.json?access_token=abc",
                "/nowhere?access_token",
            ] {
                let url = format!("{}{target}", server.url());
                let answer = client.get(&url, &[("authorization", &token)]).unwrap();
                let context = format!("{} {kind:?} {target}", profile.label());
                assert_eq!(answer.status, 400, "{context}");
                let body = String::from_utf8(answer.body).unwrap();
                assert!(body.contains("token-in-query"), "{context}: {body}");
            }
        }
    }
}

#[test]
fn every_profile_enforces_its_checks() {
    run(DriverChoice::Auto);
}

#[test]
fn the_same_on_epoll() {
    run(DriverChoice::Epoll);
}

#[test]
fn a_revoked_certificate_does_not_get_past_the_handshake() {
    let lab = Lab::new();
    lab.signer();
    lab.revoke(&["stranger"]);
    for profile in Profile::ALL.into_iter().filter(|p| p.transport == Transport::Mutual) {
        let server = start(lab.config(before_orders(NOWHERE), profile));
        let url = format!("{}/api/ping", server.url());
        let revoked = lab.client(profile.transport, Some("stranger"));
        assert!(revoked.get(&url, &[]).is_err(), "{}", profile.label());
        let other = lab.client(profile.transport, Some("bench-ui"));
        assert!(other.get(&url, &[]).is_ok(), "{}", profile.label());
    }
}
