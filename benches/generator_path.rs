//! Times a request's way through the load generator in memory: laying the request out, reading
//! the reply, judging it, and recording its times, with the code that a worker runs.
//!
//! Left out: sockets, the event loop, TLS records, the clock and the schedule, which cost ten
//! times as much, nearly all of it in the kernel. So these figures are not the generator's cost
//! of a request, and must not be compared with another generator's: `benches/clients.py` does
//! that. The recorder is hot in the cache here and is not in a run with many connections. Run with
//! `cargo bench --bench generator_path`; on a busy machine look at ratios within one run only.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use loadgen::traffic::rehearsal::Rehearsal;
use loadgen::traffic::workload::Workload;

/// As long as the usual answer; what it says is not looked at.
const BODY: &str =
    r#"{"id":"o-1234567890","status":"accepted","items":3,"total":1999,"currency":"EUR"}"#;

/// A reply as nginx writes it. Its date tells the head apart from that of another second.
fn reply(second: u8) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\
         Date: Sun, 06 Nov 1994 08:49:{second:02} GMT\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: keep-alive\r\n\r\n{BODY}",
        BODY.len()
    )
    .into_bytes()
}

fn rehearsal(workload: &Workload) -> Rehearsal {
    Rehearsal::new(workload, "localhost:8443", Some("a-token-of-no-meaning")).expect("a workload")
}

/// One request and its reply. Times differ from request to request, as they do in a run.
fn exchange(rehearsal: &mut Rehearsal, now_ns: &mut u64, reply: &[u8]) {
    *now_ns += 1_000;
    black_box(rehearsal.request(*now_ns));
    let service_ns = 100_000 + *now_ns % 65_536;
    assert!(rehearsal.reply(black_box(reply), *now_ns + service_ns), "a good reply");
}

fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generator");
    let (mut now_ns, same) = (0, reply(37));
    let mut constant = rehearsal(&Workload::ping());
    group.bench_function("constant request, head as before", |bencher| {
        bencher.iter(|| exchange(&mut constant, &mut now_ns, &same));
    });
    // The worst case: no head is like the one before.
    let (even, odd) = (reply(38), reply(39));
    group.bench_function("constant request, head unlike the last, twice", |bencher| {
        bencher.iter(|| {
            exchange(&mut constant, &mut now_ns, &even);
            exchange(&mut constant, &mut now_ns, &odd);
        });
    });
    let mut varied = rehearsal(&Workload::inventory_reserve());
    group.bench_function("request with unique ids, head as before", |bencher| {
        bencher.iter(|| exchange(&mut varied, &mut now_ns, &same));
    });
    group.finish();
}

criterion_group!(benches, path);
criterion_main!(benches);
