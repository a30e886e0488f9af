//! What can be typed after `tollgate flame`. What it shares with `matrix` has the same names.

use argh::FromArgs;

/// Show where the CPU of a request goes: records the servers with Linux perf under load, prints
/// what each layer costs, and writes a flame graph, or the difference of two profiles.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "flame")]
pub(crate) struct FlameArgs {
    /// security profile S0 to S5, or TRANSPORT+CHECK (default: S4)
    #[argh(option, default = "String::from(\"S4\")")]
    pub(crate) profile: String,
    /// compare with this profile, such as S1
    #[argh(option)]
    pub(crate) against: Option<String>,
    /// orders-create, orders-read, inventory-reserve or ping (default: orders-create)
    #[argh(option, default = "String::from(\"orders-create\")")]
    pub(crate) workloads: String,
    /// gateway or direct (default: gateway)
    #[argh(option)]
    pub(crate) call_path: Option<String>,
    /// requests per second; a closed loop without
    #[argh(option, short = 'R')]
    pub(crate) rate: Option<String>,
    /// connections (default: 64)
    #[argh(option, short = 'c')]
    pub(crate) connections: Option<String>,
    /// each request, a ping where there is one, on a new connection: shows handshakes
    #[argh(switch)]
    pub(crate) new_connections: bool,
    /// time to record each profile; as long again without perf for the figures (default: 5s)
    #[argh(option, short = 'd', default = "String::from(\"5s\")")]
    pub(crate) duration: String,
    /// one or unique:N (default: unique:256, with the cache off)
    #[argh(option)]
    pub(crate) tokens: Option<String>,
    /// keep verified tokens, on or off
    #[argh(option)]
    pub(crate) token_cache: Option<String>,
    /// signature of tokens: es256, eddsa or rs256 (default: es256)
    #[argh(option)]
    pub(crate) token_alg: Option<String>,
    /// PEM file with an RSA key, for --token-alg rs256
    #[argh(option)]
    pub(crate) rs256_key: Option<String>,
    /// mesh (a process a service) or single (one process) (default: mesh)
    #[argh(option)]
    pub(crate) topology: Option<String>,
    /// cores for the servers, such as 0 (default: the first of those that this process has)
    #[argh(option)]
    pub(crate) server_cores: Option<String>,
    /// cores for the generator (default: the last)
    #[argh(option)]
    pub(crate) generator_cores: Option<String>,
    /// the I/O driver of servers and generator: auto or epoll
    #[argh(option)]
    pub(crate) driver: Option<String>,
    /// samples of each core and second, 1 to 20000 (default: 999)
    #[argh(option, default = "999")]
    pub(crate) frequency: u32,
    /// how callers are found: dwarf (whole stacks) or fp (cheap) (default: dwarf)
    #[argh(option, default = "String::from(\"dwarf\")")]
    pub(crate) call_graph: String,
    /// functions to print (default: 15)
    #[argh(option, default = "15")]
    pub(crate) top: usize,
    /// where the graph is written (default: flame.svg)
    #[argh(option, short = 'o', default = "String::from(\"flame.svg\")")]
    pub(crate) output: String,
    /// write the folded stacks of --profile here, for other tools
    #[argh(option)]
    pub(crate) folded: Option<String>,
}

impl FlameArgs {
    /// The same variants as words of `tollgate matrix`, which knows what they mean.
    pub(crate) fn matrix(&self) -> Vec<String> {
        let mut words: Vec<String> = ["tollgate", "matrix"].map(String::from).into();
        let mut option = |name: &str, value: Option<&str>| {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_owned()]));
        };
        let profiles: Vec<&str> =
            self.against.as_deref().into_iter().chain([&*self.profile]).collect();
        option("--profiles", Some(&profiles.join(",")));
        option("--workloads", Some(&self.workloads));
        option("--call-path", self.call_path.as_deref());
        option("--rate", self.rate.as_deref());
        option("--connections", self.connections.as_deref());
        let uncached = self.tokens.is_none() && self.token_cache.is_none();
        option("--tokens", self.tokens.as_deref().or(uncached.then_some("unique:256")));
        option("--token-cache", self.token_cache.as_deref().or(uncached.then_some("off")));
        option("--token-alg", self.token_alg.as_deref());
        option("--rs256-key", self.rs256_key.as_deref());
        option("--topology", self.topology.as_deref());
        option("--server-cores", self.server_cores.as_deref());
        option("--generator-cores", self.generator_cores.as_deref());
        option("--driver", self.driver.as_deref());
        words
    }
}
