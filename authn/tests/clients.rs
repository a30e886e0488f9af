//! The registry of clients as a file: what is read, what is refused, and the form of older
//! versions.

use std::time::Duration;

use authn::error::Error;
use authn::grant::{AuthMethod, ClientRegistry, RegisteredClient};
use authn::{Algorithm, KeySet, Signer};

fn error(text: &str) -> String {
    match ClientRegistry::parse(text.as_bytes()) {
        Err(error @ (Error::Clients(_) | Error::Name(_))) => error.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_registry_survives_its_file_and_keeps_no_secret() {
    let (registry, secrets) = ClientRegistry::of_the_shop().unwrap();
    let text = registry.to_toml();
    assert!(secrets.len() == 2 && secrets.iter().all(|(_, secret)| !text.contains(&**secret)));
    let read = ClientRegistry::parse(text.as_bytes()).unwrap();
    assert_eq!(read.to_toml(), text);
    let of = |id: &str| registry.client(id).unwrap();
    assert_eq!(of("bench-runner").secret, read.client("bench-runner").unwrap().secret);
    assert!(of("bench-runner").allows(AuthMethod::SecretBasic));
    assert!(of("bench-ui").methods.is_empty() && of("bench-ui").secret.is_none());
    assert_eq!(of("service-order").certificates, ["service-order".into(), "orders".into()]);
    assert!(!format!("{read:?}").contains("$sha256$"));
}

#[test]
fn every_member_is_kept() {
    let (_, signer) = Signer::generate(Algorithm::EdDsa).unwrap();
    let jwks = KeySet::of([&signer]).unwrap().to_json();
    let text = format!(
        "token_ttl_s = 60\n[[clients]]\nid = \"a.b-c\"\n\
         auth_methods = [\"private_key_jwt\", \"tls_client_auth\"]\njwks = '{jwks}'\n\
         certificates = [\"a\"]\nscopes = [\"orders.read\", \"orders.write\"]\n\
         audiences = [\"x\", \"y\"]\ntoken_ttl_s = 30\nbind = false\n\
         [clients.resources]\n\"https://a.example/b?c\" = [\"z\"]\n"
    );
    let registry = ClientRegistry::parse(text.as_bytes()).unwrap();
    let again = ClientRegistry::parse(registry.to_toml().as_bytes()).unwrap();
    assert_eq!(again.to_toml(), registry.to_toml());
    let client = again.client("a.b-c").unwrap();
    assert_eq!(client.keys.as_ref().unwrap().to_json(), jwks);
    assert_eq!(client.methods, [AuthMethod::PrivateKeyJwt, AuthMethod::TlsClientAuth]);
    assert_eq!(client.scopes.to_string(), "orders.read orders.write");
    assert_eq!(client.audiences, ["x".into(), "y".into()]);
    assert_eq!(client.token_ttl, Some(Duration::from_secs(30)));
    assert_eq!(&*client.resources[0].uri, "https://a.example/b?c");
    assert_eq!(client.resources[0].audiences, ["z".into()]);
}

/// Each entry is one of a client that is right in all else; the error names what is wrong.
#[test]
fn entries_that_are_wrong_are_errors() {
    let sha = format!("secret = \"$sha256${}${}\"", "A".repeat(22), "A".repeat(43));
    let basic = "auth_methods = [\"client_secret_basic\"]";
    let table = [
        (basic.into(), "needs the member secret"),
        ("auth_methods = [\"private_key_jwt\"]".into(), "needs the member jwks"),
        ("auth_methods = [\"tls_client_auth\"]".into(), "needs the member certificates"),
        ("auth_methods = [\"client_secret_post\"]".into(), "known are client_secret_basic"),
        (sha.clone(), "of no use unless auth_methods has client_secret_basic"),
        (format!("{basic}\nsecret = \"hunter2\""), "secret: it is neither"),
        (format!("{basic}\nsecret = \"$sha256$AA$AA\""), "secret: it is not $sha256$"),
        ("jwks = '{\"keys\":[]}'".into(), "jwks: the key set is empty"),
        ("jwks = '{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}'".into(), "jwks: no key"),
        ("certificates = [\"A b\"]".into(), "cannot be a certificate's name"),
        ("audiences = [\"\"]".into(), "audience"),
        ("audiences = [\"a\\u0000\"]".into(), "audience"),
        ("token_ttl_s = 0".into(), "token_ttl_s"),
        ("token_ttl_s = 86401".into(), "token_ttl_s"),
        ("bind = true".into(), "certificate-bound"),
        ("[clients.resources]\n\"/orders\" = [\"a\"]".into(), "absolute URI"),
        ("[clients.resources]\n\"https://a/#b\" = [\"a\"]".into(), "absolute URI"),
        ("[clients.resources]\n\"https://a/\" = []".into(), "no audience"),
        ("[clients.resources]\n\"https://a/\" = \"a\"".into(), "line 5"),
        ("password = \"hunter2\"".into(), "line 4"),
        ("id = \"b\"".into(), "line 4"),
        ("scopes = 3".into(), "line 4"),
        ("auth_methods = [".into(), "line "),
        ("token_ttl_s = -1".into(), "line 4"),
        ("[[clients]]\nid = \"a\"\nscopes = []".into(), "twice"),
        ("[[clients]]\nid = \"A b\"\nscopes = []".into(), "cannot be a name"),
        ("[[clients]]\nid = \"b\"\nscopes = [\"root\"]".into(), "known are orders.read"),
        ("[[clients]]\nid = \"b\"".into(), "line 4"),
    ];
    for (members, part) in table {
        let text = format!("[[clients]]\nid = \"a\"\nscopes = []\n{members}\n");
        let sentence = error(&text);
        assert!(sentence.contains(part), "{members}: {sentence}");
        assert!(!sentence.contains("hunter2"), "it quotes a secret: {sentence}");
    }
    assert!(error("token_ttl_s = 0").contains("token_ttl_s"));
    let many: String =
        (0..1025).map(|n| format!("[[clients]]\nid = \"a{n}\"\nscopes = []\n")).collect();
    assert!(error(&many).contains("more than 1024"));
    assert!(error(&" ".repeat(1024 * 1024 + 1)).contains("1 MiB"));
}

#[test]
fn an_empty_file_is_a_registry_without_clients() {
    assert!(ClientRegistry::parse(b"").unwrap().clients().is_empty());
    assert!(ClientRegistry::new(vec![RegisteredClient::default()], None).is_err());
}

/// As version 0.1.0 wrote it, with the hash of the secret `0123456789`.
const LEGACY: &str = r#"{"token_ttl_s": 600, "clients": [
    {"id": "service-order", "scope": "inventory.write", "secret": {
        "salt": "AAECAwQFBgcICQoLDA0ODw",
        "sha256": "QvbXb9gbAdfwnacLOWy8SGS3Ew-SN9RBVJ6gUILkJks"}},
    {"id": "bench-ui", "scope": "orders.read"}]}"#;

#[test]
fn the_form_of_older_versions_is_converted() {
    let registry = ClientRegistry::parse_legacy(LEGACY.as_bytes()).unwrap();
    let read = ClientRegistry::parse(registry.to_toml().as_bytes()).unwrap();
    let order = read.client("service-order").unwrap();
    assert_eq!(order.methods, [AuthMethod::SecretBasic]);
    assert_eq!(order.certificates, ["service-order".into(), "orders".into()]);
    let Some(authn::grant::ClientSecret::Random(hash)) = &order.secret else { panic!() };
    assert!(hash.matches(b"0123456789") && !hash.matches(b"012345678"));
    assert!(read.client("bench-ui").unwrap().methods.is_empty());
    // The lifetime in the file had no effect, and the conversion gives it none.
    assert!(!registry.to_toml().contains("token_ttl_s"));
    let table = [
        "[]",
        "{}",
        r#"{"token_ttl_s":600,"clients":[{"id":"a"}]}"#,
        r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"admin"}]}"#,
        r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"","password":"hunter2"}]}"#,
        r#"{"token_ttl_s":600,"clients":[["a",""]]}"#,
        r#"{"token_ttl_s":600,"clients":[{"id":"a","scope":"","secret":{"salt":"","sha256":""}}]}"#,
        r#"{"token_ttl_s":600,"clients":[],"clients":[]}"#,
    ];
    for json in table {
        let error = ClientRegistry::parse_legacy(json.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Clients(_)), "{json}: {error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
