//! Memory does not grow with the number of requests, in either loop, with and without TLS: not
//! while a slice runs, nor in what it leaves. Alone in its program, because the whole process is
//! looked at.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/tls.rs"]
mod tls;

use std::{fs, time::Duration};

use common::Server;
use loadgen::{
    generator::{Generator, GeneratorOptions, TargetId},
    record::SliceRecord,
    schedule::{Pattern, Rate},
    slice::{Arrivals, SliceSpec},
    target::Target,
    tokens::Tokens,
    workload::Workload,
};

/// Pages that the histograms touch for the first time, and the allocator's own habits. Eight
/// bytes a request, which is the least that could be kept of one, exceed it.
const SLACK_KIB: u64 = 512;
const FEW: u64 = 5_000;
const MANY: u64 = 100_000;

#[test]
fn twenty_times_the_requests_need_no_more_memory() {
    let server = Server::start();
    // What a slow machine does not answer in time is dropped, which must need no memory either.
    let rate = Rate::per_second(50_000.0).unwrap();
    let open = Arrivals::Open { rate, pattern: Pattern::Poisson };
    // Every part of a request varies: token, unique id and choice. TLS is served to GET only.
    let varied = Workload::inventory_reserve();
    let plain = Workload::custom("test", "GET", "/", Vec::new(), Vec::new());
    for (name, target, workload, arrivals) in [
        ("plain, closed", server.target(), &varied, Arrivals::Closed),
        ("plain, open", server.target(), &varied, open),
        ("TLS, closed", tls::serve(), &plain, Arrivals::Closed),
        ("TLS, open", tls::serve(), &plain, open),
    ] {
        let (mut generator, target) = start(target, workload);
        // The first slice connects and touches memory for the first time.
        slice(&mut generator, target, arrivals, FEW);
        let (few, _) = peak(|| slice(&mut generator, target, arrivals, FEW));
        let (many, record) = peak(|| slice(&mut generator, target, arrivals, MANY));
        assert!(many <= few + SLACK_KIB, "{name}: from {few} KiB to {many} KiB");
        assert!(record.ok > FEW, "{name}: {} good replies, {}", record.ok, record.errors);
    }
}

fn start(target: Target, workload: &Workload) -> (Generator, TargetId) {
    let mut generator = Generator::start(&GeneratorOptions::unpinned(1)).unwrap();
    let target = generator.attach(target, workload).unwrap();
    (generator, target)
}

fn slice(
    generator: &mut Generator,
    target: TargetId,
    arrivals: Arrivals,
    requests: u64,
) -> SliceRecord {
    let mut spec = SliceSpec::new(arrivals, 8, Duration::from_secs(60));
    spec.requests_max = Some(requests);
    spec.queue_max = Some(1_000);
    spec.tokens = Tokens::pool((0..50).map(|n| format!("token-{n}").into_boxed_str()));
    let record = generator.run_slice(target, &spec).unwrap();
    assert!(record.accounted());
    assert_eq!((record.intended, record.errors.total()), (requests, 0), "{}", record.errors);
    record
}

/// What `run` makes, and the most memory that the process had meanwhile, in KiB: the kernel keeps
/// the highest value since it was told to forget it (`clear_refs` in proc(5)).
fn peak<T>(run: impl FnOnce() -> T) -> (u64, T) {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let made = run();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    (line.trim().trim_end_matches(" kB").parse().unwrap(), made)
}
