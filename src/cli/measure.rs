//! What can be typed after `tollgate run` and `tollgate matrix`. Names follow wrk, oha and curl
//! where those agree.

use argh::FromArgs;

/// Measure one URL: open loop at --rate, closed loop without.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "run")]
pub(crate) struct Run {
    /// http or https URL
    #[argh(positional)]
    pub(crate) url: String,
    /// connections (default: 64)
    #[argh(option, short = 'c', default = "64")]
    pub(crate) connections: usize,
    /// how long to measure, such as 10s, 500ms or 2m (default: 10s)
    #[argh(option, short = 'd', default = "String::from(\"10s\")")]
    pub(crate) duration: String,
    /// generator threads, one a core (default: 1)
    #[argh(option, short = 't', default = "1")]
    pub(crate) threads: usize,
    /// requests per second in all; gives an open loop
    #[argh(option, short = 'R')]
    pub(crate) rate: Option<f64>,
    /// the same as --rate
    #[argh(option, short = 'q')]
    pub(crate) qps: Option<f64>,
    /// arrivals of the open loop: constant or poisson (default: constant)
    #[argh(option, default = "String::from(\"constant\")")]
    pub(crate) arrivals: String,
    /// end after this many requests
    #[argh(option, short = 'n')]
    pub(crate) requests: Option<u64>,
    /// method (default: GET, or POST with a body)
    #[argh(option, short = 'm')]
    pub(crate) method: Option<String>,
    /// header as 'Name: value', or @FILE with one a line; may be repeated
    #[argh(option, short = 'H')]
    pub(crate) header: Vec<String>,
    /// request body as text
    #[argh(option)]
    pub(crate) body: Option<String>,
    /// request body from a file
    #[argh(option)]
    pub(crate) body_file: Option<String>,
    /// PEM file with the CA of the server
    #[argh(option)]
    pub(crate) cacert: Option<String>,
    /// PEM file with the client's certificate chain
    #[argh(option)]
    pub(crate) cert: Option<String>,
    /// PEM file with the client's private key
    #[argh(option)]
    pub(crate) key: Option<String>,
    /// do not verify the server's certificate
    #[argh(switch, short = 'k')]
    pub(crate) insecure: bool,
    /// allow TLS session resumption
    #[argh(switch)]
    pub(crate) resumption: bool,
    /// file with a bearer token, - for standard input
    #[argh(option)]
    pub(crate) token_file: Option<String>,
    /// token endpoint for OAuth2 client credentials
    #[argh(option)]
    pub(crate) token_url: Option<String>,
    /// client id for --token-url
    #[argh(option)]
    pub(crate) client_id: Option<String>,
    /// file with the client's secret for --token-url
    #[argh(option)]
    pub(crate) client_secret_file: Option<String>,
    /// scopes to ask for at --token-url, separated by spaces
    #[argh(option)]
    pub(crate) scope: Option<String>,
    /// unmeasured time before (default: 1s)
    #[argh(option, default = "String::from(\"1s\")")]
    pub(crate) warmup: String,
    /// longest wait for one answer (default: 10s)
    #[argh(option, default = "String::from(\"10s\")")]
    pub(crate) timeout: String,
    /// new connection after this many requests
    #[argh(option)]
    pub(crate) requests_per_connection: Option<u32>,
    /// how the generator waits: spin or sleep (default: sleep)
    #[argh(option, default = "String::from(\"sleep\")")]
    pub(crate) wait: String,
    /// cores for the generator, such as 1 or 2-3
    #[argh(option)]
    pub(crate) cores: Option<String>,
    /// the I/O driver: auto (the one that costs least: epoll) or epoll
    #[argh(option, default = "String::from(\"auto\")")]
    pub(crate) driver: String,
    /// text, json, csv, markdown or quiet (default: text)
    #[argh(option, default = "String::from(\"text\")")]
    pub(crate) output_format: String,
    /// write the result here instead of standard output
    #[argh(option, short = 'o')]
    pub(crate) output: Option<String>,
    /// write an HdrHistogram interval log here
    #[argh(option)]
    pub(crate) hlog: Option<String>,
    /// name of this run in its outputs
    #[argh(option)]
    pub(crate) label: Option<String>,
    /// seed of every random choice
    #[argh(option)]
    pub(crate) seed: Option<u64>,
}

/// Measure the whole matrix: what each layer of S0 to S5 costs on this machine. Any axis may take a
/// list, and all combinations are run.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "matrix")]
pub(crate) struct Matrix {
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
    #[argh(option, default = "String::from(\"mesh\")")]
    pub(crate) topology: String,
    /// arrivals: constant or poisson (default: constant)
    #[argh(option, default = "String::from(\"constant\")")]
    pub(crate) arrivals: String,
    /// rounds in all (default: 12; 8 with --quick; at most 60 with --until-ci)
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
    /// how often every process is started anew (default: every round; 4 times with --quick)
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
    /// PEM file with an RSA key, for --token-alg rs256
    #[argh(option)]
    pub(crate) rs256_key: Option<String>,
    /// text, json, csv or quiet (default: text)
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
