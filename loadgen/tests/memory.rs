//! Memory does not grow with the number of requests, in either loop, with and without TLS: not
//! while a slice runs, nor in what it leaves. Alone in its program, because the whole process is
//! looked at.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/tls.rs"]
mod tls;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::Server;
use loadgen::traffic::generator::{Generator, GeneratorOptions, TargetId};
use loadgen::traffic::record::SliceRecord;
use loadgen::traffic::schedule::{ArrivalPattern, Rate};
use loadgen::traffic::slice::{Arrivals, SliceSpec};
use loadgen::traffic::target::Target;
use loadgen::traffic::tokens::Tokens;
use loadgen::traffic::workload::Workload;

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
    let open = Arrivals::Open { rate, pattern: ArrivalPattern::Poisson };
    // Every part of a request varies: token, unique id and choice. TLS is served to GET only.
    let varied = Workload::inventory_reserve();
    let plain = Workload::custom("test", "GET", "/", Vec::new(), Vec::new());
    let (secure, answered) = tls::serve();
    let requests = &server.seen.requests;
    for (name, target, count, workload, arrivals) in [
        ("plain, closed", server.target(), requests, &varied, Arrivals::Closed),
        ("plain, open", server.target(), requests, &varied, open),
        ("TLS, closed", secure.clone(), &*answered, &plain, Arrivals::Closed),
        ("TLS, open", secure, &*answered, &plain, open),
    ] {
        let (mut generator, target) = start(target, workload);
        // The first slice connects and touches memory for the first time.
        slice(&mut generator, target, arrivals, FEW);
        let (few, _) = peak(|| slice(&mut generator, target, arrivals, FEW));
        let (many, (samples, record)) =
            peak(|| watched(count, || slice(&mut generator, target, arrivals, MANY)));
        assert!(many <= few + SLACK_KIB, "{name}: from {few} KiB to {many} KiB");
        assert!(
            record.requests_answered > FEW,
            "{name}: {} good replies, {}",
            record.requests_answered,
            record.errors
        );
        let (early, late) = (samples[0], samples[samples.len() - 1]);
        assert!(late <= early + SLACK_KIB, "{name}: {early} KiB, and {late} KiB in the end");
    }
}

/// What `run` makes, and the process's memory in KiB while its requests were being answered: not
/// before the first few, and nothing of what happens once they all are.
fn watched<T>(answered: &AtomicU64, run: impl FnOnce() -> T) -> (Vec<u64>, T) {
    let (begin, over) = (answered.load(Ordering::Relaxed), AtomicBool::new(false));
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut samples = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let kib = memory_kib("VmRSS:");
                samples.push((kib, answered.load(Ordering::Relaxed)));
                thread::sleep(Duration::from_millis(1));
            }
            samples
        });
        let made = run();
        over.store(true, Ordering::Relaxed);
        let mut samples = watching.join().unwrap();
        let within = begin + FEW..answered.load(Ordering::Relaxed);
        samples.retain(|(_, count)| within.contains(count));
        (samples.into_iter().map(|(kib, _)| kib).collect(), made)
    })
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
    assert_eq!((record.requests_asked, record.errors.total()), (requests, 0), "{}", record.errors);
    record
}

/// What `run` makes, and the most memory that the process had meanwhile, in KiB: the kernel keeps
/// the highest value since it was told to forget it (`clear_refs` in proc(5)).
fn peak<T>(run: impl FnOnce() -> T) -> (u64, T) {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let made = run();
    (memory_kib("VmHWM:"), made)
}

fn memory_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
