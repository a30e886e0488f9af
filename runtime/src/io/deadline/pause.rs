//! How long the sweep of a core waits for its next turn, and what ends a long wait early.
//!
//! While there is traffic, or a deadline is near, it waits one period. Once nothing was read for a
//! whole period it waits for the nearest deadline in force, and the coarse clock stands still
//! meanwhile. Whoever asks that clock for the time ends the wait: every deadline that is set counts
//! from it, and so none can be missed. That is one timer more after an idle time, and none in
//! traffic.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The longest wait, in milliseconds, where no deadline is in force.
const LONGEST_MS: u64 = 60_000;

/// The wait of one core's sweep.
#[derive(Default)]
pub(super) struct Pause {
    /// It waits for longer than a period.
    long: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Pause {
    /// Whether the sweep waits for longer than a period, so that the coarse clock stands still.
    #[inline]
    pub(super) fn is_long(&self) -> bool {
        self.long.get()
    }

    /// Ends a long wait. The sweep comes one period later.
    pub(super) fn end(&self) {
        self.long.set(false);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits for `wait_ms`, and less where [`Pause::end`] is called; false then.
    pub(super) async fn wait_long(&self, wait_ms: u64) -> bool {
        self.long.set(true);
        let mut timer = pin!(monoio::time::sleep(Duration::from_millis(wait_ms.min(LONGEST_MS))));
        let was_over = poll_fn(|context| {
            if !self.long.get() {
                return Poll::Ready(false);
            }
            self.waker.replace(Some(context.waker().clone()));
            timer.as_mut().poll(context).map(|()| true)
        })
        .await;
        self.long.set(false);
        self.waker.take();
        was_over
    }
}
