//! What can be typed after `tollgate matrix`. Names follow wrk, oha and curl where those agree.

use super::annotations::annotation_flags;
use super::bounds::bound_flags;
use super::flags::flattened;

annotation_flags! {
    bound_flags flattened
    /// Measure the whole matrix: what each layer of S0 to S5 costs on this machine. Any axis may
    /// take a list, and all combinations are run.
    #[argh(subcommand, name = "matrix")]
    struct MatrixArgs {
        /// under a minute: shorter slices, fewer restarts
        #[argh(switch)]
        quick: bool,
        /// profiles, such as S0,S1,S4 (default: S0 to S5)
        #[argh(option)]
        profiles: Option<String>,
        /// all nine combinations of transport and token check, and whether their costs add up
        #[argh(switch)]
        factorial: bool,
        /// orders-create, orders-read, inventory-reserve, ping (default: orders-create)
        #[argh(option)]
        workloads: Option<String>,
        /// http/1.1, the only one so far
        #[argh(option)]
        protocols: Option<String>,
        /// gateway or direct (default: gateway)
        #[argh(option)]
        call_path: Option<String>,
        /// requests per second for every variant (default: 40% of the slowest one's capacity)
        #[argh(option)]
        rates: Option<String>,
        /// the same as --rates
        #[argh(option, short = 'R')]
        rate: Option<String>,
        /// connections (default: 64)
        #[argh(option, short = 'c')]
        connections: Option<String>,
        /// new connection after so many requests, or keep (default: keep)
        #[argh(option)]
        requests_per_connection: Option<String>,
        /// handshakes of new connections: full or resumed (default: full)
        #[argh(option)]
        handshake: Option<String>,
        /// one or unique:N (default: unique:256 uncached and one cached, each profile twice)
        #[argh(option)]
        tokens: Option<String>,
        /// keep verified tokens, on or off (default: both, see --tokens)
        #[argh(option)]
        token_cache: Option<String>,
        /// signature of tokens: es256, eddsa or rs256 (default: es256)
        #[argh(option)]
        token_alg: Option<String>,
        /// worker threads a service (default: 1)
        #[argh(option)]
        workers: Option<String>,
        /// vary this axis alone, others at their first value; may be repeated
        #[argh(option)]
        vary: Vec<String>,
        /// TOML file that names your own servers, to be measured instead of the stack
        #[argh(option)]
        targets: Option<String>,
        /// builds of tollgate to compare, NAME=PATH,NAME=PATH, the reference first; under S0 and
        /// S4 unless --profiles says otherwise
        #[argh(option)]
        builds: Option<String>,
        /// mesh (a process a service) or single (one process) (default: mesh)
        #[argh(option)]
        topology: Option<String>,
        /// arrivals: constant or poisson (default: constant)
        #[argh(option, default = "String::from(\"constant\")")]
        arrivals: String,
        /// rounds in all (default: 36; 12 with --quick; at most 180 with --until-ci)
        #[argh(option)]
        rounds: Option<u32>,
        /// end when every interval is within this share of the baseline, such as 5%
        #[argh(option)]
        until_ci: Option<String>,
        /// begin no further round after this long, such as 10m
        #[argh(option)]
        max_duration: Option<String>,
        /// length of a slice for each variant, such as 1s or 250ms
        #[argh(option)]
        slice: Option<String>,
        /// measure for less than a minute, say how narrow the intervals of a run will be, and end
        #[argh(switch)]
        plan: bool,
        /// how variants take turns within a slice: auto, a length such as 5ms, or whole for one
        /// variant a slice (default: auto)
        #[argh(option, default = "String::from(\"auto\")")]
        block: String,
        /// how often every process is started anew (default: 12 times; 6 times with --quick)
        #[argh(option)]
        instances: Option<u32>,
        /// cores for the servers, such as 0 (default: the first of those that this process has)
        #[argh(option)]
        server_cores: Option<String>,
        /// cores for the generator (default: the last)
        #[argh(option)]
        generator_cores: Option<String>,
        /// the I/O driver of servers and generator: auto or epoll
        #[argh(option, default = "String::from(\"auto\")")]
        driver: String,
        /// refuse to run where io_uring cannot be used
        #[argh(switch)]
        require_io_uring: bool,
        /// search every variant's capacity after the rounds, and its times by load
        #[argh(switch)]
        capacity: bool,
        /// with --capacity, the highest rate that keeps a limit such as p99=2ms
        #[argh(option)]
        slo: Option<String>,
        /// exit 99 when this holds, such as 'S4.cpu_us_per_request > 1.05 * baseline'; may be
        /// repeated
        #[argh(option)]
        fail_if: Vec<String>,
        /// the run that `baseline` in --fail-if means: its directory
        #[argh(option)]
        baseline: Option<String>,
        /// PEM file with an RSA key, for --token-alg rs256
        #[argh(option)]
        rs256_key: Option<String>,
        /// text, json, csv, markdown or quiet (default: text)
        #[argh(option, default = "String::from(\"text\")")]
        output_format: String,
        /// where runs are kept (default: ./runs)
        #[argh(option, short = 'o', default = "String::from(\"runs\")")]
        output: String,
        /// seed of every random choice
        #[argh(option)]
        seed: Option<u64>,
    }
}
