//! Tokens that were changed at random, judged here and by a stranger (PyJWT): whatever is accepted
//! here the stranger accepts too, with the same claims; what the stranger alone accepts is refused
//! for a reason that [`STRICTER`] lists. The changes come from a seed; the keys are new each time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tests/common/python.rs"]
mod python;
mod tokens;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use authn::error::TokenError;
use authn::{Access, Expected, KeySet, Verifier};
use rustls::pki_types::UnixTime;
use serde_json::{Value, json};

use tokens::{AUDIENCES, ISSUER, Mint, NOW, Seeded};

const PACKAGES: [&str; 2] = ["pyjwt==2.10.1", "cryptography==44.0.3"];

/// Changed tokens of one run.
const TOKENS: usize = 6_000;

/// The seed of the changes; the environment's `SEED` is another one.
const SEED: u64 = 2026;

/// Why a token is refused here that PyJWT accepts. Signature, key, algorithm, issuer, audience and
/// time of validity are not in it: in those nobody may be stricter than the other.
const STRICTER: [(TokenError, &str); 7] = [
    (TokenError::TooLong, "PyJWT has no limit"),
    (TokenError::Malformed, "PyJWT skips what is not base64url, padding and stray bits"),
    (TokenError::Header, "PyJWT takes the last of repeated members, and UTF-16"),
    (TokenError::Type, "PyJWT leaves typ to its caller"),
    (TokenError::Critical, "PyJWT 2.10 does not look at crit"),
    (TokenError::Claims, "PyJWT takes repeated members, dates in strings and names of any length"),
    (TokenError::Lifetime, "PyJWT knows no greatest life"),
];

/// What the stranger says of each token: the claims, or `None` where it is refused.
fn judged_by_the_stranger(
    keys: &Value,
    tokens: &[Vec<u8>],
) -> Vec<Option<BTreeMap<String, String>>> {
    let python = python::interpreter(&PACKAGES, "jwt, cryptography");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stranger.py");
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let leeway = authn::jwt::LEEWAY_DEFAULT.as_secs();
    let expected = json!({
        "keys": keys, "issuer": ISSUER, "audiences": AUDIENCES, "leeway": leeway, "now": NOW,
    });
    let mut asked = format!("{expected}\n");
    for token in tokens {
        asked.extend(token.iter().map(|byte| format!("{byte:02x}")));
        asked.push('\n');
    }
    let mut stdin = child.stdin.take().unwrap();
    // Both pipes are finite, so one thread writes while this one reads.
    let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} ended with {}", output.status);
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let judged: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(judged.len(), tokens.len());
    judged
}

fn verifier(keys: &Value) -> Verifier {
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    assert_eq!(keys.ignored(), None);
    let audiences = AUDIENCES.map(str::to_owned).to_vec();
    Expected { audiences, ..Expected::new(ISSUER, "") }.verifier(keys)
}

/// Whether both read the same in a token that both accept.
fn is_alike(ours: &Access, theirs: &BTreeMap<String, String>) -> bool {
    let exp: f64 = theirs["exp"].parse().unwrap();
    *ours.client_id == *theirs["client_id"]
        && *ours.subject == *theirs["sub"]
        && *ours.token_id == *theirs["jti"]
        && ours.expires_at == exp as u64
}

#[test]
fn whatever_is_accepted_here_a_stranger_accepts() {
    let mint = Mint::new();
    let seed = std::env::var("SEED").map_or(SEED, |text| text.parse().unwrap());
    let mut seeded = Seeded::new(seed);
    let tokens: Vec<Vec<u8>> = (0..TOKENS).map(|_| mint.changed(&mut seeded)).collect();
    let (verifier, now) =
        (verifier(mint.keys()), UnixTime::since_unix_epoch(Duration::from_secs(NOW)));
    let (mut both, mut neither) = (0, 0);
    let mut stricter: BTreeMap<&str, usize> = BTreeMap::new();
    for (token, theirs) in tokens.iter().zip(judged_by_the_stranger(mint.keys(), &tokens)) {
        let shown = String::from_utf8_lossy(token);
        match (verifier.verify(token, now), theirs) {
            (Ok(ours), Some(theirs)) => {
                assert!(is_alike(&ours, &theirs), "{ours:?} is not {theirs:?}: {shown}");
                both += 1;
            }
            (Ok(ours), None) => panic!("accepted here alone: {ours:?}: {shown}"),
            (Err(_), None) => neither += 1,
            (Err(error), Some(theirs)) => {
                let listed = STRICTER.iter().any(|(reason, _)| *reason == error);
                assert!(listed, "the stranger alone accepts {theirs:?}: {error}: {shown}");
                *stricter.entry(error.reason()).or_default() += 1;
            }
        }
    }
    println!("seed {seed}: {both} accepted by both, {neither} refused by both, {stricter:?} here");
    assert!(both > TOKENS / 10 && neither > TOKENS / 10, "the changes are too many or too few");
    for (reason, why) in STRICTER {
        let reason = reason.reason();
        assert!(stricter.contains_key(reason), "{reason} is listed and never seen: {why}");
    }
}
