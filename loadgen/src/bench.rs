//! The bench that is real: servers started through a [`Stack`], traffic from a [`Generator`].
//!
//! Around every slice it does, outside of the measured time: refill the stock, open the
//! connections that are missing, read the servers' metrics, let everything fall asleep, read the
//! CPU books; then the slice; then the same backwards. It judges nothing.

mod shop;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_export::run::{Slice, SliceKind};

use crate::cpu::{Meter, Usage};
use crate::experiment::{Bench, Check, Failure, Measured, Order, Times};
use crate::generator::{Generator, TargetId};
use crate::plan::{Cores, Protocol, Variant};
use crate::proof::{self, Sent};
use crate::random::Random;
use crate::record::SliceRecord;
use crate::results::percentiles;
use crate::schedule::Rate;
use crate::slice::{Arrivals, SliceSpec, Wait};
use crate::stack::Stack;
use crate::tokens::Tokens;
use crate::workload::Workload;

use shop::Shop;

/// How long everything is left alone before the CPU books are read: the figure of a thread that
/// still runs is behind by up to a tick, which is 10 ms where the kernel ticks slowest.
const SETTLE: Duration = Duration::from_millis(10);

/// Connections that are opened at one time where each request has its own.
const CONNECTING_AT_ONCE: usize = 8;

/// What a live bench needs.
pub struct Setup<'a> {
    /// Starts servers.
    pub stack: &'a mut dyn Stack,
    /// Makes traffic.
    pub generator: Generator,
    /// What is compared.
    pub variants: &'a [Variant],
    /// How.
    pub protocol: &'a Protocol,
    /// The requests of open and closed loops.
    pub workload: &'a Workload,
    /// Where.
    pub cores: &'a Cores,
    /// Whether an end was asked for.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// Real servers and a real generator.
pub struct LiveBench<'a> {
    setup: Setup<'a>,
    running: Vec<Running>,
    seeds: Random,
    /// The drivers that the servers named.
    pub server_drivers: BTreeSet<String>,
    /// The driver of the generator.
    pub client_driver: String,
}

/// One variant's servers, attached to the generator.
struct Running {
    shop: Shop,
    meter: Meter,
    requests: TargetId,
    pings: TargetId,
    tokens: Tokens,
}

impl<'a> LiveBench<'a> {
    /// A bench without servers yet.
    #[must_use]
    pub fn new(setup: Setup<'a>) -> LiveBench<'a> {
        LiveBench {
            seeds: Random::stream(setup.protocol.seed, u64::MAX),
            setup,
            running: Vec::new(),
            server_drivers: BTreeSet::new(),
            client_driver: String::new(),
        }
    }

    fn start(&mut self, variant: &Variant, instance: u32) -> Result<Running, Failure> {
        let setup = &mut self.setup;
        let started = setup.stack.start(variant, instance).map_err(|error| {
            Failure(format!("the servers of {} could not be started: {error}", variant.label))
        })?;
        let shop = Shop::open(variant, started)?;
        self.server_drivers.extend(shop.drivers()?);
        let refused = |error| Failure(format!("{}: {error}", variant.label));
        let mut attach =
            |workload: &Workload| setup.generator.attach(shop.target(), workload).map_err(refused);
        let requests = attach(setup.workload)?;
        let pings = attach(&Workload::ping())?;
        let cores = setup.cores;
        Ok(Running {
            meter: Meter::new(shop.processes(), &cores.servers, &cores.generator),
            tokens: Tokens::pool(shop.tokens().iter().map(|token| token.as_str().into())),
            shop,
            requests,
            pings,
        })
    }

    fn spec(&mut self, order: &Order) -> Result<SliceSpec, Failure> {
        let protocol = self.setup.protocol;
        let arrivals = match order.kind {
            SliceKind::Open => {
                let rate = Rate::per_second(order.rate_per_s).ok_or_else(|| {
                    Failure(format!("{} requests per second cannot be sent", order.rate_per_s))
                })?;
                Arrivals::Open { rate, pattern: protocol.pattern }
            }
            SliceKind::Closed | SliceKind::Connect => Arrivals::Closed,
        };
        let (connections, duration) = match order.kind {
            SliceKind::Open => (protocol.connections, protocol.slice),
            SliceKind::Closed if order.warmup => (protocol.connections, protocol.warmup),
            SliceKind::Closed => (protocol.connections, protocol.closed_slice),
            SliceKind::Connect => (CONNECTING_AT_ONCE, protocol.handshake_slice),
        };
        let each = (order.kind == SliceKind::Connect).then_some(NonZeroU32::MIN);
        Ok(SliceSpec {
            requests_per_connection: each,
            wait: Wait::Spin,
            seed: self.seeds.next_u64(),
            tokens: self.running[order.variant].tokens.clone(),
            ..SliceSpec::new(arrivals, connections, duration)
        })
    }
}

impl Bench for LiveBench<'_> {
    fn restart(&mut self, instance: u32) -> Result<(), Failure> {
        for running in self.running.drain(..) {
            self.setup.generator.detach(running.requests);
            self.setup.generator.detach(running.pings);
        }
        for variant in self.setup.variants {
            let running = self.start(variant, instance)?;
            self.running.push(running);
        }
        Ok(())
    }

    fn slice(&mut self, order: &Order) -> Result<Measured, Failure> {
        let spec = self.spec(order)?;
        let variant = &self.setup.variants[order.variant];
        let running = &self.running[order.variant];
        let connecting = order.kind == SliceKind::Connect;
        let (target, workload) = if connecting {
            (running.pings, "ping")
        } else {
            (running.requests, self.setup.workload.name.as_str())
        };
        if !connecting {
            running.shop.refill(&self.setup.workload.stock)?;
        }
        let generator = &mut self.setup.generator;
        let failed = |error| Failure(format!("{}: {error}", variant.label));
        // Connections that are the slice's own subject must not be opened ahead of it.
        if !connecting {
            generator.prepare(target, &spec).map_err(failed)?;
        }
        let pages_before = running.shop.scrape()?;
        thread::sleep(SETTLE);
        let unread = |error| Failure(format!("{}: {error}", variant.label));
        let before = running.meter.read().map_err(unread)?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = generator.run_slice(target, &spec).map_err(failed)?;
        thread::sleep(SETTLE);
        let after = running.meter.read().map_err(unread)?;
        let usage = running.meter.between(&before, &after);
        let pages = running.shop.pages(pages_before)?;

        let path = running.shop.path(workload);
        let sent = Sent { variant, kind: order.kind, record: &record, path: &path };
        let checks: Vec<Check> = proof::checks(&sent, &pages);
        self.client_driver = record.driver.into();
        Ok(Measured {
            slice: row(variant, order, start, &record, usage),
            times: Times {
                response: record.response,
                service: record.service,
                lateness: record.lateness,
            },
            checks,
        })
    }

    fn interrupted(&self) -> bool {
        (self.setup.interrupted)()
    }
}

fn row(
    variant: &Variant,
    order: &Order,
    start: Duration,
    record: &SliceRecord,
    usage: Usage,
) -> Slice {
    let errors = record.errors.iter();
    Slice {
        variant: variant.id.clone(),
        kind: order.kind,
        instance: order.instance,
        round: order.round,
        position: order.position,
        attempt: order.attempt,
        counts: true,
        disturbances: Vec::new(),
        start_unix_ns: start.as_nanos() as u64,
        // A closed loop has requests under way at its end, whose answers belong to its time.
        duration_ns: match order.kind {
            SliceKind::Open => record.window_ns,
            SliceKind::Closed | SliceKind::Connect => record.wall_ns,
        },
        requests_asked: if order.kind == SliceKind::Open { record.intended } else { 0 },
        requests_sent: record.sent,
        requests_answered: record.ok,
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
        client_cpu_ns: record.generator_cpu_ns,
        busy_ns: usage.busy_ns,
        softirq_ns: usage.softirq_ns,
        steal_ns: usage.steal_ns,
        foreign_ns: usage.foreign_ns,
        throttled: usage.throttled,
    }
}
