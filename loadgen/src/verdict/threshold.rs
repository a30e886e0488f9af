//! Thresholds: `S4.cpu_us_per_request > 1.05 * baseline` as a text, as a tree, and as an answer.
//!
//! Owns the language of `--fail-if` and what its names mean within a run. Pure: a text and records
//! in, sentences out. It refuses what could be read in two ways: a percentage that is added, two
//! units that do not go together, a `baseline` that could mean one of several figures, and names
//! of variants that were measured under different settings.

mod judge;
mod lex;
mod metric;
mod names;
mod noise;
mod parse;
mod scene;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use std::fmt;

use metrics_export::run::Run;
use serde::Serialize;

use tree::Expr;

pub use names::Named;
pub use text::text;

/// The longest expression, in bytes: far beyond what a person reads.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;

/// The exit code of a threshold that holds.
const EXIT_FAILED: u8 = 99;

/// A condition that fails a run when it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    tree: Expr,
}

/// What became of a threshold in one cell of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The expression as it was typed.
    pub expression: String,
    /// The label of the cell; empty where there is only one.
    pub cell: String,
    /// Whether it holds, so that the run fails.
    pub holds: bool,
    /// Both sides with their figures, and for CPU whether the difference is beyond noise.
    pub sentence: String,
}

/// The exit code of a command that would end with `own`: 99 where a condition holds for what is
/// otherwise good.
#[must_use]
pub fn exit_code(own: u8, judgements: &[Judgement]) -> u8 {
    let failed = judgements.iter().any(|judgement| judgement.holds);
    if own == 0 && failed { EXIT_FAILED } else { own }
}

/// What is wrong with an expression, or with the run that it is asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdError {
    /// Where in the text, in characters from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.sentence)
    }
}

impl std::error::Error for ThresholdError {}

impl ThresholdError {
    fn at<T>(column: usize, sentence: impl Into<String>) -> Result<T, ThresholdError> {
        Err(ThresholdError { column, sentence: sentence.into() })
    }
}

impl Threshold {
    /// Reads an expression.
    ///
    /// # Errors
    /// The column and what is wrong there.
    pub fn parse(text: &str) -> Result<Threshold, ThresholdError> {
        if text.len() > TEXT_BYTES_MAX {
            return ThresholdError::at(
                TEXT_BYTES_MAX,
                format!("an expression has at most {TEXT_BYTES_MAX} bytes; use --fail-if twice"),
            );
        }
        Ok(Threshold { text: text.to_owned(), tree: parse::parse(text)? })
    }

    /// The expression as it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks before anything is measured that a run of these variants can answer: every one that
    /// is named is there, and a run to compare with where `baseline` is said. Layers are known
    /// only after.
    ///
    /// # Errors
    /// The column and what is wrong there.
    pub fn check(&self, known: &[Named<'_>], has_baseline: bool) -> Result<(), ThresholdError> {
        names::check(&self.tree, known, has_baseline)
    }

    /// Says what became of it, once for each cell that has its variants. `baseline` is the run
    /// that the word means.
    ///
    /// # Errors
    /// The column of a name that the run does not have, or of a figure that was not measured.
    pub fn judge(
        &self,
        run: &Run,
        baseline: Option<&Run>,
    ) -> Result<Vec<Judgement>, ThresholdError> {
        self.check(&Named::of(&run.plan), baseline.is_some())?;
        judge::judge(self, run, baseline)
    }
}
