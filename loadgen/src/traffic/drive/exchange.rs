//! What happens to the connections of a slice: opened, answered, lost. Each request that was on a
//! place leaves it here, once, with a reply or an error, and the place takes its next one. A place
//! whose connections come to nothing rests in between.

use runtime::generator::{CloseReason, Event, Token};

use super::{Drive, Flow};
use crate::traffic::check::ErrorKind;
use crate::traffic::pool::{NO_REST, Opening, PlaceState, lost_error, open_error};
use crate::traffic::session::ReceivedResponse;
use crate::traffic::worker::{Worker, idle_event};

impl Drive<'_> {
    /// A request that could not be put on its connection gets another one, within the time-out,
    /// unless the one before was lost in the same way.
    pub(super) fn send_elsewhere(&mut self, place: u32, intended_ns: u64, now_ns: u64) {
        self.lose_idle(place, false);
        let first = self.pool.places[place as usize].losses == 1;
        if first && now_ns < intended_ns.saturating_add(self.timeout_ns) {
            return self.open(place, Some(intended_ns));
        }
        let sentence = || "the target closed connections before a request was on them".to_owned();
        self.worker.recorder.slice.errors.add(ErrorKind::Closed, sentence);
        self.outstanding -= 1;
        self.rest(place);
    }

    /// Opens a connection, for the request with that intended time if one waits for it; then the
    /// request is counted as outstanding already.
    pub(super) fn open(&mut self, place: u32, waiting: Option<u64>) {
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

    pub(super) fn not_opened(
        &mut self,
        place: u32,
        waiting: Option<u64>,
        kind: ErrorKind,
        sentence: impl FnOnce() -> String,
    ) {
        let slice = &mut self.worker.recorder.slice;
        slice.connections.failed += 1;
        let kind = if waiting.is_some() { kind } else { ErrorKind::Reconnect };
        slice.errors.add(kind, sentence);
        self.outstanding -= u64::from(waiting.is_some());
        self.pool.places[place as usize].lose();
        self.drop_connection(place);
        self.rest(place);
    }

    /// Leaves an empty place alone for a while.
    pub(super) fn rest(&mut self, place: u32) {
        let slot = &mut self.pool.places[place as usize];
        slot.rest_until_ns = self.clock.now_ns().saturating_add(slot.rest_ns());
        self.next_sweep_ns = self.next_sweep_ns.min(slot.rest_until_ns);
    }

    /// A place has rested: it takes a request that waits, or gets a connection for the next one.
    pub(super) fn rested(&mut self, place: u32, now_ns: u64) {
        self.pool.places[place as usize].rest_until_ns = NO_REST;
        self.vacant.retain(|vacant| *vacant != place);
        if self.queue.is_empty() && self.opens_ahead() {
            self.open(place, None);
        } else {
            self.turn(place, now_ns);
        }
    }

    #[inline]
    pub(super) fn event(&mut self, event: Event, now_ns: u64) {
        let Some((place, token)) = self.own_place(&event) else { return };
        match event {
            Event::Received(_) => self.received(place, token, now_ns),
            Event::Connected(_) => self.connected(place, token, now_ns),
            Event::Closed(_, reason) => self.closed(place, &reason, now_ns),
        }
        // The replies of a target that had stalled come all at once, and each may send a request
        // that waited: what becomes due meanwhile must not wait for the last of them.
        if matches!(self.flow, Flow::Open(_)) {
            self.take_up_due(self.clock.now_ns());
        }
    }

    /// The place that an event is about. One of another target's is taken in here.
    #[inline]
    fn own_place(&mut self, event: &Event) -> Option<(u32, Token)> {
        let (Event::Connected(token) | Event::Received(token) | Event::Closed(token, _)) = *event;
        let owner = self.worker.owners.of(token);
        if owner.pool != self.pool.index {
            let Worker { io, pools, .. } = &mut *self.worker;
            idle_event(io, pools, owner, event);
            return None;
        }
        let slot = self.pool.places.get(owner.place as usize)?;
        (slot.token == Some(token)).then_some((owner.place, token))
    }

    /// Before the slice's first request: what happened to its connections since they were made
    /// ready is no more than a loss of idle ones.
    pub(super) fn early_event(&mut self, event: &Event) {
        if let Some((place, _)) = self.own_place(event) {
            match event {
                Event::Connected(_) => {}
                Event::Received(_) => self.lose_idle(place, true),
                Event::Closed(..) => self.lose_idle(place, false),
            }
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
            Err(fault) if slot.stage == PlaceState::Busy => {
                self.fail(place, fault.kind(), || fault.sentence().to_owned(), now_ns);
            }
            Err(_) => self.idle_lost(place, true),
        }
    }

    #[inline]
    fn replied(&mut self, place: u32, progress: ReceivedResponse, now_ns: u64) {
        let slot = &mut self.pool.places[place as usize];
        let times = slot.session.times(now_ns);
        let in_window = now_ns <= self.window_ns;
        self.worker.recorder.reply(progress.status, progress.verdict, times, in_window);
        if progress.verdict.is_ok() {
            self.worker.live().replied(times.0);
        }
        self.outstanding -= 1;
        let used_up = self.per_connection.is_some_and(|most| slot.used >= most.get());
        if progress.reusable && !used_up {
            slot.stage = PlaceState::Idle;
        } else {
            slot.losses = u8::from(progress.unsolicited);
            self.worker.recorder.slice.connections.unsolicited += u64::from(progress.unsolicited);
            self.drop_connection(place);
        }
        self.turn(place, now_ns);
    }

    fn connected(&mut self, place: u32, token: Token, now_ns: u64) {
        let slot = &mut self.pool.places[place as usize];
        let PlaceState::Opening { waiting, .. } = slot.stage else {
            return;
        };
        slot.stage = PlaceState::Idle;
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
            PlaceState::Empty => {}
            PlaceState::Opening { waiting, .. } => {
                self.not_opened(place, waiting, open_error(reason), || reason.to_string());
            }
            PlaceState::Idle => self.idle_lost(place, false),
            PlaceState::Busy => {
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

    /// A connection that nobody used is gone, or has to go.
    fn idle_lost(&mut self, place: u32, unsolicited: bool) {
        self.lose_idle(place, unsolicited);
        self.free.retain(|free| *free != place);
        self.free_up(place);
    }

    fn lose_idle(&mut self, place: u32, unsolicited: bool) {
        let connections = &mut self.worker.recorder.slice.connections;
        connections.unsolicited += u64::from(unsolicited);
        connections.closed_by_target += u64::from(!unsolicited);
        connections.closed_idle += u64::from(!unsolicited);
        self.pool.places[place as usize].lose();
        self.drop_connection(place);
    }

    /// The request on a busy place has no good reply, and its connection is of no use any more.
    pub(super) fn fail(
        &mut self,
        place: u32,
        kind: ErrorKind,
        sentence: impl FnOnce() -> String,
        now_ns: u64,
    ) {
        self.worker.recorder.slice.errors.add(kind, sentence);
        self.outstanding -= 1;
        let was_of_use = self.pool.places[place as usize].lose();
        self.drop_connection(place);
        let was_lost = matches!(kind, ErrorKind::Closed | ErrorKind::Reset | ErrorKind::Tls);
        // In a closed loop nothing else holds back the next request, and its connection.
        if was_lost && !was_of_use && matches!(self.flow, Flow::Closed(_)) {
            self.rest(place);
        } else {
            self.turn(place, now_ns);
        }
    }

    /// Closes a place's connection, if it has one, and counts its bytes.
    pub(super) fn drop_connection(&mut self, place: u32) {
        self.count_bytes(place as usize);
        let slot = &mut self.pool.places[place as usize];
        if let Some(token) = slot.token {
            self.worker.io.close(token);
        }
        slot.vacate();
    }

    pub(super) fn count_bytes(&mut self, place: usize) {
        let slot = &mut self.pool.places[place];
        if let Some(token) = slot.token {
            let fresh = slot.fresh_bytes(&self.worker.io.counters(token));
            let wire = &mut self.worker.recorder.slice.wire;
            wire.sent += fresh.sent;
            wire.received += fresh.received;
        }
    }
}
