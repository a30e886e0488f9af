//! The statistics against simulated experiments whose truth is known.

use metrics_export::run::Verdict;

use super::*;
use crate::random::Random;

/// A standard normal draw (Box-Muller).
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * random.next_open_unit().ln()).sqrt();
    radius * (std::f64::consts::TAU * random.next_open_unit()).cos()
}

/// A simulated experiment: true figures per variant, multiplicative drift common to a round,
/// luck of an instance, and noise of a slice.
struct Simulated {
    figures: Vec<(&'static str, Vec<f64>)>,
    instances: Vec<u32>,
}

fn simulate(
    truth: &[(&'static str, f64)],
    rounds: usize,
    instances: usize,
    instance_sd: f64,
    slice_sd: f64,
    random: &mut Random,
) -> Simulated {
    let instance_of = |round: usize| round * instances / rounds;
    let drift: Vec<f64> = (0..rounds).map(|_| 0.2 * normal(random)).collect();
    let figures = truth.iter().map(|&(variant, truth)| {
        let luck: Vec<f64> = (0..instances).map(|_| instance_sd * normal(random)).collect();
        let figure = |round: usize, random: &mut Random| {
            truth * (drift[round] + luck[instance_of(round)] + slice_sd * normal(random)).exp()
        };
        (variant, (0..rounds).map(|round| figure(round, random)).collect())
    });
    let figures = figures.collect();
    Simulated { figures, instances: (0..rounds).map(|round| instance_of(round) as u32).collect() }
}

impl LayerInput for Simulated {
    fn figure(&self, variant: &str, _per: Per, round: u32) -> Option<f64> {
        let (_, figures) = self.figures.iter().find(|(name, _)| *name == variant)?;
        figures.get(round as usize).copied()
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        let instances = self.instances.iter().enumerate();
        instances.map(|(round, instance)| (round as u32, *instance)).collect()
    }
}

const EXPERIMENTS: u64 = 1_000;

/// How many of the experiments had the truth in the interval of a difference.
fn covered(experiments: u64, rounds: usize, instances: usize, instance_sd: f64) -> u64 {
    let layer = layers(&["s0", "s1"]).find(|layer| layer.id == "tls").unwrap();
    (0..experiments)
        .filter(|&experiment| {
            let mut random = Random::stream(11, experiment);
            let truth = [("s0", 30_000.0), ("s1", 36_000.0)];
            let run = simulate(&truth, rounds, instances, instance_sd, 0.02, &mut random);
            let observations: Vec<Observation> = layers::shares(layer, &run);
            let found = estimate(&observations, experiment).unwrap().interval.unwrap();
            let truth = 1.2_f64.ln();
            found.low <= truth && truth <= found.high
        })
        .count() as u64
}

/// The exact interval covers at least what it says; binomial noise of 1,000 is 0.7%.
#[test]
fn exact_intervals_cover_the_truth() {
    for rounds in [8, 12, 20] {
        let covered = covered(EXPERIMENTS, rounds, rounds, 0.0);
        assert!((935..=995).contains(&covered), "{rounds} rounds: {covered} of {EXPERIMENTS}");
    }
}

/// Fewer experiments, because each resamples 2,000 times.
#[test]
fn bootstrap_intervals_cover_the_truth_with_enough_instances() {
    let covered = covered(60, 24, 12, 0.01);
    assert!(covered >= 52, "{covered} of 60");
}

/// A seed gives the same interval again, and the interval knows about instances: luck of an
/// instance widens it although the noise of slices is the same.
#[test]
fn the_bootstrap_is_seeded_and_feels_instances() {
    let observe = |instance_of: fn(u32) -> u32| -> Vec<Observation> {
        let value = |round: u32| 0.05 * f64::from(round / 6) + 0.001 * f64::from(round % 3);
        let rounds = 0..24;
        rounds
            .map(|round| Observation { instance: instance_of(round), value: value(round) })
            .collect()
    };
    let (lucky, same) = (observe(|round| round / 6), observe(|round| round));
    let width = |observations: &[Observation], seed| {
        let interval = estimate(observations, seed).unwrap().interval.unwrap();
        assert_eq!(interval.method, Method::Bootstrap);
        interval.high - interval.low
    };
    assert_eq!(width(&lucky, 3), width(&lucky, 3));
    assert!(width(&lucky, 3) > 1.3 * width(&same, 3));
}

/// The A/A control finds a difference in at most about 5% of experiments.
#[test]
fn equal_variants_are_seldom_called_different() {
    let layer = layers(&["s0", "s0-again"]).next().unwrap();
    let called = (0..EXPERIMENTS)
        .filter(|&experiment| {
            let mut random = Random::stream(12, experiment);
            let truth = [("s0", 30_000.0), ("s0-again", 30_000.0)];
            let run = simulate(&truth, 12, 12, 0.0, 0.02, &mut random);
            price(layer, &run, None, experiment).verdict == Verdict::Resolved
        })
        .count();
    assert!(called <= 65, "{called} of {EXPERIMENTS}");
}

#[test]
fn layers_are_priced_in_ns_of_their_reference() {
    let truth = [
        ("s0", 30_000.0),
        ("s0-again", 30_000.0),
        ("s1", 36_000.0),
        ("s2-repeat", 37_000.0),
        ("s3", 36_000.0),
        ("s4-repeat", 39_000.0),
    ];
    let run = simulate(&truth, 12, 3, 0.0, 0.0005, &mut Random::new(5));
    let names: Vec<&str> = truth.iter().map(|(name, _)| *name).collect();
    let floor = noise_floor_share(&run, 1);
    assert!(floor.unwrap() < 0.002);
    let cost = |id: &str| {
        let layer = layers(&names).find(|layer| layer.id == id).unwrap();
        // The drift moves the reference's median, so prices are compared as shares of it.
        let cost = price(layer, &run, floor, 1);
        let share = cost.estimate_ns.unwrap() as f64 / cost.reference_ns as f64;
        (share, cost.verdict)
    };
    let near = |found: (f64, Verdict), share: f64, verdict| {
        assert!((found.0 - share).abs() < 0.002 && found.1 == verdict, "{found:?} {share}");
    };
    near(cost("tls"), 0.2, Verdict::Resolved);
    near(cost("jwt-repeat"), 1.0 / 36.0, Verdict::Resolved);
    near(cost("certificate"), 0.0, Verdict::WithinNoise);
    near(cost("interaction-repeat"), 2.0 / 36.0, Verdict::Resolved);
    assert!(layers(&names).all(|layer| !layer.id.contains("first")), "first sight was not run");
}

/// Seven rounds, or rounds in which a variant is missing, give no interval.
#[test]
fn too_few_rounds_give_no_interval() {
    let truth = [("s0", 30_000.0), ("s1", 36_000.0)];
    let mut run = simulate(&truth, 8, 2, 0.0, 0.01, &mut Random::new(6));
    run.figures[1].1.pop();
    let layer = layers(&["s0", "s1"]).find(|layer| layer.id == "tls").unwrap();
    let cost = price(layer, &run, None, 1);
    assert_eq!((cost.rounds, cost.low_ns, cost.high_ns), (7, None, None));
    assert_eq!((cost.verdict, cost.method.as_str()), (Verdict::TooFewRounds, "none"));
    assert!(cost.estimate_ns.is_some());
    assert_eq!(estimate(&[], 1), None);
}
