//! Times TLS in memory at the server's end alone: a record of each size in and out, and the full
//! handshake without and with a client certificate, under the configurations of the profiles.
//!
//! Left out: sockets, and the client's end, which is not timed. Certificates are ECDSA P-256, the
//! suite is TLS_AES_128_GCM_SHA256, nothing is resumed. May be compared with what rustls itself
//! takes in memory, which this is plus one copy in each direction; must not be compared with
//! `openssl speed`, which times no protocol. Run with `cargo bench --bench tls`.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authn::{Algorithm, Transport};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use runtime::tls::Pump;
use rustls::ServerConfig;

use support::Lab;

/// Records that are made before any of them is timed.
const BATCH: u64 = 64;

fn records(criterion: &mut Criterion) {
    let lab = Lab::new(Algorithm::Es256);
    let mut group = criterion.benchmark_group("tls/record");
    for bytes in [128, 1024, 16 * 1024] {
        let plain = vec![b'x'; bytes];
        let (mut server, mut client) = lab.pumps(Transport::Tls);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("in, {bytes} bytes"), |bencher| {
            bencher.iter_custom(|count| decrypt(&mut server, &mut client, &plain, count));
        });
        let mut cipher = Vec::with_capacity(2 * bytes + 1024);
        group.bench_function(format!("out, {bytes} bytes"), |bencher| {
            bencher.iter(|| {
                cipher.clear();
                server.write(black_box(&plain), &mut cipher).expect("an open connection");
            });
        });
    }
    group.finish();
}

fn decrypt(server: &mut Pump, client: &mut Pump, plain: &[u8], count: u64) -> Duration {
    let mut taken = Duration::ZERO;
    let mut left = count;
    let mut read = Vec::with_capacity(plain.len());
    while left > 0 {
        let batch = left.min(BATCH);
        let mut records: Vec<Vec<u8>> = (0..batch).map(|_| record(client, plain)).collect();
        let start = Instant::now();
        for record in &mut records {
            read.clear();
            server.feed(black_box(record), &mut read).expect("a good record");
        }
        taken += start.elapsed();
        assert_eq!(read, plain);
        left -= batch;
    }
    taken
}

fn record(client: &mut Pump, plain: &[u8]) -> Vec<u8> {
    let mut cipher = Vec::new();
    client.write(plain, &mut cipher).expect("an open connection");
    cipher
}

fn handshakes(criterion: &mut Criterion) {
    let lab = Lab::new(Algorithm::Es256);
    let mut group = criterion.benchmark_group("tls/handshake");
    for (name, transport) in [("full", Transport::Tls), ("mutual", Transport::Mutual)] {
        let config = lab.server_tls(transport).expect("TLS");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                (0..count).map(|_| shake(&lab, transport, Arc::clone(&config))).sum()
            });
        });
    }
    group.finish();
}

/// The time that a server takes for one handshake, from making its state to the client's Finished.
fn shake(lab: &Lab, transport: Transport, config: Arc<ServerConfig>) -> Duration {
    let mut client = lab.client_pump(transport).expect("TLS");
    let (mut there, mut back, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    client.take(&mut there);
    let start = Instant::now();
    let mut server = Pump::server(config).expect("a good configuration");
    server.feed(&mut there, &mut plain).expect("a good hello");
    server.take(&mut back);
    let mut taken = start.elapsed();
    client.feed(&mut back, &mut plain).expect("a server that is trusted");
    there.clear();
    client.take(&mut there);
    let start = Instant::now();
    server.feed(&mut there, &mut plain).expect("a client that is trusted");
    taken += start.elapsed();
    assert!(server.ready() && !server.wants_write());
    taken
}

criterion_group!(benches, records, handshakes);
criterion_main!(benches);
