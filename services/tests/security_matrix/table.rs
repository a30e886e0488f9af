//! The expected responses, read from `data/security-matrix.txt`. It refuses a cell whose word the
//! file does not explain, and a line that has not as many cells as its table has columns.

use std::collections::BTreeMap;

use authn::{Profile, Scope};
use services::ServiceKind;

const TEXT: &str = include_str!("../data/security-matrix.txt");

/// What a cell's word stands for.
pub(crate) enum Response {
    /// The route's own.
    Own,
    /// A problem of this status and kind.
    Problem(u16, &'static str),
    /// None: the connection is refused.
    Nothing,
}

/// A word of the cells.
pub(crate) struct Word {
    pub(crate) word: &'static str,
    pub(crate) response: Response,
    /// For people.
    pub(crate) meaning: String,
}

/// A line of a table of tokens: what is sent, and a word for each profile.
pub(crate) struct TokenRow {
    pub(crate) credential: &'static str,
    pub(crate) cells: Vec<&'static str>,
}

/// A line of a table of pairs, with a word for each profile.
pub(crate) struct PairRow {
    pub(crate) label: &'static str,
    /// Whose certificate is shown, if any.
    pub(crate) certificate: Option<&'static str>,
    /// Whose token is brought.
    pub(crate) client: &'static str,
    pub(crate) cells: Vec<&'static str>,
}

/// A route of a service, and the request that is sent to it.
pub(crate) struct RouteRow {
    pub(crate) service: ServiceKind,
    pub(crate) name: &'static str,
    pub(crate) tokens: &'static str,
    pub(crate) pairs: &'static str,
    pub(crate) scope: Option<Scope>,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: &'static str,
    /// The status of the route's own response.
    pub(crate) passes: u16,
}

/// The whole file.
#[derive(Default)]
pub(crate) struct Matrix {
    pub(crate) words: Vec<Word>,
    pub(crate) tokens: BTreeMap<&'static str, Vec<TokenRow>>,
    pub(crate) pairs: BTreeMap<&'static str, Vec<PairRow>>,
    pub(crate) routes: Vec<RouteRow>,
}

impl Matrix {
    pub(crate) fn read() -> Matrix {
        let mut matrix = Matrix::default();
        for section in TEXT.split("\n== ").skip(1) {
            let lines = section.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
            let mut lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
            let head = lines.next().unwrap();
            match head[..] {
                ["answers"] => matrix.words = lines.map(|words| word(&words)).collect(),
                ["tokens", name] => {
                    has_columns(name, &lines.next().unwrap(), &[]);
                    matrix.tokens.insert(name, lines.map(|words| token(&words)).collect());
                }
                ["pairs", name] => {
                    has_columns(name, &lines.next().unwrap(), &["certificate", "client"]);
                    matrix.pairs.insert(name, lines.map(|words| pair(&words)).collect());
                }
                ["routes"] => matrix.routes = lines.map(|words| route(&words)).collect(),
                _ => panic!("no section is called {head:?}"),
            }
        }
        matrix.check();
        matrix
    }

    /// What the word of a cell stands for.
    pub(crate) fn word(&self, word: &str) -> &Word {
        let found = self.words.iter().find(|known| known.word == word);
        found.unwrap_or_else(|| panic!("no answer is called {word:?}"))
    }

    /// The pair with which tokens are sent to a route.
    pub(crate) fn own(&self, route: &RouteRow) -> &PairRow {
        self.pairs[route.pairs].first().unwrap()
    }

    fn check(&self) {
        let tokens = self.tokens.values().flatten().flat_map(|row| &row.cells);
        let pairs = self.pairs.values().flatten().flat_map(|row| &row.cells);
        for word in tokens.chain(pairs) {
            assert_eq!(self.word(word).word, *word);
        }
        for route in &self.routes {
            assert!(self.tokens.contains_key(route.tokens), "{}: {}", route.name, route.tokens);
            assert_eq!(self.own(route).label, "own", "the first pair of {}", route.pairs);
        }
    }
}

fn optional(word: &'static str) -> Option<&'static str> {
    (word != "-").then_some(word)
}

fn has_columns(name: &str, found: &[&str], words: &[&str]) {
    let columns: Vec<&str> =
        words.iter().copied().chain(Profile::ALL.map(Profile::label)).collect();
    assert_eq!(found, columns, "the columns of {name}");
}

fn word(words: &[&'static str]) -> Word {
    let response = match words[1] {
        "own" => Response::Own,
        "none" => Response::Nothing,
        status => Response::Problem(status.parse().unwrap(), words[2]),
    };
    Word { word: words[0], response, meaning: words[3..].join(" ") }
}

fn token(words: &[&'static str]) -> TokenRow {
    assert_eq!(words.len(), 1 + Profile::ALL.len(), "{words:?}");
    TokenRow { credential: words[0], cells: words[1..].to_vec() }
}

fn pair(words: &[&'static str]) -> PairRow {
    assert_eq!(words.len(), 3 + Profile::ALL.len(), "{words:?}");
    let (label, certificate, client) = (words[0], optional(words[1]), words[2]);
    PairRow { label, certificate, client, cells: words[3..].to_vec() }
}

fn route(words: &[&'static str]) -> RouteRow {
    let [service, name, tokens, pairs, scope, method, path, body, passes] = *words else {
        panic!("a line of a route is another: {words:?}");
    };
    let service = ServiceKind::parse(service).unwrap();
    let scope = optional(scope).map(|scope| Scope::parse(scope).unwrap());
    let passes = passes.parse().unwrap();
    RouteRow { service, name, tokens, pairs, scope, method, path, body, passes }
}
