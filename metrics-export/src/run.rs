//! The `Run` record: everything that a measurement leaves behind, as one serde structure.
//!
//! Every figure of a report can be derived again from it. Quantities are whole numbers with the
//! unit in the key (`_ns`, `_bytes`, `_milli_per_s`); shares and ratios are fractions. Asked and
//! achieved are both kept. Refused: secrets (no token, no key, no path of one), and a schema
//! version that this build does not know.

mod breach;
mod capacity;
mod error;
mod percentiles;
mod result;
mod slice;
mod terms;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::printable::printable;

pub use breach::{Breach, BreachScope};
pub use capacity::{Capacity, LoadPoint, SloResult};
pub use error::RecordError;
pub use percentiles::Percentiles;
pub use result::{
    Additivity, ClosedLoop, Connecting, Cost, Floor, InstructionEvidence, Interleaving,
    ServiceCost, VariantResult, Verdict,
};
pub use slice::{Handshakes, PairCpu, ServiceCpu, Slice, SliceBlocks, SliceKind, cpu_slices};
pub use terms::{
    ArrivalPattern, BoundId, CallPath, Cause, ConnectionKind, CpuSourceKind, GeneratorWait,
    HandshakeKind, IntervalMethod, Per, Quantile, RunCommand, SubjectKind, TokenSupply, Topology,
};

/// The name that every record carries.
pub const SCHEMA: &str = "tollgate.run";

/// The version of the record's shape. A change that an older reader would misread raises it.
pub const SCHEMA_VERSION: u32 = 3;

/// The oldest version that is read as well: it had zeros for percentiles of nothing.
const SCHEMA_VERSION_MIN: u32 = 2;

/// One measurement, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Always [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The name of its directory.
    pub id: String,
    /// What was asked: `matrix`, `run` or `capacity`.
    pub command: RunCommand,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// How long it took.
    pub elapsed_ns: u64,
    /// Whether every planned slice was taken; false after an interruption.
    pub complete: bool,
    /// Whether it can be believed. First, because it goes before every figure.
    pub validity: Validity,
    /// What was run.
    pub plan: Plan,
    /// On what.
    pub environment: Environment,
    /// That each slice was what its label says.
    pub proofs: Vec<Proof>,
    /// Figures per variant.
    pub results: Vec<VariantResult>,
    /// Differences between variants: what each layer costs.
    pub costs: Vec<Cost>,
    /// What each layer per request adds to the median service time, in the members of a cost. Their
    /// simultaneous intervals and those of the costs hold at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_times: Vec<Cost>,
    /// What the A/A control of each cell says; a cell with too few rounds has none.
    pub floors: Vec<Floor>,
    /// What interleaving did to each cell that was interleaved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interleaving: Vec<Interleaving>,
    /// Whether the layers add up, where all nine combinations were run.
    pub additivity: Vec<Additivity>,
    /// Every slice that was taken, in order, those that were repeated included.
    pub slices: Vec<Slice>,
    /// The machines that made the load; absent where one machine did it all.
    #[serde(default)]
    pub fleet: Option<Value>,
    /// The network between generator and servers; absent where it was not looked at.
    #[serde(default)]
    pub network: Option<Value>,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The name that the user gave it.
    pub label: Option<String>,
    /// Where it was run, such as a stage or a rack, as the user calls it.
    #[serde(default)]
    pub environment: Option<String>,
    /// Keys with values that the user gave it, to find it by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The protocols that requests were sent over, such as `HTTP/1.1`.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// `stack`: our own servers; `targets`: the user's; `reference`: the server of known cost.
    pub subject: SubjectKind,
    /// `mesh` or `single`; absent for servers that are not ours.
    pub topology: Option<Topology>,
    /// `constant` or `poisson`; absent where there was no open loop.
    pub arrivals: Option<ArrivalPattern>,
    /// `spin` or `sleep`: how the generator waits in an open loop.
    #[serde(alias = "client_wait")]
    pub generator_wait: GeneratorWait,
    /// Planned rounds.
    pub rounds: u32,
    /// How many times each variant's processes were started; 0 where they are not ours to start.
    pub instances: u32,
    /// When the rounds end: `rounds`, `until-ci` or `max-duration`, with what was asked.
    pub stop_rule: String,
    /// Length of a slice.
    pub slice_ns: u64,
    /// Length of the warm-up of an instance.
    pub warmup_ns: u64,
    /// Length of a closed-loop slice.
    pub closed_slice_ns: u64,
    /// Length of a slice of new connections.
    pub handshake_slice_ns: u64,
    /// The share of the slowest variant's capacity that is the operating point, in thousandths.
    pub operating_share_milli: u32,
    /// Seed of order, arrivals and resampling.
    pub seed: u64,
    /// Whether it was the short form.
    pub quick: bool,
    /// Cores of the servers; empty where they are not known.
    pub server_cores: Vec<usize>,
    /// Cores of the generator.
    pub generator_cores: Vec<usize>,
    /// Settings of everything but the profile; variants are compared only within one.
    pub cells: Vec<Cell>,
    /// What was compared.
    pub variants: Vec<PlannedVariant>,
    /// The builds of tollgate that were compared, the reference first; empty where the servers were
    /// of the one build that the environment names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<Build>,
}

/// A build of tollgate whose servers were measured beside those of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The name that the user gave it; variants of it have it in their role: `s4-cached@new`.
    pub name: String,
    /// The version that its program reported.
    pub version: String,
    /// The commit that its program reported, where it knew one.
    pub commit: Option<String>,
}

/// One setting of everything but the profile. Variants of one cell are compared with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Its key; empty where there is only one.
    pub id: String,
    /// What sets it apart from the other cells, for people; empty where there is only one.
    pub label: String,
    /// `orders-create`, `ping`, ..; `target` where each target has its own request.
    pub workload: String,
    /// `gateway` or `direct`.
    pub call_path: CallPath,
    /// `HTTP/1.1`.
    pub protocol: String,
    /// The rate of its open-loop slices, in thousandths of a request per second.
    pub rate_milli_per_s: u64,
    /// Where the rate comes from, as a sentence.
    pub rate_source: String,
    /// Connections of a slice.
    pub connections: u64,
    /// A new connection after so many requests of an open loop; absent: connections are kept.
    pub requests_per_connection: Option<u32>,
    /// `full` or `resumed`: what a new connection's handshake is.
    pub handshake: HandshakeKind,
    /// `es256`, `eddsa` or `rs256`: how tokens are signed.
    pub token_algorithm: String,
    /// Worker threads of each service; 0 where they are not ours.
    pub workers: u64,
    /// The length of a block, where variants were interleaved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_ns: Option<u64>,
}

/// One variant as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedVariant {
    /// Its key in the rest of the record.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// The id of its cell.
    pub cell: String,
    /// What it is within its cell, such as `s0`, `s0-control` or `s2-cached`; the id where there is
    /// only one cell.
    pub role: String,
    /// The profile's label; absent for servers that are not ours.
    pub profile: Option<String>,
    /// `none`, `one` or `unique:N`.
    pub tokens: TokenSupply,
    /// Whether the servers kept verified tokens; absent for servers that are not ours.
    pub token_cache: Option<bool>,
    /// What a target was asked, without a query: `GET https://host/path`.
    pub request: Option<String>,
    /// Where the CPU of its servers was read: `processes`, `control-group`, `metrics` (a counter
    /// that the server itself publishes) or `none`.
    pub cpu_source: CpuSourceKind,
}

/// The machine and the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name.
    pub cpu_model: String,
    /// Processors online.
    pub cpus: u64,
    /// Whether a hypervisor is beneath.
    pub virtual_machine: bool,
    /// The kernel's release.
    pub kernel: String,
    /// The frequency governor, where there is one to read.
    pub governor: Option<String>,
    /// Whether interrupts are billed apart from tasks; absent when the kernel does not say.
    pub irq_time_accounting: Option<bool>,
    /// The I/O driver of the generator.
    #[serde(alias = "client_driver")]
    pub generator_driver: String,
    /// The I/O drivers that the servers named on their metrics pages.
    pub server_drivers: Vec<String>,
    /// The version of tollgate.
    pub version: String,
    /// The commit it was built from, where known.
    pub commit: Option<String>,
    /// Whether it was built with optimisation.
    pub optimised: bool,
}

/// That slices were what their label says, checked at both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The variant's id.
    pub variant: String,
    /// What was checked, such as `token verified`.
    pub claim: String,
    /// In how many slices it was checked.
    pub slices: u64,
    /// Whether it held in all of them.
    pub holds: bool,
    /// What was found: the figures of the last slice, or of the first that failed.
    pub found: String,
}

/// Whether a run can be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// False when any bound was broken.
    pub valid: bool,
    /// Each broken bound.
    pub breaches: Vec<Breach>,
    /// Slices that were disturbed and taken once more.
    pub slices_repeated: u64,
    /// What a reader should know, though it breaks no bound.
    pub notes: Vec<String>,
    /// The bounds that held.
    pub bounds: Bounds,
}

/// The bounds within which a run is valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The p99 of how late the generator sent.
    pub lateness_p99_ns_max: u64,
    /// The share of the requested rate that must be sent within the time of the slice.
    pub achieved_share_min: f64,
    /// Requests that did not fit in the queue.
    pub dropped_max: u64,
    /// The share of time that the hypervisor took away.
    pub steal_share_max: f64,
    /// The share of the measured cores that other programs used.
    #[serde(alias = "foreign_share_max")]
    pub background_share_max: f64,
    /// How often a control group throttled us.
    pub throttled_max: u64,
    /// Requests that failed.
    pub errors_max: u64,
    /// By how many more requests may be unanswered in the last quarter of a slice than in the
    /// first; broken only if they are more than twice as many too.
    pub in_flight_growth_max: u64,
    /// The share of a request's CPU that a variant's servers may use while nothing is asked of
    /// them, at the rate that the variant has in interleaved slices. None in records from before
    /// slices were interleaved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_cpu_share_max: Option<f64>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            lateness_p99_ns_max: 100_000,
            achieved_share_min: 0.99,
            dropped_max: 0,
            steal_share_max: 0.01,
            background_share_max: 0.02,
            throttled_max: 0,
            errors_max: 0,
            in_flight_growth_max: 10,
            idle_cpu_share_max: Some(0.002),
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} = tollgate {}", self.name, self.version)?;
        match &self.commit {
            Some(commit) => write!(out, " ({commit})"),
            None => Ok(()),
        }
    }
}

impl Plan {
    /// The tags as they were given: `KEY=VALUE` each.
    pub fn tag_texts(&self) -> impl Iterator<Item = String> {
        self.tags.iter().map(|(key, value)| format!("{key}={value}"))
    }

    /// Whether its costs are those of layers of security: profiles of one build were compared.
    #[must_use]
    pub fn has_layers(&self) -> bool {
        self.subject == SubjectKind::Stack && self.builds.is_empty()
    }

    /// The builds for people: `old = tollgate 0.1.0 (0123456)`, with commas; empty without any.
    #[must_use]
    pub fn build_texts(&self) -> String {
        let texts: Vec<String> = self.builds.iter().map(ToString::to_string).collect();
        texts.join(", ")
    }
}

impl Run {
    /// The record as indented JSON, ending in a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a record has only string keys, which JSON can always write");
        text.push('\n');
        text
    }

    /// The same with every text of it made [`printable`], for a rendering that adds colours.
    #[must_use]
    pub fn printable(&self) -> Run {
        let text = serde_json::to_value(self)
            .and_then(|value| serde_json::from_value(printable_texts(value)));
        text.expect("escaped texts are texts where texts were")
    }

    /// Reads a record of this version or an older one. Members that it does not know are ignored.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_json(text: &str) -> Result<Run, RecordError> {
        RecordError::check_head(text)?;
        serde_json::from_str(text).map_err(RecordError::Damaged)
    }

    /// The figures of a variant.
    #[must_use]
    pub fn result(&self, variant: &str) -> Option<&VariantResult> {
        self.results.iter().find(|result| result.variant == variant)
    }

    /// A variant as it was planned.
    #[must_use]
    pub fn planned(&self, variant: &str) -> Option<&PlannedVariant> {
        self.plan.variants.iter().find(|planned| planned.id == variant)
    }

    /// The variant that is this within a cell.
    #[must_use]
    pub fn in_cell(&self, cell: &str, role: &str) -> Option<&VariantResult> {
        let mut planned = self.plan.variants.iter();
        let planned = planned.find(|planned| planned.cell == cell && planned.role == role)?;
        self.result(&planned.id)
    }

    /// What the A/A control of a cell says.
    #[must_use]
    pub fn floor(&self, cell: &str) -> Option<&Floor> {
        self.floors.iter().find(|floor| floor.cell == cell)
    }

    /// The name of a variant for people.
    #[must_use]
    pub fn label<'a>(&'a self, variant: &'a str) -> &'a str {
        self.planned(variant).map_or(variant, |planned| &planned.label)
    }
}

fn printable_texts(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(printable_texts).collect(),
        Value::Object(members) => {
            let shown = |(name, value): (String, Value)| {
                (printable(&name).into_owned(), printable_texts(value))
            };
            Value::Object(members.into_iter().map(shown).collect())
        }
        other => other,
    }
}
