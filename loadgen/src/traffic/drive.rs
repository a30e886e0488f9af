//! One slice on one worker: takes due requests up, puts them on connections, reads replies, and
//! counts. This is the path whose cost and delay are charged to the generator, so it allocates
//! nothing per request and reads the clock only where a time is recorded. It refuses to outlive
//! its slice: every request ends as a reply, an error or a drop, within the time-out.
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
mod upkeep;

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::generator::{self, Token};

use crate::traffic::pool::{Attached, PlaceState, Pool};
use crate::traffic::schedule::Schedule;
use crate::traffic::slice::{Arrivals, GeneratorWait, SliceSpec};
use crate::traffic::template::Filling;
use crate::traffic::tokens::TokenView;
use crate::traffic::worker::Worker;

/// How often deadlines are looked at, at most and at least; a time-out is exact to a sixteenth
/// between these.
const SWEEP_NS_MIN: u64 = 1_000_000;
const SWEEP_NS_MAX: u64 = 100_000_000;

/// One slice under way.
pub(crate) struct Drive<'w> {
    worker: &'w mut Worker,
    spec: &'w SliceSpec,
    pool: Pool,
    attached: Arc<Attached>,
    clock: Clock,
    flow: Flow,
    /// Places that wait for a request, the longest waiting first.
    free: VecDeque<u32>,
    /// Places whose idle connection was lost: used where none is free, or opened after a rest.
    vacant: VecDeque<u32>,
    /// Intended times of requests that wait for a place, the oldest first.
    queue: VecDeque<u64>,
    queue_room: usize,
    /// Requests that have a place: sent, or waiting for its connection.
    outstanding: u64,
    tokens: TokenView,
    filling: Filling,
    /// Where nothing varies: the request, and the same with `Connection: close`.
    rendered: Option<[Vec<u8>; 2]>,
    scratch: Vec<u8>,
    per_connection: Option<NonZeroU32>,
    timeout_ns: u64,
    sweep_ns: u64,
    next_sweep_ns: u64,
    /// When the slice's time is over.
    window_ns: u64,
    /// When nothing is waited for any more.
    give_up_ns: u64,
    /// Errors that a progress bar was told of.
    errors_told: u64,
}

/// Where requests come from.
enum Flow {
    Open(Schedule),
    /// So many may still be begun.
    Closed(u64),
}

impl<'w> Drive<'w> {
    /// Gets ready to run a slice that begins at `epoch`. None if the target is unknown.
    pub(crate) fn new(
        worker: &'w mut Worker,
        index: usize,
        spec: &'w SliceSpec,
        epoch: Instant,
        unique: u64,
    ) -> Option<Drive<'w>> {
        let pool = worker.pools.get_mut(index)?.take()?;
        let share = worker.setup.share;
        let duration_ns = nanoseconds(spec.duration);
        let timeout_ns = nanoseconds(spec.timeout);
        let (flow, window_ns) = match spec.arrivals {
            Arrivals::Open { rate, pattern } => {
                let (seed, most) = (spec.seed, spec.requests_max);
                let schedule = Schedule::new(pattern, rate, spec.duration, most, seed, share);
                let asked = most.map_or(f64::MAX, |most| most as f64 * 1e9 / rate.as_f64());
                (Flow::Open(schedule), duration_ns.min(asked as u64))
            }
            Arrivals::Closed => {
                (Flow::Closed(spec.requests_max.map_or(u64::MAX, |n| share.of(n))), duration_ns)
            }
        };
        let queue_room = spec.queue_room(share.count);
        let part = share.index as u64;
        Some(Drive {
            attached: Arc::clone(&pool.attached),
            free: VecDeque::with_capacity(pool.places.len()),
            vacant: VecDeque::new(),
            queue: VecDeque::with_capacity(queue_room),
            queue_room,
            outstanding: 0,
            tokens: TokenView::new(&spec.tokens, share),
            filling: Filling::new(unique.wrapping_add(part), spec.seed.wrapping_add(part)),
            rendered: None,
            scratch: Vec::with_capacity(4096),
            per_connection: spec.requests_per_connection,
            timeout_ns,
            sweep_ns: (timeout_ns / 16).clamp(SWEEP_NS_MIN, SWEEP_NS_MAX),
            next_sweep_ns: 0,
            window_ns,
            give_up_ns: window_ns.saturating_add(timeout_ns),
            errors_told: 0,
            worker,
            spec,
            pool,
            clock: Clock { epoch },
            flow,
        })
    }

    /// Runs the slice; its record is then in the worker's recorder.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.render();
        self.count_prepared();
        let cpu_ns = self.wait_for_begin();
        let result = self.look().and_then(|()| self.begin()).and_then(|()| self.traffic());
        self.worker.recorder.slice.wall_ns = self.clock.now_ns();
        self.worker.recorder.slice.generator_cpu_ns =
            upkeep::thread_cpu_ns().saturating_sub(cpu_ns);
        self.finish();
        let index = self.pool.index as usize;
        self.worker.pools[index] = Some(self.pool);
        result
    }

    fn traffic(&mut self) -> io::Result<()> {
        let wait = loop_wait(self.spec.wait);
        loop {
            let now_ns = self.clock.now_ns();
            self.take_up_due(now_ns);
            if now_ns >= self.next_sweep_ns {
                self.sweep(now_ns);
            }
            if self.is_over(now_ns) {
                return Ok(());
            }
            self.poll(wait, self.clock.at(self.wake_ns()))?;
        }
    }

    /// Waits for events until then, and takes them in.
    #[inline]
    fn poll(&mut self, wait: generator::Wait, until: Instant) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.worker.events);
        let polled = self.worker.io.poll(wait, Some(until), &mut events);
        // All of these bytes had arrived by now, whenever they are looked at below.
        let now_ns = self.clock.now_ns();
        for event in events.drain(..) {
            self.event(event, now_ns);
        }
        self.worker.events = events;
        polled
    }

    /// When there is something to do even if no event comes.
    fn wake_ns(&self) -> u64 {
        let due_ns = match &self.flow {
            Flow::Open(schedule) => schedule.peek().unwrap_or(u64::MAX),
            Flow::Closed(_) => u64::MAX,
        };
        due_ns.min(self.next_sweep_ns)
    }

    /// Whether requests may still be begun.
    fn accepting(&self, now_ns: u64) -> bool {
        match &self.flow {
            Flow::Open(schedule) => schedule.left() > 0,
            Flow::Closed(left) => *left > 0 && now_ns < self.window_ns,
        }
    }

    fn is_over(&self, now_ns: u64) -> bool {
        if self.accepting(now_ns) {
            return false;
        }
        self.outstanding == 0 && self.queue.is_empty() || now_ns >= self.give_up_ns
    }

    #[inline]
    fn take_up_due(&mut self, now_ns: u64) {
        let mut now_ns = now_ns;
        while let Flow::Open(schedule) = &mut self.flow
            && let Some(intended_ns) = schedule.take_due(now_ns)
        {
            self.due(intended_ns, now_ns);
            now_ns = self.clock.now_ns();
        }
    }

    /// A request of the open loop is taken up.
    #[inline]
    fn due(&mut self, intended_ns: u64, now_ns: u64) {
        let unanswered = self.outstanding + self.queue.len() as u64;
        let slice = &mut self.worker.recorder.slice;
        slice.requests_asked += 1;
        let quarter = (intended_ns * 4 / self.window_ns.max(1)).min(3) as usize;
        slice.in_flight[quarter].add(unanswered);
        self.worker.recorder.late(now_ns - intended_ns);
        if let Some(place) = self.free.pop_front().or_else(|| self.vacant.pop_front()) {
            self.start(place, Some(intended_ns));
        } else if self.queue.len() < self.queue_room {
            self.queue.push_back(intended_ns);
            let waiting = self.queue.len() as u64;
            let slice = &mut self.worker.recorder.slice;
            slice.queue_high_water = slice.queue_high_water.max(waiting);
        } else {
            self.worker.recorder.slice.dropped += 1;
        }
    }

    /// A place is free: gives it its next request, if there is one.
    #[inline]
    fn turn(&mut self, place: u32, now_ns: u64) {
        match &mut self.flow {
            Flow::Open(_) => match self.queue.pop_front() {
                Some(intended_ns) => self.start(place, Some(intended_ns)),
                None => self.free_up(place),
            },
            Flow::Closed(left) => {
                if *left > 0 && now_ns < self.window_ns {
                    *left -= 1;
                    self.worker.recorder.slice.requests_asked += 1;
                    self.start(place, None);
                }
            }
        }
    }

    /// Puts a place where due requests find it. One whose connection ended in order gets a new one
    /// first, unless connections are opened when they are needed; one that lost it rests.
    fn free_up(&mut self, place: u32) {
        let slot = &self.pool.places[place as usize];
        if slot.stage == PlaceState::Idle || self.per_connection.is_some() {
            self.free.push_back(place);
        } else if !self.opens_ahead() {
            // No request is to come.
        } else if slot.losses == 0 {
            self.open(place, None);
        } else {
            self.vacant.push_back(place);
            self.rest(place);
        }
    }

    /// Whether connections are opened before a request needs them.
    fn opens_ahead(&self) -> bool {
        let more = matches!(&self.flow, Flow::Open(schedule) if schedule.left() > 0);
        more && self.per_connection.is_none()
    }

    /// Gives a request its place. Without an intended time it is meant to be sent when it is.
    #[inline]
    fn start(&mut self, place: u32, intended_ns: Option<u64>) {
        self.outstanding += 1;
        match self.pool.places[place as usize].token {
            Some(token) => self.send(place, token, intended_ns),
            None => {
                let intended_ns = intended_ns.unwrap_or_else(|| self.clock.now_ns());
                self.open(place, Some(intended_ns));
            }
        }
    }

    #[inline]
    fn send(&mut self, place: u32, token: Token, intended_ns: Option<u64>) {
        let slot = &mut self.pool.places[place as usize];
        let last = self.per_connection.is_some_and(|most| slot.used + 1 >= most.get());
        let bytes: &[u8] = match &self.rendered {
            Some(rendered) => &rendered[usize::from(last)],
            None => {
                self.scratch.clear();
                let token = self.tokens.next();
                self.attached.template.render(&mut self.scratch, token, last, &mut self.filling);
                &self.scratch
            }
        };
        let sent_ns = self.clock.now_ns();
        let intended_ns = intended_ns.unwrap_or(sent_ns);
        if !self.worker.io.send(token, bytes) {
            // The connection was lost before the request was on it: another one takes it.
            return self.send_elsewhere(place, intended_ns, sent_ns);
        }
        slot.used += 1;
        slot.stage = PlaceState::Busy;
        slot.session.sent(self.attached.template.method, intended_ns, sent_ns);
        let slice = &mut self.worker.recorder.slice;
        slice.requests_sent += 1;
        slice.sent_in_window += u64::from(sent_ns <= self.window_ns);
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
