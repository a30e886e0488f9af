//! Runs whose difference is known, compared.

use super::*;
use crate::report::Paint;

use metrics_export::run::{CpuSourceKind, GeneratorWait};

const VARIANTS: [(&str, f64); 4] =
    [("S0", 10.0), ("S0 control", 10.0), ("S1", 30.0), ("S4 cached", 40.0)];

fn cpu<'a>(comparison: &'a Comparison, label: &str) -> &'a Change {
    let mut variants = comparison.variants.iter();
    &variants.find(|variant| variant.variant == label).unwrap().cpu_per_request
}

#[test]
fn drift_between_the_runs_is_no_change_of_a_layer() {
    let (a, b) = (sample::run(&VARIANTS, 1.0, 1), sample::run(&VARIANTS, 1.2, 2));
    let comparison = compare(&a, &b);
    let s1 = cpu(&comparison, "S1");
    assert_eq!(s1.verdict, ChangeVerdict::NoChange, "{s1:?}");
    assert_eq!(s1.reference.as_deref(), Some("S0"));
    assert!(s1.words.starts_with("no change that can be told: within ["), "{}", s1.words);
    assert!(s1.words.ends_with("(against S0)"), "{}", s1.words);
    let absolute = s1.absolute.unwrap();
    assert!((absolute.estimate - 0.2).abs() < 0.02, "{absolute:?}");
    // The baseline has nothing to be taken to: its drift is told, with what it may be.
    let s0 = cpu(&comparison, "S0");
    assert_eq!((s0.verdict, s0.reference.as_deref()), (ChangeVerdict::Slower, None));
    assert!(s0.words.ends_with("(drift not cancelled)"), "{}", s0.words);
    let note = comparison.notes.iter().find(|note| note.starts_with("S0 itself is")).unwrap();
    assert!(note.contains("slower by 2") || note.contains("slower by 1"), "{note}");
    assert!(comparison.variants.iter().all(|variant| variant.variant != "S0 control"));
}

#[test]
fn names_of_older_records_belong_to_those_of_today() {
    let former = [("S0", 10.0), ("S0 again", 10.0), ("S1", 30.0), ("S4 repeat", 40.0)];
    let (mut a, mut b) = (sample::run(&former, 1.0, 1), sample::run(&VARIANTS, 1.0, 2));
    sample::cost(&mut a, "policy-repeat", [0.5, 0.8, 1.1]);
    sample::cost(&mut b, "policy-cached", [0.6, 0.8, 1.0]);
    let comparison = compare(&a, &b);
    let labels: Vec<&str> = comparison.variants.iter().map(|v| v.variant.as_str()).collect();
    assert_eq!(labels, ["S0", "S1", "S4 cached"]);
    assert_eq!(cpu(&comparison, "S4 cached").reference.as_deref(), Some("S0"));
    assert_eq!(comparison.costs[0].id, "policy-cached");
    assert!(comparison.differences.iter().all(|line| !line.contains("measured only")));
}

#[test]
fn a_change_is_found_and_its_interval_holds_it() {
    let mut after = VARIANTS;
    (after[2].1, after[3].1) = (33.0, 36.0);
    let comparison = compare(&sample::run(&VARIANTS, 1.0, 1), &sample::run(&after, 0.9, 2));
    for (label, verdict, words, truth) in [
        ("S1", ChangeVerdict::Slower, "slower by ", 0.1),
        ("S4 cached", ChangeVerdict::Faster, "faster by ", -0.1),
    ] {
        let change = cpu(&comparison, label);
        assert_eq!(change.verdict, verdict, "{change:?}");
        assert!(change.words.starts_with(words), "{}", change.words);
        let share = change.relative.unwrap();
        assert!(share.low.unwrap() <= truth && truth <= share.high.unwrap(), "{share:?}");
        let connection = comparison.variants.iter().find(|v| v.variant == label).unwrap();
        assert_eq!(connection.cpu_per_connection.as_ref().unwrap().verdict, verdict);
    }
}

#[test]
fn verdicts_are_words_for_the_interval() {
    let share = |low: f64, estimate: f64, high: f64| RelativeChange {
        estimate: estimate / 100.0,
        low: Some(low / 100.0),
        high: Some(high / 100.0),
    };
    for (share, words) in [
        (share(2.0, 4.1, 6.3), "slower by 4.1% [2.0, 6.3]"),
        (share(-5.2, -3.0, -1.0), "faster by 3.0% [1.0, 5.2]"),
        (share(-1.2, 0.1, 0.9), "no change that can be told: within [-1.2%, +0.9%]"),
        (
            RelativeChange { estimate: 0.041, low: None, high: None },
            "+4.1%, without interval: fewer than 8 rounds",
        ),
    ] {
        assert_eq!(share.words(), words);
    }
}

#[test]
fn differences_of_conditions_are_listed() {
    let a = sample::run(&VARIANTS, 1.0, 1);
    let mut b = sample::run(&VARIANTS[..3], 1.0, 2);
    assert_eq!(differences::sentences(&a, &a), Vec::<String>::new());
    b.plan.generator_wait = GeneratorWait::Sleep;
    b.plan.cells[0].rate_milli_per_s = 9_000_000;
    b.plan.cells[0].connections = 8;
    b.plan.cells[0].workload = "orders-create".into();
    b.environment.cpu_model = "another CPU".into();
    b.environment.kernel = String::new();
    b.environment.generator_driver = "io_uring".into();
    b.environment.version = "0.2.0".into();
    b.plan.variants[2].cpu_source = CpuSourceKind::None;
    let said = compare(&a, &b).differences.join("\n");
    for sentence in [
        "client mode: spin before, sleep after",
        "rate: 5000/s before, 9000/s after",
        "connections: 64 before, 8 after",
        "workload: ping before, orders-create after",
        "CPU: a CPU before, another CPU after",
        "kernel: 6.1 before, unknown after",
        "generator's driver: epoll before, io_uring after",
        "version: 0.1.0 before, 0.2.0 after",
        "CPU of S1 read from: processes before, none after",
        "measured only before: S4 cached",
    ] {
        assert!(said.contains(sentence), "{sentence} is not in\n{said}");
    }
    // An operating point that is found anew is never quite the same.
    let mut near = a.clone();
    near.plan.cells[0].rate_milli_per_s = 5_300_000;
    assert_eq!(differences::sentences(&a, &near), Vec::<String>::new());
}

#[test]
fn costs_are_compared_by_their_intervals() {
    let (mut a, mut b) = (sample::run(&VARIANTS, 1.0, 1), sample::run(&VARIANTS, 1.0, 2));
    sample::cost(&mut a, "tls", [19.0, 20.0, 21.0]);
    sample::cost(&mut b, "tls", [20.5, 21.5, 22.5]);
    sample::cost(&mut a, "jwt", [1.0, 2.0, 3.0]);
    sample::cost(&mut b, "jwt", [3.1, 4.0, 5.0]);
    sample::cost(&mut b, "policy", [0.0, 0.1, 0.2]);
    let comparison = compare(&a, &b);
    let found: Vec<_> = comparison
        .costs
        .iter()
        .map(|cost| (cost.id.as_str(), cost.change_ns, cost.overlap))
        .collect();
    assert_eq!(found, [("tls", Some(1_500), Some(true)), ("jwt", Some(2_000), Some(false))]);
    assert!(comparison.costs[1].words.starts_with("costs more"));
    let text = text(&comparison, Paint::Plain);
    assert!(text.contains("The intervals of 1 of 2 costs overlap; of 1 as shares"), "{text}");
    // All twice as dear, and what they are taken to as well: the machine was slower.
    let mut slower = a.clone();
    for cost in &mut slower.costs {
        cost.reference_ns *= 2;
        for ns in [&mut cost.estimate_ns, &mut cost.low_ns, &mut cost.high_ns] {
            *ns = ns.map(|ns| ns * 2);
        }
    }
    let tls = &compare(&a, &slower).costs[0];
    assert_eq!((tls.overlap, tls.shares_overlap), (Some(false), Some(true)));
    assert!(tls.words.contains("not as shares"), "{}", tls.words);
}

#[test]
fn cells_are_paired_by_id_and_single_ones_in_any_case() {
    let plain = sample::run(&VARIANTS, 1.0, 1);
    let both = sample::two_cells(&plain);
    let cells: Vec<String> =
        compare(&both, &both).variants.into_iter().map(|variant| variant.cell).collect();
    assert_eq!(cells, ["ping", "ping", "ping", "orders", "orders", "orders"]);
    let mut named = plain.clone();
    named.plan.cells[0].id = "ping".into();
    named.plan.variants.iter_mut().for_each(|planned| planned.cell = "ping".into());
    assert_eq!(compare(&plain, &named).variants.len(), 3);
    assert_eq!(compare(&plain, &both).variants.len(), 0);
    let note = &compare(&plain, &both).notes[0];
    assert!(note.contains("no variant in common"), "{note}");
}

#[test]
fn an_invalid_run_goes_before_everything_and_decides_the_exit_code() {
    let (a, mut b) = (sample::run(&VARIANTS, 1.0, 1), sample::run(&VARIANTS, 1.0, 2));
    let failed = Judgement {
        expression: "S1.errors > 0".into(),
        cell: String::new(),
        holds: true,
        sentence: "1 is > 0.".into(),
    };
    let mut comparison = compare(&a, &b);
    assert_eq!(comparison.exit_code(), 0);
    comparison.thresholds.push(failed.clone());
    assert_eq!(comparison.exit_code(), 99);
    assert!(text(&comparison, Paint::Plain).contains("  FAILED: S1.errors > 0\n"));
    assert!(markdown(&comparison).starts_with("### tollgate: 1 thresholds FAILED, "));
    b.validity.valid = false;
    b.validity.breaches.push(metrics_export::run::Breach {
        bound: "steal".into(),
        sentence: "The hypervisor took 4%: use a quiet machine.".into(),
        ..metrics_export::run::Breach::default()
    });
    comparison = Comparison { thresholds: vec![failed], ..compare(&a, &b) };
    assert_eq!(comparison.exit_code(), 3);
    let text = text(&comparison, Paint::Plain);
    assert!(text.starts_with("INVALID: the run after"), "{text}");
    assert!(text.lines().nth(1).unwrap().contains("use a quiet machine"), "{text}");
    let markdown = markdown(&comparison);
    assert!(markdown.starts_with("### tollgate: INVALID"), "{markdown}");
}

#[test]
fn every_form_fits_and_holds_the_verdict() {
    let names = [("S0", 10.0), ("A target with a | and a long name", 123_456.78)];
    let mut b = sample::run(&names, 2.0, 2);
    b.plan.label = Some("after_the_change".into());
    let comparison = compare(&sample::run(&names, 1.0, 1), &b);
    let text = text(&comparison, Paint::Plain);
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(text.contains("no change that can be told"), "{text}");
    let markdown = markdown(&comparison);
    assert!(markdown.contains("A target with a \\| and"), "{markdown}");
    assert!(markdown.contains("after\\_the\\_change"), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&comparison.to_json().unwrap()).unwrap();
    assert_eq!(json["variants"][1]["cpu_per_request"]["verdict"], "no-change");
    assert_eq!(json["variants"][1]["cpu_per_request"]["reference"], "S0");
}
