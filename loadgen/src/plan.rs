//! What to run, as data: variants, the protocol of an experiment, and where it runs.
//!
//! A plan decides nothing while it runs and measures nothing. It is stored whole with every
//! result, so that a run can be repeated from its record.

use std::time::Duration;

use authn::profile::{Profile, TokenCheck};

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
        let (id, label) = if again {
            ("s0-again", "S0 again")
        } else {
            ("s0", "S0")
        };
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
            id: format!("{name}{suffix}")
                .to_ascii_lowercase()
                .replace([' ', '+'], "-"),
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
    /// Length of the warm-up of a new instance, closed loop; it also finds the capacity.
    pub warmup: Duration,
    /// Length of a slice that opens a new connection for each request.
    pub handshake_slice: Duration,
    /// Kept-alive connections of a slice.
    pub connections: usize,
    /// The share of the slowest variant's capacity that is the operating point.
    pub operating_share: f64,
    /// Requests per second; None: [`Protocol::operating_share`] decides.
    pub rate_per_s: Option<f64>,
    /// Seed of the order of slices, of arrivals and of resampling.
    pub seed: u64,
    /// Whether this is the short form, which says so in its results.
    pub quick: bool,
}

impl Protocol {
    /// The default: under four minutes on two cores.
    #[must_use]
    pub fn standard(seed: u64) -> Protocol {
        Protocol {
            rounds: 12,
            instances: 3,
            slice: Duration::from_secs(1),
            warmup: Duration::from_millis(500),
            handshake_slice: Duration::from_millis(200),
            connections: 64,
            operating_share: 0.4,
            rate_per_s: None,
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
            warmup: Duration::from_millis(250),
            handshake_slice: Duration::from_millis(100),
            quick: true,
            ..Protocol::standard(seed)
        }
    }
}
