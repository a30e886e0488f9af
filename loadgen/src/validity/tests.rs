//! One disturbance at a time, each with the bound that it breaks.

use metrics_export::run::Percentiles;

use super::*;
use crate::traffic::record;

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
        client_cpu_ns: 0,
        busy_ns: 0,
        softirq_ns: 0,
        steal_ns: 0,
        foreign_ns: Some(10_000_000),
        throttled: 0,
        connect: Percentiles::default(),
        handshake: Percentiles::default(),
        in_flight_growth_milli: 900,
        retransmits: Some(0),
        generator_share_milli: 1_000,
        server_handshakes: None,
        strayed: false,
        closed_idle: 0,
        closed_unsolicited: 0,
        cpu_unknown: None,
    }
}

/// A change to a quiet slice, the words of its disturbance, and the bound of the run it breaks.
type Case = (fn(&mut Slice), &'static str, &'static str);

const CASES: [Case; 8] = [
    (|slice| slice.strayed = true, "core of the generator", "shared_core"),
    (|slice| slice.in_flight_growth_milli = 11_000, "grew by 11", "in_flight_growth_max"),
    (|slice| slice.dropped = 1, "found the queue full", "dropped_max"),
    (|slice| slice.requests_answered = 980, "of what was asked", "achieved_share_min"),
    (|slice| slice.steal_ns = 30_000_000, "the hypervisor took 30000 us", "steal_share_max"),
    (|slice| slice.foreign_ns = Some(50_000_000), "programs used 2.5%", "foreign_share_max"),
    (|slice| slice.throttled = 2, "throttled 2 times", "throttled_max"),
    (|slice| slice.lateness.p99_ns = 150_000, "sent 150 us late", "lateness_p99_ns_max"),
];

fn judged(slices: &[Slice], late_ns: u64) -> Validity {
    let mut lateness = record::histogram();
    lateness.saturating_record(late_ns);
    let judged = Judged { variant: "s1", label: "S1", lateness: &lateness };
    judge(slices, &[judged], &Bounds::default(), 2)
}

#[test]
fn a_quiet_slice_is_undisturbed_and_valid() {
    assert_eq!(disturbances(&quiet(), &Bounds::default(), 2), [""; 0]);
    let validity = judged(&[quiet()], 20_000);
    assert!(validity.valid && validity.notes.is_empty(), "{validity:?}");
}

#[test]
fn each_disturbance_breaks_its_own_bound() {
    for (disturb, words, bound) in CASES {
        let mut slice = quiet();
        disturb(&mut slice);
        let found = disturbances(&slice, &Bounds::default(), 2);
        assert!(found.len() == 1 && found[0].contains(words), "{bound}: {found:?}");
        let validity = judged(&[slice.clone()], slice.lateness.p99_ns);
        let bounds: Vec<&str> = validity.breaches.iter().map(|b| b.bound.as_str()).collect();
        assert_eq!(bounds, [bound]);
        let sentence = &validity.breaches[0].sentence;
        assert!(sentence.ends_with('.') && sentence.matches('.').count() >= 2, "{sentence}");

        // Taken once more, without it: the run is valid and says that it was repeated.
        slice.counts = false;
        let again = Slice { attempt: 1, ..quiet() };
        let validity = judged(&[slice, again], 20_000);
        assert!(validity.valid && validity.slices_repeated == 1, "{bound}");
    }
}

/// A tick of steal is within what ticks can tell of a quarter second.
#[test]
fn coarse_ticks_do_not_disturb_short_slices() {
    let slice = Slice { duration_ns: 250_000_000, steal_ns: 20_000_000, ..quiet() };
    assert_eq!(disturbances(&slice, &Bounds::default(), 2), [""; 0]);
}

/// An error is never excused: not by a repeat, and not by being none of the machine's.
#[test]
fn errors_count_in_every_slice() {
    let mut slice = quiet();
    slice.errors.insert("status".into(), 1);
    slice.counts = false;
    assert_eq!(disturbances(&slice, &Bounds::default(), 2), [""; 0]);
    let validity = judged(&[slice, quiet()], 20_000);
    assert_eq!(validity.breaches[0].bound, "errors_max");
    assert!(validity.breaches[0].sentence.contains("1 status"));
}

#[test]
fn unreadable_foreign_cpu_is_noted() {
    let slice = Slice { foreign_ns: None, ..quiet() };
    assert_eq!(judged(&[slice], 0).notes.len(), 1);
}

#[test]
fn unknown_cpu_disturbs_its_slice_and_is_noted() {
    let why = Some("the CPU of server is not known: its counter fell".to_owned());
    let slice = Slice { cpu_unknown: why, ..quiet() };
    assert_eq!(slice.cpu_ns_per_request(), None);
    assert!(disturbances(&slice, &Bounds::default(), 2)[0].contains("counter fell"));
    assert!(judged(&[slice], 0).notes[0].contains("In 1 slices the CPU of server"));
}

#[test]
fn idle_connections_that_were_lost_are_noted() {
    let slices = [2, 3].map(|closed_idle| Slice { closed_idle, ..quiet() });
    let notes = judged(&slices, 0).notes;
    assert!(notes[0].contains("closed 5 idle connections"), "{notes:?}");
}
