//! Every rule as a table: one change at a time to what is sound, the bound that it breaks, its
//! cause, and the same verdict of a slice, of a run and of a single slice of `tollgate run`.

use hdrhistogram::Histogram;
use metrics_export::breaches::{MATRIX, RUN};
use metrics_export::run::{Percentiles, Slice, SliceBlocks, SliceKind, Validity};

use super::*;
use crate::machine::cpu::{MachineUsage, ServerUsage, Usage};
use crate::traffic::record::{self, SliceRecord};

fn quiet() -> Slice {
    Slice {
        variant: "s1".into(),
        kind: SliceKind::Open,
        instance: 0,
        round: 0,
        position: 0,
        attempt: 0,
        counts: true,
        disturbances: Vec::new(),
        start_unix_ns: 0,
        duration_ns: 1_000_000_000,
        requests_asked: 1_000,
        requests_sent: 1_000,
        requests_answered: 1_000,
        dropped: 0,
        errors: Default::default(),
        bytes_sent: 0,
        bytes_received: 0,
        connections_opened: 0,
        handshakes_full: 0,
        handshakes_resumed: 0,
        response: Percentiles::default(),
        service: Percentiles::default(),
        lateness: Percentiles { count: 1, p99_ns: 20_000, ..Percentiles::default() },
        services: Vec::new(),
        generator_cpu_ns: 0,
        busy_ns: 0,
        softirq_ns: 0,
        steal_ns: 0,
        background_ns: Some(10_000_000),
        throttled: 0,
        connect: Percentiles::default(),
        handshake: Percentiles::default(),
        in_flight_growth_milli: 900,
        in_flight_first_milli: Some(2_000),
        sent_in_window: Some(1_000),
        queue_high_water: Some(0),
        retransmits: Some(0),
        generator_share_milli: 1_000,
        server_handshakes: None,
        ran_on_generator_core: false,
        closed_idle: 0,
        closed_unsolicited: 0,
        cpu_unknown: None,
        blocks: None,
    }
}

/// A change to a quiet slice, the bound that it breaks, its cause, and the fact.
type Case = (fn(&mut Slice), BoundId, Cause, &'static str);

const CASES: &[Case] = &[
    (
        |slice| slice.background_ns = Some(50_000_000),
        BoundId::BackgroundShare,
        Cause::Machine,
        "other programs used 2.5% of the measured cores, limit 2.0%",
    ),
    (
        |slice| slice.steal_ns = 30_000_000,
        BoundId::StealShare,
        Cause::Machine,
        "the hypervisor took 1.5% of the measured cores, limit 1.0%",
    ),
    (
        |slice| slice.throttled = 2,
        BoundId::Throttled,
        Cause::Machine,
        "the control group was throttled 2 times, limit 0",
    ),
    (
        |slice| slice.ran_on_generator_core = true,
        BoundId::SharedCore,
        Cause::Machine,
        "the server ran on a generator core",
    ),
    (
        |slice| slice.lateness.p99_ns = 150_000,
        BoundId::Lateness,
        Cause::Generator,
        "send lateness p99 150 us, limit 100 us",
    ),
    (
        |slice| slice.sent_in_window = Some(980),
        BoundId::AchievedShare,
        Cause::Generator,
        "98% of the requested rate was achieved, limit 99%",
    ),
    (
        |slice| (slice.sent_in_window, slice.queue_high_water) = (Some(900), Some(1)),
        BoundId::AchievedShare,
        Cause::Target,
        "90% of the requested rate was achieved, limit 99%",
    ),
    (
        |slice| slice.dropped = 1,
        BoundId::Dropped,
        Cause::Target,
        "1 requests found the queue full and were never sent, limit 0",
    ),
    (
        |slice| slice.in_flight_growth_milli = 11_000,
        BoundId::InFlightGrowth,
        Cause::Target,
        "unanswered requests grew by 11 (from 2 to 13), limit 10",
    ),
];

fn judged(slices: &[Slice], late_ns: u64) -> Validity {
    let mut lateness = record::histogram();
    lateness.saturating_record(late_ns);
    judged_idle(slices, &lateness, None)
}

fn judged_idle(
    slices: &[Slice],
    lateness: &Histogram<u64>,
    idle_cpu_share: Option<f64>,
) -> Validity {
    let judged = Judged { variant: "s1", label: "S1", lateness, idle_cpu_share };
    judge_run(slices, &[judged], &Bounds::default(), 2)
}

fn of_slice(slice: &Slice) -> Vec<Breach> {
    judge(&Observed::of_slice(slice, 2), &Bounds::default(), MATRIX)
}

/// The same slice as the generator and the kernel counted it.
fn counted(slice: &Slice) -> Observed {
    let mut record = SliceRecord::empty();
    record.open_loop = true;
    record.requests_asked = slice.requests_asked;
    record.sent_in_window = slice.sent_in_window.unwrap();
    record.queue_high_water = slice.queue_high_water.unwrap();
    record.dropped = slice.dropped;
    record.lateness.record(slice.lateness.p99_ns).unwrap();
    let first_milli = slice.in_flight_first_milli.unwrap();
    record.in_flight[0].add((first_milli / 1_000) as u64);
    record.in_flight[3].add(((first_milli + slice.in_flight_growth_milli) / 1_000) as u64);
    let machine = MachineUsage {
        wall_ns: slice.duration_ns,
        steal_ns: slice.steal_ns,
        background_ns: slice.background_ns,
        throttled: slice.throttled,
        ..MachineUsage::default()
    };
    let ran_on_generator_core = slice.ran_on_generator_core;
    let servers = ServerUsage { ran_on_generator_core, ..ServerUsage::default() };
    let usage = Usage { servers, machine };
    Observed::of_record(&record).with_usage(&usage, 2, true, true)
}

#[test]
fn a_sound_slice_breaks_no_bound() {
    assert_eq!(of_slice(&quiet()), []);
    assert_eq!(judge(&counted(&quiet()), &Bounds::default(), RUN), []);
    let validity = judged(&[quiet()], 20_000);
    assert!(validity.valid && validity.notes.is_empty(), "{validity:?}");
}

#[test]
fn a_rule_means_the_same_of_a_slice_of_a_run_and_of_a_search_point() {
    for (change, bound, cause, fact) in CASES {
        let mut slice = quiet();
        change(&mut slice);
        let found = of_slice(&slice);
        let [breach] = found.as_slice() else { panic!("{bound}: {found:?}") };
        assert_eq!((breach.id(), breach.cause), (Some(*bound), Some(*cause)));
        assert_eq!(breaches::fact(breach), *fact);
        let starts = breach.sentence.starts_with(&format!("{fact}. "));
        assert!(starts && breach.sentence.ends_with('.'), "{}", breach.sentence);

        let single = judge(&counted(&slice), &Bounds::default(), RUN);
        assert_eq!(single.len(), 1, "{single:?}");
        let rounded = |value: f64| (value * 1e3).round();
        let same = |breach: &Breach| {
            let measured = match bound {
                // A histogram rounds.
                BoundId::Lateness => breach.measured.map(|ns| (ns / 1e3).round()),
                _ => breach.measured.map(rounded),
            };
            (breach.bound.clone(), breach.cause, measured, breach.limit)
        };
        assert_eq!(same(&single[0]), same(breach));

        let validity = judged(&[slice.clone()], slice.lateness.p99_ns);
        assert_eq!(validity.breaches.len(), 1, "{validity:?}");
        assert_eq!(same(&validity.breaches[0]), same(breach));

        // Taken once more, without it: the run is valid and says that it was repeated.
        slice.counts = false;
        let again = Slice { attempt: 1, ..quiet() };
        let validity = judged(&[slice, again], 20_000);
        assert!(validity.valid && validity.slices_repeated == 1, "{bound}");
    }
}

#[test]
fn servers_that_work_unasked_are_named() {
    let idle = |share| judged_idle(&[quiet()], &record::histogram(), Some(share));
    assert!(idle(0.0019).valid);
    let validity = idle(0.031);
    let sentence = &validity.breaches[0].sentence;
    assert!(sentence.starts_with("S1: while nothing was asked of them"), "{sentence}");
    assert!(sentence.contains("3.1%") && sentence.contains("limit 0.2%"), "{sentence}");
    assert_eq!(validity.breaches[0].cause, Some(Cause::Target));
}

/// What the machine did to an interleaved slice is in each of its rows, and counts once.
#[test]
fn the_machine_of_an_interleaved_slice_counts_once() {
    let row = |position: u32| {
        let blocks = SliceBlocks { slice_ns: 4_000_000_000, ..SliceBlocks::default() };
        let machine = Slice { throttled: 1, steal_ns: 70_000_000, ..quiet() };
        Slice { position, blocks: Some(blocks), retransmits: Some(3), ..machine }
    };
    let validity = judged(&[row(0), row(1), row(2)], 20_000);
    // 70 ms of two cores for 4 s are less than a hundredth; of a second they were more.
    let broken: Vec<Option<BoundId>> = validity.breaches.iter().map(Breach::id).collect();
    assert_eq!(broken, [Some(BoundId::Throttled)]);
    assert_eq!(validity.breaches[0].measured, Some(1.0));
    assert!(validity.notes.iter().any(|note| note.contains("3 TCP segments")), "{validity:?}");
}

#[test]
fn causes_come_before_their_effects() {
    let mut slice = quiet();
    CASES.iter().rev().for_each(|(change, ..)| change(&mut slice));
    let found = of_slice(&slice);
    let order: Vec<Option<BoundId>> = found.iter().map(Breach::id).collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|id| BoundId::ALL.iter().position(|known| Some(*known) == *id));
    assert_eq!(order, sorted);
    let rules: Vec<BoundId> = RULES.iter().map(|(bound, _)| *bound).collect();
    assert_eq!(rules, BoundId::ALL);
    let (target, disturbed) = by_cause(found);
    assert_eq!((target.len(), disturbed.len()), (3, 5));
}

/// Two ticks of 10 ms may belong to the slices beside this one, whatever its length.
#[test]
fn coarse_ticks_do_not_disturb_short_slices() {
    let slice = Slice { duration_ns: 250_000_000, steal_ns: 20_000_000, ..quiet() };
    assert_eq!(of_slice(&slice), []);
    assert!(judged(&[slice], 0).valid);
}

#[test]
fn growth_needs_a_doubling_and_more_than_half_of_the_slices() {
    let grown = Slice { in_flight_growth_milli: 20_000, ..quiet() };
    let busy = Slice { in_flight_first_milli: Some(50_000), ..grown.clone() };
    assert_eq!(of_slice(&busy), [], "20 more than 50 are no trend");
    let validity = judged(&[grown.clone(), quiet()], 0);
    assert!(validity.valid, "{validity:?}");
    let validity = judged(&[grown.clone(), grown, quiet()], 0);
    let sentence = &validity.breaches[0].sentence;
    assert!(sentence.contains("grew by 20 (in 2 of 3 slices), limit 10"), "{sentence}");
}

#[test]
fn one_request_that_is_due_at_the_end_of_a_slice_may_be_sent_after_it() {
    let slow = |sent| Slice { requests_asked: 44, sent_in_window: Some(sent), ..quiet() };
    assert_eq!(of_slice(&slow(43)), []);
    assert_eq!(of_slice(&slow(42))[0].id(), Some(BoundId::AchievedShare));
    assert!(judged(&[slow(43), slow(43)], 0).valid);
    assert!(!judged(&[slow(42), slow(42)], 0).valid);
}

#[test]
fn an_interrupted_slice_is_not_short_of_its_rate() {
    let mut observed = counted(&Slice { sent_in_window: Some(10), ..quiet() });
    observed.open_loop.as_mut().unwrap().interrupted = true;
    assert_eq!(judge(&observed, &Bounds::default(), RUN), []);
}

#[test]
fn a_closed_loop_has_no_rate_to_keep() {
    let slice = Slice { kind: SliceKind::Closed, sent_in_window: Some(0), dropped: 3, ..quiet() };
    assert_eq!(of_slice(&slice), []);
}

/// An error is never excused: not by a repeat, and not by being none of the machine's.
#[test]
fn errors_count_in_every_slice() {
    let mut slice = quiet();
    slice.errors.insert("status".into(), 1);
    slice.counts = false;
    let observed = Observed::of_slice(&slice, 2).without_errors();
    assert_eq!(judge(&observed, &Bounds::default(), MATRIX), []);
    let validity = judged(&[slice, quiet()], 20_000);
    assert_eq!(validity.breaches[0].id(), Some(BoundId::Errors));
    let sentence = &validity.breaches[0].sentence;
    assert!(sentence.starts_with("S1: 1 requests have no good response (status)"), "{sentence}");
}

#[test]
fn the_advice_fits_the_status() {
    let mut record = SliceRecord::empty();
    record.errors.add_many(crate::traffic::check::ErrorKind::Status, 1);
    for (status, part) in [
        (304, "--expect-status 304"),
        (301, "the redirect leads to"),
        (308, "the redirect leads to"),
        (300, "not in the times."),
        (999, "not in the times."),
    ] {
        record.statuses = [(status, 100)].into();
        let found = judge(&Observed::of_record(&record), &Bounds::default(), RUN);
        let sentence = &found[0].sentence;
        assert!(sentence.contains(part), "{status}: {sentence}");
        assert_eq!(sentence.contains("redirect"), part.contains("redirect"), "{sentence}");
    }
}

#[test]
fn background_load_is_not_judged_where_the_server_may_be_part_of_it() {
    let background_ns = Some(500_000_000);
    let machine = MachineUsage { wall_ns: 1_000_000_000, background_ns, ..Default::default() };
    let usage = Usage { machine, ..Usage::default() };
    let observed = Observed::default().with_usage(&usage, 2, false, true);
    assert_eq!(judge(&observed, &Bounds::default(), RUN), []);
    assert_eq!(observed.background_share(), None);
}

#[test]
fn unreadable_background_load_is_noted() {
    let slice = Slice { background_ns: None, ..quiet() };
    assert_eq!(judged(&[slice], 0).notes.len(), 1);
}

#[test]
fn unknown_cpu_disturbs_its_slice_and_is_noted() {
    let why = Some("the CPU of server is not known: its counter fell".to_owned());
    let slice = Slice { cpu_unknown: why, ..quiet() };
    assert_eq!(slice.cpu_ns_per_request(), None);
    assert!(breaches::fact(&of_slice(&slice)[0]).contains("counter fell"));
    assert!(judged(&[slice], 0).notes[0].contains("In 1 slices the CPU of server"));
}

#[test]
fn idle_connections_that_were_lost_are_noted() {
    let slices = [2, 3].map(|closed_idle| Slice { closed_idle, ..quiet() });
    let notes = judged(&slices, 0).notes;
    assert!(notes[0].contains("closed 5 idle connections"), "{notes:?}");
}
