//! What a run found: figures per variant, and the costs of layers with their intervals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::capacity::Capacity;
use super::percentiles::Percentiles;
use super::terms::{ConnectionKind, IntervalMethod, Per};

/// The figures of one variant over all of its slices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VariantResult {
    /// The variant's id.
    pub variant: String,
    /// Open-loop slices that count.
    pub slices: u64,
    /// Requests asked for in them.
    pub requests_asked: u64,
    /// Requests answered as they should be.
    pub requests_answered: u64,
    /// Requests that did not fit in the queue.
    pub dropped: u64,
    /// Failed requests by kind, over slices of every kind.
    pub errors: BTreeMap<String, u64>,
    /// Server CPU per request, all services: the median over the slices.
    pub cpu_ns_per_request: u64,
    /// The same for each service.
    pub services: Vec<ServiceCost>,
    /// The share of the server CPU that was spent in the kernel, in thousandths (from clock
    /// ticks, good to about 3%).
    pub system_share_milli: Option<u32>,
    /// The whole busy time of the server cores per request, softirq included. It must agree with
    /// the sum over the services.
    pub busy_ns_per_request: Option<u64>,
    /// Server CPU per request in slices that the variant had for itself, where others took turns;
    /// absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undisturbed_cpu_ns_per_request: Option<u64>,
    /// CPU of its services in ns in a second in which nothing was asked of them; absent where it
    /// was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_cpu_ns_per_s: Option<u64>,
    /// CPU of the generator per request.
    #[serde(alias = "client_cpu_ns_per_request")]
    pub generator_cpu_ns_per_request: Option<u64>,
    /// From the intended send time.
    pub response: Percentiles,
    /// From the actual send time.
    pub service: Percentiles,
    /// How late the generator sent.
    pub lateness: Percentiles,
    /// Bytes on the wire from the generator per request, TLS included.
    pub bytes_sent_per_request: u64,
    /// Bytes on the wire to the generator per request, TLS included.
    pub bytes_received_per_request: u64,
    /// The closed loop, where it was run.
    pub closed_loop: Option<ClosedLoop>,
    /// New connections, where they were run.
    pub connecting: Option<Connecting>,
    /// Its maximum, its times by load, and the highest rate that keeps a limit, where asked for.
    pub capacity: Option<Capacity>,
    /// The most memory that any service process had resident, where it is known.
    pub memory_peak_bytes: Option<u64>,
    /// TCP segments that this machine sent again during its open-loop slices, where known.
    pub retransmits: Option<u64>,
}

/// Server CPU of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCost {
    /// The service's name.
    pub service: String,
    /// CPU per request of the generator: the median over the slices.
    pub cpu_ns_per_request: u64,
}

/// What the closed loop found: each connection sends again as soon as it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLoop {
    /// Requests per second in thousandths: the median over the instances.
    pub requests_milli_per_s: u64,
    /// Server CPU per request at that rate.
    pub cpu_ns_per_request: u64,
}

/// What new connections cost: each carries one request and is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connecting {
    /// `tcp`, `full` or `resumed`.
    pub handshake: ConnectionKind,
    /// Whether the client presented a certificate.
    pub client_certificate: bool,
    /// Connections opened in slices that count.
    pub connections: u64,
    /// Full handshakes among them, as the generator saw them.
    pub handshakes_full: u64,
    /// Resumed handshakes among them.
    pub handshakes_resumed: u64,
    /// Full handshakes as the servers counted them, where they do.
    pub server_handshakes_full: Option<u64>,
    /// Resumed handshakes as the servers counted them, where they do.
    pub server_handshakes_resumed: Option<u64>,
    /// Connections per second in thousandths: the median over the slices.
    pub connections_milli_per_s: u64,
    /// Whether the generator's core was busy all the time, so that the rate is the generator's
    /// limit and not the server's.
    pub generator_limited: bool,
    /// Server CPU per new connection: TCP, handshake where there is one, one request, close.
    pub cpu_ns_per_connection: u64,
    /// Of which the handshake: what is left after a new connection without TLS has been taken
    /// off. Absent without TLS, and where nothing without TLS was run.
    pub cpu_ns_per_handshake: Option<u64>,
    /// CPU of the generator per new connection.
    #[serde(alias = "client_cpu_ns_per_connection")]
    pub generator_cpu_ns_per_connection: Option<u64>,
    /// Of which the handshake, as on the server's side.
    #[serde(alias = "client_cpu_ns_per_handshake")]
    pub generator_cpu_ns_per_handshake: Option<u64>,
    /// Time of the TCP connect.
    pub connect: Percentiles,
    /// Time of the TLS handshake after it.
    pub tls: Percentiles,
}

/// What the A/A control of a cell says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// The cell's id.
    pub cell: String,
    /// The larger end of the interval of the A/A difference, as a share of the baseline.
    pub share: f64,
    /// The same in ns of the baseline's request.
    pub ns: u64,
}

/// What interleaving did to a cell. A server that works in blocks finds colder caches than one
/// that has its core for itself, and a request costs more for it, with every variant alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interleaving {
    /// The cell's id.
    pub cell: String,
    /// Requests of one variant in one block, in thousandths.
    pub requests_per_block_milli: u64,
    /// Server CPU per request of the baseline in slices that it had for itself.
    pub undisturbed_ns: u64,
    /// How much more a request costs interleaved, over all variants, as a share of undisturbed.
    pub extra_share: f64,
    /// The lower end of its 95% interval; absent with too few instances.
    pub extra_low: Option<f64>,
    /// The upper end.
    pub extra_high: Option<f64>,
    /// The share of the generator's time that reading the servers' CPU between blocks took.
    pub reading_share: f64,
    /// Costs of layers per request that were estimated from undisturbed slices as well.
    pub costs_compared: u64,
    /// Those whose interval from undisturbed slices holds the cost of interleaved ones.
    pub costs_agreeing: u64,
    /// Correlation of the log-ratios of one slice and the next, over all layers per request;
    /// independent slices have none. Absent with too few slices.
    pub autocorrelation: Option<f64>,
}

/// A difference between variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Its key within its cell, such as `tls` or `jwt-cached`.
    pub id: String,
    /// The cell's id.
    pub cell: String,
    /// Its name for people.
    pub label: String,
    /// The difference as a formula, such as `S1 - S0`.
    pub formula: String,
    /// `request` or `connection`.
    pub per: Per,
    /// How many rounds had all that the difference needs.
    pub rounds: u64,
    /// The estimate; absent when no round was whole.
    pub estimate_ns: Option<i64>,
    /// The lower end of its own interval; absent when there were too few rounds.
    pub low_ns: Option<i64>,
    /// The upper end of its own interval.
    pub high_ns: Option<i64>,
    /// The lower end of the simultaneous interval: all differences of the cell lie within theirs
    /// at the same time, with the asked confidence. The verdict is taken on it.
    pub family_low_ns: Option<i64>,
    /// The upper end of the simultaneous interval.
    pub family_high_ns: Option<i64>,
    /// The confidence that was asked of the intervals.
    pub level: f64,
    /// How its own interval was found: `signed-rank`, `student-t`, `bootstrap`, or `none`.
    pub method: IntervalMethod,
    /// What the ratio was taken to, in ns: the median of the variant that the layer was added to.
    pub reference_ns: u64,
    /// In one word what the interval means.
    pub verdict: Verdict,
    /// In one phrase what the interval means.
    pub words: String,
    /// The estimate from slices that a variant had for itself, where others took turns; absent
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undisturbed_ns: Option<i64>,
    /// The same layer in instructions, where it is a small one; absent elsewhere.
    pub counted: Option<InstructionEvidence>,
}

/// A layer in instructions, counted in memory when the release was made: the judge of costs that
/// CPU time hardly resolves. User space alone, without the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionEvidence {
    /// Instructions that the layer adds.
    pub instructions: i64,
    /// Instructions of the request that it is added to.
    pub reference_instructions: u64,
    /// The request that was counted, on its way through one service.
    pub request: String,
    /// The release that was counted.
    pub release: String,
}

/// Whether costs add up over all nine combinations of transport and token check in one cell: each
/// cost that is left over beside the sum of its transport's and its token check's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Additivity {
    /// The cell's id.
    pub cell: String,
    /// `uncached` or `cached`: which form of the tokens.
    pub form: String,
    /// The four left-over costs, with simultaneous intervals.
    pub interactions: Vec<Cost>,
    /// The largest studentised left-over.
    pub statistic: f64,
    /// Above this it is no chance, at the costs' level.
    pub critical: f64,
    /// Whether the costs add up as far as this run can tell.
    pub additive: bool,
    /// In one sentence what that means.
    pub words: String,
}

/// What the interval of a cost means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval excludes zero, and the estimate is above the noise floor.
    Resolved,
    /// The interval includes zero, or the estimate is below the noise floor.
    WithinNoise,
    /// There is no interval: too few rounds.
    TooFewRounds,
}
