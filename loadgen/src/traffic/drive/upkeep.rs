//! What is done around a slice's traffic and now and then within it: getting ready, looking at
//! deadlines, beginning the blocks of a closed loop, stopping, and the counts at the end. None of
//! it is on the path of a request.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use runtime::generator;

use super::exchange::LaneExchange;
use super::{Drive, Flow, nanoseconds};
use crate::traffic::check::ErrorKind;
use crate::traffic::pool::{NO_REST, PlaceState, REST_NS_MIN};

/// How many requests of a closed loop are begun between two looks at the connections.
const BEGUN_AT_ONCE: u32 = 64;

/// The longest wait for replies once the slice was told to stop: what has come until then is kept,
/// and a person who pressed Ctrl-C waits for the prompt.
const STOP_WAIT: Duration = Duration::from_millis(400);

impl Drive<'_> {
    /// Looks at everything that has a deadline.
    pub(super) fn sweep(&mut self, now_ns: u64) {
        self.shared.next_sweep_ns = now_ns + self.shared.sweep_ns;
        for lane in 0..self.lanes.len() {
            self.on(lane).sweep(now_ns);
        }
        if self.shared.worker.setup.stop.is_stopped() && !self.shared.stopped {
            self.stop(now_ns);
        }
    }

    /// Ends the slice before its time: what is outstanding is still waited for, a little.
    fn stop(&mut self, now_ns: u64) {
        if let Flow::Open(schedule) = &mut self.shared.flow {
            schedule.cut();
        }
        self.shared.stopped = true;
        self.shared.window_ns = self.shared.window_ns.min(now_ns);
        for lane in &mut self.lanes {
            lane.left = 0;
            lane.window_ends_ns = lane.window_ends_ns.min(now_ns);
        }
        let patience_ns = nanoseconds(STOP_WAIT).min(self.shared.timeout_ns);
        self.shared.give_up_ns = self.shared.give_up_ns.min(now_ns.saturating_add(patience_ns));
    }

    /// Takes over what was done to get ready for this slice.
    pub(super) fn count_prepared(&mut self) {
        for lane in 0..self.lanes.len() {
            self.lanes[lane].render();
            self.on(lane).count_prepared();
        }
    }

    /// All workers begin together.
    pub(super) fn wait_for_begin(&self) {
        while Instant::now() < self.shared.clock.epoch {
            std::hint::spin_loop();
        }
    }

    /// Sees what happened to idle connections while all waited for the begin, so that no request
    /// is sent on one whose end has come. An end that is still on its way cannot be seen: a request
    /// that meets it is an error, because a target that drops requests looks the same.
    pub(super) fn look(&mut self) -> io::Result<()> {
        for place in self.lanes.iter_mut().flat_map(|lane| &mut lane.pool.places) {
            place.rest_until_ns = NO_REST;
        }
        loop {
            let worker = &mut *self.shared.worker;
            let mut events = std::mem::take(&mut worker.events);
            let until = Some(self.shared.clock.epoch);
            let polled = worker.io.poll(generator::Wait::Spin, until, &mut events);
            let seen = events.len();
            for event in events.drain(..) {
                if let Some(lane) = self.lane_of_event(&event) {
                    self.on(lane).early_event(&event);
                }
            }
            self.shared.worker.events = events;
            polled?;
            // Each event closes a connection, so that there is an end of them.
            if seen == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.turns.begin(&mut self.lanes);
        if matches!(self.shared.flow, Flow::Closed) {
            return self.begin_block(0);
        }
        for lane in 0..self.lanes.len() {
            self.lanes[lane].window_ends_ns = self.shared.window_ns;
            for place in 0..self.lanes[lane].pool.places.len() as u32 {
                let now_ns = self.shared.clock.now_ns();
                self.on(lane).turn(place, now_ns);
            }
        }
        Ok(())
    }

    /// Closed loop: gives every place of the lane whose turn it is its first request.
    fn begin_block(&mut self, now_ns: u64) -> io::Result<()> {
        let lane = self.turns.lane();
        self.lanes[lane].window_began_ns = now_ns;
        self.lanes[lane].window_ends_ns = now_ns.saturating_add(self.turns.length_ns());
        self.shared.give_up_ns =
            self.lanes[lane].window_ends_ns.saturating_add(self.shared.timeout_ns);
        for place in 0..self.lanes[lane].pool.places.len() as u32 {
            let now_ns = self.shared.clock.now_ns();
            self.on(lane).turn(place, now_ns);
            if place % BEGUN_AT_ONCE == BEGUN_AT_ONCE - 1 {
                self.poll(generator::Wait::Spin, self.shared.clock.epoch)?;
            }
        }
        Ok(())
    }

    /// Whether nothing is begun or waited for any more. In a closed loop the next block begins here
    /// when the one before has no request under way.
    pub(super) fn is_over(&mut self, now_ns: u64) -> io::Result<bool> {
        let lane = &self.lanes[self.turns.lane()];
        match &self.shared.flow {
            Flow::Open(schedule) => {
                let drained = || self.lanes.iter().all(|lane| lane.is_drained());
                Ok(schedule.left() == 0 && (now_ns >= self.shared.give_up_ns || drained()))
            }
            Flow::Closed if lane.begins(now_ns) => Ok(false),
            Flow::Closed if !lane.is_drained() && now_ns < self.shared.give_up_ns => Ok(false),
            Flow::Closed => self.end_block(now_ns),
        }
    }

    /// Closed loop: the time of the block was its own until it ended or nothing more was begun.
    fn end_block(&mut self, now_ns: u64) -> io::Result<bool> {
        let lane = &mut self.lanes[self.turns.lane()];
        let ended_ns = lane.window_ends_ns.min(now_ns);
        lane.recorder.slice.window_ns += ended_ns.saturating_sub(lane.window_began_ns);
        if self.shared.stopped || !self.turns.next(&mut self.lanes, now_ns) {
            return Ok(true);
        }
        self.begin_block(now_ns)?;
        Ok(false)
    }

    /// Counts what did not end by itself, and leaves only idle connections.
    pub(super) fn finish(&mut self) {
        for lane in 0..self.lanes.len() {
            self.on(lane).finish();
            let open = matches!(self.shared.flow, Flow::Open(_));
            let share_ns = self.shared.window_ns as f64 * self.turns.share_of(lane);
            let slice = &mut self.lanes[lane].recorder.slice;
            slice.interrupted = self.shared.stopped;
            slice.window_ns = if open { share_ns.round() as u64 } else { slice.window_ns };
        }
    }
}

impl LaneExchange<'_, '_> {
    fn sweep(&mut self, now_ns: u64) {
        for place in 0..self.lane.pool.places.len() as u32 {
            let slot = &self.lane.pool.places[place as usize];
            match slot.stage {
                PlaceState::Busy
                    if now_ns >= slot.session.sent_ns().saturating_add(self.shared.timeout_ns) =>
                {
                    let timeout = self.shared.spec.timeout;
                    let sentence = || format!("no reply within {timeout:?}");
                    self.fail(place, ErrorKind::Timeout, sentence, now_ns);
                }
                PlaceState::Opening { deadline_ns, waiting } if now_ns >= deadline_ns => {
                    let timeout = self.shared.spec.timeout;
                    let sentence = || format!("not open within {timeout:?}");
                    self.not_opened(place, waiting, ErrorKind::ConnectTimeout, sentence);
                }
                PlaceState::Empty if now_ns >= slot.rest_until_ns => self.rested(place, now_ns),
                _ => {}
            }
        }
        while let Some(intended_ns) = self.lane.queue.front()
            && now_ns >= intended_ns.saturating_add(self.shared.timeout_ns)
        {
            self.lane.queue.pop_front();
            let sentence = || "no connection became free in time".to_owned();
            self.lane.recorder.slice.errors.add(ErrorKind::Timeout, sentence);
        }
        let rests_ns = self.lane.pool.places.iter().map(|slot| slot.rest_until_ns);
        let next_rest_ns = rests_ns.min().unwrap_or(u64::MAX).max(now_ns + REST_NS_MIN);
        self.shared.next_sweep_ns = self.shared.next_sweep_ns.min(next_rest_ns);
        self.publish();
        if self.lane.tokens.refresh() {
            self.lane.render();
        }
    }

    fn count_prepared(&mut self) {
        let recorder = &mut self.lane.recorder;
        recorder.slice.open_loop = matches!(self.shared.flow, Flow::Open(_));
        recorder.slice.connections.failed += std::mem::take(&mut self.lane.pool.prepare_failed);
        for place in &self.lane.pool.places {
            let Some(token) = place.token.filter(|_| place.stage == PlaceState::Idle) else {
                continue;
            };
            let facts = self.shared.worker.io.facts(token);
            recorder.used(facts.as_ref());
            if place.fresh {
                recorder.opened(&self.shared.worker.io.counters(token), facts.as_ref());
            } else {
                recorder.slice.connections.kept += 1;
            }
        }
        for place in &mut self.lane.pool.places {
            place.fresh = false;
        }
    }

    fn finish(&mut self) {
        let mut unfinished = self.lane.queue.len() as u64;
        self.lane.queue.clear();
        for place in 0..self.lane.pool.places.len() {
            let stage = self.lane.pool.places[place].stage;
            unfinished += match stage {
                PlaceState::Busy | PlaceState::Opening { waiting: Some(_), .. } => 1,
                _ => 0,
            };
            let kept = self.shared.spec.requests_per_connection.is_none();
            if stage == PlaceState::Idle && kept {
                self.count_bytes(place);
            } else {
                self.drop_connection(place as u32);
            }
        }
        self.lane.recorder.slice.errors.add_many(ErrorKind::Unfinished, unfinished);
        self.publish();
    }

    /// Lets a progress bar see how many errors there are.
    fn publish(&mut self) {
        let errors = self.lane.recorder.slice.errors.total();
        let told = std::mem::replace(&mut self.lane.errors_told, errors);
        self.shared.worker.live().errors.fetch_add(errors - told, Ordering::Relaxed);
    }
}
