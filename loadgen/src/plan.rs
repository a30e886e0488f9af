//! What to run, as data: variants, the protocol of an experiment, and where it runs.
//!
//! A plan decides nothing while it runs and measures nothing. It is stored whole with every
//! result, so that a run can be repeated from its record.

use std::time::Duration;

use authn::profile::{Profile, TokenCheck};

use crate::schedule::{Pattern, Rate};

/// The shortest slice: five clock ticks of the kernel's coarsest books.
const SLICE_MIN: Duration = Duration::from_millis(50);

/// One thing that is measured: a profile with everything else that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name in file names and keys, such as `s2-repeat`. Unique in a plan.
    pub id: String,
    /// The name that a person reads, such as `S2 repeat`.
    pub label: String,
    /// Which security layers are on.
    pub profile: Profile,
    /// Which tokens the generator sends.
    pub tokens: Tokens,
    /// Whether the servers keep verified tokens. Off for first sight, on for repeat.
    pub token_cache: bool,
}

/// Which tokens the generator sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// None: the profile ignores them.
    None,
    /// One token, sent with every request.
    One,
    /// A pool of this many different tokens, sent in turn.
    Unique(u32),
}

impl Variant {
    /// The baseline, S0. With `again`, the same once more under another name: the A/A control.
    #[must_use]
    pub fn baseline(again: bool) -> Variant {
        let profile = Profile::parse("S0").expect("S0 is in the profile table");
        let (id, label) = if again { ("s0-again", "S0 again") } else { ("s0", "S0") };
        Variant {
            id: id.into(),
            label: label.into(),
            profile,
            tokens: Tokens::None,
            token_cache: true,
        }
    }

    /// The variants of a profile: one where tokens are ignored, else first sight (a pool of
    /// `pool` unique tokens, cache off) and repeat (one token, cache on).
    #[must_use]
    pub fn of(profile: Profile, pool: u32) -> Vec<Variant> {
        let name = profile.label();
        let variant = |suffix: &str, tokens, token_cache| Variant {
            id: format!("{name}{suffix}").to_ascii_lowercase().replace([' ', '+'], "-"),
            label: format!("{name}{suffix}"),
            profile,
            tokens,
            token_cache,
        };
        match profile.token {
            TokenCheck::Ignore => vec![variant("", Tokens::None, true)],
            TokenCheck::Verify | TokenCheck::VerifyScopes => vec![
                variant(" first sight", Tokens::Unique(pool), false),
                variant(" repeat", Tokens::One, true),
            ],
        }
    }
}

/// How an experiment goes about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// Rounds; in each, every variant is measured once, in random order.
    pub rounds: u32,
    /// How many times every variant's processes are started anew; rounds are shared out evenly.
    pub instances: u32,
    /// Length of a measured slice.
    pub slice: Duration,
    /// Length of the warm-up of a new instance, closed loop.
    pub warmup: Duration,
    /// Length of the closed-loop slice after it, which finds the capacity.
    pub closed_slice: Duration,
    /// Length of a slice that opens a new connection for each request.
    pub handshake_slice: Duration,
    /// Kept-alive connections of a slice.
    pub connections: usize,
    /// The share of the slowest variant's capacity that is the operating point.
    pub operating_share: f64,
    /// Requests per second; None: [`Protocol::operating_share`] decides.
    pub rate_per_s: Option<f64>,
    /// How the requests of an open loop are spread.
    pub pattern: Pattern,
    /// Seed of the order of slices, of arrivals and of resampling.
    pub seed: u64,
    /// Whether this is the short form, which says so in its results.
    pub quick: bool,
}

impl Protocol {
    /// The default: under four minutes on two cores. Starting all processes anew takes about a
    /// second, so they are started for every second round, twice as often as the least that
    /// averages luck of memory layout out.
    #[must_use]
    pub fn standard(seed: u64) -> Protocol {
        Protocol {
            rounds: 12,
            instances: 6,
            slice: Duration::from_secs(1),
            warmup: Duration::from_millis(200),
            closed_slice: Duration::from_millis(400),
            handshake_slice: Duration::from_millis(200),
            connections: 64,
            operating_share: 0.4,
            rate_per_s: None,
            pattern: Pattern::Constant,
            seed,
            quick: false,
        }
    }

    /// The short form: under a minute on two cores.
    #[must_use]
    pub fn quick(seed: u64) -> Protocol {
        Protocol {
            rounds: 8,
            instances: 2,
            slice: Duration::from_millis(250),
            warmup: Duration::from_millis(100),
            closed_slice: Duration::from_millis(200),
            handshake_slice: Duration::from_millis(100),
            quick: true,
            ..Protocol::standard(seed)
        }
    }
}

impl Protocol {
    /// Checks that it can be carried out.
    ///
    /// # Errors
    /// A sentence that names the first flag that cannot be.
    pub fn check(&self) -> Result<(), String> {
        let sentence = if self.rounds == 0 {
            "--rounds must be at least 1"
        } else if self.instances == 0 || self.instances > self.rounds {
            "--instances must be at least 1 and at most the number of rounds"
        } else if self.slice < SLICE_MIN {
            "--slice must be at least 50ms: shorter ones cannot be told from noise"
        } else if self.connections == 0 {
            "--connections must be at least 1"
        } else if !(self.operating_share > 0.0 && self.operating_share <= 1.0) {
            "the operating point must be a share of the capacity above 0 and up to 1"
        } else if self.rate_per_s.is_some_and(|rate| Rate::per_second(rate).is_none()) {
            "--rate must be above 0 and at most 100 million requests per second"
        } else {
            return Ok(());
        };
        Err(sentence.into())
    }
}

/// How the services are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A process for each service, calling each other over the network.
    Mesh,
    /// One process that serves all routes and calls in memory.
    Single,
}

impl Topology {
    /// The name used in flags and results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Topology::Mesh => "mesh",
            Topology::Single => "single",
        }
    }

    /// Reads a name; None for an unknown one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Topology> {
        [Topology::Mesh, Topology::Single].into_iter().find(|known| known.as_str() == name)
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
    /// A sentence when fewer than two cores are allowed.
    pub fn split(allowed: &[usize]) -> Result<Cores, String> {
        match allowed {
            [servers, .., generator] => {
                Ok(Cores { servers: vec![*servers], generator: vec![*generator] })
            }
            _ => Err(format!(
                "this process may use {} core(s), and servers and generator need one each: allow \
                 it two (taskset, the container's CPU set)",
                allowed.len()
            )),
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
    fn profiles_with_tokens_have_two_forms() {
        let names = |profile: &str| -> Vec<String> {
            let variants = Variant::of(Profile::parse(profile).unwrap(), 4).into_iter();
            variants.map(|variant| format!("{} = {}", variant.id, variant.label)).collect()
        };
        assert_eq!(names("S1"), ["s1 = S1"]);
        assert_eq!(names("S5"), ["s5-first-sight = S5 first sight", "s5-repeat = S5 repeat"]);
        assert_eq!(names("tls+scopes")[1], "tls-scopes-repeat = tls+scopes repeat");
    }

    #[test]
    fn protocols_that_cannot_be_carried_out_name_the_flag() {
        let standard = Protocol::standard(1);
        assert_eq!(standard.check(), Ok(()));
        assert_eq!(Protocol::quick(1).check(), Ok(()));
        for (protocol, flag) in [
            (Protocol { rounds: 0, ..standard.clone() }, "--rounds"),
            (Protocol { instances: 13, ..standard.clone() }, "--instances"),
            (Protocol { slice: Duration::ZERO, ..standard.clone() }, "--slice"),
            (Protocol { connections: 0, ..standard.clone() }, "--connections"),
            (Protocol { rate_per_s: Some(f64::NAN), ..standard.clone() }, "--rate"),
        ] {
            assert!(protocol.check().unwrap_err().contains(flag), "{flag}");
        }
    }

    #[test]
    fn cores_are_split_and_never_shared() {
        let cores = Cores::split(&[2, 5, 7]).unwrap();
        assert_eq!((cores.servers.as_slice(), cores.generator.as_slice()), (&[2][..], &[7][..]));
        assert_eq!(cores.measured(), 2);
        assert!(Cores::split(&[0]).unwrap_err().contains("1 core(s)"));
    }
}
