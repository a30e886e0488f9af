//! What happens to the connections of a slice: opened, answered, lost. Each request that was on a
//! place leaves it here, once, with a reply or an error, and the place takes its next one. A place
//! whose connections come to nothing rests in between.

use runtime::generator::{CloseReason, Event, Token};

use super::lane::Lane;
use super::{Flow, SliceState};
use crate::traffic::check::ErrorKind;
use crate::traffic::pool::{NO_REST, Opening, PlaceState, lost_error, open_error};
use crate::traffic::session::ReceivedResponse;
use crate::traffic::worker::Worker;

/// The connections of one lane, with what all lanes share.
pub(super) struct LaneExchange<'a, 'w> {
    pub(super) lane: &'a mut Lane,
    pub(super) shared: &'a mut SliceState<'w>,
}

impl LaneExchange<'_, '_> {
    /// A request that could not be put on its connection gets another one, within the time-out,
    /// unless the one before was lost in the same way.
    pub(super) fn send_elsewhere(&mut self, place: u32, intended_ns: u64, now_ns: u64) {
        self.lose_idle(place, false);
        let first = self.lane.pool.places[place as usize].losses == 1;
        if first && now_ns < intended_ns.saturating_add(self.shared.timeout_ns) {
            return self.open(place, Some(intended_ns));
        }
        let sentence = || "the target closed connections before a request was on them".to_owned();
        self.lane.recorder.slice.errors.add(ErrorKind::Closed, sentence);
        self.lane.outstanding -= 1;
        self.rest(place);
    }

    /// Opens a connection, for the request with that intended time if one waits for it; then the
    /// request is counted as outstanding already.
    pub(super) fn open(&mut self, place: u32, waiting: Option<u64>) {
        let opening = Opening {
            deadline_ns: self.shared.clock.now_ns().saturating_add(self.shared.timeout_ns),
            waiting,
            rotate: self.shared.spec.requests_per_connection.is_some(),
            nth: self.shared.worker.opened,
        };
        self.shared.worker.opened = self.shared.worker.opened.wrapping_add(1);
        let Worker { io, owners, .. } = &mut *self.shared.worker;
        if let Err(error) = self.lane.pool.open(place, io, owners, opening) {
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
        let slice = &mut self.lane.recorder.slice;
        slice.connections.failed += 1;
        let kind = if waiting.is_some() { kind } else { ErrorKind::Reconnect };
        slice.errors.add(kind, sentence);
        self.lane.outstanding -= u64::from(waiting.is_some());
        self.lane.pool.places[place as usize].lose();
        self.drop_connection(place);
        self.rest(place);
    }

    /// Leaves an empty place alone for a while.
    pub(super) fn rest(&mut self, place: u32) {
        let slot = &mut self.lane.pool.places[place as usize];
        slot.rest_until_ns = self.shared.clock.now_ns().saturating_add(slot.rest_ns());
        self.shared.next_sweep_ns = self.shared.next_sweep_ns.min(slot.rest_until_ns);
    }

    /// A place has rested: it takes a request that waits, or gets a connection for the next one.
    pub(super) fn rested(&mut self, place: u32, now_ns: u64) {
        self.lane.pool.places[place as usize].rest_until_ns = NO_REST;
        self.lane.vacant.retain(|vacant| *vacant != place);
        if self.lane.queue.is_empty() && self.shared.opens_ahead() {
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
    }

    /// The place that an event is about.
    #[inline]
    fn own_place(&self, event: &Event) -> Option<(u32, Token)> {
        let (Event::Connected(token) | Event::Received(token) | Event::Closed(token, _)) = *event;
        let place = self.shared.worker.owners.of(token).place;
        let slot = self.lane.pool.places.get(place as usize)?;
        (slot.token == Some(token)).then_some((place, token))
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
        let slot = &mut self.lane.pool.places[place as usize];
        let input = self.shared.worker.io.received(token);
        match slot.session.received(input, &self.lane.attached.template.expect) {
            Ok((spent, progress)) => {
                self.shared.worker.io.consume(token, spent);
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
        let slot = &mut self.lane.pool.places[place as usize];
        let times = slot.session.times(now_ns);
        let in_window = now_ns <= self.lane.window_ends_ns;
        self.lane.recorder.reply(progress.status, progress.verdict, times, in_window);
        if progress.verdict.is_ok() {
            self.shared.worker.live().replied(times.0);
        }
        self.lane.outstanding -= 1;
        let used_up =
            self.shared.spec.requests_per_connection.is_some_and(|most| slot.used >= most.get());
        if progress.reusable && !used_up {
            slot.stage = PlaceState::Idle;
        } else {
            slot.losses = u8::from(progress.unsolicited);
            self.lane.recorder.slice.connections.unsolicited += u64::from(progress.unsolicited);
            self.drop_connection(place);
        }
        self.turn(place, now_ns);
    }

    fn connected(&mut self, place: u32, token: Token, now_ns: u64) {
        let slot = &mut self.lane.pool.places[place as usize];
        let PlaceState::Opening { waiting, .. } = slot.stage else {
            return;
        };
        slot.stage = PlaceState::Idle;
        let counters = self.shared.worker.io.counters(token);
        let facts = self.shared.worker.io.facts(token);
        let recorder = &mut self.lane.recorder;
        recorder.opened(&counters, facts.as_ref());
        recorder.slice.connections.opened_in_slice += 1;
        recorder.used(facts.as_ref());
        match waiting {
            Some(intended_ns) => self.send(place, token, Some(intended_ns)),
            None => self.turn(place, now_ns),
        }
    }

    fn closed(&mut self, place: u32, reason: &CloseReason, now_ns: u64) {
        let slot = &mut self.lane.pool.places[place as usize];
        match slot.stage {
            PlaceState::Empty => {}
            PlaceState::Opening { waiting, .. } => {
                self.not_opened(place, waiting, open_error(reason), || reason.to_string());
            }
            PlaceState::Idle => self.idle_lost(place, false),
            PlaceState::Busy => {
                self.lane.recorder.slice.connections.closed_by_target += 1;
                let ended = match reason {
                    CloseReason::Eof => slot.session.ended(&self.lane.attached.template.expect),
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
        self.lane.free.retain(|free| *free != place);
        self.free_up(place);
    }

    fn lose_idle(&mut self, place: u32, unsolicited: bool) {
        let connections = &mut self.lane.recorder.slice.connections;
        connections.unsolicited += u64::from(unsolicited);
        connections.closed_by_target += u64::from(!unsolicited);
        connections.closed_idle += u64::from(!unsolicited);
        self.lane.pool.places[place as usize].lose();
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
        self.lane.recorder.slice.errors.add(kind, sentence);
        self.lane.outstanding -= 1;
        let was_of_use = self.lane.pool.places[place as usize].lose();
        self.drop_connection(place);
        let was_lost = matches!(kind, ErrorKind::Closed | ErrorKind::Reset | ErrorKind::Tls);
        // In a closed loop nothing else holds back the next request, and its connection.
        if was_lost && !was_of_use && matches!(self.shared.flow, Flow::Closed) {
            self.rest(place);
        } else {
            self.turn(place, now_ns);
        }
    }

    /// Closes a place's connection, if it has one, and counts its bytes.
    pub(super) fn drop_connection(&mut self, place: u32) {
        self.count_bytes(place as usize);
        let slot = &mut self.lane.pool.places[place as usize];
        if let Some(token) = slot.token {
            self.shared.worker.io.close(token);
        }
        slot.vacate();
    }

    pub(super) fn count_bytes(&mut self, place: usize) {
        let slot = &mut self.lane.pool.places[place];
        if let Some(token) = slot.token {
            let fresh = slot.fresh_bytes(&self.shared.worker.io.counters(token));
            let wire = &mut self.lane.recorder.slice.wire;
            wire.sent += fresh.sent;
            wire.received += fresh.received;
        }
    }
}
