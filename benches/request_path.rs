//! Times a request's whole way through a server in memory, under each profile: bytes as they came
//! off the socket, record, head, route, token, policy, handler, answer, record, bytes as they go
//! onto it. It is the code that `tollgate serve` runs, on one connection of one thread.
//!
//! Left out: the kernel, which takes two thirds of a real request and more; the driver's
//! submissions; caches that other connections have emptied. The client's own work is not timed. So
//! these figures are what our code takes, are lower than a server's CPU per request, and must not
//! be compared with another server's: `benches/peers` does that. Differences between profiles are
//! what they are for. Run with `cargo bench --bench request_path`; on a busy machine look at ratios
//! within one run only.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

mod support;

use std::time::{Duration, Instant};

use authn::{Algorithm, Profile, TokenCheck};
use criterion::{Criterion, criterion_group, criterion_main};
use runtime::Core;
use runtime::memory::on_core;

use support::{BenchRequest, Lab, Rig, Tokens};

/// Requests that are laid out before any of them is timed.
const BATCH: u64 = 256;

/// The time that the server takes for so many requests.
fn serve(rig: &mut Rig, count: u64) -> Duration {
    let mut taken = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let batch = left.min(BATCH);
        let wires: Vec<Vec<u8>> = (0..batch).map(|_| rig.request()).collect();
        let start = Instant::now();
        for wire in &wires {
            rig.serve(wire);
        }
        taken += start.elapsed();
        rig.judge(wires.len());
        left -= batch;
    }
    taken
}

fn profiles(criterion: &mut Criterion, core: &Core) {
    let lab = Lab::new(Algorithm::Es256);
    for (name, ask) in BenchRequest::ALL {
        let mut group = criterion.benchmark_group(format!("request_path/{name}"));
        for (label, profile) in Profile::NAMED {
            let mut rig = Rig::new(core, &lab, profile, Tokens::Cached, ask);
            group.bench_function(label, |bencher| {
                bencher.iter_custom(|count| serve(&mut rig, count));
            });
        }
        group.finish();
    }
}

/// A token that the server does not know costs a signature; the cache is off.
fn uncached(criterion: &mut Criterion, core: &Core) {
    let mut group = criterion.benchmark_group("request_path/ping, uncached");
    for algorithm in Algorithm::ALL {
        let lab = Lab::new(algorithm);
        let verifying = Profile::NAMED.iter().filter(|(_, p)| p.token != TokenCheck::Ignore);
        for (label, profile) in verifying {
            let mut rig = Rig::new(core, &lab, *profile, Tokens::Uncached, BenchRequest::PingGet);
            group.bench_function(format!("{label} {algorithm}"), |bencher| {
                bencher.iter_custom(|count| serve(&mut rig, count));
            });
        }
    }
    group.finish();
}

fn path(criterion: &mut Criterion) {
    on_core(|core| {
        profiles(criterion, core);
        uncached(criterion, core);
    })
    .expect("an executor");
}

criterion_group!(benches, path);
criterion_main!(benches);
