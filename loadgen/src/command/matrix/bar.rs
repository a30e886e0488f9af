//! The progress of an experiment on the error stream, drawn between slices only: a thread that drew
//! during one would run on a measured core. None where the stream is no terminal.

use indicatif::{ProgressBar, ProgressStyle};
use metrics_export::run::Slice;

use crate::experiment::Watcher;
use crate::plan::{PlannedCell, Variant};

/// The bar.
pub(super) struct SliceBar {
    bar: ProgressBar,
    /// Ids of variants, with their names for people.
    names: Vec<(String, String)>,
}

impl SliceBar {
    pub(super) fn new(variants: &[Variant], cells: &[PlannedCell]) -> SliceBar {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:25} {pos}/{len}  {eta} left  {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        let name = |variant: &Variant| match cells[variant.cell].label.as_str() {
            "" => variant.label.clone(),
            cell => format!("{} ({cell})", variant.label),
        };
        let names = variants.iter().map(|variant| (variant.id.clone(), name(variant)));
        SliceBar { bar, names: names.collect() }
    }
}

impl Watcher for SliceBar {
    fn taken(&mut self, done: u64, planned: u64, slice: &Slice) {
        let found = self.names.iter().find(|(id, _)| *id == slice.variant);
        let name = found.map_or(slice.variant.as_str(), |(_, name)| name);
        let rate = slice.answered_milli_per_s().unwrap_or(0.0) / 1e3;
        let p99 = slice.response.known(slice.response.p99_ns);
        let p99 = p99.map_or("-".into(), |ns| format!("{} us", ns / 1_000));
        self.bar.set_length(planned);
        self.bar.set_message(format!("{name} {}: {rate:.0}/s, p99 {p99}", slice.kind.as_str()));
        self.bar.set_position(done);
    }
}

impl Drop for SliceBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
