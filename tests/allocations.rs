//! What a request allocates once its connection is warm: nothing of ours, under any profile. It is
//! counted in memory by an allocator that counts, over the code that serves real connections. Under
//! TLS rustls allocates for the records it reads and writes; that is counted apart, at a bare pump
//! that is given the same bytes, and printed.

#[path = "../benches/support/mod.rs"]
mod support;

use authn::{Algorithm, Profile, Transport};
use runtime::allocations::{Counting, so_far};
use runtime::memory::on_core;

use support::{BenchRequest, Lab, Rig, Tokens};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests until all memory of the stores is in use; they keep 1024 entries here.
const WARM_UP: usize = 1200;
const REQUESTS: u64 = 200;
/// A pause of the machine may make a connection look idle, whose buffers are then given back; of so
/// many counts one is without.
const COUNTS: usize = 5;

/// Allocations of the server for one request, the client's left out.
fn one(rig: &mut Rig) -> u64 {
    let wire = rig.request();
    let before = so_far();
    rig.serve(&wire);
    let taken = so_far() - before;
    rig.judge(1);
    taken
}

/// The fewest allocations for so many requests of a warm connection.
fn fewest(mut one: impl FnMut() -> u64) -> u64 {
    for _ in 0..WARM_UP {
        one();
    }
    let counts = (0..COUNTS).map(|_| (0..REQUESTS).map(|_| one()).sum());
    counts.min().expect("there is more than one")
}

/// Allocations of TLS alone for so many records in and out, of these lengths in plain text.
fn of_rustls(lab: &Lab, transport: Transport, request: usize, answer: usize) -> u64 {
    let (mut server, mut client) = lab.pumps(transport);
    let (request, answer) = (vec![b'x'; request], vec![b'x'; answer]);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut plain = Vec::with_capacity(request.len());
    fewest(|| {
        there.clear();
        client.write(&request, &mut there).expect("an open connection");
        let before = so_far();
        plain.clear();
        back.clear();
        server.feed(&mut there, &mut plain).expect("a good record");
        server.write(&answer, &mut back).expect("an open connection");
        so_far() - before
    })
}

#[test]
fn a_plain_request_allocates_nothing() {
    let lab = Lab::new(Algorithm::Es256);
    let plain = Profile::ALL.into_iter().filter(|profile| profile.transport == Transport::Plain);
    let counted = on_core(|core| {
        for profile in plain {
            for (name, ask) in BenchRequest::ALL {
                let mut rig = Rig::new(core, &lab, profile, Tokens::Cached, ask);
                let count = fewest(|| one(&mut rig));
                assert_eq!(count, 0, "{} {name}, {REQUESTS} requests", profile.label());
            }
        }
    });
    counted.expect("an executor");
}

#[test]
fn under_tls_a_request_allocates_what_rustls_does() {
    let lab = Lab::new(Algorithm::Es256);
    let counted = on_core(|core| {
        for (label, profile) in Profile::NAMED.into_iter().skip(1) {
            for (name, ask) in BenchRequest::ALL {
                let mut rig = Rig::new(core, &lab, profile, Tokens::Cached, ask);
                let (request, answer) = rig.lengths();
                let theirs = of_rustls(&lab, profile.transport, request, answer);
                let all = fewest(|| one(&mut rig));
                assert_eq!(all, theirs, "{label} {name}, {REQUESTS} requests; theirs is rustls's");
                let each = theirs as f64 / REQUESTS as f64;
                println!("{label} {name}: {each} allocations per request, all of them rustls's");
            }
        }
    });
    counted.expect("an executor");
}

#[test]
fn what_is_allocated_is_counted() {
    let before = so_far();
    let mut list = vec![1_u8];
    list.reserve_exact(100);
    assert_eq!(so_far() - before, 2, "an allocation and its growth");
}
