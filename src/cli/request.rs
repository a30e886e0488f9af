//! The flags that `tollgate run` and `tollgate capacity` share: where, what is asked, with what
//! credentials, how the generator works, and where the result goes. Names follow wrk, oha and curl
//! where those agree.

use super::flags::group;

macro_rules! request_flags {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*
            request: RequestArgs {
                /// http or https URL
                #[argh(positional)]
                url: String,
                /// connections (default: 64)
                #[argh(option, short = 'c', default = "64")]
                connections: usize,
                /// generator threads, one a core (default: 1)
                #[argh(option, short = 't', default = "1")]
                threads: usize,
                /// arrivals of the open loop: constant or poisson (default: constant)
                #[argh(option, default = "String::from(\"constant\")")]
                arrivals: String,
                /// method (default: GET, or POST with a body)
                #[argh(option, short = 'm')]
                method: Option<String>,
                /// header as 'Name: value', or @FILE with one a line; may be repeated
                #[argh(option, short = 'H')]
                header: Vec<String>,
                /// request body as text
                #[argh(option)]
                body: Option<String>,
                /// request body from a file
                #[argh(option)]
                body_file: Option<String>,
                /// file of requests to send in turn, a line each: JSON with method, path, headers,
                /// body
                #[argh(option)]
                requests_file: Option<String>,
                /// statuses of a good response, one or several: 304 or 200,404 (default: any 2xx)
                #[argh(option)]
                expect_status: Option<String>,
                /// connect to this HOST:PORT; Host and SNI stay the URL's
                #[argh(option)]
                connect_to: Option<String>,
                /// name to send as SNI and to find in the certificate (default: the URL's)
                #[argh(option)]
                server_name: Option<String>,
                /// PEM file with the CA of the server
                #[argh(option)]
                cacert: Option<String>,
                /// PEM file with the client's certificate chain
                #[argh(option)]
                cert: Option<String>,
                /// PEM file with the client's private key
                #[argh(option)]
                key: Option<String>,
                /// do not verify the server's certificate
                #[argh(switch, short = 'k')]
                insecure: bool,
                /// allow TLS session resumption
                #[argh(switch)]
                resumption: bool,
                /// file with a bearer token, - for standard input
                #[argh(option)]
                token_file: Option<String>,
                /// token endpoint for OAuth2 client credentials
                #[argh(option)]
                token_url: Option<String>,
                /// client id for --token-url
                #[argh(option)]
                client_id: Option<String>,
                /// file with the client's secret for --token-url
                #[argh(option)]
                client_secret_file: Option<String>,
                /// scopes to ask for at --token-url, separated by spaces
                #[argh(option)]
                scope: Option<String>,
                /// parameter for --token-url as K=V, such as audience=URL; may be repeated
                #[argh(option)]
                token_param: Vec<String>,
                /// unmeasured time before (default: 1s)
                #[argh(option, default = "String::from(\"1s\")")]
                warmup: String,
                /// longest wait for one answer (default: 10s)
                #[argh(option, default = "String::from(\"10s\")")]
                timeout: String,
                /// new connection after this many requests
                #[argh(option)]
                requests_per_connection: Option<u32>,
                /// how the generator waits: spin or sleep (default: sleep)
                #[argh(option, default = "String::from(\"sleep\")")]
                wait: String,
                /// cores for the generator, such as 1 or 2-3
                #[argh(option)]
                cores: Option<String>,
                /// the I/O driver: auto (the one that costs least: epoll) or epoll
                #[argh(option, default = "String::from(\"auto\")")]
                driver: String,
                /// read the server's CPU from these processes, such as 4711,4712
                #[argh(option)]
                server_pid: Option<String>,
                /// read the server's CPU from process_cpu_seconds_total of this page
                #[argh(option)]
                metrics_url: Option<String>,
                /// text, json, csv, markdown or quiet (default: text)
                #[argh(option, default = "String::from(\"text\")")]
                output_format: String,
                /// write the result here instead of standard output
                #[argh(option, short = 'o')]
                output: Option<String>,
                /// where the record is kept, or none (default: ./runs)
                #[argh(option)]
                runs: Option<String>,
                /// seed of every random choice
                #[argh(option)]
                seed: Option<u64>,
            }
        }
    };
}

request_flags! {
    group
    /// What was typed for the flags that both commands have.
    #[derive(Clone, Debug)]
}

pub(super) use request_flags;
