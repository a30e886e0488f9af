//! The engine with simulated slices: no process, no socket, no clock. The simulation serves the
//! tests of results and reports as well.

use metrics_export::run::{Percentiles, ServiceCpu};

use authn::Profile;

use super::*;
use crate::random::Random;
use crate::stats::{self, LayerInput, Per};

/// Servers whose true cost is known and grows with their place in the plan.
pub(crate) struct Simulation {
    variants: Vec<Variant>,
    orders: Vec<Order>,
    restarts: Vec<u32>,
    random: Random,
    /// The slice with this number is disturbed.
    pub(crate) disturbed: Option<usize>,
    /// An end is asked for after so many slices.
    pub(crate) interrupt_after: usize,
    /// Failed requests in each open-loop slice of S1.
    pub(crate) errors: u64,
}

impl Simulation {
    pub(crate) fn new(variants: &[Variant]) -> Simulation {
        Simulation {
            variants: variants.to_vec(),
            orders: Vec::new(),
            restarts: Vec::new(),
            random: Random::new(3),
            disturbed: None,
            interrupt_after: usize::MAX,
            errors: 0,
        }
    }

    fn cost_ns(&self, variant: usize) -> f64 {
        match self.variants[variant].id.as_str() {
            "s0" | "s0-again" => 30_000.0,
            "s1" => 36_000.0,
            "s3" => 36_200.0,
            id if id.ends_with("first-sight") => 150_000.0,
            _ => 37_500.0,
        }
    }
}

impl Simulation {
    fn times(&self, cost_ns: f64) -> Times {
        let mut times = Times::empty();
        for step in 0..1_000_u64 {
            let service = cost_ns as u64 + step * step / 10;
            times.service.saturating_record(service);
            times.response.saturating_record(service + step);
            times.lateness.saturating_record(step);
        }
        times
    }
}

impl Bench for Simulation {
    fn restart(&mut self, instance: u32) -> Result<(), Failure> {
        self.restarts.push(instance);
        Ok(())
    }

    fn slice(&mut self, order: &Order) -> Result<Measured, Failure> {
        let disturbed = self.disturbed == Some(self.orders.len());
        self.orders.push(*order);
        let noise = 1.0 + 0.01 * (self.random.next_open_unit() - 0.5);
        let cost_ns = self.cost_ns(order.variant) * noise;
        let answered = match order.kind {
            SliceKind::Open => order.rate_per_s as u64,
            SliceKind::Closed | SliceKind::Connect => (1e9 / cost_ns) as u64,
        };
        let variant = self.variants[order.variant].id.clone();
        let lateness_ns = if disturbed { 900_000 } else { 5_000 };
        let slice = Slice {
            lateness: Percentiles { p99_ns: lateness_ns, ..Percentiles::default() },
            errors: if self.errors > 0 && variant == "s1" && order.kind == SliceKind::Open {
                [("status".to_owned(), self.errors)].into()
            } else {
                Default::default()
            },
            services: services(cost_ns * answered as f64),
            handshakes_full: if order.kind == SliceKind::Connect && variant != "s0" {
                answered
            } else {
                0
            },
            ..blank_slice(&variant, order, answered)
        };
        let check = Check { claim: "it is simulated", holds: !disturbed, found: "so".into() };
        Ok(Measured { slice, times: self.times(cost_ns), checks: vec![check] })
    }

    fn interrupted(&self) -> bool {
        self.orders.len() >= self.interrupt_after
    }
}

fn services(total_ns: f64) -> Vec<ServiceCpu> {
    let service = |name: &str, share: f64| ServiceCpu {
        service: name.into(),
        cpu_ns: (total_ns * share) as u64,
        user_ns: (total_ns * share * 0.25) as u64,
        system_ns: (total_ns * share * 0.75) as u64,
    };
    vec![service("gateway", 0.5), service("orders", 0.3), service("inventory", 0.2)]
}

fn blank_slice(variant: &str, order: &Order, answered: u64) -> Slice {
    Slice {
        variant: variant.into(),
        kind: order.kind,
        instance: order.instance,
        round: order.round,
        position: order.position,
        attempt: order.attempt,
        counts: true,
        disturbances: Vec::new(),
        start_unix_ns: 0,
        duration_ns: 1_000_000_000,
        requests_asked: answered,
        requests_sent: answered,
        requests_answered: answered,
        dropped: 0,
        errors: Default::default(),
        bytes_sent: answered * 1_200,
        bytes_received: answered * 310,
        connections_opened: 0,
        handshakes_full: 0,
        handshakes_resumed: 0,
        response: Percentiles::default(),
        service: Percentiles::default(),
        lateness: Percentiles::default(),
        services: Vec::new(),
        client_cpu_ns: answered * 9_000,
        busy_ns: answered * 40_000,
        softirq_ns: 0,
        steal_ns: 0,
        foreign_ns: Some(0),
        throttled: 0,
    }
}

pub(crate) struct Silent;

impl Watcher for Silent {
    fn taken(&mut self, done: u64, planned: u64, _order: &Order) {
        assert!(done <= planned);
    }
}

fn variants() -> Vec<Variant> {
    let mut variants = vec![Variant::baseline(false), Variant::baseline(true)];
    variants.extend(Variant::of(Profile::parse("S1").unwrap(), 16));
    variants.extend(Variant::of(Profile::parse("S2").unwrap(), 16));
    variants
}

fn run(simulation: &mut Simulation, protocol: &Protocol) -> Findings {
    let variants = simulation.variants.clone();
    let experiment =
        Experiment { variants: &variants, protocol, bounds: &Bounds::default(), measured_cores: 2 };
    experiment.run(simulation, &mut Silent).unwrap()
}

#[test]
fn every_round_has_every_variant_once_in_a_new_order() {
    let variants = variants();
    let protocol = Protocol { rounds: 12, instances: 5, ..Protocol::standard(7) };
    let mut simulation = Simulation::new(&variants);
    let findings = run(&mut simulation, &protocol);
    assert!(findings.complete);
    assert_eq!(simulation.restarts, [0, 1, 2, 3, 4]);
    let mut orders = std::collections::BTreeSet::new();
    for round in 0..12 {
        let open = simulation
            .orders
            .iter()
            .filter(|order| order.round == round && order.kind == SliceKind::Open);
        let mut order: Vec<usize> = open.map(|order| order.variant).collect();
        orders.insert(order.clone());
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
    assert!(orders.len() > 8, "{orders:?}");
    // S0, S1 and S2 repeat open new connections; first sight and the control do not.
    let connecting = simulation.orders.iter().filter(|order| order.kind == SliceKind::Connect);
    assert_eq!(connecting.count(), 12 * 3);
    let experiment = Experiment {
        variants: &variants,
        protocol: &protocol,
        bounds: &Bounds::default(),
        measured_cores: 2,
    };
    assert_eq!(experiment.slices_planned(), simulation.orders.len() as u64);
}

#[test]
fn the_operating_point_is_a_share_of_the_slowest() {
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &Protocol::quick(7));
    let rate = findings.rate_per_s.unwrap();
    assert!((2_600.0..2_720.0).contains(&rate), "{rate}: 40% of 1 s / 150 us");
    let named = Protocol { rate_per_s: Some(123.0), ..Protocol::quick(7) };
    assert_eq!(run(&mut Simulation::new(&variants()), &named).rate_per_s, Some(123.0));
}

#[test]
fn the_known_cost_is_found() {
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &Protocol::standard(7));
    assert_eq!(findings.rounds().len(), 12);
    assert!(findings.figure("s1", Per::Connection, 0).is_some());
    let ids: Vec<&str> = simulation.variants.iter().map(|variant| variant.id.as_str()).collect();
    let tls = stats::layers(&ids).find(|layer| layer.id == "tls").unwrap();
    let cost = stats::price(tls, &findings, stats::noise_floor_share(&findings, 1), 1);
    let (low, high) = (cost.low_ns.unwrap(), cost.high_ns.unwrap());
    assert!(low <= 6_000 && 6_000 <= high && high - low < 400, "{cost:?}");
}

#[test]
fn a_disturbed_slice_is_repeated_once_and_said_so() {
    let mut simulation = Simulation::new(&variants());
    // The first slice after the warm-up of five variants.
    simulation.disturbed = Some(10);
    let findings = run(&mut simulation, &Protocol::quick(7));
    let rows: Vec<&Slice> = findings.slices.iter().collect();
    assert_eq!((rows[10].counts, rows[10].attempt, rows[10].disturbances.len()), (false, 0, 1));
    assert_eq!((rows[11].counts, rows[11].attempt), (true, 1));
    assert_eq!(rows[11].variant, rows[10].variant);
    let proof = findings.proofs.iter().find(|proof| proof.variant == rows[10].variant).unwrap();
    assert!(!proof.holds, "a failed check is not forgotten");
}

#[test]
fn an_interrupted_experiment_keeps_its_slices() {
    let mut simulation = Simulation::new(&variants());
    simulation.interrupt_after = 13;
    let findings = run(&mut simulation, &Protocol::quick(7));
    assert!(!findings.complete);
    assert_eq!(findings.slices.len(), 13);
}
