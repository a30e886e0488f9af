//! The flags that `tollgate run` and `tollgate capacity` share: where, what is asked, with what
//! credentials, how the generator works, when the result is invalid, and where it goes. Names
//! follow wrk, oha and curl where those agree.
//!
//! argh cannot put one struct into another, so a macro writes the same fields into both, and hands
//! them over as one plain struct.

/// What was typed for each bound of validity; None where the default holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct BoundWords {
    pub(crate) max_lateness_p99: Option<String>,
    pub(crate) min_achieved: Option<String>,
    pub(crate) max_dropped: Option<String>,
    pub(crate) max_steal: Option<String>,
    pub(crate) max_foreign: Option<String>,
    pub(crate) max_throttled: Option<String>,
    pub(crate) max_errors: Option<String>,
    pub(crate) max_in_flight_growth: Option<String>,
}

/// What was typed for the flags that both commands have.
#[derive(Clone, Debug)]
pub(crate) struct RequestWords {
    pub(crate) url: String,
    pub(crate) threads: usize,
    pub(crate) method: Option<String>,
    pub(crate) header: Vec<String>,
    pub(crate) body: Option<String>,
    pub(crate) body_file: Option<String>,
    pub(crate) requests_file: Option<String>,
    pub(crate) expect_status: Option<String>,
    pub(crate) connect_to: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) cacert: Option<String>,
    pub(crate) cert: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) resumption: bool,
    pub(crate) token_file: Option<String>,
    pub(crate) token_url: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret_file: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) token_param: Vec<String>,
    pub(crate) warmup: String,
    pub(crate) timeout: String,
    pub(crate) requests_per_connection: Option<u32>,
    pub(crate) wait: String,
    pub(crate) cores: Option<String>,
    pub(crate) driver: String,
    pub(crate) server_pid: Option<String>,
    pub(crate) metrics_url: Option<String>,
    pub(crate) output_format: String,
    pub(crate) output: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) bounds: BoundWords,
}

/// Writes a command's struct with the bounds of validity and its own flags.
macro_rules! with_bound_flags {
    ($(#[$meta:meta])* struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        pub(crate) struct $name {
            $($own)*
            /// invalid when sent later than this at p99 (default: 100us)
            #[argh(option)]
            pub(crate) max_lateness_p99: Option<String>,
            /// invalid when less came about of the rate that was asked (default: 99%)
            #[argh(option)]
            pub(crate) min_achieved: Option<String>,
            /// invalid when more requests found the queue full (default: 0)
            #[argh(option)]
            pub(crate) max_dropped: Option<String>,
            /// invalid when the hypervisor took more of the cores (default: 1%)
            #[argh(option)]
            pub(crate) max_steal: Option<String>,
            /// invalid when other programs used more of the cores (default: 2%)
            #[argh(option)]
            pub(crate) max_foreign: Option<String>,
            /// invalid when the control group was throttled more often (default: 0)
            #[argh(option)]
            pub(crate) max_throttled: Option<String>,
            /// invalid when more requests failed (default: 0)
            #[argh(option)]
            pub(crate) max_errors: Option<String>,
            /// invalid when unanswered requests grew by more (default: 10)
            #[argh(option)]
            pub(crate) max_in_flight_growth: Option<String>,
        }

        impl $name {
            /// Hands the bounds over.
            pub(crate) fn bounds(&self) -> $crate::cli::BoundWords {
                $crate::cli::BoundWords {
                    max_lateness_p99: self.max_lateness_p99.clone(),
                    min_achieved: self.min_achieved.clone(),
                    max_dropped: self.max_dropped.clone(),
                    max_steal: self.max_steal.clone(),
                    max_foreign: self.max_foreign.clone(),
                    max_throttled: self.max_throttled.clone(),
                    max_errors: self.max_errors.clone(),
                    max_in_flight_growth: self.max_in_flight_growth.clone(),
                }
            }
        }
    };
}

/// Writes a command's struct with the shared flags and its own.
macro_rules! with_request_flags {
    ($(#[$meta:meta])* struct $name:ident { $($own:tt)* }) => {
        $crate::cli::request::with_bound_flags! {
            $(#[$meta])*
            struct $name {
                /// http or https URL
                #[argh(positional)]
                pub(crate) url: String,
                $($own)*
                /// connections (default: 64)
                #[argh(option, short = 'c', default = "64")]
                pub(crate) connections: usize,
                /// generator threads, one a core (default: 1)
                #[argh(option, short = 't', default = "1")]
                pub(crate) threads: usize,
                /// arrivals of the open loop: constant or poisson (default: constant)
                #[argh(option, default = "String::from(\"constant\")")]
                pub(crate) arrivals: String,
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
                /// file of requests to send in turn, a line each: JSON with method, path, headers,
                /// body
                #[argh(option)]
                pub(crate) requests_file: Option<String>,
                /// statuses of a good response, one or several: 304 or 200,404 (default: any 2xx)
                #[argh(option)]
                pub(crate) expect_status: Option<String>,
                /// connect to this HOST:PORT; Host and SNI stay the URL's
                #[argh(option)]
                pub(crate) connect_to: Option<String>,
                /// name to send as SNI and to find in the certificate (default: the URL's)
                #[argh(option)]
                pub(crate) server_name: Option<String>,
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
                /// parameter for --token-url as K=V, such as audience=URL; may be repeated
                #[argh(option)]
                pub(crate) token_param: Vec<String>,
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
                /// read the server's CPU from these processes, such as 4711,4712
                #[argh(option)]
                pub(crate) server_pid: Option<String>,
                /// read the server's CPU from process_cpu_seconds_total of this page
                #[argh(option)]
                pub(crate) metrics_url: Option<String>,
                /// text, json, csv, markdown or quiet (default: text)
                #[argh(option, default = "String::from(\"text\")")]
                pub(crate) output_format: String,
                /// write the result here instead of standard output
                #[argh(option, short = 'o')]
                pub(crate) output: Option<String>,
                /// name of this run in its outputs
                #[argh(option)]
                pub(crate) label: Option<String>,
                /// seed of every random choice
                #[argh(option)]
                pub(crate) seed: Option<u64>,
            }
        }

        impl $name {
            /// Hands the shared flags over.
            pub(crate) fn request(&self) -> $crate::cli::RequestWords {
                $crate::cli::RequestWords {
                    url: self.url.clone(),
                    threads: self.threads,
                    method: self.method.clone(),
                    header: self.header.clone(),
                    body: self.body.clone(),
                    body_file: self.body_file.clone(),
                    requests_file: self.requests_file.clone(),
                    expect_status: self.expect_status.clone(),
                    connect_to: self.connect_to.clone(),
                    server_name: self.server_name.clone(),
                    cacert: self.cacert.clone(),
                    cert: self.cert.clone(),
                    key: self.key.clone(),
                    insecure: self.insecure,
                    resumption: self.resumption,
                    token_file: self.token_file.clone(),
                    token_url: self.token_url.clone(),
                    client_id: self.client_id.clone(),
                    client_secret_file: self.client_secret_file.clone(),
                    scope: self.scope.clone(),
                    token_param: self.token_param.clone(),
                    warmup: self.warmup.clone(),
                    timeout: self.timeout.clone(),
                    requests_per_connection: self.requests_per_connection,
                    wait: self.wait.clone(),
                    cores: self.cores.clone(),
                    driver: self.driver.clone(),
                    server_pid: self.server_pid.clone(),
                    metrics_url: self.metrics_url.clone(),
                    output_format: self.output_format.clone(),
                    output: self.output.clone(),
                    label: self.label.clone(),
                    seed: self.seed,
                    bounds: self.bounds(),
                }
            }
        }
    };
}

pub(super) use {with_bound_flags, with_request_flags};
