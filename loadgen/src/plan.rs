//! What to run, as data: variants, cells, the protocol of an experiment, and where it runs.
//!
//! A plan decides nothing while it runs and measures nothing. It is stored whole with every
//! result, so that a run can be repeated from its record.

mod axes;
mod role;
pub mod targets;
mod variant;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::traffic::error::ContextError;
use crate::traffic::schedule::ArrivalPattern;

pub use axes::{AXES, Axes, Form, PlannedCell, WORKLOADS};
pub use metrics_export::run::{CallPath, HandshakeKind, TokenSupply, Topology};
pub use role::{Role, RoleOption, RoleSubject, TokenForm};
pub use variant::{ExternalTarget, Subject, Variant};

/// The protocol that requests are sent over, as records name it.
pub const PROTOCOL: &str = "HTTP/1.1";

/// The shortest slice: five clock ticks of the kernel's coarsest accounting.
const SLICE_MIN: Duration = Duration::from_millis(50);

/// The shortest block: shorter ones hold no request at common rates.
const BLOCK_MIN: Duration = Duration::from_millis(1);

/// Rounds and instances unless told otherwise. Three short rounds on each instance rather than one
/// long: a machine that falters for a second then spoils one of three, whose centre forgets it.
const ROUNDS: u32 = 36;
const INSTANCES: u32 = 12;

/// The most rounds of an experiment that runs until its intervals are narrow.
pub const UNTIL_CI_ROUNDS_MAX: u32 = 180;

/// What the user and the build say about a measurement, for its record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The name in all outputs.
    pub label: Option<String>,
    /// Where it is run, such as a stage or a rack, as the user calls it.
    pub environment: Option<String>,
    /// Keys with values, to find it by.
    pub tags: BTreeMap<String, String>,
    /// The commit that this program was built from, where known.
    pub commit: Option<String>,
}

/// What ends the rounds of an experiment beside their number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StopRule {
    /// When every interval is within this share of the baseline; the rounds are then the most.
    pub until_ci_share: Option<f64>,
    /// No further round begins after so long.
    pub max_duration: Option<Duration>,
}

impl StopRule {
    /// The rule as a result names it.
    #[must_use]
    pub fn name(&self) -> String {
        let until = self.until_ci_share.map(|share| format!("until-ci {}%", share * 100.0));
        let most = self.max_duration.map(|most| format!("max-duration {} s", most.as_secs_f64()));
        let both: Vec<String> = until.into_iter().chain(most).collect();
        if both.is_empty() { "rounds".into() } else { both.join(", ") }
    }
}

/// How the slices of a cell's variants are interleaved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockChoice {
    /// In blocks of a length that suits rate and response times, where there is one.
    #[default]
    Auto,
    /// In blocks of this length.
    Length(Duration),
    /// Not at all: one variant after the other.
    Whole,
}

/// How an experiment goes about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// Rounds; in each, every variant is measured once, in random order.
    pub rounds: u32,
    /// How many times every variant's processes are started anew; rounds are shared out evenly.
    pub instances: u32,
    /// What ends the rounds beside their number.
    pub stop: StopRule,
    /// Length of a measured slice; of an interleaved one, the time of each variant.
    pub slice: Duration,
    /// How slices are interleaved.
    pub block: BlockChoice,
    /// Whether each instance of an interleaved cell begins with a whole slice of every variant,
    /// which percentiles come from. Without them only the first instance has them, and only where
    /// the length of a block depends on them.
    pub percentiles: bool,
    /// Length of the warm-up of a new instance, closed loop.
    pub warmup: Duration,
    /// Length of the closed-loop slice after it, which finds the capacity.
    pub closed_slice: Duration,
    /// Length of a slice that opens a new connection for each request.
    pub handshake_slice: Duration,
    /// The share of the slowest variant's capacity that is the operating point.
    pub operating_share: f64,
    /// How the requests of an open loop are spread.
    pub pattern: ArrivalPattern,
    /// Seed of the order of slices, of arrivals and of resampling.
    pub seed: u64,
    /// Whether this is the short form, which says so in its results.
    pub quick: bool,
}

impl Protocol {
    /// The default: under four minutes on two cores. The unit of evidence is the instance, so that
    /// there are twelve of them: luck of memory layout is then noise like any other.
    #[must_use]
    pub fn standard(seed: u64) -> Protocol {
        Protocol {
            rounds: ROUNDS,
            instances: INSTANCES,
            stop: StopRule::default(),
            slice: Duration::from_millis(250),
            block: BlockChoice::Auto,
            percentiles: true,
            warmup: Duration::from_millis(150),
            closed_slice: Duration::from_millis(200),
            handshake_slice: Duration::from_millis(80),
            operating_share: 0.4,
            pattern: ArrivalPattern::Constant,
            seed,
            quick: false,
        }
    }

    /// The short form: under a minute on two cores.
    #[must_use]
    pub fn quick(seed: u64) -> Protocol {
        Protocol {
            rounds: 12,
            instances: 6,
            slice: Duration::from_millis(125),
            warmup: Duration::from_millis(50),
            closed_slice: Duration::from_millis(80),
            handshake_slice: Duration::from_millis(50),
            quick: true,
            ..Protocol::standard(seed)
        }
    }
}

impl Protocol {
    /// The same with another number of rounds, on as many instances as keep three rounds on each
    /// where there are enough, and else one.
    #[must_use]
    pub fn with_rounds(self, rounds: u32) -> Protocol {
        let instances = rounds.min(INSTANCES).max(rounds / (ROUNDS / INSTANCES));
        Protocol { rounds, instances, ..self }
    }

    /// In how many of the first instances a cell that may be interleaved has whole slices too.
    pub(crate) fn instances_with_whole_slices(&self) -> u32 {
        match self.block {
            BlockChoice::Whole => 0,
            _ if self.percentiles => self.instances,
            BlockChoice::Auto => 1,
            BlockChoice::Length(_) => 0,
        }
    }

    /// Whether two blocks of a length that was asked for fit into a slice.
    fn blocks_fit(&self) -> bool {
        match self.block {
            BlockChoice::Length(length) => length >= BLOCK_MIN && length * 2 <= self.slice,
            BlockChoice::Auto | BlockChoice::Whole => true,
        }
    }

    /// Checks that it can be carried out.
    ///
    /// # Errors
    /// The first flag that cannot be.
    pub fn check(&self) -> Result<(), ContextError> {
        let sentence = if self.rounds == 0 {
            "--rounds must be at least 1"
        } else if self.instances == 0 || self.instances > self.rounds {
            "--instances must be at least 1 and at most the number of rounds"
        } else if self.slice < SLICE_MIN {
            "--slice must be at least 50ms: shorter ones cannot be distinguished from noise"
        } else if !self.blocks_fit() {
            "--block must be from 1ms to half of --slice, or auto, or whole"
        } else if self.stop.until_ci_share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            "--until-ci must be a share above 0% and up to 100%"
        } else if !(self.operating_share > 0.0 && self.operating_share <= 1.0) {
            "the operating point must be a share of the capacity above 0 and up to 1"
        } else {
            return Ok(());
        };
        Err(sentence.into())
    }
}

/// Which cores do what. A core never does both: each side would pay for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The servers' cores.
    pub servers: Vec<usize>,
    /// The generator's cores, one worker each.
    pub generator: Vec<usize>,
}

impl Cores {
    /// The first allowed core for the servers and the last for the generator: what is compared is
    /// CPU per request, which does not want more, and other cores may be others' business.
    ///
    /// # Errors
    /// Fewer than two cores are allowed.
    pub fn split(allowed: &[usize]) -> Result<Cores, ContextError> {
        match allowed {
            [servers, .., generator] => {
                Ok(Cores { servers: vec![*servers], generator: vec![*generator] })
            }
            _ => Err(ContextError::new(format!(
                "this process may use {} core(s), and servers and generator need one each: allow \
                 it two (taskset, the container's CPU set)",
                allowed.len()
            ))),
        }
    }

    /// How many cores are measured.
    #[must_use]
    pub fn measured(&self) -> usize {
        let mut all = [self.servers.as_slice(), &self.generator].concat();
        all.sort_unstable();
        all.dedup();
        all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_that_cannot_be_carried_out_name_the_flag() {
        let standard = Protocol::standard(1);
        assert_eq!(standard.check(), Ok(()));
        assert_eq!(Protocol::quick(1).check(), Ok(()));
        for (protocol, flag) in [
            (Protocol { rounds: 0, ..standard.clone() }, "--rounds"),
            (Protocol { instances: 37, ..standard.clone() }, "--instances"),
            (Protocol { slice: Duration::ZERO, ..standard.clone() }, "--slice"),
            (
                Protocol {
                    stop: StopRule { until_ci_share: Some(0.0), ..StopRule::default() },
                    ..standard.clone()
                },
                "--until-ci",
            ),
        ] {
            assert!(protocol.check().unwrap_err().to_string().contains(flag), "{flag}");
        }
    }

    #[test]
    fn percentiles_need_whole_slices_and_so_does_the_length_of_a_block() {
        let protocol = |block, percentiles| {
            let protocol = Protocol { block, percentiles, ..Protocol::standard(1) };
            protocol.instances_with_whole_slices()
        };
        let length = BlockChoice::Length(Duration::from_millis(5));
        for (block, with, without) in
            [(BlockChoice::Auto, 12, 1), (length, 12, 0), (BlockChoice::Whole, 0, 0)]
        {
            assert_eq!((protocol(block, true), protocol(block, false)), (with, without));
        }
    }

    #[test]
    fn instances_follow_the_rounds() {
        let instances = |rounds| Protocol::standard(1).with_rounds(rounds).instances;
        assert_eq!([1, 8, 12, 20, 36, 60, 180].map(instances), [1, 8, 12, 12, 12, 20, 60]);
    }

    #[test]
    fn cores_are_split_and_never_shared() {
        let cores = Cores::split(&[2, 5, 7]).unwrap();
        assert_eq!((cores.servers.as_slice(), cores.generator.as_slice()), (&[2][..], &[7][..]));
        assert_eq!(cores.measured(), 2);
        assert!(Cores::split(&[0]).unwrap_err().to_string().contains("1 core(s)"));
    }
}
