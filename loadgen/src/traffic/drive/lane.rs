//! One lane of a slice: the connections to one target, the requests that wait for one of them, and
//! the record of what came of them. It refuses to know when a request is due.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::traffic::pool::{Attached, Pool};
use crate::traffic::recorder::Recorder;
use crate::traffic::schedule::WorkerShare;
use crate::traffic::slice::{LaneSpec, SliceSpec};
use crate::traffic::template::Filling;
use crate::traffic::tokens::TokenView;

/// One lane.
pub(super) struct Lane {
    pub(super) pool: Pool,
    pub(super) attached: Arc<Attached>,
    pub(super) recorder: Recorder,
    /// Places that wait for a request, the longest waiting first.
    pub(super) free: VecDeque<u32>,
    /// Places whose idle connection was lost: used where none is free, or opened after a rest.
    pub(super) vacant: VecDeque<u32>,
    /// Intended times of requests that wait for a place, the oldest first.
    pub(super) queue: VecDeque<u64>,
    pub(super) queue_room: usize,
    /// Requests that have a place: sent, or waiting for its connection.
    pub(super) outstanding: u64,
    pub(super) tokens: TokenView,
    pub(super) filling: Filling,
    /// Where nothing varies: the request, and the same with `Connection: close`.
    pub(super) rendered: Option<[Vec<u8>; 2]>,
    /// Closed loop: when its block began.
    pub(super) window_began_ns: u64,
    /// When its time is over: that of the slice, or in a closed loop that of its block.
    pub(super) window_ends_ns: u64,
    /// Closed loop: so many requests may still be begun.
    pub(super) left: u64,
    /// Errors that a progress bar was told of.
    pub(super) errors_told: u64,
}

impl Lane {
    pub(super) fn new(
        pool: Pool,
        recorder: Recorder,
        own: &LaneSpec,
        spec: &SliceSpec,
        share: WorkerShare,
        unique: u64,
    ) -> Lane {
        let part = share.index as u64;
        let queue_room = spec.queue_room(share.count);
        Lane {
            attached: Arc::clone(&pool.attached),
            free: VecDeque::with_capacity(pool.places.len()),
            vacant: VecDeque::new(),
            queue: VecDeque::with_capacity(queue_room),
            queue_room,
            outstanding: 0,
            tokens: TokenView::new(&own.tokens, share),
            filling: Filling::new(unique.wrapping_add(part), spec.seed.wrapping_add(part)),
            rendered: None,
            window_began_ns: 0,
            window_ends_ns: 0,
            left: spec.requests_max.map_or(u64::MAX, |most| share.of(most)),
            errors_told: 0,
            pool,
            recorder,
        }
    }

    /// Closed loop: whether another request is begun now.
    #[inline]
    pub(super) fn begins(&self, now_ns: u64) -> bool {
        self.left > 0 && now_ns < self.window_ends_ns
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_drained(&self) -> bool {
        self.outstanding == 0 && self.queue.is_empty()
    }

    /// Renders the request where none differs from the other.
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
}
