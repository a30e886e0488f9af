//! Tokens for tests that need wrong ones: a mint with keys of every kind, which signs whatever it
//! is given, and changes at random from a seed.

use authn::{Algorithm, KeySet, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, signature};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCES: [&str; 2] = ["orders-api", "stock-api"];

/// ring makes no RSA keys.
const RSA_KEY: &[u8] = include_bytes!("../data/test_rsa.key");

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }

    fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// One of the mint's keys: how it is named, and what signs.
struct MintKey {
    kid: &'static str,
    algs: &'static [&'static str],
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// Signs anything with keys of a set.
pub(crate) struct Mint {
    keys: Vec<MintKey>,
    document: Value,
    random: SystemRandom,
}

/// The members of a JSON object, each with its name and its value as they stand in the text.
type Members = Vec<(String, String)>;

impl Mint {
    /// A key of each kind, and of Ed25519 one for each way to pin a name.
    pub(crate) fn new() -> Mint {
        let random = SystemRandom::new();
        let mut mint = Mint { keys: Vec::new(), document: json!({"keys": []}), random };
        mint.add("es", Algorithm::Es256, &["ES256"]);
        mint.add("ed", Algorithm::EdDsa, &["EdDSA", "Ed25519"]);
        mint.add("ed-old", Algorithm::EdDsa, &["EdDSA"]);
        mint.add("ed-new", Algorithm::EdDsa, &["Ed25519"]);
        mint.add("rs", Algorithm::Rs256, &["RS256"]);
        mint
    }

    /// Adds a key for tokens of these names of its algorithm; one alone is pinned.
    fn add(&mut self, kid: &'static str, algorithm: Algorithm, algs: &'static [&'static str]) {
        let der = match algorithm {
            Algorithm::Rs256 => {
                PrivateKeyDer::from_pem_slice(RSA_KEY).unwrap().secret_der().to_vec()
            }
            _ => Signer::generate(algorithm).unwrap().0.to_vec(),
        };
        let signer = Signer::from_pkcs8(algorithm, &der, Some(kid)).unwrap();
        let set = KeySet::of([&signer]).unwrap().to_json();
        let mut jwk = serde_json::from_str::<Value>(&set).unwrap()["keys"][0].take();
        jwk.as_object_mut().unwrap().remove("alg");
        if let [alg] = algs {
            jwk["alg"] = (*alg).into();
        }
        self.document["keys"].as_array_mut().unwrap().push(jwk);
        self.keys.push(MintKey { kid, algs, pair: Pair::new(algorithm, &der, &self.random) });
    }

    /// The JWK set.
    pub(crate) fn keys(&self) -> &Value {
        &self.document
    }

    /// A token that was good before one to four changes, at any of its layers.
    pub(crate) fn changed(&self, seeded: &mut Seeded) -> Vec<u8> {
        let key = &self.keys[seeded.below(self.keys.len())];
        let (mut header, mut claims) = (good_header(key, seeded), good_claims());
        for _ in 0..seeded.below(3) {
            change_members(&mut claims, &CLAIM_NAMES, seeded);
        }
        if seeded.one_in(3) {
            change_members(&mut header, &HEADER_NAMES, seeded);
        }
        // RFC 7797: a payload that is not base64url, said without the crit that it needs.
        if seeded.one_in(40) {
            header.push(("b64".into(), "false".into()));
        }
        let (mut header, mut claims) = (text(&header), text(&claims));
        if seeded.one_in(6) {
            change_bytes(&mut claims, seeded);
        }
        if seeded.one_in(12) {
            change_bytes(&mut header, seeded);
        }
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match seeded.below(24) {
            0 => vec![0; 64],
            1 => {
                self.keys[seeded.below(self.keys.len())].pair.sign(signed.as_bytes(), &self.random)
            }
            2 => self.hmac(&signed),
            3 => key.pair.sign(&signed.as_bytes()[1..], &self.random),
            _ => key.pair.sign(signed.as_bytes(), &self.random),
        };
        let mut token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes();
        if seeded.one_in(4) {
            change_bytes(&mut token, seeded);
        }
        token
    }

    /// RFC 8725 section 2.1: a public key as the secret of an HMAC.
    fn hmac(&self, signed: &str) -> Vec<u8> {
        let secret = self.document["keys"][0].to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
    }
}

impl Pair {
    fn new(algorithm: Algorithm, der: &[u8], random: &SystemRandom) -> Pair {
        match algorithm {
            Algorithm::Es256 => Pair::Es256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, random).unwrap(),
            ),
            Algorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der).unwrap()),
            Algorithm::Rs256 => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).unwrap())),
        }
    }

    fn sign(&self, message: &[u8], random: &SystemRandom) -> Vec<u8> {
        match self {
            Pair::Es256(pair) => pair.sign(random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding: &dyn signature::RsaEncoding = &RSA_PKCS1_SHA256;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn members(pairs: &[(&str, String)]) -> Members {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn good_header(key: &MintKey, seeded: &mut Seeded) -> Members {
    let quoted = |text: &str| format!("{text:?}");
    members(&[
        ("alg", quoted(seeded.pick(key.algs))),
        ("typ", quoted("at+jwt")),
        ("kid", quoted(key.kid)),
    ])
}

fn good_claims() -> Members {
    let quoted = |text: &str| format!("{text:?}");
    members(&[
        ("iss", quoted(ISSUER)),
        ("aud", quoted(AUDIENCES[0])),
        ("sub", quoted("subject")),
        ("client_id", quoted("client")),
        ("jti", quoted("id")),
        ("scope", quoted("orders.read")),
        ("iat", NOW.to_string()),
        ("exp", (NOW + 600).to_string()),
    ])
}

fn text(members: &Members) -> Vec<u8> {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// Names of members that are added, odd ones among them.
const HEADER_NAMES: [&str; 9] =
    ["alg", "typ", "kid", "crit", "jwk", "jku", "b64", "ALG", "\\u0061lg"];
const CLAIM_NAMES: [&str; 12] = [
    "iss",
    "aud",
    "exp",
    "nbf",
    "azp",
    "scope",
    "cnf",
    "client_id",
    "client\\u005fid",
    "EXP",
    "alg",
    "",
];

/// Values of members as text: of every kind, near every limit, and what only looks like JSON.
const VALUES: [&str; 62] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1",
    "1.5",
    "1e3",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "+1",
    "0x10",
    "\"\"",
    "\"a\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"a\\tb\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[1]",
    "{\"a\":1}",
    "\"orders-api\"",
    "\"stock-api\"",
    "\"Orders-api\"",
    "[\"orders-api\"]",
    "[\"x\",\"stock-api\"]",
    "[\"x\"]",
    "[\"orders-api\",1]",
    "\"https://issuer.example\"",
    "\"https://issuer.example/\"",
    "[\"https://issuer.example\"]",
    "\"1700000600\"",
    "\"1700000600.5\"",
    "1700000600.999",
    "17000006e2",
    "253402300799",
    "253402300800",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740993.0",
    "\"ES256\"",
    "\"EdDSA\"",
    "\"Ed25519\"",
    "\"RS256\"",
    "\"HS256\"",
    "\"none\"",
    "\"at+jwt\"",
    "\"application/at+jwt\"",
    "\"JWT\"",
    "\"ed\"",
    "\"ed-old\"",
    "[\"exp\"]",
    "\"rs\"",
];

/// Seconds from [`NOW`] at which a judgement about time changes, or is far from changing.
const SECONDS: [i64; 15] =
    [-86_401, -86_400, -700, -6, -5, -4, -1, 0, 1, 4, 5, 6, 600, 86_400, 86_401];

fn value(seeded: &mut Seeded) -> String {
    match seeded.below(40) {
        0 => format!("{:?}", "x".repeat(255 + seeded.below(4))),
        1 => format!("{:?}", "x".repeat(6_500)),
        2 => format!("{}{}", "[".repeat(130), "]".repeat(130)),
        3..=12 => (NOW as i64 + seeded.pick(&SECONDS)).to_string(),
        13 => format!("{}.75", NOW as i64 + seeded.pick(&SECONDS)),
        _ => seeded.pick(&VALUES).to_owned(),
    }
}

/// Takes a member away, doubles one, gives one another value, adds one, or moves one.
fn change_members(members: &mut Members, names: &[&str], seeded: &mut Seeded) {
    let at = seeded.below(members.len());
    match seeded.below(8) {
        0 => drop(members.remove(at)),
        1 => members.push((members[at].0.clone(), value(seeded))),
        2 => members.insert(0, (members[at].0.clone(), value(seeded))),
        3 => members.push((seeded.pick(names).to_owned(), value(seeded))),
        4 => members.swap(0, at),
        // The times, which stand last, are where most judgements are.
        5 => {
            let last = members.len() - 1 - seeded.below(2);
            members[last].1 = value(seeded);
        }
        _ => members[at].1 = value(seeded),
    }
}

/// Flips, inserts, removes, repeats or cuts bytes.
fn change_bytes(bytes: &mut Vec<u8>, seeded: &mut Seeded) {
    const ODD: &[u8] = b"\0 \t\n=+/-_.,:\"\\{}[]'AZaz09\x7f\x80\xc3\xff";
    let at = seeded.below(bytes.len());
    match seeded.below(9) {
        0 => bytes[at] ^= 1 << seeded.below(8),
        1 => bytes[at] = seeded.pick(ODD),
        2 => bytes.insert(at, seeded.pick(ODD)),
        3 => drop(bytes.remove(at)),
        4 => bytes.truncate(at + 1),
        5 => bytes.push(seeded.pick(ODD)),
        6 => bytes.insert(0, seeded.pick(ODD)),
        7 => bytes.extend_from_within(at..),
        _ => {
            // The last character of a segment, where base64url has bits to spare.
            let last = bytes.len() - 1;
            bytes[last] = bytes[last].wrapping_add(1);
        }
    }
}
