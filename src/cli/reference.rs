//! What can be typed after `tollgate reference`.

use argh::FromArgs;

/// Run a server of known cost, to see whether a meter is right. Plain HTTP, on loopback only.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "reference")]
pub(crate) struct ReferenceArgs {
    /// address and port to serve (default: 127.0.0.1:8480)
    #[argh(option, default = "String::from(\"127.0.0.1:8480\")")]
    pub(crate) listen: String,
    /// address and port of /metrics, where it says what it did (default: 127.0.0.1:9480)
    #[argh(option, default = "String::from(\"127.0.0.1:9480\")")]
    pub(crate) admin: String,
    /// cores to run on, one worker each, such as 0 or 0,2-3
    #[argh(option)]
    pub(crate) cores: Option<String>,
    /// the I/O driver: auto or epoll
    #[argh(option, default = "String::from(\"auto\")")]
    pub(crate) driver: String,
    /// processor time that every request burns, in us, such as 50 or 0.5
    #[argh(option, default = "0.0")]
    pub(crate) busy_us: f64,
    /// the same, after the response was written
    #[argh(option, default = "0.0")]
    pub(crate) after_us: f64,
    /// memory that every request reads, one word of each cache line, in KiB
    #[argh(option, default = "0")]
    pub(crate) walk_kib: u32,
    /// how long every answer waits, in whole ms, and up to one more
    #[argh(option, default = "0")]
    pub(crate) delay_ms: u64,
    /// stand still for 100 ms once a second: --pause-ms 100 --pause-every-ms 1000
    #[argh(switch)]
    pub(crate) stall: bool,
    /// how long the core stands still each time, in ms
    #[argh(option)]
    pub(crate) pause_ms: Option<u64>,
    /// from the beginning of one pause to that of the next, in ms
    #[argh(option)]
    pub(crate) pause_every_ms: Option<u64>,
    /// burn processor time while the core stands still, instead of sleeping
    #[argh(switch)]
    pub(crate) pause_burns: bool,
    /// how long each of the cores is busy without any request, each time, in ms
    #[argh(option)]
    pub(crate) load_ms: Option<u64>,
    /// from the beginning of one such time to that of the next, in ms
    #[argh(option)]
    pub(crate) load_every_ms: Option<u64>,
    /// share of the answers that is wrong: a 500 and a body too short, by turns
    #[argh(option, default = "0.0")]
    pub(crate) wrong_percent: f64,
    /// share of the requests whose connection is reset instead of an answer
    #[argh(option, default = "0.0")]
    pub(crate) reset_percent: f64,
    /// end when standard input closes, as it does when the parent is gone
    #[argh(switch)]
    pub(crate) exit_with_stdin: bool,
}
