//! The statistics against simulated experiments whose truth is known. Seeds are fixed, and bounds
//! are what a right method misses in less than one of a thousand other seeds.

use std::collections::BTreeMap;

use metrics_export::run::{Cost, Verdict};

use super::*;
use crate::plan::Role;
use crate::traffic::random::Random;

/// A simulated experiment: true figures per variant, multiplicative drift common to a round,
/// luck of an instance, and noise of a slice. Connections cost ten times a request.
struct Simulated {
    figures: BTreeMap<&'static str, Vec<f64>>,
    instances: Vec<u32>,
}

/// How an experiment is laid out, and its noise on the scale of logarithms.
#[derive(Clone, Copy)]
struct Design {
    rounds: usize,
    instances: usize,
    instance_sd: f64,
    slice_sd: f64,
}

impl Design {
    fn of(rounds: usize, instances: usize) -> Design {
        Design { rounds, instances, instance_sd: 0.02, slice_sd: 0.02 }
    }

    fn quiet(rounds: usize, instances: usize) -> Design {
        Design { instance_sd: 0.0, slice_sd: 0.0005, ..Design::of(rounds, instances) }
    }
}

fn simulate(truth: &[(&'static str, f64)], design: Design, random: &mut Random) -> Simulated {
    let Design { rounds, instances, .. } = design;
    let mut normal = || bootstrap::normal(random);
    let instance_of = |round: usize| round * instances / rounds;
    let drift: Vec<f64> = (0..rounds).map(|_| 0.2 * normal()).collect();
    let mut figures = BTreeMap::new();
    for &(variant, truth) in truth {
        let luck: Vec<f64> = (0..instances).map(|_| design.instance_sd * normal()).collect();
        let mut figure = |round: usize| {
            truth * (drift[round] + luck[instance_of(round)] + design.slice_sd * normal()).exp()
        };
        figures.insert(variant, (0..rounds).map(&mut figure).collect());
    }
    Simulated { figures, instances: (0..rounds).map(|round| instance_of(round) as u32).collect() }
}

impl LayerInput for Simulated {
    fn figures(&self, role: &Role, per: Per, round: u32) -> Vec<f64> {
        let factor = if per == Per::Connection { 10.0 } else { 1.0 };
        let figures = self.figures.get(role.to_string().as_str());
        let figure = figures.and_then(|rounds| rounds.get(round as usize));
        figure
            .filter(|figure| figure.is_finite())
            .map(|figure| figure * factor)
            .into_iter()
            .collect()
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        let instances = self.instances.iter().enumerate();
        instances.map(|(round, instance)| (round as u32, *instance)).collect()
    }
}

/// Some layers cost something and some nothing; none has an interaction.
const TRUTH: [(&str, f64); 6] = [
    ("s0", 30_000.0),
    ("s0-control", 30_000.0),
    ("s1", 36_000.0),
    ("s2-cached", 37_000.0),
    ("s3", 36_000.0),
    ("s4-cached", 37_000.0),
];

fn all_layers() -> Vec<Layer> {
    layers(&TRUTH.map(|(role, _)| Role::from(role)))
}

fn true_share(layer: &Layer) -> f64 {
    let figure =
        |role: &Role| TRUTH.iter().find(|(known, _)| Role::from(*known) == *role).unwrap().1;
    let term = |term: &Term| f64::from(term.sign) * figure(&term.variant);
    layer.terms.iter().map(term).sum::<f64>() / figure(&layer.reference)
}

/// Half a ns is lost at either end by rounding.
fn holds(cost: &Cost, share: f64, low_ns: Option<i64>, high_ns: Option<i64>) -> bool {
    let truth = share * cost.reference_ns as f64;
    low_ns.unwrap() as f64 - 0.5 <= truth && truth <= high_ns.unwrap() as f64 + 0.5
}

/// How often, of `experiments`, a cost's own interval held the truth on the average over layers,
/// and how often all simultaneous intervals did at once.
fn coverage(design: Design, experiments: u64) -> (f64, u64) {
    let layers = all_layers();
    let (mut own, mut together) = (0, 0);
    for experiment in 0..experiments {
        let run = simulate(&TRUTH, design, &mut Random::stream(11, experiment));
        let costs = estimate_family(&layers, "", &run, experiment).costs;
        let judged = || costs.iter().zip(&layers).map(|(cost, layer)| (cost, true_share(layer)));
        own += judged().filter(|(cost, t)| holds(cost, *t, cost.low_ns, cost.high_ns)).count();
        together += u64::from(judged().all(|(cost, truth)| {
            cost.id == CONTROL || holds(cost, truth, cost.family_low_ns, cost.family_high_ns)
        }));
    }
    (own as f64 / layers.len() as f64, together)
}

/// Luck of an instance is as large as the noise of a slice, and is shared by the rounds of the
/// instance; few instances and many are covered alike. Of 100, 87 is the one-in-a-thousand
/// quantile of a true 95%; the average over layers scatters less.
#[test]
fn intervals_cover_the_truth_alone_and_together() {
    for (rounds, instances) in [(12, 12), (12, 6), (12, 3), (8, 2), (24, 12)] {
        let (own, together) = coverage(Design::of(rounds, instances), 100);
        assert!(own >= 91.0, "{rounds} rounds, {instances} instances: {own} of 100");
        assert!(together >= 87, "{rounds} rounds, {instances} instances: {together} of 100");
    }
}

/// Fewer experiments, because each resamples 2,000 times: of 40, 33 is the one-in-a-thousand
/// quantile of a true 95%.
#[test]
fn bootstrap_intervals_cover_the_truth() {
    let layer = difference("tls", "TLS", "s1", "s0", Per::Request);
    let covered = (0..40).filter(|&experiment| {
        let design = Design::of(21, 21);
        let run = simulate(&TRUTH[..3], design, &mut Random::stream(12, experiment));
        let found = estimate(&observations(&layer, &run), experiment).unwrap().interval.unwrap();
        assert_eq!(found.method, IntervalMethod::Bootstrap);
        (found.low..=found.high).contains(&1.2_f64.ln())
    });
    let covered = covered.count();
    assert!(covered >= 33, "{covered} of 40");
}

/// The same rounds say less when they share instances, and the way that an interval is found
/// follows the number of instances.
#[test]
fn an_interval_knows_about_instances() {
    let observe = |per_instance: u32| -> Vec<Observation> {
        let value = |round: u32| 0.05 * f64::from(round / 6) + 0.001 * f64::from(round % 3);
        let observation =
            |round| Observation { round, instance: round / per_instance, value: value(round) };
        (0..24).map(observation).collect()
    };
    let interval = |per_instance| estimate(&observe(per_instance), 3).unwrap().interval.unwrap();
    let width = |per_instance| interval(per_instance).high - interval(per_instance).low;
    assert_eq!(interval(1), interval(1), "a seed gives the same interval again");
    assert!(width(6) > 2.0 * width(1), "{} {}", width(6), width(1));
    let methods = [1, 2, 6, 12, 24].map(|per_instance| interval(per_instance).method);
    let (bootstrap, exact, student) =
        (IntervalMethod::Bootstrap, IntervalMethod::SignedRank, IntervalMethod::Student);
    // A single instance leaves its rounds, which are 24.
    assert_eq!(methods, [bootstrap, exact, student, student, bootstrap]);
}

/// The A/A control finds a difference in about 5% of experiments: 73 of 1,000 is the
/// one-in-a-thousand quantile.
#[test]
fn equal_variants_are_seldom_called_different() {
    let control = [control("s0")];
    let called = (0..1_000).filter(|&experiment| {
        let mut random = Random::stream(13, experiment);
        let run = simulate(&TRUTH[..2], Design::of(12, 12), &mut random);
        estimate_family(&control, "", &run, 1).costs[0].verdict == Verdict::Resolved
    });
    let called = called.count();
    assert!(called <= 73, "{called} of 1,000");
}

#[test]
fn layers_are_estimated_in_ns_of_their_reference() {
    let mut truth = TRUTH;
    truth[5].1 = 39_000.0;
    let run = simulate(&truth, Design::quiet(12, 6), &mut Random::new(5));
    let layers = all_layers();
    let Family { costs, floor, .. } = estimate_family(&layers, "cell", &run, 1);
    let floor = floor.unwrap();
    assert!(floor.cell == "cell" && floor.share < 0.002 && floor.ns > 0);
    let near = |id: &str, share: f64, verdict| {
        // The drift moves the reference's median, so estimates are compared as shares of it.
        let cost = costs.iter().find(|cost| cost.id == id).unwrap();
        let found = cost.estimate_ns.unwrap() as f64 / cost.reference_ns as f64;
        assert!((found - share).abs() < 0.002 && cost.verdict == verdict, "{cost:?} {share}");
        assert_eq!((cost.cell.as_str(), cost.method.as_str()), ("cell", "signed-rank"));
        assert!(cost.family_low_ns <= cost.low_ns && cost.high_ns <= cost.family_high_ns);
    };
    near("tls", 0.2, Verdict::Resolved);
    near("jwt-cached", 1.0 / 36.0, Verdict::Resolved);
    near("certificate", 0.0, Verdict::WithinNoise);
    near("interaction-cached", 2.0 / 36.0, Verdict::Resolved);
    near("tls-connection", 0.2, Verdict::Resolved);
    near(CONTROL, 0.0, Verdict::WithinNoise);
}

/// A family of one needs no more than its own interval; the same layer many times over neither;
/// unlike layers need more.
#[test]
fn the_family_interval_grows_with_what_is_unlike_in_the_family() {
    let layer = |at: usize| difference(&format!("l{at}"), "", "s1", "s0", Per::Request);
    let run = simulate(&TRUTH, Design::of(12, 12), &mut Random::new(8));
    let stretch = |layers: &[Layer]| {
        let cost = estimate_family(layers, "", &run, 2).costs.swap_remove(0);
        let width = |low: Option<i64>, high: Option<i64>| (high.unwrap() - low.unwrap()) as f64;
        width(cost.family_low_ns, cost.family_high_ns) / width(cost.low_ns, cost.high_ns)
    };
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.02, "{found}");
    near(stretch(&[layer(0)]), 1.0);
    near(stretch(&[layer(0), layer(1), layer(2)]), 1.0);
    let unlike = [layer(0), difference("", "", "s3", "s2-cached", Per::Request)];
    // Two independent layers need 97.5% each: 2.593 over 2.201 on 11 degrees.
    near(stretch(&unlike), 1.17);
}

/// Costs and differences in time are one family: a cost's interval grows with what is unlike it
/// among the times, and each kind has the figures of its own input.
#[test]
fn costs_and_service_times_are_one_family() {
    let cpu = simulate(&TRUTH, Design::of(12, 12), &mut Random::new(8));
    let times = simulate(&TRUTH, Design::of(12, 12), &mut Random::new(99));
    let layers = [control("s0"), difference("tls", "", "s1", "s0", Per::Request)];
    let alone = estimate_family(&layers, "", &cpu, 2);
    let both = estimate_family_with_times(&layers, "", &cpu, &times, 2);
    let width = |cost: &Cost| (cost.family_high_ns.unwrap() - cost.family_low_ns.unwrap()) as f64;
    let stretch = width(&both.costs[1]) / width(&alone.costs[1]);
    assert!((stretch - 1.17).abs() < 0.02, "two independent ones: {stretch}");
    assert_eq!(both.costs[1].estimate_ns, alone.costs[1].estimate_ns);
    let of_times = estimate_family(&layers, "", &times, 2);
    assert_eq!(both.service_times.len(), 2);
    assert_eq!(both.service_times[1].estimate_ns, of_times.costs[1].estimate_ns);
    assert_ne!(both.service_times[1].estimate_ns, both.costs[1].estimate_ns);
    assert_eq!(both.floor, alone.floor, "the floor is that of the costs");
    let connections = [difference("tls-connection", "", "s1", "s0", Per::Connection)];
    let both = estimate_family_with_times(&connections, "", &cpu, &times, 2);
    assert!(both.service_times.is_empty(), "a request has a service time");
}

/// Seven rounds, or rounds in which a variant is missing, give no interval to that layer and
/// leave the others theirs.
#[test]
fn too_few_rounds_give_no_interval() {
    let mut run = simulate(&TRUTH, Design::quiet(8, 8), &mut Random::new(6));
    run.figures.get_mut("s3").unwrap()[4] = f64::NAN;
    let costs = estimate_family(&all_layers(), "", &run, 1).costs;
    let cost = |id: &str| costs.iter().find(|cost| cost.id == id).unwrap();
    let short = cost("certificate");
    assert_eq!((short.rounds, short.low_ns, short.family_high_ns), (7, None, None));
    assert_eq!((short.verdict, short.method.as_str()), (Verdict::TooFewRounds, "none"));
    assert!(short.estimate_ns.is_some() && short.words.contains("7 rounds"));
    assert_eq!((cost("tls").rounds, cost("tls").verdict), (8, Verdict::Resolved));
    assert_eq!(widest_share(&costs), None);
    assert_eq!(estimate(&[], 1), None);
}

/// A layer that lost rounds has other evidence than its neighbours, and is stretched by its own.
#[test]
fn layers_of_different_rounds_share_a_family() {
    let mut run = simulate(&TRUTH, Design::of(12, 12), &mut Random::new(9));
    for round in [0, 3, 7] {
        run.figures.get_mut("s3").unwrap()[round] = f64::NAN;
    }
    let costs = estimate_family(&all_layers(), "", &run, 1).costs;
    let rounds = |id: &str| costs.iter().find(|cost| cost.id == id).unwrap().rounds;
    assert_eq!([rounds("tls"), rounds("certificate"), rounds("interaction-cached")], [12, 9, 9]);
    assert!(costs.iter().all(|cost| cost.family_low_ns <= cost.low_ns && cost.low_ns.is_some()));
}

/// An experiment may end from the 12th round on, when all that was measured is narrow enough.
#[test]
fn rounds_end_when_the_widest_interval_is_narrow_enough() {
    let mut layers = all_layers();
    layers.push(difference("absent", "", "s5-cached", "s4-cached", Per::Request));
    let run = |rounds| simulate(&TRUTH, Design::quiet(rounds, rounds), &mut Random::new(7));
    for (rounds, ends) in [(8, false), (11, false), (12, true), (13, true)] {
        let input = run(rounds);
        let estimate = || estimate_family(&layers, "", &input, 1);
        assert_eq!(settled(rounds, 0.05, estimate), ends, "{rounds} rounds");
    }
    let estimate = || estimate_family(&layers, "", &run(12), 1);
    assert!(!settled(12, 1e-6, estimate));
    let noisy = simulate(&TRUTH, Design::of(12, 3), &mut Random::new(7));
    assert!(!settled(12, 0.05, || estimate_family(&layers, "", &noisy, 1)));
    let costs = estimate_family(&layers, "", &run(12), 1).costs;
    // Every cost by the baseline of its kind, and the control's is the first.
    let widest = costs.iter().filter(|cost| cost.rounds > 0).map(|cost| {
        let length = cost.family_high_ns.unwrap() - cost.family_low_ns.unwrap();
        let factor = if cost.per == Per::Connection { 10.0 } else { 1.0 };
        length as f64 / 2.0 / costs[0].reference_ns as f64 / factor
    });
    let difference = widest_share(&costs).unwrap() - widest.fold(0.0, f64::max);
    assert!(difference.abs() < 1e-5, "{difference}");
    assert_eq!(widest_share(&[]), None);
}

/// Looking and ending when it looks good does not cost coverage: 87 of 100 is the
/// one-in-a-thousand quantile of a true 95%.
#[test]
fn the_stop_rule_keeps_the_coverage() {
    let layers = [
        difference("tls", "TLS", "s1", "s0", Per::Request),
        difference("certificate", "", "s3", "s1", Per::Request),
    ];
    let (mut covered, mut early) = (0, 0);
    for experiment in 0..100 {
        let mut random = Random::stream(14, experiment);
        let mut run =
            simulate(&TRUTH, Design { slice_sd: 0.03, ..Design::of(40, 20) }, &mut random);
        let instances = std::mem::take(&mut run.instances);
        let looks = (12..=40).find(|&rounds| {
            run.instances = instances[..rounds].to_vec();
            settled(run.rounds().len(), 0.05, || estimate_family(&layers, "", &run, experiment))
        });
        early += u64::from(looks.is_some_and(|rounds| rounds < 40));
        let costs = estimate_family(&layers, "", &run, experiment).costs;
        covered += u64::from(costs.iter().zip(&layers).all(|(cost, layer)| {
            holds(cost, true_share(layer), cost.family_low_ns, cost.family_high_ns)
        }));
    }
    assert!(early > 75, "{early} of 100 ended early");
    assert!(covered >= 87, "{covered} of 100");
}

/// All nine combinations, in both forms; the last adds to them or not.
fn nine(extra: f64) -> Vec<(&'static str, f64)> {
    let mut truth =
        vec![("s0", 30_000.0), ("s0-control", 30_000.0), ("s1", 36_000.0), ("s3", 37_000.0)];
    for (cost, roles) in [
        (40_000.0, ["plain-token-uncached", "s2-uncached", "s4-uncached"]),
        (42_000.0, ["plain-scopes-uncached", "tls-scopes-uncached", "s5-uncached"]),
        (1_000.0, ["plain-token-cached", "s2-cached", "s4-cached"]),
        (3_000.0, ["plain-scopes-cached", "tls-scopes-cached", "s5-cached"]),
    ] {
        let transports = [30_000.0, 36_000.0, 37_000.0];
        truth.extend(roles.into_iter().zip(transports).map(|(role, base)| (role, base + cost)));
    }
    truth.last_mut().unwrap().1 += extra;
    truth
}

#[test]
fn what_does_not_add_up_is_named() {
    let run = simulate(&nine(4_000.0), Design::quiet(12, 12), &mut Random::new(3));
    let found = additivity("cell", &run, 1);
    let [first, repeat] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((first.form.as_str(), first.cell.as_str()), ("uncached", "cell"));
    assert!(first.additive && first.statistic < first.critical, "{first:?}");
    assert!(!repeat.additive && repeat.statistic > repeat.critical, "{repeat:?}");
    assert!(repeat.words.contains("mutual TLS and scopes"), "{}", repeat.words);
    let left = repeat.interactions.iter().map(|cost| (cost.formula.as_str(), cost.verdict));
    let noise = Verdict::WithinNoise;
    let expected = [
        ("S2 - S1 - plain+token + S0", noise),
        ("tls+scopes - S1 - plain+scopes + S0", noise),
        ("S4 - S3 - plain+token + S0", noise),
        ("S5 - S3 - plain+scopes + S0", Verdict::Resolved),
    ];
    assert_eq!(left.collect::<Vec<_>>(), expected);
    let share = repeat.interactions[3].estimate_ns.unwrap() as f64;
    assert!((share / repeat.interactions[3].reference_ns as f64 - 4.0 / 30.0).abs() < 0.002);
}

#[test]
fn additivity_needs_all_nine_and_enough_rounds() {
    let few = simulate(&nine(0.0), Design::quiet(7, 7), &mut Random::new(3));
    assert_eq!(additivity("", &few, 1), []);
    let mut run = simulate(&nine(0.0), Design::quiet(12, 12), &mut Random::new(3));
    run.figures.remove("tls-scopes-cached");
    let found = additivity("", &run, 1);
    assert!(found.len() == 1 && found[0].form == "uncached", "{found:?}");
}

/// The test calls costs that add up non-additive in at most 5%: 17 of 150 is the
/// one-in-a-thousand quantile. Noise makes a ratio's mean differ from the ratio of the means, by
/// less than what it can see.
#[test]
fn costs_that_add_up_are_seldom_called_otherwise() {
    let called = (0..75).flat_map(|experiment| {
        let mut random = Random::stream(15, experiment);
        let run = simulate(&nine(0.0), Design::of(12, 12), &mut random);
        additivity("", &run, experiment)
    });
    let called = called.filter(|found| found.statistic > found.critical).count();
    assert!(called <= 17, "{called} of 150");
}

/// A change of 5% between two experiments of any layouts: of 300, 272 is the one-in-a-thousand
/// quantile of a true 95%.
#[test]
fn a_change_between_experiments_is_covered() {
    let layer = difference("", "", "s1", "s0", Per::Request);
    let cases = [
        ((12, 12), (12, 12), IntervalMethod::RankSum),
        ((12, 6), (24, 12), IntervalMethod::RankSum),
        ((12, 3), (12, 3), IntervalMethod::Student),
        ((8, 2), (8, 2), IntervalMethod::Student),
    ];
    for ((rounds, instances), (later_rounds, later_instances), method) in cases {
        let covered = (0..300).filter(|&experiment| {
            let mut random = Random::stream(16, experiment);
            let mut observe = |s1, design| {
                let run = simulate(&[("s0", 30_000.0), ("s1", s1)], design, &mut random);
                observations(&layer, &run)
            };
            let before = observe(36_000.0, Design::of(rounds, instances));
            let after = observe(37_800.0, Design::of(later_rounds, later_instances));
            let found = change(&before, &after).unwrap().interval.unwrap();
            assert_eq!(found.method, method);
            (found.low..=found.high).contains(&1.05_f64.ln())
        });
        let covered = covered.count();
        assert!(covered >= 272, "{rounds}/{instances}: {covered} of 300");
    }
}

#[test]
fn a_change_of_too_little_has_no_interval() {
    let observe = |count: u32, shift: f64| -> Vec<Observation> {
        let value = |round: u32| shift + 0.01 * f64::from(round % 3);
        let rounds = 0..count;
        rounds.map(|round| Observation { round, instance: round, value: value(round) }).collect()
    };
    let short = change(&observe(12, 0.0), &observe(7, 1.0)).unwrap();
    assert!((short.centre - 1.0).abs() < 0.02 && short.interval.is_none());
    assert_eq!(change(&[], &observe(12, 0.0)), None);
    assert_eq!(change(&observe(12, 0.0), &[]), None);
}
