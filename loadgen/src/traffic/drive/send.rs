//! A request on its way out: taken up when it is due, given a place, put on its connection. It
//! refuses to know what becomes of it there.

use runtime::generator::Token;

use super::Flow;
use super::exchange::LaneExchange;
use crate::traffic::pool::PlaceState;

impl LaneExchange<'_, '_> {
    /// A request of the open loop is taken up.
    #[inline]
    pub(super) fn due(&mut self, intended_ns: u64, now_ns: u64) {
        let unanswered = self.lane.outstanding + self.lane.queue.len() as u64;
        let slice = &mut self.lane.recorder.slice;
        slice.requests_asked += 1;
        let quarter = (intended_ns * 4 / self.shared.window_ns.max(1)).min(3) as usize;
        slice.in_flight[quarter].add(unanswered);
        self.lane.recorder.late(now_ns - intended_ns);
        if let Some(place) = self.lane.free.pop_front().or_else(|| self.lane.vacant.pop_front()) {
            self.start(place, Some(intended_ns));
        } else if self.lane.queue.len() < self.lane.queue_room {
            self.lane.queue.push_back(intended_ns);
            let waiting = self.lane.queue.len() as u64;
            let slice = &mut self.lane.recorder.slice;
            slice.queue_high_water = slice.queue_high_water.max(waiting);
        } else {
            self.lane.recorder.slice.dropped += 1;
        }
    }

    /// A place is free: gives it its next request, if there is one.
    #[inline]
    pub(super) fn turn(&mut self, place: u32, now_ns: u64) {
        match &mut self.shared.flow {
            Flow::Open(_) => match self.lane.queue.pop_front() {
                Some(intended_ns) => self.start(place, Some(intended_ns)),
                None => self.free_up(place),
            },
            Flow::Closed => {
                if self.lane.begins(now_ns) {
                    self.lane.left -= 1;
                    self.lane.recorder.slice.requests_asked += 1;
                    self.start(place, None);
                }
            }
        }
    }

    /// Puts a place where due requests find it. One whose connection ended in order gets a new one
    /// first, unless connections are opened when they are needed; one that lost it rests.
    pub(super) fn free_up(&mut self, place: u32) {
        let slot = &self.lane.pool.places[place as usize];
        if slot.stage == PlaceState::Idle || self.shared.spec.requests_per_connection.is_some() {
            self.lane.free.push_back(place);
        } else if !self.shared.opens_ahead() {
            // No request is to come.
        } else if slot.losses == 0 {
            self.open(place, None);
        } else {
            self.lane.vacant.push_back(place);
            self.rest(place);
        }
    }

    /// Gives a request its place. Without an intended time it is meant to be sent when it is.
    #[inline]
    fn start(&mut self, place: u32, intended_ns: Option<u64>) {
        self.lane.outstanding += 1;
        match self.lane.pool.places[place as usize].token {
            Some(token) => self.send(place, token, intended_ns),
            None => {
                let intended_ns = intended_ns.unwrap_or_else(|| self.shared.clock.now_ns());
                self.open(place, Some(intended_ns));
            }
        }
    }

    #[inline]
    pub(super) fn send(&mut self, place: u32, token: Token, intended_ns: Option<u64>) {
        let slot = &mut self.lane.pool.places[place as usize];
        let last = self
            .shared
            .spec
            .requests_per_connection
            .is_some_and(|most| slot.used + 1 >= most.get());
        let bytes: &[u8] = match &self.lane.rendered {
            Some(rendered) => &rendered[usize::from(last)],
            None => {
                self.shared.scratch.clear();
                let token = self.lane.tokens.next();
                self.lane.attached.template.render(
                    &mut self.shared.scratch,
                    token,
                    last,
                    &mut self.lane.filling,
                );
                &self.shared.scratch
            }
        };
        let sent_ns = self.shared.clock.now_ns();
        let intended_ns = intended_ns.unwrap_or(sent_ns);
        if !self.shared.worker.io.send(token, bytes) {
            // The connection was lost before the request was on it: another one takes it.
            return self.send_elsewhere(place, intended_ns, sent_ns);
        }
        slot.used += 1;
        slot.stage = PlaceState::Busy;
        slot.session.sent(self.lane.attached.template.method, intended_ns, sent_ns);
        let slice = &mut self.lane.recorder.slice;
        slice.requests_sent += 1;
        slice.sent_in_window += u64::from(sent_ns <= self.lane.window_ends_ns);
    }
}
