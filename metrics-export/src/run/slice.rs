//! One slice: what was asked, what came back, and what it cost. The rows of `slices.csv`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::percentiles::Percentiles;

/// One slice of one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The variant's id.
    pub variant: String,
    /// What kind of slice it was.
    pub kind: SliceKind,
    /// Which start of the processes, from 0.
    pub instance: u32,
    /// The round, from 0; a warm-up slice belongs to the round that it comes before.
    pub round: u32,
    /// The place in the order of its round, or among the variants that it was interleaved with,
    /// from 0.
    pub position: u32,
    /// 1 for a slice that was taken once more because the first attempt was disturbed.
    pub attempt: u32,
    /// Whether it counts; a disturbed slice that was repeated does not.
    pub counts: bool,
    /// What disturbed it, as sentences.
    pub disturbances: Vec<String>,
    /// When it began, in ns since 1970.
    pub start_unix_ns: u64,
    /// How long it lasted.
    pub duration_ns: u64,
    /// Requests (or connections) asked for; 0 in a closed loop.
    pub requests_asked: u64,
    /// Requests sent.
    pub requests_sent: u64,
    /// Requests answered as they should be.
    pub requests_answered: u64,
    /// Requests that did not fit in the queue.
    pub dropped: u64,
    /// Failed requests by kind.
    pub errors: BTreeMap<String, u64>,
    /// Bytes on the wire from the generator.
    pub bytes_sent: u64,
    /// Bytes on the wire to the generator.
    pub bytes_received: u64,
    /// Connections opened within the slice.
    pub connections_opened: u64,
    /// Full handshakes within the slice, as the generator saw them.
    pub handshakes_full: u64,
    /// Resumed handshakes within the slice.
    pub handshakes_resumed: u64,
    /// From the intended send time.
    pub response: Percentiles,
    /// From the actual send time.
    pub service: Percentiles,
    /// How late the generator sent.
    pub lateness: Percentiles,
    /// CPU of each service process.
    pub services: Vec<ServiceCpu>,
    /// CPU of the generator's process.
    #[serde(alias = "client_cpu_ns")]
    pub generator_cpu_ns: u64,
    /// Busy time of the server cores, everything included.
    pub busy_ns: u64,
    /// Of which softirq, from clock ticks.
    pub softirq_ns: u64,
    /// Time that the hypervisor took from the measured cores.
    pub steal_ns: u64,
    /// CPU that other programs used on the measured cores; absent when they are too many to read.
    #[serde(alias = "foreign_ns")]
    pub background_ns: Option<u64>,
    /// Times that a control group throttled us.
    pub throttled: u64,
    /// TCP connects, where connections are opened in the slice.
    pub connect: Percentiles,
    /// TLS handshakes, where connections are opened in the slice.
    pub handshake: Percentiles,
    /// By how many more requests were unanswered in its last quarter than in its first, on
    /// average, in thousandths.
    pub in_flight_growth_milli: i64,
    /// Unanswered requests in its first quarter, on average, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_first_milli: Option<i64>,
    /// Those of `requests_sent` that were sent before its time was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_in_window: Option<u64>,
    /// The most requests that waited for a connection at one time, per worker of the generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_high_water: Option<u64>,
    /// TCP segments that this machine sent again, whoever caused it; absent when unreadable.
    pub retransmits: Option<u64>,
    /// The share of its cores' time that the generator used, in thousandths.
    pub generator_share_milli: u32,
    /// New connections as the server that was addressed counted them; absent where it does not.
    pub server_handshakes: Option<Handshakes>,
    /// Whether the server ran on a core of the generator.
    #[serde(alias = "strayed")]
    pub ran_on_generator_core: bool,
    /// Connections that the target closed while they carried no request.
    #[serde(default)]
    pub closed_idle: u64,
    /// Connections that were closed because the target sent bytes that no request had asked for.
    #[serde(default)]
    pub closed_unsolicited: u64,
    /// Why the CPU of the services is not known, as a sentence; absent where it is, or is not asked
    /// for.
    #[serde(default)]
    pub cpu_unknown: Option<String>,
    /// How it was interleaved with the other variants of its cell; absent where it had its time for
    /// itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<SliceBlocks>,
}

/// How a slice shared its time with the other variants of its cell. What the machine did, from
/// `busy_ns` to `retransmits`, is then that of all of them together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceBlocks {
    /// The length of a block.
    pub block_ns: u64,
    /// From the first block of any variant to the end of the last, answers waited for.
    pub slice_ns: u64,
    /// Requests that were answered before the slice, or in a closed loop their block, was over:
    /// what its rate is taken from. What was under way at a block's end counts for CPU alone.
    pub answered_in_time: u64,
    /// What reading the CPU of its servers between blocks took of the generator's time.
    pub reading_ns: u64,
    /// Server CPU in ns of each pair of passes, and the requests that it answered; empty where the
    /// CPU is read at the ends of the slice only.
    pub pairs: Vec<PairCpu>,
}

/// Server CPU of one variant in a pass and its mirror image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCpu {
    /// CPU of all its services.
    pub cpu_ns: u64,
    /// Requests answered.
    pub answered: u64,
}

/// New connections by their handshake, as a server counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshakes {
    /// Without TLS.
    pub none: u64,
    /// With a full handshake.
    pub full: u64,
    /// With a resumed one.
    pub resumed: u64,
}

/// What a slice did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SliceKind {
    /// Requests at their intended times over kept connections: the headline.
    #[default]
    Open,
    /// Each connection sends again as soon as it is answered.
    Closed,
    /// A new connection for each request.
    Connect,
}

impl SliceKind {
    /// The name in CSV and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SliceKind::Open => "open",
            SliceKind::Closed => "closed",
            SliceKind::Connect => "connect",
        }
    }
}

/// CPU of one service process in a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCpu {
    /// The service's name.
    pub service: String,
    /// Run time of all its threads, as the scheduler keeps it.
    pub cpu_ns: u64,
    /// Of which in user space, from clock ticks.
    pub user_ns: u64,
    /// Of which in the kernel, from clock ticks.
    pub system_ns: u64,
}

/// The slices of a variant and kind that count and that its CPU is taken from: those that were
/// interleaved with the other variants of its cell, or all of them where none was.
pub fn cpu_slices<'a>(slices: &'a [Slice], variant: &str, kind: SliceKind) -> Vec<&'a Slice> {
    let own = |slice: &&Slice| slice.counts && slice.kind == kind && slice.variant == variant;
    let all: Vec<&Slice> = slices.iter().filter(own).collect();
    let interleaved: Vec<&Slice> = all.iter().copied().filter(|one| !one.is_whole()).collect();
    if interleaved.is_empty() { all } else { interleaved }
}

impl Slice {
    /// Whether the variant had the slice for itself. Only then are its longest times its own: what
    /// delays an interleaved slice may have been done in another variant's blocks.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.blocks.is_none()
    }

    /// The time in which what the machine did is known, in ns: the slice's own, or that of all
    /// variants that it was interleaved with.
    #[must_use]
    pub fn machine_ns(&self) -> u64 {
        self.blocks.as_ref().map_or(self.duration_ns, |blocks| blocks.slice_ns)
    }

    /// Whether what the machine did is this row's to tell. All rows of an interleaved slice have
    /// it, and it is to be counted once.
    #[must_use]
    pub fn tells_machine(&self) -> bool {
        self.is_whole() || self.position == 0
    }

    /// Server CPU of all services.
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        self.services.iter().map(|service| service.cpu_ns).sum()
    }

    /// Server CPU per answered request; None when nothing was answered, or it is not known.
    #[must_use]
    pub fn cpu_ns_per_request(&self) -> Option<f64> {
        let known = self.requests_answered > 0 && self.cpu_unknown.is_none();
        known.then(|| self.cpu_ns() as f64 / self.requests_answered as f64)
    }

    /// Requests answered per second of its time, in thousandths; None of no time.
    #[must_use]
    pub fn answered_milli_per_s(&self) -> Option<f64> {
        let in_time = self.blocks.as_ref().map(|blocks| blocks.answered_in_time);
        let answered = in_time.unwrap_or(self.requests_answered);
        (self.duration_ns > 0).then(|| answered as f64 * 1e12 / self.duration_ns as f64)
    }

    /// Failed requests of every kind.
    #[must_use]
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}
