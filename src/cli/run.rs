//! What can be typed after `tollgate run`, beside what it shares with `tollgate capacity`.

use super::annotations::annotation_flags;
use super::bounds::bound_flags;
use super::flags::flattened;
use super::request::request_flags;

request_flags! {
    annotation_flags bound_flags flattened
    /// Measure one URL: open loop at --rate, closed loop without.
    #[argh(subcommand, name = "run")]
    struct RunArgs {
        /// how long to measure, such as 10s, 500ms or 2m (default: 10s)
        #[argh(option, short = 'd', default = "String::from(\"10s\")")]
        duration: String,
        /// requests per second in all; gives an open loop
        #[argh(option, short = 'R')]
        rate: Option<f64>,
        /// the same as --rate
        #[argh(option, short = 'q')]
        qps: Option<f64>,
        /// end after this many requests
        #[argh(option, short = 'n')]
        requests: Option<u64>,
        /// write an HdrHistogram interval log here
        #[argh(option)]
        hlog: Option<String>,
    }
}
