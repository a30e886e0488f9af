//! The words of the record: every member that is one of a closed list is an enum of this file, so
//! that whoever writes or reads it compares values and not texts. The names are those of flags,
//! JSON and CSV. It refuses to say what a word looks like in a report: that is the report's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::percentiles::Percentiles;

/// Writes an enum whose values have a name each: in JSON, in CSV and on the command line.
macro_rules! terms {
    ($(#[$about:meta])* $term:ident { $($(#[$doc:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $term {
            $($(#[$doc])* #[serde(rename = $name)] $value,)+
        }

        impl $term {
            /// Every value, in the order of their declaration.
            pub const ALL: &[$term] = &[$($term::$value),+];

            /// The name in flags and results.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($term::$value => $name,)+
                }
            }

            /// The value of that name; None for an unknown one.
            #[must_use]
            pub fn parse(name: &str) -> Option<$term> {
                $term::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }

        impl fmt::Display for $term {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.as_str())
            }
        }
    };
}

terms! {
    /// Which command made a record.
    RunCommand {
        /// `tollgate matrix`: many variants, compared.
        Matrix = "matrix",
        /// `tollgate run`: one URL, one slice.
        Run = "run",
        /// `tollgate capacity`: one URL at many loads.
        Capacity = "capacity",
    }
}

terms! {
    /// What a cost is counted by.
    Per {
        /// A request over a kept connection.
        Request = "request",
        /// A new connection.
        Connection = "connection",
    }
}

terms! {
    /// A validity bound, in the order of cause and effect: what disturbs a measurement comes before
    /// what it leads to.
    BoundId {
        /// The share of the measured cores that other programs used.
        BackgroundShare = "background_share_max",
        /// The share of the measured cores that the hypervisor took.
        StealShare = "steal_share_max",
        /// How often a control group throttled the measurement.
        Throttled = "throttled_max",
        /// In how many slices the server ran on a core of the generator; none is allowed.
        SharedCore = "shared_core",
        /// Whether the CPU of the server could be read.
        ServerCpu = "server_cpu",
        /// The share of a request's CPU that its servers use while nothing is asked of them.
        IdleCpu = "idle_cpu_share_max",
        /// The p99 of send lateness.
        Lateness = "lateness_p99_ns_max",
        /// The share of the requested rate that was sent in time.
        AchievedShare = "achieved_share_min",
        /// Requests that found the queue full.
        Dropped = "dropped_max",
        /// By how many more requests were unanswered at the end than at the beginning.
        InFlightGrowth = "in_flight_growth_max",
        /// Requests without a good response.
        Errors = "errors_max",
    }
}

terms! {
    /// What broke a bound.
    Cause {
        /// The machine: other programs, the hypervisor, a control group, the placement of cores.
        Machine = "machine",
        /// The generator itself.
        Generator = "generator",
        /// The servers that were measured.
        Target = "target",
    }
}

terms! {
    /// Whose servers were measured.
    SubjectKind {
        /// Our own servers.
        Stack = "stack",
        /// The user's.
        Targets = "targets",
        /// The server of known cost.
        Reference = "reference",
    }
}

terms! {
    /// How our own services are laid out.
    Topology {
        /// A process for each service, calling each other over the network.
        Mesh = "mesh",
        /// One process that serves all routes and calls in memory.
        Single = "single",
    }
}

terms! {
    /// Whom the generator talks to.
    CallPath {
        /// The gateway, which passes requests on.
        Gateway = "gateway",
        /// The service that owns the route.
        Direct = "direct",
    }
}

terms! {
    /// What the handshake of a new TLS connection was planned to be.
    HandshakeKind {
        /// Full, since neither side remembers a session.
        Full = "full",
        /// Resumed, wherever there is a session to resume.
        Resumed = "resumed",
    }
}

terms! {
    /// What opening a connection turned out to be.
    ConnectionKind {
        /// A TCP connection without TLS.
        Tcp = "tcp",
        /// With a full handshake.
        Full = "full",
        /// With a resumed handshake.
        Resumed = "resumed",
    }
}

terms! {
    /// How the requests of an open loop are spread over time.
    ArrivalPattern {
        /// The same gap between any two neighbours.
        Constant = "constant",
        /// Independent arrivals: what many users who know nothing of each other make together.
        Poisson = "poisson",
    }
}

terms! {
    /// What the generator does while there is nothing to do.
    GeneratorWait {
        /// Look again, at all times: its core is busy, and nobody pays for waking it.
        Spin = "spin",
        /// Sleep in the kernel until the next event or send time.
        Sleep = "sleep",
    }
}

terms! {
    /// Where the CPU of servers was read.
    CpuSourceKind {
        /// The kernel's accounting of their threads: exact.
        Processes = "processes",
        /// A control group.
        ControlGroup = "control-group",
        /// A counter that the server itself publishes: as coarse as it keeps it.
        Metrics = "metrics",
        /// Nowhere: it is not known.
        None = "none",
    }
}

terms! {
    /// Which response time a limit is about.
    Quantile {
        /// The median.
        P50 = "p50",
        /// 90% are at most this.
        P90 = "p90",
        /// 99% are at most this.
        P99 = "p99",
        /// 99.9% are at most this.
        P999 = "p99.9",
        /// The longest.
        Max = "max",
    }
}

terms! {
    /// How an interval was found.
    IntervalMethod {
        /// By the Walsh averages of paired differences.
        SignedRank = "signed-rank",
        /// By the differences of two independent samples.
        RankSum = "rank-sum",
        /// By Student's distribution.
        Student = "student-t",
        /// By resampling.
        Bootstrap = "bootstrap",
        /// There is no interval: too few rounds.
        None = "none",
    }
}

impl Quantile {
    /// Its time among others.
    #[must_use]
    pub const fn of(self, times: &Percentiles) -> u64 {
        match self {
            Quantile::P50 => times.p50_ns,
            Quantile::P90 => times.p90_ns,
            Quantile::P99 => times.p99_ns,
            Quantile::P999 => times.p999_ns,
            Quantile::Max => times.max_ns,
        }
    }
}

/// Which tokens the generator sends: `none`, `one` or `unique:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenSupply {
    /// None: the server ignores them.
    None,
    /// One token, sent with every request.
    One,
    /// A pool of this many different tokens, sent in turn.
    Unique(u32),
}

impl TokenSupply {
    /// Reads a name; None for an unknown one.
    #[must_use]
    pub fn parse(name: &str) -> Option<TokenSupply> {
        match name {
            "none" => Some(TokenSupply::None),
            "one" => Some(TokenSupply::One),
            _ => name.strip_prefix("unique:")?.parse().ok().map(TokenSupply::Unique),
        }
    }
}

impl fmt::Display for TokenSupply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenSupply::None => out.pad("none"),
            TokenSupply::One => out.pad("one"),
            TokenSupply::Unique(count) => out.pad(&format!("unique:{count}")),
        }
    }
}

impl From<TokenSupply> for String {
    fn from(tokens: TokenSupply) -> String {
        tokens.to_string()
    }
}

impl TryFrom<String> for TokenSupply {
    type Error = String;

    fn try_from(name: String) -> Result<TokenSupply, String> {
        TokenSupply::parse(&name)
            .ok_or_else(|| format!("tokens are none, one or unique:N, not {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_written_as_its_name_and_read_back() {
        assert_eq!(
            serde_json::to_string(&CpuSourceKind::ControlGroup).unwrap(),
            "\"control-group\""
        );
        for quantile in Quantile::ALL {
            let text = serde_json::to_string(quantile).unwrap();
            assert_eq!(text, format!("\"{quantile}\""));
            assert_eq!(serde_json::from_str::<Quantile>(&text).unwrap(), *quantile);
            assert_eq!(Quantile::parse(quantile.as_str()), Some(*quantile));
        }
        assert_eq!(Per::parse("Request"), None);
        let error = serde_json::from_str::<Per>("\"hour\"").unwrap_err().to_string();
        assert!(error.contains("hour") && error.contains("`connection`"), "{error}");
    }

    #[test]
    fn supplies_of_tokens_are_named_with_their_number() {
        for (tokens, name) in [
            (TokenSupply::None, "none"),
            (TokenSupply::One, "one"),
            (TokenSupply::Unique(256), "unique:256"),
        ] {
            assert_eq!(tokens.to_string(), name);
            assert_eq!(TokenSupply::parse(name), Some(tokens));
        }
        assert_eq!(TokenSupply::parse("unique:"), None);
        let error = serde_json::from_str::<TokenSupply>("\"many\"").unwrap_err().to_string();
        assert!(error.contains("many"), "{error}");
    }
}
