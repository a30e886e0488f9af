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
//! traffic, and none is left to run into the target's idle limit.

use std::{
    collections::VecDeque,
    fs, io,
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use runtime::generator::{self, CloseReason, Event, Token};

use crate::{
    check::ErrorKind,
    pool::{Attached, Opening, Pool, Stage, lost_error, open_error},
    schedule::Schedule,
    session::Progress,
    slice::{Arrivals, SliceSpec, Wait},
    template::Filling,
    tokens::View,
    worker::{Worker, idle_event},
};

/// How often deadlines are looked at, at most and at least; a time-out is exact to a sixteenth
/// between these.
const SWEEP_NS_MIN: u64 = 1_000_000;
const SWEEP_NS_MAX: u64 = 100_000_000;

/// How long a place rests whose connection could not be opened, so that a target that refuses is
/// not hammered.
const REST_NS: u64 = 10_000_000;

/// The longest wait for replies once the slice was told to stop.
const STOP_WAIT: Duration = Duration::from_secs(1);

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
    /// Intended times of requests that wait for a place, the oldest first.
    queue: VecDeque<u64>,
    queue_room: usize,
    /// Places that get a new connection at the next sweep.
    resting: Vec<u32>,
    /// Requests that have a place: sent, or waiting for its connection.
    outstanding: u64,
    tokens: View,
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
    live: (u64, u64),
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
            Arrivals::Closed => (
                Flow::Closed(spec.requests_max.map_or(u64::MAX, |n| share.of(n))),
                duration_ns,
            ),
        };
        let queue_room = spec.queue_room(share.count);
        let part = share.index as u64;
        Some(Drive {
            attached: Arc::clone(&pool.attached),
            free: VecDeque::with_capacity(pool.places.len()),
            queue: VecDeque::with_capacity(queue_room),
            queue_room,
            resting: Vec::with_capacity(pool.places.len()),
            outstanding: 0,
            tokens: View::new(&spec.tokens, share),
            filling: Filling::new(unique.wrapping_add(part), spec.seed.wrapping_add(part)),
            rendered: None,
            scratch: Vec::with_capacity(4096),
            per_connection: spec.requests_per_connection,
            timeout_ns,
            sweep_ns: (timeout_ns / 16).clamp(SWEEP_NS_MIN, SWEEP_NS_MAX),
            next_sweep_ns: 0,
            window_ns,
            give_up_ns: window_ns.saturating_add(timeout_ns),
            live: (0, 0),
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
        self.begin();
        let result = self.traffic();
        self.worker.recorder.slice.wall_ns = self.clock.now_ns();
        self.worker.recorder.slice.generator_cpu_ns = thread_cpu_ns().saturating_sub(cpu_ns);
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
            let until = self.clock.at(self.wake_ns());
            let mut events = std::mem::take(&mut self.worker.events);
            let polled = self.worker.io.poll(wait, Some(until), &mut events);
            // All of these bytes had arrived by now, whenever they are looked at below.
            let now_ns = self.clock.now_ns();
            for event in events.drain(..) {
                self.event(event, now_ns);
            }
            self.worker.events = events;
            polled?;
        }
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
        slice.intended += 1;
        let quarter = (intended_ns * 4 / self.window_ns.max(1)).min(3) as usize;
        slice.in_flight[quarter].add(unanswered);
        self.worker.recorder.late(now_ns - intended_ns);
        if let Some(place) = self.free.pop_front() {
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
                    self.worker.recorder.slice.intended += 1;
                    self.start(place, None);
                }
            }
        }
    }

    /// Puts a place where due requests find it. One that lost its connection gets a new one first,
    /// unless connections are opened when they are needed.
    fn free_up(&mut self, place: u32) {
        let idle = self.pool.places[place as usize].stage == Stage::Idle;
        if idle || self.per_connection.is_some() {
            self.free.push_back(place);
        } else if matches!(&self.flow, Flow::Open(schedule) if schedule.left() > 0) {
            self.open(place, None);
        }
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
        let last = self
            .per_connection
            .is_some_and(|most| slot.used + 1 >= most.get());
        let bytes: &[u8] = match &self.rendered {
            Some(rendered) => &rendered[usize::from(last)],
            None => {
                self.scratch.clear();
                let token = self.tokens.next();
                self.attached
                    .template
                    .render(&mut self.scratch, token, last, &mut self.filling);
                &self.scratch
            }
        };
        let sent_ns = self.clock.now_ns();
        let intended_ns = intended_ns.unwrap_or(sent_ns);
        if !self.worker.io.send(token, bytes) {
            // The connection was lost before the request was on it: another one takes it.
            self.drop_connection(place);
            self.open(place, Some(intended_ns));
            return;
        }
        slot.used += 1;
        slot.stage = Stage::Busy;
        slot.session
            .sent(self.attached.template.method, intended_ns, sent_ns);
        let slice = &mut self.worker.recorder.slice;
        slice.sent += 1;
        slice.sent_in_window += u64::from(sent_ns <= self.window_ns);
    }

    /// Opens a connection, for the request with that intended time if one waits for it; then the
    /// request is counted as outstanding already.
    fn open(&mut self, place: u32, waiting: Option<u64>) {
        let opening = Opening {
            deadline_ns: self.clock.now_ns().saturating_add(self.timeout_ns),
            waiting,
            rotate: self.per_connection.is_some(),
            nth: self.worker.opened,
        };
        self.worker.opened = self.worker.opened.wrapping_add(1);
        let Worker { io, owners, .. } = &mut *self.worker;
        if let Err(error) = self.pool.open(place, io, owners, opening) {
            self.not_opened(place, waiting, ErrorKind::Connect, || error.to_string());
        }
    }

    fn not_opened(
        &mut self,
        place: u32,
        waiting: Option<u64>,
        kind: ErrorKind,
        sentence: impl FnOnce() -> String,
    ) {
        let slice = &mut self.worker.recorder.slice;
        slice.connections.failed += 1;
        let kind = if waiting.is_some() {
            kind
        } else {
            ErrorKind::Reconnect
        };
        slice.errors.add(kind, sentence);
        self.outstanding -= u64::from(waiting.is_some());
        self.drop_connection(place);
        self.resting.push(place);
        self.next_sweep_ns = self.next_sweep_ns.min(self.clock.now_ns() + REST_NS);
    }

    #[inline]
    fn event(&mut self, event: Event, now_ns: u64) {
        let (Event::Connected(token) | Event::Received(token) | Event::Closed(token, _)) = event;
        let owner = self.worker.owners.of(token);
        if owner.pool != self.pool.index {
            let Worker { io, pools, .. } = &mut *self.worker;
            return idle_event(io, pools, owner, &event);
        }
        let place = owner.place;
        if self
            .pool
            .places
            .get(place as usize)
            .and_then(|slot| slot.token)
            != Some(token)
        {
            return;
        }
        match event {
            Event::Received(_) => self.received(place, token, now_ns),
            Event::Connected(_) => self.connected(place, token, now_ns),
            Event::Closed(_, reason) => self.closed(place, &reason, now_ns),
        }
        // Handling an event may have taken long enough for another request to be due.
        if let Flow::Open(schedule) = &self.flow
            && schedule.peek().is_some_and(|due_ns| due_ns <= now_ns)
        {
            self.take_up_due(now_ns);
        }
    }

    #[inline]
    fn received(&mut self, place: u32, token: Token, now_ns: u64) {
        let slot = &mut self.pool.places[place as usize];
        let input = self.worker.io.received(token);
        match slot.session.received(input, &self.attached.template.expect) {
            Ok((spent, progress)) => {
                self.worker.io.consume(token, spent);
                if let Some(progress) = progress {
                    self.replied(place, progress, now_ns);
                }
            }
            Err(fault) if slot.stage == Stage::Busy => {
                self.fail(place, fault.kind(), || fault.sentence().to_owned(), now_ns);
            }
            Err(_) => self.idle_lost(place),
        }
    }

    #[inline]
    fn replied(&mut self, place: u32, progress: Progress, now_ns: u64) {
        let slot = &mut self.pool.places[place as usize];
        let times = slot.session.times(now_ns);
        let in_window = now_ns <= self.window_ns;
        self.worker
            .recorder
            .reply(progress.status, progress.verdict, times, in_window);
        self.outstanding -= 1;
        let used_up = self
            .per_connection
            .is_some_and(|most| slot.used >= most.get());
        if progress.reusable && !used_up {
            slot.stage = Stage::Idle;
        } else {
            self.drop_connection(place);
        }
        self.turn(place, now_ns);
    }

    fn connected(&mut self, place: u32, token: Token, now_ns: u64) {
        let slot = &mut self.pool.places[place as usize];
        let Stage::Opening { waiting, .. } = slot.stage else {
            return;
        };
        slot.stage = Stage::Idle;
        let counters = self.worker.io.counters(token);
        let facts = self.worker.io.facts(token);
        let recorder = &mut self.worker.recorder;
        recorder.opened(&counters, facts.as_ref());
        recorder.slice.connections.opened_in_slice += 1;
        recorder.used(facts.as_ref());
        match waiting {
            Some(intended_ns) => self.send(place, token, Some(intended_ns)),
            None => self.turn(place, now_ns),
        }
    }

    fn closed(&mut self, place: u32, reason: &CloseReason, now_ns: u64) {
        let slot = &mut self.pool.places[place as usize];
        match slot.stage {
            Stage::Empty => {}
            Stage::Opening { waiting, .. } => {
                self.not_opened(place, waiting, open_error(reason), || reason.to_string());
            }
            Stage::Idle => self.idle_lost(place),
            Stage::Busy => {
                self.worker.recorder.slice.connections.closed_by_target += 1;
                let ended = match reason {
                    CloseReason::Eof => slot.session.ended(&self.attached.template.expect),
                    _ => Ok(None),
                };
                match ended {
                    Ok(Some(progress)) => self.replied(place, progress, now_ns),
                    _ => self.fail(place, lost_error(reason), || reason.to_string(), now_ns),
                }
            }
        }
    }

    /// A connection that nobody used is gone.
    fn idle_lost(&mut self, place: u32) {
        self.worker.recorder.slice.connections.closed_by_target += 1;
        self.drop_connection(place);
        self.free.retain(|free| *free != place);
        self.free_up(place);
    }

    /// The request on a busy place has no good reply, and its connection is of no use any more.
    fn fail(
        &mut self,
        place: u32,
        kind: ErrorKind,
        sentence: impl FnOnce() -> String,
        now_ns: u64,
    ) {
        self.worker.recorder.slice.errors.add(kind, sentence);
        self.outstanding -= 1;
        self.drop_connection(place);
        self.turn(place, now_ns);
    }

    /// Closes a place's connection, if it has one, and counts its bytes.
    fn drop_connection(&mut self, place: u32) {
        self.count_bytes(place as usize);
        let slot = &mut self.pool.places[place as usize];
        if let Some(token) = slot.token {
            self.worker.io.close(token);
        }
        slot.vacate();
    }

    fn count_bytes(&mut self, place: usize) {
        let slot = &mut self.pool.places[place];
        if let Some(token) = slot.token {
            let fresh = slot.fresh_bytes(&self.worker.io.counters(token));
            let wire = &mut self.worker.recorder.slice.wire;
            wire.sent += fresh.sent;
            wire.received += fresh.received;
        }
    }

    /// Looks at everything that has a deadline.
    fn sweep(&mut self, now_ns: u64) {
        for place in 0..self.pool.places.len() as u32 {
            let slot = &self.pool.places[place as usize];
            match slot.stage {
                Stage::Busy if now_ns >= slot.session.sent_ns().saturating_add(self.timeout_ns) => {
                    let sentence = || format!("no reply within {:?}", self.spec.timeout);
                    self.fail(place, ErrorKind::Timeout, sentence, now_ns);
                }
                Stage::Opening {
                    deadline_ns,
                    waiting,
                } if now_ns >= deadline_ns => {
                    let sentence = || format!("not open within {:?}", self.spec.timeout);
                    self.not_opened(place, waiting, ErrorKind::ConnectTimeout, sentence);
                }
                _ => {}
            }
        }
        while let Some(intended_ns) = self.queue.front()
            && now_ns >= intended_ns.saturating_add(self.timeout_ns)
        {
            self.queue.pop_front();
            let sentence = || "no connection became free in time".to_owned();
            self.worker
                .recorder
                .slice
                .errors
                .add(ErrorKind::Timeout, sentence);
        }
        for place in std::mem::take(&mut self.resting) {
            self.turn(place, now_ns);
        }
        self.next_sweep_ns = now_ns
            + if self.resting.is_empty() {
                self.sweep_ns
            } else {
                REST_NS
            };
        self.publish();
        if self.worker.setup.stop.is_stopped() && !self.worker.recorder.slice.interrupted {
            self.stop(now_ns);
        }
        if self.tokens.refresh() {
            self.render();
        }
    }

    /// Ends the slice before its time: what is outstanding is still waited for, a little.
    fn stop(&mut self, now_ns: u64) {
        match &mut self.flow {
            Flow::Open(schedule) => _ = schedule.cut(),
            Flow::Closed(left) => *left = 0,
        }
        self.worker.recorder.slice.interrupted = true;
        self.window_ns = self.window_ns.min(now_ns);
        let patience_ns = nanoseconds(STOP_WAIT).min(self.timeout_ns);
        self.give_up_ns = self.give_up_ns.min(now_ns.saturating_add(patience_ns));
    }

    fn render(&mut self) {
        let template = &self.attached.template;
        let constant = !template.varies && self.tokens.is_constant();
        self.rendered = constant.then(|| {
            [false, true].map(|last| {
                let mut bytes = Vec::new();
                template.render(&mut bytes, self.tokens.next(), last, &mut self.filling);
                bytes
            })
        });
    }

    /// Takes over what was done to get ready for this slice.
    fn count_prepared(&mut self) {
        let recorder = &mut self.worker.recorder;
        recorder.slice.open_loop = matches!(self.flow, Flow::Open(_));
        recorder.slice.connections.failed += std::mem::take(&mut self.pool.prepare_failed);
        for place in &self.pool.places {
            let Some(token) = place.token.filter(|_| place.stage == Stage::Idle) else {
                continue;
            };
            let facts = self.worker.io.facts(token);
            recorder.used(facts.as_ref());
            if place.fresh {
                recorder.opened(&self.worker.io.counters(token), facts.as_ref());
            } else {
                recorder.slice.connections.kept += 1;
            }
        }
        for place in &mut self.pool.places {
            place.fresh = false;
        }
    }

    /// All workers begin together. Whatever happens to idle connections until then is seen once
    /// they are used. Returns the thread's CPU time at the begin.
    fn wait_for_begin(&self) -> u64 {
        let cpu_ns = thread_cpu_ns();
        let waited = Instant::now();
        while Instant::now() < self.clock.epoch {
            std::hint::spin_loop();
        }
        cpu_ns + nanoseconds(waited.elapsed())
    }

    fn begin(&mut self) {
        for place in 0..self.pool.places.len() as u32 {
            self.turn(place, 0);
        }
    }

    /// Counts what did not end by itself, and leaves only idle connections.
    fn finish(&mut self) {
        let mut unfinished = self.queue.len() as u64;
        self.queue.clear();
        for place in 0..self.pool.places.len() {
            let stage = self.pool.places[place].stage;
            unfinished += match stage {
                Stage::Busy
                | Stage::Opening {
                    waiting: Some(_), ..
                } => 1,
                _ => 0,
            };
            if stage == Stage::Idle && self.per_connection.is_none() {
                self.count_bytes(place);
            } else {
                self.drop_connection(place as u32);
            }
        }
        let slice = &mut self.worker.recorder.slice;
        slice.errors.add_many(ErrorKind::Unfinished, unfinished);
        let by_count = matches!(self.flow, Flow::Closed(0));
        slice.window_ns = if by_count {
            self.window_ns.min(slice.wall_ns)
        } else {
            self.window_ns
        };
        self.publish();
    }

    /// Lets a progress bar see how far the slice is.
    fn publish(&mut self) {
        let slice = &self.worker.recorder.slice;
        let (ok, errors) = (slice.ok, slice.errors.total());
        if let Some(live) = self.worker.setup.live.get(self.worker.setup.share.index) {
            live.ok.fetch_add(ok - self.live.0, Ordering::Relaxed);
            live.errors
                .fetch_add(errors - self.live.1, Ordering::Relaxed);
        }
        self.live = (ok, errors);
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

fn loop_wait(wait: Wait) -> generator::Wait {
    match wait {
        Wait::Spin => generator::Wait::Spin,
        Wait::Sleep => generator::Wait::Sleep,
    }
}

/// CPU time of the calling thread, as the scheduler keeps it; 0 where it does not. A thread's
/// time is booked when it is switched out, and else only every few ms: hence the short sleep.
fn thread_cpu_ns() -> u64 {
    thread::sleep(Duration::from_nanos(1));
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
