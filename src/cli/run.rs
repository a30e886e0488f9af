//! What can be typed after `tollgate run`, beside what it shares with `tollgate capacity`.

use argh::FromArgs;

use super::request::with_request_flags;

with_request_flags! {
    /// Measure one URL: open loop at --rate, closed loop without.
    #[derive(FromArgs, Debug)]
    #[argh(subcommand, name = "run")]
    struct Run {
        /// how long to measure, such as 10s, 500ms or 2m (default: 10s)
        #[argh(option, short = 'd', default = "String::from(\"10s\")")]
        pub(crate) duration: String,
        /// requests per second in all; gives an open loop
        #[argh(option, short = 'R')]
        pub(crate) rate: Option<f64>,
        /// the same as --rate
        #[argh(option, short = 'q')]
        pub(crate) qps: Option<f64>,
        /// end after this many requests
        #[argh(option, short = 'n')]
        pub(crate) requests: Option<u64>,
        /// write an HdrHistogram interval log here
        #[argh(option)]
        pub(crate) hlog: Option<String>,
    }
}
