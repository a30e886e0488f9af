//! What can be typed after `tollgate matrix`. Names follow wrk, oha and curl where those agree.

use argh::FromArgs;

use super::request::with_bound_flags;

with_bound_flags! {
    /// Measure the whole matrix: what each layer of S0 to S5 costs on this machine. Any axis may
    /// take a list, and all combinations are run.
    #[derive(FromArgs, Debug)]
    #[argh(subcommand, name = "matrix")]
    struct Matrix {
        /// under a minute: shorter slices, fewer restarts
        #[argh(switch)]
        pub(crate) quick: bool,
        /// profiles, such as S0,S1,S4 (default: S0 to S5)
        #[argh(option)]
        pub(crate) profiles: Option<String>,
        /// all nine combinations of transport and token check, and whether their costs add up
        #[argh(switch)]
        pub(crate) factorial: bool,
        /// orders-create, orders-read, inventory-reserve, ping (default: orders-create)
        #[argh(option)]
        pub(crate) workloads: Option<String>,
        /// http/1.1, the only one so far
        #[argh(option)]
        pub(crate) protocols: Option<String>,
        /// gateway or direct (default: gateway)
        #[argh(option)]
        pub(crate) call_path: Option<String>,
        /// requests per second for every variant (default: 40% of the slowest one's capacity)
        #[argh(option)]
        pub(crate) rates: Option<String>,
        /// the same as --rates
        #[argh(option, short = 'R')]
        pub(crate) rate: Option<String>,
        /// connections (default: 64)
        #[argh(option, short = 'c')]
        pub(crate) connections: Option<String>,
        /// new connection after so many requests, or keep (default: keep)
        #[argh(option)]
        pub(crate) requests_per_connection: Option<String>,
        /// handshakes of new connections: full or resumed (default: full)
        #[argh(option)]
        pub(crate) handshake: Option<String>,
        /// one or unique:N (default: unique:256 uncached and one cached, each profile twice)
        #[argh(option)]
        pub(crate) tokens: Option<String>,
        /// keep verified tokens, on or off (default: both, see --tokens)
        #[argh(option)]
        pub(crate) token_cache: Option<String>,
        /// signature of tokens: es256, eddsa or rs256 (default: es256)
        #[argh(option)]
        pub(crate) token_alg: Option<String>,
        /// worker threads a service (default: 1)
        #[argh(option)]
        pub(crate) workers: Option<String>,
        /// vary this axis alone, others at their first value; may be repeated
        #[argh(option)]
        pub(crate) vary: Vec<String>,
        /// TOML file that names your own servers, to be measured instead of the stack
        #[argh(option)]
        pub(crate) targets: Option<String>,
        /// mesh (a process a service) or single (one process) (default: mesh)
        #[argh(option)]
        pub(crate) topology: Option<String>,
        /// arrivals: constant or poisson (default: constant)
        #[argh(option, default = "String::from(\"constant\")")]
        pub(crate) arrivals: String,
        /// rounds in all (default: 36; 12 with --quick; at most 180 with --until-ci)
        #[argh(option)]
        pub(crate) rounds: Option<u32>,
        /// end when every interval is within this share of the baseline, such as 5%
        #[argh(option)]
        pub(crate) until_ci: Option<String>,
        /// begin no further round after this long, such as 10m
        #[argh(option)]
        pub(crate) max_duration: Option<String>,
        /// length of a slice, such as 1s or 250ms
        #[argh(option)]
        pub(crate) slice: Option<String>,
        /// how often every process is started anew (default: 12 times; 6 times with --quick)
        #[argh(option)]
        pub(crate) instances: Option<u32>,
        /// cores for the servers, such as 0 (default: the first of those that this process has)
        #[argh(option)]
        pub(crate) server_cores: Option<String>,
        /// cores for the generator (default: the last)
        #[argh(option)]
        pub(crate) generator_cores: Option<String>,
        /// the I/O driver of servers and generator: auto or epoll
        #[argh(option, default = "String::from(\"auto\")")]
        pub(crate) driver: String,
        /// refuse to run where io_uring cannot be used
        #[argh(switch)]
        pub(crate) require_io_uring: bool,
        /// search every variant's capacity after the rounds, and its times by load
        #[argh(switch)]
        pub(crate) capacity: bool,
        /// with --capacity, the highest rate that keeps a limit such as p99=2ms
        #[argh(option)]
        pub(crate) slo: Option<String>,
        /// exit 99 when this holds, such as 'S4.cpu_us_per_request > 1.05 * baseline'; may be
        /// repeated
        #[argh(option)]
        pub(crate) fail_if: Vec<String>,
        /// the run that `baseline` in --fail-if means: its directory
        #[argh(option)]
        pub(crate) baseline: Option<String>,
        /// PEM file with an RSA key, for --token-alg rs256
        #[argh(option)]
        pub(crate) rs256_key: Option<String>,
        /// text, json, csv, markdown or quiet (default: text)
        #[argh(option, default = "String::from(\"text\")")]
        pub(crate) output_format: String,
        /// where runs are kept (default: ./runs)
        #[argh(option, short = 'o', default = "String::from(\"runs\")")]
        pub(crate) output: String,
        /// name of this run in its outputs
        #[argh(option)]
        pub(crate) label: Option<String>,
        /// seed of every random choice
        #[argh(option)]
        pub(crate) seed: Option<u64>,
    }
}
