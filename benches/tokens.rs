//! Times what a token costs: verifying it anew with each algorithm, beside it ring's verification
//! of its signature alone, finding it in the cache of verified tokens, and the policy's decision.
//!
//! Left out: the head that the token came in. One token is used again and again, so that keys and
//! tables are hot. What lies between an uncached token and ring alone is ours: splitting, base64,
//! key, claims. Must not be compared with libraries that check less of a token. Run with
//! `cargo bench --bench tokens`.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use authn::policy::{Callers, Credentials, OwnerRule, Presented, Route, authorize};
use authn::{Algorithm, ClientCertificates, Identity, Scope, TokenCache, TokenCheck, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};

use support::Lab;

/// A route that asks for everything a route can ask for.
struct Measured;

impl Route for Measured {
    const NAME: &'static str = "measured";
    const SCOPE: Option<Scope> = Some(Scope::OrdersRead);
    const CALLERS: Callers = Callers::Named(&["gateway", "bench-runner"]);
    const FORWARDERS: &'static [&'static str] = &["gateway"];
    const OWNER: OwnerRule = OwnerRule::Creator;
}

fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jwt");
    for algorithm in Algorithm::ALL {
        let lab = Lab::new(algorithm);
        let (token, verifier, now) = (lab.token(0), lab.verifier(), lab.now());
        let access = verifier.verify(token.as_bytes(), now).expect("a good token");
        let (message, signature) = token.rsplit_once('.').expect("three segments");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let key = verifier.keys().iter().next().expect("a key");
        group.bench_function(format!("{algorithm}, ring alone"), |bencher| {
            bencher.iter(|| key.verify(black_box(message.as_bytes()), black_box(&signature)));
        });
        group.bench_function(format!("{algorithm}, uncached"), |bencher| {
            bencher.iter(|| verifier.verify(black_box(token.as_bytes()), now));
        });
        let mut cache = TokenCache::new(4_096, [1, 2]);
        cache.insert(token.as_bytes(), Arc::new(access));
        group.bench_function(format!("{algorithm}, repeated"), |bencher| {
            bencher.iter(|| cache.get(black_box(token.as_bytes()), now).expect("a hit"));
        });
    }
    group.finish();
}

fn policy(criterion: &mut Criterion) {
    let lab = Lab::new(Algorithm::Es256);
    let access = lab.verifier().verify(lab.token(0).as_bytes(), lab.now()).expect("good");
    let identity = Some(Identity { name: Some("bench-runner".into()) });
    let sender = ClientCertificates::default().sender(identity.as_ref());
    let credentials = Credentials { identity, sender, ..Credentials::default() };
    let presented = Presented { access: Some(Arc::new(access)), ..Presented::default() };
    let mut group = criterion.benchmark_group("authorize");
    for (name, check) in [
        ("token ignored", TokenCheck::Ignore),
        ("token verified", TokenCheck::Verify),
        ("scopes and callers", TokenCheck::VerifyScopes),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (credentials, presented) = black_box((&credentials, &presented));
                authorize::<Measured>(check, Transport::Mutual, credentials, presented).is_ok()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, tokens, policy);
criterion_main!(benches);
