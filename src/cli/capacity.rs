//! What can be typed after `tollgate capacity`, beside what it shares with `tollgate run`.

use argh::FromArgs;

use super::request::with_request_flags;

with_request_flags! {
    /// Find what one URL can do: its closed-loop maximum, its times at shares of that, and the
    /// highest rate that keeps --slo.
    #[derive(FromArgs, Debug)]
    #[argh(subcommand, name = "capacity")]
    struct Capacity {
        /// a limit of response time to keep, such as p99=2ms (p50, p90, p99, p99.9 or max)
        #[argh(option)]
        pub(crate) slo: Option<String>,
        /// length of a slice at one rate, such as 1s or 250ms (default: 1s)
        #[argh(option, default = "String::from(\"1s\")")]
        pub(crate) slice: String,
        /// slices that must all keep --slo at the rate that is found (default: 20)
        #[argh(option, default = "20")]
        pub(crate) confirm: u32,
        /// how close the rate is searched for, of the maximum (default: 2%)
        #[argh(option, default = "String::from(\"2%\")")]
        pub(crate) resolution: String,
        /// invalid when the generator used more of its cores for the maximum (default: 95%)
        #[argh(option, default = "String::from(\"95%\")")]
        pub(crate) max_generator: String,
    }
}
