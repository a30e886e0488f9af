//! What is varied beside the profile: axes with their values, and the cells they make.
//!
//! A cell is one setting of every axis; the product of all lists makes the cells, or one list at
//! a time. Variants are compared within a cell only, and a cell's name says no more than what sets
//! it apart. It refuses combinations that cannot be measured as they are named.

use std::num::NonZeroU32;

use authn::Algorithm;

use metrics_export::run::{CallPath, HandshakeKind, TokenSupply};

use super::Role;
use crate::traffic::error::ContextError;
use crate::traffic::schedule::Rate;

/// Different tokens of an uncached variant. The cache is off there, so that the number only has
/// to be large enough for nothing else to remember a token.
const TOKEN_POOL: u32 = 256;

/// The most cells of one experiment: more would not be looked at.
const CELLS_MAX: usize = 64;

/// The workloads of the shop that can be asked for.
pub const WORKLOADS: [&str; 4] = ["orders-create", "orders-read", "inventory-reserve", "ping"];

/// The names of the axes, as `--vary` takes them.
pub const AXES: [&str; 9] = [
    "workloads",
    "call-path",
    "rates",
    "connections",
    "requests-per-connection",
    "handshake",
    "tokens",
    "token-alg",
    "workers",
];

/// Which tokens are sent, and whether servers keep them once verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Both answers: a pool of so many with the cache off, and one token with the cache on.
    Both {
        /// Different tokens of the first.
        pool: u32,
    },
    /// One of them.
    Only {
        /// What is sent.
        tokens: TokenSupply,
        /// Whether verified tokens are kept.
        cache: bool,
    },
}

/// One setting of everything but the profile.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCell {
    /// Its key, made of letters that a file name may have; empty where there is only one.
    pub id: String,
    /// What sets it apart; empty where there is only one.
    pub label: String,
    /// One of [`WORKLOADS`], or `target` where each target has its own request.
    pub workload: String,
    /// Whom the generator talks to.
    pub call_path: CallPath,
    /// Requests per second; None: a share of the slowest variant's capacity.
    pub rate: Option<Rate>,
    /// Connections of a slice.
    pub connections: usize,
    /// A new connection after so many requests of an open loop; None keeps them.
    pub requests_per_connection: Option<NonZeroU32>,
    /// What a new connection's handshake is.
    pub handshake: HandshakeKind,
    /// How tokens are signed.
    pub token_algorithm: Algorithm,
    /// Which tokens.
    pub form: Form,
    /// Worker threads of each service.
    pub workers: usize,
}

impl PlannedCell {
    /// A role as an id that no other cell has.
    #[must_use]
    pub fn prefixed(&self, role: &Role) -> String {
        if self.id.is_empty() { role.id() } else { format!("{}-{}", self.id, role.id()) }
    }
}

/// The values of every axis, each at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// Names of [`WORKLOADS`].
    pub workloads: Vec<String>,
    /// Whom the generator talks to.
    pub call_paths: Vec<CallPath>,
    /// Requests per second; None for a share of the capacity.
    pub rates: Vec<Option<Rate>>,
    /// Connections of a slice.
    pub connections: Vec<usize>,
    /// Requests of a connection; None keeps connections.
    pub requests_per_connection: Vec<Option<NonZeroU32>>,
    /// Handshakes of new connections.
    pub handshakes: Vec<HandshakeKind>,
    /// TokenSupply and cache.
    pub forms: Vec<Form>,
    /// Signatures of tokens.
    pub token_algorithms: Vec<Algorithm>,
    /// Worker threads of each service.
    pub workers: Vec<usize>,
}

impl Default for Axes {
    fn default() -> Axes {
        Axes {
            workloads: vec![WORKLOADS[0].into()],
            call_paths: vec![CallPath::Gateway],
            rates: vec![None],
            connections: vec![64],
            requests_per_connection: vec![None],
            handshakes: vec![HandshakeKind::Full],
            forms: vec![Form::Both { pool: TOKEN_POOL }],
            token_algorithms: vec![Algorithm::Es256],
            workers: vec![1],
        }
    }
}

impl Axes {
    /// The cells: the product of all lists; or, where `vary` names axes, the first value of every
    /// list and then each further value of those axes, one at a time.
    ///
    /// # Errors
    /// A value makes no sense, an axis has a list and is not named, or there would
    /// be too many cells.
    pub fn cells(&self, vary: &[String]) -> Result<Vec<PlannedCell>, ContextError> {
        self.check(vary)?;
        let sizes = self.sizes();
        let places = if vary.is_empty() { product(&sizes) } else { one_at_a_time(&sizes, vary) };
        if places.len() > CELLS_MAX {
            return Err(format!(
                "these lists make {} settings, and at most {CELLS_MAX} are run at once: shorten \
                 them, or use --vary",
                places.len()
            )
            .into());
        }
        places.iter().map(|place| self.cell(place, &sizes)).collect()
    }

    /// How many values each axis has, in the order of [`AXES`].
    fn sizes(&self) -> [usize; AXES.len()] {
        [
            self.workloads.len(),
            self.call_paths.len(),
            self.rates.len(),
            self.connections.len(),
            self.requests_per_connection.len(),
            self.handshakes.len(),
            self.forms.len(),
            self.token_algorithms.len(),
            self.workers.len(),
        ]
    }

    fn check(&self, vary: &[String]) -> Result<(), ContextError> {
        if let Some(odd) = vary.iter().find(|name| !AXES.contains(&name.as_str())) {
            return Err(format!("--vary takes one of {}, not {odd:?}", AXES.join(", ")).into());
        }
        for (name, size) in AXES.iter().zip(self.sizes()) {
            if size == 0 {
                return Err(format!("--{name} needs a value").into());
            }
            if !vary.is_empty() && size > 1 && !vary.iter().any(|varied| varied == name) {
                return Err(format!(
                    "--{name} has a list: name it with --vary too, or give it one value"
                )
                .into());
            }
        }
        if let Some(odd) = self.workloads.iter().find(|name| !WORKLOADS.contains(&name.as_str())) {
            let known = WORKLOADS.join(", ");
            return Err(format!("--workloads takes {known}, not {odd:?}").into());
        }
        if self.connections.contains(&0) || self.workers.contains(&0) {
            return Err("--connections and --workers take 1 or more".into());
        }
        Ok(())
    }

    fn cell(&self, place: &[usize], sizes: &[usize]) -> Result<PlannedCell, ContextError> {
        let mut cell = PlannedCell {
            id: String::new(),
            label: String::new(),
            workload: self.workloads[place[0]].clone(),
            call_path: self.call_paths[place[1]],
            rate: self.rates[place[2]],
            connections: self.connections[place[3]],
            requests_per_connection: self.requests_per_connection[place[4]],
            handshake: self.handshakes[place[5]],
            form: self.forms[place[6]],
            token_algorithm: self.token_algorithms[place[7]],
            workers: self.workers[place[8]],
        };
        if cell.workload == "ping" && cell.call_path == CallPath::Direct {
            return Err(
                "ping is answered by the gateway itself: leave --call-path direct out, or \
                        choose another workload"
                    .into(),
            );
        }
        let names = names(&cell);
        let apart = names.into_iter().zip(sizes).filter(|(_, size)| **size > 1);
        let apart: Vec<String> = apart.map(|(name, _)| name).collect();
        cell.id = slug(&apart.join("-"));
        cell.label = apart.join(", ");
        Ok(cell)
    }
}

/// The value of each axis for people, in the order of [`AXES`].
fn names(cell: &PlannedCell) -> [String; AXES.len()] {
    let plural = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    [
        cell.workload.clone(),
        cell.call_path.as_str().into(),
        cell.rate.map_or("own rate".into(), |rate| rate.to_string()),
        plural(cell.connections, "connection"),
        match cell.requests_per_connection {
            None => "kept connections".into(),
            Some(each) => format!("{each} per connection"),
        },
        format!("{} handshake", cell.handshake.as_str()),
        match cell.form {
            Form::Both { pool } => format!("{pool} tokens uncached and one cached"),
            Form::Only { tokens, cache } => {
                format!("tokens {} cache {}", tokens, if cache { "on" } else { "off" })
            }
        },
        cell.token_algorithm.as_str().to_ascii_lowercase(),
        plural(cell.workers, "worker"),
    ]
}

fn slug(label: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    label.chars().map(letter).collect()
}

/// Every combination of places, the last axis fastest.
fn product(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |all, &size| {
        let longer = |places: &Vec<usize>| {
            (0..size).map(|place| [places.as_slice(), &[place]].concat()).collect::<Vec<_>>()
        };
        all.iter().flat_map(longer).collect()
    })
}

fn one_at_a_time(sizes: &[usize], vary: &[String]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![0; sizes.len()]];
    for (axis, &size) in sizes.iter().enumerate() {
        if vary.iter().any(|name| name == AXES[axis]) {
            all.extend((1..size).map(|place| {
                let mut places = vec![0; sizes.len()];
                places[axis] = place;
                places
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_by_two() -> Axes {
        Axes {
            workloads: vec!["ping".into(), "orders-create".into()],
            connections: vec![1, 64],
            ..Axes::default()
        }
    }

    #[test]
    fn lists_make_their_product_and_names_show_differences() {
        let cells = two_by_two().cells(&[]).unwrap();
        let labels: Vec<&str> = cells.iter().map(|cell| cell.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "ping, 1 connection",
                "ping, 64 connections",
                "orders-create, 1 connection",
                "orders-create, 64 connections"
            ]
        );
        assert_eq!(cells[0].prefixed(&Role::from("s1")), "ping-1-connection-s1");
        let single = Axes::default().cells(&[]).unwrap();
        assert_eq!((single.len(), single[0].id.as_str(), single[0].label.as_str()), (1, "", ""));
    }

    #[test]
    fn one_at_a_time_keeps_the_first_of_all_others() {
        let vary = ["workloads".to_owned(), "connections".to_owned()];
        let cells = two_by_two().cells(&vary).unwrap();
        let pairs: Vec<(&str, usize)> =
            cells.iter().map(|cell| (cell.workload.as_str(), cell.connections)).collect();
        assert_eq!(pairs, [("ping", 1), ("orders-create", 1), ("ping", 64)]);
        let sentence = two_by_two().cells(&vary[..1]).unwrap_err().to_string();
        assert!(sentence.contains("--connections"), "{sentence}");
    }

    #[test]
    fn what_cannot_be_measured_is_refused_by_name() {
        let direct = Axes {
            workloads: vec!["ping".into()],
            call_paths: vec![CallPath::Direct],
            ..Axes::default()
        };
        let odd = Axes { workloads: vec!["results-write".into()], ..Axes::default() };
        let none = Axes { connections: vec![0], ..Axes::default() };
        let many = Axes { connections: (1..100).collect(), ..Axes::default() };
        let cases = [
            (direct, "--call-path"),
            (odd, "results-write"),
            (none, "--connections"),
            (many, "99 settings"),
        ];
        for (axes, word) in cases {
            let sentence = axes.cells(&[]).unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
        }
        assert!(
            Axes::default().cells(&["dance".into()]).unwrap_err().to_string().contains("dance")
        );
    }
}
