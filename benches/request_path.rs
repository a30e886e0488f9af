//! What the steps of a request cost in memory: decoding a head, encoding an answer, verifying a
//! token for the first time and again, authorizing. Leaves out sockets, TLS records and stores, so
//! that the figures are not the cost of a request and must not be compared with another server's.
//! Run with `cargo bench`; on a busy machine look at ratios within one run only.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

use std::hint::black_box;
use std::sync::Arc;

use authn::policy::{Callers, Credentials, Route, authorize};
use authn::{
    Algorithm, KeySet, NewClaims, Scope, ScopeSet, Signer, TokenCache, TokenCheck, Transport,
    Verifier,
};
use criterion::{Criterion, criterion_group, criterion_main};
use proto_http::{Answer, AnswerBody, Limits, Server};

const NOW_S: u64 = 1_800_000_000;
const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const BODY: &[u8] =
    br#"{"pong":true,"bytes":0,"padding":"so that the answer is as long as the one of a ping"}"#;

/// A route that asks for everything a route can ask for but a caller's name.
struct Measured;

impl Route for Measured {
    const NAME: &'static str = "measured";
    const SCOPE: Option<Scope> = Some(Scope::OrdersRead);
    const CALLERS: Callers = Callers::Any;
}

fn request(token: &str) -> Vec<u8> {
    format!(
        "GET /api/ping HTTP/1.1\r\nHost: localhost:8443\r\nUser-Agent: bench\r\nAccept: */*\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
    .into_bytes()
}

fn http(criterion: &mut Criterion) {
    let input = request("a-token-of-no-meaning");
    let mut server = Server::new(Limits::default());
    let mut out = Vec::with_capacity(1024);
    criterion.bench_function("http/decode head, encode answer", |bencher| {
        bencher.iter(|| exchange(&mut server, black_box(&input), &mut out));
    });
}

/// One whole exchange without a body: what every request pays before anybody looks at a token.
fn exchange(server: &mut Server, input: &[u8], out: &mut Vec<u8>) {
    out.clear();
    server.head(input).expect("a good head").expect("a whole head");
    server.body(&[]).expect("no body");
    let fields: &[(&str, &[u8])] = &[("content-type", b"application/json")];
    let answer = Answer { status: 200, fields, body: AnswerBody::Bytes(BODY) };
    server.respond(out, DATE, &answer);
    black_box(server.next());
}

fn tokens(criterion: &mut Criterion) {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (token, verifier) = token(algorithm);
        let name = format!("jwt/{} first sight", algorithm.as_str());
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| verifier.verify(black_box(token.as_bytes()), NOW_S).expect("good"));
        });
    }
    let (token, verifier) = token(Algorithm::Es256);
    let mut cache = TokenCache::new(4_096, [1, 2]);
    let access = Arc::new(verifier.verify(token.as_bytes(), NOW_S).expect("good"));
    cache.insert(token.as_bytes(), access);
    criterion.bench_function("jwt/repeat", |bencher| {
        bencher.iter(|| cache.get(black_box(token.as_bytes()), NOW_S).expect("a hit"));
    });
}

fn policy(criterion: &mut Criterion) {
    let (token, verifier) = token(Algorithm::Es256);
    let access = Arc::new(verifier.verify(token.as_bytes(), NOW_S).expect("good"));
    let credentials = Credentials { identity: None, access: Some(access) };
    for (name, check) in [
        ("policy/ignore", TokenCheck::Ignore),
        ("policy/verify", TokenCheck::Verify),
        ("policy/scopes", TokenCheck::VerifyScopes),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let permit = authorize::<Measured>(check, Transport::Tls, black_box(&credentials));
                black_box(permit.is_ok())
            });
        });
    }
}

/// Decode, find the token in the cache, authorize, encode: the path of a repeated token.
fn path(criterion: &mut Criterion) {
    let (token, verifier) = token(Algorithm::Es256);
    let input = request(&token);
    let mut cache = TokenCache::new(4_096, [1, 2]);
    let access = Arc::new(verifier.verify(token.as_bytes(), NOW_S).expect("good"));
    cache.insert(token.as_bytes(), access);
    let mut server = Server::new(Limits::default());
    let mut out = Vec::with_capacity(1024);
    criterion.bench_function("request_path/repeat, scopes", |bencher| {
        bencher.iter(|| {
            let access = cache.get(black_box(token.as_bytes()), NOW_S);
            let credentials = Credentials { identity: None, access };
            let permit =
                authorize::<Measured>(TokenCheck::VerifyScopes, Transport::Tls, &credentials);
            black_box(permit.expect("permitted").client());
            exchange(&mut server, black_box(&input), &mut out);
        });
    });
}

fn token(algorithm: Algorithm) -> (String, Verifier) {
    let (_, signer) = Signer::generate(algorithm).expect("a key");
    let claims = NewClaims {
        issuer: "https://localhost:8444",
        audience: "tollgate",
        subject: "bench-runner",
        client_id: "bench-runner",
        scopes: ScopeSet::parse("orders.read orders.write").expect("known scopes"),
        issued_at: NOW_S - 10,
        expires_at: NOW_S + 3_600,
        token_id: "a-token-id",
    };
    let token = signer.sign(&claims).expect("a token");
    let keys = KeySet::of([&signer]).expect("a key set");
    (token, Verifier::new(keys, "https://localhost:8444", "tollgate", 5))
}

criterion_group!(benches, http, tokens, policy, path);
criterion_main!(benches);
