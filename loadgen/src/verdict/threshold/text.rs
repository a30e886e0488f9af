//! Judgements as a person reads them in a terminal: what failed, and both sides of it.

use super::Judgement;
use crate::report::{Paint, wrapped};

/// Each judgement with its sentence, at most 100 columns wide; empty where there is none.
#[must_use]
pub fn text(judgements: &[Judgement], paint: Paint) -> String {
    if judgements.is_empty() {
        return String::new();
    }
    let mut out = format!("{}\n", paint.wrap("1", "Thresholds"));
    for judgement in judgements {
        let head = match judgement.holds {
            true => paint.wrap("1;31", "FAILED"),
            false => paint.wrap("32", "kept"),
        };
        let cell = match judgement.cell.as_str() {
            "" => String::new(),
            label => format!(" in {label}"),
        };
        out.push_str(&format!("  {head}{cell}: {}\n", judgement.expression));
        out.push_str(&wrapped(&judgement.sentence, "    "));
    }
    out
}
