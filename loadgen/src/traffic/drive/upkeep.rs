//! What is done around a slice's traffic and now and then within it: getting ready, looking at
//! deadlines, stopping, and the counts at the end. None of it is on the path of a request.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use runtime::generator;

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
        for place in 0..self.pool.places.len() as u32 {
            let slot = &self.pool.places[place as usize];
            match slot.stage {
                PlaceState::Busy
                    if now_ns >= slot.session.sent_ns().saturating_add(self.timeout_ns) =>
                {
                    let sentence = || format!("no reply within {:?}", self.spec.timeout);
                    self.fail(place, ErrorKind::Timeout, sentence, now_ns);
                }
                PlaceState::Opening { deadline_ns, waiting } if now_ns >= deadline_ns => {
                    let sentence = || format!("not open within {:?}", self.spec.timeout);
                    self.not_opened(place, waiting, ErrorKind::ConnectTimeout, sentence);
                }
                PlaceState::Empty if now_ns >= slot.rest_until_ns => self.rested(place, now_ns),
                _ => {}
            }
        }
        while let Some(intended_ns) = self.queue.front()
            && now_ns >= intended_ns.saturating_add(self.timeout_ns)
        {
            self.queue.pop_front();
            let sentence = || "no connection became free in time".to_owned();
            self.worker.recorder.slice.errors.add(ErrorKind::Timeout, sentence);
        }
        let rests_ns = self.pool.places.iter().map(|slot| slot.rest_until_ns);
        let next_rest_ns = rests_ns.min().unwrap_or(u64::MAX).max(now_ns + REST_NS_MIN);
        self.next_sweep_ns = next_rest_ns.min(now_ns + self.sweep_ns);
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

    pub(super) fn render(&mut self) {
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
    pub(super) fn count_prepared(&mut self) {
        let recorder = &mut self.worker.recorder;
        recorder.slice.open_loop = matches!(self.flow, Flow::Open(_));
        recorder.slice.connections.failed += std::mem::take(&mut self.pool.prepare_failed);
        for place in &self.pool.places {
            let Some(token) = place.token.filter(|_| place.stage == PlaceState::Idle) else {
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

    /// All workers begin together. Returns the thread's CPU time at the begin.
    pub(super) fn wait_for_begin(&self) -> u64 {
        let cpu_ns = thread_cpu_ns();
        let waited = Instant::now();
        while Instant::now() < self.clock.epoch {
            std::hint::spin_loop();
        }
        cpu_ns + nanoseconds(waited.elapsed())
    }

    /// Sees what happened to idle connections while all waited for the begin, so that no request
    /// is sent on one whose end has come. An end that is still on its way cannot be seen: a request
    /// that meets it is an error, because a target that drops requests looks the same.
    pub(super) fn look(&mut self) -> io::Result<()> {
        for place in &mut self.pool.places {
            place.rest_until_ns = NO_REST;
        }
        loop {
            let mut events = std::mem::take(&mut self.worker.events);
            let polled =
                self.worker.io.poll(generator::Wait::Spin, Some(self.clock.epoch), &mut events);
            let seen = events.len();
            events.drain(..).for_each(|event| self.early_event(&event));
            self.worker.events = events;
            polled?;
            // Each event closes a connection, so that there is an end of them.
            if seen == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn begin(&mut self) -> io::Result<()> {
        for place in 0..self.pool.places.len() as u32 {
            self.turn(place, self.clock.now_ns());
            let begun = place % BEGUN_AT_ONCE == BEGUN_AT_ONCE - 1;
            if begun && matches!(self.flow, Flow::Closed(_)) {
                self.poll(generator::Wait::Spin, self.clock.epoch)?;
            }
        }
        Ok(())
    }

    /// Counts what did not end by itself, and leaves only idle connections.
    pub(super) fn finish(&mut self) {
        let mut unfinished = self.queue.len() as u64;
        self.queue.clear();
        for place in 0..self.pool.places.len() {
            let stage = self.pool.places[place].stage;
            unfinished += match stage {
                PlaceState::Busy | PlaceState::Opening { waiting: Some(_), .. } => 1,
                _ => 0,
            };
            if stage == PlaceState::Idle && self.per_connection.is_none() {
                self.count_bytes(place);
            } else {
                self.drop_connection(place as u32);
            }
        }
        let slice = &mut self.worker.recorder.slice;
        slice.errors.add_many(ErrorKind::Unfinished, unfinished);
        let by_count = matches!(self.flow, Flow::Closed(0));
        slice.window_ns = if by_count { self.window_ns.min(slice.wall_ns) } else { self.window_ns };
        self.publish();
    }

    /// Lets a progress bar see how many errors there are.
    fn publish(&mut self) {
        let errors = self.worker.recorder.slice.errors.total();
        let told = std::mem::replace(&mut self.errors_told, errors);
        self.worker.live().errors.fetch_add(errors - told, Ordering::Relaxed);
    }
}

/// CPU time of the calling thread, as the scheduler keeps it; 0 where it does not. A thread's
/// time is booked when it is switched out, and else only every few ms: hence the short sleep.
pub(super) fn thread_cpu_ns() -> u64 {
    thread::sleep(Duration::from_nanos(1));
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
