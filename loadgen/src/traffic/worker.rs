//! One worker: a thread with an event loop of its own, and the connections it holds to every
//! attached target. It refuses to decide anything about a slice's traffic: that is
//! [`crate::traffic::drive`]'s. What it is told to do comes through [`crate::traffic::generator`].

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::generator::{DriverChoice, Event, EventLoop, Wait};

use crate::traffic::error::ContextError;
use crate::traffic::live::Live;
use crate::traffic::pool::{Attached, Opening, Owners, PlaceRef, PlaceState, Pool};
use crate::traffic::recorder::Recorder;
use crate::traffic::schedule::WorkerShare;
use crate::traffic::slice::{GeneratorError, SliceSpec, StopFlag};

/// Connections that one worker opens at the same time to get ready: more would overflow the
/// backlog of a usual server, and each lost SYN costs a second.
const OPENING_MAX: usize = 128;

/// How often a worker that gets ready looks whether it was told to stop.
const READY_LOOK: Duration = Duration::from_millis(100);

/// Why there is no connection to an address that says nothing.
const SILENT: &str = "it did not answer in time; check host and port, or raise --timeout";

/// What a worker is started with.
pub(crate) struct WorkerSetup {
    pub(crate) share: WorkerShare,
    pub(crate) driver: DriverChoice,
    pub(crate) stop: StopFlag,
    pub(crate) live: Arc<[Live]>,
}

/// One worker; it lives and dies on its own thread.
pub(crate) struct Worker {
    pub(crate) io: EventLoop,
    pub(crate) events: Vec<Event>,
    pub(crate) pools: Vec<Option<Pool>>,
    pub(crate) owners: Owners,
    /// Recorders that no slice uses: their memory is warm.
    pub(crate) recorders: Vec<Recorder>,
    pub(crate) setup: WorkerSetup,
    /// Connections opened so far: source addresses go round by it.
    pub(crate) opened: u32,
}

impl Worker {
    pub(crate) fn new(setup: WorkerSetup) -> Result<Worker, GeneratorError> {
        let io = EventLoop::new(setup.driver)
            .map_err(|error| GeneratorError::Start(ContextError::at("no event loop", error)))?;
        Ok(Worker {
            io,
            events: Vec::with_capacity(1024),
            pools: Vec::new(),
            owners: Owners::default(),
            recorders: Vec::new(),
            setup,
            opened: 0,
        })
    }

    /// What a progress bar sees of this worker.
    #[inline]
    pub(crate) fn live(&self) -> &Live {
        &self.setup.live[self.setup.share.index]
    }

    /// A recorder that is empty.
    pub(crate) fn spare_recorder(&mut self) -> Recorder {
        self.recorders.pop().unwrap_or_else(|| Recorder::new(self.io.driver().as_str()))
    }

    /// A target is known from now on, under this number.
    pub(crate) fn attach(&mut self, index: usize, attached: Arc<Attached>) {
        if self.pools.len() <= index {
            self.pools.resize_with(index + 1, || None);
        }
        self.pools[index] = Some(Pool::new(index as u32, attached));
    }

    /// Closes the target's connections and forgets it.
    pub(crate) fn detach(&mut self, index: usize) {
        if let Some(mut pool) = self.pools.get_mut(index).and_then(Option::take) {
            pool.resize(0, &mut self.io);
        }
    }

    /// Opens what is missing of the connections a slice will use: all of them where connections
    /// are kept, the first of them where they are used up, to learn whether anybody is there.
    pub(crate) fn prepare(&mut self, index: usize, spec: &SliceSpec) -> Result<(), GeneratorError> {
        let Some(pool) = self.pools.get_mut(index).and_then(Option::as_mut) else {
            return Err(GeneratorError::UnknownTarget);
        };
        let places = self.setup.share.of(spec.connections as u64).max(1) as usize;
        pool.resize(places, &mut self.io);
        let rotate = spec.requests_per_connection.is_some();
        let mut ready = Readiness::new(index, if rotate { 1 } else { places }, rotate);
        let until = Instant::now() + spec.timeout;
        // What was closed while nobody looked must not be taken for open.
        self.look(Instant::now(), &mut ready)?;
        loop {
            self.open_some(&mut ready, until);
            let now = Instant::now();
            if ready.opening == 0 || now >= until || self.setup.stop.is_stopped() {
                break;
            }
            self.look(until.min(ready.turn_ends).min(now + READY_LOOK), &mut ready)?;
            self.give_up_address(&mut ready);
        }
        self.conclude(&ready)
    }

    /// An address that swallows packets must not cost the others their turn.
    fn give_up_address(&mut self, ready: &mut Readiness) {
        let Some(pool) = &mut self.pools[ready.pool] else { return };
        if ready.idle > 0 || Instant::now() < ready.turn_ends || pool.addresses_left() == 0 {
            return;
        }
        for place in 0..pool.places.len() {
            let slot = &mut pool.places[place];
            if let (PlaceState::Opening { .. }, Some(token)) = (slot.stage, slot.token) {
                self.io.close(token);
                slot.vacate();
                ready.opening -= 1;
                ready.failed(pool, place, SILENT.into());
            }
        }
    }

    /// Opens connections in empty places, a bounded number at a time.
    fn open_some(&mut self, ready: &mut Readiness, until: Instant) {
        let Some(pool) = &mut self.pools[ready.pool] else {
            return;
        };
        while ready.next < ready.wanted {
            match pool.places[ready.next].stage {
                PlaceState::Empty => {}
                stage => {
                    ready.idle += usize::from(stage == PlaceState::Idle);
                    ready.next += 1;
                    continue;
                }
            }
            // The first connection finds out which address answers; the others follow it there.
            let room = if ready.idle == 0 { 1 } else { OPENING_MAX };
            if ready.opening >= room {
                return;
            }
            if ready.idle == 0 {
                // Each address gets an equal share of the time that is left.
                let now = Instant::now();
                let left = until.saturating_duration_since(now);
                ready.turn_ends = now + left / (pool.addresses_left() as u32 + 1);
            } else {
                ready.turn_ends = until;
            }
            let (rotate, nth) = (ready.rotate, self.opened);
            let opening = Opening { deadline_ns: 0, waiting: None, rotate, nth };
            self.opened = self.opened.wrapping_add(1);
            match pool.open(ready.next as u32, &mut self.io, &mut self.owners, opening) {
                Ok(()) => {
                    ready.opening += 1;
                    ready.next += 1;
                }
                Err(error) => ready.failed(pool, ready.next, error.to_string()),
            }
        }
    }

    /// Waits for events until then, and takes them in.
    fn look(&mut self, until: Instant, ready: &mut Readiness) -> Result<(), GeneratorError> {
        let mut events = std::mem::take(&mut self.events);
        let polled = self.io.poll(Wait::Sleep, Some(until), &mut events);
        for event in events.drain(..) {
            self.settle(event, ready);
        }
        self.events = events;
        polled.map_err(wait_refused)
    }

    fn settle(&mut self, event: Event, ready: &mut Readiness) {
        let (Event::Connected(token) | Event::Received(token) | Event::Closed(token, _)) = event;
        let owner = self.owners.of(token);
        let mine = owner.pool as usize == ready.pool;
        if !mine {
            return idle_event(&mut self.io, &mut self.pools, owner, &event);
        }
        let Some(pool) = self.pools.get_mut(ready.pool).and_then(Option::as_mut) else {
            return;
        };
        let Some(place) = pool.places.get_mut(owner.place as usize) else {
            return;
        };
        if place.token != Some(token) {
            return;
        }
        match event {
            Event::Connected(_) => {
                place.stage = PlaceState::Idle;
                place.fresh = true;
                ready.opening -= 1;
                ready.idle += 1;
            }
            Event::Closed(_, reason) if matches!(place.stage, PlaceState::Opening { .. }) => {
                place.vacate();
                ready.opening -= 1;
                ready.failed(pool, owner.place as usize, reason.to_string());
            }
            _ => idle_event(&mut self.io, &mut self.pools, owner, &event),
        }
    }

    /// Gives up what is still being opened. Some connections are enough to begin with; the missing
    /// ones are counted.
    fn conclude(&mut self, ready: &Readiness) -> Result<(), GeneratorError> {
        let Some(pool) = &mut self.pools[ready.pool] else {
            return Err(GeneratorError::UnknownTarget);
        };
        for place in &mut pool.places {
            if let (PlaceState::Opening { .. }, Some(token)) = (place.stage, place.token) {
                self.io.close(token);
                place.vacate();
                pool.prepare_failed += 1;
            }
        }
        // One that was closed again has answered all the same: what that means, its requests tell.
        if ready.idle > 0 {
            return Ok(());
        }
        let reason = ready.reason.clone().unwrap_or_else(|| SILENT.into());
        pool.prepare_failed = 0;
        Err(GeneratorError::Connect { target: pool.attached.target.name.clone(), reason })
    }
}

/// The kernel does not wait for events.
pub(crate) fn wait_refused(error: io::Error) -> GeneratorError {
    let step = "the kernel refused to wait for events";
    GeneratorError::Worker(ContextError::at(step, error))
}

/// Takes in what happened to a connection that nobody uses: if it is not sound it is closed.
pub(crate) fn idle_event(
    io: &mut EventLoop,
    pools: &mut [Option<Pool>],
    owner: PlaceRef,
    event: &Event,
) {
    let Some(pool) = pools.get_mut(owner.pool as usize).and_then(Option::as_mut) else {
        return;
    };
    let Some(place) = pool.places.get_mut(owner.place as usize) else {
        return;
    };
    match event {
        Event::Connected(_) => {}
        Event::Received(token) if place.token == Some(*token) => {
            io.close(*token);
            place.vacate();
        }
        Event::Closed(token, _) if place.token == Some(*token) => place.vacate(),
        Event::Received(_) | Event::Closed(..) => {}
    }
}

/// How far the connections of a slice are.
struct Readiness {
    pool: usize,
    wanted: usize,
    rotate: bool,
    /// The place that is looked at next.
    next: usize,
    opening: usize,
    idle: usize,
    /// When the address that is tried has had its share of the time.
    turn_ends: Instant,
    /// What the first failure was.
    reason: Option<String>,
}

impl Readiness {
    fn new(pool: usize, wanted: usize, rotate: bool) -> Readiness {
        let turn_ends = Instant::now();
        Readiness { pool, wanted, rotate, next: 0, opening: 0, idle: 0, turn_ends, reason: None }
    }

    /// The connection of a place could not be opened: while there is none yet, another address is
    /// tried for the same place; otherwise the place is left empty.
    fn failed(&mut self, pool: &mut Pool, place: usize, reason: String) {
        pool.prepare_failed += 1;
        self.reason.get_or_insert(reason);
        self.next = match self.idle {
            0 if pool.next_address() => place,
            0 => self.wanted,
            _ => self.next.max(place + 1),
        };
    }
}
