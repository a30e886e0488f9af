//! Tokens that are recognised or not, and who learns of them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::Algorithm;
use crate::grant::clients::ClientRegistry;
use crate::scope::ScopeSet;
use crate::token::jwt::{NewClaims, Signer};

const ISSUER: &str = "https://issuer.example";
const NOW: u64 = 1_700_000_000;

fn at(second: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(second))
}

fn claims(token_id: &str) -> NewClaims<'_> {
    NewClaims {
        issuer: ISSUER,
        audience: "any",
        subject: "job",
        client_id: "job",
        scopes: ScopeSet::parse("orders.read orders.write").unwrap(),
        issued_at: NOW,
        expires_at: NOW + 60,
        token_id,
    }
}

/// Three clients: the token's, one that may ask about all, and another.
fn registry() -> ClientRegistry {
    let text = "[[clients]]\nid = \"job\"\nscopes = []\n\
                [[clients]]\nid = \"gate\"\nscopes = [\"tokens.introspect\"]\n\
                [[clients]]\nid = \"other\"\nscopes = [\"orders.read\"]\n";
    ClientRegistry::parse(text.as_bytes()).unwrap()
}

fn asking<'r>(registry: &'r ClientRegistry, id: &str) -> Authenticated<'r> {
    Authenticated::new(registry.client(id).unwrap())
}

#[test]
fn tokens_of_this_server_are_recognised_until_they_end() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (_, signer) = Signer::generate(algorithm).unwrap();
        let keys = KeySet::of([&signer]).unwrap();
        let token = signer.sign_for(&["a", "b"], &claims("1")).unwrap();
        let read = |token: &str, now_s| IssuedToken::read(token, &keys, ISSUER, at(now_s));
        assert_eq!(read(&token, NOW + 59).unwrap().client_id(), "job");
        assert!(read(&token, NOW + 60).is_none());
        assert!(IssuedToken::read(&token, &keys, "https://other.example", at(NOW)).is_none());
        let (_, stranger) = Signer::generate(algorithm).unwrap();
        let other = KeySet::of([&stranger]).unwrap();
        assert!(IssuedToken::read(&token, &other, ISSUER, at(NOW)).is_none());
        let cut = &token[..token.len() - 4];
        for wrong in ["", "a.b.c", cut, &format!("{token}.a"), &token.replace('.', "")] {
            assert!(read(wrong, NOW).is_none(), "{wrong}");
        }
        // Signed here, and not as an access token.
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{}"}}"#, signer.key_id());
        let payload = token.split('.').nth(1).unwrap();
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
        let signature = URL_SAFE_NO_PAD.encode(signer.signature(signed.as_bytes()).unwrap());
        assert!(read(&format!("{signed}.{signature}"), NOW).is_none());
    }
}

#[test]
fn its_client_and_those_with_the_scope_learn_of_a_token_until_it_is_revoked() {
    let (_, signer) = Signer::generate(Algorithm::Es256).unwrap();
    let keys = KeySet::of([&signer]).unwrap();
    let registry = registry();
    let token = signer.sign_for(&["a", "b"], &claims("1")).unwrap();
    let token = IssuedToken::read(&token, &keys, ISSUER, at(NOW)).unwrap();
    let mut revoked = RevokedTokens::default();
    for id in ["job", "gate"] {
        let told = token.introspection(asking(&registry, id), &revoked);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            told,
            json!({
                "active": true, "token_type": "Bearer", "iss": ISSUER, "aud": ["a", "b"],
                "sub": "job", "client_id": "job", "jti": "1",
                "scope": "orders.read orders.write", "iat": NOW, "exp": NOW + 60,
            })
        );
    }
    assert_eq!(token.introspection(asking(&registry, "other"), &revoked), INACTIVE_JSON);
    for (id, may) in [("job", true), ("gate", false), ("other", false)] {
        assert_eq!(token.check_revoker(asking(&registry, id)).is_ok(), may, "{id}");
    }
    for _ in 0..2 {
        revoked.revoke(token.id(), token.expires_at(), at(NOW)).unwrap();
    }
    for id in ["job", "gate", "other"] {
        assert_eq!(token.introspection(asking(&registry, id), &revoked), INACTIVE_JSON);
    }
}
