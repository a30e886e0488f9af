//! Tokens that are as they should be, and tokens that are not, as tables. Deviant tokens are signed
//! with a key that the verifier trusts, so that each is refused for the reason under test alone.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use proptest::prelude::*;
use ring::hmac;
use rustls::pki_types::UnixTime;

use super::*;
use crate::error::TokenError;
use crate::scope::Scope;
use crate::token::jwks::KeySet;

const NOW: u64 = 1_700_000_000;

fn at(second: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(second))
}
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "orders-api";
const GOOD: &str = r#"{"iss":"https://issuer.example","aud":"orders-api","sub":"client-1",
    "client_id":"client-1","jti":"1","scope":"orders.read orders.write","iat":1700000000,
    "exp":1700000600}"#;

/// An RSA key of 2048 bits, made for these tests by openssl genpkey; ring makes none.
const RSA_KEY: &[u8] = include_bytes!("../../../tests/data/test_rsa.key");

fn signer(algorithm: Algorithm) -> Signer {
    match algorithm {
        Algorithm::Rs256 => Signer::from_pem(algorithm, RSA_KEY, None).unwrap(),
        _ => Signer::generate(algorithm).unwrap().1,
    }
}

fn verifier(signer: &Signer) -> Verifier {
    Expected::new(ISSUER, AUDIENCE).verifier(KeySet::of([signer]).unwrap())
}

fn good_claims() -> NewClaims<'static> {
    NewClaims {
        issuer: ISSUER,
        audience: AUDIENCE,
        subject: "subject-1",
        client_id: "client-1",
        scopes: ScopeSet::parse("orders.read inventory.write").unwrap(),
        issued_at: NOW,
        expires_at: NOW + 600,
        token_id: "id",
    }
}

/// A token of any header and payload with a right signature.
fn token(signer: &Signer, header: &str, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = signer.signature(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64.encode(signature))
}

fn header(signer: &Signer) -> String {
    format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{}"}}"#, signer.algorithm(), signer.key_id())
}

#[test]
fn each_algorithm_verifies_what_it_signed() {
    for algorithm in Algorithm::ALL {
        let signer = signer(algorithm);
        let token = signer.sign(&good_claims()).unwrap();
        let access = verifier(&signer).verify(token.as_bytes(), at(NOW)).unwrap();
        let expected = Access {
            client_id: "client-1".into(),
            subject: "subject-1".into(),
            token_id: "id".into(),
            scopes: [Scope::OrdersRead, Scope::InventoryWrite].into_iter().collect(),
            begins_at: NOW,
            expires_at: NOW + 600,
            algorithm,
            key_id: signer.key_id().into(),
        };
        assert_eq!(access, expected);
    }
}

#[test]
fn another_key_under_the_same_kid_is_refused() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (ours, _) = Signer::generate(algorithm).unwrap();
        let ours = Signer::from_pkcs8(algorithm, &ours, Some("k")).unwrap();
        let (theirs, _) = Signer::generate(algorithm).unwrap();
        let theirs = Signer::from_pkcs8(algorithm, &theirs, Some("k")).unwrap();
        let token = theirs.sign(&good_claims()).unwrap();
        assert_eq!(verifier(&ours).verify(token.as_bytes(), at(NOW)), Err(TokenError::Signature));
    }
}

/// Headers, and why each is refused. KID stands for the key's.
const HEADERS: &[(&str, Option<TokenError>)] = &[
    (r#"{"alg":"ES256","typ":"AT+JWT","kid":"KID"}"#, None),
    (r#"{"alg":"ES256","typ":"application/at+jwt","kid":"KID","jku":"https://x"}"#, None),
    (r#"{"alg":"ES256","typ":"APPLICATION/at+JWT","kid":"KID","jwk":{"kty":"EC"}}"#, None),
    (r#"{"alg":"ES256","typ":"JWT","kid":"KID"}"#, Some(TokenError::Type)),
    (r#"{"alg":"ES256","typ":"at+jwt ","kid":"KID"}"#, Some(TokenError::Type)),
    (r#"{"alg":"ES256","typ":"xapplication/at+jwt","kid":"KID"}"#, Some(TokenError::Type)),
    (r#"{"alg":"ES256","kid":"KID"}"#, Some(TokenError::Type)),
    (r#"{"alg":"ES256","typ":"at+jwt"}"#, Some(TokenError::KeyIdMissing)),
    (r#"{"alg":"ES256","typ":"at+jwt","kid":""}"#, Some(TokenError::UnknownKey)),
    (r#"{"alg":"ES256","typ":"at+jwt","kid":"other"}"#, Some(TokenError::UnknownKey)),
    (r#"{"alg":"none","typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Algorithm)),
    (r#"{"alg":"None","typ":"at+jwt","kid":"other"}"#, Some(TokenError::Algorithm)),
    (r#"{"alg":"HS256","typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Algorithm)),
    (r#"{"alg":"es256","typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Algorithm)),
    (r#"{"alg":"EdDSA","typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Algorithm)),
    (r#"{"alg":"RS256","typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Algorithm)),
    (
        r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","crit":["exp"],"exp":1}"#,
        Some(TokenError::Critical),
    ),
    (r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","crit":[]}"#, Some(TokenError::Critical)),
    (r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","b64":false}"#, Some(TokenError::Critical)),
    (r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","b64":true}"#, Some(TokenError::Critical)),
    (r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","crit":null}"#, Some(TokenError::Critical)),
    (r#"{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Header)),
    (r#"{"typ":"at+jwt","kid":"KID"}"#, Some(TokenError::Header)),
    (r#"["ES256","at+jwt","KID",false]"#, Some(TokenError::Header)),
    (r#""ES256""#, Some(TokenError::Header)),
    (r"null", Some(TokenError::Header)),
];

#[test]
fn headers_that_deviate_are_refused() {
    use TokenError as T;
    let signer = signer(Algorithm::Es256);
    let verifier = verifier(&signer);
    for &(header, refused) in HEADERS {
        let token = token(&signer, &header.replace("KID", signer.key_id()), GOOD);
        assert_eq!(verifier.verify(token.as_bytes(), at(NOW)).err(), refused, "{header}");
    }
    let long = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, "k".repeat(800));
    let token = token(&signer, &long, GOOD);
    assert_eq!(verifier.verify(token.as_bytes(), at(NOW)), Err(T::Header));
}

/// RFC 9864: a token may call the algorithm of its key by either name, unless the key pins one.
#[test]
fn both_names_of_ed25519_verify_unless_the_key_names_one() {
    let signer = signer(Algorithm::EdDsa);
    let named = |alg| header(&signer).replace("EdDSA", alg);
    let table = [
        (None, "EdDSA", None),
        (None, "Ed25519", None),
        (Some("EdDSA"), "EdDSA", None),
        (Some("EdDSA"), "Ed25519", Some(TokenError::Algorithm)),
        (Some("Ed25519"), "Ed25519", None),
        (Some("Ed25519"), "EdDSA", Some(TokenError::Algorithm)),
    ];
    for (pinned, alg, refused) in table {
        let key = signer.public_key().clone().with_alg(pinned);
        let verifier =
            Expected::new(ISSUER, AUDIENCE).verifier(KeySet::from_keys(vec![key]).unwrap());
        let token = token(&signer, &named(alg), GOOD);
        let judged = verifier.verify(token.as_bytes(), at(NOW));
        assert_eq!(judged.as_ref().err(), refused.as_ref(), "{pinned:?} {alg}");
        assert!(judged.is_err() || judged.is_ok_and(|a| a.algorithm == Algorithm::EdDsa));
    }
}

/// Changes of [`GOOD`], and why each is refused.
const CLAIMS: &[(&str, &str, Option<TokenError>)] = &[
    (r#""aud":"orders-api""#, r#""aud":["other","orders-api"]"#, None),
    (r#""aud":"orders-api""#, r#""aud":["other"]"#, Some(TokenError::Audience)),
    (r#""aud":"orders-api""#, r#""aud":"orders-ap""#, Some(TokenError::Audience)),
    (r#""aud":"orders-api""#, r#""aud":"Orders-api""#, Some(TokenError::Audience)),
    (r#""aud":"orders-api""#, r#""x":1"#, Some(TokenError::ClaimMissing)),
    (r#""aud":"orders-api""#, r#""aud":[]"#, Some(TokenError::Claims)),
    (r#""aud":"orders-api""#, r#""aud":"""#, Some(TokenError::Audience)),
    (
        r#""iss":"https://issuer.example""#,
        r#""iss":"https://issuer.example/""#,
        Some(TokenError::Issuer),
    ),
    (r#""iss":"https://issuer.example""#, r#""x":1"#, Some(TokenError::ClaimMissing)),
    (r#""iss":"https://issuer.example""#, r#""iss":null"#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""exp":1699999996"#, Some(TokenError::Lifetime)),
    (r#""exp":1700000600"#, r#""exp":1699999995"#, Some(TokenError::Expired)),
    (r#""exp":1700000600"#, r#""exp":1699999995.9"#, Some(TokenError::Expired)),
    (r#""exp":1700000600"#, r#""exp":1700000600.999"#, None),
    (r#""exp":1700000600"#, r#""exp":17000006e2"#, None),
    (r#""exp":1700000600"#, r#""exp":1700086400"#, None),
    (r#""exp":1700000600"#, r#""exp":1700086400.9"#, None),
    (r#""exp":1700000600"#, r#""exp":1700086401"#, Some(TokenError::Lifetime)),
    (r#""exp":1700000600"#, r#""exp":253402300799"#, Some(TokenError::Lifetime)),
    (r#""exp":1700000600"#, r#""exp":253402300800"#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""exp":18446744073709551615"#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""exp":18446744073709551617"#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""exp":0"#, Some(TokenError::Expired)),
    (r#""exp":1700000600"#, r#""exp":-1"#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""exp":"1700000600""#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""exp":null"#, Some(TokenError::Claims)),
    (r#""exp":1700000600"#, r#""x":1"#, Some(TokenError::ClaimMissing)),
    (r#""exp":1700000600"#, r#""exp":1700000600,"exp":1700000601"#, Some(TokenError::Claims)),
    (r#""iat":1700000000"#, r#""iat":1700000005"#, None),
    (r#""iat":1700000000"#, r#""iat":1700000006"#, Some(TokenError::NotYetValid)),
    (r#""iat":1700000000"#, r#""iat":1699914200"#, None),
    (r#""iat":1700000000"#, r#""iat":1699914199"#, Some(TokenError::Lifetime)),
    (r#""iat":1700000000"#, r#""iat":1"#, Some(TokenError::Lifetime)),
    (r#""iat":1700000000"#, r#""iat":1700000000,"nbf":1700000005"#, None),
    (r#""iat":1700000000"#, r#""iat":1700000000,"nbf":1700000006"#, Some(TokenError::NotYetValid)),
    (
        r#""iat":1700000000"#,
        r#""iat":1700000000,"nbf":253402300799"#,
        Some(TokenError::NotYetValid),
    ),
    (r#""iat":1700000000"#, r#""iat":1700000000,"nbf":"1""#, Some(TokenError::Claims)),
    (r#""iat":1700000000"#, r#""iat":1700000000,"nbf":-1"#, Some(TokenError::Claims)),
    (r#""iat":1700000000"#, r#""iat":-1"#, Some(TokenError::Claims)),
    (r#""iat":1700000000"#, r#""iat":"1700000000""#, Some(TokenError::Claims)),
    (r#""iat":1700000000"#, r#""x":1"#, Some(TokenError::ClaimMissing)),
    (r#""sub":"client-1""#, r#""sub":"""#, Some(TokenError::Claims)),
    (r#""sub":"client-1""#, r#""sub":"a\nb""#, Some(TokenError::Claims)),
    (r#""sub":"client-1""#, r#""x":1"#, Some(TokenError::ClaimMissing)),
    (r#""client_id":"client-1""#, r#""client_id":"""#, Some(TokenError::Claims)),
    (r#""client_id":"client-1""#, r#""client_id":7"#, Some(TokenError::Claims)),
    (r#""jti":"1""#, r#""jti":"""#, Some(TokenError::Claims)),
    (r#""jti":"1""#, r#""jti":1"#, Some(TokenError::Claims)),
    (r#""jti":"1""#, r#""jti":"a	b""#, Some(TokenError::Claims)),
    (r#""jti":"1""#, r#""x":1"#, Some(TokenError::ClaimMissing)),
    (
        r#""scope":"orders.read orders.write""#,
        r#""scope":["orders.read"]"#,
        Some(TokenError::Claims),
    ),
    (r#""scope":"orders.read orders.write""#, r#""iss":"x""#, Some(TokenError::Claims)),
    ("{", "[{", Some(TokenError::Claims)),
];

#[test]
fn claims_that_deviate_are_refused() {
    use TokenError as T;
    let signer = signer(Algorithm::Es256);
    let verifier = verifier(&signer);
    for &(from, to, refused) in CLAIMS {
        assert!(GOOD.contains(from), "{from}");
        let token = token(&signer, &header(&signer), GOOD.replace(from, to));
        assert_eq!(verifier.verify(token.as_bytes(), at(NOW)).err(), refused, "{to}");
    }
    for long in [
        GOOD.replace("client-1", &"c".repeat(257)),
        GOOD.replace(r#""1""#, &format!("{:?}", "j".repeat(257))),
    ] {
        let long = token(&signer, &header(&signer), &long);
        assert_eq!(verifier.verify(long.as_bytes(), at(NOW)), Err(T::Claims));
    }
    // A claim that nobody reads is UTF-8 all the same.
    for (note, refused) in [(&b"\xc3\xa4"[..], None), (b"\xe4", Some(T::Claims))] {
        let start = [&br#"{"note":""#[..], note, br#"","#].concat();
        let noted = [&start, &GOOD.as_bytes()[1..]].concat();
        let noted = token(&signer, &header(&signer), noted);
        assert_eq!(verifier.verify(noted.as_bytes(), at(NOW)).err(), refused, "{note:?}");
    }
}

/// Who says `sub` or `azp` may be anybody: neither stands in for a missing `client_id`.
#[test]
fn the_client_is_client_id_and_nothing_else() {
    let signer = signer(Algorithm::EdDsa);
    let table = [
        (r#""client_id":"a","azp":"b""#, Ok("a")),
        (r#""azp":"b""#, Err(TokenError::ClaimMissing)),
        (r#""x":1"#, Err(TokenError::ClaimMissing)),
    ];
    for (members, client_id) in table {
        let payload = GOOD.replace(r#""client_id":"client-1""#, members);
        let token = token(&signer, &header(&signer), &payload);
        let access = verifier(&signer).verify(token.as_bytes(), at(NOW));
        assert_eq!(access.as_ref().map(|access| &*access.client_id), client_id.as_ref().copied());
    }
}

#[test]
fn one_audience_of_the_token_among_ours_is_enough() {
    let signer = signer(Algorithm::EdDsa);
    let verifier = |ours: &[&str]| {
        let audiences = ours.iter().map(|audience| (*audience).to_owned()).collect();
        let expected = Expected { audiences, ..Expected::new(ISSUER, AUDIENCE) };
        expected.verifier(KeySet::of([&signer]).unwrap())
    };
    let table: [(&str, &[&str], bool); 8] = [
        (r#""a""#, &["a", "b"], true),
        (r#""b""#, &["a", "b"], true),
        (r#""c""#, &["a", "b"], false),
        (r#"["c","b"]"#, &["a", "b"], true),
        (r#"["c","d"]"#, &["a", "b"], false),
        (r#"["a b"]"#, &["a", "b"], false),
        (r#""a""#, &[], false),
        (r#""""#, &["a"], false),
    ];
    for (aud, ours, good) in table {
        let payload = GOOD.replace(r#""orders-api""#, aud);
        let token = token(&signer, &header(&signer), &payload);
        let refused = verifier(ours).verify(token.as_bytes(), at(NOW)).err();
        assert_eq!(refused, (!good).then_some(TokenError::Audience), "{aud} for {ours:?}");
    }
}

#[test]
fn a_life_has_a_greatest_length() {
    let signer = signer(Algorithm::EdDsa);
    let judge = |ttl_max_s, iat: u64, exp: u64, now_s| {
        let ttl_max = Duration::from_secs(ttl_max_s);
        let expected = Expected { ttl_max, ..Expected::new(ISSUER, AUDIENCE) };
        let claims = NewClaims { issued_at: iat, expires_at: exp, ..good_claims() };
        let token = signer.sign(&claims).unwrap();
        let verifier = expected.verifier(KeySet::of([&signer]).unwrap());
        verifier.verify(token.as_bytes(), at(now_s)).err()
    };
    assert_eq!(judge(600, NOW, NOW + 600, NOW), None);
    assert_eq!(judge(600, NOW, NOW + 601, NOW), Some(TokenError::Lifetime));
    assert_eq!(judge(600, NOW - 1, NOW + 600, NOW), Some(TokenError::Lifetime));
    assert_eq!(judge(0, NOW, NOW, NOW), None);
    // Both within the leeway, and the wrong way round.
    assert_eq!(judge(600, NOW + 2, NOW + 1, NOW), Some(TokenError::Lifetime));
    assert_eq!(judge(u64::MAX, 0, 253_402_300_799, NOW), None);
}

#[test]
fn time_is_judged_with_the_leeway_at_both_ends() {
    let signer = signer(Algorithm::EdDsa);
    let token = signer.sign(&good_claims()).unwrap();
    let judge = |leeway_s, now_s| {
        let leeway = Duration::from_secs(leeway_s);
        let expected = Expected { leeway, ..Expected::new(ISSUER, AUDIENCE) };
        let verifier = expected.verifier(KeySet::of([&signer]).unwrap());
        verifier.verify(token.as_bytes(), at(now_s)).err()
    };
    assert_eq!(judge(0, NOW - 1), Some(TokenError::NotYetValid));
    assert_eq!(judge(0, NOW), None);
    assert_eq!(judge(0, NOW + 599), None);
    assert_eq!(judge(0, NOW + 600), Some(TokenError::Expired));
    assert_eq!(judge(5, NOW - 6), Some(TokenError::NotYetValid));
    assert_eq!(judge(5, NOW - 5), None);
    assert_eq!(judge(5, NOW + 604), None);
    assert_eq!(judge(5, NOW + 605), Some(TokenError::Expired));
    assert_eq!(judge(u64::MAX, u64::MAX - 1), None);
}

/// RFC 8725 section 2.1: the public key used as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let signer = signer(Algorithm::Rs256);
    for alg in ["HS256", "RS256"] {
        let header = header(&signer).replace("RS256", alg);
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(GOOD));
        let json = KeySet::of([&signer]).unwrap().to_json();
        let key = hmac::Key::new(hmac::HMAC_SHA256, json.as_bytes());
        let tag = hmac::sign(&key, signed.as_bytes());
        let token = format!("{signed}.{}", BASE64.encode(tag));
        let refused = if alg == "RS256" { TokenError::Signature } else { TokenError::Algorithm };
        assert_eq!(verifier(&signer).verify(token.as_bytes(), at(NOW)), Err(refused));
    }
}

/// RFC 7518 section 3.4: `r || s`, 64 bytes; the DER form of the same signature is another.
#[test]
fn ecdsa_signatures_have_a_fixed_width() {
    let signer = signer(Algorithm::Es256);
    let token = signer.sign(&good_claims()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let raw = BASE64.decode(signature).unwrap();
    assert_eq!(raw.len(), 64);
    let number = |half: &[u8]| [&[2, 33, 0], half].concat();
    let body = [number(&raw[..32]), number(&raw[32..])].concat();
    let zeros = vec![0; 64];
    for wrong in
        [[&[0x30, 70][..], &body].concat(), raw[..63].to_vec(), [&raw[..], &[0]].concat(), zeros]
    {
        let token = format!("{signed}.{}", BASE64.encode(wrong));
        assert_eq!(verifier(&signer).verify(token.as_bytes(), at(NOW)), Err(TokenError::Signature));
    }
}

#[test]
fn tokens_that_are_not_three_segments_are_refused() {
    let signer = signer(Algorithm::EdDsa);
    let verifier = verifier(&signer);
    let good = signer.sign(&good_claims()).unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    let table = [
        String::new(),
        ".".into(),
        "..".into(),
        head.into(),
        signed.into(),
        format!("{signed}."),
        format!(".{payload}.{signature}"),
        format!("{head}..{signature}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{good}=="),
        format!(" {good}"),
        format!("{good}\n"),
        good.replace('.', ","),
    ];
    for token in table {
        assert_eq!(
            verifier.verify(token.as_bytes(), at(NOW)),
            Err(TokenError::Malformed),
            "{token:?}"
        );
    }
    let long = format!("{head}.{}.{signature}", "A".repeat(TOKEN_BYTES_MAX));
    assert_eq!(verifier.verify(long.as_bytes(), at(NOW)), Err(TokenError::TooLong));
}

/// A payload that needs the larger buffer is judged like a small one, up to the limit of a token.
#[test]
fn large_payloads_are_read_too() {
    let signer = signer(Algorithm::EdDsa);
    let verifier = verifier(&signer);
    for (pad, refused) in
        [(500, None), (4000, None), (5600, None), (6200, Some(TokenError::TooLong))]
    {
        let payload = GOOD.replace('{', &format!(r#"{{"x":"{}","#, "x".repeat(pad)));
        let token = token(&signer, &header(&signer), &payload);
        assert_eq!(verifier.verify(token.as_bytes(), at(NOW)).err(), refused, "{pad}");
    }
}

/// Every bit of a token counts, those at the end of a base64url segment included.
#[test]
fn any_changed_bit_is_refused() {
    for algorithm in Algorithm::ALL {
        let signer = signer(algorithm);
        let verifier = verifier(&signer);
        let good = signer.sign(&good_claims()).unwrap().into_bytes();
        for bit in 0..good.len() * 8 {
            let mut changed = good.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(verifier.verify(&changed, at(NOW)).is_err(), "{algorithm}: bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(verifier.verify(&good[..cut], at(NOW)).is_err(), "{algorithm}: cut at {cut}");
        }
    }
}

#[test]
fn keys_are_refused_by_another_algorithm() {
    let (es256, _) = Signer::generate(Algorithm::Es256).unwrap();
    let (eddsa, _) = Signer::generate(Algorithm::EdDsa).unwrap();
    for (algorithm, der) in [
        (Algorithm::EdDsa, &es256[..]),
        (Algorithm::Rs256, &es256[..]),
        (Algorithm::Es256, &eddsa[..]),
        (Algorithm::Rs256, &eddsa[..]),
        (Algorithm::Es256, b"not a key"),
        (Algorithm::Es256, b""),
    ] {
        let refused = Signer::from_pkcs8(algorithm, der, None);
        assert!(matches!(refused, Err(crate::Error::SigningKey(_))), "{algorithm}");
    }
    assert_eq!(Signer::generate(Algorithm::Rs256).err(), Some(crate::Error::RsaNotMade));
    let long = "k".repeat(257);
    for kid in ["", &long] {
        assert!(Signer::from_pkcs8(Algorithm::Es256, &es256, Some(kid)).is_err());
    }
}

#[test]
fn keys_survive_pem_and_ids_are_escaped() {
    let (der, made) = Signer::generate(Algorithm::EdDsa).unwrap();
    let pem = crate::certificate::material::pkcs8_to_pem(&der);
    let loaded = Signer::from_pem(Algorithm::EdDsa, pem.as_bytes(), None).unwrap();
    assert_eq!(loaded.key_id(), made.key_id());
    let odd = Signer::from_pem(Algorithm::EdDsa, pem.as_bytes(), Some("a\"b\\é")).unwrap();
    let token = odd.sign(&good_claims()).unwrap();
    let access = verifier(&odd).verify(token.as_bytes(), at(NOW)).unwrap();
    assert_eq!(&*access.key_id, "a\"b\\é");
    assert!(!format!("{odd:?}").contains("PRIVATE"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[A-Za-z0-9_.-]{0,200}") {
        let signer = signer(Algorithm::EdDsa);
        let verifier = verifier(&signer);
        prop_assert!(verifier.verify(&bytes, at(NOW)).is_err());
        prop_assert!(verifier.verify(text.as_bytes(), at(NOW)).is_err());
        // The same behind a good header and a good signature, so that it reaches the claims.
        let token = signer.sign_payload(&bytes).unwrap();
        prop_assert!(verifier.verify(token.as_bytes(), at(NOW)).is_err());
    }
}
