//! The progress bar of `tollgate run`, on standard error. It is drawn by the watching thread, from
//! counters that workers publish ten times a second; it refuses to touch a worker.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    generator::Live,
    run::{RunOptions, rig::Drawer},
};

/// A bar that fills with time.
pub(super) struct Progress {
    bar: ProgressBar,
    live: Arc<[Live]>,
    begun: Instant,
    warmup: Duration,
    seen: (Instant, u64),
}

impl Progress {
    pub(super) fn new(options: &RunOptions, live: Arc<[Live]>) -> Progress {
        let whole = options.warmup + options.slice.duration;
        let bar = ProgressBar::new(whole.as_millis() as u64);
        let template = "{msg:32} [{bar:30}] {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let now = Instant::now();
        Progress { bar, live, begun: now, warmup: options.warmup, seen: (now, 0) }
    }

    /// The bar as the rig takes it.
    pub(super) fn drawer(mut self) -> Drawer {
        Box::new(move || self.draw())
    }

    fn draw(&mut self) {
        let sum = |pick: fn(&Live) -> u64| self.live.iter().map(pick).sum::<u64>();
        let ok = sum(|live| live.ok.load(Ordering::Relaxed));
        let errors = sum(|live| live.errors.load(Ordering::Relaxed));
        let (before, seen) = self.seen;
        let now = Instant::now();
        let rate = (ok - seen) as f64 / (now - before).as_secs_f64().max(0.001);
        self.seen = (now, ok);
        let doing = if self.begun.elapsed() < self.warmup { "warming up" } else { "measuring" };
        self.bar.set_message(match errors {
            0 => format!("{doing}, {rate:.0} requests/s"),
            _ => format!("{doing}, {rate:.0} requests/s, {errors} errors"),
        });
        self.bar.set_position(self.begun.elapsed().as_millis() as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
