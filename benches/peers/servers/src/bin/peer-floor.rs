//! Floors without a network: ring's verification of one token, and rustls's server side of a
//! handshake against a client in memory, in which only the server's calls are timed. Also makes
//! tokens, since a signature a process is too slow for thousands of them.
//!
//! `peer-floor sign FOLDER ALGORITHM COUNT CLAIMS` | `verify FOLDER ALGORITHM TOKEN-FILE SECONDS` |
//! `handshake FOLDER server|mutual SECONDS`. CLAIMS is a JSON object that is laid over the usual
//! claims. The last two print JSON: microseconds and how many.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peers::{AUDIENCE, ISSUER, SCOPE, client_config, key_member, server_config};
use ring::rand::SystemRandom;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sign", folder, algorithm, count, claims] => {
            sign(Path::new(folder), algorithm, number(count), claims);
        }
        ["verify", folder, algorithm, token, seconds] => {
            verify(Path::new(folder), algorithm, token, number(seconds));
        }
        ["handshake", folder, kind, seconds] => {
            handshake(Path::new(folder), *kind == "mutual", number(seconds));
        }
        _ => panic!("usage: sign | verify | handshake, see the head of peer-floor.rs"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Prints as many different tokens, one a line.
fn sign(folder: &Path, algorithm: &str, count: u64, claims: &str) {
    let over: BTreeMap<String, Value> = serde_json::from_str(claims).expect("CLAIMS is an object");
    let signer = Signer::read(folder, algorithm);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let header = format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"{algorithm}"}}"#);
    let header = URL_SAFE_NO_PAD.encode(header);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for id in 0..count {
        let mut payload = serde_json::json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "client", "client_id": "client",
            "jti": format!("{id:032x}"), "scope": format!("{SCOPE} orders.write inventory.write"),
            "iat": now, "exp": now + 12 * 3600,
        });
        for (name, value) in &over {
            payload[name] = value.clone();
        }
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()));
        writeln!(out, "{signed}.{signature}").expect("standard output is open");
    }
}

enum Signer {
    Ec(signature::EcdsaKeyPair),
    Ed(signature::Ed25519KeyPair),
    Rsa(signature::RsaKeyPair),
}

impl Signer {
    fn read(folder: &Path, algorithm: &str) -> Signer {
        let file = folder.join(format!("token-{algorithm}.key"));
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_file(file);
        let key = key.expect("the signing key can be read");
        let der = key.secret_pkcs8_der();
        let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        match algorithm {
            "ES256" => {
                signature::EcdsaKeyPair::from_pkcs8(kind, der, &SystemRandom::new()).map(Signer::Ec)
            }
            "EdDSA" => signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Signer::Ed),
            "RS256" => signature::RsaKeyPair::from_pkcs8(der).map(Signer::Rsa),
            other => panic!("there is no algorithm {other}"),
        }
        .expect("the signing key fits")
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Ec(key) => key.sign(&random, bytes).expect("ring signs").as_ref().to_vec(),
            Signer::Ed(key) => key.sign(bytes).as_ref().to_vec(),
            Signer::Rsa(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, bytes, &mut signed)
                    .expect("ring signs");
                signed
            }
        }
    }
}

fn verify(folder: &Path, algorithm: &str, token: &str, seconds: f64) {
    let token = fs::read_to_string(token).expect("the token can be read");
    let (signed, signature) = token.trim().rsplit_once('.').expect("a token has dots");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("a signature is base64url");
    let member = |name| key_member(folder, algorithm, name);
    let check: Box<dyn Fn() -> bool> = match algorithm {
        "RS256" => {
            let key = RsaPublicKeyComponents { n: member("n"), e: member("e") };
            let kind = &signature::RSA_PKCS1_2048_8192_SHA256;
            Box::new(move || key.verify(kind, signed.as_bytes(), &signature).is_ok())
        }
        _ => {
            let (kind, key): (&'static dyn signature::VerificationAlgorithm, _) = match algorithm {
                "ES256" => (
                    &signature::ECDSA_P256_SHA256_FIXED,
                    [vec![4], member("x"), member("y")].concat(),
                ),
                _ => (&signature::ED25519, member("x")),
            };
            let key = UnparsedPublicKey::new(kind, key);
            Box::new(move || key.verify(signed.as_bytes(), &signature).is_ok())
        }
    };
    let (began, on_core) = (Instant::now(), cpu());
    let mut count = 0_u64;
    while began.elapsed().as_secs_f64() < seconds {
        for _ in 0..100 {
            assert!(black_box(check()), "the token does not verify");
        }
        count += 100;
    }
    print(cpu() - on_core, count);
}

fn handshake(folder: &Path, mutual: bool, seconds: f64) {
    let server = Arc::new(server_config(folder, mutual, false));
    let client = Arc::new(client_config(folder));
    let name = ServerName::try_from("localhost").expect("a name");
    let (began, on_core) = (Instant::now(), cpu());
    let (mut count, mut spent) = (0, Duration::ZERO);
    while began.elapsed().as_secs_f64() < seconds {
        let client = ClientConnection::new(Arc::clone(&client), name.clone());
        spent += one_handshake(&server, client.expect("a client"));
        count += 1;
    }
    // Time in which another program had the core is spread over both ends alike.
    let share = (cpu() - on_core).as_secs_f64() / began.elapsed().as_secs_f64();
    print(spent.mul_f64(share), count);
}

/// The time that the server's side of one handshake took.
fn one_handshake(config: &Arc<rustls::ServerConfig>, mut client: ClientConnection) -> Duration {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut began = Instant::now();
    let mut server = ServerConnection::new(Arc::clone(config)).expect("a server");
    let mut spent = began.elapsed();
    while server.is_handshaking() || client.is_handshaking() {
        to_server.clear();
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("memory takes it");
        }
        to_client.clear();
        began = Instant::now();
        let mut unread = to_server.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).expect("memory gives it");
            server.process_new_packets().expect("the client is a good one");
        }
        while server.wants_write() {
            server.write_tls(&mut to_client).expect("memory takes it");
        }
        spent += began.elapsed();
        let mut unread = to_client.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).expect("memory gives it");
            client.process_new_packets().expect("the server is a good one");
        }
    }
    began = Instant::now();
    drop(server);
    spent + began.elapsed()
}

/// Run time of this process so far, which has one thread, from the kernel's CPU accounting.
fn cpu() -> Duration {
    let schedstat = fs::read_to_string("/proc/self/schedstat").expect("the kernel keeps account");
    let ns = schedstat.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(ns.expect("the first figure is the run time in ns"))
}

fn print(spent: Duration, count: u64) {
    let us = spent.as_secs_f64() * 1e6 / count.max(1) as f64;
    println!("{}", serde_json::json!({ "us": us, "count": count }));
}
