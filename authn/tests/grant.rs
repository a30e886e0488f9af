//! Token requests as a table: what is granted, and each way to be refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use authn::ScopeSet;
use authn::error::Error;
use authn::grant::{
    ClientRegistry, OAuthError, RegisteredClient, TokenResponse, basic_authorization,
    generate_secret, request_form,
};
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

fn ask(shop: &Shop, id: &str, secret: &str, body: &str) -> Result<String, OAuthError> {
    let authorization = basic_authorization(id, secret);
    shop.registry
        .token_request(Some(authorization.as_bytes()), body.as_bytes())
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
        (format!("{GOOD}&client_id=bench-runner&resource=x"), all),
        (request_form(ScopeSet::parse("orders.read").unwrap()), "orders.read"),
        (request_form(ScopeSet::EMPTY), all),
    ];
    for (body, scopes) in table {
        let expected = format!("bench-runner 600 {scopes}");
        assert_eq!(ask(&shop, "bench-runner", &shop.runner, &body), Ok(expected), "{body}");
    }
    let granted = ask(&shop, "service-order", &shop.order, GOOD);
    assert_eq!(granted, Ok("service-order 600 inventory.write".into()));
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
        (400, "invalid_request", format!("{GOOD}&pad={}", "x".repeat(5000))),
        (400, "unsupported_grant_type", "grant_type=password".into()),
        (400, "unsupported_grant_type", "grant_type=Client_Credentials".into()),
        (400, "invalid_scope", format!("{GOOD}&scope=admin")),
        (400, "invalid_scope", format!("{GOOD}&scope=orders.read++orders.write")),
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
        let refused = shop.registry.token_request(field.as_deref(), GOOD.as_bytes()).unwrap_err();
        assert_eq!((refused.status, refused.code), (401, "invalid_client"), "{field:?}");
        let challenge = refused.challenge("shop").unwrap();
        assert_eq!(challenge, r#"Basic realm="shop", charset="UTF-8""#);
        assert_eq!(
            refused.to_json(),
            "{\"error\":\"invalid_client\",\"error_description\":\"authenticate with \
             client_secret_basic, with a registered id and its secret\"}"
        );
    }
}

/// What `curl -u` sends, without form encoding, is read the same, for our ids and secrets.
#[test]
fn plain_basic_credentials_work_too() {
    let shop = shop();
    let plain = format!("Basic {}", STANDARD.encode(format!("bench-runner:{}", shop.runner)));
    assert_eq!(plain, *basic_authorization("bench-runner", &shop.runner));
    assert!(shop.registry.token_request(Some(plain.as_bytes()), GOOD.as_bytes()).is_ok());
}

#[test]
fn a_registry_survives_its_file_and_keeps_no_secret() {
    let shop = shop();
    let json = shop.registry.to_json();
    assert!(!json.contains(&shop.runner) && !json.contains(&shop.order));
    let read = ClientRegistry::parse(json.as_bytes()).unwrap();
    assert_eq!(read.clients(), shop.registry.clients());
    assert_eq!(read.to_json(), json);
    let again = Shop { registry: read, ..shop };
    assert!(ask(&again, "service-order", &again.order, GOOD).is_ok());
    assert!(!format!("{:?}", again.registry).contains("digest"));
}

#[test]
fn registries_that_are_wrong_are_errors() {
    let client =
        |id: &str| RegisteredClient { id: id.into(), secret: None, scopes: ScopeSet::EMPTY };
    let new = |clients, ttl_s| {
        let registry = ClientRegistry::new(clients, Duration::from_secs(ttl_s));
        registry.err().map(|e| e.to_string())
    };
    assert_eq!(new(vec![], 600), None);
    assert!(new(vec![client("a"), client("a")], 600).unwrap().contains("twice"));
    assert!(new(vec![client("A b")], 600).unwrap().contains("cannot be a name"));
    for ttl in [0, 86_401] {
        assert!(new(vec![], ttl).unwrap().contains("token_ttl_s"));
    }
    let table = [
        "[]",
        "{}",
        r#"{"token_ttl_s":600,"clients":[{"id":"a"}]}"#,
        r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"admin"}]}"#,
        r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"","password":"x"}]}"#,
        r#"{"token_ttl_s":600,"clients":[["a",""]]}"#,
        r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"","secret":{"salt":"","sha256":""}}]}"#,
        r#"{"token_ttl_s":600,"clients":[],"clients":[]}"#,
    ];
    for json in table {
        let error = ClientRegistry::parse(json.as_bytes()).err();
        assert!(matches!(error, Some(Error::Clients(_))), "{json}: {error:?}");
    }
}

/// A secret in the place of its hash is a mistake that must not end up in a log.
#[test]
fn errors_do_not_quote_the_file() {
    let json = r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"","secret":"hunter2"}]}"#;
    let sentence = ClientRegistry::parse(json.as_bytes()).unwrap_err().to_string();
    assert!(sentence.contains("line 1") && !sentence.contains("hunter2"), "{sentence}");
}

#[test]
fn secrets_are_long_random_and_compared_whole() {
    let (one, two) = (generate_secret().unwrap(), generate_secret().unwrap());
    assert_eq!(one.secret.len(), 43);
    assert_ne!(one.secret, two.secret);
    assert!(one.hash.matches(one.secret.as_bytes()) && !one.hash.matches(two.secret.as_bytes()));
}

#[test]
fn answers_are_read_as_they_are_written() {
    let shop = shop();
    let authorization = basic_authorization("service-order", &shop.order);
    let grant =
        shop.registry.token_request(Some(authorization.as_bytes()), GOOD.as_bytes()).unwrap();
    let json = grant.response_json("a.b.c");
    assert_eq!(
        json,
        "{\"access_token\":\"a.b.c\",\"token_type\":\"Bearer\",\"expires_in\":600,\
         \"scope\":\"inventory.write\"}"
    );
    let read = TokenResponse::parse(json.as_bytes()).unwrap();
    assert_eq!((read.token.as_str(), read.ttl), ("a.b.c", Duration::from_secs(600)));
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

proptest! {
    #[test]
    fn arbitrary_requests_never_panic_and_never_pass(field: Vec<u8>, body: Vec<u8>) {
        let registry = ClientRegistry::new(Vec::new(), Duration::from_secs(600)).unwrap();
        prop_assert!(registry.token_request(Some(&field), &body).is_err());
        prop_assert!(registry.token_request(None, &body).is_err());
        let _ = ClientRegistry::parse(&body);
        let _ = TokenResponse::parse(&body);
    }
}
