//! The bench that is real: servers started through a [`Stack`], traffic from a [`Generator`].
//!
//! Around every slice it does, outside of the measured time: refill the stock, open the
//! connections that are missing, read the servers' metrics, wait until everything is idle, read the
//! CPU accounting; then the slice; then the same backwards. It judges nothing.

mod shared;
mod site;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_export::prometheus::Scrape;
use metrics_export::run::{PairCpu, Slice, SliceBlocks, SliceKind};
use runtime::CpuClock;

use crate::experiment::proof::{self, Sent};
use crate::experiment::results::percentiles;
use crate::experiment::stack::Stack;
use crate::experiment::{
    Bench, Failure, InterleavedRequest, Measured, SliceLoad, SliceProof, SliceRequest,
};
use crate::machine::cpu::{MachineMeter, ServerMeter, ServerReading, Usage, settle};
use crate::plan::{Cores, PlannedCell, Protocol, Variant};
use crate::traffic::generator::{Generator, TargetId};
use crate::traffic::random::Random;
use crate::traffic::record::{BlockReading, SliceRecord};
use crate::traffic::schedule::blocks::Blocks;
use crate::traffic::slice::{Arrivals, GeneratorWait, LaneSpec, SliceSpec};
use crate::traffic::workload::Workload;

use shared::clocks;
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
    meter: ServerMeter,
    /// The clocks of its processes, all of them or none.
    clocks: Vec<CpuClock>,
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
        let meter = ServerMeter::new(site.processes(), &setup.cores.generator);
        let clocks = clocks(site.processes());
        Ok(AttachedVariant { site, meter, clocks, workload, requests, connecting, connects })
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

    fn interleaved(&mut self, request: &InterleavedRequest) -> Result<Vec<Measured>, Failure> {
        let requests = request.slices(self.setup.variants);
        let spec = self.spec(&requests[0]);
        let seed = self.seeds.next_u64();
        let InterleavedRequest { block, pairs, .. } = *request;
        let blocks = Blocks::with_shared_turns(&self.turns(&requests), block, pairs, seed);
        let measured = self.measure(&requests, &spec, &blocks);
        let good = |measured: &Vec<Measured>| measured.iter().all(|one| one.errors.is_empty());
        let failed = !measured.as_ref().is_ok_and(good);
        unless_fallen(measured, failed, || self.fallen())
    }

    /// Runs a slice. One in which a server ended is none, whoever's server it was.
    fn slice(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let measured = self.take(request);
        let failed = measured.as_ref().map_or(true, |measured| !measured.errors.is_empty());
        unless_fallen(measured, failed, || self.fallen())
    }

    fn inseparable(&self, cell: usize) -> Option<String> {
        self.one_figure(cell)
    }

    fn idle(&mut self, pause: Duration) -> Result<Vec<Option<u64>>, Failure> {
        let read = |running: &[AttachedVariant]| -> Result<Vec<ServerReading>, Failure> {
            running.iter().map(|running| running.meter.read().map_err(Failure::of)).collect()
        };
        let (began, before) = (Instant::now(), read(&self.running)?);
        while began.elapsed() < pause && !self.interrupted() {
            settle();
        }
        let after = read(&self.running)?;
        let seconds = began.elapsed().as_secs_f64();
        let used = |(place, running): (usize, &AttachedVariant)| {
            let used = running.meter.between(&before[place], &after[place]);
            let cpu_ns: u64 = used.services.iter().map(|service| service.cpu_ns).sum();
            used.cpu_unknown.is_none().then(|| (cpu_ns as f64 / seconds).round() as u64)
        };
        Ok(self.running.iter().enumerate().map(used).collect())
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
        let blocks = Blocks::whole(spec.duration);
        let measured = self.measure(std::slice::from_ref(request), &spec, &blocks)?;
        measured.into_iter().next().ok_or_else(|| Failure::new("a slice left no record"))
    }

    /// Runs one slice of these variants, and tells what it was for each of them.
    fn measure(
        &mut self,
        requests: &[SliceRequest],
        spec: &SliceSpec,
        blocks: &Blocks,
    ) -> Result<Vec<Measured>, Failure> {
        let (mut lanes, mut processes, mut pages) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            let running = &self.running[request.variant];
            let (target, workload) = running.asked(request.kind());
            running.site.refill(&workload.stock)?;
            // Connections that are the slice's own subject must not be opened ahead of it.
            if request.kind() != SliceKind::Connect {
                let prepared = self.setup.generator.prepare(target, spec);
                prepared.map_err(|error| self.about(request, error))?;
            }
            let (tokens, clocks) = (running.site.tokens(), running.clocks.clone());
            lanes.push(LaneSpec { target, tokens, clocks });
            processes.extend_from_slice(running.site.processes());
            pages.push(running.site.scrape()?);
        }
        let cores = self.setup.cores;
        let machine = MachineMeter::new(&processes, &cores.servers, &cores.generator);
        settle();
        let before = self.read_servers(requests)?;
        let machine_before = machine.read().map_err(Failure::of)?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let records = self.setup.generator.run_interleaved(&lanes, spec, blocks);
        let records = records.map_err(|error| self.about(&requests[0], error))?;
        if records.iter().any(|record| record.interrupted) {
            return Err(self.about(&requests[0], "the slice was interrupted"));
        }
        settle();
        let machine_after = machine.read().map_err(Failure::of)?;
        let after = self.read_servers(requests)?;
        let machine = machine.between(&machine_before, &machine_after);
        let mut measured = Vec::with_capacity(requests.len());
        for (place, record) in records.into_iter().enumerate() {
            let request = &requests[place];
            let meter = &self.running[request.variant].meter;
            let mut servers = meter.between(&before[place], &after[place]);
            if self.is_shared(request, requests) {
                servers.keep_own(&record.server_cpu_ns);
            }
            let usage = Usage { servers, machine: machine.clone() };
            let pages = std::mem::take(&mut pages[place]);
            measured.push(self.measured(request, start, record, usage, pages, (blocks, place))?);
        }
        Ok(measured)
    }

    /// An error of a slice with the name of its variant.
    fn about(&self, request: &SliceRequest, error: impl std::fmt::Display) -> Failure {
        Failure::new(format!("{}: {error}", self.setup.variants[request.variant].label))
    }

    fn read_servers(&self, requests: &[SliceRequest]) -> Result<Vec<ServerReading>, Failure> {
        let read = |request: &SliceRequest| {
            let reading = self.running[request.variant].meter.read();
            reading.map_err(|error| self.about(request, error))
        };
        requests.iter().map(read).collect()
    }

    /// One variant's part of a slice.
    fn measured(
        &mut self,
        request: &SliceRequest,
        start: Duration,
        record: SliceRecord,
        usage: Usage,
        pages: Vec<Scrape>,
        (blocks, place): (&Blocks, usize),
    ) -> Result<Measured, Failure> {
        let variant = &self.setup.variants[request.variant];
        let running = &self.running[request.variant];
        let pages = running.site.pages(pages)?;
        let (_, workload) = running.asked(request.kind());
        let path = running.site.path();
        let path = if workload.name == "ping" { &path[..path.len().min(1)] } else { path };
        let cell = &self.setup.cells[variant.cell];
        let sent = Sent { variant, cell, kind: request.kind(), record: &record, path };
        let proofs: Vec<SliceProof> = proof::proofs(&sent, &pages);
        self.generator_driver = record.driver.into();
        let memory_peak_bytes = usage.servers.memory_peak_bytes;
        let errors = record.errors.to_string();
        let slice_ns = usage.machine.wall_ns;
        let mut slice = row(variant, request, start, &record, usage);
        slice.server_handshakes = proof::server_handshakes(&sent, &pages);
        if blocks.count() > 1 {
            slice.duration_ns = record.window_ns;
            let block_ns = blocks.length(place).as_nanos() as u64;
            let answered_in_time = record.answered_in_window;
            let pairs = pairs(&record);
            let reading_ns = record.reading_ns;
            slice.blocks =
                Some(SliceBlocks { block_ns, slice_ns, answered_in_time, reading_ns, pairs });
        }
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

impl AttachedVariant {
    /// Whom a slice of this kind asks, and what.
    fn asked(&self, kind: SliceKind) -> (TargetId, &Workload) {
        match kind {
            SliceKind::Connect => (self.connects, &self.connecting),
            SliceKind::Open | SliceKind::Closed => (self.requests, &self.workload),
        }
    }
}

/// What the servers used in each pair of passes, between two readings; none where one is missing.
fn pairs(record: &SliceRecord) -> Vec<PairCpu> {
    let between = |pair: &[BlockReading]| {
        let cpu_ns = pair[1].cpu_ns?.checked_sub(pair[0].cpu_ns?)?;
        Some(PairCpu { cpu_ns, answered: pair[1].answered - pair[0].answered })
    };
    record.cpu_readings.windows(2).map(between).collect::<Option<_>>().unwrap_or_default()
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
        services: usage.servers.services,
        generator_cpu_ns: record.generator_cpu_ns,
        busy_ns: usage.machine.busy_ns,
        softirq_ns: usage.machine.softirq_ns,
        steal_ns: usage.machine.steal_ns,
        background_ns: usage.machine.background_ns,
        throttled: usage.machine.throttled,
        connect: percentiles(&record.connect),
        handshake: percentiles(&record.handshake),
        in_flight_growth_milli: (record.in_flight_growth() * 1000.0).round() as i64,
        in_flight_first_milli: record.in_flight[0].value().map(|mean| (mean * 1e3).round() as i64),
        sent_in_window: Some(record.sent_in_window),
        queue_high_water: Some(record.queue_high_water),
        retransmits: usage.machine.retransmits,
        generator_share_milli: (record.generator_share() * 1000.0) as u32,
        server_handshakes: None,
        ran_on_generator_core: usage.servers.ran_on_generator_core,
        closed_idle: record.connections.closed_idle,
        closed_unsolicited: record.connections.unsolicited,
        cpu_unknown: usage.servers.cpu_unknown,
        blocks: None,
    }
}
