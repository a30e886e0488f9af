//! The authorization server through real sockets: its files, its documents, the token flow, and a
//! gateway that verifies what it issued.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use authn::grant::{TokenResponse, basic_authorization};
use authn::{Algorithm, Expected, KeySet, Profile, Scope};
use runtime::blocking::Response;
use services::{AuthConfig, KeySource, ServiceConfig};

use support::{
    Client, ISSUER, Lab, NOWHERE, SOON, Server, bearer, before_orders, claims, now, start,
};

const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");

fn profile(label: &str) -> Profile {
    Profile::parse(label).unwrap()
}

fn ask(client: &Client, server: &Server, secret: &str, form: &str) -> Response {
    let authorization = basic_authorization("bench-runner", secret);
    let fields = [FORM, ("authorization", authorization.as_bytes())];
    let url = format!("{}/oauth2/token", server.url());
    client.request("POST", &url, &fields, form.as_bytes()).unwrap()
}

fn secret(lab: &Lab, client: &str) -> String {
    String::from_utf8(lab.read(&format!("clients/{client}.secret"))).unwrap()
}

#[test]
fn tokens_are_issued_to_those_who_know_the_secret() {
    let lab = Lab::new();
    let server = start(lab.config(AuthConfig::default(), profile("S2")));
    let client = lab.client(profile("S2").transport, None);
    let secret = secret(&lab, "bench-runner");
    let form = "grant_type=client_credentials&scope=orders.read%20orders.write";

    let answer = ask(&client, &server, &secret, form);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("cache-control"), Some(b"no-store".as_slice()));
    let token = TokenResponse::parse(&answer.body).unwrap();
    assert_eq!(token.ttl, AuthConfig::TOKEN_TTL);

    let jwks = client.get(&format!("{}/.well-known/jwks.json", server.url()), &[]).unwrap();
    let keys = KeySet::parse(&jwks.body).unwrap();
    assert_eq!(keys.len(), 2, "both kinds of key are published");
    let expected =
        Expected { leeway: Duration::ZERO, ..Expected::new(ISSUER, ServiceConfig::AUDIENCE) };
    let verifier = expected.verifier(keys);
    let access = verifier.verify(token.token.as_bytes(), now()).unwrap();
    assert_eq!(&*access.client_id, "bench-runner");
    assert_eq!(access.scopes.to_string(), "orders.read orders.write");

    let wrong = ask(&client, &server, "wrong", form);
    assert_eq!(wrong.status, 401);
    assert!(wrong.field("www-authenticate").unwrap().starts_with(b"Basic"));
    assert!(wrong.body.starts_with(br#"{"error":"invalid_client""#));
    let scope = ask(&client, &server, &secret, "grant_type=client_credentials&scope=root");
    assert_eq!((scope.status, scope.field("www-authenticate")), (400, None));
    assert!(scope.body.starts_with(br#"{"error":"invalid_scope""#));

    let url = format!("{}/oauth2/token", server.url());
    let json = client.request("POST", &url, &[("content-type", b"application/json")], b"{}");
    assert_eq!(json.unwrap().status, 415);
    let get = client.get(&url, &[]).unwrap();
    assert_eq!((get.status, get.field("allow")), (405, Some(b"POST".as_slice())));
    let large = client.request("POST", &url, &[FORM], &[b'a'; 64 * 1024]);
    assert_eq!(large.unwrap().status, 413);
}

#[test]
fn files_are_private_and_survive_a_restart() {
    let lab = Lab::new();
    let first = start(lab.config(AuthConfig::default(), profile("S1")));
    let files = ["auth/es256.key", "auth/eddsa.key", "auth/clients.toml"];
    let secrets = ["clients/bench-runner.secret", "clients/service-order.secret"];
    let before: Vec<Vec<u8>> = files.iter().chain(&secrets).map(|path| lab.read(path)).collect();
    for path in files.iter().chain(&secrets) {
        let mode = std::fs::metadata(lab.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    assert!(!lab.path().join("clients/bench-ui.secret").exists(), "a public client has none");
    assert_eq!(first.drain().cut, 0);
    let _second = start(lab.config(AuthConfig::default(), profile("S1")));
    let after: Vec<Vec<u8>> = files.iter().chain(&secrets).map(|path| lab.read(path)).collect();
    assert_eq!(before, after);
}

#[test]
fn the_metadata_names_what_there_is() {
    let lab = Lab::new();
    for (label, mutual) in [("S1", false), ("S5", true)] {
        let settings = AuthConfig { token_alg: Algorithm::EdDsa, ..AuthConfig::default() };
        let server = start(lab.config(settings, profile(label)));
        let client = lab.client(profile(label).transport, Some("bench-runner"));
        let get = |path: &str| client.get(&format!("{}{path}", server.url()), &[]).unwrap();
        let metadata = get("/.well-known/oauth-authorization-server");
        let document: serde_json::Value = serde_json::from_slice(&metadata.body).unwrap();
        let algorithms = Algorithm::ALL.map(Algorithm::as_str);
        let mut methods = vec!["client_secret_basic", "private_key_jwt"];
        methods.extend(mutual.then_some("tls_client_auth"));
        assert_eq!(
            document,
            serde_json::json!({
                "issuer": ISSUER,
                "token_endpoint": format!("{ISSUER}/oauth2/token"),
                "jwks_uri": format!("{ISSUER}/.well-known/jwks.json"),
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "scopes_supported": Scope::ALL.map(Scope::as_str),
                "token_endpoint_auth_methods_supported": methods,
                "token_endpoint_auth_signing_alg_values_supported": algorithms,
                "revocation_endpoint": format!("{ISSUER}/oauth2/revoke"),
                "revocation_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
                "introspection_endpoint": format!("{ISSUER}/oauth2/introspect"),
                "introspection_endpoint_auth_methods_supported": methods,
                "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
                "tls_client_certificate_bound_access_tokens": false,
            })
        );
        // There is no OpenID Connect here.
        assert_eq!(get("/.well-known/openid-configuration").status, 404);
        let url = format!("{}/.well-known/jwks.json", server.url());
        let head = client.request("HEAD", &url, &[], b"").unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
}

#[test]
fn rs256_wants_an_imported_key() {
    let lab = Lab::new();
    let settings = AuthConfig { token_alg: Algorithm::Rs256, ..AuthConfig::default() };
    let error = services::start(lab.config(settings, profile("S1"))).unwrap_err().to_string();
    assert!(error.contains("auth/rs256.pem") && error.contains("import"), "{error}");
}

#[test]
fn a_gateway_verifies_what_the_server_issued() {
    let lab = Lab::new();
    for label in ["S2", "S5"] {
        let auth = start(lab.config(AuthConfig::default(), profile(label)));
        let mut config = lab.config(before_orders(NOWHERE), profile(label));
        config.jwks = Some(KeySource::Url(format!("{}/.well-known/jwks.json", auth.url())));
        let gateway = start(config);
        let client = lab.client(profile(label).transport, Some("bench-runner"));
        let form = "grant_type=client_credentials";
        let answer = ask(&client, &auth, &secret(&lab, "bench-runner"), form);
        let token = TokenResponse::parse(&answer.body).unwrap();
        let authorization = bearer(&token.token);
        let fields: [(&str, &[u8]); 1] = [("authorization", &authorization)];
        let url = format!("{}/api/ping", gateway.url());
        assert_eq!(client.get(&url, &fields).unwrap().status, 200, "{label}");
    }
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it() {
    let lab = Lab::new();
    let old = lab.signer();
    let config = lab.config(before_orders(NOWHERE), profile("S2"));
    let gateway = start(config);
    let client = lab.client(profile("S2").transport, None);
    let url = format!("{}/api/ping", gateway.url());
    let status = |signer: &authn::Signer| {
        let authorization = bearer(&signer.sign(&claims("bench-runner", "orders.read")).unwrap());
        let fields: [(&str, &[u8]); 1] = [("authorization", &authorization)];
        client.get(&url, &fields).unwrap().status
    };
    assert_eq!(status(&old), 200);
    let new = lab.signer();
    let deadline = Instant::now() + SOON;
    while status(&new) != 200 {
        assert!(Instant::now() < deadline, "the new key is never taken over");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The old key is gone, and what was verified with it is forgotten.
    assert_eq!(status(&old), 401);
}

#[test]
fn without_keys_a_service_is_not_ready_and_reports_why() {
    let lab = Lab::new();
    let config = lab.config(before_orders(NOWHERE), profile("S2"));
    let gateway = support::start_unready(config);
    let ready = gateway.admin_get("/readyz");
    let reasons = String::from_utf8(ready.body.clone()).unwrap();
    assert_eq!(ready.status, 503);
    assert!(reasons.contains("jwks.json") || reasons.contains("not loaded"), "{reasons}");
    let client = lab.client(profile("S2").transport, None);
    let fields: [(&str, &[u8]); 1] = [("authorization", b"Bearer a.b.c")];
    let answer = client.get(&format!("{}/api/ping", gateway.url()), &fields).unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(gateway.admin_get("/livez").status, 200);
}
