//! Assertions as a table, each wrong in one thing, and the memory of those that were used.

use proptest::prelude::*;

use super::*;
use crate::Algorithm;
use crate::grant::replay::SeenAssertions;
use crate::token::jwt::{NewClaims, Signer};

const ISSUER: &str = "https://issuer.example";
const ENDPOINT: &str = "https://issuer.example/oauth2/token";
const START: u64 = 1_700_000_000;
/// Long after the start, so that every assertion is from after it.
const NOW: u64 = START + 10_000;
const LEEWAY: u64 = 5;

const RSA_KEY: &[u8] = include_bytes!("../../../tests/data/test_rsa.key");

fn at(second: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(second))
}

fn rules() -> AssertionRules {
    AssertionRules::new(ISSUER, ENDPOINT, at(START), Duration::from_secs(LEEWAY))
}

fn signer(algorithm: Algorithm) -> Signer {
    match algorithm {
        Algorithm::Rs256 => Signer::from_pem(algorithm, RSA_KEY, None).unwrap(),
        _ => Signer::generate(algorithm).unwrap().1,
    }
}

/// A registry with the client `job` and these keys, and one with a secret only.
fn registry(signers: &[&Signer]) -> ClientRegistry {
    let jwks = KeySet::of(signers.iter().copied()).unwrap().to_json();
    let text = format!(
        "[[clients]]\nid = \"job\"\nauth_methods = [\"private_key_jwt\"]\njwks = '{jwks}'\n\
         scopes = []\n[[clients]]\nid = \"other\"\nscopes = []\n"
    );
    ClientRegistry::parse(text.as_bytes()).unwrap()
}

fn jwt(signer: &Signer, header: &str, payload: &str) -> String {
    let text = |bytes: &str| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", text(header), text(payload));
    let signature = signer.signature(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Claims that are right at `now_s`, with other members behind: the last of a name counts here.
fn claims(now_s: u64, changed: &str) -> String {
    let mut all = serde_json::json!({
        "iss": "job", "sub": "job", "aud": ISSUER, "exp": now_s + 60, "iat": now_s, "jti": "1",
    });
    let changed: serde_json::Value = serde_json::from_str(changed).unwrap();
    for (name, value) in changed.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    all.to_string()
}

fn header(signer: &Signer) -> String {
    format!(r#"{{"alg":"{}","typ":"JWT","kid":"{}"}}"#, signer.algorithm(), signer.key_id())
}

#[test]
fn a_client_is_known_by_what_it_signed() {
    for algorithm in Algorithm::ALL {
        let signer = signer(algorithm);
        let registry = registry(&[&signer]);
        let headers = [
            header(&signer),
            format!(r#"{{"alg":"{algorithm}"}}"#),
            format!(r#"{{"alg":"{algorithm}","typ":"client-authentication+jwt"}}"#),
            format!(r#"{{"alg":"{algorithm}","typ":"application/JWT"}}"#),
        ];
        let changed = ["{}", r#"{"aud":["https://issuer.example"]}"#, r#"{"nbf":1}"#];
        for (header, changed) in headers.iter().flat_map(|h| changed.map(|c| (h, c))) {
            let jwt = jwt(&signer, header, &claims(NOW, changed));
            for client_id in [None, Some("job")] {
                let assertion = registry.check_assertion(&jwt, client_id, &rules(), at(NOW));
                let assertion = assertion.unwrap();
                assert_eq!(&*assertion.client.client().id, "job");
                assert_eq!(assertion.until_s, NOW + 60 + LEEWAY);
            }
        }
        let to_endpoint =
            jwt(&signer, &headers[0], &claims(NOW, &format!(r#"{{"aud":"{ENDPOINT}"}}"#)));
        assert!(registry.check_assertion(&to_endpoint, None, &rules(), at(NOW)).is_ok());
    }
}

#[test]
fn claims_that_are_wrong_are_refused_for_their_reason() {
    use AssertionError as E;
    let signer = signer(Algorithm::Es256);
    let registry = registry(&[&signer]);
    let long = format!(r#"{{"jti":"{}"}}"#, "x".repeat(257));
    let number = |name: &str, value: u64| format!(r#"{{"{name}":{value}}}"#);
    let table = [
        (r#"{"sub":"other"}"#.into(), E::Unverified),
        (r#"{"iss":"other"}"#.into(), E::Unverified),
        (r#"{"iss":"other","sub":"other"}"#.into(), E::Unverified),
        (r#"{"iss":"nobody","sub":"nobody"}"#.into(), E::Unverified),
        (r#"{"iss":"https://issuer.example"}"#.into(), E::Unverified),
        (r#"{"sub":null}"#.into(), E::Unverified),
        (r#"{"exp":null}"#.into(), E::Unverified),
        (r#"{"jti":null}"#.into(), E::Unverified),
        (r#"{"aud":null}"#.into(), E::Unverified),
        (r#"{"exp":"1"}"#.into(), E::Unverified),
        (r#"{"aud":"https://other.example"}"#.into(), E::Audience),
        (r#"{"aud":"https://issuer.example/"}"#.into(), E::Audience),
        (format!(r#"{{"aud":["{ISSUER}","{ENDPOINT}"]}}"#), E::Audience),
        (format!(r#"{{"aud":["{ISSUER}","https://other.example"]}}"#), E::Audience),
        (number("exp", NOW - LEEWAY), E::Expired),
        (number("exp", NOW + 301 + LEEWAY), E::LivesTooLong),
        (number("exp", 253_402_300_799), E::LivesTooLong),
        (number("exp", u64::MAX), E::Unverified),
        (number("iat", NOW + 1 + LEEWAY), E::NotYetValid),
        (number("nbf", NOW + 1 + LEEWAY), E::NotYetValid),
        (r#"{"jti":""}"#.into(), E::Id),
        (long, E::Id),
    ];
    for (changed, expected) in table {
        let jwt = jwt(&signer, &header(&signer), &claims(NOW, &changed));
        let found = registry.check_assertion(&jwt, None, &rules(), at(NOW)).err();
        assert_eq!(found, Some(expected), "{changed}");
        let refused = OAuthError::from(expected);
        assert_eq!((refused.status, refused.code), (401, "invalid_client"));
    }
    let good = jwt(&signer, &header(&signer), &claims(NOW, "{}"));
    let other = registry.check_assertion(&good, Some("other"), &rules(), at(NOW));
    assert_eq!(other.err(), Some(E::OtherClient));
}

#[test]
fn other_jwts_and_other_keys_prove_nobody() {
    let (own, other) = (signer(Algorithm::Es256), signer(Algorithm::Es256));
    let registry = registry(&[&own]);
    let good = claims(NOW, "{}");
    let kid = own.key_id();
    let mut wrong = vec![
        String::new(),
        "a.b".into(),
        "a.b.c".into(),
        format!("{}.", jwt(&own, &header(&own), &good)),
        format!("{}.AA", jwt(&own, &header(&own), &good)),
        jwt(&other, &header(&own), &good),
        jwt(&other, &header(&other), &good),
        jwt(&own, r#"{"alg":"ES256","kid":"another"}"#, &good),
        jwt(&own, "{}", &good),
        jwt(&own, &header(&own), "[]"),
        jwt(&own, &header(&own), &claims(NOW, &format!(r#"{{"x":"{}"}}"#, "x".repeat(4096)))),
    ];
    for alg in ["none", "HS256", "RS256", "EdDSA", "es256", ""] {
        wrong.push(jwt(&own, &format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#), &good));
    }
    for typ in ["at+jwt", "application/at+jwt", "dpop+jwt", "", "JOSE"] {
        wrong.push(jwt(&own, &format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"{kid}"}}"#), &good));
    }
    wrong.push(jwt(&own, &format!(r#"{{"alg":"ES256","crit":["exp"],"kid":"{kid}"}}"#), &good));
    for jwt in wrong {
        let found = registry.check_assertion(&jwt, None, &rules(), at(NOW)).err();
        assert_eq!(found, Some(AssertionError::Unverified), "{jwt}");
    }
    // Two keys of one algorithm: the header must say which.
    let both = self::registry(&[&own, &other]);
    let unnamed = jwt(&own, r#"{"alg":"ES256"}"#, &good);
    assert!(both.check_assertion(&unnamed, None, &rules(), at(NOW)).is_err());
    assert!(registry.check_assertion(&unnamed, None, &rules(), at(NOW)).is_ok());
}

/// Even where the authorization server's own key is registered for a client.
#[test]
fn an_access_token_is_no_assertion() {
    let issuer = signer(Algorithm::Es256);
    let registry = registry(&[&issuer]);
    let token = issuer.sign(&NewClaims {
        issuer: "job",
        audience: ISSUER,
        subject: "job",
        client_id: "job",
        scopes: crate::ScopeSet::EMPTY,
        issued_at: NOW,
        expires_at: NOW + 60,
        token_id: "1",
    });
    let found = registry.check_assertion(&token.unwrap(), Some("job"), &rules(), at(NOW)).err();
    assert_eq!(found, Some(AssertionError::Unverified));
}

#[test]
fn an_assertion_authenticates_once() {
    let signer = signer(Algorithm::Es256);
    let registry = registry(&[&signer]);
    let mut seen = SeenAssertions::default();
    let mut send = |registry: &ClientRegistry, changed: &str, sent_s: u64| {
        let jwt = jwt(&signer, &header(&signer), &claims(NOW, changed));
        let assertion = registry.check_assertion(&jwt, None, &rules(), at(sent_s))?;
        seen.accept(assertion, registry, at(sent_s)).map(|client| client.client().id.clone())
    };
    assert_eq!(send(&registry, "{}", NOW).as_deref(), Ok("job"));
    assert_eq!(send(&registry, "{}", NOW), Err(AssertionError::Used));
    assert_eq!(send(&registry, "{}", NOW + 64), Err(AssertionError::Used));
    assert_eq!(send(&registry, r#"{"jti":"2"}"#, NOW).as_deref(), Ok("job"));
    // Another assertion of the same id counts as used until the first has ended.
    let later = format!(r#"{{"exp":{}}}"#, NOW + 200);
    assert_eq!(send(&registry, &later, NOW + 64), Err(AssertionError::Used));
    assert_eq!(send(&registry, &later, NOW + 65).as_deref(), Ok("job"));
    // A clock that was set back does not bring an assertion back that had ended.
    assert_eq!(send(&registry, "{}", NOW + 1), Err(AssertionError::Expired));
}

#[test]
fn a_full_share_refuses_and_forgets_nothing() {
    let signer = signer(Algorithm::EdDsa);
    let registry = registry(&[&signer]);
    let mut seen = SeenAssertions::default();
    let mut send = |id: usize, sent_s: u64| {
        let changed = format!(r#"{{"jti":"{id}","exp":{}}}"#, NOW + 60 + id as u64 % 2);
        let jwt = jwt(&signer, &header(&signer), &claims(NOW, &changed));
        let assertion = registry.check_assertion(&jwt, None, &rules(), at(sent_s)).unwrap();
        seen.accept(assertion, &registry, at(sent_s)).map(|_| ())
    };
    assert!((0..4096).all(|id| send(id, NOW).is_ok()));
    let full = AssertionError::Full(Duration::from_secs(65));
    assert_eq!(send(5001, NOW), Err(full));
    let refused = OAuthError::from(full);
    assert_eq!((refused.status, refused.retry_after), (429, Some(Duration::from_secs(65))));
    assert_eq!(send(1, NOW), Err(AssertionError::Used), "nothing was forgotten");
    // Half of them have ended a second before the others.
    assert_eq!(send(5001, NOW + 65), Ok(()));
    assert_eq!(send(1, NOW + 65), Err(AssertionError::Used));
}

proptest! {
    /// An assertion that some process could have accepted before it ended is never accepted by the
    /// next one, whenever that begins and whatever its times say.
    #[test]
    fn what_was_used_before_the_start_is_refused_after_it(
        used_s in NOW..NOW + 400,
        restart in 0_u64..400,
        exp in 0_u64..400,
        iat in proptest::option::of(0_u64..420),
        again in 0_u64..400,
    ) {
        let signer = signer(Algorithm::EdDsa);
        let registry = registry(&[&signer]);
        let iat = iat.map_or("null".into(), |iat| (used_s - 400 + iat).to_string());
        let changed = format!(r#"{{"exp":{},"iat":{iat}}}"#, used_s + exp);
        let jwt = jwt(&signer, &header(&signer), &claims(NOW, &changed));
        let before = registry.check_assertion(&jwt, None, &rules(), at(used_s));
        if before.is_ok() {
            let start = used_s + restart;
            let rules =
                AssertionRules::new(ISSUER, ENDPOINT, at(start), Duration::from_secs(LEEWAY));
            let after = registry.check_assertion(&jwt, None, &rules, at(start + again));
            prop_assert!(after.is_err());
        }
    }

    /// Five minutes after a start every assertion is taken that its own times allow.
    #[test]
    fn the_start_is_forgotten_after_five_minutes(later in 306_u64..1000, exp in 1_u64..300) {
        let signer = signer(Algorithm::EdDsa);
        let registry = registry(&[&signer]);
        let now_s = START + later;
        let changed = format!(r#"{{"exp":{},"iat":null}}"#, now_s + exp);
        let jwt = jwt(&signer, &header(&signer), &claims(now_s, &changed));
        prop_assert!(registry.check_assertion(&jwt, None, &rules(), at(now_s)).is_ok());
        let soon = START + LEEWAY + 1;
        let jwt = self::jwt(&signer, &header(&signer), &claims(soon, "{}"));
        prop_assert!(registry.check_assertion(&jwt, None, &rules(), at(soon)).is_ok());
    }
}
