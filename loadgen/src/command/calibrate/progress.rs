//! How far a calibration is, on the error stream, drawn between slices only: a thread that drew
//! during one would run on a measured core. Nothing is drawn where the stream is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use metrics_export::run::Slice;

use crate::experiment::Watcher;

use super::CalibrationPart;

/// What a slice takes beside its own time: connections, pages, and waiting until everything is
/// idle.
pub(super) const SLICE_EXTRA: Duration = Duration::from_millis(40);

/// What starting a server and stopping it again takes.
pub(super) const START_EXTRA: Duration = Duration::from_millis(80);

/// A bar whose length is the planned time.
pub(super) struct CalibrationProgress {
    bar: ProgressBar,
    part: &'static str,
    /// The planned time of the parts before, and of all of this one.
    before: Duration,
    planned: Duration,
    /// What is taken together in this part: experiments.
    turn: (u32, u32),
}

impl CalibrationProgress {
    pub(super) fn new(planned: Duration) -> CalibrationProgress {
        let bar = ProgressBar::new(planned.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:25} {eta} left  {msg}") {
            bar.set_style(style);
        }
        let none = Duration::ZERO;
        CalibrationProgress { bar, part: "", before: none, planned: none, turn: (0, 1) }
    }

    /// A part begins, however much of the one before was taken.
    pub(super) fn begin(&mut self, part: CalibrationPart, planned: Duration) {
        self.before += self.planned;
        (self.part, self.planned, self.turn) = (part.as_str(), planned, (0, 1));
        self.bar.set_position(self.before.as_millis() as u64);
        self.bar.set_message(self.part);
    }

    /// Experiment `turn` of so many begins.
    pub(super) fn turn(&mut self, turn: u32, of: u32) {
        self.turn = (turn.min(of.saturating_sub(1)), of.max(1));
        self.bar.set_message(format!("{}: experiment {} of {of}", self.part, turn + 1));
    }

    /// A slice of a part without experiments was taken.
    pub(super) fn slice(&self, slice: &Slice) {
        let most = (self.before + self.planned).as_millis() as u64;
        let taken = Duration::from_nanos(slice.duration_ns) + SLICE_EXTRA;
        self.bar.set_position((self.bar.position() + taken.as_millis() as u64).min(most));
    }

    pub(super) fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Watcher for CalibrationProgress {
    fn taken(&mut self, done: u64, planned: u64, _slice: &Slice) {
        let (turn, of) = self.turn;
        let share = (f64::from(turn) + done as f64 / planned.max(1) as f64) / f64::from(of);
        let at = self.before + self.planned.mul_f64(share.clamp(0.0, 1.0));
        self.bar.set_position(at.as_millis() as u64);
    }
}
