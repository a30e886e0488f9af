//! The engine with simulated slices: no process, no socket, no clock. The simulation serves the
//! tests of results and reports as well.

use metrics_export::run::{CpuSourceKind, Percentiles, ServiceCpu, Slice, SliceBlocks};

use authn::Profile;

use super::*;
use crate::command::matrix::Matrix;
use crate::plan::Role;
use crate::plan::{Axes, BlockChoice, StopRule};
use crate::stats::{self, LayerInput, Per};
use crate::traffic::random::Random;
use crate::traffic::schedule::Rate;

/// Servers whose true cost is known and grows with their place in the plan.
pub(crate) struct Simulation {
    variants: Vec<Variant>,
    orders: Vec<SliceRequest>,
    restarts: Vec<u32>,
    random: Random,
    /// The slice with this number is disturbed.
    pub(crate) disturbed: Option<usize>,
    /// An end is asked for after so many slices.
    pub(crate) interrupt_after: usize,
    /// The slice with this number fails, by a panic where that is said.
    pub(crate) fails: Option<(usize, bool)>,
    /// Failed requests in each open-loop slice of S1.
    pub(crate) errors: u64,
    /// CPU of idle servers.
    pub(crate) idle_ns_per_s: u64,
    /// Why variants cannot take turns.
    pub(crate) inseparable: Option<String>,
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
            fails: None,
            errors: 0,
            idle_ns_per_s: 0,
            inseparable: None,
        }
    }

    fn cost_ns(&self, variant: usize) -> f64 {
        match self.variants[variant].role.to_string().as_str() {
            "s0" | "s0-control" => 30_000.0,
            "s1" => 36_000.0,
            "s3" => 36_200.0,
            id if id.ends_with("-uncached") => 150_000.0,
            _ => 37_500.0,
        }
    }
}

impl Simulation {
    /// Slices that were no repeats.
    fn taken_once(&self) -> u64 {
        self.orders.iter().filter(|request| request.attempt == 0).count() as u64
    }

    fn times(&self, cost_ns: f64) -> Times {
        let mut times = Times::empty();
        times.connect.saturating_record(30_000);
        times.handshake.saturating_record(400_000);
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

    fn slice(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let disturbed = self.disturbed == Some(self.orders.len());
        match self.fails {
            Some((at, true)) if at == self.orders.len() => panic!("a server of straw"),
            Some((at, false)) if at == self.orders.len() => {
                return Err(Failure::new("orders (process 7) ended"));
            }
            _ => self.orders.push(*request),
        }
        let noise = 1.0 + 0.01 * (self.random.next_open_unit() - 0.5);
        let cost_ns = self.cost_ns(request.variant) * noise;
        let answered = match request.load {
            SliceLoad::Open(rate) => rate.as_f64() as u64,
            SliceLoad::Closed | SliceLoad::Connect => (1e9 / cost_ns) as u64,
        };
        let variant = self.variants[request.variant].id.clone();
        let lateness_ns = if disturbed { 900_000 } else { 5_000 };
        let slice = Slice {
            lateness: Percentiles { count: 1, p99_ns: lateness_ns, ..Percentiles::default() },
            service: Percentiles {
                count: answered,
                p50_ns: 20_000 + cost_ns as u64,
                ..Percentiles::default()
            },
            errors: if self.errors > 0 && variant == "s1" && request.kind() == SliceKind::Open {
                [("status".to_owned(), self.errors)].into()
            } else {
                Default::default()
            },
            services: services(cost_ns * answered as f64),
            handshakes_full: if request.kind() == SliceKind::Connect && variant != "s0" {
                answered
            } else {
                0
            },
            ..blank_slice(&variant, request, answered)
        };
        let proof = SliceProof { claim: "it is simulated", holds: !disturbed, found: "so".into() };
        Ok(Measured {
            slice,
            times: self.times(cost_ns),
            memory_peak_bytes: Some(12 << 20),
            errors: String::new(),
            asked: Asked { request: None, cpu_source: CpuSourceKind::Processes },
            proofs: vec![proof],
        })
    }

    fn interleaved(&mut self, request: &InterleavedRequest) -> Result<Vec<Measured>, Failure> {
        let parts = request.slices(&self.variants);
        let part = |part: &SliceRequest| {
            let mut measured = self.slice(part)?;
            let block_ns = request.block.as_nanos() as u64;
            let slice_ns = measured.slice.duration_ns * parts.len() as u64;
            let (answered_in_time, pairs) = (measured.slice.requests_answered, Vec::new());
            measured.slice.blocks =
                Some(SliceBlocks { block_ns, slice_ns, answered_in_time, reading_ns: 0, pairs });
            Ok(measured)
        };
        parts.iter().map(part).collect()
    }

    fn inseparable(&self, _cell: usize) -> Option<String> {
        self.inseparable.clone()
    }

    fn idle(&mut self, _pause: Duration) -> Result<Vec<Option<u64>>, Failure> {
        Ok(vec![Some(self.idle_ns_per_s); self.variants.len()])
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.orders.len() as u64)
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

pub(crate) fn blank_slice(variant: &str, request: &SliceRequest, answered: u64) -> Slice {
    Slice {
        variant: variant.into(),
        kind: request.kind(),
        instance: request.instance,
        round: request.round,
        position: request.position,
        attempt: request.attempt,
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
        generator_cpu_ns: answered * 9_000,
        busy_ns: answered * 40_000,
        softirq_ns: 0,
        steal_ns: 0,
        background_ns: Some(0),
        throttled: 0,
        connect: Percentiles::default(),
        handshake: Percentiles::default(),
        in_flight_growth_milli: 0,
        in_flight_first_milli: None,
        sent_in_window: None,
        queue_high_water: None,
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

/// Remembers how many slices are done of how many.
#[derive(Default)]
pub(crate) struct Silent {
    progress: (u64, u64),
}

impl Watcher for Silent {
    fn taken(&mut self, done: u64, planned: u64, _slice: &Slice) {
        assert!(done <= planned);
        self.progress = (done, planned);
    }
}

fn cells() -> Vec<PlannedCell> {
    Axes::default().cells(&[]).unwrap()
}

fn variants() -> Vec<Variant> {
    let profiles = ["S0", "S1", "S2"].map(|name| Profile::parse(name).unwrap());
    Matrix::variants_of(&profiles, &[], &cells())
}

fn run(simulation: &mut Simulation, protocol: &Protocol) -> Findings {
    run_in(&cells(), simulation, protocol)
}

fn run_in(cells: &[PlannedCell], simulation: &mut Simulation, protocol: &Protocol) -> Findings {
    let variants = simulation.variants.clone();
    let layers = vec![stats::layers(&["s0", "s1"].map(Role::from)); cells.len()];
    let experiment = Experiment {
        variants: &variants,
        cells,
        layers: &layers,
        protocol,
        bounds: &Bounds::default(),
        measured_cores: 2,
    };
    let mut watcher = Silent::default();
    let findings = experiment.run(simulation, &mut watcher).unwrap();
    if findings.complete && protocol.stop == StopRule::default() {
        assert_eq!(watcher.progress.0, watcher.progress.1, "all that was planned is done");
        assert_eq!(watcher.progress.0, simulation.taken_once());
    }
    findings
}

#[test]
fn a_failure_keeps_the_slices_that_were_finished() {
    let (variants, cells) = (variants(), cells());
    let layers = vec![stats::layers(&["s0", "s1"].map(Role::from)); cells.len()];
    let experiment = Experiment {
        variants: &variants,
        cells: &cells,
        layers: &layers,
        protocol: &Protocol::quick(7),
        bounds: &Bounds::default(),
        measured_cores: 2,
    };
    for (panics, word) in [(false, "process 7"), (true, "a server of straw")] {
        let mut simulation = Simulation::new(&variants);
        simulation.fails = Some((20, panics));
        let findings = experiment.run(&mut simulation, &mut Silent::default()).unwrap();
        assert_eq!((findings.complete, findings.slices.len()), (false, 20));
        assert!(findings.failure.unwrap().to_string().contains(word), "{word}");
        // Before anything counts there is nothing to keep.
        let mut simulation = Simulation::new(&variants);
        simulation.fails = Some((1, panics));
        let failure = experiment.run(&mut simulation, &mut Silent::default()).unwrap_err();
        assert!(failure.to_string().contains(word), "{failure}");
    }
}

#[test]
fn every_round_has_every_variant_once_in_a_new_order() {
    let standard = Protocol { rounds: 12, instances: 5, ..Protocol::standard(7) };
    let protocol = Protocol { block: BlockChoice::Whole, ..standard };
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &protocol);
    assert!(findings.complete && findings.slices.iter().all(Slice::is_whole));
    assert_eq!(simulation.restarts, [0, 1, 2, 3, 4]);
    let mut orders = std::collections::BTreeSet::new();
    for round in 0..12 {
        let open = simulation
            .orders
            .iter()
            .filter(|request| request.round == round && request.kind() == SliceKind::Open);
        let mut order: Vec<usize> = open.map(|request| request.variant).collect();
        orders.insert(order.clone());
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
    assert!(orders.len() > 8, "{orders:?}");
    // S0, S1 and S2 cached open new connections; uncached tokens and the control do not.
    let connecting =
        simulation.orders.iter().filter(|request| request.kind() == SliceKind::Connect);
    assert_eq!(connecting.count(), 12 * 3);
}

#[test]
fn an_interleaved_round_has_every_variant_and_times_come_from_whole_slices() {
    let protocol = Protocol { rounds: 12, instances: 3, ..Protocol::standard(7) };
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &protocol);
    let block = findings.blocks[0].unwrap().as_secs_f64();
    let requests = block * findings.rates[0].unwrap().as_f64();
    assert!((requests - 5.3).abs() < 0.1, "{block} s");
    let count = |variant: &str, kind, whole| {
        findings.counted(variant, kind).filter(|slice| slice.is_whole() == whole).count()
    };
    for variant in ["s0", "s0-control", "s1", "s2-uncached", "s2-cached"] {
        assert_eq!(count(variant, SliceKind::Open, false), 12, "one a round");
        assert_eq!(count(variant, SliceKind::Open, true), 3, "one an instance");
        assert_eq!(count(variant, SliceKind::Closed, true), 1, "capacity is asked once");
    }
    assert_eq!(count("s1", SliceKind::Connect, false), 12);
    assert_eq!(count("s0-control", SliceKind::Connect, false), 0);
    let times = &findings.variants[0].times;
    assert_eq!((times.response.len(), times.lateness.len()), (3 * 1_000, 15 * 1_000));
    let results = results::variants(&findings, &variants());
    assert_eq!(results[0].response.count, 3_000);
    let undisturbed = results[0].undisturbed_cpu_ns_per_request.unwrap();
    assert!(undisturbed.abs_diff(30_000) < 300, "{undisturbed}");
}

/// Where one variant has no figure of its pairs, all are compared by the whole slice.
#[test]
fn pairs_are_compared_where_every_variant_has_them() {
    let own = variants();
    let protocol = Protocol { rounds: 3, instances: 3, ..Protocol::standard(7) };
    let mut findings = run(&mut Simulation::new(&own), &protocol);
    let pair = |slice: &Slice| {
        let (cpu_ns, answered) = (slice.cpu_ns() / 2, slice.requests_answered / 2);
        metrics_export::run::PairCpu { cpu_ns, answered }
    };
    for slice in &mut findings.slices {
        let pairs = vec![pair(slice); 2];
        if let Some(blocks) = &mut slice.blocks {
            blocks.pairs = pairs;
        }
    }
    let figures = |findings: &Findings, round| {
        let view = CellView { findings, variants: &own, cell: 0 };
        view.figures(&"s1".into(), Per::Request, round).len()
    };
    assert_eq!([0, 1, 2].map(|round| figures(&findings, round)), [2, 2, 2]);
    let mut slices = findings.slices.iter_mut();
    let is_odd = |slice: &&mut Slice| {
        slice.counts && slice.variant == "s0" && slice.round == 1 && !slice.is_whole()
    };
    let odd = slices.find(is_odd).unwrap();
    assert_eq!(odd.kind, SliceKind::Open);
    odd.blocks.as_mut().unwrap().pairs.clear();
    assert_eq!([0, 1, 2].map(|round| figures(&findings, round)), [2, 1, 2]);
}

#[test]
fn servers_that_work_while_nothing_is_asked_break_a_bound() {
    let own = variants();
    let protocol = Protocol { rounds: 3, instances: 3, ..Protocol::standard(7) };
    // 2,657/s in five variants' turns: S0 works 15.9 ms a second.
    for (idle_ns_per_s, breaks) in [(20_000, false), (60_000, true)] {
        let mut simulation = Simulation { idle_ns_per_s, ..Simulation::new(&own) };
        let findings = run(&mut simulation, &protocol);
        let share = results::idle_cpu_share(&findings, &own, &own[0]).unwrap();
        let expected = idle_ns_per_s as f64 / 15_940_000.0;
        assert!((share / expected - 1.0).abs() < 0.03, "{share}, not {expected}");
        assert_eq!(share > Bounds::default().idle_cpu_share_max.unwrap(), breaks);
        let result = &results::variants(&findings, &own)[0];
        assert_eq!(result.idle_cpu_ns_per_s, Some(idle_ns_per_s));
    }
}

#[test]
fn without_percentiles_only_the_first_instance_has_whole_slices() {
    let length = BlockChoice::Length(Duration::from_millis(5));
    for (block, whole) in [(BlockChoice::Auto, 1), (length, 0)] {
        let standard = Protocol { rounds: 12, instances: 3, ..Protocol::standard(7) };
        let protocol = Protocol { block, percentiles: false, ..standard };
        let findings = run(&mut Simulation::new(&variants()), &protocol);
        for variant in ["s0", "s0-control", "s1"] {
            let own = findings.counted(variant, SliceKind::Open);
            assert_eq!(own.clone().filter(|slice| slice.is_whole()).count(), whole, "{block:?}");
            assert_eq!(own.count(), 12 + whole, "{block:?}");
        }
    }
}

/// Variants whose CPU is one figure have whole slices, and readers are told; a length that was
/// asked for cannot be had.
#[test]
fn variants_that_cannot_be_told_apart_do_not_take_turns() {
    let why = "the CPU of S0 and of S0 control is one figure";
    let simulation =
        || Simulation { inseparable: Some(why.into()), ..Simulation::new(&variants()) };
    let protocol = Protocol { rounds: 3, instances: 1, ..Protocol::standard(7) };
    let findings = run(&mut simulation(), &protocol);
    assert!(findings.blocks[0].is_none() && findings.slices.iter().all(Slice::is_whole));
    let note = format!("Variants had whole slices, one after the other: {why}.");
    assert_eq!(findings.notes, [note]);
    let block = BlockChoice::Length(Duration::from_millis(5));
    let findings = run(&mut simulation(), &Protocol { block, ..protocol.clone() });
    let failure = findings.failure.unwrap().to_string();
    assert_eq!(failure, format!("{why}; measure with --block whole"));
    let findings = run(&mut simulation(), &Protocol { block: BlockChoice::Whole, ..protocol });
    assert!(findings.failure.is_none() && findings.notes.is_empty());
}

#[test]
fn the_operating_point_is_a_share_of_the_slowest() {
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &Protocol::quick(7));
    let rate = findings.rates[0].unwrap().as_f64();
    assert!((2_600.0..2_720.0).contains(&rate), "{rate}: 40% of 1 s / 150 us");
    let named =
        Axes { rates: vec![Rate::per_second(123.0)], ..Axes::default() }.cells(&[]).unwrap();
    let findings = run_in(&named, &mut Simulation::new(&variants()), &Protocol::quick(7));
    assert_eq!(findings.rates, [Rate::per_second(123.0)]);
}

/// Cells that ask the same of the same services run at one rate; another workload has its own.
#[test]
fn cells_that_ask_the_same_share_the_operating_point() {
    let axes = Axes {
        workloads: vec!["orders-create".into(), "ping".into()],
        connections: vec![1, 64],
        ..Axes::default()
    };
    let cells = axes.cells(&[]).unwrap();
    let profiles = ["S0", "S1"].map(|name| Profile::parse(name).unwrap());
    let variants = Matrix::variants_of(&profiles, &[], &cells);
    assert_eq!(variants.len(), 4 * 3);
    let findings = run_in(&cells, &mut Simulation::new(&variants), &Protocol::quick(7));
    let rates: Vec<Rate> = findings.rates.iter().map(|rate| rate.unwrap()).collect();
    assert!(rates[0] == rates[1] && rates[2] == rates[3] && rates[0] != rates[2], "{rates:?}");
    let view = CellView { findings: &findings, variants: &variants, cell: 2 };
    assert_eq!(view.variant(&"s1".into()).unwrap().id, "ping-1-connection-s1");
    assert!(!view.figures(&"s1".into(), Per::Request, 0).is_empty());
}

/// Costs that differ by a fifth with 1% of noise: every interval is within 5% at the first look,
/// after the twelfth round, and none is within 0.05% at the last.
#[test]
fn narrow_intervals_end_the_rounds() {
    for (share, rounds) in [(0.05, 12), (0.0005, 20)] {
        let stop = StopRule { until_ci_share: Some(share), ..StopRule::default() };
        let protocol = Protocol { rounds: 20, instances: 20, stop, ..Protocol::standard(7) };
        let findings = run(&mut Simulation::new(&variants()), &protocol);
        assert!(findings.complete);
        let taken = findings.slices.iter().map(|slice| slice.round).max().unwrap() + 1;
        assert_eq!(taken, rounds, "within {share}");
    }
}

#[test]
fn the_time_that_was_given_ends_the_rounds() {
    let stop = StopRule { max_duration: Some(Duration::from_secs(40)), ..StopRule::default() };
    let protocol = Protocol { stop, ..Protocol::standard(7) };
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &protocol);
    assert!(findings.complete);
    let rounds = findings.slices.iter().map(|slice| slice.round).max().unwrap();
    assert!((1..6).contains(&rounds), "{rounds}");
}

#[test]
fn the_known_cost_is_found() {
    let mut simulation = Simulation::new(&variants());
    let findings = run(&mut simulation, &Protocol::standard(7));
    let view = CellView { findings: &findings, variants: &simulation.variants, cell: 0 };
    assert_eq!(view.rounds().len(), 36);
    assert!(!view.figures(&"s1".into(), Per::Connection, 0).is_empty());
    let layers = stats::layers(&["s0", "s0-control", "s1"].map(Role::from));
    let family = stats::estimate_family(&layers, "", &view, 1);
    let cost = family.costs.iter().find(|cost| cost.id == "tls").unwrap();
    let (low, high) = (cost.low_ns.unwrap(), cost.high_ns.unwrap());
    assert!(low <= 6_000 && 6_000 <= high && high - low < 400, "{cost:?}");
}

#[test]
fn a_disturbed_slice_is_repeated_once_and_noted() {
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
