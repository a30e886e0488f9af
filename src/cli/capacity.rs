//! What can be typed after `tollgate capacity`, beside what it shares with `tollgate run`.

use super::annotations::annotation_flags;
use super::bounds::bound_flags;
use super::flags::flattened;
use super::request::request_flags;

request_flags! {
    annotation_flags bound_flags flattened
    /// Find what one URL can do: its closed-loop maximum, its times at shares of that, and the
    /// highest rate that keeps --slo.
    #[argh(subcommand, name = "capacity")]
    struct CapacityArgs {
        /// a limit of response time to keep, such as p99=2ms (p50, p90, p99, p99.9 or max)
        #[argh(option)]
        slo: Option<String>,
        /// length of a slice at one rate, such as 1s or 250ms (default: 1s)
        #[argh(option, default = "String::from(\"1s\")")]
        slice: String,
        /// slices that must all keep --slo at the rate that is found (default: 20)
        #[argh(option, default = "20")]
        confirm: u32,
        /// how close the rate is searched for, of the maximum (default: 2%)
        #[argh(option, default = "String::from(\"2%\")")]
        resolution: String,
        /// invalid when the generator used more of its cores for the maximum (default: 95%)
        #[argh(option, default = "String::from(\"95%\")")]
        max_generator: String,
    }
}
