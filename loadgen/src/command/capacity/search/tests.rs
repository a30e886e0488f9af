//! Searches against targets of known capacity, which answer in no time at all.

use std::time::Duration;

use metrics_export::run::{Breach, Capacity, LoadPoint, Percentiles};
use proptest::prelude::*;

use super::*;
use crate::command::capacity::{Quantile, Slo, search};

const MAXIMUM: f64 = 20_000.0;

fn slo() -> Option<Slo> {
    Some(Slo { quantile: Quantile::P99, limit: Duration::from_millis(2) })
}

fn point(load: Load, p99_ns: u64) -> LoadPoint {
    let (asked, achieved) = match load {
        Load::Closed => (None, MAXIMUM),
        Load::Open(rate) => (Some(milli(rate)), rate.min(MAXIMUM)),
    };
    LoadPoint {
        asked_milli_per_s: asked,
        achieved_milli_per_s: milli(achieved),
        response: Percentiles { count: 1_000, p99_ns, ..Percentiles::default() },
        ..LoadPoint::default()
    }
}

/// A target whose p99 leaves the limit at `knee` requests per second.
fn knee_at(knee: f64) -> impl FnMut(&SearchStep) -> LoadPoint {
    move |step| {
        let slow = matches!(step.load, Load::Open(rate) if rate > knee);
        point(step.load, if slow { 5_000_000 } else { 1_000_000 })
    }
}

fn run(
    settings: Settings,
    mut target: impl FnMut(&SearchStep) -> LoadPoint,
) -> (Capacity, Vec<SearchStep>) {
    let mut steps = Vec::new();
    let mut measure = |step: &SearchStep| {
        steps.push(*step);
        assert!(steps.len() < 500, "the search does not end");
        Ok::<LoadPoint, ()>(target(step))
    };
    let (found, failure) = search(settings, &mut measure, &|| false);
    assert_eq!(failure, None);
    (found, steps)
}

#[test]
fn the_knee_is_found_and_confirmed() {
    for knee in [150.0, 1_999.0, 9_123.0, 13_900.0, 19_300.0] {
        let (found, steps) = run(Settings::new(slo()), knee_at(knee));
        assert_eq!(found.closed_loop_milli_per_s, 20_000_000);
        assert!(found.complete);
        let slo = found.slo.unwrap();
        let rate = slo.rate_milli_per_s.unwrap() as f64 / 1e3;
        let failed = slo.next_failed_milli_per_s.unwrap() as f64 / 1e3;
        assert!(rate <= knee && failed > knee, "{rate} to {failed} around {knee}");
        assert!(failed - rate <= 0.021 * failed, "{rate} to {failed} around {knee}");
        assert_eq!((slo.confirmation_slices, slo.kept_slices, slo.attempts), (20, 20, 1));
        // The twentieth root of half the error.
        assert_eq!((slo.confidence_milli, slo.kept_share_min_milli), (950, 831));
        assert!(steps.len() < 65, "{} steps", steps.len());
        let rates: Vec<_> = found.curve.iter().map(|point| point.asked_milli_per_s).collect();
        assert!(rates.is_sorted() && rates[..3] == [None; 3], "{rates:?}");
    }
}

#[test]
fn without_a_limit_there_is_a_curve() {
    let (found, steps) = run(Settings::new(None), knee_at(1.0));
    assert_eq!(found.slo, None);
    assert_eq!(steps.len(), 3 + 10);
    assert_eq!(found.curve[3].asked_milli_per_s, Some(2_000_000));
    assert_eq!(found.curve[12].asked_milli_per_s, Some(19_000_000));
}

#[test]
fn a_known_maximum_is_not_searched_for() {
    let settings = Settings { maximum_per_s: Some(500.0), ..Settings::new(None) };
    let (found, steps) = run(settings, knee_at(1.0));
    assert_eq!(steps[0].load, Load::Open(50.0));
    assert_eq!(found.closed_loop_milli_per_s, 500_000);
}

#[test]
fn the_curve_ends_where_the_target_falls_behind() {
    let target = |step: &SearchStep| {
        let mut point = point(step.load, 1_000_000);
        if matches!(step.load, Load::Open(rate) if rate > 11_000.0) {
            point.breaches.push(Breach::of_sentence("it fell behind"));
        }
        point
    };
    let (found, _) = run(Settings::new(None), target);
    assert_eq!(found.curve.last().unwrap().asked_milli_per_s, Some(12_000_000));
    // Falling behind is not keeping the limit either.
    let (found, _) = run(Settings::new(slo()), target);
    let rate = found.slo.unwrap().rate_milli_per_s.unwrap() as f64 / 1e3;
    assert!((10_750.0..=11_000.0).contains(&rate), "{rate}");
}

#[test]
fn a_limit_that_no_rate_keeps_has_no_answer() {
    let (found, steps) = run(Settings::new(slo()), knee_at(1.0));
    let slo = found.slo.unwrap();
    assert!(found.complete);
    assert_eq!((slo.rate_milli_per_s, slo.confirmation_slices), (None, 0));
    assert!(slo.next_failed_milli_per_s.unwrap() <= 200_000, "it went down to a hundredth");
    assert!(steps.len() < 40, "{} steps", steps.len());
}

#[test]
fn a_limit_that_every_rate_keeps_is_confirmed_beyond_the_maximum() {
    let (found, _) = run(Settings::new(slo()), knee_at(1e9));
    let slo = found.slo.unwrap();
    assert_eq!((slo.rate_milli_per_s, slo.next_failed_milli_per_s), (Some(22_000_000), None));
}

#[test]
fn one_unlucky_slice_is_measured_again() {
    let mut calls = 0;
    let target = |step: &SearchStep| {
        calls += 1;
        // The first slice of the curve's third rate.
        point(step.load, if calls == 6 { 9_000_000 } else { 1_000_000 })
    };
    let (found, _) = run(Settings::new(slo()), target);
    assert_eq!(found.slo.unwrap().rate_milli_per_s, Some(22_000_000));
    assert_eq!(found.curve.len(), 3 + 10 + 2, "each rate is in the curve once");
}

/// More load may look better by chance; what is promised must hold at lower rates too.
#[test]
fn a_rate_above_one_that_failed_is_not_the_answer() {
    let target = |step: &SearchStep| {
        let slow = match step.load {
            Load::Open(rate) => (7_500.0..8_500.0).contains(&rate) || rate > 15_000.0,
            Load::Closed => false,
        };
        point(step.load, if slow { 9_000_000 } else { 1_000_000 })
    };
    let (found, _) = run(Settings::new(slo()), target);
    let slo = found.slo.unwrap();
    let rate = slo.rate_milli_per_s.unwrap();
    assert!((7_300_000..7_500_000).contains(&rate), "{rate}");
    assert!(slo.next_failed_milli_per_s.unwrap() > rate);
}

#[test]
fn a_rate_that_is_not_confirmed_is_lowered() {
    // Above 10,000/s every seventh slice is slow: the bracket does not see it, confirmation does.
    let mut calls = 0;
    let target = |step: &SearchStep| {
        let Load::Open(rate) = step.load else { return point(step.load, 1_000_000) };
        calls += u32::from(matches!(step.purpose, Purpose::Confirm(..)));
        let slow = rate > 13_000.0 || rate > 12_600.0 && calls % 7 == 6;
        point(step.load, if slow { 9_000_000 } else { 1_000_000 })
    };
    let (found, _) = run(Settings::new(slo()), target);
    let slo = found.slo.unwrap();
    let rate = slo.rate_milli_per_s.unwrap();
    assert!(rate <= 12_600_000 && slo.attempts >= 2, "{slo:?}");
    assert_eq!(slo.kept_slices, 20);
    assert!(slo.kept_share_min_milli < 831, "more attempts are less sure");
    assert!(slo.next_failed_milli_per_s.unwrap() > rate);
}

#[test]
fn a_disturbed_slice_is_no_failure_of_the_target() {
    let mut confirmations = 0;
    let target = |step: &SearchStep| {
        let mut point = point(step.load, 1_000_000);
        if matches!(step.purpose, Purpose::Confirm(..)) {
            confirmations += 1;
            if confirmations == 3 {
                point.response.p99_ns = 9_000_000;
                point.disturbances.push(Breach::of_sentence("something else ran"));
            }
        }
        point
    };
    let (found, _) = run(Settings::new(slo()), target);
    let slo = found.slo.unwrap();
    assert_eq!((slo.attempts, slo.confirmation_slices, slo.kept_slices), (1, 20, 20));
}

#[test]
fn a_target_that_answers_nothing_ends_the_search() {
    let nothing = |_: &SearchStep| LoadPoint::default();
    let (found, steps) = run(Settings::new(slo()), nothing);
    assert_eq!((found.closed_loop_milli_per_s, steps.len()), (0, 3));
    assert_eq!(found.slo.unwrap().rate_milli_per_s, None);
}

#[test]
fn an_interrupted_search_keeps_what_it_has() {
    let taken = std::cell::Cell::new(0);
    let mut measure = |step: &SearchStep| {
        taken.set(taken.get() + 1);
        Ok::<_, ()>(point(step.load, 1_000_000))
    };
    let (found, _) = search(Settings::new(slo()), &mut measure, &|| taken.get() == 6);
    assert!(!found.complete);
    // The sixth slice was cut short, and is not among them.
    assert_eq!(found.curve.len(), 5);
    assert_eq!(found.slo.unwrap().rate_milli_per_s, None);
}

#[test]
fn a_search_that_fails_keeps_what_it_has() {
    let mut taken = 0;
    let mut measure = |step: &SearchStep| {
        taken += 1;
        if taken == 6 { Err("broken") } else { Ok(point(step.load, 1_000_000)) }
    };
    let (found, failure) = search(Settings::new(slo()), &mut measure, &|| false);
    assert_eq!((found.complete, found.curve.len(), failure), (false, 5, Some("broken")));
}

proptest! {
    /// Whatever comes of the slices, it ends, and claims nothing that was not confirmed.
    #[test]
    fn noise_neither_hangs_nor_deceives(
        seed in any::<u64>(), share in 0.0..1.0_f64, disturbed in 0.0..0.5_f64,
    ) {
        let mut random = crate::traffic::random::Random::new(seed);
        let target = |step: &SearchStep| {
            let slow = random.next_open_unit() > share;
            let mut point = point(step.load, if slow { 9_000_000 } else { 1_000_000 });
            if random.next_open_unit() < disturbed {
                point.disturbances.push(Breach::of_sentence("noise"));
            }
            point
        };
        let (found, _) = run(Settings { confirm: 5, ..Settings::new(slo()) }, target);
        let slo = found.slo.unwrap();
        prop_assert!(found.complete);
        if let Some(rate) = slo.rate_milli_per_s {
            prop_assert_eq!((slo.confirmation_slices, slo.kept_slices), (5, 5));
            prop_assert!(slo.next_failed_milli_per_s.is_none_or(|failed| failed > rate));
        }
    }
}
