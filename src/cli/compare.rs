//! What can be typed after `tollgate compare`.

use argh::FromArgs;

/// Compare two runs of `tollgate matrix`: what changed, and whether it is distinguishable from
/// noise.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "compare")]
pub(crate) struct CompareArgs {
    /// the run before: its directory or its run.json
    #[argh(positional)]
    pub(crate) before: String,
    /// the run after
    #[argh(positional)]
    pub(crate) after: String,
    /// condition that fails the comparison (exit code 99), such as 'S4.cpu_us_per_request > 1.05 *
    /// baseline'; may be repeated
    #[argh(option)]
    pub(crate) fail_if: Vec<String>,
    /// text, json, markdown or quiet (default: text)
    #[argh(option, default = "String::from(\"text\")")]
    pub(crate) output_format: String,
}
