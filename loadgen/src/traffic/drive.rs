//! One slice on one worker: takes due requests up, puts them on connections, reads replies, and
//! counts. A slice has a lane for each target, and at any time one of them gets traffic. This is
//! the path whose cost and delay are charged to the generator, so it allocates nothing per request
//! and reads the clock only where a time is recorded. It refuses to outlive its slice: every
//! request ends as a reply, an error or a drop, within the time-out.
//!
//! ```text
//!            due              a connection is free              reply, error
//! schedule ───────▶ take up ───────────────────────▶ on a place ─────────────▶ recorded
//!                     │  none is free                    ▲
//!                     ├───────────────▶ queue ───────────┘ its place is free again
//!                     └─ queue is full ▶ dropped
//! ```
//! Free connections are used in turn, the longest idle first: all that were asked for carry
//! traffic, and none is left to run into the target's idle limit. One that the target closes is
//! opened again when a request needs it, or after a pause that doubles while that is in vain.

mod exchange;
mod lane;
mod send;
mod servers;
mod turns;
mod upkeep;

use std::io;
use std::time::{Duration, Instant};

use runtime::generator::{self, Event};

use crate::traffic::record::SliceRecord;
use crate::traffic::schedule::Schedule;
use crate::traffic::slice::{Arrivals, GeneratorWait, PlannedSlice, SliceSpec};
use crate::traffic::worker::{Worker, idle_event};

use exchange::LaneExchange;
use lane::Lane;
use servers::ServerClocks;
use turns::Turns;

/// How often deadlines are looked at, at most and at least; a time-out is exact to a sixteenth
/// between these.
const SWEEP_NS_MIN: u64 = 1_000_000;
const SWEEP_NS_MAX: u64 = 100_000_000;

/// One slice under way.
pub(crate) struct Drive<'w> {
    lanes: Vec<Lane>,
    shared: SliceState<'w>,
    turns: Turns<'w>,
    /// The lane of each pool that takes part.
    lane_of: Vec<Option<usize>>,
}

/// What all lanes of a slice have in common.
struct SliceState<'w> {
    worker: &'w mut Worker,
    spec: &'w SliceSpec,
    clock: Clock,
    flow: Flow,
    scratch: Vec<u8>,
    timeout_ns: u64,
    sweep_ns: u64,
    next_sweep_ns: u64,
    /// When the slice's time is over.
    window_ns: u64,
    /// When nothing is waited for any more.
    give_up_ns: u64,
    /// It was told to end before its time.
    stopped: bool,
}

/// Where requests come from.
enum Flow {
    Open(Schedule),
    Closed,
}

impl<'w> Drive<'w> {
    /// Gets ready to run a slice that begins at `epoch`. None if a target is unknown.
    pub(crate) fn new(
        worker: &'w mut Worker,
        plan: &'w PlannedSlice,
        epoch: Instant,
        unique: u64,
    ) -> Option<Drive<'w>> {
        let PlannedSlice { spec, lanes: planned, blocks } = plan;
        let known = |pool: usize| worker.pools.get(pool).is_some_and(Option::is_some);
        if !planned.iter().all(|lane| known(lane.target.0)) {
            return None;
        }
        let share = worker.setup.share;
        let mut lanes = Vec::with_capacity(planned.len());
        let mut lane_of = vec![None; worker.pools.len()];
        for own in planned {
            let pool = worker.pools[own.target.0].take()?;
            lane_of[own.target.0] = Some(lanes.len());
            // No two lanes of any worker make the same ids.
            let unique = unique.wrapping_add((lanes.len() * share.count) as u64);
            let recorder = worker.spare_recorder();
            lanes.push(Lane::new(pool, recorder, own, spec, share, unique));
        }
        let duration_ns = nanoseconds(blocks.duration());
        let timeout_ns = nanoseconds(spec.timeout);
        let (flow, window_ns) = match spec.arrivals {
            Arrivals::Open { rate, pattern } => {
                let (seed, most) = (spec.seed, spec.requests_max);
                let schedule = Schedule::new(pattern, rate, blocks.duration(), most, seed, share);
                let asked = most.map_or(f64::MAX, |most| most as f64 * 1e9 / rate.as_f64());
                (Flow::Open(schedule), duration_ns.min(asked as u64))
            }
            Arrivals::Closed => (Flow::Closed, duration_ns),
        };
        let shared = SliceState {
            flow,
            scratch: Vec::with_capacity(4096),
            timeout_ns,
            sweep_ns: (timeout_ns / 16).clamp(SWEEP_NS_MIN, SWEEP_NS_MAX),
            next_sweep_ns: 0,
            stopped: false,
            window_ns,
            give_up_ns: window_ns.saturating_add(timeout_ns),
            worker,
            spec,
            clock: Clock { epoch },
        };
        let turns = Turns::new(blocks, ServerClocks::of(planned, share.index == 0));
        Some(Drive { lanes, shared, turns, lane_of })
    }

    /// Runs the slice, and returns the record of each lane.
    pub(crate) fn run(mut self) -> io::Result<Vec<SliceRecord>> {
        self.count_prepared();
        self.wait_for_begin();
        let result = self.look().and_then(|()| self.begin()).and_then(|()| self.traffic());
        let wall_ns = self.shared.clock.now_ns();
        self.turns.end(&mut self.lanes, wall_ns);
        self.finish();
        let mut records = Vec::with_capacity(self.lanes.len());
        for mut lane in self.lanes {
            records.push(lane.recorder.take());
            let worker = &mut *self.shared.worker;
            worker.recorders.push(lane.recorder);
            let index = lane.pool.index as usize;
            worker.pools[index] = Some(lane.pool);
        }
        result.map(|()| records)
    }

    fn traffic(&mut self) -> io::Result<()> {
        let wait = loop_wait(self.shared.spec.wait);
        loop {
            let now_ns = self.shared.clock.now_ns();
            self.take_up_due(now_ns);
            if now_ns >= self.shared.next_sweep_ns {
                self.sweep(now_ns);
            }
            if self.is_over(now_ns)? {
                return Ok(());
            }
            self.poll(wait, self.shared.clock.at(self.wake_ns()))?;
        }
    }

    /// Waits for events until then, and takes them in.
    #[inline]
    fn poll(&mut self, wait: generator::Wait, until: Instant) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.shared.worker.events);
        let polled = self.shared.worker.io.poll(wait, Some(until), &mut events);
        // All of these bytes had arrived by now, whenever they are looked at below.
        let now_ns = self.shared.clock.now_ns();
        for event in events.drain(..) {
            self.event(event, now_ns);
        }
        self.shared.worker.events = events;
        polled
    }

    #[inline]
    fn event(&mut self, event: Event, now_ns: u64) {
        let Some(lane) = self.lane_of_event(&event) else { return };
        self.on(lane).event(event, now_ns);
        // The replies of a target that had stalled come all at once, and each may send a request
        // that waited: what becomes due meanwhile must not wait for the last of them.
        if matches!(self.shared.flow, Flow::Open(_)) {
            self.take_up_due(self.shared.clock.now_ns());
        }
    }

    /// The lane that an event is about. One of a target that takes no part is taken in here.
    #[inline]
    fn lane_of_event(&mut self, event: &Event) -> Option<usize> {
        let (Event::Connected(token) | Event::Received(token) | Event::Closed(token, _)) = *event;
        let Worker { io, pools, owners, .. } = &mut *self.shared.worker;
        let owner = owners.of(token);
        let lane = self.lane_of.get(owner.pool as usize).copied().flatten();
        if lane.is_none() {
            idle_event(io, pools, owner, event);
        }
        lane
    }

    /// A lane, to work on its connections.
    #[inline]
    fn on(&mut self, lane: usize) -> LaneExchange<'_, 'w> {
        LaneExchange { lane: &mut self.lanes[lane], shared: &mut self.shared }
    }

    /// When there is something to do even if no event comes.
    fn wake_ns(&self) -> u64 {
        let due_ns = match &self.shared.flow {
            Flow::Open(schedule) => schedule.peek().unwrap_or(u64::MAX),
            Flow::Closed => u64::MAX,
        };
        due_ns.min(self.shared.next_sweep_ns)
    }

    #[inline]
    fn take_up_due(&mut self, now_ns: u64) {
        let mut now_ns = now_ns;
        while let Flow::Open(schedule) = &mut self.shared.flow
            && let Some(intended_ns) = schedule.take_due(now_ns)
        {
            let next_ns = schedule.peek();
            self.on(self.turns.lane()).due(intended_ns, now_ns);
            // The next turn begins as soon as nothing is due before it, so that what is done
            // between two turns makes no request late.
            if let Some(next_ns) = next_ns.filter(|next_ns| self.turns.is_over(*next_ns)) {
                self.turns.follow(&mut self.lanes, next_ns, now_ns);
            }
            now_ns = self.shared.clock.now_ns();
        }
    }
}

impl SliceState<'_> {
    /// Whether connections are opened before a request needs them.
    fn opens_ahead(&self) -> bool {
        let more = matches!(&self.flow, Flow::Open(schedule) if schedule.left() > 0);
        more && self.spec.requests_per_connection.is_none()
    }
}

/// Time since the slice began.
#[derive(Clone, Copy)]
struct Clock {
    epoch: Instant,
}

impl Clock {
    #[inline]
    fn now_ns(self) -> u64 {
        nanoseconds(Instant::now().saturating_duration_since(self.epoch))
    }

    #[inline]
    fn at(self, ns: u64) -> Instant {
        self.epoch + Duration::from_nanos(ns)
    }
}

#[inline]
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn loop_wait(wait: GeneratorWait) -> generator::Wait {
    match wait {
        GeneratorWait::Spin => generator::Wait::Spin,
        GeneratorWait::Sleep => generator::Wait::Sleep,
    }
}
