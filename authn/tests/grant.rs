//! Token requests as a table: what is granted, and each way to be refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use authn::ScopeSet;
use authn::error::Error;
use authn::grant::{
    ClientProof, ClientRegistry, ClientRequest, ClientSecret, Grant, GrantDefaults, OAuthError,
    PasswordHash, SecretCheck, TokenResponse, basic_authorization, request_form,
};
use authn::identity::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

const GOOD: &str = "grant_type=client_credentials";

struct Shop {
    registry: ClientRegistry,
    runner: String,
    order: String,
}

fn shop() -> Shop {
    let (registry, secrets) = ClientRegistry::of_the_shop().unwrap();
    let find = |id| secrets.iter().find(|(other, _)| *other == id).unwrap().1.to_string();
    Shop { runner: find("bench-runner"), order: find("service-order"), registry }
}

fn defaults() -> GrantDefaults {
    GrantDefaults { token_ttl: Duration::from_secs(900), audience: "tollgate".into() }
}

/// What the auth server does with a request over a connection of this identity, in its order.
fn request(
    registry: &ClientRegistry,
    authorization: Option<&[u8]>,
    body: &[u8],
    identity: Option<&Identity>,
) -> Result<Grant, OAuthError> {
    let request = ClientRequest::parse(authorization, body)?;
    let client = match &request.proof {
        ClientProof::Secret(credentials) => match registry.check_secret(credentials) {
            SecretCheck::Proved(client) => client,
            SecretCheck::Wrong => return Err(OAuthError::INVALID_CLIENT),
            SecretCheck::Stretch(secret) => {
                let matches = secret.comparison(credentials)();
                secret.proved(matches).ok_or(OAuthError::INVALID_CLIENT)?
            }
        },
        ClientProof::Certificate(id) => registry.check_certificate(id, identity)?,
        ClientProof::Assertion(..) => return Err(OAuthError::INVALID_CLIENT),
    };
    registry.grant(client, &request, &defaults())
}

fn ask(shop: &Shop, id: &str, secret: &str, body: &str) -> Result<String, OAuthError> {
    let authorization = basic_authorization(id, secret);
    request(&shop.registry, Some(authorization.as_bytes()), body.as_bytes(), None)
        .map(|grant| format!("{} {} {}", grant.client_id, grant.ttl.as_secs(), grant.scopes))
}

#[test]
fn clients_get_the_requested_scopes_they_are_registered_for() {
    let shop = shop();
    let all = "orders.read orders.write inventory.read inventory.write benchmarks.execute \
               orders.read.all";
    let table = [
        (GOOD.to_owned(), all),
        (format!("{GOOD}&scope="), all),
        (format!("{GOOD}&scope=orders.read"), "orders.read"),
        (format!("scope=orders.write+orders.read&{GOOD}"), "orders.read orders.write"),
        (format!("{GOOD}&scope=orders%2Eread%20orders.write"), "orders.read orders.write"),
        (format!("{GOOD}&client_id=bench-runner&unknown=x"), all),
        (request_form(ScopeSet::parse("orders.read").unwrap()), "orders.read"),
        (request_form(ScopeSet::EMPTY), all),
    ];
    for (body, scopes) in table {
        let expected = format!("bench-runner 900 {scopes}");
        assert_eq!(ask(&shop, "bench-runner", &shop.runner, &body), Ok(expected), "{body}");
    }
    let granted = ask(&shop, "service-order", &shop.order, GOOD);
    assert_eq!(granted, Ok("service-order 900 inventory.write".into()));
}

#[test]
fn each_oauth_error_has_its_cause() {
    let shop = shop();
    let table = [
        (400, "invalid_request", String::new()),
        (400, "invalid_request", "scope=orders.read".into()),
        (400, "invalid_request", "grant_type=".into()),
        (400, "invalid_request", format!("{GOOD}&{GOOD}")),
        (400, "invalid_request", format!("{GOOD}&scope=orders.read&scope=orders.read")),
        (400, "invalid_request", format!("{GOOD}&scope=%zz")),
        (400, "invalid_request", format!("{GOOD}&client_secret={}", shop.runner)),
        (400, "invalid_request", format!("{GOOD}&client_id=service-order")),
        (400, "invalid_request", format!("{GOOD}&pad={}", "x".repeat(11_000))),
        (400, "unsupported_grant_type", "grant_type=password".into()),
        (400, "unsupported_grant_type", "grant_type=Client_Credentials".into()),
        (400, "invalid_scope", format!("{GOOD}&scope=admin")),
        (400, "invalid_scope", format!("{GOOD}&scope=orders.read++orders.write")),
        (400, "invalid_target", format!("{GOOD}&resource=https://shop.example")),
        (400, "invalid_request", format!("{GOOD}&client_assertion=a.b.c")),
        (400, "invalid_request", format!("{GOOD}&client_assertion_type=x")),
    ];
    for (status, code, body) in table {
        let refused = ask(&shop, "bench-runner", &shop.runner, &body).unwrap_err();
        assert_eq!((refused.status, refused.code), (status, code), "{body}");
        assert_eq!(refused.challenge("shop"), None);
    }
    let beyond = format!("{GOOD}&scope=orders.read");
    let refused = ask(&shop, "service-order", &shop.order, &beyond).unwrap_err();
    assert_eq!(refused.code, "invalid_scope");
}

/// RFC 6749 section 5.2: 401 with a challenge, and the same text for every reason.
#[test]
fn failed_client_authentication_gives_no_reason() {
    let shop = shop();
    let digest = "0".repeat(43);
    let pairs = [
        ("bench-runner", shop.order.as_str()),
        ("bench-runner", ""),
        ("bench-runner", &shop.runner[..42]),
        ("bench-runner", digest.as_str()),
        ("Bench-runner", shop.runner.as_str()),
        ("nobody", shop.runner.as_str()),
        ("bench-ui", ""),
        ("bench-ui", shop.runner.as_str()),
        ("", ""),
    ];
    let mut fields: Vec<Option<Vec<u8>>> = pairs
        .iter()
        .map(|(id, secret)| Some(basic_authorization(id, secret).as_bytes().to_vec()))
        .collect();
    fields.extend([
        None,
        Some(b"Basic".to_vec()),
        Some(b"Basic !!!".to_vec()),
        Some(b"Bearer abc".to_vec()),
        Some(format!("Basic {}", STANDARD.encode("bench-runner")).into_bytes()),
        Some(format!("Basic {}", STANDARD.encode("bench-runner:%")).into_bytes()),
    ]);
    for field in fields {
        let refused = request(&shop.registry, field.as_deref(), GOOD.as_bytes(), None).unwrap_err();
        assert_eq!((refused.status, refused.code), (401, "invalid_client"), "{field:?}");
        let challenge = refused.challenge("shop").unwrap();
        assert_eq!(challenge, r#"Basic realm="shop", charset="UTF-8""#);
        assert_eq!(
            refused.to_json(),
            "{\"error\":\"invalid_client\",\"error_description\":\"authenticate as the client was \
             registered, by client_secret_basic, private_key_jwt or tls_client_auth\"}"
        );
    }
}

/// What `curl -u` sends, without form encoding, is read the same, for our ids and secrets.
#[test]
fn plain_basic_credentials_work_too() {
    let shop = shop();
    let plain = format!("Basic {}", STANDARD.encode(format!("bench-runner:{}", shop.runner)));
    assert_eq!(plain, *basic_authorization("bench-runner", &shop.runner));
    assert!(request(&shop.registry, Some(plain.as_bytes()), GOOD.as_bytes(), None).is_ok());
}

#[test]
fn answers_are_read_as_they_are_written() {
    let shop = shop();
    let authorization = basic_authorization("service-order", &shop.order);
    let authorization = Some(authorization.as_bytes());
    let grant = request(&shop.registry, authorization, GOOD.as_bytes(), None).unwrap();
    let json = grant.response_json("a.b.c");
    assert_eq!(
        json,
        "{\"access_token\":\"a.b.c\",\"token_type\":\"Bearer\",\"expires_in\":900,\
         \"scope\":\"inventory.write\"}"
    );
    let read = TokenResponse::parse(json.as_bytes()).unwrap();
    assert_eq!((read.token.as_str(), read.ttl), ("a.b.c", Duration::from_secs(900)));
    assert!(!format!("{read:?}").contains("a.b.c"));
    let lower = r#"{"access_token":"a","token_type":"bearer","expires_in":1,"x":[]}"#;
    assert!(TokenResponse::parse(lower.as_bytes()).is_ok());
    for wrong in [
        "",
        "[]",
        r#"{"access_token":"a","token_type":"DPoP","expires_in":1}"#,
        r#"{"access_token":"","token_type":"Bearer","expires_in":1}"#,
        r#"{"access_token":"a b","token_type":"Bearer","expires_in":1}"#,
        r#"{"access_token":"a\r\nX: y","token_type":"Bearer","expires_in":1}"#,
        r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
        r#"{"error":"invalid_client"}"#,
    ] {
        assert_eq!(TokenResponse::parse(wrong.as_bytes()).err(), Some(Error::TokenResponse));
    }
}

/// A registry with one client, from the members of its entry.
fn registry_of(members: &str) -> ClientRegistry {
    let text = format!("[[clients]]\nid = \"a\"\nscopes = [\"orders.read\"]\n{members}");
    ClientRegistry::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_certificate_of_the_client_authenticates_it() {
    let members = "auth_methods = [\"tls_client_auth\"]\ncertificates = [\"a\", \"b\"]";
    let registry = registry_of(members);
    let named = |name: &str| Identity { name: Some(name.into()) };
    let ask = |registry: &ClientRegistry, identity: Option<Identity>| {
        let body = format!("{GOOD}&client_id=a");
        request(registry, None, body.as_bytes(), identity.as_ref()).map_err(|error| error.code)
    };
    assert!(ask(&registry, Some(named("a"))).is_ok() && ask(&registry, Some(named("b"))).is_ok());
    for other in [None, Some(Identity { name: None }), Some(named("c")), Some(named(""))] {
        assert_eq!(ask(&registry, other.clone()).err(), Some("invalid_client"), "{other:?}");
    }
    // Certificates that a client shows authenticate it only where its entry says so.
    let without = registry_of("certificates = [\"a\"]");
    assert_eq!(ask(&without, Some(named("a"))).err(), Some("invalid_client"));
    let (shop, _) = ClientRegistry::of_the_shop().unwrap();
    let body = format!("{GOOD}&client_id=bench-runner");
    let identity = named("bench-runner");
    assert!(request(&shop, None, body.as_bytes(), Some(&identity)).is_err());
}

#[test]
fn a_chosen_secret_is_stretched() {
    let hash = ClientSecret::Chosen(PasswordHash::derive(b"correct horse").unwrap());
    let members = format!("auth_methods = [\"client_secret_basic\"]\nsecret = \"{hash}\"");
    let registry = registry_of(&members);
    for (secret, granted) in [("correct horse", true), ("correct horsf", false), ("", false)] {
        let authorization = basic_authorization("a", secret);
        let field = Some(authorization.as_bytes());
        assert_eq!(request(&registry, field, GOOD.as_bytes(), None).is_ok(), granted, "{secret}");
    }
}

#[test]
fn resources_choose_the_audiences() {
    let members = "auth_methods = [\"tls_client_auth\"]\ncertificates = [\"a\"]\n\
                   audiences = [\"everywhere\"]\n[clients.resources]\n\
                   \"https://shop.example/orders\" = [\"gateway\", \"orders\"]\n\
                   \"https://shop.example/stock\" = [\"gateway\", \"inventory\"]\n";
    let registry = registry_of(members);
    let own = Identity { name: Some("a".into()) };
    let ask = |registry: &ClientRegistry, resources: &[&str]| {
        let mut body = format!("{GOOD}&client_id=a");
        resources.iter().for_each(|uri| body.push_str(&format!("&resource={uri}")));
        let grant = request(registry, None, body.as_bytes(), Some(&own));
        grant.map(|grant| grant.audiences.join(" ")).map_err(|error| error.code)
    };
    let (orders, stock) = ("https%3A%2F%2Fshop.example/orders", "https://shop.example/stock");
    assert_eq!(ask(&registry, &[]).as_deref(), Ok("everywhere"));
    assert_eq!(ask(&registry, &[orders]).as_deref(), Ok("gateway orders"));
    assert_eq!(ask(&registry, &[stock, orders]).as_deref(), Ok("gateway inventory orders"));
    assert_eq!(ask(&registry, &[orders, "https://shop.example"]), Err("invalid_target"));
    assert_eq!(ask(&registry, &["https://SHOP.example/stock"]), Err("invalid_target"));
    let plain = "auth_methods = [\"tls_client_auth\"]\ncertificates = [\"a\"]";
    assert_eq!(ask(&registry_of(plain), &[]).as_deref(), Ok("tollgate"));
}

#[test]
fn token_lives_come_from_the_entry_then_the_file_then_the_flag() {
    let entry = |ttl| format!("[[clients]]\nid = \"a\"\nscopes = []\n{ttl}");
    let table = [
        (entry(""), 900),
        (entry("token_ttl_s = 60"), 60),
        (format!("token_ttl_s = 300\n{}", entry("")), 300),
        (format!("token_ttl_s = 300\n{}", entry("token_ttl_s = 60")), 60),
    ];
    for (text, expected) in table {
        let registry = ClientRegistry::parse(text.as_bytes()).unwrap();
        let ttl = registry.token_ttl(registry.client("a").unwrap(), &defaults());
        assert_eq!(ttl.as_secs(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_requests_never_panic_and_never_pass(field: Vec<u8>, body: Vec<u8>) {
        let registry = ClientRegistry::new(Vec::new(), None).unwrap();
        prop_assert!(request(&registry, Some(&field), &body, None).is_err());
        prop_assert!(request(&registry, None, &body, None).is_err());
        let _ = ClientRegistry::parse(&body);
        let _ = ClientRegistry::parse_legacy(&body);
        let _ = TokenResponse::parse(&body);
    }
}
