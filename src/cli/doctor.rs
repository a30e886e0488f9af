//! What can be typed after `tollgate doctor`.

use argh::FromArgs;

/// Look at this machine: what is good for measuring, what costs accuracy, how to fix it. Exits
/// with 0 when nothing blocks measuring, and with 1 when something does.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "doctor")]
pub(crate) struct DoctorArgs {
    /// text or json (default: text)
    #[argh(option, default = "String::from(\"text\")")]
    pub(crate) output_format: String,

    /// how long to measure the drift of this machine, up to 10m; 0 for not at all (default: 4s)
    #[argh(option, default = "String::from(\"4s\")")]
    pub(crate) drift: String,
}
