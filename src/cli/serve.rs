//! What can be typed after `tollgate serve`. Every option is listed once, with its help. All
//! services take the same options; one that a service has no use for is refused by
//! `serve::command`, never ignored.

use argh::FromArgs;
use services::ServiceKind;

/// Run one service of the stack, or all of them in one process.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "serve")]
pub(crate) struct ServeArgs {
    #[argh(subcommand)]
    pub(crate) service: ServiceArgs,
}

/// Writes, from one list of services and one of options: what argh reads for each service, since it
/// has no flattening, and the two structures that the rest of the program reads.
macro_rules! serve {
    (
        services { $($(#[$doc:meta])* $service:ident = $word:literal, $type:ident;)* }
        common $common:tt
        role $role:tt
    ) => {
        /// Which service to run, with its options.
        #[derive(FromArgs, Debug)]
        #[argh(subcommand)]
        pub(crate) enum ServiceArgs {
            $($service($type),)*
        }

        impl ServiceArgs {
            /// Which service was typed, and the options after it.
            pub(crate) fn into_options(self) -> (ServiceKind, ServeOptions) {
                match self {
                    $(ServiceArgs::$service(typed) => (ServiceKind::$service, typed.into()),)*
                }
            }
        }

        serve! { @options $common $role }
        $(serve! { @service $(#[$doc])* $type = $word, $common $role })*
    };
    (@options
        { $($(#[$($_meta:tt)*])* $field:ident: $outer:ident $(<$inner:ident>)?,)* }
        { $($(#[$($_own_meta:tt)*])* $own:ident: $own_outer:ident $(<$own_inner:ident>)?,)* }
    ) => {
        /// The options of `tollgate serve SERVICE`, as typed.
        #[derive(Debug)]
        pub(crate) struct ServeOptions {
            $(pub(crate) $field: $outer $(<$inner>)?,)*
            pub(crate) role: RoleOptions,
        }

        /// The options that only some services have a use for, as typed. A service takes what it
        /// has a use for; what is left is refused.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct RoleOptions {
            $(pub(crate) $own: $own_outer $(<$own_inner>)?,)*
        }

        impl RoleOptions {
            /// The options that were given and that nobody has taken.
            pub(crate) fn left(&self) -> Vec<String> {
                let given = [$((stringify!($own), self.$own.is_given())),*];
                let left = given.into_iter().filter(|(_, is_given)| *is_given);
                left.map(|(field, _)| format!("--{}", field.replace('_', "-"))).collect()
            }
        }
    };
    (@service $(#[$doc:meta])* $type:ident = $word:literal,
        { $($(#[$($meta:tt)*])* $field:ident: $outer:ident $(<$inner:ident>)?,)* }
        { $($(#[$($own_meta:tt)*])* $own:ident: $own_outer:ident $(<$own_inner:ident>)?,)* }
    ) => {
        $(#[$doc])*
        #[derive(FromArgs, Debug)]
        #[argh(subcommand, name = $word)]
        pub(crate) struct $type {
            $($(#[$($meta)*])* $field: $outer $(<$inner>)?,)*
            $($(#[$($own_meta)*])* $own: $own_outer $(<$own_inner>)?,)*
        }

        impl From<$type> for ServeOptions {
            fn from(typed: $type) -> ServeOptions {
                ServeOptions {
                    $($field: typed.$field,)*
                    role: RoleOptions { $($own: typed.$own,)* },
                }
            }
        }
    };
}

/// Whether an option was typed.
trait Given {
    fn is_given(&self) -> bool;
}

impl<T> Given for Option<T> {
    fn is_given(&self) -> bool {
        self.is_some()
    }
}

impl<T> Given for Vec<T> {
    fn is_given(&self) -> bool {
        !self.is_empty()
    }
}

impl Given for bool {
    fn is_given(&self) -> bool {
        *self
    }
}

serve! {
    services {
        /// Run the auth server: issues access tokens and publishes their keys.
        Auth = "auth", ServeAuth;
        /// Run the gateway: checks every request and passes it on.
        Gateway = "gateway", ServeGateway;
        /// Run the order service.
        Orders = "orders", ServeOrders;
        /// Run the inventory service.
        Inventory = "inventory", ServeInventory;
        /// Run the results service (not built yet; says so and ends).
        Results = "results", ServeResults;
        /// Run every service in one process behind one listener.
        All = "all", ServeAll;
    }
    common {
        /// security profile S0 to S5, or TRANSPORT+CHECK (else SEC_PROFILE, else S2)
        #[argh(option)]
        profile: Option<String>,
        /// address and port to serve (default: the port table, on 127.0.0.1)
        #[argh(option)]
        listen: Option<String>,
        /// address and port of /livez, /readyz and /metrics (default: the port + 1000)
        #[argh(option)]
        admin: Option<String>,
        /// state directory with keys and certificates
        #[argh(option)]
        state: Option<String>,
        /// worker threads, one a core (default: 1)
        #[argh(option)]
        workers: Option<usize>,
        /// cores to run on, such as 0 or 0,2-3
        #[argh(option)]
        cores: Option<String>,
        /// the I/O driver: auto or epoll
        #[argh(option, default = "String::from(\"auto\")")]
        driver: String,
        /// refuse to start where io_uring cannot be used
        #[argh(switch)]
        require_io_uring: bool,
        /// serve plain HTTP on an address that is not loopback, all the same
        #[argh(switch)]
        allow_insecure: bool,
        /// longest wait for requests in flight when stopping, in ms
        #[argh(option)]
        drain_ms: Option<u64>,
        /// most connections at a time
        #[argh(option)]
        connections_max: Option<usize>,
        /// memory for request bodies on one core, such as 64MiB (default); more are 503
        #[argh(option)]
        body_memory: Option<String>,
        /// least bytes a second of a peer while it is waited for (default: 240; 0: off)
        #[argh(option)]
        min_rate: Option<u32>,
        /// PEM file: the server's certificate chain
        #[argh(option)]
        server_cert: Option<String>,
        /// PEM file: the server's private key
        #[argh(option)]
        server_key: Option<String>,
        /// PEM file: the CA whose client certificates are accepted, and whose servers are
        #[argh(option)]
        client_ca: Option<String>,
        /// PEM file: revoked client certificates
        #[argh(option)]
        crl: Option<String>,
        /// TOML file: which certificates may bring which clients' tokens under S5
        #[argh(option)]
        client_certificates: Option<String>,
        /// token keys: a file or an http(s) URL
        #[argh(option)]
        jwks: Option<String>,
        /// issuer that tokens must name
        #[argh(option)]
        issuer: Option<String>,
        /// audience that tokens must name; may be repeated, one of them is enough, and auth
        /// issues for the first
        #[argh(option)]
        audience: Vec<String>,
        /// longest life of a token that is accepted, such as 15m or 24h (default)
        #[argh(option)]
        token_ttl_max: Option<String>,
        /// keep verified tokens: on or off (default: on)
        #[argh(option)]
        token_cache: Option<String>,
        /// most verified tokens kept a core
        #[argh(option)]
        token_cache_entries: Option<usize>,
        /// allow TLS session resumption (off unless given)
        #[argh(switch)]
        resumption: bool,
        /// end when standard input closes, as it does when the parent is gone
        #[argh(switch)]
        exit_with_stdin: bool,
        /// time the steps of every request, at a small cost: see /metrics
        #[argh(switch)]
        stage_timing: bool,
        /// what the audit log records: off, refusals (default), or all requests
        #[argh(option)]
        audit: Option<String>,
        /// the audit log: a file, or stderr (default: logs/NAME.audit.jsonl in the state
        /// directory, else stderr)
        #[argh(option)]
        audit_log: Option<String>,
        /// size at which a file of the audit log is put away (default: 16MiB)
        #[argh(option)]
        audit_log_size: Option<String>,
        /// most files of the audit log (default: 5)
        #[argh(option)]
        audit_log_files: Option<u32>,
        /// most lines a second of the audit log, half of them for one address (default: 1000)
        #[argh(option)]
        audit_rate: Option<u32>,
    }
    role {
        /// gateway: most connections of one address at a time (default: not counted)
        #[argh(option)]
        connections_per_address: Option<usize>,
        /// gateway: most requests of one address in flight; more are 429 (default: not counted)
        #[argh(option)]
        requests_per_address: Option<usize>,
        /// auth: signature of tokens: es256, eddsa or rs256
        #[argh(option)]
        token_alg: Option<String>,
        /// auth: life of a token in seconds, where clients.toml names none (default: 900)
        #[argh(option)]
        token_ttl_s: Option<u64>,
        /// orders: file with the secret of its own client, service-order
        #[argh(option)]
        client_secret: Option<String>,
        /// URL of the auth server
        #[argh(option)]
        auth: Option<String>,
        /// gateway: URL of orders
        #[argh(option)]
        orders: Option<String>,
        /// gateway and orders: URL of inventory
        #[argh(option)]
        inventory: Option<String>,
        /// gateway: URL of results
        #[argh(option)]
        results: Option<String>,
        /// gateway: a field of clients that goes on although others of its kind do not, such as
        /// X-Real-IP; may be repeated
        #[argh(option)]
        forward_field: Vec<String>,
        /// gateway and orders: how often the names of upstreams are looked up again, such as
        /// 30s; 0s: only when no connection can be made (default: 30s)
        #[argh(option)]
        resolve_interval: Option<String>,
        /// gateway and orders: profile towards upstreams (default: the own profile)
        #[argh(option)]
        upstream_profile: Option<String>,
        /// gateway: send upstreams each client's certificate as Client-Cert (RFC 9440)
        #[argh(switch)]
        client_cert_field: bool,
        /// orders: how many orders are kept, newest first (default: 1000000)
        #[argh(option)]
        orders_retained: Option<usize>,
        /// orders: idempotency keys remembered, a quarter of them a client's (default: 100000)
        #[argh(option)]
        idempotency_keys: Option<usize>,
        /// orders: how long an idempotency key is remembered, such as 90s or 10m (default: 10m)
        #[argh(option)]
        idempotency_ttl: Option<String>,
        /// inventory: starting stock as SKU=N; may be repeated
        #[argh(option)]
        stock: Vec<String>,
    }
}
