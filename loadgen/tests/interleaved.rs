//! Interleaved slices over real sockets, against servers that share no code with the generator: who
//! gets which request, what is under way at a block's end, and what is read between blocks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::{Server, attached};
use loadgen::traffic::generator::{Generator, GeneratorOptions};
use loadgen::traffic::record::SliceRecord;
use loadgen::traffic::schedule::blocks::Blocks;
use loadgen::traffic::schedule::{ArrivalPattern, Rate};
use loadgen::traffic::slice::{Arrivals, GeneratorError, LaneSpec, SliceSpec};
use loadgen::traffic::tokens::Tokens;
use loadgen::traffic::workload::Workload;
use runtime::CpuClock;

const BLOCK: Duration = Duration::from_millis(5);

/// Lanes to servers of their own, each asked for a path.
struct Lanes {
    generator: Generator,
    servers: Vec<Server>,
    specs: Vec<LaneSpec>,
}

fn lanes(paths: &[&str], workers: usize) -> Lanes {
    let mut generator = Generator::start(&GeneratorOptions::unpinned(workers)).unwrap();
    let clocks = vec![CpuClock::of_process(std::process::id()).unwrap()];
    let (mut servers, mut specs) = (Vec::new(), Vec::new());
    for path in paths {
        let server = Server::start();
        let workload = Workload::custom("test", "GET", path, Vec::new(), Vec::new());
        let target = generator.attach(server.target(), &workload).unwrap();
        servers.push(server);
        specs.push(LaneSpec { target, tokens: Tokens::none(), clocks: clocks.clone() });
    }
    Lanes { generator, servers, specs }
}

fn open(rate: f64, connections: usize) -> SliceSpec {
    let rate = Rate::per_second(rate).unwrap();
    let arrivals = Arrivals::Open { rate, pattern: ArrivalPattern::Constant };
    SliceSpec::new(arrivals, connections, BLOCK)
}

fn closed(connections: usize) -> SliceSpec {
    SliceSpec::new(Arrivals::Closed, connections, BLOCK)
}

fn run(lanes: &mut Lanes, spec: &SliceSpec, pairs: u32) -> Vec<SliceRecord> {
    let blocks = Blocks::interleaved(lanes.specs.len(), BLOCK, pairs, 7);
    let records = lanes.generator.run_interleaved(&lanes.specs, spec, &blocks).unwrap();
    for record in &records {
        assert!(record.accounted(), "{:?} of {}", record.errors, record.requests_asked);
        assert_eq!(record.response.len(), record.requests_answered);
    }
    records
}

#[test]
fn each_lane_gets_the_requests_of_its_blocks() {
    for workers in [1, 2] {
        let mut lanes = lanes(&["/ok", "/ok?b", "/ok?c"], workers);
        let records = run(&mut lanes, &open(3_000.0, 8), 10);
        // 3 lanes in 20 blocks of 5 ms each: 300 ms at 3,000/s, 15 requests in a block.
        let asked: Vec<u64> = records.iter().map(|record| record.requests_asked).collect();
        assert_eq!(asked.iter().sum::<u64>(), 900);
        assert!(asked.iter().all(|asked| asked.abs_diff(300) <= 1), "{asked:?}");
        for (record, server) in records.iter().zip(&lanes.servers) {
            assert_eq!(record.errors.total(), 0, "{}", record.errors);
            assert_eq!(record.window_ns, 100_000_000);
            let own = server.seen.connections.load(Ordering::Relaxed);
            assert_eq!(own, 8, "each server saw its own lane's connections");
            assert_eq!(record.connections.opened, 8);
            assert_eq!(server.seen.requests.load(Ordering::Relaxed), record.requests_sent);
            assert_eq!(record.cpu_readings.len(), 11, "one before each pair, one after the last");
            let readings = record.cpu_readings.windows(2);
            assert!(readings.clone().all(|two| two[0].cpu_ns.unwrap() <= two[1].cpu_ns.unwrap()));
            assert!(readings.clone().all(|two| two[0].answered <= two[1].answered));
            assert_eq!(record.cpu_readings[10].answered, record.requests_answered);
        }
    }
}

/// Three lanes whose servers are one process, as a target and its A/A control are: what it used is
/// divided among them, and billed to none of them twice.
#[test]
fn servers_that_lanes_share_are_billed_once() {
    let mut lanes = lanes(&["/ok", "/ok?b", "/ok?c"], 1);
    let clock = CpuClock::of_process(std::process::id()).unwrap();
    let before = clock.ns().unwrap();
    let records = run(&mut lanes, &open(3_000.0, 8), 10);
    let used = clock.ns().unwrap() - before;
    let billed: Vec<u64> = records.iter().map(|record| record.server_cpu_ns[0]).collect();
    let sum: u64 = billed.iter().sum();
    assert!(sum <= used && sum > used / 4, "{billed:?} of {used}");
    for (record, billed) in records.iter().zip(billed) {
        let [first, .., last] = &record.cpu_readings[..] else { panic!("readings are missing") };
        assert_eq!(last.cpu_ns.unwrap() - first.cpu_ns.unwrap(), billed);
        assert!(billed > sum / 10, "{billed} of {sum}");
    }
}

/// An A/A control has its baseline's servers for the second half of the baseline's turn.
#[test]
fn lanes_that_share_a_turn_have_half_of_its_requests() {
    let mut lanes = lanes(&["/ok", "/ok?b", "/ok?c"], 1);
    let blocks = Blocks::with_shared_turns(&[2, 1], Duration::from_millis(10), 5, 7);
    let records =
        lanes.generator.run_interleaved(&lanes.specs, &open(2_000.0, 8), &blocks).unwrap();
    let asked: Vec<u64> = records.iter().map(|record| record.requests_asked).collect();
    assert_eq!(asked.iter().sum::<u64>(), 400);
    assert!(asked[0].abs_diff(100) <= 1 && asked[1].abs_diff(100) <= 1, "{asked:?}");
    let windows: Vec<u64> = records.iter().map(|record| record.window_ns).collect();
    assert_eq!(windows, [50_000_000, 50_000_000, 100_000_000]);
}

/// A response of 20 ms outlasts its block: it is its own lane's, and its neighbour's times are not
/// touched.
#[test]
fn what_is_under_way_at_a_blocks_end_is_its_own_lanes() {
    let mut lanes = lanes(&["/ok", "/delay"], 1);
    let records = run(&mut lanes, &open(400.0, 16), 10);
    let [quick, slow] = [&records[0], &records[1]];
    assert_eq!(quick.requests_answered + slow.requests_answered, 80);
    assert!(slow.service.min() >= 20_000_000, "{}", slow.service.min());
    assert!(quick.service.value_at_quantile(0.5) < 10_000_000);
    assert_eq!(slow.requests_asked, slow.requests_answered);
}

#[test]
fn a_closed_loop_drains_before_the_next_block() {
    let mut lanes = lanes(&["/delay", "/delay"], 1);
    let records = run(&mut lanes, &closed(4), 3);
    for record in &records {
        // A block of 5 ms begins one request on each connection, and waits for its answer. One that
        // the machine held up for longer begins none.
        assert!((1..=6 * 4).contains(&record.requests_asked), "{}", record.requests_asked);
        assert_eq!(record.requests_asked, record.requests_answered);
        assert_eq!(record.answered_in_window, 0, "each took 20 ms");
        assert_eq!(record.window_ns, 6 * 5_000_000);
        assert!(record.wall_ns >= 20_000_000, "turns last until the last answer");
    }
}

#[test]
fn new_connections_take_turns() {
    let mut lanes = lanes(&["/ok", "/ok?b"], 1);
    let each = NonZeroU32::new(1);
    let spec = SliceSpec { requests_per_connection: each, ..closed(4) };
    for record in run(&mut lanes, &spec, 4) {
        assert!(record.requests_answered >= 8 * 4, "{}", record.requests_answered);
        assert_eq!(record.connections.opened, record.requests_answered);
        assert!(record.answered_in_window <= record.requests_answered);
    }
    let spec = SliceSpec { requests_max: Some(10), ..spec };
    for record in run(&mut lanes, &spec, 4) {
        assert_eq!(record.requests_asked, 10, "the limit is each lane's own");
    }
}

#[test]
fn an_interleaved_slice_can_be_stopped() {
    let mut lanes = lanes(&["/ok", "/ok?b"], 1);
    let stop = lanes.generator.stopper();
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stop.stop();
    });
    let records = run(&mut lanes, &open(1_000.0, 4), 500);
    stopper.join().unwrap();
    assert!(records.iter().all(|record| record.interrupted));
    assert!(records.iter().all(|record| record.requests_asked < 1_000));
}

#[test]
fn lanes_without_a_target_are_refused() {
    let server = Server::start();
    let (mut generator, target) = attached(&server, "/ok");
    let own = LaneSpec { target, tokens: Tokens::none(), clocks: Vec::new() };
    let blocks = Blocks::interleaved(2, BLOCK, 1, 1);
    let refused = generator.run_interleaved(&[own], &open(100.0, 1), &blocks);
    assert!(matches!(refused, Err(GeneratorError::Spec(_))));
}
