//! The bench that is real: servers started through a [`Stack`], traffic from a [`Generator`].
//!
//! Around every slice it does, outside of the measured time: refill the stock, open the
//! connections that are missing, read the servers' metrics, wait until everything is idle, read the
//! CPU accounting; then the slice; then the same backwards. It judges nothing.

mod site;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_export::run::{Slice, SliceKind};

use crate::experiment::proof::{self, Sent};
use crate::experiment::results::percentiles;
use crate::experiment::stack::Stack;
use crate::experiment::{Bench, Failure, Measured, SliceLoad, SliceProof, SliceRequest};
use crate::machine::cpu::{Meter, Usage, settle};
use crate::plan::{Cores, PlannedCell, Protocol, Variant};
use crate::traffic::generator::{Generator, TargetId};
use crate::traffic::random::Random;
use crate::traffic::record::SliceRecord;
use crate::traffic::slice::{Arrivals, GeneratorWait, SliceSpec};
use crate::traffic::workload::Workload;

use site::Site;

/// Connections that are opened at one time where each request has its own.
const CONNECTING_AT_ONCE: usize = 8;

/// How long a server that failed a slice is given to be seen to have ended: its sockets go first.
const FALLEN_WITHIN: Duration = Duration::from_millis(500);

/// New connections of a slice to a server that is not on loopback, where one source address has
/// 28,232 ports by default and each is taken for a minute: so many slices in a minute may use it.
pub const REMOTE_CONNECTIONS_MAX: u64 = 1_000;

/// What a live bench needs.
pub struct BenchSetup<'a> {
    /// Starts servers.
    pub stack: &'a mut dyn Stack,
    /// Makes traffic.
    pub generator: Generator,
    /// What is compared.
    pub variants: &'a [Variant],
    /// How.
    pub protocol: &'a Protocol,
    /// The settings that variants name by place.
    pub cells: &'a [PlannedCell],
    /// Where.
    pub cores: &'a Cores,
    /// Whether an end was asked for.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// Real servers and a real generator.
pub struct LiveBench<'a> {
    setup: BenchSetup<'a>,
    running: Vec<AttachedVariant>,
    seeds: Random,
    began: Instant,
    /// The drivers that the servers named.
    pub server_drivers: BTreeSet<String>,
    /// The driver of the generator.
    pub generator_driver: String,
}

/// One variant's servers, attached to the generator.
struct AttachedVariant {
    site: Site,
    meter: Meter,
    /// What open and closed loops ask.
    workload: Workload,
    requests: TargetId,
    /// What is asked over new connections, and where it is attached.
    connecting: Workload,
    connects: TargetId,
}

impl<'a> LiveBench<'a> {
    /// A bench without servers yet.
    #[must_use]
    pub fn new(setup: BenchSetup<'a>) -> LiveBench<'a> {
        LiveBench {
            seeds: Random::stream(setup.protocol.seed, u64::MAX),
            setup,
            running: Vec::new(),
            began: Instant::now(),
            server_drivers: BTreeSet::new(),
            generator_driver: String::new(),
        }
    }

    fn start(&mut self, variant: &Variant, instance: u32) -> Result<AttachedVariant, Failure> {
        let setup = &mut self.setup;
        let cell = &setup.cells[variant.cell];
        let started = setup.stack.start(variant, cell, instance).map_err(|error| {
            Failure::new(format!("the servers of {} could not be started: {error}", variant.label))
        })?;
        let site = Site::open(&variant.label, started)?;
        let asked = site.drivers().and_then(|drivers| Ok((drivers, workload(&site, cell)?)));
        let failed = asked.is_err();
        let (drivers, workload) = unless_fallen(asked, failed, || site.fallen())?;
        self.server_drivers.extend(drivers);
        // A ping is the smallest request over a new connection; only the gateway answers it.
        let pings = matches!(site.path().first(), Some(&("gateway" | "all")));
        let connecting = if pings { Workload::ping() } else { workload.clone() };
        let refused = |error| Failure::new(format!("{}: {error}", variant.label));
        let mut attach =
            |workload: &Workload| setup.generator.attach(site.target(), workload).map_err(refused);
        let (requests, connects) = (attach(&workload)?, attach(&connecting)?);
        let (servers, generator) = (&setup.cores.servers, &setup.cores.generator);
        let meter = Meter::new(site.processes(), servers, generator);
        Ok(AttachedVariant { site, meter, workload, requests, connecting, connects })
    }

    fn spec(&mut self, request: &SliceRequest) -> SliceSpec {
        let protocol = self.setup.protocol;
        let cell = &self.setup.cells[self.setup.variants[request.variant].cell];
        let site = &self.running[request.variant].site;
        let arrivals = match request.load {
            SliceLoad::Open(rate) => Arrivals::Open { rate, pattern: protocol.pattern },
            SliceLoad::Closed | SliceLoad::Connect => Arrivals::Closed,
        };
        let (connections, duration) = match request.kind() {
            SliceKind::Open => (cell.connections, protocol.slice),
            SliceKind::Closed if request.warmup => (cell.connections, protocol.warmup),
            SliceKind::Closed => (cell.connections, protocol.closed_slice),
            SliceKind::Connect => (CONNECTING_AT_ONCE, protocol.handshake_slice),
        };
        let connecting = request.kind() == SliceKind::Connect;
        SliceSpec {
            requests_per_connection: match request.kind() {
                SliceKind::Open => cell.requests_per_connection,
                SliceKind::Closed => None,
                SliceKind::Connect => Some(NonZeroU32::MIN),
            },
            requests_max: (connecting && !site.is_loopback()).then_some(REMOTE_CONNECTIONS_MAX),
            // In a slice of connections the generator's own CPU is a result too: it must not spin.
            wait: if connecting { GeneratorWait::Sleep } else { GeneratorWait::Spin },
            seed: self.seeds.next_u64(),
            tokens: site.tokens(),
            ..SliceSpec::new(arrivals, connections, duration)
        }
    }
}

/// What the servers of a cell are asked; its orders are made where it reads some.
fn workload(site: &Site, cell: &PlannedCell) -> Result<Workload, Failure> {
    if let Some(own) = site.own_workload() {
        return Ok(own.clone());
    }
    match cell.workload.as_str() {
        "orders-create" => Ok(Workload::orders_create()),
        "inventory-reserve" => Ok(Workload::inventory_reserve()),
        "ping" => Ok(Workload::ping()),
        "orders-read" => Ok(Workload::orders_read(site.make_orders()?.into())),
        other => Err(Failure::new(format!("there is no workload {other:?}"))),
    }
}

impl Bench for LiveBench<'_> {
    fn restart(&mut self, instance: u32) -> Result<(), Failure> {
        for running in self.running.drain(..) {
            self.setup.generator.detach(running.requests);
            self.setup.generator.detach(running.connects);
        }
        for variant in self.setup.variants {
            let running = self.start(variant, instance)?;
            self.running.push(running);
        }
        Ok(())
    }

    /// Runs a slice. One in which a server ended is none, whoever's server it was.
    fn slice(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let measured = self.take(request);
        let failed = measured.as_ref().map_or(true, |measured| !measured.errors.is_empty());
        unless_fallen(measured, failed, || self.fallen())
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn interrupted(&self) -> bool {
        (self.setup.interrupted)()
    }
}

/// A result, unless a server ended meanwhile: then that is the failure, and not what came of it.
fn unless_fallen<T>(
    result: Result<T, Failure>,
    failed: bool,
    fallen: impl Fn() -> Option<String>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + if failed { FALLEN_WITHIN } else { Duration::ZERO };
    loop {
        if let Some(sentence) = fallen() {
            return Err(Failure::new(sentence));
        }
        if Instant::now() >= deadline {
            return result;
        }
        settle();
    }
}

impl LiveBench<'_> {
    fn fallen(&self) -> Option<String> {
        self.running.iter().find_map(|running| running.site.fallen())
    }

    fn take(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let spec = self.spec(request);
        let variant = &self.setup.variants[request.variant];
        let running = &self.running[request.variant];
        let connecting = request.kind() == SliceKind::Connect;
        let (target, workload) = if connecting {
            (running.connects, &running.connecting)
        } else {
            (running.requests, &running.workload)
        };
        running.site.refill(&workload.stock)?;
        let generator = &mut self.setup.generator;
        let failed = |error| Failure::new(format!("{}: {error}", variant.label));
        // Connections that are the slice's own subject must not be opened ahead of it.
        if !connecting {
            generator.prepare(target, &spec).map_err(failed)?;
        }
        let pages_before = running.site.scrape()?;
        settle();
        let unread = |error| Failure::new(format!("{}: {error}", variant.label));
        let before = running.meter.read().map_err(unread)?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = generator.run_slice(target, &spec).map_err(failed)?;
        if record.interrupted {
            return Err(Failure::new(format!("{}: the slice was interrupted", variant.label)));
        }
        settle();
        let after = running.meter.read().map_err(unread)?;
        let usage = running.meter.between(&before, &after);
        let pages = running.site.pages(pages_before)?;

        let path = running.site.path();
        let path = if workload.name == "ping" { &path[..path.len().min(1)] } else { path };
        let cell = &self.setup.cells[variant.cell];
        let sent = Sent { variant, cell, kind: request.kind(), record: &record, path };
        let proofs: Vec<SliceProof> = proof::proofs(&sent, &pages);
        self.generator_driver = record.driver.into();
        let memory_peak_bytes = usage.memory_peak_bytes;
        let errors = record.errors.to_string();
        let mut slice = row(variant, request, start, &record, usage);
        slice.server_handshakes = proof::server_handshakes(&sent, &pages);
        Ok(Measured {
            slice,
            times: record.into(),
            memory_peak_bytes,
            errors,
            asked: running.site.asked(),
            proofs,
        })
    }
}

/// A slice as the record has it.
pub(crate) fn row(
    variant: &Variant,
    request: &SliceRequest,
    start: Duration,
    record: &SliceRecord,
    usage: Usage,
) -> Slice {
    let errors = record.errors.iter();
    Slice {
        variant: variant.id.clone(),
        kind: request.kind(),
        instance: request.instance,
        round: request.round,
        position: request.position,
        attempt: request.attempt,
        counts: true,
        disturbances: Vec::new(),
        start_unix_ns: start.as_nanos() as u64,
        // A closed loop has requests under way at its end, whose answers belong to its time.
        duration_ns: match request.kind() {
            SliceKind::Open => record.window_ns,
            SliceKind::Closed | SliceKind::Connect => record.wall_ns,
        },
        requests_asked: if request.kind() == SliceKind::Open { record.requests_asked } else { 0 },
        requests_sent: record.requests_sent,
        requests_answered: record.requests_answered,
        dropped: record.dropped,
        errors: errors.map(|(kind, count)| (kind.as_str().to_owned(), count)).collect(),
        bytes_sent: record.wire.sent,
        bytes_received: record.wire.received,
        connections_opened: record.connections.opened_in_slice,
        handshakes_full: record.connections.handshakes_full,
        handshakes_resumed: record.connections.handshakes_resumed,
        response: percentiles(&record.response),
        service: percentiles(&record.service),
        lateness: percentiles(&record.lateness),
        services: usage.services,
        generator_cpu_ns: record.generator_cpu_ns,
        busy_ns: usage.busy_ns,
        softirq_ns: usage.softirq_ns,
        steal_ns: usage.steal_ns,
        background_ns: usage.background_ns,
        throttled: usage.throttled,
        connect: percentiles(&record.connect),
        handshake: percentiles(&record.handshake),
        in_flight_growth_milli: (record.in_flight_growth() * 1000.0).round() as i64,
        in_flight_first_milli: record.in_flight[0].value().map(|mean| (mean * 1e3).round() as i64),
        sent_in_window: Some(record.sent_in_window),
        queue_high_water: Some(record.queue_high_water),
        retransmits: usage.retransmits,
        generator_share_milli: (record.generator_share() * 1000.0) as u32,
        server_handshakes: None,
        ran_on_generator_core: usage.ran_on_generator_core,
        closed_idle: record.connections.closed_idle,
        closed_unsolicited: record.connections.unsolicited,
        cpu_unknown: usage.cpu_unknown,
    }
}
