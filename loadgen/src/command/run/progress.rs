//! The progress bar of `tollgate run`, on standard error. It is drawn by the watching thread, from
//! counters that workers keep for themselves; it refuses to touch a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::command::run::RunOptions;
use crate::command::run::rig::Drawer;
use crate::traffic::live::{Live, LiveCounts};

/// Figures are those of a second: p99 of a tenth of one would jump.
const SPAN: Duration = Duration::from_secs(1);

/// A bar that fills with time.
pub(super) struct RunProgress {
    bar: ProgressBar,
    live: Arc<[Live]>,
    begun: Instant,
    warmup: Duration,
    pace: LiveRate,
}

impl RunProgress {
    pub(super) fn new(options: &RunOptions, live: Arc<[Live]>) -> RunProgress {
        let whole = options.warmup + options.slice.duration;
        let bar = ProgressBar::new(whole.as_millis() as u64);
        let template = "{msg:52} [{bar:25}] {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let begun = Instant::now();
        let pace = LiveRate::new(LiveCounts::read(&live), begun);
        RunProgress { bar, live, begun, warmup: options.warmup, pace }
    }

    /// The bar as the rig takes it.
    pub(super) fn drawer(mut self) -> Drawer {
        Box::new(move || self.draw())
    }

    fn draw(&mut self) {
        let doing = if self.begun.elapsed() < self.warmup { "warming up" } else { "measuring" };
        let figures = self.pace.figures(LiveCounts::read(&self.live), Instant::now());
        self.bar.set_message(format!("{doing}, {figures}"));
        self.bar.set_position(self.begun.elapsed().as_millis() as u64);
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Rate and p99 of the last whole second, or of what there is of the first; errors so far.
struct LiveRate {
    /// When the second began that is under way, and what had come until then.
    since: (Instant, LiveCounts),
    /// Figures of the second before it.
    last: Option<String>,
}

impl LiveRate {
    fn new(seen: LiveCounts, now: Instant) -> LiveRate {
        LiveRate { since: (now, seen), last: None }
    }

    fn figures(&mut self, seen: LiveCounts, now: Instant) -> String {
        let (began, before) = &self.since;
        let errors = seen.errors;
        let mut shown = self.last.clone();
        if now - *began >= SPAN || shown.is_none() {
            let came = &seen - before;
            let rate = came.ok() as f64 / (now - *began).as_secs_f64().max(0.001);
            let p99 = came.p99_ns().map(|ns| format!(", p99 {}", time(ns))).unwrap_or_default();
            let figures = format!("{rate:.0} requests/s{p99}");
            if now - *began >= SPAN {
                self.since = (now, seen);
                self.last = Some(figures.clone());
            }
            shown = Some(figures);
        }
        let shown = shown.unwrap_or_default();
        if errors == 0 { shown } else { format!("{shown}, {errors} errors") }
    }
}

/// With as many digits as the counters are good for.
fn time(ns: u64) -> String {
    match ns as f64 / 1e3 {
        us if us < 1e3 => format!("{us:.0} us"),
        us if us < 1e5 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.0} ms", us / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn figures_are_those_of_the_last_whole_second() {
        let live = [Live::default()];
        let begin = Instant::now();
        let mut pace = LiveRate::new(LiveCounts::read(&live), begin);
        let mut at = |ms: u64, replies: u64, ns: u64| {
            (0..replies).for_each(|_| live[0].replied(ns));
            pace.figures(LiveCounts::read(&live), begin + Duration::from_millis(ms))
        };
        assert_eq!(at(100, 0, 0), "0 requests/s");
        assert_eq!(at(500, 50, 100_000), "100 requests/s, p99 100 us");
        assert_eq!(at(1000, 50, 100_000), "100 requests/s, p99 100 us");
        assert_eq!(at(1500, 1000, 9_000_000), "100 requests/s, p99 100 us");
        assert_eq!(at(2000, 0, 0), "1000 requests/s, p99 9.2 ms");
        live[0].errors.fetch_add(3, Ordering::Relaxed);
        assert_eq!(
            pace.figures(LiveCounts::read(&live), begin + Duration::from_millis(2100)),
            "1000 requests/s, p99 9.2 ms, 3 errors"
        );
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!(
            [900, 82_000, 9_140_000, 250_000_000].map(time),
            ["1 us", "82 us", "9.1 ms", "250 ms"]
        );
    }
}
