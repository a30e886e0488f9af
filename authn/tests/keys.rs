//! Key sets: the published examples of the RFCs, sets of other issuers, and sets that are wrong.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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

/// RFC 8037 appendix A.2: Ed25519.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// RFC 7638 section 3.1: RSA.
const RSA: &str = include_str!("data/rfc7638_rsa.json");

/// The signed examples of RFC 7515 appendix A, RFC 7520 section 4 and RFC 8037 appendix A, each
/// with its section, the public half of its key, and what was signed.
const SIGNED: &str = include_str!("data/rfc_signatures.json");

/// One of them.
#[derive(serde::Deserialize)]
struct Signed {
    section: String,
    alg: String,
    key: serde_json::Map<String, serde_json::Value>,
    signed: String,
    signature: String,
}

fn set(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}],"extra":1}}"#, keys.join(","))
}

fn parse(keys: &[&str]) -> Result<KeySet, Error> {
    KeySet::parse(set(keys).as_bytes())
}

/// Those of an algorithm that is used here verify, and no other bytes do; no key of the others is
/// taken for one of ours, and their `alg` finds none.
#[test]
fn the_signed_examples_of_the_rfcs_verify_or_find_no_key() {
    let examples: Vec<Signed> = serde_json::from_str(SIGNED).unwrap();
    let mut verified = Vec::new();
    for Signed { section, alg, mut key, signed, signature } in examples {
        // A token must name its key here; not all of the keys have a name.
        key.insert("kid".into(), "k".into());
        let key = serde_json::Value::Object(key).to_string();
        let keys = parse(&[&key, ED25519]).unwrap();
        let Ok(key) = keys.find("k", &alg) else {
            let refused = keys.find("k", &alg).err();
            let ours = ["ES256", "EdDSA", "Ed25519", "RS256"].contains(&&*alg);
            assert_eq!((ours, refused), (false, Some(TokenError::Algorithm)), "{section}");
            continue;
        };
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(key.verify(signed.as_bytes(), &signature), Ok(()), "{section}");
        assert_eq!(key.verify(b"else", &signature), Err(TokenError::Signature), "{section}");
        signature[7] ^= 1;
        let changed = key.verify(signed.as_bytes(), &signature);
        assert_eq!(changed, Err(TokenError::Signature), "{section}");
        verified.push(section);
    }
    let expected = [
        "RFC 7515 appendix A.2",
        "RFC 7515 appendix A.3",
        "RFC 7520 section 4.1",
        "RFC 7520 section 4.8, first signature",
        "RFC 8037 appendix A.4",
    ];
    assert_eq!(verified, expected);
}

/// RFC 7638 section 3.1, RFC 8037 appendix A.3.
#[test]
fn the_published_thumbprints_are_computed() {
    let keys = parse(&[P256, ED25519, RSA]).unwrap();
    assert_eq!(keys.len(), 3);
    let thumbprint =
        |kid, algorithm: Algorithm| keys.find(kid, algorithm.as_str()).unwrap().thumbprint();
    let rsa = thumbprint("rsa", Algorithm::Rs256);
    assert_eq!(rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint("ed", Algorithm::EdDsa), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
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
        let key = read.find(signer.key_id(), signer.algorithm().as_str()).unwrap();
        assert_eq!(key.algorithm(), signer.algorithm());
        assert_eq!(key.thumbprint(), signer.public_key().thumbprint());
    }
    assert!(json.contains(r#""use":"sig""#) && !json.contains(r#""d""#) && !json.contains("null"));
}

/// A set of this key and a good one has the good one and says why it ignores the other; a set of
/// it alone is an error that says the same.
fn ignored(key: &str, why: &str) {
    let set = parse(&[key, ED25519]).unwrap();
    assert_eq!(set.len(), 1, "{key}");
    assert!(set.find("ed", "EdDSA").is_ok(), "{key}");
    let ignored = set.ignored().unwrap();
    assert!(ignored.contains(why) && !ignored.contains(char::is_control), "{key}: {ignored}");
    let alone = parse(&[key]).err();
    let Some(Error::KeySetUnusable(reason)) = &alone else { panic!("{key}: {alone:?}") };
    assert_eq!(reason, ignored);
}

/// RFC 7517 section 5: what is not understood is ignored, and not an error.
#[test]
fn keys_for_something_else_are_ignored_with_their_reason() {
    let table = [
        (r#"{"kty":"oct","kid":"a","k":"AAAA"}"#, "symmetric"),
        (r#"{"kty":"EC","crv":"P-384","kid":"b","x":"AA","y":"AA"}"#, "curve \"P-384\""),
        (r#"{"kty":"EC","kid":"b","x":"AA","y":"AA"}"#, "crv is missing"),
        (r#"{"kty":"OKP","crv":"X25519","kid":"c","x":"AA"}"#, "curve \"X25519\""),
        (r#"{"kty":"new\u001b[2J","kid":"d"}"#, "kty \"new\\u{1b}[2J\""),
        (r#"{"kty":"RSA","kid":"e","alg":"RS512","n":"AA","e":"AQAB"}"#, "RS512"),
        (r#"{"kty":"RSA","kid":"f","use":"enc","n":"AA","e":"AQAB"}"#, "use is \"enc\""),
        (r#"{"kty":"RSA","kid":"g","key_ops":["wrapKey"],"n":"AA","e":"AQAB"}"#, "key_ops"),
        (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#, "no kid"),
        (r#"{"kid":"h"}"#, "kty"),
        (r#"{"kty":7,"kid":"i"}"#, "expected a string"),
        (r#"{"kty":"OKP","crv":"Ed25519","kid":["ed"],"x":"AA"}"#, "expected a string"),
        (r#""key""#, "an object"),
        ("null", "an object"),
        ("{}", "kty"),
    ];
    for (key, why) in table {
        ignored(key, why);
    }
    // Symmetric keys are never kept: no token can be verified with one.
    let set = parse(&[table[0].0, ED25519]).unwrap();
    for algorithm in Algorithm::ALL {
        assert_eq!(set.find("a", algorithm.as_str()).err(), Some(TokenError::UnknownKey));
    }
    assert_eq!(parse(&[ED25519]).unwrap().ignored(), None);
}

#[test]
fn keys_that_are_wrong_are_ignored_with_their_reason() {
    let private =
        ED25519.replace(r#""kid""#, r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kid""#);
    // An odd modulus of so many bits, as long as it looks like one.
    let rsa = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= n.len() * 8 - bits;
        let n = URL_SAFE_NO_PAD.encode(n);
        format!(r#"{{"kty":"RSA","kid":"r","n":"{n}","e":"AQAB"}}"#)
    };
    for bits in [2048, 3072, 4096] {
        assert_eq!(parse(&[&rsa(bits)]).unwrap().len(), 1, "{bits}");
    }
    for bits in [512, 2047, 4097, 8192] {
        ignored(&rsa(bits), &format!("{bits} bits, not 2048 to 4096"));
    }
    let rsa_1024 = format!(r#"{{"kty":"RSA","kid":"r","n":"{}A","e":"AQAB"}}"#, "g".repeat(170));
    let table = [
        (private, "private"),
        (P256.replace("f83O", "f83P"), "not on P-256"),
        (P256.replace("f83O", ""), "32 bytes"),
        (P256.replace("RVEU", "RVEV"), "base64url"),
        (P256.replace("RVEU", "RVEU="), "base64url"),
        (P256.replace(r#""y""#, r#""z""#), "y is missing"),
        (ED25519.replace("11qY", "").replace(r#""ed""#, r#""other""#), "32 bytes"),
        (ED25519.replace(r#""ed""#, r#""""#), "kid"),
        (ED25519.replace(r#""ed""#, &format!("\"{}\"", "k".repeat(257))), "longer than 256"),
        (rsa_1024, "1024 bits"),
        (RSA.replace("AQAB", "AQAA"), "RSA key's"),
        (RSA.replace("AQAB", "AQ"), "RSA key's"),
        (RSA.replace("AQAB", "AAEAAQ"), "zero bytes"),
        (RSA.replace("AQAB", "AQAAAAAB"), "RSA key's"),
        (RSA.replace("0vx7agoebGcQ", "0vx7"), "2048"),
        (RSA.replace("0vx7", "AAAA0vx7"), "zero bytes"),
        (RSA.replace("DKgw", "DKgg"), "RSA key's"),
    ];
    for (key, why) in table {
        ignored(&key, why);
    }
}

/// RFC 7517 section 4.5: keys of different kinds may share a `kid`. A token finds the one for its
/// algorithm, wherever that stands, and never another.
#[test]
fn a_token_finds_the_key_of_its_kid_and_algorithm() {
    let okp = ED25519.replace(r#""ed""#, r#""ec""#);
    for keys in [[P256, &okp], [&okp, P256]] {
        let set = parse(&keys).unwrap();
        assert_eq!((set.len(), set.ignored()), (2, None));
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            assert_eq!(set.find("ec", algorithm.as_str()).unwrap().algorithm(), algorithm);
        }
        assert_eq!(set.find("ec", "RS256").err(), Some(TokenError::Algorithm));
        assert_eq!(set.find("no", "ES256").err(), Some(TokenError::UnknownKey));
    }
    let other = Signer::generate(Algorithm::Es256).unwrap().1;
    let other = KeySet::of([&other]).unwrap().to_json();
    let (before, after) = (other.find('{').unwrap(), other.rfind(']').unwrap());
    let other = &other[other[before + 1..].find('{').unwrap() + before + 1..after];
    let id = serde_json::from_str::<serde_json::Value>(other).unwrap()["kid"].to_string();
    let twin = other.replace(&id, r#""ec""#);
    for (second, why) in [(P256, "twice"), (&twin, "same kid and algorithm")] {
        let set = parse(&[P256, second]).unwrap();
        assert_eq!(set.len(), 1);
        assert!(set.ignored().unwrap().contains(why), "{:?}", set.ignored());
        let first = parse(&[P256]).unwrap();
        let kept = set.find("ec", "ES256").unwrap().thumbprint();
        assert_eq!(kept, first.find("ec", "ES256").unwrap().thumbprint());
    }
}

/// RFC 9864: `Ed25519` and `EdDSA` are two names of one algorithm here. A key without `alg` takes
/// both, a key with one takes that one only, and no name leads to two keys.
#[test]
fn ed25519_has_two_names_and_a_key_may_pin_one() {
    let key = |kid: &str, alg: Option<&str>| {
        let alg = alg.map_or(String::new(), |alg| format!(r#""alg":"{alg}","#));
        ED25519.replace(r#""kid":"ed","#, &format!(r#"{alg}"kid":"{kid}","#))
    };
    let set = parse(&[
        &key("both", None),
        &key("old", Some("EdDSA")),
        &key("new", Some("Ed25519")),
        P256,
    ])
    .unwrap();
    assert_eq!((set.len(), set.ignored()), (4, None));
    let table = [
        ("both", "EdDSA", None),
        ("both", "Ed25519", None),
        ("both", "ES256", Some(TokenError::Algorithm)),
        ("both", "ed25519", Some(TokenError::Algorithm)),
        ("both", "Ed448", Some(TokenError::Algorithm)),
        ("old", "EdDSA", None),
        ("old", "Ed25519", Some(TokenError::Algorithm)),
        ("new", "Ed25519", None),
        ("new", "EdDSA", Some(TokenError::Algorithm)),
        ("ec", "Ed25519", Some(TokenError::Algorithm)),
        ("no", "Ed25519", Some(TokenError::UnknownKey)),
        ("no", "Ed448", Some(TokenError::Algorithm)),
    ];
    for (kid, alg, refused) in table {
        assert_eq!(set.find(kid, alg).err(), refused, "{kid} {alg}");
    }
    // What the document pinned stays pinned when it is written again.
    let again = KeySet::parse(set.to_json().as_bytes()).unwrap();
    for (kid, alg, refused) in table {
        assert_eq!(again.find(kid, alg).err(), refused, "{kid} {alg}");
    }
    for (first, second, good) in [
        (Some("EdDSA"), Some("Ed25519"), 2),
        (None, Some("Ed25519"), 1),
        (Some("Ed25519"), None, 1),
        (Some("EdDSA"), Some("EdDSA"), 1),
        (None, None, 1),
    ] {
        let set = parse(&[&key("k", first), &key("k", second)]).unwrap();
        assert_eq!(set.len(), good, "{first:?} {second:?}");
        assert_eq!(set.ignored().is_some(), good == 1, "{first:?} {second:?}");
    }
    ignored(&key("k", Some("Ed448")), "it is for \"Ed448\"; used are ES256, EdDSA, Ed25519, RS256");
    ignored(&P256.replace(r#""kid""#, r#""alg":"Ed25519","kid""#), "it is for \"Ed25519\"");
}

#[test]
fn ignored_keys_are_listed_up_to_a_limit() {
    let mut keys = vec!["{}"; 1000];
    keys.push(ED25519);
    let set = parse(&keys).unwrap();
    let ignored = set.ignored().unwrap();
    assert!(ignored.ends_with("; and 992 more") && ignored.len() < 2000, "{ignored}");
}

#[test]
fn documents_that_are_wrong_are_errors() {
    let syntax = ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":"EC"}"#, r#"{"keys":null}"#];
    for json in syntax {
        assert!(matches!(KeySet::parse(json.as_bytes()), Err(Error::KeySetSyntax(_))), "{json}");
    }
    assert_eq!(KeySet::parse(br#"{"keys":[]}"#).err(), Some(Error::KeySetEmpty));
    let twice = r#"{"keys":[],"keys":[]}"#;
    assert!(matches!(KeySet::parse(twice.as_bytes()), Err(Error::KeySetSyntax(_))));
    let many: Vec<String> =
        (0..=KEYS_MAX).map(|at| ED25519.replace(r#""ed""#, &format!("\"{at}\""))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(parse(&many).err(), Some(Error::KeySetTooLarge));
    assert_eq!(parse(&many[..KEYS_MAX]).unwrap().len(), KEYS_MAX);
    let long = set(&[ED25519]) + &" ".repeat(KEY_SET_BYTES_MAX);
    assert_eq!(KeySet::parse(long.as_bytes()).err(), Some(Error::KeySetTooLarge));
    assert_eq!(KeySet::of([] as [&Signer; 0]).err(), Some(Error::KeySetEmpty));
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
