//! Whether a slice of one target can be believed: each broken bound as a sentence that says what
//! happened and what to do. What the target did is kept apart from what disturbed the measuring,
//! because a search for capacity wants to see the first and must not believe the second.

use metrics_export::run::Bounds;

use crate::command::run::machine::{Books, TICKS_SLACK_NS};
use crate::traffic::record::SliceRecord;
use crate::traffic::recorder::is_redirect;
use crate::traffic::slice::{Arrivals, SliceSpec};

/// The broken bounds of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// What the target did not do.
    pub(crate) target: Vec<String>,
    /// What disturbed the measuring.
    pub(crate) disturbed: Vec<String>,
}

/// Judges a slice. `books` is None for one that was not bracketed by readings.
pub(crate) fn judge(
    spec: &SliceSpec,
    record: &SliceRecord,
    books: Option<&Books>,
    bounds: &Bounds,
) -> Judgement {
    let short = achieved(spec, record, bounds);
    // Where no request ever waited for a connection the target was not what held them up.
    let (behind, unsent) = if record.queue_high_water > 0 { (short, None) } else { (None, short) };
    let target = [behind, dropped(record, bounds), errors(record, bounds), growth(record, bounds)];
    let mut disturbed = vec![lateness(record, bounds), unsent];
    if let Some(books) = books.filter(|books| books.failed.is_none()) {
        disturbed.extend([
            steal(books, bounds),
            foreign(books, bounds),
            throttled(books, bounds),
            shared_core(books),
        ]);
    }
    Judgement {
        target: target.into_iter().flatten().collect(),
        disturbed: disturbed.into_iter().flatten().collect(),
    }
}

fn lateness(record: &SliceRecord, bounds: &Bounds) -> Option<String> {
    let late_ns = record.lateness.value_at_quantile(0.99);
    (late_ns > bounds.lateness_p99_ns_max).then(|| {
        format!(
            "requests were taken up {:.0} us late at p99 (bound {:.0} us): the generator was \
             disturbed or overloaded. Give it a core of its own, more threads (-t), a lower rate, \
             or --wait spin.",
            late_ns as f64 / 1e3,
            bounds.lateness_p99_ns_max as f64 / 1e3,
        )
    })
}

fn achieved(spec: &SliceSpec, record: &SliceRecord, bounds: &Bounds) -> Option<String> {
    let Arrivals::Open { rate, .. } = spec.arrivals else { return None };
    if record.interrupted {
        return None;
    }
    // A whole slice holds a whole number of requests, so that a low rate is not met exactly.
    let asked = record.intended.max(1) as f64;
    let why = match record.queue_high_water {
        0 => {
            "the generator sent the rest too late. Give it a core of its own, or more threads (-t)"
        }
        _ => {
            "the target cannot keep up over so many connections. Lower the rate or give more \
             connections (-c)"
        }
    };
    (record.sent_in_window as f64 / asked < bounds.achieved_share_min).then(|| {
        format!(
            "{:.1}/s came about of {rate} that were asked for ({:.1}%): {why}.",
            record.achieved_per_second(),
            record.achieved_per_second() / rate.as_f64() * 100.0,
        )
    })
}

fn dropped(record: &SliceRecord, bounds: &Bounds) -> Option<String> {
    (record.dropped > bounds.dropped_max).then(|| {
        format!(
            "{} requests found the queue full and were never sent: the target cannot keep up. \
             Lower the rate or give more connections (-c).",
            record.dropped
        )
    })
}

fn errors(record: &SliceRecord, bounds: &Bounds) -> Option<String> {
    (record.errors.total() > bounds.errors_max).then(|| {
        format!(
            "{} of {} requests have no good reply: {}. They are not in the times.{}",
            record.errors.requests(),
            record.intended,
            record.errors,
            advice(record),
        )
    })
}

/// What to do about a wrong status that most replies have.
fn advice(record: &SliceRecord) -> &'static str {
    match record.statuses.iter().max_by_key(|(_, count)| **count) {
        Some((401, _)) => {
            " A 401 wants other credentials: give a token (--token-file, --token-url)."
        }
        Some((403, _)) => " A 403 refuses these credentials: check their scopes and the client.",
        Some((404 | 405, _)) => " Check the path and the method (-m).",
        Some((304, _)) => {
            " A 304 answers a condition of the request: leave out If-None-Match and \
             If-Modified-Since (-H), or count it as good (--expect-status 304)."
        }
        Some((status, _)) if is_redirect(*status) => " Give the URL that the redirect leads to.",
        Some((429 | 503, _)) => " The target limits or sheds load: lower the rate.",
        _ => "",
    }
}

/// The queue of an open loop grew while it ran: a longer run would show longer times.
fn growth(record: &SliceRecord, bounds: &Bounds) -> Option<String> {
    let growth = record.in_flight_growth();
    let before = record.in_flight[0].value().unwrap_or(0.0);
    // A few more than many are no trend.
    (record.open_loop && growth > bounds.in_flight_growth_max as f64 && growth > before).then(
        || {
            format!(
                "unanswered requests grew from {before:.0} to {:.0} on average (bound: by {}): the \
             target was falling behind, and a longer run would show longer times. Lower the rate.",
                before + growth,
                bounds.in_flight_growth_max,
            )
        },
    )
}

fn steal(books: &Books, bounds: &Bounds) -> Option<String> {
    let core_ns = core_ns(books);
    let stolen_ns = books.usage.steal_ns as f64;
    (stolen_ns > (bounds.steal_share_max * core_ns).max(TICKS_SLACK_NS)).then(|| {
        format!(
            "the hypervisor took {:.1}% of the measured cores (bound {}%). Use a machine with \
             cores of its own, or measure when its neighbours are quiet (see tollgate \
             doctor).",
            stolen_ns / core_ns * 100.0,
            bounds.steal_share_max * 100.0,
        )
    })
}

fn foreign(books: &Books, bounds: &Bounds) -> Option<String> {
    let share = foreign_share(books)?;
    (share > bounds.foreign_share_max).then(|| {
        format!(
            "other programs used {:.1}% of the measured cores (bound {}%). Stop them, keep them \
             off these cores, or name the server's processes with --server-pid.",
            share * 100.0,
            bounds.foreign_share_max * 100.0,
        )
    })
}

/// The share of the measured cores that other programs used, where they can be told apart.
pub(crate) fn foreign_share(books: &Books) -> Option<f64> {
    let known = books.cores.foreign_known && books.failed.is_none();
    books.usage.foreign_ns.filter(|_| known).map(|ns| ns as f64 / core_ns(books))
}

fn core_ns(books: &Books) -> f64 {
    (books.usage.wall_ns as f64 * books.cores.measured as f64).max(1.0)
}

fn throttled(books: &Books, bounds: &Bounds) -> Option<String> {
    let times = books.usage.throttled;
    (times > bounds.throttled_max).then(|| {
        format!(
            "the control group of the generator was throttled {times} times (bound {}). Raise its \
             CPU limit (see tollgate doctor).",
            bounds.throttled_max
        )
    })
}

fn shared_core(books: &Books) -> Option<String> {
    (books.cores.apart && books.usage.strayed).then(|| {
        "the server ran on a core of the generator: each takes time from the other. Pin the \
         server to other cores (taskset -acp CORES PID), or give the generator others (--cores)."
            .into()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::command::run::Cores;
    use crate::machine::cpu::Usage;
    use crate::traffic::schedule::*;

    fn open() -> (SliceSpec, SliceRecord) {
        let rate = Rate::per_second(100.0).unwrap();
        let arrivals = Arrivals::Open { rate, pattern: ArrivalPattern::Constant };
        let mut record = SliceRecord::empty();
        record.open_loop = true;
        (record.intended, record.sent_in_window, record.ok) = (100, 100, 100);
        record.window_ns = 1_000_000_000;
        (SliceSpec::new(arrivals, 1, Duration::from_secs(1)), record)
    }

    fn books(usage: Usage) -> Books {
        let cores = Cores { measured: 2, foreign_known: true, apart: true };
        let usage = Usage { wall_ns: 1_000_000_000, ..usage };
        Books { usage, cores, source: None, failed: None }
    }

    #[test]
    fn each_breach_is_told_apart() {
        let (spec, sound) = open();
        let bounds = Bounds::default();
        let quiet = books(Usage::default());
        assert_eq!(judge(&spec, &sound, Some(&quiet), &bounds), Judgement::default());

        let mut behind = sound.clone();
        behind.in_flight[0].add(2);
        behind.in_flight[3].add(20);
        let found = judge(&spec, &behind, Some(&quiet), &bounds);
        assert!(found.target[0].contains("grew from 2 to 20"), "{found:?}");
        assert!(found.disturbed.is_empty());
        behind.open_loop = false;
        assert!(judge(&spec, &behind, None, &bounds).target.is_empty());

        let mut short = sound.clone();
        short.sent_in_window = 90;
        let found = judge(&spec, &short, None, &bounds);
        assert!(found.disturbed[0].contains("sent the rest too late"), "{found:?}");
        short.queue_high_water = 1;
        let found = judge(&spec, &short, None, &bounds);
        assert!(found.target[0].contains("cannot keep up"), "{found:?}");

        let mut late = sound.clone();
        late.lateness.record(200_000).unwrap();
        let found = judge(&spec, &late, None, &bounds);
        assert!(found.target.is_empty() && found.disturbed[0].contains("late at p99"), "{found:?}");
    }

    #[test]
    fn the_advice_fits_the_status() {
        let (spec, mut record) = open();
        record.errors.add_many(crate::traffic::check::ErrorKind::Status, 1);
        for (status, part) in [
            (304, "--expect-status 304"),
            (301, "the redirect leads to"),
            (308, "the redirect leads to"),
            (300, "not in the times."),
            (999, "not in the times."),
        ] {
            record.statuses = [(status, 100)].into();
            let found = judge(&spec, &record, None, &Bounds::default()).target;
            assert!(found[0].contains(part), "{status}: {found:?}");
            assert_eq!(found[0].contains("redirect"), part.contains("redirect"), "{found:?}");
        }
    }

    #[test]
    fn the_machine_is_judged_with_the_slack_of_its_ticks() {
        let (spec, sound) = open();
        let bounds = Bounds::default();
        let of = |usage: Usage| judge(&spec, &sound, Some(&books(usage)), &bounds).disturbed;
        assert!(of(Usage { steal_ns: 20_000_000, ..Usage::default() }).is_empty());
        assert!(of(Usage { steal_ns: 30_000_000, ..Usage::default() })[0].contains("1.5%"));
        let foreign = Usage { foreign_ns: Some(50_000_000), ..Usage::default() };
        assert!(of(foreign.clone())[0].contains("2.5%"));
        let mut unknown = books(foreign);
        unknown.cores.foreign_known = false;
        assert!(judge(&spec, &sound, Some(&unknown), &bounds).disturbed.is_empty());
        assert!(of(Usage { throttled: 1, ..Usage::default() })[0].contains("throttled 1 times"));
        assert!(
            of(Usage { strayed: true, ..Usage::default() })[0].contains("core of the generator")
        );
    }
}
