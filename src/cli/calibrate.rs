//! What can be typed after `tollgate calibrate`.

use argh::FromArgs;

/// Check the meter itself against servers of known cost. Exits with 0 when it is right, with 1 when
/// it is not, and with 3 when the machine was disturbed.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "calibrate")]
pub(crate) struct CalibrateArgs {
    /// a few minutes: a tenth of the experiments, shorter slices
    #[argh(switch)]
    pub(crate) quick: bool,
    /// parts to take: faults, schedules, delay, stall, pause, books, after, walk, added,
    /// added-short, added-long, added-whole, loaded (default: all of them)
    #[argh(option)]
    pub(crate) parts: Option<String>,
    /// experiments of each series (default: 100 for added, 10 for walk, else 30; a tenth with
    /// --quick)
    #[argh(option)]
    pub(crate) experiments: Option<u32>,
    /// rounds of an experiment, each with new processes (default: 12; 8 with --quick)
    #[argh(option)]
    pub(crate) rounds: Option<u32>,
    /// go on from the JSON of an earlier calibration by this build on this machine: only what is
    /// missing is taken
    #[argh(option)]
    pub(crate) resume: Option<String>,
    /// requests per second of an experiment (default: 8000)
    #[argh(option, short = 'R')]
    pub(crate) rate: Option<f64>,
    /// core for the servers, such as 0 (default: the first of those that this process has)
    #[argh(option)]
    pub(crate) server_cores: Option<String>,
    /// core for the generator (default: the last)
    #[argh(option)]
    pub(crate) generator_cores: Option<String>,
    /// the I/O driver of servers and generator: auto or epoll
    #[argh(option, default = "String::from(\"auto\")")]
    pub(crate) driver: String,
    /// text, json or markdown (default: text)
    #[argh(option, default = "String::from(\"text\")")]
    pub(crate) output_format: String,
    /// write the answer here instead of standard output
    #[argh(option, short = 'o')]
    pub(crate) output: Option<String>,
    /// seed of every random choice
    #[argh(option)]
    pub(crate) seed: Option<u64>,
}
