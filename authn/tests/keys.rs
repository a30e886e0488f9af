//! Key sets: the published examples of the RFCs, sets of other issuers, and sets that are wrong.

use authn::error::{Error, TokenError};
use authn::jwks::{KEY_SET_BYTES_MAX, KEYS_MAX};
use authn::{Algorithm, KeySet, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

/// RFC 7515 appendix A.3: P-256.
const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"ec",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const P256_SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog\
    Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const P256_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQ\
    xfKTUJqPP3-Kg6NU1Q";

/// RFC 8037 appendix A.2 to A.4: Ed25519.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED25519_SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const ED25519_SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhV\
    sPt9g7sVvpAr_MuM0KAg";

/// RFC 7638 section 3.1: RSA.
const RSA: &str = include_str!("data/rfc7638_rsa.json");

fn set(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}],"extra":1}}"#, keys.join(","))
}

fn parse(keys: &[&str]) -> Result<KeySet, Error> {
    KeySet::parse(set(keys).as_bytes())
}

#[test]
fn the_published_examples_verify() {
    let keys = parse(&[P256, ED25519, RSA]).unwrap();
    assert_eq!(keys.len(), 3);
    let table = [
        ("ec", Algorithm::Es256, P256_SIGNED, P256_SIGNATURE),
        ("ed", Algorithm::EdDsa, ED25519_SIGNED, ED25519_SIGNATURE),
    ];
    for (kid, algorithm, signed, signature) in table {
        let key = keys.find(kid).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.verify(signed.as_bytes(), &signature), Ok(()));
        assert_eq!(key.verify(b"else", &signature), Err(TokenError::Signature));
    }
    let thumbprint = |kid| keys.find(kid).unwrap().thumbprint();
    assert_eq!(thumbprint("rsa"), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint("ed"), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_set_survives_its_document() {
    let (_, one) = Signer::generate(Algorithm::Es256).unwrap();
    let (_, two) = Signer::generate(Algorithm::EdDsa).unwrap();
    let rsa = include_bytes!("data/test_rsa.key");
    let three = Signer::from_pem(Algorithm::Rs256, rsa, Some("imported")).unwrap();
    let keys = KeySet::of([&one, &two, &three]).unwrap();
    let json = keys.to_json();
    let read = KeySet::parse(json.as_bytes()).unwrap();
    assert_eq!(read.to_json(), json);
    for signer in [&one, &two, &three] {
        let key = read.find(signer.key_id()).unwrap();
        assert_eq!(key.algorithm(), signer.algorithm());
        assert_eq!(key.thumbprint(), signer.public_key().thumbprint());
    }
    assert!(json.contains(r#""use":"sig""#) && !json.contains(r#""d""#) && !json.contains("null"));
}

/// RFC 7517 section 5: what is not understood is skipped, not an error.
#[test]
fn keys_that_are_not_for_us_are_skipped() {
    let others = [
        r#"{"kty":"oct","kid":"a","k":"AAAA"}"#,
        r#"{"kty":"EC","crv":"P-384","kid":"b","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"X25519","kid":"c","x":"AA"}"#,
        r#"{"kty":"new","kid":"d"}"#,
        r#"{"kty":"RSA","kid":"e","alg":"RS512","n":"AA","e":"AQAB"}"#,
        r#"{"kty":"RSA","kid":"f","use":"enc","n":"AA","e":"AQAB"}"#,
        r#"{"kty":"RSA","kid":"g","key_ops":["wrapKey"],"n":"AA","e":"AQAB"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
    ];
    for other in others {
        assert_eq!(parse(&[other, ED25519]).unwrap().len(), 1, "{other}");
        assert_eq!(parse(&[other]).err(), Some(Error::KeySetEmpty), "{other}");
    }
    // Symmetric keys are never kept: no token can be verified with one.
    assert!(parse(&[others[0], ED25519]).unwrap().find("a").is_none());
}

#[test]
fn keys_that_are_wrong_are_errors() {
    let private =
        ED25519.replace(r#""kid""#, r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kid""#);
    let table = [
        (private, "private"),
        (P256.replace("f83O", "f83P"), "not on P-256"),
        (P256.replace("f83O", ""), "32 bytes"),
        (P256.replace("RVEU", "RVEV"), "base64url"),
        (P256.replace("RVEU", "RVEU="), "base64url"),
        (P256.replace(r#""y""#, r#""z""#), "missing"),
        (ED25519.replace("11qY", ""), "32 bytes"),
        (ED25519.replace(r#""ed""#, r#""""#), "kid"),
        (RSA.replace("AQAB", "AQAA"), "RSA key's"),
        (RSA.replace("AQAB", "AQ"), "RSA key's"),
        (RSA.replace("AQAB", "AAEAAQ"), "zero bytes"),
        (RSA.replace("AQAB", "AQAAAAAB"), "RSA key's"),
        (RSA.replace("0vx7agoebGcQ", "0vx7"), "2048"),
        (RSA.replace("DKgw", "DKgg"), "RSA key's"),
    ];
    for (key, sentence) in table {
        let error = parse(&[&key, ED25519]).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(sentence)), "{key}: {error:?}");
    }
    let twice = parse(&[ED25519, P256, &P256.replace(r#""ec""#, r#""ed""#)]);
    assert!(matches!(twice, Err(Error::KeySetKey(kid, _)) if kid == "ed"));
}

#[test]
fn documents_that_are_wrong_are_errors() {
    let syntax = ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[["EC"]]}"#, r#"{"keys":[{}]}"#];
    for json in syntax {
        assert!(matches!(KeySet::parse(json.as_bytes()), Err(Error::KeySetSyntax(_))), "{json}");
    }
    let twice = r#"{"keys":[],"keys":[]}"#;
    assert!(matches!(KeySet::parse(twice.as_bytes()), Err(Error::KeySetSyntax(_))));
    let many: Vec<String> =
        (0..=KEYS_MAX).map(|at| ED25519.replace(r#""ed""#, &format!("\"{at}\""))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(parse(&many).err(), Some(Error::KeySetTooLarge));
    assert_eq!(parse(&many[..KEYS_MAX]).unwrap().len(), KEYS_MAX);
    let long = set(&[ED25519]) + &" ".repeat(KEY_SET_BYTES_MAX);
    assert_eq!(KeySet::parse(long.as_bytes()).err(), Some(Error::KeySetTooLarge));
    assert_eq!(KeySet::of([]).err(), Some(Error::KeySetEmpty));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, at in 0usize..2000, byte: u8) {
        prop_assert!(KeySet::parse(&bytes).is_err());
        let mut changed = set(&[P256, ED25519, RSA]).into_bytes();
        let length = changed.len();
        changed[at % length] = byte;
        let _ = KeySet::parse(&changed);
    }
}
