//! Memory does not grow with the number of requests: ten times the requests leave the process as
//! large as it was. Alone in its program, because the whole process is looked at.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, time::Duration};

use common::{Server, attach_with};
use loadgen::{
    slice::{Arrivals, SliceSpec},
    tokens::Tokens,
    workload::Workload,
};

/// Pages that the histograms touch for the first time, and the allocator's own habits.
const SLACK_KIB: u64 = 1024;

#[test]
fn ten_times_the_requests_need_no_more_memory() {
    let server = Server::start();
    let (mut generator, target) = attach_with(&server, &Workload::inventory_reserve(), 1);
    let mut slice = |requests: u64| {
        let mut spec = SliceSpec::new(Arrivals::Closed, 8, Duration::from_secs(60));
        spec.requests_max = Some(requests);
        spec.tokens = Tokens::pool((0..50).map(|n| format!("token-{n}").into_boxed_str()));
        let record = generator.run_slice(target, &spec).unwrap();
        assert_eq!(record.sent, requests, "{}", record.errors);
    };
    slice(2_000);
    let before = resident_kib();
    slice(20_000);
    let after = resident_kib();
    assert!(after <= before + SLACK_KIB, "from {before} KiB to {after} KiB");
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
