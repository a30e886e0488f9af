//! The modules of a crate and who uses whom, read from the sources as text: `use` trees and paths
//! written out, tests left out, re-exports followed to where a name is defined.
//!
//! A module is a file. It points at the module that defines what it names. It refuses to know
//! macros, and names that come by `*`; both point at the module that they were taken from.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;

/// A module's path inside its crate; empty is the crate's root.
pub(crate) type ModulePath = Vec<String>;

/// The modules of one crate and their arrows.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    /// Each module with the modules that it uses, itself left out.
    pub(crate) uses: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

/// What a module says, before names are followed.
#[derive(Debug, Default)]
struct Spoken {
    /// Paths as written, without those that a `use` gives a name.
    paths: Vec<Vec<String>>,
    /// The names that its `use` lines bring in, each with its path.
    names: BTreeMap<String, Vec<String>>,
}

impl Modules {
    /// Reads the sources of the crate in `folder`, which is empty for the package on top.
    pub(crate) fn read(folder: &str, sources: &[Source]) -> Modules {
        let top = if folder.is_empty() { "src/".to_string() } else { format!("{folder}/src/") };
        let mut spoken = BTreeMap::new();
        for source in sources.iter().filter(|source| !source.is_test()) {
            if let Some(path) = source.path.strip_prefix(&top) {
                spoken.insert(module_path(path), read(source));
            }
        }
        let mut modules = Modules::default();
        for (module, said) in &spoken {
            let all = said.paths.iter().chain(said.names.values());
            let targets = all.filter_map(|path| follow(&spoken, module, path, 0));
            let used: BTreeSet<ModulePath> = targets.filter(|target| target != module).collect();
            modules.uses.insert(module.clone(), used);
        }
        modules
    }

    /// The names on the first level, each with those that it uses.
    pub(crate) fn boxes(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut boxes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, used) in &self.uses {
            let Some(from) = module.first() else { continue };
            let names = used.iter().filter_map(|path| path.first()).filter(|name| *name != from);
            boxes.entry(from).or_default().extend(names.map(String::as_str));
        }
        boxes
    }

    /// The circles: sets of modules of which each leads to each other. A module and what lies below
    /// it are one thing for this, since a parent introduces its children and they share its types.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let levels: BTreeSet<&[String]> =
            self.uses.keys().filter_map(|path| path.split_last()).map(|(_, level)| level).collect();
        for level in levels {
            found.extend(strongly_connected(&self.siblings(level)));
        }
        found
    }

    /// The names below one module with those of them that each uses, whatever lies below them.
    fn siblings(&self, level: &[String]) -> BTreeMap<String, BTreeSet<String>> {
        let name = |path: &ModulePath| {
            (path.len() > level.len() && path.starts_with(level))
                .then(|| path[..=level.len()].join("::"))
        };
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, used) in &self.uses {
            let Some(from) = name(module) else { continue };
            let targets = used.iter().filter_map(name).filter(|target| *target != from);
            let targets: Vec<String> = targets.collect();
            graph.entry(from).or_default().extend(targets);
        }
        graph
    }
}

/// `serve.rs` and `serve/mod.rs` are the module `serve`.
fn module_path(file: &str) -> ModulePath {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main") {
        return Vec::new();
    }
    stem.split('/').map(str::to_string).collect()
}

/// Collects what a file names, from words: identifiers and the signs between them.
fn read(source: &Source) -> Spoken {
    let words = words(source);
    let mut spoken = Spoken::default();
    let mut at = 0;
    while at < words.len() {
        // `use<'a>` is a bound, not an import.
        if words[at] == "use" && words.get(at + 1).is_some_and(|next| next != "<") {
            at = read_use(&words, at + 1, &mut Vec::new(), &mut spoken);
        } else if words.get(at + 1).is_some_and(|next| next == "::") && is_name(&words[at]) {
            let mut path = vec![words[at].clone()];
            while words.get(at + 1).is_some_and(|next| next == "::")
                && words.get(at + 2).is_some_and(|name| is_name(name))
            {
                path.push(words[at + 2].clone());
                at += 2;
            }
            spoken.paths.push(path);
            at += 1;
        } else {
            at += 1;
        }
    }
    spoken
}

/// One tree of a `use` from `at` on; returns where it ends.
fn read_use(
    words: &[String],
    mut at: usize,
    before: &mut Vec<String>,
    spoken: &mut Spoken,
) -> usize {
    let depth = before.len();
    while at < words.len() {
        match words[at].as_str() {
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|word| word != "}" && word != ";") {
                    at = read_use(words, at, before, spoken);
                    at += usize::from(words.get(at).is_some_and(|word| word == ","));
                }
                before.truncate(depth);
                return at + 1;
            }
            "," | "}" | ";" => break,
            "::" => {}
            "as" => {
                let path = before.clone();
                spoken.names.insert(words[at + 1].clone(), path);
                before.truncate(depth);
                return at + 2;
            }
            name => before.push(name.to_string()),
        }
        at += 1;
    }
    if before.last().is_some_and(|name| name == "self") && before.len() > 1 {
        before.pop();
    }
    if let Some(name) = before.last().cloned() {
        spoken.names.insert(name, before.clone());
    }
    before.truncate(depth);
    at
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Identifiers, `::`, and the single signs that a `use` is made of; no comments, no texts.
fn words(source: &Source) -> Vec<String> {
    let mut words = Vec::new();
    for line in source.code() {
        let line = without_texts(line);
        let mut rest = line.as_str();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let length = match length.unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                length => length,
            };
            if !first.is_whitespace() {
                words.push(rest[..length].to_string());
            }
            rest = &rest[length..];
        }
    }
    words
}

/// A line without its comment, and without what stands between quotes.
fn without_texts(line: &str) -> String {
    let mut kept = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        if !quoted && line[at..].starts_with("//") {
            break;
        }
        if letter == '"' && !escaped {
            quoted = !quoted;
        } else if !quoted {
            kept.push(letter);
        }
        escaped = quoted && letter == '\\' && !escaped;
    }
    kept
}

/// Follows a path from `module` to the module that defines its end; `None` where it leads out of
/// the crate.
fn follow(
    spoken: &BTreeMap<ModulePath, Spoken>,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    let (first, mut rest) = path.split_first()?;
    let mut place = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        name => {
            let below = [module, &[name.to_string()]].concat();
            if spoken.contains_key(&below) {
                below
            } else {
                // A name that a `use` of this module brought in points where that one points.
                return None;
            }
        }
    };
    while let Some((name, after)) = rest.split_first() {
        let below = [place.as_slice(), std::slice::from_ref(name)].concat();
        if name == "super" {
            place.pop();
        } else if spoken.contains_key(&below) {
            place = below;
        } else {
            let known = spoken.get(&place).and_then(|said| said.names.get(name));
            let further = known.filter(|_| depth < 8);
            return match further {
                Some(path) => follow(spoken, &place, path, depth + 1),
                None => Some(place),
            };
        }
        rest = after;
    }
    Some(place)
}

/// The sets of more than one name that lead to each other, each sorted.
fn strongly_connected(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|name| (name.as_str(), reachable(graph, name))).collect();
    let mut found = BTreeSet::new();
    for (name, far) in &reach {
        let circle: Vec<String> = far
            .iter()
            .filter(|other| reach.get(**other).is_some_and(|back| back.contains(name)))
            .map(ToString::to_string)
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = graph.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(graph.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source { path: format!("a/src/{path}"), text: text.to_string() })
            .collect();
        Modules::read("a", &sources)
    }

    fn uses(modules: &Modules, module: &str) -> Vec<String> {
        modules.uses[&vec![module.to_string()]].iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn trees_paths_and_re_exports_lead_to_the_defining_module() {
        let modules = modules(&[
            ("lib.rs", "mod one;\nmod two;\npub use two::{Two, below::Three as Third};"),
            ("one.rs", "use crate::{Two, two::{self, below::*}};\nuse std::fmt;"),
            ("two/mod.rs", "pub mod below;\n// crate::one::Comment\nlet a = \"crate::one::Text\";"),
            ("two/below.rs", "fn a() -> impl Iterator + use<'_> { crate::Third::new() }"),
            ("four.rs", "fn a() { super::two::below::free() }\n#[cfg(test)]\nuse crate::one;"),
        ]);
        assert_eq!(uses(&modules, "one"), ["two", "two::below"]);
        assert_eq!(uses(&modules, "two"), [""; 0]);
        assert_eq!(uses(&modules, "four"), ["two::below"]);
        assert_eq!(modules.circles(), [[""; 0]; 0]);
    }

    #[test]
    fn circles_are_found_at_every_level() {
        let modules = modules(&[
            ("lib.rs", ""),
            ("one.rs", "use crate::two::X;"),
            ("two.rs", "fn a() { crate::three::f() }"),
            ("three.rs", "use super::one::Y;"),
            ("deep.rs", "use self::a::A;"),
            ("deep/a.rs", "use super::{b::B, Shared};"),
            ("deep/b.rs", "use super::a::A;"),
        ]);
        assert_eq!(modules.circles(), [vec!["one", "three", "two"], vec!["deep::a", "deep::b"]]);
    }
}
